"""Data sets on disk, as ``datasets`` saves them: where their files are, and what they say of their columns.

A folder with ``state.json`` (the names of its Arrow files), ``dataset_info.json`` (features, license) and these
files; or one with ``dataset_dict.json``, whose splits are such folders.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gendata.ingest.paths import INFO, SPLITS, STATE, read_inside
from gendata.ingest.reader import UnitError
from gendata.ingest.records import parse_json

_LARGEST = 16 << 20
"""Bytes of one of these; the names of a million classes fit."""

_LISTS = {"List", "LargeList", "Sequence"}


def splits(folder: Path) -> list[str]:
    """The names of the splits; the one split without a name is empty. Raises UnitError."""
    if not (folder / SPLITS).is_file():
        return [""]
    names = _object(folder, SPLITS).get("splits")
    if not isinstance(names, list) or not all(isinstance(n, str) and _is_name(n) for n in names):
        raise UnitError("corrupt-metadata", f"{SPLITS}: splits is no list of names")
    return list(dict.fromkeys(names))


def data_files(folder: Path) -> list[str]:
    """The names of the Arrow files of one split. Raises UnitError."""
    state = _object(folder, STATE)
    if state.get("_indices_files") or state.get("_indices_data_files"):
        raise UnitError(
            "corrupt-metadata", "a selection of rows, as datasets before 2.8 saved it: load it and save it again"
        )
    files = state.get("_data_files")
    files = files if isinstance(files, list) else []
    listed = [file.get("filename") for file in files if isinstance(file, dict)]
    names = [name for name in listed if isinstance(name, str) and _is_name(name)]
    if not names or len(names) < len(files):
        raise UnitError("corrupt-metadata", f"{STATE}: _data_files is no list of names")
    return list(dict.fromkeys(names))


@dataclass(frozen=True)
class About:
    """What one split says of itself."""

    features: Mapping[str, Any]
    license: str | None
    split: str | None

    def of_type(self, kind: str) -> list[str]:
        """The columns whose feature is of this type: Image, Audio, ClassLabel."""
        return [name for name, feature in self.features.items() if _kind(feature) == kind]

    def named(self, record: dict[str, Any]) -> dict[str, Any]:
        """The record with the names of classes for their numbers. Raises UnitError."""
        return {name: _named(self.features.get(name), value) for name, value in record.items()}


def about(folder: Path) -> About:
    """What the files of one split say. Raises UnitError."""
    info, state = _object(folder, INFO), _object(folder, STATE)
    features, license_, split = info.get("features") or {}, info.get("license"), state.get("_split")
    if not isinstance(features, dict):
        raise UnitError("corrupt-metadata", f"{INFO}: features is no object")
    return About(
        features,
        license_ if isinstance(license_, str) and license_ else None,
        split if isinstance(split, str) else None,
    )


def _kind(feature: Any) -> str | None:
    return feature.get("_type") if isinstance(feature, dict) else None


def _named(feature: Any, value: Any) -> Any:
    kind = _kind(feature)
    if kind in _LISTS and isinstance(value, list):
        return [_named(feature.get("feature"), part) for part in value]
    if kind != "ClassLabel" or not isinstance(value, int):
        return value
    names = feature.get("names")
    if value == -1:  # how datasets says that there is none
        return None
    if not isinstance(names, list) or not 0 <= value < len(names):
        raise UnitError("invalid-row", f"there is no class {value}")
    return names[value]


def _is_name(name: str) -> bool:
    return name not in {"", ".", ".."} and not {"/", "\\", "\0"} & set(name)


def _object(folder: Path, name: str) -> dict[str, Any]:
    try:
        value = parse_json(read_inside(os.fsencode(folder), name.encode(), _LARGEST))
    except UnitError as error:
        raise UnitError("corrupt-metadata", f"{name}: {error.detail}") from None
    if not isinstance(value, dict):
        raise UnitError("corrupt-metadata", f"{name}: no object")
    return value
