"""JSON: a value per line (.jsonl), or one list of values, or one value, or a value per line all the same (.json).

A .json is read by the standard library's scanner as it comes, a value at a time: the kept library for JSON as a stream,
ijson, builds a path per level, and took 23 GB for 100 kB of brackets.
"""

import codecs
import json
import re
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any, BinaryIO

import orjson

from gendata.ingest.reader import UnitError
from gendata.ingest.records.lines import Lines, Part
from gendata.ingest.settings import IngestParams

VALUE = "value"
"""The column of a value of a .json that is no object."""

_SURROGATE = re.compile(r"\\u[dD][89abAB]|\\u[dD][c-fC-F]")
_SPACE = frozenset(" \t\n\r")
_CHUNK = 1 << 16  # bytes, and from then on as many as are held already
_TAIL = 16  # characters at the end of what is held in which an error may come from its end


def lines(
    file: BinaryIO, params: IngestParams, part: Part | None = None
) -> Iterator[tuple[int, dict[str, Any] | UnitError]]:
    """A record per line, of all or of a part."""
    file.seek(0 if part is None else part.start)
    if part is not None and part.size <= params.max_record_bytes:  # no line is too large
        yield from _split(file.read(part.size), part)
        return
    found = Lines(file, params.max_record_bytes)
    for number in count(1) if part is None else part.numbers:
        try:
            line = next(found)
            if not line.isspace():
                yield number, _json_object(line)
        except StopIteration:
            return
        except UnitError as error:
            yield number, error


def _split(data: bytes, part: Part) -> Iterator[tuple[int, dict[str, Any] | UnitError]]:
    """As ``lines``, of a part that is in memory."""
    found = data.removeprefix(codecs.BOM_UTF8 if part.start == 0 else b"").split(b"\n")
    for left, number, line in zip(range(len(found) - 1, -1, -1), part.numbers, found, strict=False):
        if line and not line.isspace():
            try:
                yield number, _json_object(line, b"\n" if left else b"")
            except UnitError as error:
                yield number, error


def _json_object(line: bytes, ending: bytes = b"") -> dict[str, Any]:
    value = parse_json(line, ending)
    if not isinstance(value, dict):
        raise UnitError("invalid-row", "the line is valid JSON, but not an object")
    return value


def parse_json(line: bytes, ending: bytes = b"") -> Any:
    """A value that can be written as UTF-8 again. Raises UnitError, which counts lines with the one's ``ending``."""
    if len(line) > _QUICK:
        return _parse_json(line + ending)
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError:
        return _parse_json(line + ending)
    return value if _is_exact(value) else _parse_json(line + ending)


_QUICK = 1 << 20  # bytes, of which orjson may need 16 times as much
_EXACT, _DEPTH = 2.0**63, 300


def _is_exact(value: Any) -> bool:
    """Whether the standard library reads the same: orjson makes floats of integers beyond 64 bits.

    Raises UnitError far beyond the depth of what is kept: where the library gives up depends on who calls it.
    """
    level = [value]
    for _ in range(_DEPTH):
        deeper: list[Any] = []
        for one in level:
            if type(one) is float:
                if not -_EXACT < one < _EXACT:
                    return False
            elif type(one) is dict or type(one) is list:
                inner = one.values() if type(one) is dict else one
                deeper += [each for each in inner if type(each) in _LOOKED_AT]
        if not deeper:
            return True
        level = deeper
    raise UnitError("invalid-json", "nested too deeply")


_LOOKED_AT = frozenset({dict, list, float})


def _parse_json(line: bytes) -> Any:
    """The same by the standard library, which says what is wrong, and where."""
    try:
        text = line.decode()
    except UnicodeDecodeError as error:
        raise UnitError("invalid-utf8", f"byte {error.start}: {error.reason}") from None
    return _parsed(lambda: json.loads(text, parse_constant=_refuse_constant), text)


def _parsed(parse: Callable[[], Any], text: str) -> Any:
    """What ``parse`` makes of ``text``."""
    try:
        value = parse()
    except RecursionError:
        raise UnitError("invalid-json", "nested too deeply") from None
    except ValueError as error:
        raise UnitError("invalid-json", str(error)) from None
    _refuse_halves(value, text)
    return value


def _refuse_halves(value: Any, text: str) -> None:
    if _SURROGATE.search(text):
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise UnitError("invalid-unicode", "half of a surrogate pair") from None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def values(file: BinaryIO, params: IngestParams) -> Iterator[tuple[int, dict[str, Any] | UnitError]]:
    """A record per value; of what is not an object one column, VALUE. After a broken one nothing is read."""
    numbers = count(1)
    number = next(numbers)
    try:
        for value in _values(_Scanner(file, params.max_record_bytes)):
            yield number, value if isinstance(value, dict | UnitError) else {VALUE: value}
            number = next(numbers)
    except UnitError as error:
        yield number, UnitError(error.reason, f"{error.detail}; the rest of the file is not read")


def _values(scanner: "_Scanner") -> Iterator[Any]:
    if scanner.take("["):
        if not scanner.take("]"):
            yield from _listed(scanner)
    else:
        first = scanner.value()
        yield first
        while isinstance(first, dict) and scanner.take("{", after_line=True):
            yield scanner.value(back=1)
    if not scanner.is_done():
        raise scanner.unexpected("the end of the file")


def _listed(scanner: "_Scanner") -> Iterator[Any]:
    """The values of a list, up to its end."""
    while True:
        value = scanner.value()
        is_last = scanner.take("]")
        if not is_last and not scanner.take(","):
            if not isinstance(value, int | float):  # a number may have been longer
                yield value
            raise scanner.unexpected("a comma or the end of the list")
        yield value
        if is_last:
            return


class _Scanner:
    """Values of a file that is read as they are asked for."""

    def __init__(self, file: BinaryIO, limit: int) -> None:
        self._file, self._limit = file, limit
        self._decode = codecs.getincrementaldecoder("utf-8-sig")().decode
        self._json = json.JSONDecoder(parse_constant=_refuse_constant)
        self._held, self._at, self._before, self._ended = "", 0, 0, False  # _before: characters let go of

    def take(self, wanted: str, *, after_line: bool = False) -> bool:
        """Whether this character comes next, which is then behind us; ``after_line``: and on another line."""
        line_ended = self._skip()
        found = self._held[self._at : self._at + 1] == wanted and (line_ended or not after_line)
        self._at += found
        return found

    def is_done(self) -> bool:
        """Whether nothing but white space is left."""
        self._skip()
        return self._at == len(self._held)

    def value(self, back: int = 0) -> Any:
        """The next value, or a UnitError that concerns it alone; ``back``: from so many characters before."""
        self._at -= back
        self._skip()
        while not (found := self._attempt()):
            if len(self._held) - self._at > self._limit:
                raise UnitError("too-large", f"more than {self._limit} bytes; see ingest.max_record_bytes")
            self._read()
        value, end = found
        text, self._at = self._held[self._at : end], end
        try:
            _refuse_halves(value, text)
        except UnitError as error:
            return error
        return value

    def _attempt(self) -> tuple[Any, int] | None:
        """The value here and where it ends; None if more must be read to tell."""
        try:
            value, end = self._json.raw_decode(self._held, self._at)
        except RecursionError:
            raise UnitError("invalid-json", "nested too deeply") from None
        except json.JSONDecodeError as error:
            # what is cut off fails at the end of what is held, or at the start of a text that does not end
            cut = error.msg.startswith("Unterminated string") or error.pos >= len(self._held) - _TAIL
            if cut and not self._ended:
                return None
            raise UnitError("invalid-json", f"{error.msg}: character {self._before + error.pos}") from None
        except ValueError as error:
            raise UnitError("invalid-json", str(error)) from None
        # 1 may be cut off from 12, 1.5 and 1e+5
        return (value, end) if self._ended or end + 2 < len(self._held) else None

    def unexpected(self, expected: str) -> UnitError:
        """That something else comes next."""
        return UnitError("invalid-json", f"expecting {expected}: character {self._before + self._at}")

    def _skip(self) -> bool:
        """Go to what is no white space; whether a line ended before it."""
        line_ended = False
        while True:
            start = self._at
            while self._held[self._at : self._at + 1] in _SPACE:
                self._at += 1
            line_ended |= "\n" in self._held[start : self._at]
            if self._at < len(self._held) or self._ended:
                return line_ended
            self._read()

    def _read(self) -> None:
        """Hold more of the file, and let go of what is behind us."""
        self._before += self._at
        self._held, self._at = self._held[self._at :], 0
        data = self._file.read(max(_CHUNK, len(self._held)))
        self._ended = not data
        try:
            self._held += self._decode(data, self._ended)
        except UnicodeDecodeError as error:
            raise UnitError(
                "invalid-utf8", f"after character {self._before + len(self._held)}: {error.reason}"
            ) from None
