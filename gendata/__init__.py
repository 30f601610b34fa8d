"""gendata: know what is in a generative-AI dataset, and where every item came from.

The public API is small and lazy (PEP 562): importing ``gendata`` imports nothing heavy.

    import gendata
    project = gendata.open(".")
    hits = project.search("open a file", n=5)
    table = project.sql("SELECT source, count(*) FROM items GROUP BY 1")
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gendata.errors import GendataError
    from gendata.project import Project, open  # noqa: A004 - the public name, as in `gendata.open(".")`

__all__ = ["GendataError", "Project", "__version__", "open"]

_LAZY = {"GendataError": "gendata.errors", "Project": "gendata.project", "open": "gendata.project"}


def __getattr__(name: str) -> object:
    if name == "__version__":
        return import_module("importlib.metadata").version("gendata")
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'gendata' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
