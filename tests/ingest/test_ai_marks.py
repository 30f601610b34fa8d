"""AI marks in image files: found wherever they are, they lower the origin, and nothing raises it."""

import base64
import io
import json
import random
import struct
import time
import tracemalloc
import zlib

import cbor2
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from gendata.ingest import SourceParams
from gendata.ingest.marks import c2pa, find, xmp
from gendata.items import canonical_json

TRAINED = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
CAPTURED = "http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture"
PARAMETERS = b"a castle\nSteps: 20, Sampler: Euler, Seed: 7, Model: sdxl"


def chunk(kind, body):
    return len(body).to_bytes(4) + kind + body + zlib.crc32(kind + body).to_bytes(4)


def encoded(form, **options):
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), (9, 80, 200)).save(buffer, form, **options)
    return buffer.getvalue()


def with_chunks(*chunks):
    """A PNG with these (kind, body) before its pixels."""
    plain = encoded("PNG")
    return plain[:33] + b"".join(chunk(kind, body) for kind, body in chunks) + plain[33:]


def with_segments(*segments):
    """A JPEG with these (marker, body) at its beginning."""
    plain = encoded("JPEG")
    return plain[:2] + b"".join(struct.pack(">BBH", 255, m, len(b) + 2) + b for m, b in segments) + plain[2:]


def with_riff(*chunks):
    """An extended WebP with these chunks."""
    plain = encoded("WEBP")
    canvas = b"VP8X" + struct.pack("<I", 10) + bytes([0x04, 0, 0, 0]) + (7).to_bytes(3, "little") * 2
    added = b"".join(k + struct.pack("<I", len(b)) + b + b"\0" * (len(b) % 2) for k, b in chunks)
    body = b"WEBP" + canvas + plain[12:] + added
    return b"RIFF" + struct.pack("<I", len(body)) + body


def with_extension(name, body):
    """A GIF with this application extension before its picture."""
    plain = encoded("GIF")
    at = 13 + (3 << (plain[10] & 7) + 1 if plain[10] & 0x80 else 0)
    return plain[:at] + b"!\xff\x0b" + name + body + plain[at:]


def sub_blocks(content):
    parts = [content[at : at + 255] for at in range(0, len(content), 255)]
    return b"".join(bytes([len(part)]) + part for part in parts) + b"\0"


def with_tag(tag, kind, value, **options):
    """A TIFF with this tag."""
    info = ImageFileDirectory_v2()
    info[tag], info.tagtype[tag] = value, kind
    return encoded("TIFF", tiffinfo=info, **options)


def second_directory(first, tag, value):
    """A TIFF with one more directory at its end, of one tag."""
    at = int.from_bytes(first[4:8], "little")
    next_ = at + 2 + 12 * int.from_bytes(first[at : at + 2], "little")
    padded = first + b"\0" * (len(first) % 2)
    entry = struct.pack("<HHHIII", 1, tag, 7, len(value), len(padded) + 18, 0)
    return padded[:next_] + struct.pack("<I", len(padded)) + padded[next_ + 4 :] + entry + value


def packet(inner, attributes=""):
    return (
        '<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
        'xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" xmlns:xmp="http://ns.adobe.com/xap/1.0/" '
        f'xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/" {attributes}>{inner}</rdf:Description></rdf:RDF>'
        '</x:xmpmeta><?xpacket end="w"?>'
    ).encode()


def box(kind, content):
    return (len(content) + 8).to_bytes(4) + kind + content


def superbox(label, *boxes):
    return box(b"jumb", box(b"jumd", bytes(16) + b"\3" + label + b"\0") + b"".join(boxes))


def manifests(action, generator="Leica M11", agent=None, kind=b"cbor"):
    """A manifest store with one action, as C2PA writes it, and with a claim."""
    actions = {"actions": [{"action": "c2pa.created", "digitalSourceType": action, "softwareAgent": agent}]}
    encode = cbor2.dumps if kind == b"cbor" else lambda value: json.dumps(value).encode()
    claim = superbox(b"c2pa.claim", box(kind, encode({"claim_generator_info": [{"name": generator}]})))
    assertion = superbox(b"c2pa.actions.v2", box(kind, encode(actions)))
    signature = superbox(b"c2pa.signature", box(b"cbor", cbor2.dumps(cbor2.CBORTag(18, [b"", {}, None, b"sig"]))))
    store = superbox(b"c2pa.assertions", assertion, superbox(b"c2pa.thumbnail", box(b"bidb", b"\xff\xd8" * 500)))
    return superbox(b"c2pa", superbox(b"urn:c2pa:1", store, claim, signature))


def app11(store, size=400):
    """The segments of a store (ISO 19566-5, D.2): each repeats the header of the box."""
    parts = [store[8:][at : at + size] for at in range(0, len(store) - 8, size)]
    return [(0xEB, b"JP\0\1" + n.to_bytes(4) + store[:8] + part) for n, part in enumerate(parts, 1)]


XMP = packet("", f'Iptc4xmpExt:DigitalSourceType="{TRAINED}"')
STORE = manifests(TRAINED, "Adobe Firefly")
XMP_MARK = {"mark": "xmp:DigitalSourceType", "value": "trainedAlgorithmicMedia"}
C2PA_MARK = {"mark": "c2pa", "generator": "Adobe Firefly", "value": "trainedAlgorithmicMedia"}
PARAMETERS_MARK = {"mark": "png:parameters", "generator": "AUTOMATIC1111"}

MARKED = {
    "tEXt.png": (with_chunks((b"tEXt", b"parameters\0" + PARAMETERS)), PARAMETERS_MARK),
    "zTXt.png": (with_chunks((b"zTXt", b"parameters\0\0" + zlib.compress(PARAMETERS))), PARAMETERS_MARK),
    "iTXt.png": (with_chunks((b"iTXt", b"parameters\0\0\0en\0\0" + PARAMETERS)), PARAMETERS_MARK),
    "packed.png": (with_chunks((b"iTXt", b"parameters\0\1\0\0\0" + zlib.compress(PARAMETERS))), PARAMETERS_MARK),
    "broken.png": (with_chunks((b"tEXt", b'prompt\0{"3": {"class_type": ')), {"mark": "png:prompt"}),
    "xmp.png": (with_chunks((b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP)), XMP_MARK),
    "xmp.jpg": (with_segments((0xE1, b"http://ns.adobe.com/xap/1.0/\0" + XMP)), XMP_MARK),
    "xmp.webp": (with_riff((b"XMP ", XMP)), XMP_MARK),
    "c2pa.png": (with_chunks((b"caBX", STORE)), C2PA_MARK),
    "c2pa.jpg": (with_segments(*app11(STORE)), C2PA_MARK),
    "c2pa.webp": (with_riff((b"C2PA", STORE)), C2PA_MARK),
    "xmp.gif": (with_extension(b"XMP DataXMP", XMP + b"\1" + bytes(range(255, -1, -1)) + b"\0"), XMP_MARK),
    "c2pa.gif": (with_extension(b"C2PA_GIF\1\0\0", sub_blocks(STORE)), C2PA_MARK),
    "xmp.tif": (with_tag(700, 1, XMP), XMP_MARK),
    "c2pa.tif": (with_tag(52545, 7, STORE), C2PA_MARK),
    "software.tif": (with_tag(305, 2, "ComfyUI"), {"mark": "exif:Software", "generator": "ComfyUI"}),
    "software.png": (with_chunks((b"tEXt", b"Software\0NovelAI")), {"mark": "png:Software", "generator": "NovelAI"}),
    "tool.jpg": (
        with_segments((0xE1, b"http://ns.adobe.com/xap/1.0/\0" + packet("", 'xmp:CreatorTool="Adobe Firefly"'))),
        {"mark": "xmp:CreatorTool", "generator": "Adobe Firefly"},
    ),
}


@pytest.fixture
def data(project):
    (project / "data").mkdir()
    return project / "data"


@pytest.fixture
def marked(data):
    for name, (content, _) in MARKED.items():
        (data / name).write_bytes(content)
    return data


@pytest.mark.parametrize("origin", ["unknown", "generated"])
def test_a_marked_file_is_generated_and_keeps_the_evidence(marked, run, origin):
    items = run(SourceParams("folder", origin, "data")).items
    assert {i["uri"]: i["origin"] for i in items} == dict.fromkeys(MARKED, "generated")
    assert {i["uri"]: json.loads(i["meta"])["ai"] for i in items} == {n: [mark] for n, (_, mark) in MARKED.items()}


def test_declared_real_it_is_quarantined_with_the_mark_and_what_to_do(marked, run):
    (marked / "photo.png").write_bytes(encoded("PNG"))
    result = run(SourceParams("folder", "real", "data"))
    assert result.reasons() == dict.fromkeys(MARKED, "origin-conflict")
    assert [(i["uri"], i["origin"], i["meta"]) for i in result.items] == [("photo.png", "real", "{}")]
    details = {r["uri"]: r["detail"] for r in result.rejects}
    assert details["c2pa.jpg"] == (
        "declared real, but the file has an AI mark, c2pa (Adobe Firefly): declare it generated or unknown, "
        "or take it out; `marks: ignore` at the source where the mark is wrong"
    )


def test_a_source_may_say_that_its_marks_are_wrong(marked, run):
    for origin in ("real", "unknown", "generated"):
        items = run(SourceParams("folder", origin, "data", marks="ignore")).items
        assert {i["origin"] for i in items} == {origin}
        assert all(json.loads(i["meta"])["ai"] for i in items)


def test_rows_of_tables_follow_the_same_rule(marked, run, project):
    names = sorted(MARKED)
    stated = ["real", "unknown", "generated", None]
    pq.write_table(
        pa.table({"image": [MARKED[n][0] for n in names], "ai": ["a column"] * len(names)}), marked / "t.parquet"
    )
    (marked / "p.jsonl").write_text(
        "".join(json.dumps({"image": n, "origin": o}) + "\n" for n in names for o in stated)
    )
    result = run(SourceParams("table", "real", "data/t.parquet"))
    assert set(result.reasons().values()) == {"origin-conflict"}
    assert len(result.rejects) == len(names)
    for item in run(SourceParams("table", "unknown", "data/t.parquet")).items:
        assert item["origin"] == "generated"
        assert json.loads(item["meta"])["ai_"] == "a column"
        assert json.loads(item["meta"])["ai"] == [MARKED[names[int(item["uri"].partition("#")[2]) - 1]][1]]
    for origin, read in (("real", {"unknown", "generated"}), (None, {"unknown", "generated"}), ("unknown", {*stated})):
        result = run(SourceParams("table", origin, "data/p.jsonl"))
        rows = [stated[int(i["uri"].partition("#")[2]) - 1 & 3] for i in result.items]
        assert set(rows) == read
        assert {i["origin"] for i in result.items} == {"generated"}


@pytest.mark.parametrize(
    "content",
    [
        with_chunks((b"caBX", manifests(CAPTURED))),
        with_segments(
            (0xE1, b"http://ns.adobe.com/xap/1.0/\0" + packet("", f'Iptc4xmpExt:DigitalSourceType="{CAPTURED}"'))
        ),
        with_chunks((b"tEXt", b"Software\0Adobe Photoshop 26.1"), (b"tEXt", b"Comment\0Steps to the castle: 20")),
        with_chunks((b"tEXt", b"Description\0A talk on Stable Diffusion and how to prompt it")),
        with_chunks((b"tEXt", b"parameters\0 ")),
    ],
)
def test_what_is_no_mark_changes_no_origin(data, run, content):
    name = "a.jpg" if content[:2] == b"\xff\xd8" else "a.png"
    (data / name).write_bytes(content)
    for origin in ("real", "unknown", "generated"):
        item = run(SourceParams("folder", origin, "data")).item(name)
        assert item["origin"] == origin  # that a camera signs it promotes nothing
        assert "ai" not in json.loads(item["meta"])


def test_a_manifest_that_is_no_mark_is_noted():
    found = find(with_chunks((b"caBX", manifests(CAPTURED))), "image/png")
    assert found.meta == {"c2pa": {"generator": "Leica M11", "source_types": ["digitalCapture"]}}
    assert find(with_chunks((b"caBX", manifests(None, ""))), "image/png").meta == {"c2pa": {"present": True}}


@pytest.mark.parametrize(
    "written",
    [
        packet(f"<Iptc4xmpExt:DigitalSourceType>{TRAINED}</Iptc4xmpExt:DigitalSourceType>"),
        packet(f'<Iptc4xmpExt:DigitalSourceType rdf:resource="{TRAINED}"/>'),
        packet(f"<Iptc4xmpExt:DigitalSourceType>\n {TRAINED}/ </Iptc4xmpExt:DigitalSourceType>"),
        packet("", f'Iptc4xmpExt:DigitalSourceType="{TRAINED.replace("t", "&#116;")}"'),
        packet("", 'Iptc4xmpExt:DigitalSourceType="trainedAlgorithmicMedia"'),
        packet("", f'Iptc4xmpExt:DigitalSourceType="{TRAINED}"').decode().encode("utf-16"),
        packet(f"<Iptc4xmpExt:DigitalSourceType>{TRAINED}</Iptc4xmpExt:")[:-40],  # broken: its bytes are looked at
    ],
)
def test_xmp_however_it_is_written(written):
    found = find(with_riff((b"XMP ", written)), "image/webp")
    assert found.found == [XMP_MARK]


def test_iptc_properties_of_ai():
    inner = (
        "<Iptc4xmpExt:AISystemUsed>Imager 3</Iptc4xmpExt:AISystemUsed>"
        "<Iptc4xmpExt:AIPromptInformation><rdf:Alt><rdf:li xml:lang='x-default'>a castle</rdf:li></rdf:Alt>"
        "</Iptc4xmpExt:AIPromptInformation>"
    )
    found = find(with_riff((b"XMP ", packet(inner))), "image/webp")
    assert found.found == [{"mark": "xmp:AISystemUsed", "generator": "Imager 3"}]
    assert found.meta["gen"] == {"tool": "Imager 3", "prompt": "a castle"}


@pytest.mark.filterwarnings("ignore")  # as ingest does
def test_manifests_of_tiff_in_any_directory_and_in_bigtiff():
    plain = with_tag(305, 2, "Leica")
    assert find(second_directory(plain, 52545, STORE), "image/tiff").found == [C2PA_MARK]
    assert find(with_tag(52545, 7, STORE, big_tiff=True), "image/tiff").found == [C2PA_MARK]
    many = struct.pack("<2sHIH", b"II", 42, 8, 60_000) + struct.pack("<HHII", 700, 7, 700_000, 8) * 60_000
    tracemalloc.start()
    find(many, "image/tiff")
    assert tracemalloc.get_traced_memory()[1] < 20 * len(many)
    tracemalloc.stop()


def test_entities_are_never_expanded():
    laughs = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10 if i else "lol" * 100}">' for i in range(12))
    bomb = f'<!DOCTYPE x [{laughs}]><x xmlns:x="y" x:CreatorTool="&l11;">&l11;</x>'.encode()
    start = time.perf_counter()
    assert xmp.read(bomb) == {}
    assert xmp.read(b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><CreatorTool>&e;</CreatorTool>') == {}
    assert time.perf_counter() - start < 1


@pytest.mark.parametrize("kind", [b"cbor", b"json"])
def test_c2pa_by_action_agent_and_ingredient(kind):
    agent = manifests(CAPTURED, "Adobe Photoshop", {"name": "Adobe Firefly"}, kind)
    assert find(with_chunks((b"caBX", agent)), "image/png").found == [{"mark": "c2pa", "generator": "Adobe Firefly"}]
    both = superbox(
        b"c2pa", *(m[8 + len(box(b"jumd", bytes(16) + b"\3c2pa\0")) :] for m in (STORE, manifests(CAPTURED)))
    )
    assert find(with_chunks((b"caBX", both)), "image/png").found == [C2PA_MARK]


def test_a_broken_manifest_is_a_mark_where_its_bytes_say_so():
    cut = STORE[: STORE.index(b"c2pa.thumbnail") + 40]
    assert c2pa.read(cut).broken
    assert find(with_chunks((b"caBX", cut)), "image/png").found == [
        {"mark": "c2pa", "value": "trainedAlgorithmicMedia"}
    ]
    junk = find(with_chunks((b"caBX", b"\0\0\0\x20jumbjunk")), "image/png")
    assert (junk.found, junk.meta) == ([], {"c2pa": {"broken": True}})


HOSTILE_CBOR = {
    "depth": b"\x81" * 100_000 + b"\0",
    "bytes": b"\x5b\x7f\xff\xff\xff\xff\xff\xff\xffx",
    "array": b"\x9a\x7f\xff\xff\xff",
    "power": b"\xc5\x82\x1b\x7f\xff\xff\xff\xff\xff\xff\xff\1",
    "cycle": b"\xd8\x1c\x81\xd8\x1d\0",
    "pattern": b"\xd8\x23\x78\x10(a+)+(a+)+(a+)+$",
    "keys": b"\xa1\x81\0\0",
}


@pytest.mark.parametrize("content", HOSTILE_CBOR.values(), ids=HOSTILE_CBOR)
def test_hostile_cbor_is_bounded(content):
    start = time.perf_counter()
    found = c2pa.read(superbox(b"c2pa", box(b"cbor", content)))
    assert (found.generators, found.source_types) == ([], [])
    assert time.perf_counter() - start < 2


def test_boxes_in_boxes_without_end():
    nested = b""
    for _ in range(2000):
        nested = box(b"jumb", nested)
    assert c2pa.read(nested).broken


def limited(text):
    """What is found in a PNG with such a text: the mark, in time and within bounds."""
    start = time.perf_counter()
    found = find(with_chunks((b"tEXt", text)), "image/png")
    assert time.perf_counter() - start < 3
    assert found.found[0]["mark"].startswith("png:")
    assert len(canonical_json(found.meta).encode()) < 300_000
    return found.meta.get("gen")


def test_hostile_graphs():
    sampler = {"seed": 1, "positive": ["2", 0], "negative": ["2", 0], "model": ["1", 0]}
    cycle = {
        "1": {"class_type": "KSampler", "inputs": sampler},
        "2": {"class_type": "Text", "inputs": {"text": ["2", 0], "conditioning": ["1", 0], "other": ["2", 1]}},
    }
    assert limited(b"prompt\0" + json.dumps(cycle).encode())["seed"] == 1
    chain = {str(i): {"class_type": "Save", "inputs": {"a": [str(i + 1), 0], "text": "x" * 50}} for i in range(9000)}
    chain["9000"] = {"class_type": "KSampler", "inputs": sampler | {"positive": ["0", 0]}}
    assert limited(b"prompt\0" + json.dumps(chain).encode())["seed"] == 1
    assert limited(b"prompt\0" + b'{"a":' * 200_000) is None
    assert limited(b"prompt\0" + b'{"a": ' + b"9" * 10_000 + b"}") is None
    odd = {
        "1": {"class_type": "KSampler", "inputs": {k: float("nan") for k in ("seed", "positive", "negative", "model")}}
    }
    assert limited(b"prompt\0" + json.dumps(odd).encode()) == {"tool": "ComfyUI"}


def test_hostile_parameters():
    assert limited(b"parameters\0" + b"word " * 400_000) is None
    for line in (b"k: {[" * 50_000, b'k: "' * 50_000, b"a b " * 50_000, b"<lora:" * 50_000, b"Steps: 1\n" * 50_000):
        assert limited(b"parameters\0" + line + b"\nSteps: 1, " + line)["steps"] == 1
    surrogate = json.dumps(
        {"base_model": "m", "seed": 2**80, "prompt": "\ud800\0x", "k": 1e400, "\ud800": [[[[[[[[[[1]]]]]]]]]]}
    )
    found = limited(b"parameters\0" + surrogate.encode())
    assert found["prompt"] == "?x"
    assert "seed" not in found


def test_texts_that_unpack_to_much_are_cut_before():
    bomb = with_chunks((b"zTXt", b"parameters\0\0" + zlib.compress(PARAMETERS + b" " * (1 << 26), 9)))
    assert len(bomb) < 1 << 17
    start = time.perf_counter()
    assert find(bomb, "image/png").meta["gen"]["seed"] == 7
    assert time.perf_counter() - start < 2


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)
KEYS = st.sampled_from(
    "class_type inputs seed text positive negative model loras image prompt Comment base_model sui_image_params nodes "
    "links positive_prompt uc scale sampler lora_name resolution loraweights app_id guider sigmas noise steps".split()
)


NODES = st.fixed_dictionaries({"class_type": st.just("KSampler"), "inputs": st.dictionaries(KEYS, json_values)})
DOCUMENTS = st.dictionaries(KEYS | st.text(max_size=3), json_values, max_size=8)


@given(DOCUMENTS | st.dictionaries(st.text(max_size=2), NODES))
def test_any_json_under_the_name_of_a_generator_is_a_mark_and_can_be_written(document):
    for key in ("parameters", "prompt", "invokeai_metadata", "workflow", "sd-metadata"):
        written = key.encode() + b"\0" + json.dumps(document).encode()
        found = find(with_chunks((b"tEXt", written)), "image/png")
        assert found.found[0]["mark"] == f"png:{key}"
        meta = json.loads(canonical_json(found.meta).encode().decode())
        assert all(isinstance(meta["gen"].get(name, 0), int) for name in ("seed", "steps")) if "gen" in meta else True


@given(st.text(max_size=300))
def test_any_text_is_a_mark_and_can_be_written(text):
    found = find(with_chunks((b"tEXt", b"parameters\0" + f"x {text}\nSteps: 1, {text}".encode())), "image/png")
    assert found.found
    canonical_json(found.meta).encode()


def fuzz(rounds, seed):
    from .test_fuzz import mutate

    rng = random.Random(seed)
    start = time.perf_counter()
    for name, (content, _) in MARKED.items():
        kind = {"png": "png", "jpg": "jpeg", "ebp": "webp", "gif": "gif", "tif": "tiff"}[name[-3:]]
        for _ in range(rounds):
            mutated = mutate(rng, content)
            try:
                found = find(mutated, f"image/{kind}")
                canonical_json([found.meta, found.found]).encode()
            except Exception as error:
                raise AssertionError(f"{name} {base64.b64encode(mutated)!r}") from error
    assert time.perf_counter() - start < 0.05 * rounds * len(MARKED)


@pytest.mark.filterwarnings("ignore")  # as ingest does
def test_mutated_files():
    fuzz(rounds=150, seed=11)


@pytest.mark.soak
@pytest.mark.filterwarnings("ignore")
def test_mutated_files_at_length():
    fuzz(rounds=20_000, seed=random.randrange(2**32))
