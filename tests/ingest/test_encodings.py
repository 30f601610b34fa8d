"""Encodings of texts: the oracle are Python's codecs."""

import codecs
import gzip
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gendata.ingest import IngestParams, SourceParams
from gendata.ingest.formats.encodings import decode
from gendata.ingest.reader import UnitError

ENCODINGS = {
    "ru": "cp1251 koi8_r cp866 iso8859_5 mac_cyrillic cp855",
    "uk": "cp1251 koi8_u cp1125 mac_cyrillic iso8859_5",
    "ar": "cp1256 iso8859_6 cp864 cp720",
    "he": "cp1255 iso8859_8 cp862",
    "tr": "cp1254 iso8859_9 cp857 mac_turkish",
    "pl": "cp1250 iso8859_2 cp852 mac_latin2 iso8859_16",
    "ja": "shift_jis cp932 euc_jp iso2022_jp euc_jis_2004 shift_jis_2004",
    "zh": "gb2312 gbk gb18030 hz big5 big5hkscs cp950",
    "ko": "euc_kr cp949 johab iso2022_kr",
    "de": "cp1252 iso8859_1 iso8859_15 cp850 cp437 mac_roman cp500 cp037 cp273",
    "fr": "cp1252 iso8859_1 iso8859_15 cp850 mac_roman cp863",
    "pt": "cp1252 iso8859_1 cp860 cp850",
    "sv": "cp1252 iso8859_1 cp865 cp850 mac_iceland iso8859_10",
    "fi": "cp1252 iso8859_1 iso8859_4 iso8859_13 cp850 cp1257 cp775",
    "en": "utf_8 utf_8_sig utf_16 utf_16_le utf_16_be utf_32 utf_32_le utf_32_be",
}
"""62 encodings, each with a language that it was made for."""


def outcome(data):
    try:
        return decode(data)
    except UnitError as error:
        return error.reason


def in_encoding(text, encoding):
    """The text without the few characters that the encoding lacks, None if they are many."""
    kept = "".join(c for c in text if c.encode(encoding, "ignore"))
    return kept if len(kept) > 0.9 * len(text) else None


def test_texts_of_many_languages_and_encodings(eval_data):
    rng, right, total = random.Random(1), Counter(), Counter()
    for language, encodings in ENCODINGS.items():
        lines = (eval_data / "langid_20" / f"{language}.txt").read_text(encoding="utf-8").splitlines()
        for encoding in encodings.split():
            for _ in range(4):
                at = rng.randrange(len(lines) - 8)
                text = in_encoding("\n".join(lines[at : at + 8]), encoding)
                if text is not None:
                    total[encoding] += 1
                    right[encoding] += getattr(outcome(text.encode(encoding)), "text", None) == text
    assert len(total) >= 60
    assert right.total() >= 0.97 * total.total(), total - right
    assert not [encoding for encoding in total if right[encoding] == 0]


SENTENCES = {
    "cp1251": "Съешь ещё этих мягких французских булок, да выпей же чаю.",
    "koi8-r": "Съешь ещё этих мягких французских булок, да выпей же чаю.",
    "cp1253": "Η γρήγορη καφέ αλεπού πηδάει πάνω από τον τεμπέλη σκύλο.",
    "cp1252": "Der größte Teil der Gäste hörte die Übung für das Fest “früher” schon.",
    "cp1255": "איך בולפים את החתולים האלה שוב ושוב בכל בוקר",
    "shift_jis": "これは日本語で書かれた短い文章です。",
    "gb18030": "这是一段用中文写的短文字，用来测试编码。",
    "big5": "這是一段用中文寫的短文字，用來測試編碼。",
    "euc_kr": "이것은 한국어로 쓴 짧은 글입니다.",
    "iso2022_jp": "これは日本語で書かれた短い文章です。",
    "hz": "这是一段用中文写的短文字，用来测试编码。",
    "utf-16-le": "The quick brown fox jumps over the lazy dog.",
    "utf-16-be": "Съешь ещё этих мягких французских булок, да выпей же чаю.",
    "utf-32-le": "The quick brown fox jumps over the lazy dog.",
}


@pytest.mark.parametrize("encoding", SENTENCES)
def test_a_sentence(encoding):
    found = decode(SENTENCES[encoding].encode(encoding))
    assert found.text == SENTENCES[encoding]
    assert SENTENCES[encoding].encode(found.encoding) == SENTENCES[encoding].encode(encoding)


@given(st.text(st.characters(exclude_categories=["Cs"])).filter(lambda t: not t.startswith("\ufeff")))
def test_utf8_is_exact(text):
    if text.isascii() and ("\0" in text or "\x1b" in text or "~{" in text):
        return  # may be another encoding of seven bits
    assert decode(text.encode()) == (text, None)


@given(st.text(st.characters(exclude_categories=["Cc", "Cn", "Co", "Cs"])))
def test_a_mark_is_no_text(text):
    for mark, encoding, name in (
        (codecs.BOM_UTF8, "utf-8", "utf-8-sig"),
        (codecs.BOM_UTF16_LE, "utf-16-le", "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16-be", "utf-16"),
        (codecs.BOM_UTF32_BE, "utf-32-be", "utf-32"),
    ):
        assert decode(mark + text.encode(encoding)) == (text, name)


BROKEN = {
    "cut": "naïve café".encode()[:-1],
    "cut in a long text": ("ордынский текст " * 50).encode()[:-17],
    "surrogates": b"ab\xed\xa0\x80 and more text",
    "one bad byte": "größer, größer, größer".encode() + b"\xff" + "größer".encode(),
    "mixed": ("größer " * 20).encode() + "größer".encode("latin-1"),
    "too long a sequence": "größer größer größer größer".encode() + b"\xc0\xaf",
    "after a mark": codecs.BOM_UTF8 + b"caf\xe9",
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_utf8_is_no_other_encoding(name):
    assert outcome(BROKEN[name]) == "invalid-utf8"


def test_binary_files_are_no_texts(image):
    rng = random.Random(4)
    noise = [rng.randbytes(n) for n in (60, 100, 1000, 100_000) for _ in range(25)]
    files = [
        image("PNG"),
        image("JPEG"),
        gzip.compress(b"some text" * 99, mtime=0),
        bytes(range(256)),
        b"\x7fELF\xff\x00" * 9,
    ]
    broken = [
        codecs.BOM_UTF16_LE + rng.randbytes(1001),
        codecs.BOM_UTF32_LE + b"\xff" * 8,
        codecs.BOM_UTF16_LE + b"\0\0\1\0",
    ]
    found = Counter(outcome(data) if isinstance(outcome(data), str) else "text" for data in noise + files + broken)
    assert found["text"] <= 1  # of 60 bytes, by chance
    assert set(found) <= {"invalid-utf8", "unknown-encoding", "text"}
    assert found["unknown-encoding"] > 100


@given(
    st.binary(max_size=300),
    st.sampled_from([b"", codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF32_BE, b"\x1b$B"]),
)
def test_any_bytes_are_a_text_or_a_reject(data, start):
    found = outcome(start + data)
    if isinstance(found, str):
        assert found in {"invalid-utf8", "unknown-encoding"}
    else:
        assert (start + data).decode(found.encoding or "utf-8") == found.text


def test_few_bytes_are_no_evidence():
    assert outcome("é".encode("latin-1")) == outcome("caf\xe9".encode("latin-1")) == "unknown-encoding"


def test_what_stands_late_in_a_large_file_is_seen():
    ascii_, text = b"An ordinary line of a long log.\n" * 30_000, "Der größte Teil der Gäste hörte die Übung.\n" * 200
    found = decode(ascii_ + text.encode("cp1252"))
    assert found.text == ascii_.decode() + text
    assert outcome(text.encode("cp1252") + b"An ordinary line.\n" * 30_000 + b"\0\1\2") == "unknown-encoding"


def test_ascii_with_odd_signs_stays_as_it_is():
    for data in (b"nul \0 in a line", b"\x1b[31mred\x1b[0m", b"\x1b(B plain", b"f(~{x}) + ~{", b"a+AOk-b", b"a\0b\0c"):
        assert decode(data) == (data.decode(), None)


def test_the_encoding_is_noted(project, run, image):
    (project / "data").mkdir()
    sentence = SENTENCES["cp1251"]
    (project / "data/a.txt").write_bytes(sentence.encode("cp1251"))
    (project / "data/b.png").write_bytes(image())
    (project / "data/b.txt").write_bytes(sentence.encode("koi8_r"))
    (project / "data/c.md").write_bytes(sentence.encode())
    result = run(SourceParams("folder", "real", "data"), IngestParams(workers=1))
    assert {row["uri"]: row["text"] for row in result.items} == dict.fromkeys(("a.txt", "b.png", "c.md"), sentence)
    assert {row["uri"]: row["meta"] for row in result.items} == {
        "a.txt": '{"encoding":"cp1251"}',
        "b.png": "{}",
        "c.md": "{}",
    }
    assert len({row["id"] for row in result.items if row["modality"] == "text"}) == 1  # the same text
