"""What a source's ``path`` says where it is a URL, and the folder of the project that mirrors it.

The stage scan fetches (``remote``); readers then work on the mirror as on any folder, and know nothing of this. It is
work state: ``.gendata/cache/remote/<source>-<digest>/files`` is there only while it is whole.
"""

import hashlib
import re
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from urllib.parse import quote, unquote_to_bytes

from gendata import files
from gendata.ingest.globs import is_glob
from gendata.ingest.reader import one_line

SCHEMES = ("http", "https", "s3")

MIRRORS = files.WORK / "cache" / "remote"

_SECRET = re.compile(r"(?i)(token|key|sig|secret|pass|pwd|auth|cred|x-amz-|x-goog-)")
"""In the names of a query: what follows is not for a file that is committed."""

_SAFE = "!$&'()*+,;=:@-._~"
"""What need not be encoded in a name of a path."""


@dataclass(frozen=True, slots=True)
class Url:
    """A URL of params.yaml in parts; str() of it never shows a query.

    ``folder`` and ``rest`` are names as they stand on disk: over HTTP they are percent-decoded. ``rest`` is the last
    name, or all from the first name with a wild card; "" where there is nothing but a bucket.
    """

    scheme: str
    host: str
    folder: tuple[str, ...]
    rest: str
    query: str = ""

    def __str__(self) -> str:
        return f"{self.base}{self.rest}"

    @property
    def base(self) -> str:
        """The folder, with a slash at its end."""
        return f"{self.scheme}://{'/'.join((self.host, *self.folder))}/"

    @property
    def is_web(self) -> bool:
        """Whether it is read over HTTP, where nothing can be listed."""
        return self.scheme != "s3"

    def request(self, path: str) -> str:
        """What to ask for over HTTP to get the file at ``path``, relative to the folder."""
        names = "/".join(quote(name, safe=_SAFE) for name in (*self.folder, *path.split("/")))
        return f"{self.scheme}://{self.host}/{names}{f'?{self.query}' if self.query else ''}"


def is_url(path: str | None) -> bool:
    """Whether a path is meant as a URL, one that can be read or not."""
    return path is not None and re.match(r"[A-Za-z][A-Za-z0-9+.:-]*://", path) is not None


def parse(text: str) -> Url:
    """A URL in parts. Raises ValueError, with a line that shows no credentials, if it cannot be read."""
    scheme, _, rest = text.partition("://")
    shown = redacted(text)
    if scheme not in SCHEMES:
        raise ValueError(f"{shown}: only {', '.join(f'{s}://' for s in SCHEMES)} and local paths are read")
    host, _, path = rest.partition("/")
    if "@" in host:
        raise ValueError(f"{shown}: no user name or password in a URL; {_where(scheme)}")
    named = re.fullmatch(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?", host)
    if named is None or int(named[1] or 0) > 65535:
        raise ValueError(f"{shown}: that is no name of a host or bucket")
    query = ""
    if scheme != "s3":
        host = host.lower()
        path, query = _web(path, shown)
    names = path.removesuffix("/").split("/") if path else []
    if any(unusable(name) for name in names):
        raise ValueError(f"{shown}: has a name that no file can have")
    fixed = [*takewhile(lambda name: not is_glob(name), names)]
    folder = fixed if len(fixed) < len(names) else fixed[:-1]
    return Url(scheme, host, tuple(folder), "/".join(names[len(folder) :]), query)


def _web(path: str, shown: str) -> tuple[str, str]:
    """Path, decoded, and query. Raises ValueError."""
    path, _, query = path.partition("?")
    if any(_SECRET.search(part.partition("=")[0]) for part in re.split("[&;]", query) if part):
        raise ValueError(f"{shown}: its query seems to hold a credential; {_where('https')}")
    if "#" in path + query:
        raise ValueError(f"{shown}: a # in a name is written %23")
    try:
        names = [unquote_to_bytes(name).decode() for name in path.split("/")]
    except UnicodeDecodeError:
        raise ValueError(f"{shown}: a name that is not UTF-8") from None
    if any("/" in name for name in names):
        raise ValueError(f"{shown}: has a name that no file can have")
    if not names[-1] or re.search(r"[*?\[]", "/".join(names)):
        raise ValueError(f"{shown}: HTTP has no listings; name the files with braces: {{a,b}}.jsonl, {{000..127}}.tar")
    return "/".join(names), query


def unusable(name: str) -> bool:
    """Whether no file of this name, one of a path, can be kept on disk."""
    encoded = name.encode("utf-8", "surrogatepass")
    return name in {"", ".", ".."} or len(encoded) > 255 or re.search(r"[\0-\x1f\x7f/\ud800-\udfff]", name) is not None


def redacted(text: str) -> str:
    """A URL as it may be shown: without user name, password and query."""
    return one_line(re.sub(r"://[^/]*@", "://", re.split(r"[?#]", text)[0]))


def _where(scheme: str) -> str:
    return "~/.netrc is read" if scheme != "s3" else "AWS_ACCESS_KEY_ID, AWS_PROFILE or ~/.aws are read"


def mirror(name: str, url: Url) -> Path:
    """The folder of the mirror, relative to the project: it stays where only the last name of the URL changes."""
    return MIRRORS / f"{name}-{hashlib.sha256(url.base.encode()).hexdigest()[:16]}"


def local(name: str, path: str) -> str:
    """The path in the project that stands for a path of params.yaml: another one where that is a URL."""
    if not is_url(path):
        return path
    url = parse(path)
    return str(mirror(name, url) / "files" / url.rest)
