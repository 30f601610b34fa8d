"""Objects of the S3 kind, through fsspec over Arrow's own client, which comes with Arrow and is what stores use.

Credentials, region and endpoint are those of the environment and of ``~/.aws``. A version is known by size and time.
"""

import os
import time
from typing import Any

from gendata.ingest.reader import UnitError
from gendata.ingest.remote.client import CHUNK, AgainError, Part, RefusedError, Remote, Tag
from gendata.ingest.settings import RemoteParams
from gendata.ingest.urls import Url

_GONE = ("NO_SUCH_KEY", "NO_SUCH_BUCKET", "RESOURCE_NOT_FOUND", "HTTP status 404")

_DENIED = ("ACCESS_DENIED", "HTTP status 403", "INVALID_ACCESS_KEY_ID", "SIGNATURE_DOES_NOT_MATCH", "HTTP status 401")

_SETTLED = 2.0
"""Seconds after which another version has another time, which may be of whole seconds."""


class Bucket:
    """Client of a URL of s3."""

    def __init__(self, url: Url, params: RemoteParams) -> None:
        from fsspec.implementations.arrow import ArrowFSWrapper

        self._url = url
        self._folder = "/".join((url.host, *url.folder))
        self._fs = ArrowFSWrapper(_connected(url.host, params), skip_instance_cache=True)

    def listing(self) -> dict[str, Remote]:
        """See Client: the object of this name, or else all below it; of a glob all below its folder."""
        from gendata.ingest.globs import is_glob

        plain = "" if is_glob(self._url.rest) else self._url.rest
        start = f"{self._folder}/{plain}".rstrip("/")
        try:
            found = self._fs.find(start, detail=True)
        except OSError as error:
            raise _failed(error) from None
        if not found:
            raise RefusedError("there is nothing")
        return {path.removeprefix(f"{self._folder}/"): Remote(info["size"], _tag(info)) for path, info in found.items()}

    def fetch(self, path: str, remote: Remote, known: Tag, part: Part) -> Tag | None:
        """See Client."""
        tag = remote.tag or {}
        if known == tag:
            return None
        part.check(remote.size or 0)
        begun, before = part.begun()
        if not begun or before != tag or begun > (remote.size or 0):
            part.begin(tag)
            begun = 0
        whole = f"{self._folder}/{path}"
        try:
            with self._fs.open(whole, "rb") as file:
                file.seek(begun)
                while data := file.read(CHUNK):
                    part.add(data)
            info = self._fs.info(whole)
            same, modified = _tag(info) == tag, info["mtime"].timestamp()
        except OSError as error:
            raise _of_unit(error) from None
        if not same or part.path.stat().st_size != remote.size:
            part.drop()
            raise UnitError("changed-meanwhile")
        return {} if time.time() - modified < _SETTLED else tag

    def close(self) -> None:
        """See Client: Arrow keeps connections of its own."""


def _connected(bucket: str, params: RemoteParams) -> Any:
    from pyarrow.fs import AwsStandardS3RetryStrategy, S3FileSystem, resolve_s3_region

    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    options: dict[str, Any] = {
        "anonymous": params.anonymous,
        "connect_timeout": params.timeout,
        "request_timeout": params.timeout,
        "retry_strategy": AwsStandardS3RetryStrategy(max_attempts=1),  # ours are counted
    }
    if endpoint := os.environ.get("AWS_ENDPOINT_URL"):
        scheme, _, host = endpoint.partition("://")
        return S3FileSystem(region=region or "us-east-1", scheme=scheme, endpoint_override=host, **options)
    try:
        return S3FileSystem(region=region or resolve_s3_region(bucket), **options)
    except OSError as error:
        raise _failed(error) from None


def _tag(info: dict[str, Any]) -> Tag:
    return {"modified": info["mtime"].isoformat() if info["mtime"] else "", "size": str(info["size"])}


def _failed(error: OSError) -> RefusedError | AgainError:
    """Why a listing failed."""
    text = str(error)
    if isinstance(error, FileNotFoundError) or any(code in text for code in _GONE):
        return RefusedError("there is nothing")
    if any(code in text for code in _DENIED):
        return RefusedError("access denied: are the credentials in the environment or in ~/.aws right?")
    return AgainError(" ".join(text.split())[:200])


def _of_unit(error: OSError) -> UnitError | AgainError:
    """Why an object cannot be read."""
    failed = _failed(error)
    if isinstance(failed, AgainError):
        return failed
    return UnitError("not-found" if "nothing" in str(failed) else "denied")
