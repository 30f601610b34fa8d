"""Kind ``pydocs``: CPython's own documentation, on every machine that can run this.

The language reference behind ``help()`` (pydoc_data.topics) and the docstrings of the standard
library, read from the sources with ``ast``: nothing is imported or run. Docstrings of at most 80
characters are no units. Left out: tests, installed packages, build configuration, bundled wheels
(ensurepip), and programs rather than library (idlelib, lib2to3, turtledemo).
"""

import ast
import hashlib
import os
import platform
import sysconfig
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from gendata.errors import ParamsError
from gendata.ingest.reader import Entry, UnitError
from gendata.ingest.settings import IngestParams, SourceParams
from gendata.items import Item, Reject, content_id, encode_uri

KEYS: frozenset[str] = frozenset()

MIN_CHARS = 81
LICENSE = "PSF-2.0"

_TOPICS = "pydoc_data/topics.py"
_SKIPPED = frozenset(
    {
        "__pycache__",
        "dist-packages",
        "ensurepip",
        "idle_test",
        "idlelib",
        "lib-dynload",
        "lib2to3",
        "pydoc_data",
        "site-packages",
        "test",
        "tests",
        "turtledemo",
    }
)
_Node = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def listing(name: str, source: SourceParams, root: Path) -> Iterator[Entry]:
    """One entry: the Python version and the sources of the standard library."""
    digest, size = hashlib.sha256(f"Python {platform.python_version()}\n".encode()), 0
    for path, data in _sources(name):
        digest.update(f"{path} {len(data)}\n".encode())
        digest.update(data)
        size += len(data)
    yield Entry("stdlib", size=size, sha256=digest.hexdigest())


def read(
    name: str, source: SourceParams, root: Path, entries: Sequence[Entry], params: IngestParams, since: str = ""
) -> Iterator[Item | Reject]:
    """Docstrings by file and line, uri ``lib/json/decoder.py!JSONDecoder``; then ``topics/if.txt``."""
    license_ = source.license or LICENSE
    for path, data in _sources(name):
        try:
            tree = _parse(data)
        except UnitError as error:
            yield error.at(encode_uri(f"lib/{path}"))
            continue
        file_sha256 = content_id(data)
        texts = _topics(tree) if path == _TOPICS else _docstrings(tree, path)
        for uri, text, meta in texts:
            yield Item(
                modality="text",
                uri=uri,
                media_type="text/plain",
                text=text,
                file_sha256=file_sha256,
                license=license_,
                meta=meta,
            )


_Text = tuple[str, str, dict[str, str]]
"""uri, text and meta of one item."""


def _sources(name: str) -> Iterator[tuple[str, bytes]]:
    """Relative path and bytes of each source file, in order; the topics last."""
    lib = Path(sysconfig.get_path("stdlib"))
    found = []
    for folder, folders, names in os.walk(lib):
        folders[:] = [f for f in folders if f not in _SKIPPED and not f.startswith("config-")]
        found += [Path(folder, f).relative_to(lib).as_posix() for f in names if f.endswith(".py")]
    paths = sorted(p for p in found if not p.startswith("_sysconfigdata"))
    if not paths:
        raise ParamsError(f"source '{name}' finds no sources of the standard library in {lib}")
    for path in [*paths, _TOPICS]:
        if (lib / path).is_file():
            yield path, (lib / path).read_bytes()


def _parse(data: bytes) -> ast.Module:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)  # odd escapes in other people's sources
            warnings.simplefilter("ignore", DeprecationWarning)
            return ast.parse(data)
    except (SyntaxError, ValueError) as error:
        raise UnitError("invalid-python", str(error)) from None


def _topics(tree: ast.Module) -> Iterator[_Text]:
    """The entries of the literal ``topics = {name: text}``."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "topics":
            for topic, text in sorted(ast.literal_eval(node.value).items()):
                yield f"topics/{encode_uri(topic)}.txt", text, {"kind": "topic", "name": topic}


def _docstrings(tree: ast.Module, path: str) -> Iterator[_Text]:
    module = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    seen: Counter[str] = Counter()  # the same name may be defined twice, under an `if` or by overloading
    for node, name in _definitions(tree, ""):
        seen[name] += 1
        text = ast.get_docstring(node)
        if text is None or len(text) < MIN_CHARS:
            continue
        kind = {ast.Module: "module", ast.ClassDef: "class"}.get(type(node), "function")
        again = f"~{seen[name]}" if seen[name] > 1 else ""
        member = f"!{name}{again}" if name else ""
        yield f"lib/{encode_uri(path)}{member}", text, {"kind": kind, "module": module, "name": name or module}


def _definitions(node: ast.AST, prefix: str) -> Iterator[tuple[_Node, str]]:
    """Everything that can have a docstring, with its qualified name, in the order of the source."""
    if isinstance(node, ast.Module):
        yield node, ""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield child, prefix + child.name
            inner = "." if isinstance(child, ast.ClassDef) else ".<locals>."
            yield from _definitions(child, prefix + child.name + inner)
        else:
            yield from _definitions(child, prefix)
