"""Addresses of PostgreSQL servers in params.yaml, which never hold a password.

``${NAME}`` stands for an environment variable: for the whole address, which is then taken as it is, or for a part
of it, which is percent-encoded. libpq itself reads PGPASSWORD and ~/.pgpass where the address has no password.
"""

import os
import re
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

from gendata.errors import ParamsError

SCHEMES = ("postgresql://", "postgres://")

_VARIABLE = re.compile(r"\$\{(\w+)\}")

_ENCODE = "uri: special characters of names and passwords must be percent-encoded (@ as %40)"

_NOT_ENCODED = re.compile(r"%(?![0-9a-fA-F]{2})")


def check(uri: str) -> None:
    """Raises ValueError where this is no address, or has a password that is no variable. It quotes neither."""
    if _VARIABLE.fullmatch(uri):
        return
    if not uri.startswith(SCHEMES):
        raise ValueError(
            "uri: must begin with postgresql://, or be ${NAME}, an environment variable that holds such a one"
        )
    _check_form(uri)
    if any(not _VARIABLE.fullmatch(password) for password in _passwords(uri)):
        raise ValueError(
            "uri: passwords do not belong in params.yaml: leave it out (libpq reads PGPASSWORD and ~/.pgpass), or "
            "write ${PGPASSWORD} in its place"
        )


def expand(where: str, uri: str) -> str:
    """The address with the values of its variables. Raises ParamsError, which names ``where`` and no value."""
    is_whole = _VARIABLE.fullmatch(uri) is not None

    def value(match: re.Match[str]) -> str:
        name = match[1]
        if name not in os.environ:
            raise ParamsError(f"{where}.uri: the environment variable {name} is not set")
        return os.environ[name] if is_whole else quote(os.environ[name], safe="")

    expanded = _VARIABLE.sub(value, uri)
    try:
        if not expanded.startswith(SCHEMES):
            raise ValueError(f"uri: what {uri} holds does not begin with postgresql://")
        _check_form(expanded)
    except ValueError as error:
        raise ParamsError(f"{where}.{error}") from None
    return expanded


def database(uri: str) -> str:
    """The name of the database, as the address has it."""
    return unquote(_split(uri).path.lstrip("/")) or "postgresql"


def redacted(message: str, uri: str) -> str:
    """The message without the passwords of the address, encoded or not."""
    for password in _passwords(uri):
        for secret in {password, unquote(password)}:
            message = message.replace(secret, "***")
    return message


def _check_form(uri: str) -> None:
    """What would lead libpq to take a part of a password for something else, and to quote it."""
    parts = _split(uri)
    if parts.netloc.count("@") > 1 or "@" in uri.partition(parts.netloc)[2] or _NOT_ENCODED.search(uri):
        raise ValueError(_ENCODE)


def _split(uri: str) -> SplitResult:
    try:
        if uri.isprintable() and " " not in uri:
            return urlsplit(uri)
    except ValueError:  # whose message quotes the address
        pass
    raise ValueError(_ENCODE)


def _passwords(uri: str) -> list[str]:
    parts = _split(uri)
    user, at, _ = parts.netloc.rpartition("@")
    found = [user.partition(":")[2]] if at else []
    found += [value for key, value in parse_qsl(parts.query) if key in {"password", "sslpassword"}]
    return [password for password in found if password]
