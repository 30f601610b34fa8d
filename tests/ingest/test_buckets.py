"""s3:// against a server of that kind on this machine."""

import json
import shutil
import socket
import time
import uuid
from pathlib import Path

import pytest

from gendata.errors import GendataError
from gendata.ingest import IngestParams, SourceParams, preview, scan
from gendata.ingest.remote import RemoteParams


@pytest.fixture(scope="module")
def endpoint():
    moto = pytest.importorskip("moto.server", reason="moto[server] is not installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
    server.start()
    yield f"http://127.0.0.1:{port}"
    server.stop()


class Bucket:
    def __init__(self):
        import boto3

        self.client, self.name = boto3.client("s3", region_name="us-east-1"), f"bucket-{uuid.uuid4().hex[:12]}"
        self.client.create_bucket(Bucket=self.name)
        self.url = f"s3://{self.name}"

    def put(self, files):
        for key, data in files.items():
            self.client.put_object(Bucket=self.name, Key=key, Body=data)

    def delete(self, key):
        self.client.delete_object(Bucket=self.name, Key=key)


@pytest.fixture
def bucket(endpoint, monkeypatch):
    environment = {"AWS_ENDPOINT_URL": endpoint, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    for name, value in {**environment, "AWS_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true"}.items():
        monkeypatch.setenv(name, value)
    return Bucket()


def quick(**options):
    return IngestParams(workers=2, remote=RemoteParams(**({"retries": 0, "timeout": 5.0} | options)))


def same(result, other):
    assert result.items == other.items
    assert result.rejects == other.rejects
    assert result.listing == other.listing


def keep(files, folder="local"):
    """The files on disk too."""
    for path, data in files.items():
        (Path(folder) / path).parent.mkdir(parents=True, exist_ok=True)
        (Path(folder) / path).write_bytes(data)


def fetched():
    """The files that hold something, by their name."""
    return sorted(p.name for p in Path(".gendata/cache/remote").rglob("files/**/*") if p.is_file() and p.stat().st_size)


@pytest.fixture
def photos(image):
    return {
        "a.png": image(color=1),
        "a.txt": b"a caption",
        "deep/er/b.jpg": image("JPEG", color=2),
        "deep/b.md": "# ä note".encode(),
        "50% off #1!.txt": b"odd name",
        "movie.mp4": b"\0" * 1000,
        "broken.png": b"\x89PNG\r\n\x1a\n",
        ".hidden/x.txt": b"hidden",
        "empty.txt": b"",
    }


def test_a_prefix_gives_what_the_local_folder_gives(bucket, run, photos):
    bucket.put({f"some/prefix/{path}": data for path, data in photos.items()} | {"some/other.txt": b"not asked for"})
    keep(photos)
    remote = run(SourceParams("folder", "real", f"{bucket.url}/some/prefix"))
    same(remote, run(SourceParams("folder", "real", "local")))
    assert (len(remote.items), remote.item("a.png")["text"]) == (4, "a caption")
    assert remote.reasons()["movie.mp4"] == "unsupported-type"
    assert "movie.mp4" not in fetched()  # its name says enough
    assert "x.txt" not in fetched()
    same(remote, run(SourceParams("folder", "real", f"{bucket.url}/some/prefix/")))


def test_a_whole_bucket(bucket, run, photos):
    bucket.put(photos)
    keep(photos)
    same(run(SourceParams("folder", "real", bucket.url)), run(SourceParams("folder", "real", "local")))


def test_globs_includes_and_excludes_decide_what_is_fetched(bucket, run, photos):
    bucket.put({f"p/{path}": data for path, data in photos.items()})
    keep(photos)
    for kind, path, more in (
        ("files", "/**/*.{png,md}", {}),
        ("folder", "", {"include": ("a.*",)}),
        ("folder", "", {"exclude": ("*.txt", "deep")}),
    ):
        remote = run(SourceParams(kind, "real", f"{bucket.url}/p{path}", **more))
        same(remote, run(SourceParams(kind, "real", f"local{path}", **more)))
    bucket.put({"q/a.txt": b"wanted", "q/b.txt": b"not wanted"})
    run(SourceParams("folder", "real", f"{bucket.url}/q", include=("a.*",)))
    assert [Path(name).name for name in fetched() if name in {"a.txt", "b.txt"}].count("b.txt") == 0


def test_a_table_with_images_and_a_labelled_folder(bucket, run, photos, image):
    rows = "".join(json.dumps({"text": str(n), "image": f"img/{n}.png"}) + "\n" for n in range(4)).encode()
    files = {"rows.jsonl": rows} | {f"img/{n}.png": image(color=n) for n in range(3)}
    bucket.put({f"t/{path}": data for path, data in files.items()})
    keep(files)
    for kind in ("table", "imagefolder"):
        remote = run(SourceParams(kind, "real", f"{bucket.url}/t"))
        same(remote, run(SourceParams(kind, "real", "local")))
        assert len(remote.items) == 3
    assert run(SourceParams("table", "real", f"{bucket.url}/t")).reasons() == {"rows.jsonl#4": "missing-file"}


def test_one_object(bucket, run):
    rows = b'{"text": "one"}\n'
    bucket.put({"x/data.jsonl": rows, "x/data.jsonl.bak": b"no"})
    keep({"data.jsonl": rows})
    same(
        run(SourceParams("table", "real", f"{bucket.url}/x/data.jsonl")),
        run(SourceParams("table", "real", "local/data.jsonl")),
    )


def test_changes_are_seen_and_nothing_else_is_fetched(bucket, run, monkeypatch):
    bucket.put({f"{n}.txt": f"text {n}".encode() for n in range(4)})
    time.sleep(2.1)  # what was written just now may change without a trace
    source = SourceParams("folder", "real", bucket.url)
    assert len(run(source).items) == 4
    inodes = {p.name: p.stat().st_ino for p in Path(".gendata").rglob("*.txt")}
    bucket.put({"1.txt": b"another text"})
    bucket.delete("2.txt")
    bucket.put({"9.txt": b"new"})
    changed = run(source)
    assert [i["text"] for i in changed.items] == ["text 0", "another text", "text 3", "new"]
    now = {p.name: p.stat().st_ino for p in Path(".gendata").rglob("*.txt")}
    assert {name for name in now if now[name] == inodes.get(name)} == {"0.txt", "3.txt"}
    shutil.rmtree(".gendata")
    same(run(source), changed)


def test_the_same_size_within_a_second_is_a_change(bucket, run):
    bucket.put({"a.txt": b"one"})
    source = SourceParams("folder", "real", bucket.url)
    assert run(source).items[0]["text"] == "one"
    bucket.put({"a.txt": b"two"})
    assert run(source).items[0]["text"] == "two"


def test_keys_that_no_file_can_stand_for_are_rejects(bucket, run):
    bucket.put({"p/a": b"x", "p/a/b.txt": b"below a file", "p/ok.txt": b"fine", "p/n" + 300 * "n" + ".txt": b"long"})
    result = run(SourceParams("folder", "real", f"{bucket.url}/p"))
    assert [i["uri"] for i in result.items] == ["ok.txt"]
    assert result.reasons() == {
        "a": "unsupported-type",
        "a/b.txt": "unusable-name",
        "n" + 300 * "n" + ".txt": "unusable-name",
    }


def test_too_large_is_one_reject(bucket, run):
    bucket.put({"a.txt": b"x" * 100, "b.txt": b"x" * 1000})
    result = run(SourceParams("folder", "real", bucket.url), quick(max_file_bytes=500))
    assert (len(result.items), result.reasons()) == (1, {"b.txt": "remote-too-large"})


@pytest.mark.parametrize("path", ["/nothing/here", "-that-is-not-there"])
def test_nothing_there(bucket, project, path):
    with pytest.raises(GendataError, match=r"source s: s3://.*: there is nothing"):
        scan({"s": SourceParams("folder", "real", bucket.url + path)}, project, Path("out"), quick())


def test_a_preview_of_a_bucket(bucket, run, project):
    bucket.put({f"{n}.txt": f"text {n}".encode() for n in range(9)})
    source = SourceParams("folder", "real", bucket.url)
    assert [item.text for item in preview("s", source, project, 2)] == ["text 0", "text 1"]
    assert len(run(source).items) == 9
