import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from gendata import files
from gendata.ingest import IngestParams, SourceParams, ingest, scan


@dataclass
class Result:
    items: list[dict[str, Any]]
    rejects: list[dict[str, Any]]
    listing: list[dict[str, Any]]
    summary: dict[str, Any]

    def item(self, uri: str) -> dict[str, Any]:
        (found,) = [i for i in self.items if i["uri"] == uri]
        return found

    def reasons(self) -> dict[str, str]:
        return {r["uri"]: r["reason"] for r in self.rejects}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The root of a project, also the current folder."""
    root = tmp_path / "project"
    root.mkdir()
    monkeypatch.chdir(root)
    return root


@pytest.fixture
def run(project: Path) -> Callable[..., Result]:
    """Scan and ingest one source; every test that uses it checks the invariants too."""

    def _run(
        source: SourceParams, params: IngestParams | None = None, between: Callable[[], object] = lambda: None
    ) -> Result:
        params = params or IngestParams(workers=2)
        scan({"s": source}, project, Path("artifacts/scan"), params)
        listing = Path("artifacts/scan/s.parquet")
        between()
        summary = ingest("s", source, project, listing, Path("artifacts/ingest/s"), params)
        items = [r for s in files.shards(Path("artifacts/ingest/s/items")) for r in files.read_table(s).to_pylist()]
        rejects = files.read_table(Path("artifacts/ingest/s/rejected.parquet")).to_pylist()
        result = Result(items, rejects, files.read_table(listing).to_pylist(), summary)
        assert summary["read"] == len(items) == sum(summary["modalities"].values())
        assert summary["rejected"] == len(rejects) == sum(summary["rejected_by_reason"].values())
        assert summary["enumerated"] == summary["read"] + summary["rejected"]
        uris = [r["uri"] for r in items + rejects]
        assert len(set(uris)) == len(uris)
        assert all(r["detail"].isprintable() and len(r["detail"]) <= 300 for r in rejects)
        assert all(r["origin"] for r in items)
        return result

    return _run


def encoded(format_: str = "PNG", size: tuple[int, int] = (5, 4), color: int = 90, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, (color, 10, 200)).save(buffer, format_, **options)
    return buffer.getvalue()


@pytest.fixture
def image() -> Callable[..., bytes]:
    return encoded
