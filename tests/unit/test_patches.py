"""Patches: read, made, applied, cut down, carried over, checked. Git is the judge of what a patch means."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.errors import PatchError
from core.models import Edit
from core.patches import (
    SIZE_LIMIT,
    Patch,
    apply,
    checking,
    diff,
    from_edits,
    parse,
    problems,
    rebase,
    select,
    syntax_sha256,
)

# few different lines, so that blocks repeat and a wrong place is easily taken for the right one
LINE = st.sampled_from(
    ["", "a", "b", "    return x", "def f():", "-- sql", "++ c", "@@ -1 +1 @@", "\\ no", "é\u2028", "x\r"]
)
TRAIN = "\n".join(f"line_{number} = {number}" for number in range(1, 41)) + "\n"


@st.composite
def edited(draw: st.DrawFn) -> tuple[str, str]:
    """A text and the same with some blocks of lines replaced, each end with or without a newline."""
    before: list[str] = []
    after: list[str] = []
    for _ in range(draw(st.integers(0, 6))):
        same = draw(st.lists(LINE, max_size=8))
        before += same + draw(st.lists(LINE, max_size=2))
        after += same + draw(st.lists(LINE, max_size=2))
    ends = st.sampled_from(["\n", "\n", "", "\n\n"])
    return "\n".join(before) + draw(ends), "\n".join(after) + draw(ends)


def git_apply(patch: Patch, files: Mapping[str, str], directory: Path) -> dict[str, str]:
    """What real git makes of the patch."""
    for path, text in files.items():
        (directory / path).write_bytes(text.encode())
    done = subprocess.run(
        ["git", "-c", "core.autocrlf=false", "apply", "--whitespace=nowarn", "-"],
        cwd=directory,
        input=patch.text.encode(),
        capture_output=True,
        check=False,
        env={**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CEILING_DIRECTORIES": str(directory.parent)},
    )
    assert done.returncode == 0, done.stderr.decode() + patch.text
    return {path.name: path.read_bytes().decode() for path in directory.iterdir() if path.is_file()}


def changed(text: str, **lines: str) -> str:
    """TRAIN-like text with some lines replaced: `changed(TRAIN, line_3="line_3 = 0")`."""
    for name, new in lines.items():
        old = next(line for line in text.split("\n") if line.startswith(f"{name} "))
        text = text.replace(f"{old}\n", f"{new}\n")
    return text


# --- properties ------------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(edited(), st.integers(0, 4))
def test_a_diff_applied_gives_the_new_text_and_reads_back_as_itself(texts: tuple[str, str], context: int) -> None:
    before, after = texts
    patch = diff({"t.py": before}, {"t.py": after}, context)
    assert apply(patch, {"t.py": before}) == {"t.py": after}
    if patch.files:
        assert parse(patch.text) == patch
        assert parse(patch.text).text == patch.text


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(edited(), st.lists(st.booleans(), min_size=20, max_size=20))
def test_any_subset_of_hunks_applies_with_git_and_means_the_same_there(
    tmp_path_factory: pytest.TempPathFactory, texts: tuple[str, str], switches: list[bool]
) -> None:
    before, after = texts
    patch = diff({"t.py": before}, {"t.py": after}, context=1)
    kept = {hunk.index for hunk in patch.hunks if switches[hunk.index]}
    if kept:
        part = select(patch, kept)
        ours = apply(part, {"t.py": before})
        assert git_apply(part, {"t.py": before}, tmp_path_factory.mktemp("git")) == ours
        assert (part.added, part.removed) == (
            sum(line[0] == "+" for hunk in patch.hunks if hunk.index in kept for line in hunk.lines),
            sum(line[0] == "-" for hunk in patch.hunks if hunk.index in kept for line in hunk.lines),
        )


def test_all_sixteen_choices_of_four_hunks_apply_with_git(tmp_path_factory: pytest.TempPathFactory) -> None:
    new = {"line_1": "", "line_12": "line_12 = 0\nmore = 1\nmore = 2", "line_25": "line_25 = 0", "line_40": "last = 1"}
    patch = diff({"t.py": TRAIN}, {"t.py": changed(TRAIN, **new)})
    for choice in range(1, 16):
        kept = [index for index in range(4) if choice >> index & 1]
        expected = changed(TRAIN, **{name: line for index, (name, line) in enumerate(new.items()) if index in kept})
        part = select(patch, kept)
        assert apply(part, {"t.py": TRAIN}) == {"t.py": expected}
        assert git_apply(part, {"t.py": TRAIN}, tmp_path_factory.mktemp("git")) == {"t.py": expected}


@settings(deadline=None)
@given(edited())
def test_applying_loses_no_line_that_the_patch_does_not_remove(texts: tuple[str, str]) -> None:
    before, after = texts
    patch = diff({"t.py": before}, {"t.py": after})
    removed = [line[1:] for hunk in patch.hunks for line in hunk.lines if line[0] == "-"]
    left = apply(patch, {"t.py": before})["t.py"].split("\n")
    for line in set(before.split("\n")) - {""}:
        assert left.count(line) >= before.split("\n").count(line) - removed.count(line)


@settings(deadline=None)
@given(edited(), st.lists(LINE, min_size=1, max_size=3))
def test_rebasing_over_lines_added_elsewhere_is_exact_or_refused_and_keeps_them(
    texts: tuple[str, str], extra: list[str]
) -> None:
    before, after = texts
    patch = diff({"t.py": before}, {"t.py": after})
    onto = "".join(f"# {line} new\n" for line in extra) + before
    if patch.files and patch.hunks[0].old_start > 1:
        rebased = rebase(patch, {"t.py": onto}, {"t.py": before})
        assert not rebased.fuzzy
        assert apply(rebased.patch, {"t.py": onto})["t.py"] == onto.removesuffix(before) + after


@settings(deadline=None)
@given(st.text(st.characters(codec=None), max_size=300))
def test_any_text_is_a_patch_or_a_clear_error(text: str) -> None:
    for candidate in (text, f"--- a/t\n+++ b/t\n@@ -1,2 +1,2 @@\n{text}"):
        try:
            patch = parse(candidate)
        except PatchError:
            continue
        assert parse(patch.text) == patch


# --- reading ---------------------------------------------------------------------------------------------------------

HEAD = "diff --git a/t.py b/t.py\n"
NAMES = "--- a/t.py\n+++ b/t.py\n"
BODY = "@@ -1 +1 @@\n-a\n+b\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no diff"),
        ("hello\nworld\n", "no diff"),
        (HEAD + NAMES + "@@ -1,3 +1 @@\n-a\n+b\n", "line counts"),
        (HEAD + NAMES + "@@ -1 +1 @@\n-a\n+b\n+c\n", "outside the line counts"),
        (HEAD + NAMES + "@@ -x +1 @@\n-a\n+b\n", "hunk header"),
        (HEAD + NAMES + "@@ -1 +1 @@\n a\n", "changes nothing"),
        (HEAD + NAMES + "@@ -5 +5 @@\n-a\n+b\n@@ -5 +5 @@\n-a\n+b\n", "overlaps"),
        (HEAD + BODY, "without the `---`"),
        (HEAD + NAMES, "no hunk"),
        (HEAD + NAMES + BODY + HEAD + NAMES + BODY, "second part"),
        (HEAD + "old mode 100644\nnew mode 100755\n", "mode"),
        (HEAD + "rename from t.py\nrename to u.py\n", "renames"),
        ("diff --git a/t.py b/u.py\nrename from t.py\nrename to u.py\n", "two different files"),
        ("--- a/t.py\n+++ b/u.py\n" + BODY, "renames"),
        (HEAD + "--- a/u.py\n+++ b/u.py\n" + BODY, "header above it"),
        (HEAD + "Binary files a/t.py and b/t.py differ\n", "binary"),
        (HEAD + "index 1..2 100644\nGIT binary patch\nliteral 3\n", "binary"),
        (HEAD + "new file mode 120000\n--- /dev/null\n+++ b/t.py\n@@ -0,0 +1 @@\n+/etc/passwd\n", "symlink"),
        (HEAD + "index 1..2 120000\n" + NAMES + BODY, "symlink"),
        (HEAD + "new file mode 100755\n", "mode"),
        (HEAD + "new file mode 100644\n--- /dev/null\n+++ b/t.py\n@@ -0,0 +1 @@\n+b\n", "creates"),
        (HEAD + "deleted file mode 100644\n--- a/t.py\n+++ /dev/null\n@@ -1 +0,0 @@\n-b\n", "deletes"),
        ("--- a/../t.py\n+++ b/../t.py\n" + BODY, "no path inside"),
        ("--- a//etc/passwd\n+++ b//etc/passwd\n" + BODY, "no path inside"),
        ("--- a/.git/config\n+++ b/.git/config\n" + BODY, "git's own"),
        ("--- a/sub/.GIT/hooks/x\n+++ b/sub/.GIT/hooks/x\n" + BODY, "git's own"),
        ("--- a/t\u202e.py\n+++ b/t\u202e.py\n" + BODY, "not allowed"),
        (HEAD + NAMES + "@@ -1 +1 @@\n-a\n+b\0\n", "NUL"),
        (HEAD + NAMES + "@@ -1 +1 @@\n-a\n+\ud800\n", "surrogate"),
        ("x" * (SIZE_LIMIT + 1), "larger"),
    ],
)  # fmt: skip
def test_what_is_not_a_plain_change_of_text_is_refused_with_its_reason(text: str, says: str) -> None:
    with pytest.raises(PatchError) as refused:
        parse(text)
    assert says in refused.value.message


def test_a_patch_from_git_with_commit_message_index_and_signature_is_read() -> None:
    text = (
        "From 123\nSubject: try\n---\n t.py | 2 +-\n\n" + HEAD + "index 111..222 100644\n" + NAMES
        + "@@ -1,2 +1,2 @@ def f():\n-a\n+b\n c\n-- \n2.39.5\n"
    )  # fmt: skip
    patch = parse(text)
    assert patch.text == HEAD + NAMES + "@@ -1,2 +1,2 @@ def f():\n-a\n+b\n c\n"
    assert patch.hunks[0].section == "def f():"


def test_diffs_of_other_tools_are_read_and_spelled_as_git_does() -> None:
    canonical = HEAD + NAMES + "@@ -1,2 +1,2 @@\n \n-a\n+b\n"
    assert parse("--- t.py\t2026-01-01\n+++ t.py\t2026-01-02\n@@ -1,2 +1,2 @@\n\n-a\n+b\n").text == canonical
    assert parse("--- i/t.py\n+++ w/t.py\n@@ -1,2 +7,2 @@\n \n-a\n+b\n").text == canonical
    assert parse(canonical.replace("\n", "\r\n")).text == canonical
    accented = 'diff --git "a/\\303\\251.py" "b/\\303\\251.py"\n--- "a/\\303\\251.py"\n+++ "b/\\303\\251.py"\n'
    assert parse(accented + BODY).files[0].path == "é.py"


def test_a_hash_names_exactly_one_text() -> None:
    one, two = diff({"t.py": "a\n"}, {"t.py": "b\n"}), diff({"t.py": "a\n"}, {"t.py": "c\n"})
    assert one.sha256 == parse(one.text).sha256 != two.sha256
    assert len(one.sha256) == 64


# --- making ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a", "a\n"),
        ("a\n", "a"),
        ("a\nb", "a\nc"),
        ("a\r\nb\r\n", "a\r\nc\r\n"),
        ("a\r\nb\r\n", "a\nb\n"),
        ("", "a\n"),
        ("a\n", ""),
        ("a\f\u2028b\n", "a\f\u2028c\n"),
    ],
)
def test_line_ends_survive_a_patch_and_git_agrees(before: str, after: str, tmp_path: Path) -> None:
    patch = diff({"t.py": before}, {"t.py": after})
    assert parse(patch.text) == patch
    assert apply(patch, {"t.py": before}) == {"t.py": after}
    assert git_apply(patch, {"t.py": before}, tmp_path) == {"t.py": after}


def test_files_are_created_and_deleted_only_where_that_is_allowed(tmp_path: Path) -> None:
    before = {"old.py": "x\n", "same.py": "s\n"}
    patch = diff(before, {"old.py": None, "new file.py": "n\nm", "empty.py": ""})
    after = {"same.py": "s\n", "new file.py": "n\nm", "empty.py": ""}
    assert parse(patch.text, may_create=True, may_delete=True) == patch
    assert apply(patch, before) == after
    assert git_apply(patch, before, tmp_path) == after
    with pytest.raises(PatchError):
        parse(patch.text)


def test_a_path_left_out_is_left_alone() -> None:
    assert diff({"a.py": "a\n", "b.py": "b\n"}, {"a.py": "a\n"}).files == ()
    assert diff({"a.py": "a\n"}, {"a.py": "a\n"}).text == ""


def test_a_new_function_is_shown_whole_and_not_shifted_into_its_neighbours() -> None:
    before = "def f():\n    return x\n\n\ndef h():\n    return x\n"
    after = "def f():\n    return x\n\n\ndef g():\n    return x\n\n\ndef h():\n    return x\n"
    added = [line for line in diff({"t.py": before}, {"t.py": after}).hunks[0].lines if line[0] == "+"]
    assert added == ["+def g():", "+    return x", "+", "+"]


def test_the_hunk_header_names_the_definition_above() -> None:
    before = "class GPT:\n    def forward(self, x):\n" + "        x = x\n" * 10 + "        return x\n"
    patch = diff({"t.py": before}, {"t.py": before.replace("return x", "return 2 * x")})
    assert patch.hunks[0].section == "def forward(self, x):"


def test_content_git_would_call_binary_is_refused() -> None:
    with pytest.raises(PatchError, match="NUL"):
        diff({"t.py": "a"}, {"t.py": "a\0"})
    with pytest.raises(PatchError, match="surrogate"):
        diff({"t.py": "a"}, {"t.py": "\udc80"})


# --- edits -----------------------------------------------------------------------------------------------------------


def test_edits_apply_in_order_and_only_changed_files_come_back() -> None:
    files = {"train.py": "lr = 1\nwd = 2\n", "other.py": "x\n"}
    edits = [Edit("train.py", "lr = 1", "lr = 3"), Edit("train.py", "lr = 3\nwd", "lr = 4\nwd")]
    assert from_edits(files, edits) == {"train.py": "lr = 4\nwd = 2\n"}


@pytest.mark.parametrize(
    ("search", "says"),
    [
        ("line_1", "occurs 11 times (lines 1, 10, 11"),
        ("  line_7 = 7", "line 7 is 'line_7 = 7' and `search` has '  line_7 = 7' (indentation or spaces differ)"),
        ("line_7 = 7\nline_8 = 9\nline_9 = 9", "line 8 is 'line_8 = 8' and `search` has 'line_8 = 9'"),
        ("lime_13 = 13", "nearest line is 13: 'line_13 = 13'"),
        ("#" * 30, "nothing in the file is like it"),
        ("", "empty"),
    ],
)
def test_an_edit_that_does_not_fit_tells_the_model_what_is_there_instead(search: str, says: str) -> None:
    with pytest.raises(PatchError) as refused:
        from_edits({"train.py": TRAIN}, [Edit("train.py", search, "y")])
    assert says in refused.value.message


def test_all_edits_that_fail_are_reported_at_once_and_overlapping_matches_count() -> None:
    edits = [
        Edit("train.py", "nope", "x"),
        Edit("gone.py", "a", "b"),
        Edit("train.py", "aa", "b"),
        Edit("train.py", "a", "a"),
    ]
    with pytest.raises(PatchError) as refused:
        from_edits({"train.py": "aaa\n"}, edits)
    assert refused.value.message.startswith("4 of 4 edits do not apply:")
    for says in ("edit 1 (train.py)", "no such file; files: train.py", "occurs 2 times", "are the same"):
        assert says in refused.value.message


# --- applying --------------------------------------------------------------------------------------------------------


def test_a_patch_for_other_lines_is_refused_and_told_where_they_are() -> None:
    patch = diff({"t.py": TRAIN}, {"t.py": changed(TRAIN, line_20="line_20 = 0")})
    with pytest.raises(PatchError) as refused:
        apply(patch, {"t.py": "new\n" + TRAIN})
    assert "Hunk 1 of the patch does not apply to t.py, line 17" in refused.value.message
    assert "'line_17 = 17' and finds 'line_16 = 16'" in refused.value.message
    assert "at line 18" in refused.value.hint


def test_a_patch_for_changed_lines_names_the_nearest_ones() -> None:
    patch = diff({"t.py": TRAIN}, {"t.py": changed(TRAIN, line_20="line_20 = 0")})
    with pytest.raises(PatchError) as refused:
        apply(patch, {"t.py": changed(TRAIN, line_20="line_20 = 2000")})
    assert refused.value.hint == "The nearest is line 20: 'line_20 = 2000'."


def test_a_patch_for_unix_lines_says_so_on_windows_lines() -> None:
    patch = diff({"t.py": "a\n"}, {"t.py": "b\n"})
    with pytest.raises(PatchError) as refused:
        apply(patch, {"t.py": "a\r\n"})
    assert "line end differs" in refused.value.hint


@pytest.mark.parametrize("files", [{}, {"other.py": "a\n"}, {"t.py": ""}])
def test_a_patch_for_a_file_that_is_not_there_is_refused(files: dict[str, str]) -> None:
    with pytest.raises(PatchError):
        apply(diff({"t.py": "a\n"}, {"t.py": "b\n"}), files)


def test_text_after_a_last_line_without_newline_is_refused() -> None:
    patch = parse(HEAD + NAMES + "@@ -1 +1 @@\n-a\n+b\n\\ No newline at end of file\n")
    with pytest.raises(PatchError, match="lines follow"):
        apply(patch, {"t.py": "a\nc\n"})


def test_switching_hunks_out_keeps_the_others_at_their_place() -> None:
    after = changed(TRAIN, line_2="line_2 = 0\nextra = 1", line_20="line_20 = 0", line_39="line_39 = 0")
    patch = diff({"t.py": TRAIN}, {"t.py": after})
    part = select(patch, [1])
    assert [hunk.index for hunk in part.hunks] == [0]
    assert part.hunks[0].header.startswith("@@ -17,7 +17,7 @@")
    assert apply(part, {"t.py": TRAIN}) == {"t.py": changed(TRAIN, line_20="line_20 = 0")}
    assert select(patch, [0, 1, 2]) == patch
    assert select(patch, []).text == ""
    with pytest.raises(PatchError, match="no hunk 8"):
        select(patch, [7])


# --- rebasing --------------------------------------------------------------------------------------------------------


def test_a_hunk_whose_lines_moved_is_carried_exactly() -> None:
    patch = diff({"t.py": TRAIN}, {"t.py": changed(TRAIN, line_20="line_20 = 0")})
    onto = changed(TRAIN, line_3="line_3 = 3\nnew = 1\nnew = 2")
    rebased = rebase(patch, {"t.py": onto}, {"t.py": TRAIN})
    assert not rebased.fuzzy
    assert apply(rebased.patch, {"t.py": onto})["t.py"] == changed(onto, line_20="line_20 = 0")


def test_a_hunk_in_a_repeated_block_stays_with_its_own_copy() -> None:
    block = "def f():\n    a = 1\n    b = 2\n    c = 3\n    return a\n\n\n"
    before = block * 3
    after = block + block.replace("b = 2", "b = 5") + block
    rebased = rebase(diff({"t.py": before}, {"t.py": after}), {"t.py": "import os\n\n\n" + before}, {"t.py": before})
    assert apply(rebased.patch, {"t.py": "import os\n\n\n" + before})["t.py"] == "import os\n\n\n" + after
    assert not rebased.fuzzy


def test_a_hunk_whose_surroundings_changed_is_placed_by_likeness_and_said_to_be() -> None:
    patch = diff({"t.py": TRAIN}, {"t.py": changed(TRAIN, line_20="line_20 = 0")})
    onto = changed(TRAIN, line_19="line_19 = 190", line_1="line_1 = 1\nnew = 1")
    rebased = rebase(patch, {"t.py": onto}, {"t.py": TRAIN})
    assert rebased.fuzzy
    assert apply(rebased.patch, {"t.py": onto})["t.py"] == changed(onto, line_20="line_20 = 0")


def test_a_hunk_whose_place_is_gone_is_refused() -> None:
    patch = diff({"t.py": TRAIN}, {"t.py": changed(TRAIN, line_20="line_20 = 0")})
    lines = TRAIN.split("\n")
    onto = "\n".join([*lines[:10], *["something_else(entirely, different)"] * 20, *lines[30:]])
    with pytest.raises(PatchError, match="no longer fits"):
        rebase(patch, {"t.py": onto}, {"t.py": TRAIN})


def test_a_loose_fit_that_breaks_the_file_is_refused() -> None:
    before = "x = f(\n    a,\n    b,\n)\ny = 1\n"
    patch = diff({"t.py": before}, {"t.py": before.replace("    b,\n)", "    b,\n    c,\n)")})
    onto = "x = f(\n    a,\n    b) \ny = 1\n"
    with pytest.raises(PatchError):
        rebase(patch, {"t.py": onto}, {"t.py": before})


def test_a_change_that_is_already_there_leaves_nothing() -> None:
    after = changed(TRAIN, line_20="line_20 = 0")
    patch = diff({"t.py": TRAIN}, {"t.py": after})
    with pytest.raises(PatchError, match="already there"):
        rebase(patch, {"t.py": "new\n" + after}, {"t.py": TRAIN})


def test_half_of_a_change_that_is_already_there_leaves_the_other_half_and_says_so() -> None:
    patch = diff({"t.py": TRAIN}, {"t.py": changed(TRAIN, line_5="line_5 = 0", line_30="line_30 = 0")})
    rebased = rebase(patch, {"t.py": changed(TRAIN, line_5="line_5 = 0")}, {"t.py": TRAIN})
    assert rebased.fuzzy
    assert [hunk.old_start for hunk in rebased.patch.hunks] == [27]


def test_a_file_that_came_or_went_meanwhile_stops_a_rebase() -> None:
    creates = diff({}, {"n.py": "x\n"})
    assert rebase(creates, {"t.py": "a\n"}, {}).patch == creates
    with pytest.raises(PatchError, match="exists by now"):
        rebase(creates, {"n.py": "y\n"}, {})
    with pytest.raises(PatchError, match="gone by now"):
        rebase(diff({"t.py": "a\n"}, {"t.py": "b\n"}), {}, {"t.py": "a\n"})


# --- checking --------------------------------------------------------------------------------------------------------


def test_a_good_patch_has_no_problems() -> None:
    files = {"train.py": TRAIN, "config/a.yaml": "lr: 1\n"}
    patch = diff(files, {"train.py": changed(TRAIN, line_4='line_4 = "\\d"'), "config/a.yaml": "lr: {\n"})
    assert problems(patch, files, ["train.py", "config/*.yaml"]) == []


@pytest.mark.parametrize(
    ("new", "says"),
    [
        ("line_4 = = 4", "train.py is not valid Python, line 4"),
        ("line_4 = '\u202e'", "train.py line 4 holds an invisible character: U+202E RIGHT-TO-LEFT OVERRIDE"),
        ("line_4 = '\x1b]52;c;x'", "U+001B ESCAPE"),
        ("return 4", "'return' outside function"),
        ("line_4 = " + "(" * 500 + ")" * 500, "train.py is not valid Python"),
        ("line_4 = " + "-" * 100_000 + "1", "train.py is not valid Python"),
    ],
)
def test_a_patch_that_cannot_run_says_why_and_where(new: str, says: str) -> None:
    files = {"train.py": TRAIN}
    (problem,) = problems(diff(files, {"train.py": changed(TRAIN, line_4=new)}), files, ["train.py"])
    assert says in problem


def test_frozen_files_stale_parents_and_empty_patches_are_problems() -> None:
    files = {"train.py": TRAIN, "evaluate.py": "x = 1\n"}
    patch = diff(files, {"evaluate.py": "x = 2\n"})
    assert problems(patch, files, ["train.py"]) == [
        "It changes evaluate.py, which is not editable (editable: train.py)."
    ]
    assert "does not apply" in problems(patch, {"evaluate.py": "y = 1\n"}, ["*.py"])[0]
    assert problems(Patch(()), files, ["train.py"]) == ["The patch changes nothing."]
    created = diff(files, {"new.py": "x = 1\n"})
    assert problems(created, files, ["*.py"]) == ["It creates new.py; only the text of files may change."]
    assert problems(created, files, ["*.py"], may_create=True) == []


@pytest.mark.parametrize("depth", [100, 1_000, 3_000, 50_000])
def test_a_file_nested_beyond_reason_is_handled_like_any_other(depth: int) -> None:
    files = {"train.py": f"x = {'1+' * depth}1\n"}
    patch = diff(files, {"train.py": f"x = {'1+' * depth}2\n"})
    assert len(problems(patch, files, ["train.py"])) <= 1
    assert syntax_sha256(files) != syntax_sha256(apply(patch, files))


def test_patches_that_mean_the_same_have_the_same_syntax_hash() -> None:
    base = {"t.py": '"""Doc."""\ndef f(x):\n    """What."""\n    return x + 1e-3\n', "a.txt": "x"}
    same = {"t.py": "def f( x ):  # comment\n\n    return (x + 0.001)\n", "a.txt": "x"}
    assert syntax_sha256(base) == syntax_sha256(same)
    assert syntax_sha256(base) != syntax_sha256({**base, "t.py": base["t.py"].replace("1e-3", "1e-2")})
    assert syntax_sha256(base) != syntax_sha256({**base, "a.txt": "y"})
    assert syntax_sha256({"t.py": "x = ("}) != syntax_sha256({"t.py": "x = (("})


def test_a_change_beside_a_line_that_the_champion_changed_is_carried_exactly() -> None:
    patch = diff({"t.py": TRAIN}, {"t.py": changed(TRAIN, line_20="line_20 = 0")})
    onto = changed(TRAIN, line_22="line_22 = 0")
    rebased = rebase(patch, {"t.py": onto}, {"t.py": TRAIN})
    assert not rebased.fuzzy
    assert apply(rebased.patch, {"t.py": onto})["t.py"] == changed(onto, line_20="line_20 = 0")


@given(
    st.sets(st.integers(0, 29), min_size=1, max_size=4),
    st.sets(st.integers(0, 29), min_size=1, max_size=4),
    st.sampled_from(["change", "delete", "grow"]),
)
@settings(max_examples=40, deadline=None)
def test_an_exact_rebase_is_what_git_merge_gives(mine: set[int], theirs: set[int], how: str) -> None:
    base = [f"x{i} = {i}\n" for i in range(30)]

    def edited(where: set[int], mark: str) -> str:
        line = {"change": "x{i} = {mark}\n", "delete": "", "grow": "x{i} = {i}\n{mark}{i} = 0\n"}[how]
        return "".join(line.format(i=i, mark=mark) if i in where else base[i] for i in range(30))

    before, after, onto = "".join(base), edited(mine, "7"), edited(theirs, "8")
    if how == "grow":
        after, onto = edited(mine, "a"), edited(theirs, "b")
    try:
        rebased = rebase(diff({"t.py": before}, {"t.py": after}), {"t.py": onto}, {"t.py": before})
    except PatchError:
        return
    if rebased.fuzzy:
        return
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / name for name in ("onto", "base", "after")]
        for path, text in zip(paths, (onto, before, after), strict=True):
            path.write_text(text)
        merged = subprocess.run(
            ["git", "merge-file", "-p", *map(str, paths)], capture_output=True, text=True, check=False
        )
    if merged.returncode == 0:
        assert apply(rebased.patch, {"t.py": onto})["t.py"] == merged.stdout


def test_a_text_is_read_again_when_another_thread_was_making_a_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    failures = [SystemError("AST constructor recursion depth mismatch")] * 2

    def interrupted(*arguments: Any, **more: Any) -> Any:
        if failures:
            raise failures.pop()
        return compile(*arguments, **more)

    monkeypatch.setattr(checking, "compile", interrupted, raising=False)
    assert checking.python_tree("A = 1").body
    assert not failures
