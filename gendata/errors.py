"""Errors that a user can act on. Anything else that is raised is a bug and keeps its traceback.

GendataError            one line, exit 1
├── ParamsError         params.yaml: section, key, what is allowed
├── ProjectError        no project here, or the store is not built
├── QueryError          bad SQL, unknown id, unreadable query
└── StoreError          what is on disk does not hold together
"""

import errno

REFUSED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""What the machine refuses, whoever asks: no permission, a read-only or a full disk. No bug of ours."""


class GendataError(Exception):
    """An expected error: the message is one line that names the item and the reason."""


class ParamsError(GendataError):
    """A value in params.yaml is unknown, missing or of the wrong type."""


class ProjectError(GendataError):
    """There is no project here, or a part of it is not built yet."""


class QueryError(GendataError):
    """What was asked for cannot be answered: bad SQL, an unknown id, an unreadable file."""


class StoreError(GendataError):
    """Artifacts or stores do not hold together."""
