"""params.yaml to frozen dataclasses, strictly: an unknown key or a wrong type is an error.

A missing key takes the default that stands beside the algorithm; ``gendata`` never guesses.
"""

import copy
import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from gendata.errors import ParamsError

T = TypeVar("T")


def project_above(start: Path) -> Path | None:
    """The nearest folder, at or above ``start``, whose params.yaml has a section ``gendata``: the root of a project."""
    for folder in (start.absolute(), *start.absolute().parents):
        file = folder / "params.yaml"
        if file.is_file() and "gendata" in read(file):
            return folder
    return None


def read(path: Path) -> dict[str, Any]:
    """All sections of a params.yaml as plain Python values. Raises ParamsError."""
    from ruamel.yaml.error import YAMLError

    try:
        value = parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ParamsError(f"{path}: not found") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise ParamsError(f"{path.name}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(value, dict):
        raise ParamsError(f"{path.name}: must be a mapping of sections")
    return value


def parse(text: str) -> Any:
    """A YAML document as plain Python values. Raises ruamel's YAMLError."""
    return copy.deepcopy(_parsed(text))


@lru_cache(maxsize=2)
def _parsed(text: str) -> object:
    # kept, since a command reads the same file many times, and parsing takes a while
    from ruamel.yaml import YAML

    return YAML(typ="safe").load(text)


def load(path: Path, section: str, cls: type[T]) -> T:
    """One section as ``cls``; an absent section gives all defaults."""
    return build(cls, read(path).get(section) or {}, f"{path.name}: {section}")


def build(cls: type[T], value: object, where: str) -> T:
    """A mapping as the dataclass ``cls``. Errors name ``where``, the key and what is allowed."""
    if not isinstance(value, Mapping):
        raise ParamsError(f"{where}: must be a mapping, not {value!r}")
    hints = get_type_hints(cls)
    known = {f.name: f for f in fields(cast(Any, cls))}
    for key in value:
        if key not in known:
            raise ParamsError(f"{where}: unknown key {key!r}; allowed: {', '.join(known)}")
    for name, f in known.items():
        if name not in value and f.default is MISSING and f.default_factory is MISSING:
            raise ParamsError(f"{where}: {name} is missing; it must be {_describe(hints[name])}")
    try:
        return cls(**{key: _convert(hints[key], item, f"{where}.{key}") for key, item in value.items()})
    except ValueError as error:  # a __post_init__ that checks a range
        raise ParamsError(f"{where}: {error}") from None


def _convert(hint: Any, value: Any, where: str) -> Any:
    if is_dataclass(hint):
        return build(cast(type, hint), value, where)
    origin, args = get_origin(hint), get_args(hint)
    if origin in {Union, types.UnionType}:
        if value is None and type(None) in args:
            return None
        some = [a for a in args if a is not type(None)]
        return _convert(next((a for a in some if is_dataclass(a) == isinstance(value, Mapping)), some[0]), value, where)
    if origin is Literal and value in args and type(value) is not bool:
        return value
    if origin is dict and isinstance(value, Mapping):
        return {str(k): _convert(args[1], v, f"{where}.{k}") for k, v in value.items()}
    if origin in {list, tuple} and isinstance(value, list):
        items = [_convert(args[0], v, f"{where}[{i}]") for i, v in enumerate(value)]
        return tuple(items) if origin is tuple else items
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint is Any or (isinstance(hint, type) and type(value) is hint):
        return value
    raise ParamsError(f"{where}: must be {_describe(hint)}, not {value!r}")


def _describe(hint: Any) -> str:
    origin, args = get_origin(hint), get_args(hint)
    if origin is Literal:
        return "one of " + ", ".join(str(a) for a in args)
    if origin in {Union, types.UnionType}:
        return " or ".join("null" if a is type(None) else _describe(a) for a in args)
    if is_dataclass(hint) or origin is dict or hint is dict:
        return "a mapping"
    if origin in {list, tuple}:
        return f"a list, each {_describe(args[0])}"
    names = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}
    return names.get(hint, str(hint))
