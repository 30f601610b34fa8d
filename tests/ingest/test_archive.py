import base64
import gzip
import io
import os
import random
import struct
import subprocess
import sys
import tarfile
import tempfile
import textwrap
import warnings
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packing import FORMS, PACKERS, packed, tarred, zipped

from gendata.errors import ParamsError
from gendata.ingest import IngestParams, SourceParams, preview
from gendata.items import Item, content_id
from tests.ingest.test_fuzz import mutate

SMALL = IngestParams(workers=1)


def archive(path, **options):
    return SourceParams("archive", "real", path, **options)


@pytest.fixture
def read(project, run):
    """An archive of these bytes as stage ingest reads it."""

    def _read(content, name="a.zip", params=None, **options):
        (project / name).write_bytes(content)
        return run(archive(name, **options), params)

    return _read


def outcomes(folder, source, params=SMALL):
    """Items and rejects by uri within the folder or archive."""
    found = {}
    for o in preview("s", source, folder, n=10_000, params=params):
        uri = o.uri.rpartition("!")[2]
        assert uri not in found
        found[uri] = (o.id, o.text, o.text_origin, o.media_type, o.file_sha256, o.meta) if isinstance(o, Item) else (
            o.reason, o.detail)  # fmt: skip
    return found


def tree(image):
    return {
        "a.txt": b"one text",
        "ü 😀%#!.md": "naïve".encode(),
        "deep/er/b.txt": b"in folders",
        "deep/p.png": image(),
        "deep/p.txt": b" a caption\n",
        "deep/q.jpg": image("JPEG"),
        "deep/q.caption": b"\xff",
        "deep/r.webp": image("WEBP"),
        "deep/r.txt": b"",
        "z/alone.caption": b"of nothing",
        "z/bad.png": b"no picture",
        "z/movie.mp4": b"....",
        "z/latin.txt": b"\xe9",
        ".hidden/x.txt": b"skipped",
        "z/.DS_Store": b"skipped",
        "drafts/x.txt": b"left out",
        "drafts/more/y.txt": b"left out",
    }


OPTIONS = {"exclude": ("drafts",)}


@pytest.mark.parametrize("suffix", FORMS)
def test_an_archive_is_what_its_folder_is(project, image, suffix):
    files = tree(image)
    for name, content in files.items():
        (project / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (project / "data" / name).write_bytes(content)
    shuffled = random.Random(suffix).sample([*files.items()], len(files))
    (project / f"a{suffix}").write_bytes(packed(shuffled, suffix))
    expected = outcomes(project, SourceParams("folder", "real", "data", **OPTIONS))
    assert len(expected) == 12
    assert outcomes(project, archive(f"a{suffix}", **OPTIONS)) == expected
    some = {"include": ("*.png", "b.txt"), "exclude": ("z/**",)}
    expected = outcomes(project, SourceParams("folder", "real", "data", **some))
    assert list(expected) == ["deep/er/b.txt", "deep/p.png"]
    assert outcomes(project, archive(f"a{suffix}", **some)) == expected


PICTURE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
)
NAMES = st.text(st.sampled_from("ab.é%#! \n"), min_size=1, max_size=4).filter(lambda n: n not in {".", ".."})
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
TREES = st.dictionaries(
    st.tuples(PATHS, st.sampled_from([".txt", ".png", ".caption", ".md", ""])).map("".join),
    st.sampled_from([b"", b"text", b"\xff", "other ü".encode(), "PNG"]),
    max_size=8,
).filter(lambda t: not any(a != b and b.startswith(f"{a}/") for a in t for b in t))


@settings(max_examples=60, deadline=None)
@given(files=TREES, suffix=st.sampled_from(FORMS), data=st.data())
def test_any_tree_is_read_as_a_folder_and_as_an_archive(files, suffix, data):
    files = {name: PICTURE if content == "PNG" else content for name, content in files.items()}
    globs = {"include": tuple(data.draw(st.sampled_from([(), ("*.png",), ("a*/**",)])))}
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        (root / "data").mkdir()
        for name, content in files.items():
            path = root / "data" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        order = data.draw(st.permutations([*files.items()]))
        (root / f"a{suffix}").write_bytes(packed(order, suffix))
        assert outcomes(root, archive(f"a{suffix}", **globs)) == outcomes(
            root, SourceParams("folder", "real", "data", **globs)
        )


def test_items_come_by_archive_then_by_member(project, run):
    (project / "d/sub").mkdir(parents=True)
    (project / "d/b.tar.gz").write_bytes(tarred([("z.txt", b"1"), ("a.txt", b"2")], ".tar.gz"))
    (project / "d/sub/a.zip").write_bytes(zipped([("x/", b""), ("x/y.txt", b"3")]))
    (project / "d/A.ZIP").write_bytes(zipped([("c!.txt", b"4")]))
    (project / "d/readme.txt").write_text("beside")
    result = run(archive("d", license="CC0-1.0", label="l"))
    uris = ["A.ZIP!c%21.txt", "b.tar.gz!z.txt", "b.tar.gz!a.txt", "sub/a.zip!x/y.txt"]
    assert [i["uri"] for i in result.items] == uris
    assert {(i["license"], i["label"]) for i in result.items} == {("CC0-1.0", "l")}
    assert result.reasons() == {"readme.txt": "unsupported-type"}
    assert [(r["uri"], r["sha256"] is not None) for r in result.listing] == [
        ("A.ZIP", True), ("b.tar.gz", True), ("readme.txt", False), ("sub/a.zip", True),
    ]  # fmt: skip
    assert run(archive("d", exclude=("sub", "*.ZIP", "readme.txt"))).summary["enumerated"] == 2


def special(name, kind, link=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info, b""


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz"])
def test_what_is_no_file_in_a_tar_is_a_reject(read, suffix):
    members = [
        ("./kept.txt", b"kept"),
        special("folder", tarfile.DIRTYPE),
        special("soft.txt", tarfile.SYMTYPE, "/etc/passwd"),
        special("hard.txt", tarfile.LNKTYPE, "kept.txt"),
        special("fifo.txt", tarfile.FIFOTYPE),
        special("device.txt", tarfile.CHRTYPE),
        special("disk.txt", tarfile.BLKTYPE),
        ("/etc/x.txt", b"absolute"),
        ("../x.txt", b"outside"),
        ("a/../../x.txt", b"outside"),
        ("kept.txt", b"again"),
        (".//kept.txt", b"and again"),
        ("inner.zip", zipped([("x.txt", b"x")])),
    ]
    result = read(tarred(members, suffix), f"a{suffix}")
    assert [(i["uri"], i["text"]) for i in result.items] == [(f"a{suffix}!kept.txt", "kept")]
    assert {uri.partition("!")[2]: reason for uri, reason in result.reasons().items()} == {
        "soft.txt": "link-in-archive",
        "hard.txt": "link-in-archive",
        "fifo.txt": "not-a-file",
        "device.txt": "not-a-file",
        "disk.txt": "not-a-file",
        "/etc/x.txt": "path-outside",
        "../x.txt": "path-outside",
        "a/../../x.txt": "path-outside",
        "kept.txt#2": "duplicate-name",
        "kept.txt#3": "duplicate-name",
        "inner.zip": "nested-archive",
    }


def entry(name, mode=0, **attributes):
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    for key, value in attributes.items():
        setattr(info, key, value)
    return info


def test_what_is_no_file_in_a_zip_is_a_reject(read):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the duplicate
        content = zipped(
            [
                ("kept.txt", b"kept"),
                ("folder/", b""),
                (entry("soft.txt", 0o120777), b"/etc/passwd"),
                (entry("fifo.txt", 0o010666), b""),
                ("/etc/x.txt", b"absolute"),
                ("a/../../x.txt", b"outside"),
                ("kept.txt", b"again"),
                ("a.tar.gz", tarred([("x.txt", b"x")], ".tar.gz")),
                (entry("bzip2.txt", compress_type=zipfile.ZIP_BZIP2), b"x"),
            ]
        )
    result = read(content)
    assert [(i["uri"], i["text"]) for i in result.items] == [("a.zip!kept.txt", "kept")]
    assert {uri.partition("!")[2]: reason for uri, reason in result.reasons().items()} == {
        "soft.txt": "link-in-archive",
        "fifo.txt": "not-a-file",
        "/etc/x.txt": "path-outside",
        "a/../../x.txt": "path-outside",
        "kept.txt#2": "duplicate-name",
        "a.tar.gz": "nested-archive",
        "bzip2.txt": "unsupported-compression",
    }


def test_an_encrypted_member(read):
    content = bytearray(zipped([("a.txt", b"secret"), ("b.txt", b"open")]))
    for signature, at in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        content[content.index(signature) + at] |= 1
    result = read(bytes(content))
    assert (result.reasons(), [i["text"] for i in result.items]) == ({"a.zip!a.txt": "encrypted"}, ["open"])


def test_a_checksum_that_is_wrong(read, image):
    members = [("a.txt", b"x" * 50), ("b.txt", b"good"), ("p.png", image()), ("p.txt", b"a caption")]
    content = zipped(members, zipfile.ZIP_STORED)
    content = content.replace(b"x" * 50, b"x" * 49 + b"y").replace(b"a caption", b"A caption")
    result = read(content)
    assert {i["uri"]: i["text"] for i in result.items} == {"a.zip!b.txt": "good", "a.zip!p.png": None}
    assert result.reasons() == {"a.zip!a.txt": "corrupt-member", "a.zip!p.txt": "caption-invalid"}
    packed = bytearray(gzip.compress(tarred([("b.txt", b"good")]), mtime=0))
    packed[-5] ^= 1
    result = read(bytes(packed), "a.tar.gz")
    assert ([i["text"] for i in result.items], result.reasons()) == (["good"], {"a.tar.gz": "corrupt-archive"})


def test_names_of_zips_in_both_encodings(read):
    old = bytearray(zipped([("caf?.txt", b"cp437"), ("ü.txt", b"utf-8"), ("back\\slash.txt", b"windows")]))
    for at in (old.index(b"caf?"), old.rindex(b"caf?")):
        old[at + 3] = 0x82  # é in cp437
    assert {i["uri"]: i["text"] for i in read(bytes(old)).items} == {
        "a.zip!café.txt": "cp437",
        "a.zip!ü.txt": "utf-8",
        "a.zip!back\\slash.txt": "windows",
    }


def test_names_of_tars_in_all_formats(read):
    long = "l" * 90 + "/" + "ü" * 90 + ".txt"
    for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        raw = ("\udcff.txt", b"undecodable")
        result = read(tarred([(long, b"long"), raw], form=form), "a.tar")
        assert {i["uri"]: i["text"] for i in result.items} == {f"a.tar!{long}": "long", "a.tar!%FF.txt": "undecodable"}


def test_a_zip64(read):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file, file.open("a.txt", "w", force_zip64=True) as member:
        member.write(b"large")
    assert [i["text"] for i in read(buffer.getvalue()).items] == ["large"]


def test_sparse_members_are_read_and_their_holes_are_counted(project, run):
    (project / "s.txt").write_bytes(b"a")
    os.truncate(project / "s.txt", 3 << 20)
    with (project / "s.txt").open("r+b") as file:
        file.seek(2 << 20)
        file.write(b"b")
    for form in ("gnu", "posix"):
        subprocess.run(["tar", "-cSf", "a.tar", f"--format={form}", "s.txt"], check=True)
        assert (project / "a.tar").stat().st_size < 100_000
        assert run(archive("a.tar")).items[0]["id"] == content_id((project / "s.txt").read_bytes())
        assert run(archive("a.tar"), IngestParams(max_archive_bytes=2 << 20)).reasons() == {"a.tar": "too-large"}
    (project / "s.txt").unlink()


@pytest.mark.parametrize("suffix", FORMS)
def test_limits(read, suffix):
    name = f"a{suffix}"
    members = [(f"{i}.txt", random.Random(i).randbytes(100_000).hex().encode()) for i in range(9)]
    content = packed(members, suffix)
    assert read(content, name).summary["read"] == 9

    few = read(content, name, IngestParams(max_members=4))
    assert few.reasons() == {name: "too-many-members"}
    assert few.summary["read"] == (0 if suffix == ".zip" else 4)

    small = read(content, name, IngestParams(max_archive_bytes=1_000_000))
    assert small.reasons() == {name: "too-large"}
    assert 0 < small.summary["read"] < 9

    light = read(packed([*members, ("big.txt", b"b" * 200_001)], suffix), name, IngestParams(max_file_bytes=200_000))
    assert light.reasons() == {f"{name}!big.txt": "too-large"}
    assert light.summary["read"] == 9


@pytest.mark.parametrize("suffix", [s for s in FORMS if s != ".tar"])
def test_bombs(read, suffix):
    name, params = f"a{suffix}", IngestParams(max_text_chars=1000, max_ratio=2)
    zeros = [(f"{i}.txt", b"0" * (10 << 20)) for i in range(8)]
    result = read(packed([("first.txt", b"good"), *zeros], suffix), name, params)
    assert [i["text"] for i in result.items] == ["good"]
    reasons = result.reasons()
    assert reasons.pop(name) == "compression-bomb"
    assert set(reasons.values()) == {"too-large"}
    assert len(reasons) == 6  # 64 MiB may be unpacked of anything


def test_a_zip_whose_members_overlap_is_counted_by_what_comes_out(read):
    """Many members of one content: as in the best known zip bomb."""
    content = zipped([("0.txt", b"0" * (9 << 20))])
    directory = content[content.index(b"PK\1\2") : content.index(b"PK\5\6")]
    many = b"".join(directory.replace(b"0.txt", b"%d.txt" % i) for i in range(10))
    body = content[: content.index(b"PK\1\2")]
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 10, 10, len(many), len(body), 0)
    reasons = read(body + many + end, params=IngestParams(max_text_chars=10)).reasons()
    assert len(reasons) <= 10
    assert set(reasons.values()) <= {"too-large", "corrupt-member", "compression-bomb"}


def test_a_zip_of_more_members_than_it_says(project):
    body = zipped([(f"{i}.txt", b"") for i in range(50)])
    (project / "a.zip").write_bytes(body)
    found = preview("s", archive("a.zip"), project, params=IngestParams(max_members=49))
    assert [(o.uri, o.reason) for o in found] == [("a.zip", "too-many-members")]


def test_headers_that_lie(project):
    small = zipped([("a.txt", b"0" * 5000)])
    sizes = struct.pack("<L", 5000)
    lower = small.replace(sizes, struct.pack("<L", 10))
    higher = small.replace(sizes, struct.pack("<L", 2**32 - 2))
    for content, reason in ((lower, "corrupt-member"), (higher, "too-large")):
        (project / "a.zip").write_bytes(content)
        (found,) = preview("s", archive("a.zip"), project)
        assert (found.uri, found.reason) == ("a.zip!a.txt", reason)


def header(name, size, kind=tarfile.REGTYPE):
    info = tarfile.TarInfo(name)
    info.type = kind
    raw = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    raw[124:136] = b"%011o\0" % size if size >= 0 else b"\xff" * 4 + size.to_bytes(8, "big", signed=True)
    raw[148:156] = b" " * 8
    raw[148:156] = b"%06o\0 " % sum(raw)
    return bytes(raw)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (header("back.txt", -512) + bytes(1024), "corrupt-archive"),  # tarfile would go round in circles
        (header("././@LongLink", 2 << 20, tarfile.GNUTYPE_LONGNAME) + bytes(1024), "corrupt-archive"),
        (header("pax", 2 << 20, tarfile.XHDTYPE) + bytes(1024), "corrupt-archive"),
        (header("pax", 20, tarfile.XHDTYPE) + b"16 size=-512\n\0\0\0".ljust(512, b"\0") + header("x.txt", 0), None),
        (header("././@LongLink", 0, tarfile.GNUTYPE_LONGNAME) * 3000 + bytes(1024), "corrupt-archive"),
        (header("a.txt", 2**60), "truncated-archive"),
        (b"\0" * 10, "truncated-archive"),
        (b"no archive at all" * 100, "corrupt-archive"),
        (b"", "empty"),
        (b"\x1f\x8b", "truncated-archive"),
        (gzip.compress(b"no tar" * 200, mtime=0), "corrupt-archive"),
        (b"PK\3\4 and no more", "corrupt-archive"),
    ],
)  # fmt: skip
def test_containers_that_cannot_be_read_are_one_reject(project, content, reason):
    (project / "a.tar").write_bytes(content)
    found = preview("s", archive("a.tar"), project)
    assert [o.uri for o in found if o.uri == "a.tar"] == ["a.tar"]
    assert reason in {None, found[-1].reason}


def test_a_tar_behind_a_tar_is_not_lost_in_silence(read):
    one = tarred([("a.txt", b"first")])
    for suffix in (".tar", ".tar.gz"):
        result = read(PACKERS[suffix](one + one), f"a{suffix}")
        assert ([i["text"] for i in result.items], result.reasons()) == (["first"], {f"a{suffix}": "corrupt-archive"})


@pytest.mark.parametrize("suffix", FORMS)
def test_an_archive_that_is_cut(project, image, suffix):
    """What came before the cut is as it was; nothing is doubled, and the loss is one reject."""
    rng = random.Random(3)
    members = [(f"{i}.txt", rng.randbytes(rng.randrange(1, 1500)).hex().encode()) for i in range(8)]
    members[3:3] = [("p.png", image()), ("p.txt", b"caption")]
    content = packed(members, suffix)
    path = project / f"a{suffix}"
    path.write_bytes(content)
    whole = {o.uri: o for o in preview("s", archive(path.name), project, n=100)}
    assert len(whole) == 9
    most = 0
    for end in sorted({1, 511, 512, *(rng.randrange(len(content)) for _ in range(25))}):
        path.write_bytes(content[:end])
        found = preview("s", archive(path.name), project, n=100)
        uris = [o.uri for o in found]
        assert len(set(uris)) == len(uris)
        items = [o for o in found if isinstance(o, Item)]
        assert [o.id for o in items] == [whole[u].id for u in uris[: len(items)]]
        assert all(o.reason in {"truncated-archive", "corrupt-archive", "caption-invalid"} for o in found[len(items) :])
        if len(items) < len(whole):
            assert uris[-1] == path.name
        most = max(most, len(items))
    assert most >= (0 if suffix in {".zip", ".tar.bz2", ".tar.xz", ".tar.zst"} else 4)  # these unpack in large blocks


def test_captions_beyond_a_cut_are_rejects_too(project, image):
    members = [("p.png", image()), ("a.txt", b"x" * 3000), ("p.caption", b"late")]
    content = tarred(members)
    (project / "a.tar").write_bytes(content)
    first, second = preview("s", archive("a.tar"), project)
    assert (first.text, second.uri) == ("late", "a.tar!a.txt")
    at = content.index(b"late")
    (project / "a.tar").write_bytes(content[:at] + b"")
    found = preview("s", archive("a.tar"), project)
    assert [(o.uri, getattr(o, "reason", o.uri)) for o in found[1:]] == [
        ("a.tar!a.txt", "a.tar!a.txt"),
        ("a.tar!p.caption", "caption-invalid"),
        ("a.tar", "truncated-archive"),
    ]
    assert found[0].text is None


def test_an_archive_is_known_by_its_content(read):
    for name in ("a.tar", "a.zip", "a.tgz"):
        for suffix in FORMS:
            assert [i["text"] for i in read(packed([("a.txt", b"x")], suffix), name).items] == ["x"]


@pytest.mark.parametrize("name", ["a.rar", "a.txt"])
def test_a_path_that_is_no_archive(project, name):
    (project / name).write_bytes(b"x")
    with pytest.raises(ParamsError, match=r"is neither a folder nor a \.zip, \.tar,"):
        preview("s", archive(name), project)


def test_the_result_does_not_depend_on_workers(project, image):
    members = [(f"{i}.png", image(color=i)) for i in range(30)] + [(f"{i}.txt", b"caption %d" % i) for i in range(30)]
    (project / "a.tar.zst").write_bytes(tarred(members, ".tar.zst"))
    one, many = (
        preview("s", archive("a.tar.zst"), project, n=99, params=IngestParams(workers=workers)) for workers in (1, 8)
    )
    assert one == many
    assert [o.text for o in one] == [f"caption {i}" for i in range(30)]


MEASURE = """
import re, sys
from pathlib import Path
from gendata.ingest import IngestParams, SourceParams
from gendata.ingest.archive import listing, read

source = SourceParams("archive", "real", sys.argv[1])
entries = sorted(listing("s", source, Path(".")), key=lambda e: e.uri)
count = sum(1 for _ in read("s", source, Path("."), entries, IngestParams(workers=2)))
print(count, re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])  # the peak, in kB
"""


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tar.zst"])
def test_memory_does_not_grow_with_the_contents(project, suffix):
    peaks = []
    for count in (100, 1000):
        block = random.Random(1).randbytes(20_000).hex()
        (project / f"a{suffix}").write_bytes(
            packed([(f"{i}.txt", f"{i} {block}".encode()) for i in range(count)], suffix)
        )
        run = [sys.executable, "-c", textwrap.dedent(MEASURE), f"a{suffix}"]
        read, peak = map(int, subprocess.run(run, capture_output=True, text=True, check=True).stdout.split())
        assert read == count
        peaks.append(peak)
    assert peaks[1] - peaks[0] < 4_000  # kB, of 36 MB more that are unpacked


def fuzz(project, image, rounds, seed):
    rng = random.Random(seed)
    members = [
        ("a.txt", b"text " * 30),
        ("d/p.png", image()),
        ("d/p.txt", b"caption"),
        ("l" * 120 + "ü.md", b"x" * 700),
    ]
    members += [special("link.txt", tarfile.SYMTYPE, "a.txt")]
    plain = [m for m in members if isinstance(m[0], str)]
    seeds = {".zip": zipped(plain), "stored.zip": zipped(plain, zipfile.ZIP_STORED)}
    seeds |= {s: tarred(members, s) for s in PACKERS}
    seeds["gnu.tar"] = tarred(members, form=tarfile.GNU_FORMAT)
    params = IngestParams(max_archive_bytes=1 << 20, max_members=50, max_pixels=10_000, workers=1)
    for suffix, content in seeds.items():
        path = project / f"a{suffix}"
        for _ in range(rounds):
            mutated = mutate(rng, content)
            if rng.random() < 0.5 and suffix in PACKERS:  # of what is packed, not of the packing
                mutated = PACKERS[suffix](mutate(rng, tarred(members)))
            path.write_bytes(mutated)
            try:
                found = preview("s", archive(path.name), project, n=1000, params=params)
            except Exception as error:
                raise AssertionError(f"{suffix} {mutated!r}") from error
            uris = [o.uri for o in found]
            assert len(set(uris)) == len(uris), (suffix, mutated)
            assert all(o.detail.isprintable() for o in found if not isinstance(o, Item))


def test_mutated_archives(project, image):
    fuzz(project, image, rounds=60, seed=11)


@pytest.mark.soak
def test_mutated_archives_at_length(project, image):
    fuzz(project, image, rounds=5000, seed=random.randrange(2**32))
