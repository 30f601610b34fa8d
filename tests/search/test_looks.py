"""Images found by words through an encoder of images and texts."""

import subprocess
import sys

import numpy as np
import pytest
from embed.clip import save_clip
from search.shelves import Row, build_store, corpus, encode, encode_image

import gendata
from gendata.embed import ImageEncoderParams
from gendata.embed.image import load_joint_encoder
from gendata.errors import GendataError
from gendata.search import search

PICTURES = [
    Row([caption] if caption else [], "image", data=bytes([i, 9])) for i, caption in enumerate(["bread", "", ""])
]
BARE = PICTURES[2]
"""An image that has no caption."""


def joint(text):
    """All words look like the bare image, near enough that every cosine is positive, as CLIP's are."""
    vector = 2 * encode_image(BARE.data) + sum(encode_image(row.data) for row in PICTURES)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    return {"real": build_store(tmp_path_factory.mktemp("looks") / "real", corpus(5, 60) + PICTURES)}


def find(stores, text, encode_joint=joint, **options):
    return search(stores, text, encode_text=encode, encode_image=encode_image, encode_joint=encode_joint, **options)


def cosines():
    return {row.id: float(encode_image(row.data) @ joint("")) for row in PICTURES}


@pytest.mark.parametrize("mode", ["hybrid", "semantic"])
def test_words_rank_images_by_their_looks(stores, mode):
    result = find(stores, "river stone", mode=mode, modality="image")
    expected = cosines()
    assert {h.id: h.visual_score for h in result.hits} == pytest.approx(expected, abs=1e-5)
    ranked = sorted(expected, key=expected.get, reverse=True)
    assert [h.id for h in sorted(result.hits, key=lambda h: h.visual_rank)] == ranked
    assert result.messages == () or not any("captions" in m for m in result.messages)


def test_a_score_is_two_thirds_text_and_one_third_looks(stores):
    plain = {h.id: h.score for h in find(stores, "river stone", encode_joint=None, n=100).hits}
    low, high = min(cosines().values()), max(cosines().values())
    assert low > 0
    hits = find(stores, "river stone", n=100).hits
    assert len(hits) == len(plain) + 2  # and the images that have no caption
    for hit in hits:
        looks = (cosines().get(hit.id, low) - low) / (high - low)
        text = plain.get(hit.id, 0.0) / max(plain.values())
        assert hit.score == pytest.approx(looks / 3 + text * 2 / 3, abs=1e-5)


def test_texts_keep_their_order_and_their_place_above_images_that_do_not_stand_out(stores):
    plain = [h.id for h in find(stores, "river stone", encode_joint=None, n=100).hits]
    hits = find(stores, "river stone", n=100).hits
    pictures = {row.id for row in PICTURES}
    assert [h.id for h in hits if h.id not in pictures] == [i for i in plain if i not in pictures]
    assert hits[0].id == plain[0]
    worst = min(cosines(), key=cosines().get)
    below = [h.id for h in hits if h.score <= next(h.score for h in hits if h.id == worst)]
    assert worst in below[:2]


def test_filters_phrases_and_words_left_out_hold_for_looks(stores):
    assert BARE.id not in {h.id for h in find(stores, '"bread"', n=100).hits}
    assert {h.id for h in find(stores, "river -bread", n=100, modality="image").hits} == {r.id for r in PICTURES[1:]}
    assert find(stores, "river", modality="image", source="nowhere").hits == ()


@pytest.mark.parametrize("options", [{"mode": "keyword"}, {"modality": "text"}, {"image": PICTURES[0].data}])
def test_the_model_is_not_asked_where_it_is_of_no_use(stores, options):
    def never(text):
        raise AssertionError("asked")

    assert find(stores, "river", encode_joint=never, **options).hits


def test_a_store_of_images_alone(tmp_path):
    store = {"real": build_store(tmp_path / "s", PICTURES[1:], fts_rows=False)}
    assert find(store, "river").hits[0].id == BARE.id
    assert search(store, "river", encode_joint=joint, mode="semantic").hits[0].id == BARE.id


def test_captions_remain_where_the_model_is_gone(stores):
    def gone(text):
        raise GendataError("embed.image.model clip: it is gone")

    result = find(stores, "bread", encode_joint=gone, modality="image")
    assert [h.id for h in result.hits] == [PICTURES[0].id]
    assert result.messages == ("images are found by their captions alone: embed.image.model clip: it is gone",)
    other = find(stores, "bread", encode_joint=lambda text: np.ones(5, np.float32), modality="image")
    assert [h.id for h in other.hits] == [PICTURES[0].id]
    assert ["another encoder (6 dimensions, the query has 5)" in m for m in other.messages] == [True]


def test_a_bug_in_the_model_is_no_message(stores):
    def bug(text):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        find(stores, "bread", encode_joint=bug)


def test_a_project_with_a_joint_model(project):
    """Through the pipeline: the oracle is brute force over the encoder itself."""
    save_clip(project.root / "clip")
    _choose(project, "clip")
    project.gendata("run")
    encoder = load_joint_encoder(ImageEncoderParams(str(project.root / "clip")), "cpu")
    files = sorted((project.root / "corpus").glob("*.png"))
    near = encoder.encode([file.read_bytes() for file in files]) @ encoder.encode_texts(["zebra"])[0]
    here = gendata.open(project.root)
    result = here.search("zebra", modality="image", n=len(files))
    assert {h.uri: h.visual_score for h in result.hits} == pytest.approx(
        {file.name: float(score) for file, score in zip(files, near, strict=True)}, abs=1e-5
    )
    assert min(result.hits, key=lambda h: h.visual_rank).uri == files[int(near.argmax())].name
    assert not any("captions" in message for message in result.messages)
    assert {"text", "image"} <= {h.modality for h in here.search("bees and ships", n=30).hits}
    assert here.search(image=files[3].read_bytes(), n=1).hits[0].uri == files[3].name

    _choose(project, "nowhere")
    result = gendata.open(project.root).search("bread", modality="image")
    assert "captions alone: embed.image.model nowhere: it is neither a folder" in " ".join(result.messages)
    assert "bread" in result.hits[0].text
    with pytest.raises(GendataError, match="neither a folder"):
        gendata.open(project.root).search(image=files[0].read_bytes())
    save_clip(project.root / "wider", dim=24)
    _choose(project, "wider")
    result = gendata.open(project.root).search("bread", modality="image")
    assert "another encoder (16 dimensions, the query has 24)" in " ".join(result.messages)
    assert "bread" in result.hits[0].text


def _choose(project, model):
    with project.settings() as sections:
        sections["embed"]["image"]["model"] = model


def test_a_project_without_one_imports_nothing_more(built):
    code = (
        "import sys, gendata\n"
        f"assert gendata.open({str(built.root)!r}).search('bees').hits\n"
        "assert not {'transformers', 'PIL', 'gendata.embed.image', 'gendata.embed.joint'} & set(sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
