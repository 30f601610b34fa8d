"""A tiny CLIP with random weights and a tokenizer of single letters, as transformers saves them."""

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def tokenizer(**options):
    """Letters, alone and at the end of a word, between the marks of begin and end."""
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    vocab = {token: i for i, token in enumerate(["<s>", "</s>", "?", *LETTERS, *(f"{c}</w>" for c in LETTERS)])}
    made = Tokenizer(models.BPE(vocab=vocab, merges=[], unk_token="?", end_of_word_suffix="</w>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", vocab["<s>"]), ("</s>", vocab["</s>"])]
    )
    options = {"model_input_names": ["input_ids", "attention_mask"], **options}
    marks = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "</s>", "unk_token": "?"}
    return transformers.PreTrainedTokenizerFast(tokenizer_object=made, model_max_length=24, **marks, **options)


def save_clip(folder, seed=0, dim=16):
    """Write the model into ``folder``; the same seed gives the same bytes."""
    import torch
    import transformers

    words = tokenizer()
    shared = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = transformers.CLIPConfig(
        text_config={
            **shared, "vocab_size": len(words), "max_position_embeddings": 24, "bos_token_id": words.bos_token_id,
            "eos_token_id": words.eos_token_id, "pad_token_id": words.pad_token_id,
        },
        vision_config={**shared, "image_size": 32, "patch_size": 8},
        projection_dim=dim,
    )  # fmt: skip
    torch.manual_seed(seed)
    model = transformers.CLIPModel(config)
    for weights in model.parameters():  # as they begin, all images have nearly one vector
        if weights.ndim > 1:
            torch.nn.init.normal_(weights, std=0.2)
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    transformers.CLIPImageProcessorPil(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
    ).save_pretrained(folder)
    return folder
