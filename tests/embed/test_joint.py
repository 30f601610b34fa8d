import io
import json
import shutil

import numpy as np
import pytest
import torch
from embed.clip import save_clip
from PIL import Image

from gendata.embed import EmbedParams, ImageEncoderParams
from gendata.embed.decode import UnreadableImageError
from gendata.embed.image import load_image_encoder, load_joint_encoder
from gendata.embed.query import encode_image_query, encode_joint_query
from gendata.errors import GendataError, QueryError

TEXTS = ["a cat", "dog", "the quick brown fox jumps over the lazy dog again", "", "?!", "🙂 naïve", "x"]


def saved(image, kind="PNG", **save):
    out = io.BytesIO()
    image.save(out, kind, **save)
    return out.getvalue()


def picture(seed, size=(40, 32)):
    """Blots of colour."""
    small = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), np.uint8)
    return Image.fromarray(small).resize(size, Image.Resampling.BICUBIC)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_clip(tmp_path_factory.mktemp("clip") / "model")


def load(folder, dtype="auto"):
    return load_joint_encoder(ImageEncoderParams(str(folder)), "cpu", dtype)


@pytest.fixture(scope="module")
def encoder(folder):
    return load(folder)


@pytest.fixture(scope="module")
def images():
    sizes = [(40, 32), (32, 40), (64, 64), (5, 3), (1, 1), (3, 200), (300, 31)]
    return [saved(picture(i, size)) for i, size in enumerate(sizes)] + [saved(picture(9).convert("L"))]


@pytest.fixture(scope="module")
def reference(folder):
    """Transformers itself."""
    import transformers

    parts = (transformers.CLIPModel, transformers.AutoTokenizer, transformers.CLIPImageProcessorPil)
    return [part.from_pretrained(folder) for part in parts]


def unit(found):
    rows = found.pooler_output.detach().numpy()
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_vectors_of_images_equal_those_of_transformers(encoder, images, reference):
    model, _, processor = reference
    pictures = [Image.open(io.BytesIO(data)).convert("RGB") for data in images]
    expected = unit(model.get_image_features(**processor(pictures, return_tensors="pt")))
    found = encoder.encode(images)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert (found @ found.T)[np.triu_indices(len(images), 1)].max() < 0.99  # these are different vectors


def test_vectors_of_texts_equal_those_of_transformers(encoder, reference):
    model, tokenizer, _ = reference
    tokens = tokenizer(TEXTS, padding=True, truncation=True, return_tensors="pt")
    np.testing.assert_allclose(encoder.encode_texts(TEXTS), unit(model.get_text_features(**tokens)), atol=1e-4)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_vector_is_bit_equal_whatever_its_neighbours(folder, images, dtype):
    encoder = load(folder, dtype)
    found = encoder.encode(images)
    order = [5, 2, 7, 0, 1, 6, 3, 4]
    np.testing.assert_array_equal(encoder.encode([images[i] for i in order]), found[order])
    for i, data in enumerate(images):
        np.testing.assert_array_equal(encoder.encode([data])[0], found[i])
    texts = encoder.encode_texts(TEXTS)
    np.testing.assert_array_equal(encoder.encode_texts(TEXTS[::-1])[::-1], texts)
    np.testing.assert_array_equal(encoder.encode_texts(TEXTS[2:3]), texts[2:3])
    np.testing.assert_allclose(np.linalg.norm(np.concatenate([found, texts]), axis=1), 1, atol=1e-6)


def test_the_number_of_workers_and_threads_changes_nothing(encoder, images, monkeypatch):
    expected, threads = encoder.encode(images), torch.get_num_threads()
    for workers in (1, 3):
        monkeypatch.setattr("gendata.engine.cores", lambda n=workers: n)
        np.testing.assert_array_equal(encoder.encode(images), expected)
    assert torch.get_num_threads() == threads


def test_images_are_upright_and_on_white(encoder):
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = saved(picture(0).transpose(Image.Transpose.ROTATE_90), exif=exif)
    clear = Image.new("RGBA", (40, 32), (0, 0, 0, 0))
    found = encoder.encode([turned, saved(picture(0)), saved(clear), saved(Image.new("RGB", (40, 32), "white"))])
    np.testing.assert_array_equal(found[::2], found[1::2])


def test_what_cannot_be_decoded_is_told_apart(encoder, images, monkeypatch):
    good, bad, last = encoder.encode_each([images[0], b"GIF89a", images[0]])
    assert isinstance(bad, UnreadableImageError)
    np.testing.assert_array_equal(good, last)
    with pytest.raises(UnreadableImageError):
        encoder.encode([b""])
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(UnreadableImageError, match="decompression bomb"):
        encoder.encode([images[2]])


def test_a_thread_of_pixels_is_cut_to_its_middle(encoder):
    found = encoder.encode([saved(picture(0, (1, 50_000))), saved(picture(0, (50_000, 1)))])
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    long = picture(0, (4000, 20))
    middle = long.crop((1000, 0, 3000, 20))
    np.testing.assert_array_equal(encoder.encode([saved(long)]), encoder.encode([saved(middle)]))


def test_nothing_gives_no_vectors(encoder):
    assert encoder.encode([]).shape == encoder.encode_texts([]).shape == (0, 16)


def test_ticks_add_up(encoder, images):
    ticks = []
    encoder.encode(images, ticks.append)
    assert sum(ticks) == len(images)


def test_a_query_has_the_vector_of_the_stage(folder, images):
    params = EmbedParams(image=ImageEncoderParams(str(folder)), device="cpu")
    encoder = load_image_encoder(params.image, "cpu")
    np.testing.assert_array_equal(encode_joint_query("a cat", params), encoder.encode_texts(["a cat"])[0])
    np.testing.assert_array_equal(encode_image_query(images[0], params), encoder.encode(images[:1])[0])
    with pytest.raises(QueryError, match="empty"):
        encode_joint_query(" ", params)
    with pytest.raises(QueryError, match="cannot be decoded"):
        encode_image_query(b"x", params)


def test_a_folder_of_sentence_transformers_works(folder, images, encoder, tmp_path):
    import sentence_transformers

    reference = sentence_transformers.SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    reference.save(str(tmp_path / "new"))
    old = tmp_path / "old"
    shutil.copytree(folder, old / "0_CLIPModel")
    modules = [{"idx": 0, "name": "0", "path": "0_CLIPModel", "type": "sentence_transformers.models.CLIPModel"}]
    (old / "modules.json").write_text(json.dumps(modules))
    pictures = [Image.open(io.BytesIO(data)).convert("RGB") for data in images]
    expected = reference.encode(pictures, batch_size=1, normalize_embeddings=True, show_progress_bar=False)
    for each in (tmp_path / "new", old):
        found = load(each)
        np.testing.assert_array_equal(found.encode(images), encoder.encode(images))
        np.testing.assert_allclose(found.encode(images), expected, atol=1e-4)
        texts = reference.encode(TEXTS[:3], normalize_embeddings=True, show_progress_bar=False)
        np.testing.assert_allclose(found.encode_texts(TEXTS[:3]), texts, atol=1e-4)


def test_siglip_works(tmp_path, images):
    """Its texts are padded to the full length, as it was trained."""
    import transformers
    from embed.clip import tokenizer

    words = tokenizer(model_input_names=["input_ids"])  # as SigLIP's: no mask
    shared = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1, "num_attention_heads": 4}
    text = {**shared, "vocab_size": len(words), "max_position_embeddings": 20}
    config = transformers.SiglipConfig(text_config=text, vision_config={**shared, "image_size": 32, "patch_size": 8})
    model = transformers.SiglipModel(config)
    processor = transformers.SiglipImageProcessorPil(size={"height": 32, "width": 32})
    for part in (model, words, processor):
        part.save_pretrained(tmp_path)
    encoder = load(tmp_path)
    tokens = words(TEXTS, padding="max_length", max_length=20, truncation=True, return_tensors="pt")
    expected = unit(model.eval().get_text_features(tokens["input_ids"]))
    np.testing.assert_allclose(encoder.encode_texts(TEXTS), expected, atol=1e-4)
    long = Image.open(io.BytesIO(images[6]))  # squeezed, not cut
    expected = unit(model.get_image_features(**processor([long], return_tensors="pt")))
    np.testing.assert_allclose(encoder.encode([images[6]]), expected, atol=1e-4)


def test_the_key_follows_weights_processor_and_precision(folder, encoder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "copy")
    assert load(copy).key == encoder.key
    assert load(copy, "bfloat16").key != encoder.key
    settings = copy / "preprocessor_config.json"
    settings.write_text(settings.read_text().replace('"shortest_edge": 32', '"shortest_edge": 36'))
    assert load(copy).key != encoder.key
    assert load(save_clip(tmp_path / "other", seed=1)).key != encoder.key


def _pickled(folder):
    torch.save({}, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def _cut_short(folder):
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])


def _half(folder):
    from safetensors.torch import load_file, save_file

    kept = {k: v for k, v in load_file(folder / "model.safetensors").items() if not k.startswith("vision_model.")}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})


def _remote_code(folder):
    config = json.loads((folder / "config.json").read_text())
    config |= {"auto_map": {"AutoConfig": "code.C", "AutoModel": "code.M"}, "model_type": "ours"}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "code.py").write_text("raise AssertionError('code of the model was run')")


def _larger_pictures(folder):
    settings = folder / "preprocessor_config.json"
    settings.write_text(settings.read_text().replace("32", "48"))


def _more_words(folder):
    config = json.loads((folder / "tokenizer.json").read_text())
    config["model"]["vocab"]["a</w>"] = 7000
    (folder / "tokenizer.json").write_text(json.dumps(config))


def _bert(folder):
    import transformers

    config = transformers.BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8)
    transformers.BertModel(config).save_pretrained(folder)


def _dense(folder):
    kinds = ("Transformer", "Pooling", "Dense")
    (folder / "modules.json").write_text(
        json.dumps([{"path": "", "type": f"sentence_transformers.{k}"} for k in kinds])
    )


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (_pickled, r"holds no \.safetensors file; other weights are not opened"),
        (_cut_short, "cannot be loaded"),
        (_half, "its weights lack vision_model"),
        (_remote_code, "cannot be loaded"),
        (_bert, "BertModel is no joint model of images and texts"),
        (_dense, r"no joint model of images and texts: it has a module sentence_transformers\.Pooling"),
        (lambda f: (f / "modules.json").write_text("{}"), "not a list of modules"),
        (lambda f: (f / "config.json").write_text("{"), "cannot be loaded"),
        (lambda f: (f / "config.json").write_text('{"model_type": "clip", "projection_dim": "x"}'), "cannot be loaded"),
        (lambda f: (f / "preprocessor_config.json").unlink(), "cannot be loaded"),
        (lambda f: (f / "tokenizer.json").unlink(), "cannot be loaded"),
        (_larger_pictures, "the model cannot be run"),
        (_more_words, "the model cannot be run"),
    ],
)
def test_a_folder_that_is_no_joint_model_is_one_line(folder, tmp_path, harm, message):
    copy = shutil.copytree(folder, tmp_path / "copy")
    harm(copy)
    with pytest.raises(GendataError, match=rf"embed\.image\.model .*{message}") as caught:
        load(copy).encode([saved(picture(0))])
    assert "\n" not in str(caught.value)


def test_a_name_that_is_not_here_says_what_can_be_done(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(GendataError, match="give gradient-layout or a local folder, or allow HF_HUB_OFFLINE=0"):
        load("nobody/nothing")


def test_folders_are_found_from_the_root(folder):
    params = EmbedParams(image=ImageEncoderParams(folder.name))
    assert params.below(folder.parent).image.model == str(folder)
    assert params.below(folder) == params
    assert not EmbedParams().image.joint
