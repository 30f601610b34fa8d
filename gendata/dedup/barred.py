"""Fixed references as folders of shards, which items match one, and the figures about both."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from gendata.items import canonical_json
from gendata.keep import Ints
from gendata.ranges import spread

NGRAM = "ngram"
"""How an item matches that shares words; other matches are named as in REASONS."""

KNOWN = pa.schema([(name, pa.string()) for name in ("id", "modality", "uri", "name")])
"""Of all items of references: ``name`` is the reference."""

NAMED = 100
"""Files with rejects that are named at most, of each reference; the count is of all."""

Rejected = Counter[tuple[str, str]]
"""How many units could not be read, by file and reason."""


@dataclass(frozen=True)
class Reference:
    """Folders of shards (ITEM_SCHEMA), and the length of the sequences of words that must not occur, if any.

    ``rejected`` is what the shards lack.
    """

    folders: tuple[Path, ...]
    ngram: int | None = None
    rejected: Rejected = field(default_factory=Counter)


@dataclass(frozen=True)
class Barred:
    """What matches a reference.

    ``by`` is the place in ``known`` of each item's reference item, -1 where it matches none; ``score`` how similar it
    is, or the share of its sequences of words; ``match`` how they match. ``hits`` are pairs of item and place that
    count: one in every file that an item shares words with, of other matches the best. ``captions`` counts those that
    took no part, of a reference and of the items; ``unpaired`` the records of a reference that were compared by equal
    content alone.
    """

    by: Ints
    score: npt.NDArray[np.float64]
    match: npt.NDArray[np.object_]
    known: pa.Table
    hits: list[tuple[Ints, Ints]] = field(default_factory=list)
    captions: dict[str, dict[str, int]] = field(default_factory=dict)
    unpaired: Counter[str] = field(default_factory=Counter)

    @classmethod
    def none(cls, count: int, known: pa.Table) -> "Barred":
        """None of ``count`` items matches."""
        return cls(np.full(count, -1), np.zeros(count), np.full(count, None, object), known)

    @property
    def items(self) -> npt.NDArray[np.bool_]:
        """Which items match."""
        return self.by >= 0

    @cached_property
    def _files(self) -> pa.DictionaryArray:
        """The file of each known item, as ``name#path``: neither holds that character."""
        path = pc.replace_substring_regex(self.known["uri"], "(?s)#.*", "")
        return pc.binary_join_element_wise(self.known["name"], path, "#").combine_chunks().dictionary_encode()

    @property
    def files(self) -> Ints:
        """The number of the file of each known item."""
        numbers: Ints = self._files.indices.to_numpy().astype(np.int64)
        return numbers

    def bar(self, items: Ints, by: Ints, scores: npt.NDArray[np.float64], how: Sequence[str]) -> None:
        """Note matches; of an item that has one already they count, and the first is what it is told to match."""
        self.hits.append((items, by))
        new = self.by[items] < 0
        self.by[items[new]], self.score[items[new]] = by[new], scores[new]
        self.match[items[new]] = np.array(how, object)[new]

    def told(self, item: int) -> str:
        """What an item matches, as the column ``reference`` has it."""
        row = self.known.slice(int(self.by[item]), 1).to_pylist()[0]
        return canonical_json({"match": self.match[item], "name": row["name"], "uri": row["uri"]})

    def counts(self, references: Mapping[str, Reference], rows: Ints) -> dict[str, Any]:
        """Per reference: its items, rows that match, these by file of it, and what of it was not compared.

        A row counts for every reference and every file that it matches; ``rows`` says how many each item has.
        """
        items, file = self._matched_files(references)
        paths = [key.split("#", 1) for key in self._files.dictionary.to_pylist()]
        by_file: dict[str, dict[str, int]] = {name: {} for name in references}
        counted = np.bincount(file, rows[items], len(paths)).astype(np.int64)
        for (name, path), n in sorted(zip(paths, counted.tolist(), strict=True)):
            if n:
                by_file[name][path] = n
        numbers = {name: number for number, name in enumerate(references)}
        of_file = np.array([numbers[name] for name, _ in paths], np.int64)
        item, number = np.divmod(np.unique(items * len(numbers) + of_file[file]), len(numbers))
        matched = np.bincount(number, rows[item], len(numbers))
        sizes = {row["values"]: row["counts"] for row in pc.value_counts(self.known["name"]).to_pylist()}
        return {
            name: {"items": sizes.get(name, 0), "matched": int(matched[numbers[name]]), "by_file": by_file[name]}
            | rejects(reference.rejected)
            | {"captions_left_out": self.captions.get(name, {"reference": 0, "items": 0})}
            | {"unpaired": self.unpaired[name]}
            for name, reference in sorted(references.items())
        }

    def _matched_files(self, references: Mapping[str, Reference]) -> tuple[Ints, Ints]:
        """Distinct pairs of item and file: of each hit all files of that content that are compared by one rule."""
        if not self.hits or not len(self.known):
            return np.empty(0, np.int64), np.empty(0, np.int64)
        names = [key.split("#", 1)[0] for key in self._files.dictionary.to_pylist()]
        rule = np.array([references[name].ngram or 0 for name in names], np.int64)[self.files]
        content = self.known["id"].combine_chunks().dictionary_encode().indices.to_numpy().astype(np.int64)
        alike = content * (rule.max() + 1) + rule
        held = np.unique(alike * len(names) + self.files)
        items, by = (np.concatenate(part) for part in zip(*self.hits, strict=True))
        low, high = (np.searchsorted(held, (alike[by] + more) * len(names)) for more in (0, 1))
        hit, place = spread(low, high)
        pairs = np.unique(items[hit] * len(names) + held[place] % len(names))
        return pairs // len(names), pairs % len(names)


def rejects(found: Rejected) -> dict[str, Any]:
    """How many units were rejected, and in which files, the most first."""
    named = [{"file": file, "reason": reason, "units": n} for (file, reason), n in found.most_common(NAMED)]
    return {"rejected": found.total(), "rejected_in": named}
