"""Makes untrusted text safe to show, and writes numbers the way people read them.

Diffs, rationales, logs and board posts are data from a model or from a training script. A terminal obeys control
characters and hides bidirectional and zero-width ones, so every screen and every command shows text through here.
Text is stored raw; only what is shown is changed.
"""

from __future__ import annotations

import math
import re
import unicodedata
from dataclasses import dataclass

LINE_LIMIT = 1_000
"""characters of one log line that are shown"""
UNKNOWN = "–"

# What a terminal obeys or a reader cannot see. `\t` and `\n` are layout and stay. Written as escapes: nobody can
# review a list of invisible characters that is spelled with them. str.isprintable() alone lets variation selectors
# and Hangul fillers pass.
_UNSAFE = re.compile(
    "["
    r"\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0, DEL, C1
    r"\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\uffa0"  # hyphens, joiners and fillers of no width
    r"\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"  # zero width, line separators, bidirectional
    r"\ufe00-\ufe0f\ufff0-\ufffb\U0001d173-\U0001d17a\U000e0000-\U000e0fff"  # variation, annotation, tags
    r"\ud800-\udfff"  # half a character
    "]"
)
_ESCAPE_SEQUENCE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # CSI
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)"  # OSC, DCS, SOS, PM, APC
    r"|\x1b[ -/]*[0-OQ-WYZ\\`-~]"  # ESC x; an opened string that never ends is not swallowed but shown
)


def clean(text: str) -> str:
    """The text with every character a terminal would obey or hide replaced by one visible cell."""
    if text.isascii() and text.isprintable():
        return text
    return _UNSAFE.sub(lambda match: _picture(match.group()) or "\ufffd", text)


def reveal(text: str) -> str:
    """Like `clean`, but hidden characters are named (`⟨U+202E⟩`): for diffs, where each of them matters."""
    if text.isascii() and text.isprintable():
        return text
    return _UNSAFE.sub(lambda match: _picture(match.group()) or f"⟨U+{ord(match.group()):04X}⟩", text)


def _picture(char: str) -> str:
    """The symbol Unicode has for a control character of ASCII; empty for anything else."""
    code = ord(char)
    return chr(0x2400 + code) if code < 0x20 else "\u2421" if code == 0x7F else ""


@dataclass(frozen=True, slots=True)
class Invisible:
    """A character that hides or that a terminal obeys; `line` and `column` count from 1."""

    line: int
    column: int
    char: str

    @property
    def name(self) -> str:
        """`U+202E RIGHT-TO-LEFT OVERRIDE`."""
        controls = {0x1B: "ESCAPE", 0x0D: "CARRIAGE RETURN", 0x08: "BACKSPACE", 0x07: "BELL", 0: "NUL"}
        code = ord(self.char)
        words = unicodedata.name(self.char, controls.get(code, "control character"))
        return f"U+{code:04X} {words}"


def invisible(text: str) -> list[Invisible]:
    """Every suspicious character, in order; a carriage return that ends a line is only a Windows line end."""
    if text.isascii() and text.isprintable():
        return []
    found = []
    for number, line in enumerate(text.split("\n"), 1):
        body = line.removesuffix("\r")
        found += [Invisible(number, match.start() + 1, match.group()) for match in _UNSAFE.finditer(body)]
    return found


def width(text: str) -> int:
    """Terminal cells the text takes: East Asian wide characters two, combining marks none."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.category(char) in ("Mn", "Me") else 2 if unicodedata.east_asian_width(char) in "WF" else 1
        for char in text
    )


def clip(text: str, limit: int) -> str:
    """The text in at most `limit` cells, with `…` where something was cut."""
    if width(text) <= limit:
        return text
    used, kept = 1, ""  # the ellipsis takes one
    for char in text if limit > 0 else "":
        used += width(char)
        if used > limit:
            return kept + "…"
        kept += char
    return ""


def one_line(text: str, limit: int) -> str:
    """Any text as one safe line of at most `limit` cells: for titles, table cells and notifications."""
    # every cell shows at least a part of a character, save marks that combine: four times is ample
    return clip(clean(" ".join(text[: 4 * limit + 64].split())), limit)


def log_lines(chunk: str) -> list[str]:
    """Training output as lines that are safe to show: no colours, no control characters, none longer than 1,000.

    A progress line that ends in `\\r` is replaced by the next one, as on a terminal. The last line is unfinished
    unless the chunk ends in a newline: a caller that streams keeps what follows the last newline for the next chunk.
    """
    lines = chunk.split("\n")
    if not lines[-1]:
        lines.pop()
    return [_log_line(line) for line in lines]


def _log_line(line: str) -> str:
    latest = next((part for part in reversed(line.split("\r")) if part), "")
    # ten megabytes without a newline must not cost more than a screen of them
    shown = clean(_ESCAPE_SEQUENCE.sub("", latest[: 16 * LINE_LIMIT]))
    return shown if len(shown) <= LINE_LIMIT else shown[: LINE_LIMIT - 1] + "…"


def number(value: float | None, digits: int = 4) -> str:
    """A measured number; what is not known shows as `–`, never as 0."""
    if value is None or math.isnan(value):
        return UNKNOWN
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    shown = f"{value:,.{digits}f}"
    return shown.removeprefix("-") if float(shown.replace(",", "")) == 0 else shown


def signed(delta: float | None, digits: int = 4) -> str:
    """A difference with its sign: `-0.0123`, `+0.0040`."""
    shown = number(delta, digits)
    if delta is None or not delta > 0 or float(shown.replace(",", "").replace("∞", "inf")) == 0:
        return shown
    return f"+{shown}"


def duration(seconds: float | None) -> str:
    """`4.2s`, `42s`, `3m12s`, `2h05m`, `3d04h`."""
    if seconds is None or not math.isfinite(seconds):
        return UNKNOWN
    if seconds < 0:
        return f"-{duration(-seconds)}"
    if seconds < 9.95:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    if whole < 86_400:
        return f"{whole // 3600}h{whole % 3600 // 60:02}m"
    return f"{whole // 86_400}d{whole % 86_400 // 3600:02}h"


def ago(seconds: float | None) -> str:
    """How long ago, in one unit: `just now`, `3m ago`, `2h ago`, `5d ago`."""
    if seconds is None or not math.isfinite(seconds):
        return UNKNOWN
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{int(seconds // size)}{unit} ago"
    return f"{int(seconds)}s ago" if seconds >= 10 else "just now"


def bytes_text(count: float | None) -> str:
    """`512 B`, `3.4 MiB`, `139 GiB`."""
    if count is None or not math.isfinite(count):
        return UNKNOWN
    value, unit = float(count), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if abs(value) < 999.5:
            break
        value, unit = value / 1024, larger
    return f"{value:.0f} {unit}" if unit == "B" or abs(value) >= 99.95 else f"{value:.1f} {unit}"
