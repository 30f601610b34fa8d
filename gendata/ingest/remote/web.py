"""Files over HTTP: asked for only if they changed (If-None-Match), and from where an earlier request ended (Range).

Redirects are followed here rather than by the library: to the same host or one that ``hosts`` names, and never from
https to http. Proxies and ``~/.netrc`` are those of the environment; certificates are always verified.
"""

from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING
from urllib.parse import quote, urljoin, urlsplit

from gendata.ingest.places import braces
from gendata.ingest.reader import UnitError, one_line
from gendata.ingest.remote.client import CHUNK, AgainError, Part, RefusedError, Remote, Tag
from gendata.ingest.settings import RemoteParams
from gendata.ingest.urls import Url, redacted

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession

_REDIRECTS = 10

_RESERVED = "!$&'()*+,;=:@/?#[]%-._~"
"""What stays as it is in a URL that a server gives; else it may hold anything."""

_PACKED = (".gz", ".tgz")
"""Names of files that some servers declare to be encoded, and send as they are."""


class Web:
    """Client of a URL of http or https."""

    def __init__(self, url: Url, params: RemoteParams) -> None:
        from aiohttp import ClientTimeout
        from fsspec.implementations.http import HTTPFileSystem

        self._url, self._params = url, params
        self._hosts = {urlsplit(f"//{url.host}").hostname, *(host.lower() for host in params.hosts)}
        limits = ClientTimeout(total=None, connect=params.timeout, sock_read=params.timeout)
        options = {"timeout": limits, "trust_env": True, "auto_decompress": False}
        self._fs = HTTPFileSystem(client_kwargs=options, skip_instance_cache=True)

    def listing(self) -> dict[str, Remote]:
        """See Client: what the braces stand for."""
        try:
            return dict.fromkeys(braces(self._url.rest), Remote())
        except ValueError as error:
            raise RefusedError(str(error)) from None

    def fetch(self, path: str, remote: Remote, known: Tag, part: Part) -> Tag | None:
        """See Client."""
        from fsspec.asyn import sync

        tag: Tag | None = sync(self._fs.loop, self._fetch, self._url.request(path), known, part)
        return tag

    def close(self) -> None:
        """See Client."""
        from fsspec.asyn import sync

        session = sync(self._fs.loop, self._fs.set_session)
        sync(self._fs.loop, session.close)

    async def _fetch(self, location: str, known: Tag, part: Part) -> Tag | None:
        from aiohttp import ClientConnectionError, ClientError, ClientPayloadError

        session = await self._fs.set_session()
        try:
            return await self._followed(session, location, known, part)
        except ClientPayloadError:
            raise AgainError("it ended too early", reason="incomplete") from None
        except TimeoutError:
            raise AgainError("no answer in time") from None
        except ClientConnectionError as error:
            raise AgainError(f"no connection{_reason(error)}") from None
        except ClientError:
            raise AgainError("no valid answer") from None

    async def _followed(self, session: "ClientSession", location: str, known: Tag, part: Part) -> Tag | None:
        from yarl import URL

        headers = {"Accept-Encoding": "identity", **_conditions(known, part)}
        for _ in range(_REDIRECTS):
            url = URL(location, encoded=True)
            async with session.get(url, headers=headers, allow_redirects=False) as response:
                if response.status not in {301, 302, 303, 307, 308}:
                    return await _taken(response, part)
                location = self._redirected(location, response.headers.get("Location", ""))
        raise UnitError("redirected")

    def _redirected(self, origin: str, target: str) -> str:
        """Where to go on. Raises UnitError and RefusedError if nowhere."""
        try:
            location = quote(urljoin(origin, target), safe=_RESERVED)
            there = urlsplit(location)
            host, _ = there.hostname, there.port
        except ValueError:
            raise UnitError("redirected") from None
        if there.scheme not in {"https", urlsplit(origin).scheme} or there.username or not host:
            raise UnitError("redirected")
        if host not in self._hosts:
            raise RefusedError(
                f"{redacted(origin)} is redirected to the host {host}; if that is right, name it in "
                "ingest.remote.hosts of params.yaml"
            )
        return location


def _reason(error: Exception) -> str:
    """What the operating system or TLS says; never what aiohttp does, which shows URLs whole."""
    cause = getattr(error, "os_error", None) or getattr(error, "certificate_error", None)
    return f" ({one_line(str(getattr(cause, 'verify_message', None) or cause))})" if cause else ""


def _conditions(known: Tag, part: Part) -> dict[str, str]:
    """The headers that ask for a change alone, or for the rest of what was begun."""
    begun, tag = part.begun()
    strong = tag.get("etag", "W/")
    if begun and (not strong.startswith("W/") or ("etag" not in tag and "modified" in tag)):
        return {"Range": f"bytes={begun}-", "If-Range": tag.get("etag") or tag["modified"]}
    if "etag" in known:
        return {"If-None-Match": known["etag"]}
    return {"If-Modified-Since": known["modified"]} if "modified" in known else {}


async def _taken(response: "ClientResponse", part: Part) -> Tag | None:
    """The body of an answer into the part; its tag, None if nothing has changed."""
    _check_status(response.status, response.headers, part)
    if response.status == 304:
        return None
    encoding = response.headers.get("Content-Encoding", "identity").lower()
    if encoding not in {"identity", ""} and not response.url.path.lower().endswith(_PACKED):
        raise UnitError("content-encoded")
    names = {"etag": "ETag", "modified": "Last-Modified"}
    told = {key: response.headers.get(header, "") for key, header in names.items()}
    sent = {key: value for key, value in told.items() if value and value.isascii() and value.isprintable()}
    tag = sent if _settled(response.headers) else {}
    if response.status == 200:
        part.begin(tag)
    elif not _continues(response.headers.get("Content-Range", ""), tag, part):
        part.drop()
        raise AgainError("it answered with another part than was asked for")
    part.check(part.begun()[0] + (response.content_length or 0))
    async for data in response.content.iter_chunked(CHUNK):
        part.add(data)
    total = response.headers.get("Content-Range", "").rpartition("/")[2]
    if response.status == 206 and total.isdigit() and part.path.stat().st_size != int(total):
        raise AgainError("it ended too early", reason="incomplete")
    return tag


def _settled(headers: Mapping[str, str]) -> bool:
    """Whether another version would have another tag: times are of seconds, and the file may just be changing."""
    if "ETag" in headers or "Last-Modified" not in headers:
        return True
    try:
        now, then = (parsedate_to_datetime(headers[name]) for name in ("Date", "Last-Modified"))
        return (now - then).total_seconds() >= 2
    except (KeyError, ValueError, TypeError):
        return False


def _continues(told: str, tag: Tag, part: Part) -> bool:
    """Whether a Content-Range goes on where the part ends, in the same version."""
    begun, before = part.begun()
    return told.startswith(f"bytes {begun}-") and (tag.get("etag") or tag) == (before.get("etag") or before)


def _check_status(status: int, headers: Mapping[str, str], part: Part) -> None:
    if status in {200, 206, 304}:
        return
    if status in {404, 410}:
        raise UnitError("not-found")
    if status == 416:  # more is there than the server has
        part.drop()
        raise AgainError("it has become shorter")
    if status in {408, 425, 429} or status >= 500:
        raise AgainError(f"status {status}", wait=_seconds(headers.get("Retry-After")))
    raise UnitError("denied", f"the server refuses to give it out (status {status})")


def _seconds(asked: str | None) -> float | None:
    """What Retry-After says; a date says when, not how long, and our clock may be wrong: it is not followed."""
    return float(asked) if asked is not None and asked.isascii() and asked.isdigit() else None
