"""The key of the model's endpoint: where it comes from, and how it is kept out of everything else.

It is read from the environment or from a file of mode 0600, and lives in one object of the engine's memory. It is
removed from the environment, so that no child inherits it, and from the memory the kernel shows as /proc/PID/environ;
the process is made undumpable, so that nobody of the same user can read its memory. Nothing prints a `Secret`.
"""

from __future__ import annotations

import ctypes
import os
import stat
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

from core.errors import ConfigError

VARIABLES = {"ANTHROPIC_API_KEY": "api_key", "ANTHROPIC_AUTH_TOKEN": "auth_token"}
"""variable -> the argument of the SDK's client it stands for; the first that is set counts"""
HEADERS = "ANTHROPIC_CUSTOM_HEADERS"
"""lines of `Name: value` that the SDK adds to each request: gateways have their keys in them"""
PR_SET_DUMPABLE = 4
SIZE_LIMIT = 4096
HIDDEN_FROM = 8
"""characters of a header's value from which it may be a key"""


@dataclass(frozen=True, slots=True)
class Secret:
    """A key and where it came from."""

    value: str = field(repr=False)
    source: str
    """`ANTHROPIC_API_KEY`, or the file's path: what a person has to look at"""
    argument: str = "api_key"
    """`api_key`, or `auth_token` for a gateway that wants one"""
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """more headers that a gateway wants, which may hold keys of their own"""

    def __str__(self) -> str:
        return f"the key from {self.source}"

    def redact(self, text: str) -> str:
        """The text without the key: an endpoint may repeat it in what it complains about."""
        for hidden in (self.value, *(value for _, value in self.headers if len(value) >= HIDDEN_FROM)):
            text = text.replace(hidden, "[key]") if hidden else text
        return text


def default_file() -> Path:
    """Where a key lies that belongs to no single lab."""
    base = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(base).expanduser() / "autoresearch-tui" / "anthropic.key"


def find(key_file: str = "") -> Secret | None:
    """The key, from the environment or else from its file; None where there is neither. Nothing is changed.

    Raises:
        ConfigError: the file is there but others may read it, or it holds no key; or `key_file` names no file.
    """
    for variable, argument in VARIABLES.items():
        if value := os.environ.get(variable, "").strip():
            return Secret(value, variable, argument, custom_headers())
    file = Path(key_file).expanduser() if key_file else default_file()
    if not key_file and not file.exists():
        return None
    return replace(read(file), headers=custom_headers())


def custom_headers() -> tuple[tuple[str, str], ...]:
    """What `HEADERS` holds, read as the SDK reads it."""
    pairs = (line.partition(":") for line in os.environ.get(HEADERS, "").splitlines())
    return tuple((name.strip(), value.strip()) for name, colon, value in pairs if colon and name.strip())


def take(key_file: str = "") -> Secret | None:
    """Like `find`; afterwards the environment holds no key and the process's memory cannot be read by others."""
    try:
        return find(key_file)
    finally:
        for variable in (*VARIABLES, HEADERS):
            forget(variable)
        harden()


def set_aside() -> dict[str, str]:
    """The variables that hold keys, taken out of this process's environment; for the engine that it starts."""
    keys = {variable: os.environ[variable] for variable in (*VARIABLES, HEADERS) if variable in os.environ}
    for variable in keys:
        forget(variable)
    harden()
    return keys


def read(path: Path) -> Secret:
    """The key in a file.

    Raises:
        ConfigError: it cannot be read, is open to others, or is empty or too long for a key.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(SIZE_LIMIT + 1)
    except OSError as error:
        raise ConfigError(f"the key file {path} cannot be read: {error.strerror}", hint=HOW) from error
    if not stat.S_ISREG(mode) or mode & 0o077:
        raise ConfigError(f"the key file {path} may be read by others", hint=f"chmod 600 {path}")
    words = text.decode("utf-8", errors="replace").split()
    if len(words) != 1 or len(text) > SIZE_LIMIT or not words[0].isascii() or not words[0].isprintable():
        raise ConfigError(f"the key file {path} does not hold one key and nothing else", hint=HOW)
    return Secret(words[0], str(path))


HOW = "export ANTHROPIC_API_KEY=…, or write the key alone into ~/.config/autoresearch-tui/anthropic.key (chmod 600)"


def forget(variable: str) -> None:
    """Remove a variable from the environment and, on Linux, its value from the block in /proc/PID/environ."""
    if variable not in os.environ:
        return
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        libc.getenv.restype = ctypes.c_void_p
        if address := libc.getenv(variable.encode()):
            ctypes.memset(address, 0, len(ctypes.string_at(address)))
    del os.environ[variable]


def harden() -> bool:
    """Make the process undumpable: no core file, and no other process of this user reads its memory. Linux only."""
    if sys.platform != "linux":
        return False
    return bool(ctypes.CDLL(None, use_errno=True).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0)
