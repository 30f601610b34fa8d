"""params.yaml: strict, and errors that say where and what is allowed."""

from dataclasses import dataclass, field
from typing import Literal

import pytest

from gendata import params
from gendata.errors import ParamsError


@dataclass(frozen=True)
class Inner:
    ratio: float = 0.5


@dataclass(frozen=True)
class Outer:
    kind: Literal["a", "b"]
    count: int = 1
    name: str | None = None
    flags: tuple[str, ...] = ()
    inner: Inner = field(default_factory=Inner)
    weights: dict[str, float] = field(default_factory=dict)

    def __post_init__(self):
        if self.count < 0:
            raise ValueError("count: must not be negative")


def test_values_become_the_dataclass():
    value = {"kind": "a", "count": 2, "flags": ["x"], "inner": {"ratio": 1}, "weights": {"t": 1}}
    built = params.build(Outer, value, "params.yaml: outer")
    assert built == Outer("a", 2, None, ("x",), Inner(1.0), {"t": 1.0})
    assert isinstance(built.inner.ratio, float)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({}, "params.yaml: outer: kind is missing; it must be one of a, b"),
        ({"kind": "c"}, "params.yaml: outer.kind: must be one of a, b, not 'c'"),
        ({"kind": "a", "cuont": 1}, "params.yaml: outer: unknown key 'cuont'; allowed: kind, count, name"),
        ({"kind": "a", "count": "1"}, "outer.count: must be a whole number, not '1'"),
        ({"kind": "a", "count": True}, "outer.count: must be a whole number, not True"),
        ({"kind": "a", "name": 3}, "outer.name: must be a text, not 3"),
        ({"kind": "a", "flags": "x"}, "outer.flags: must be a list, each a text, not 'x'"),
        ({"kind": "a", "flags": [1]}, r"outer.flags\[0\]: must be a text, not 1"),
        ({"kind": "a", "inner": {"ratoi": 1}}, "outer.inner: unknown key 'ratoi'; allowed: ratio"),
        ({"kind": "a", "inner": None}, "outer.inner: must be a mapping, not None"),
        ({"kind": "a", "weights": {"t": "x"}}, "outer.weights.t: must be a number, not 'x'"),
        ({"kind": "a", "count": -1}, "outer: count: must not be negative"),
        ([], r"outer: must be a mapping, not \[\]"),
    ],
)
def test_errors_name_section_key_and_what_is_allowed(value, message):
    with pytest.raises(ParamsError, match=message):
        params.build(Outer, value, "params.yaml: outer")


@pytest.mark.parametrize("text", ["a: [", "a: 1\na: 2", "- x", "", "\x00"])
def test_what_is_no_mapping_of_sections_is_one_line(tmp_path, text):
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(ParamsError, match=r"params\.yaml") as error:
        params.read(tmp_path / "params.yaml")
    assert "\n" not in str(error.value)


def test_an_absent_section_takes_all_defaults(tmp_path):
    (tmp_path / "params.yaml").write_text("other: 1\n")
    assert params.load(tmp_path / "params.yaml", "inner", Inner) == Inner()
