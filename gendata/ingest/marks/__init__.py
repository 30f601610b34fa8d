"""AI marks: what in an image or audio file says that a model made it, and what it says of how.

A mark is evidence, not proof: who strips it leaves none. So it only ever lowers trust: a marked item is ``generated``,
and nothing that a file says (a camera's name, a signed "captured") makes it real. What a generator's text says goes to
``meta.gen`` (``gen``), by a module per dialect; a text that no dialect can read is a mark all the same.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gendata.ingest.marks import a1111, blocks, c2pa, comfyui, exif, fooocus, invokeai, novelai, swarmui, tags, xmp
from gendata.ingest.marks.gen import Gen, gen, json_object, short
from gendata.ingest.marks.source_types import AI_SOURCES, last_part

__all__ = ["Marks", "find"]

Mark = dict[str, str]
"""``mark``: where it is, as ``png:parameters``, ``exif:UserComment``, ``xmp:DigitalSourceType``, ``c2pa``; and
``generator`` and ``value`` where they are known."""

_READERS: tuple[Callable[[dict[str, Any] | str, Mapping[str, str]], Gen | None], ...] = (
    a1111.read,
    fooocus.read,
    swarmui.read,
    invokeai.read,
    novelai.read,
    comfyui.read,
)
"""The first that knows a text reads it."""

_NAMED = frozenset(
    {"parameters", "prompt", "workflow", "invokeai_metadata", "invokeai_graph", "invokeai_workflow", "sd-metadata"}
    | {"Dream", "fooocus_scheme"}
)
"""Texts of a PNG that are a mark whatever they hold."""

_SAYS_WHO = ("Software", "Source", "CreatorTool", "Credit", "Make", "Artist", "Author", "Title")
_GENERATORS = re.compile(
    r"(?i)\b(NovelAI|Stable[ -]?Diffusion|ComfyUI|InvokeAI|Midjourney|DALL[·•.-]?E|OpenAI|ChatGPT|GPT-?4o|gpt-image"
    r"|Adobe[ _]Firefly|Fooocus|SwarmUI|SD\.Next|Draw Things|Easy Diffusion|Made with Google AI|Google Generative AI"
    r"|Bing Image Creator|Microsoft Designer|Ideogram|Leonardo\.?AI|Stability ?AI|DreamStudio|NightCafe|Recraft"
    r"|ElevenLabs|Stable Audio|Riffusion|AudioCraft|MusicGen"
    r"|AI[- ]generated)\b"
)
"""Names of programs that do nothing but generate, where a file says which program wrote it."""

_JOB = re.compile(r"\bJob ID: [0-9a-f]{8}-[0-9a-f-]{27}")  # Midjourney's descriptions
_MADE_WITH = re.compile(r"(?im)^\s*made with (suno|udio)\b")  # comments of their downloads
_PREFIX = re.compile(r"(?i)\s*(prompt|workflow|parameters)\s*:\s*(?=\{)")  # ComfyUI in Exif

_IMAGES = frozenset({"png", "jpeg", "webp", "gif", "tiff", "bmp", "x-portable-anymap", "exif", "xmp"})
"""Places of texts in images."""

_MAX_MARKS = 16


@dataclass
class Marks:
    """``found``: the evidence; ``meta``: what else is worth noting, ``gen`` and ``c2pa``."""

    found: list[Mark] = field(default_factory=list)
    meta: dict[str, Any] = field(default_factory=dict)

    def add(self, mark: str, generator: str | None = None, value: str | None = None) -> None:
        """Note a piece of evidence."""
        stated = {"mark": mark, "generator": generator, "value": value}
        if len(self.found) < _MAX_MARKS:
            self.found.append({key: text for key, given in stated.items() if (text := short(given))})

    def learn(self, known: Gen) -> None:
        """Add to ``gen`` what is not known yet."""
        if known:
            self.meta["gen"] = known | self.meta.get("gen", {})


def find(data: bytes, media_type: str) -> Marks:
    """The marks in an image or audio file; none, and no error, where its metadata is broken."""
    kind, _, form = media_type.partition("/")
    there = (tags if kind == "audio" else blocks).read(data, media_type)
    marks = Marks()
    _judge(marks, form, there.texts)
    _judge(marks, "exif", exif.read(there.exif))
    for packet in there.xmp[:_MAX_MARKS]:
        properties = xmp.read(packet)
        _judge(marks, "xmp", properties)
        _judge_xmp(marks, properties)
    if there.c2pa:
        _judge_c2pa(marks, b"".join(there.c2pa))
    return marks


def _judge(marks: Marks, place: str, texts: Mapping[str, str]) -> None:
    """Texts by their names: those of a dialect, those with a name that is a mark, and who says to have written them."""
    for name, text in sorted(texts.items(), key=lambda pair: pair[0] != "parameters"):
        if not text.strip():
            continue
        known = _read(text, texts, plain=place in _IMAGES)
        where = f"{place}:{name}"
        if known is not None:
            marks.add(where, known.get("tool"))
            marks.learn(known)
        elif name in _NAMED and place == "png":
            marks.add(where)
        elif name in _SAYS_WHO and (named := _GENERATORS.search(text[:1000])):
            marks.add(where, named[0])
        elif name == "comment" and (made := _MADE_WITH.search(text)):
            marks.add(where, made[1].capitalize())
            marks.learn(gen(tool=made[1].capitalize()))
        elif _JOB.search(text[:20_000]):
            marks.add(where, "Midjourney")
            marks.learn(gen(tool="Midjourney", prompt=_JOB.split(text)[0]))


def _read(text: str, texts: Mapping[str, str], *, plain: bool) -> Gen | None:
    """What a dialect makes of a text; of one that is no document only if ``plain``: lyrics may look like settings."""
    inner = _PREFIX.sub("", text, count=1) if _PREFIX.match(text) else text
    document = json_object(inner)
    if document is None and not plain:
        return None
    return _first(read(inner if document is None else document, texts) for read in _READERS)


def _first(found: Iterable[Gen | None]) -> Gen | None:
    return next((known for known in found if known is not None), None)


def _judge_xmp(marks: Marks, properties: Mapping[str, str]) -> None:
    source = last_part(properties.get(xmp.SOURCE_TYPE, ""))
    if source in AI_SOURCES:
        marks.add(f"xmp:{xmp.SOURCE_TYPE}", value=source)
    system, prompt = properties.get("AISystemUsed"), properties.get("AIPromptInformation")
    if system or prompt:
        marks.add("xmp:AISystemUsed" if system else "xmp:AIPromptInformation", system)
        marks.learn(gen(tool=system, prompt=prompt))


def _judge_c2pa(marks: Marks, store: bytes) -> None:
    """A manifest is a mark only where it names a source or a program that is one: cameras and editors sign, too."""
    said = c2pa.read(store)
    sources = [one for one in said.source_types if one in AI_SOURCES]
    named = [one for one in said.generators if _GENERATORS.search(one)]
    generator = next(iter(named or said.generators), None)
    if sources or named:
        marks.add("c2pa", generator, next(iter(sources), None))
    else:
        types = [short(one) for one in said.source_types]
        noted = {"generator": short(generator), "source_types": types, "broken": said.broken}
        marks.meta["c2pa"] = {key: value for key, value in noted.items() if value} or {"present": True}
