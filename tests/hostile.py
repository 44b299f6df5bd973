"""One nasty corpus for every test that asks what untrusted text can do, and the eye that finds what got through.

`EVIL` goes where a line of text may stand, `LINES` where there may be several, `log_bytes` is what a training script
may print. `poison` writes it into every text of a record. `smuggled` looks at the bytes that reached a terminal.
"""

from __future__ import annotations

import json
import re
import sqlite3
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MARK = "hostile"
"""stands in the corpus as plain text: where it can be read, the rest of the text was shown too"""
PIECES = {
    "clipboard": "\x1b]52;c;ZXZpbA==\x07",
    "window title": "\x1b]0;owned\x1b\\",
    "link": "\x1b]8;;http://evil.example\x1b\\click\x1b]8;;\x1b\\",
    "notification": "\x1b]9;owned\x07\x1b]777;notify;a;b\x07",
    "reset": "\x1bc",
    "screen cleared": "\x1b[2J\x1b[3J",
    "report of the cursor": "\x1b[6n\x1b[c\x1b[21t",
    "colours": "\x1b[5;31m",
    "other screen": "\x1b[?47h",
    "keyboard": "\x1b[?1337h\x1b=",
    "device control": "\x1bP$q\"p\x1b\\\x1b_Ga=T;AAAA\x1b\\\x1b^x\x1b\\\x1bXy\x1b\\",
    "C1 sequence": "\x9b31m\x9d52;c;ZXZpbA==\x9c\x90x\x9c\x85\x84",
    "an opened string": "\x1b]52;c;",
    "old controls": "\x00\x05\x07\x08\x0b\x0c\x0e\x0f\x7f",
    "carriage return": "over\rwritten",
    "bidi": "\u202eesrever\u202c \u2066x\u2069 \u061c\u200e\u200f",
    "zero width": "a\u200b\u200c\u200d\u2060\ufeff\u00ad\u034f\u115f\u3164b",
    "separators": "one\u2028two\u2029three",
    "tags and variation": "\ufe0f\U000e0041\U000e0100\ufff9x\ufffb",
    "marks without end": "e" + "\u0301" * 40,
    "markup": "[/] [b]bold[/b] [@click=app.quit]x[/] [red]{x} $x {0} %s [link=http://evil.example]y[/link]",
    "html": "<script>alert(1)</script>&amp;",
    "wide": "日本語 👩‍👩‍👧",
}  # fmt: skip
EVIL = f"{MARK} {' '.join(PIECES.values())} {MARK}"
LINES = "\n".join([MARK, *PIECES.values(), MARK])
HUGE = int("9" * 4000)
"""longer than any column and any float; python refuses to write one of more than 4,300 digits"""
NESTED = "[" * 100_000
METRICS = (
    '{"step": 1, "t": 0.1, "progress": 0.5, "loss": 2.0}',
    json.dumps({"step": 2, "t": 0.2, "loss": 1e999, EVIL: 1.0, "lr": EVIL}),
    f'{{"step": {HUGE}, "t": {HUGE}, "loss": {HUGE}}}',
    f'{{"step": 3, "loss": {"9" * 5000}}}',
    f'{{"step": 4, "loss": {NESTED}}}',
    json.dumps({"step": 5, "t": "x" * 10_000_000}),
    '{"step": 6, "t": 0.6, "progress": 0.9, "loss": 1.9, "\\ud800": 1, "\\u0000": 2}',
    "null", "[]", "nonsense", '{"step": 7',
)  # fmt: skip
"""lines that a script may write where a curve is expected"""


def log_bytes(*, long: int = 10_000_000) -> bytes:
    """Output of a script: the corpus, bytes that are no UTF-8, lines of `long` characters, no newline at the end."""
    raw = b"\x9b31m\xff\xfe \xc0\xaf \xed\xa0\x80 \xf4\x90\x80\x80 \x90\x9c half: \xe2\x82"
    half = (EVIL.encode() + b" ") * (long // (len(EVIL.encode()) + 1) // 2)
    lines = [*LINES.encode().split(b"\n"), EVIL.encode(), raw, b"x" * long, half, b"", NESTED.encode()]
    return b"\n".join([*lines, *LINES.encode().split(b"\n")]) + b"\n" + raw


# ---- poison --------------------------------------------------------------------------------------------------------

KEPT = re.compile(r"sha|commit|boot|hunks_|\.key$|^patches\.body$|^_")
"""columns that hold hashes or keys; a patch's body belongs to its hash"""
WORD = re.compile(r"[A-Za-z0-9_.+/-]*")


def poison(database: Path) -> set[str]:
    """Adds the corpus to every text of a record that no rule of the schema protects; the columns it got into."""
    db = sqlite3.connect(database)
    db.create_function("poisoned", 1, poisoned)
    triggers = db.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
    for name, _ in triggers:
        db.execute(f"DROP TRIGGER {name}")
    touched = set()
    for table, column in list(_texts(db)):
        try:
            found = db.execute(f"UPDATE {table} SET {column} = poisoned({column}) WHERE {column} IS NOT NULL").rowcount
        except sqlite3.IntegrityError:  # one of a few words, or another row's name
            continue
        if found:
            touched.add(f"{table}.{column}")
    for _, statement in triggers:
        db.execute(statement)
    db.commit()
    db.close()
    return touched


def _texts(db: sqlite3.Connection) -> Iterator[tuple[str, str]]:
    tables = db.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'").fetchall()
    for (table,) in tables:
        foreign = {row[3] for row in db.execute(f"PRAGMA foreign_key_list({table})")}
        for _, column, kind, *_ in db.execute(f"PRAGMA table_info({table})"):
            if kind == "TEXT" and column not in foreign and not KEPT.search(f"{table}.{column}"):
                yield table, column


def poisoned(value: str) -> str:
    """A text with the corpus behind it; of JSON every text in it that is more than one word of the program's own."""
    try:
        parsed = json.loads(value)
    except ValueError:
        return f"{value} {EVIL}"
    if isinstance(parsed, (dict, list)):
        return json.dumps(_leaves(parsed))
    return value


def _leaves(value: Any) -> Any:
    match value:
        case dict():
            return {name: _leaves(one) for name, one in value.items()}
        case list():
            return [_leaves(one) for one in value]
        case str() if not WORD.fullmatch(value):
            return f"{value} {EVIL}\ud800"
    return value


# ---- the eye -------------------------------------------------------------------------------------------------------

OURS = re.compile(
    r"\x1b\[\??[0-9;]*\$p"  # is a mode known?
    r"|\x1b\[\?(?:1|7|25|1000|1002|1003|1004|1006|1015|1016|1049|2004|2026|2031|2048)[hl]"  # modes of a full screen
    r"|\x1b\[[<>=]?[0-9;]*u"  # the kitty keyboard, asked for and given back
    r"|\x1b\[[0-9;]*[HABCDKX]"  # where to write
    r"|\x1b\[2J(?=\x1b\[H)"  # the first frame
    r"|\x1b\]22;[a-z-]+\x07"  # the mouse's shape
    r"|\x1b\[(?:[0-9;:]*)m"  # colours; see `_colours`
)
BLINKS = {"5", "6", "8"}
HIDDEN = ("Cc", "Cf", "Cs", "Zl", "Zp", "Co", "Cn")


def smuggled(written: bytes, *, screen: bool = True) -> list[str]:
    """What of these bytes a terminal would obey or hide and no screen of ours sends; a command sends none at all."""
    try:
        text = written.decode()
    except UnicodeDecodeError as error:
        # a program that was ended in the middle of a frame may leave half a character
        if error.end < len(written) - 3:
            return [f"no UTF-8: {written[max(0, error.start - 20) : error.end + 20]!r}"]
        text = written.decode(errors="ignore")
    found = [match.group() for match in OURS.finditer(text) if not (screen and _is_ours(match.group()))]
    rest = (OURS.sub("", text) if screen else text).replace("\r\n", "\n")
    for match in re.finditer(r"[^ -~\n\t]", rest):
        char = match.group()
        if unicodedata.category(char) in HIDDEN or _fills(char):
            found.append(rest[max(0, match.start() - 12) : match.end() + 20])
    return [repr(each) for each in dict.fromkeys(found)]


def _is_ours(sequence: str) -> bool:
    if not sequence.endswith("m"):
        return True
    codes, at = re.split("[;:]", sequence[2:-1]), 0
    while at < len(codes):
        if codes[at] in ("38", "48"):  # a colour: its numbers are no codes
            at += {"2": 5, "5": 3}.get(codes[at + 1] if at + 1 < len(codes) else "", 1)
        elif codes[at] in BLINKS:
            return False
        else:
            at += 1
    return True


def _fills(char: str) -> bool:
    """Letters and marks that take no room, or look like none."""
    return char in "\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0" or 0xFE00 <= ord(char) <= 0xFE0F
