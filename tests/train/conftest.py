import pytest
from train import toys
from warehouse import image, stock, text

from gendata import models
from gendata.models import Needs, needs
from gendata.select import SelectParams
from gendata.select.contents import Contents
from gendata.select.selection import select


@pytest.fixture(autouse=True)
def toy(monkeypatch, tmp_path):
    """The family ``toy`` beside the real ones, in a project folder of its own."""
    monkeypatch.setitem(models.MODELS, "toy", toys.__name__)
    monkeypatch.setitem(models.NEEDS, "toy", Needs("image", labelled=True))
    monkeypatch.chdir(tmp_path)
    return toys


@pytest.fixture(scope="session")
def stores(tmp_path_factory):
    rows = [image(i, "ab"[i % 2], ("train", "valid", "test")[max(0, i - 13)], low=60 * (i % 2)) for i in range(16)]
    texts = [
        text(f"the {w} is on the table, and the table is {w}", s)
        for w, s in zip("red green blue grey".split(), ("train", "train", "valid", "test"), strict=True)
    ]
    return stock(tmp_path_factory.mktemp("stock") / "artifacts", photos=("real", rows), notes=("real", texts))


@pytest.fixture(scope="session")
def images(stores):
    return Contents(
        select("s", Needs("image", labelled=True), SelectParams(where="modality = 'image'"), stores)[0], stores
    )


@pytest.fixture(scope="session")
def texts(stores):
    return Contents(select("s", needs("rnn"), SelectParams(where="modality = 'text'"), stores)[0], stores)
