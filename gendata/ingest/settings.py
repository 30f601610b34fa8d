"""What params.yaml may say: one source (``sources.<name>``), and the limits of reading (``ingest``)."""

from dataclasses import dataclass, field
from typing import Literal

from gendata.ingest import addresses, globs

FIELDS = ("text", "image", "audio", "label", "license", "split", "origin")
"""What ``map`` can name a column for, in any row."""

CHAT_FIELDS = ("messages", "prompt", "input", "reply", "system", "session", "model", "time")
"""What it can name a column for beside these, where rows are chats."""


@dataclass(frozen=True)
class SourceParams:
    """One source. What is not a key of every kind (``sources.OWN``) only where its kind uses it."""

    kind: str  # a key of READERS
    origin: Literal["real", "generated", "unknown"] | None = None  # required, unless a table maps it
    path: str | None = None  # relative to the project root, absolute, or with ~
    license: str | None = None  # for items that state none
    label: str | None = None  # for items that state none
    dedup: bool = True  # false: keep every copy (the stage dedup reads this)
    include: tuple[str, ...] = ()  # globs of what to take; empty: everything
    exclude: tuple[str, ...] = ()  # globs of what to leave out
    map: dict[str, str] = field(default_factory=dict)  # one of FIELDS or CHAT_FIELDS -> name of a column
    marks: Literal["heed", "ignore"] = "heed"  # ignore: AI marks in files are noted and do not change the origin
    content: Literal["copy", "reference"] = "copy"  # reference: images and audio stay where they are
    uri: str | None = None  # of a PostgreSQL server, without a password
    query: str | None = None  # one SELECT
    key: str | None = None  # column of a query that names its rows and orders them
    repo: str | None = None  # of a data set on the hub: user/name
    config: str | None = None  # of these, where there are several
    revision: str | None = None  # a commit, tag or branch of the repo
    split: str | None = None  # the only one to read of a data set

    def __post_init__(self) -> None:
        for key in self.map:
            if key not in FIELDS + CHAT_FIELDS:
                raise ValueError(f"map: unknown key {key!r}; allowed: {', '.join(FIELDS + CHAT_FIELDS)}")
        if chat := [key for key in CHAT_FIELDS if key in self.map]:
            pair = [key for key in ("prompt", "reply") if key in self.map]
            listed = "messages" in self.map
            if {"text", "image", "audio"} & set(self.map) or (pair or "input" in self.map if listed else len(pair) < 2):
                raise ValueError(
                    f"map: {chat[0]}: a chat is messages, or prompt and reply, and no text, image or audio"
                )
        if self.uri is not None:
            addresses.check(self.uri)
            if self.key is None:
                raise ValueError(
                    "key is missing; a server gives rows in any order: name the column that identifies them"
                )
        globs.matcher(self.include + self.exclude)  # a glob that cannot be understood is found here


@dataclass(frozen=True)
class RemoteParams:
    """How URLs are fetched. What is beyond ``max_file_bytes`` is a reject, beyond the other limits an error."""

    max_file_bytes: int = 100 << 30  # of one file
    max_source_bytes: int = 1 << 40  # of all files of a source
    max_files: int = 1_000_000  # of a source: their names are held in memory
    connections: int = 8  # files fetched at a time
    timeout: float = 60.0  # seconds without a byte after which a connection is given up
    retries: int = 4  # of a file, with 0.5, 1, 2, 4, ... seconds between them, or as long as the server asks
    hosts: tuple[str, ...] = ()  # to which a URL may be redirected, beside its own
    anonymous: bool = False  # ask buckets without credentials

    def __post_init__(self) -> None:
        for name in ("max_file_bytes", "max_source_bytes", "max_files", "connections"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.timeout <= 0 or self.retries < 0:
            raise ValueError("timeout must be above 0 and retries at least 0")


@dataclass(frozen=True)
class IngestParams:
    """Limits of what is read; what is beyond them is a reject."""

    max_pixels: int = 89_478_485  # of one image, checked before it is decoded: 1/4 GB as RGB, Pillow's own limit
    max_audio_seconds: int = 14_400  # of one recording, which is decoded: four hours; fewer if beyond 96 kHz in stereo
    max_file_bytes: int = 256 << 20  # of one text, image, recording or caption: these are read whole
    max_text_chars: int = 10_000_000  # of one text, in code points: about ten long novels
    max_record_bytes: int = 64 << 20  # of one line of a table (jsonl, csv), of one cell of a database
    max_document_bytes: int = 256 << 20  # of the parts of one docx or epub in all, unpacked
    max_document_ratio: int = 200  # of the unpacked to the packed size of one
    document_memory: int = 1 << 30  # bytes of a process that reads documents (html, pdf, docx, epub)
    document_seconds: int = 60  # of processor time for one document
    table_memory: int = 2 << 30  # bytes of a process that reads tables in columns (parquet, arrow)
    max_archive_bytes: int = 1 << 40  # of all that one archive unpacks to
    max_ratio: int = 200  # of that to the size of the archive, above 64 MiB: zip bombs
    max_members: int = 1_000_000  # of one archive: their names are held in memory
    max_reject_rate: float = 1.0  # of the units of a source; beyond it the run ends. The result does not depend on it
    query_seconds: int = 3600  # that a database may take for one query, the time to read what it gives not counted
    workers: int = 0  # threads that hash and decode; 0: one per core. The result does not depend on it
    remote: RemoteParams = field(default_factory=RemoteParams)  # of URLs

    def __post_init__(self) -> None:
        least = {name: 1 for name in vars(self) if name.startswith("max_")} | {
            "document_seconds": 1,
            "max_reject_rate": 0,
            "query_seconds": 1,
        }
        for name, limit in (least | {"document_memory": 256 << 20, "table_memory": 512 << 20}).items():
            if getattr(self, name) < limit:
                raise ValueError(f"{name} must be at least {limit}, not {getattr(self, name)}")
        if self.max_pixels > 178_956_970:
            raise ValueError(f"max_pixels must be at most 178956970, where Pillow stops, not {self.max_pixels}")
        if self.max_reject_rate > 1:
            raise ValueError(f"max_reject_rate is a share from 0 to 1, not {self.max_reject_rate}")
        if self.workers < 0:
            raise ValueError(f"workers must be 0 (one per core) or more, not {self.workers}")
