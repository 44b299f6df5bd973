"""A patch as rows: numbered, safe, and with the changed words marked."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from core.patches import Patch, apply, diff, parse, select
from tui.render.diff_lines import Line, Lines, pieces_of
from tui.render.diff_rows import Row, RowKind, Rows, rows, split_rows
from tui.widgets.diff_line import matches

SOURCE = """\
import torch

LR = 0.04


class GPT(nn.Module):
    def __init__(self):
        self.a = 1

    @torch.no_grad()
    def init_weights(self):
        nn.init.normal_(self.embed.weight, std=EMBED_STD)
        nn.init.zeros_(self.head.weight)


def main():
    run = Harness.from_env()
    for batch in run.batches():
        run.log(loss=loss)
"""


def patch_of(*changes: tuple[str, str], source: str = SOURCE, context: int = 3) -> Patch:
    after = source
    for old, new in changes:
        assert old in after
        after = after.replace(old, new)
    return diff({"train.py": source}, {"train.py": after}, context)


def marked(row: Row) -> list[str]:
    return [row.text[start:end] for start, end in row.spans]


def shown(found: Sequence[Row], kind: RowKind) -> list[str]:
    return [row.text for row in found if row.kind is kind]


def test_rows_number_both_sides_and_say_what_each_line_is() -> None:
    found = rows(patch_of(("LR = 0.04", "LR = 0.02\nWD = 0.1"), context=1), {"train.py": SOURCE})
    assert [(row.kind.value, row.old_no, row.new_no, row.text) for row in found] == [
        ("file", None, None, "train.py  +2 -1"),
        ("hunk", None, None, "hunk 1/1  line 3  +2 -1"),
        ("context", 2, 2, ""),
        ("removed", 3, None, "LR = 0.04"),
        ("added", None, 3, "LR = 0.02"),
        ("added", None, 4, "WD = 0.1"),
        ("context", 4, 5, ""),
    ]
    assert {row.hunk for row in found[1:]} == {0}


def test_switching_a_hunk_out_moves_the_numbers_after_it_back() -> None:
    patch = patch_of(("LR = 0.04", "LR = 0.02\nWD = 0.1"), ("loss=loss", "loss=2"), context=1)
    kept = rows(patch, {"train.py": SOURCE}, {1})
    alone = rows(select(patch, [1]), {"train.py": SOURCE})
    assert [row.new_no for row in kept if row.hunk == 1] == [row.new_no for row in alone if row.hunk == 0]
    assert [row.new_no for row in kept if row.hunk == 0 and row.kind is RowKind.ADDED] == [None, None]
    assert {row.kept for row in kept if row.hunk == 0} == {False}
    assert {row.kept for row in kept if row.hunk == 1} == {True}


def test_hunk_headers_name_the_class_or_function_around_the_change() -> None:
    def header(old: str, new: str) -> str:
        return shown(rows(patch_of((old, new)), {"train.py": SOURCE}), RowKind.HUNK)[0]

    assert " in GPT.init_weights " in header("zeros_", "ones_")
    assert " in GPT.init_weights " in header("@torch.no_grad()", "@torch.inference_mode()")
    assert " in GPT " in header("        self.a = 1\n", "        self.a = 1\n\n    def extra(self):\n        pass\n")
    assert " in main " in header("run.log(loss=loss)\n", "run.log(loss=loss)\n        run.more()\n")
    assert " in " not in header("run.log(loss=loss)\n", "run.log(loss=loss)\n\n\nmain()\n")
    assert " in " not in header("LR = 0.04", "LR = 0.02")


def test_without_the_old_file_the_header_of_git_must_do() -> None:
    patch = patch_of(("run.log", "run.lag"), context=1)
    assert " in def main(): " in rows(patch)[1].text
    assert " in def main(): " in rows(patch, {"train.py": "def broken(:\n"})[1].text


def test_only_the_words_that_differ_are_marked() -> None:
    found = rows(patch_of(("std=EMBED_STD)", "std=0.5 * EMBED_STD)"), ("LR = 0.04", "LR = 0.02")), {})
    removed = [row for row in found if row.kind is RowKind.REMOVED]
    added = [row for row in found if row.kind is RowKind.ADDED]
    assert [marked(row) for row in removed] == [["04"], []]
    assert [marked(row) for row in added] == [["02"], ["0.5 * "]]
    assert [found[row.mate or 0] for row in removed] == added


def test_lines_that_have_little_in_common_are_not_paired() -> None:
    found = rows(patch_of(("        nn.init.zeros_(self.head.weight)\n", "        return [x for y in z]\n")), {})
    assert [row.spans for row in found] == [()] * len(found)
    assert all(row.mate is None for row in found)


def test_a_changed_line_finds_its_partner_past_inserted_ones() -> None:
    new = "    # a longer plan\n    first = 1\n    run = Harness.from_env(strict=True)\n"
    found = rows(patch_of(("    run = Harness.from_env()\n", new)), {})
    (removed,) = [row for row in found if row.kind is RowKind.REMOVED]
    assert found[removed.mate or 0].text == "    run = Harness.from_env(strict=True)"
    assert marked(found[removed.mate or 0]) == ["strict=True"]


def test_hostile_text_is_shown_and_marked_where_it_is_seen() -> None:
    found = rows(patch_of(("LR = 0.04", "LR = 0.04\u202e\x1b]52;c;x\x07")), {})
    (added,) = [row for row in found if row.kind is RowKind.ADDED]
    assert added.text == "LR = 0.04⟨U+202E⟩␛]52;c;x␇"
    assert marked(added) == ["⟨U+202E⟩␛]52;c;x␇"]


def test_tabs_are_expanded_and_endless_lines_cut() -> None:
    source = "a\tb\nlast\n"
    found = rows(diff({"t.py": source}, {"t.py": source.replace("last", "x" * 5000 + "\ny")}), {})
    assert shown(found, RowKind.CONTEXT) == ["a   b"]
    assert [len(text) for text in shown(found, RowKind.ADDED)] == [5000, 1]
    source = "x" * 50_000 + "\nlast\n"
    found = rows(diff({"t.py": source}, {"t.py": source.replace("last", "y" * 50_000)}), {})
    assert shown(found, RowKind.CONTEXT) == ["x" * 1000 + "… and 49,000 more characters"]
    assert shown(found, RowKind.ADDED) == ["y" * 20_000 + "… and 30,000 more characters"]


def test_a_missing_newline_and_new_or_deleted_files_are_said() -> None:
    patch = diff({"a.py": "x", "b.py": "y\n"}, {"a.py": "x\n", "b.py": None, "c.py": "z\n"})
    found = rows(patch, {})
    assert shown(found, RowKind.FILE) == ["a.py  +1 -1", "b.py (deleted)  +0 -1", "c.py (new file)  +1 -0"]
    assert [row.kind.value for row in found[:5]] == ["file", "hunk", "removed", "nonewline", "added"]
    assert not rows(Patch(()))


def test_two_columns_put_changed_lines_side_by_side() -> None:
    text = """\
--- a/t.py
+++ b/t.py
@@ -1,5 +1,5 @@
 same
-alpha = one(1)
-gone entirely
-omega = last(9)
+brand new
+alpha = one(2)
+omega = last(8)
 end
\\ No newline at end of file
"""
    found = split_rows(rows(parse(text), {}))
    assert [(left and left.text, right and right.text) for left, right in found[2:]] == [
        ("same", "same"),
        (None, "brand new"),
        ("alpha = one(1)", "alpha = one(2)"),
        ("gone entirely", None),
        ("omega = last(9)", "omega = last(8)"),
        ("end", "end"),
        ("no newline at end of file", "no newline at end of file"),
    ]
    assert found[0][0] is found[0][1]


LONG = "    y = [" + ", ".join(map(str, range(30))) + "]"
LINE = st.sampled_from(
    ["", "x = 1", "x = 2", "    return x + y", "    return x - y", "def f():", "\tz\u200b", "other", LONG, LONG + "  #"]
)


@settings(deadline=None)
@given(st.lists(LINE, max_size=25), st.lists(LINE, max_size=25), st.sets(st.integers(0, 4)))
def test_rows_hold_every_line_of_both_files_in_order(before: list[str], after: list[str], kept: set[int]) -> None:
    files = {"t.py": "".join(f"{line}\n" for line in before)}
    patch = diff(files, {"t.py": "".join(f"{line}\n" for line in after)}, context=100)
    kept &= {hunk.index for hunk in patch.hunks}
    found = rows(patch, files, kept)
    assert [row.old_no for row in found if row.old_no] == ([*range(1, len(before) + 1)] if patch.files else [])
    result = apply(select(patch, kept), files)["t.py"].count("\n")
    numbers = [row.new_no for row in found if row.new_no]
    if kept:
        assert numbers == [*range(1, result + 1)]
    for index, row in enumerate(found):
        assert all(0 <= start < end <= len(row.text) for start, end in row.spans)
        assert row.mate is None or found[row.mate].mate == index
    for column, side in ((0, RowKind.REMOVED), (1, RowKind.ADDED)):
        ours = [pair[column] for pair in split_rows(found)]
        assert [row for row in ours if row] == [row for row in found if row.kind in (side, *list(RowKind)[:3])]


FILES = st.lists(LINE, max_size=40)


@settings(deadline=None)
@given(FILES, FILES, st.booleans(), st.booleans(), st.sampled_from([0, 24, 61]))
def test_lines_are_counted_as_they_are_made(
    before: list[str], after: list[str], end: bool, split: bool, room: int
) -> None:
    texts = ["\n".join(lines) + "\n" * (end and bool(lines)) for lines in (before, after)]
    patch = diff({"t.py": texts[0]}, {"t.py": texts[1]}, context=1)
    found = rows(patch)
    lines = Lines(found, split=split, room=room)
    counted = len(lines)

    def broken(found: Rows) -> list[Line]:
        pairs = split_rows(list(found)) if split else [(row, row) for row in found]
        parts = [max(len(pieces_of(row, room)) for row in pair if row) for pair in pairs]
        return [Line(*pair, piece) for pair, count in zip(pairs, parts, strict=True) for piece in range(count)]

    made = broken(found)
    assert [lines[at] for at in range(len(made))] == made
    assert counted == len(made)
    hunks = [row.hunk for line in made if (row := line.left or line.right)]
    assert [lines.hunk(at) for at in range(counted)] == hunks
    assert lines.heads == [hunks.index(hunk) for hunk in range(found.hunks)]
    assert lines.ends == [counted - 1 - hunks[::-1].index(hunk) for hunk in range(found.hunks)]
    assert found.hunks == len(patch.hunks)
    some = found.keeping(range(0, found.hunks, 2))
    others = lines.of(some)
    assert [others[at] for at in range(counted)] == broken(some)
    assert max((part.highest for part in found.parts), default=0) == max(
        (max(row.old_no or 0, row.new_no or 0) for row in found), default=0
    )


@settings(deadline=None)
@given(FILES, FILES, st.sampled_from(["x", "X", "return", "f()", "Hunk", "hunk 2", "\u2028", "U+200B", "t.py", "file"]))
def test_words_are_found_in_every_line_that_shows_them(before: list[str], after: list[str], words: str) -> None:
    patch = diff({"t.py": "\n".join(before)}, {"t.py": "\n".join(after)}, context=1)
    every = [at for at, row in enumerate(rows(patch)) if matches(row.text, words)]
    for start in {0, *every, *([len(rows(patch)) - 1] if patch.files else [])} if patch.files else ():
        for step, backwards in ((1, False), (-1, True)):
            found = rows(patch)
            around = [at for at in Lines(found, split=False).around(start, words, backwards=backwards)]
            order = sorted(around, key=lambda at: (step * (at - start) <= 0, step * at))
            assert around == order
            assert [at for at in around if at in every] == [at for at in order if matches(found[at].text, words)]
            assert set(every) <= set(around)


def test_only_the_hunks_that_are_looked_at_are_made() -> None:
    text = "".join(f"value_{number} = {number}\n" for number in range(400))
    patch = diff({"t.py": text}, {"t.py": text.replace("0 = ", "0 =  ")})
    found = rows(patch)
    for split in (False, True):
        lines = Lines(found, split=split)
        assert len(lines) > 200
        assert list(lines.around(0, "nowhere")) == [0]  # the name of the file
        assert not found.made
    found.prepare(12)
    assert found.made == 3
