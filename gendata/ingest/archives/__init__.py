"""The members of zip and tar archives, streamed and never extracted: memory grows with their names alone.

Nothing that an archive says of itself is believed: names are judged, links not followed, what is unpacked is counted.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import BinaryIO

from gendata.ingest.archives.member import ArchiveError, Member, Meter
from gendata.ingest.archives.tars import tar_members
from gendata.ingest.archives.zips import zip_members
from gendata.ingest.globs import matcher
from gendata.ingest.reader import UnitError
from gendata.ingest.settings import IngestParams, SourceParams
from gendata.items import encode_uri

__all__ = ["ArchiveError", "Found", "Member", "found_in"]


@dataclass(frozen=True, slots=True)
class Found:
    """A member with its place among the others: ``path`` is its name as a folder would have it, ``uri`` is unique."""

    uri: str
    path: bytes
    member: Member

    def read(self, limit: int) -> bytes:
        """The content, before the next member is asked for. Raises UnitError, ArchiveError where no other follows."""
        return self.member.read(limit)


def found_in(archive: str, file: BinaryIO, source: SourceParams, params: IngestParams) -> Iterator[Found]:
    """What an open archive holds, in its order, but for folders and what is hidden or excluded.

    ``archive`` is the uri of the archive. A name that came before is a problem, ``duplicate-name``, and its uri is
    counted. Raises ArchiveError where the archive cannot be read, or not further.
    """
    excluded, seen = matcher(source.exclude), Counter[bytes]()
    for number, member in enumerate(_members(file, params), 1):
        if number > params.max_members:
            raise ArchiveError("too-many-members", f"more than ingest.max_members, {params.max_members}")
        path = _path(member.name)
        if path is None:
            path, member = member.name, replace(member, problem="path-outside")
        elif any(part.startswith(b".") for part in path.split(b"/")):
            continue
        if any(excluded(part) for part in _upwards(path)):
            continue
        seen[path] += 1
        uri = f"{archive}!{encode_uri(path)}"
        if (count := seen[path]) > 1:
            uri, member = f"{uri}#{count}", replace(member, problem="duplicate-name")
        yield Found(uri, path, member)


def _members(file: BinaryIO, params: IngestParams) -> Iterator[Member]:
    file.seek(0)
    head = file.read(4)
    if not head:
        raise UnitError("empty", "0 bytes")
    size = file.seek(0, 2)
    file.seek(0)
    if head in {b"PK\3\4", b"PK\5\6"}:
        return zip_members(file, Meter(params, size), params)
    return tar_members(file, head, Meter(params, size))


def _path(name: bytes) -> bytes | None:
    """The name as a relative path; None if it leads out of the archive, or nowhere."""
    parts = [part for part in name.split(b"/") if part not in {b"", b"."}]
    return None if name.startswith(b"/") or b".." in parts or not parts else b"/".join(parts)


def _upwards(path: bytes) -> Iterator[bytes]:
    """The path, and the folders that it lies in."""
    while path:
        yield path
        path = path.rpartition(b"/")[0]
