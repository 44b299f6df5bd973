"""The one error of this package."""

from __future__ import annotations

import errno


class DataError(Exception):
    """Preparation cannot go on: what happened, and in `hint` what to do about it."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def from_os_error(error: OSError, doing: str) -> DataError:
    """A `DataError` that says in words what the operating system refused while `doing` something."""
    where = f": {error.filename}" if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DataError(
            f"the disk is full while {doing}{where}",
            "free some space, or put the cache elsewhere (--cache DIR or AUTORESEARCH_CACHE); what was done is kept",
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return DataError(f"permission denied while {doing}{where}", "check who owns it, and who may read it")
    if error.errno == errno.EROFS:
        return DataError(f"the file system is read-only while {doing}{where}", "choose another place with --cache DIR")
    return DataError(f"{error.strerror or error} while {doing}{where}")
