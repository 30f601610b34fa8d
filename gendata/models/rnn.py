"""rnn: a recurrent network over tokens, with cells LSTM, GRU or tanh.

Trained on windows of ``context`` tokens from a zero state (truncated back-propagation through time); sampling carries
the state on, however long the text gets. Recurrent weights start orthogonal, the forget gates of the LSTM open, the
head at zero, so that the first loss is the logarithm of the vocabulary.

- Hochreiter & Schmidhuber 1997, Long short-term memory. Cho et al. 2014 (GRU). Elman 1990 (tanh).
- Mikolov et al. 2010, Recurrent neural network based language model; Pascanu et al. 2013 (clipped gradients).
- Saxe et al. 2014 (orthogonal start); Jozefowicz et al. 2015 (bias of the forget gate).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from gendata.models.family import Batch, DataSpec, Figures, Objective, TextRequest, uniforms
from gendata.models.text import TextRecipe, cut, draw, inputs, nats, start
from gendata.models.tokens import SEPARATOR

CELLS = {"lstm": nn.LSTM, "gru": nn.GRU, "tanh": nn.RNN}

State = Tensor | tuple[Tensor, Tensor]
"""(layers, B, width); the LSTM has two."""


@dataclass(frozen=True, kw_only=True)
class Config(TextRecipe):
    """A recurrent network over tokens. Section ``train.rnn``."""

    # lstm | gru | tanh
    cell: Literal["lstm", "gru", "tanh"] = "lstm"
    # tokens per window of training: how far gradients flow back
    context: int = 128
    # recurrent layers
    layers: int = 1
    # of the state
    width: int = 192
    # of the tokens' embedding
    embedding: int = 32
    # share of embedding and output dropped in training
    dropout: float = 0.0
    steps: int = 400
    batch: int = 16
    lr: float = 1e-2
    warmup: int = 50
    final: float = 0.05
    weight_decay: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.cell not in CELLS:
            raise ValueError(f"cell: must be one of {', '.join(CELLS)}, not {self.cell}")
        for name in ("layers", "width", "embedding"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: must be at least 1, not {getattr(self, name)}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout: must be 0 or more and below 1, not {self.dropout}")


class Model(nn.Module):
    """The family's module; see ``gendata.models.family.TextModel``."""

    def __init__(self, config: Config, data: DataSpec) -> None:
        super().__init__()
        self.vocabulary = data.tokenizer.vocabulary
        self.embedding = nn.Embedding(inputs(data), config.embedding)
        self.dropout = nn.Dropout(config.dropout)
        self.recurrent = CELLS[config.cell](config.embedding, config.width, config.layers)
        self.head = nn.Linear(config.width, self.vocabulary)
        self._initialise(config)

    def _initialise(self, config: Config) -> None:
        for name, weight in self.recurrent.named_parameters():
            if name.startswith("weight_hh"):
                for gate in weight.split(config.width):
                    nn.init.orthogonal_(gate)
            elif name.startswith("weight_ih"):
                nn.init.xavier_uniform_(weight)
            else:
                nn.init.zeros_(weight)
            if config.cell == "lstm" and name.startswith("bias_hh"):  # gates: input, forget, cell, output
                nn.init.ones_(weight[config.width : 2 * config.width])
        for weight in self.head.parameters():
            nn.init.zeros_(weight)

    def forward(self, tokens: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Logits (B, T, V) after each of ``tokens`` (B, T), and the state after the last."""
        # time first: what torch's recurrent kernels read
        hidden, state = self.recurrent(self.dropout(self.embedding(tokens.t())), state)
        return self.head(self.dropout(hidden)).transpose(0, 1), state

    def objectives(self) -> Mapping[str, Objective]:
        """One, over all parameters."""
        return {"loss": Objective(self.parameters())}

    def loss(self, objective: str, batch: Batch, progress: float) -> tuple[Tensor, Figures]:
        """Mean cross-entropy in nats per token."""
        tokens = batch["tokens"]
        loss = nats(self(tokens[:, :-1])[0], tokens)
        return loss, {"loss": loss.detach()}

    def after_step(self) -> None:
        """Nothing moves but what is optimised."""

    @torch.no_grad()
    def validate(self, batch: Batch) -> Figures:
        """Mean cross-entropy in nats per token."""
        return self.loss("loss", batch, 1.0)[1]

    @torch.no_grad()
    def logits(self, tokens: Tensor) -> Tensor:
        """Of the next token after each of ``tokens`` (B, T): (B, T, V). T may be any length."""
        logits: Tensor = self(tokens)[0]
        return logits

    @torch.no_grad()
    def sample(
        self, seeds: Sequence[int], prompt: Sequence[int], request: TextRequest, labels: Tensor | None = None
    ) -> list[list[int]]:
        """The tokens that follow the prompt, per seed; see ``TextModel``."""
        device = self.head.weight.device
        tokens, state = start(prompt, len(seeds), labels, self.vocabulary).to(device), None
        ended = torch.zeros(len(seeds), dtype=torch.bool)
        drawn: list[Tensor] = []
        for noise in uniforms(seeds, request.max_tokens):
            logits, state = self(tokens, state)
            drawn.append(draw(logits[:, -1], noise, request))
            ended |= drawn[-1] == SEPARATOR
            if ended.all():
                break
            tokens = drawn[-1][:, None].to(device)
        return cut(drawn)
