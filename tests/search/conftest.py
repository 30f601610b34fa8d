from dataclasses import dataclass

import pytest
from search.shelves import Row, build_store, corpus


@dataclass
class Shelf:
    """Stores and the rows they were made of."""

    stores: dict
    rows: dict


@pytest.fixture(scope="session")
def shelf(tmp_path_factory):
    base = tmp_path_factory.mktemp("stores")
    images = [
        Row([caption], "image", source="pictures", label=caption.split()[-1], data=bytes([i, 7]))
        for i, caption in enumerate(["digit seven", "digit three", "river stone", "garden image seven", "bread"])
    ]
    rows = {
        "real": corpus(1, 120) + corpus(2, 60, source="it's", quality=0.9) + images,
        "other": corpus(3, 80, origin="generated", source="made") + corpus(4, 20, origin="unknown", source="found"),
    }
    return Shelf({name: build_store(base / name, part) for name, part in rows.items()}, rows)
