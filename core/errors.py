"""The one error tree. What a person reads says what happened, what is safe, and the next key or command."""

from __future__ import annotations


class LabError(Exception):
    """Something a person can act on: `message` says what happened, `hint` what to do next."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  {self.hint}" if self.hint else self.message


class ConfigError(LabError):
    """autoresearch.toml is wrong; the message names the file and the key."""


class StoreError(LabError):
    """lab.db cannot be used as it is."""


class PatchError(LabError):
    """A patch that cannot be read or does not apply."""


class WorkspaceError(LabError):
    """Git refused."""


class Refused(LabError):
    """The engine refuses a request (stale patch, wrong state, unknown id); nothing was changed."""


class ResearcherError(LabError):
    """The researcher failed to propose; the engine goes on and tries again later."""
