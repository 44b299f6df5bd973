"""The notebook's pages: each one a patch that applies to train.py as it is today."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from core.models import State, Verdict
from core.patches import diff, problems, syntax_sha256
from core.researchers.notebook import HOME, Idea, Page, Skipped, notebook, opened, pages, used_slugs
from core.researchers.outcomes import change_of, read_key
from tests.unit.offline_fixtures import experiment

TRAIN = (Path(__file__).parents[2] / "nanochat" / "train.py").read_text(encoding="utf-8")
FILES = {"train.py": TRAIN}
IDEAS = notebook()


def page_of(idea: Idea, files: dict[str, str] = FILES) -> Page:
    page = opened(idea, files)
    assert isinstance(page, Page), f"{idea.slug}: {page.reason}"
    return page


@pytest.mark.parametrize("idea", IDEAS, ids=lambda idea: idea.slug)
def test_every_idea_is_a_clean_patch_of_the_built_in_target(idea: Idea) -> None:
    page = page_of(idea)
    assert not problems(diff(FILES, page.files), FILES, ["train.py"])
    assert page.files != FILES
    new = page.files["train.py"]
    assert max(map(len, new.splitlines())) <= 120
    assert {"build_model", "main"} <= {node.name for node in ast.parse(new).body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("idea", IDEAS, ids=lambda idea: idea.slug)
def test_every_idea_says_what_it_is_why_and_what_is_known(idea: Idea) -> None:
    assert all((idea.title, idea.hypothesis, idea.known, idea.scaling, idea.expected))
    assert len(idea.title) <= 80
    assert idea.category in ("schedule", "optimizer", "architecture", "initialisation", "simplification")


def test_no_two_ideas_are_the_same_code_and_no_name_is_used_twice() -> None:
    assert len({idea.slug for idea in IDEAS}) == len(IDEAS)
    assert len({syntax_sha256(FILES), *(syntax_sha256(page_of(idea).files) for idea in IDEAS)}) == len(IDEAS) + 1


def test_the_six_public_findings_come_first_with_both_bands_and_many_more_follow() -> None:
    findings = ["decay-cosine", "value-embed-decay", "short-window-third", "adam-betas-per-group", "qk-scale"]
    assert [idea.slug for idea in IDEAS[:7]] == [*findings, "init-embed-fc", "short-window-two-thirds"]
    assert len(IDEAS) >= 20


def test_simplifications_make_the_file_shorter() -> None:
    for idea in IDEAS:
        if idea.category == "simplification":
            patch = diff(FILES, page_of(idea).files)
            assert patch.removed > patch.added, idea.slug


def test_an_idea_whose_code_is_gone_is_passed_over_with_the_reason() -> None:
    (idea,) = (idea for idea in IDEAS if idea.slug == "qk-scale")
    skipped = opened(idea, {"train.py": TRAIN.replace("rms_norm(q), rms_norm(k)", "q, k")})
    assert isinstance(skipped, Skipped)
    assert "no longer has" in skipped.reason
    doubled = opened(idea, {"train.py": TRAIN + "\nROPE_BASE = 1\n"})
    assert isinstance(doubled, Skipped)
    assert "2 times" in doubled.reason


def test_an_idea_about_a_constant_that_has_moved_is_passed_over() -> None:
    (idea,) = (idea for idea in IDEAS if idea.slug == "short-window-third")
    skipped = opened(idea, {"train.py": TRAIN.replace("SHORT_WINDOW = 0.5", "SHORT_WINDOW = 0.25")})
    assert isinstance(skipped, Skipped)
    assert "SHORT_WINDOW is 0.25 by now" in skipped.reason
    gone = opened(idea, {"train.py": "from nanochat.harness import Harness\n"})
    assert isinstance(gone, Skipped)
    assert "has no constant SHORT_WINDOW" in gone.reason


def test_the_notebook_leaves_other_scripts_alone_even_with_constants_of_the_same_name() -> None:
    broken = f"{HOME} Harness\ndef broken(\n"
    for files in ({"main.rs": "fn main() {}"}, {"a.py": "WARMDOWN = 0.5\nprint(WARMDOWN)\n"}, {"a.py": broken}, {}):
        assert all(isinstance(found, Skipped) for found in pages(IDEAS, files, [], "c0"))


def test_ideas_stack_as_far_as_they_do_not_touch_the_same_code() -> None:
    files, stacked = dict(FILES), []
    for idea in IDEAS:
        page = opened(idea, files)
        if isinstance(page, Page):
            files = {**files, **page.files}
            stacked.append(idea.slug)
    ast.parse(files["train.py"])
    assert len(stacked) >= 20


def test_an_idea_that_had_its_turn_does_not_come_again_whatever_became_of_it() -> None:
    page, some = page_of(IDEAS[0]), IDEAS[:4]
    for state, verdict in (
        (State.VETOED, None),
        (State.PROPOSED, None),
        (State.REVISING, None),
        (State.JUDGED, Verdict.DISCARD),
        (State.JUDGED, Verdict.KEEP),
        (State.JUDGED, Verdict.CRASHED),
    ):
        history = [experiment(1, state, key=page.key, verdict=verdict)]
        left = [found.idea.slug for found in pages(some, FILES, history, "c0")]
        assert left == [idea.slug for idea in some[1:]]


def test_an_idea_made_invalid_by_a_new_champion_gets_one_more_try() -> None:
    key = page_of(IDEAS[0]).key
    first = experiment(1, State.INVALID, key=key, parent_commit="c0")
    again = experiment(2, State.INVALID, key=key, parent_commit="c1")
    assert used_slugs([first], "c0") == {IDEAS[0].slug}
    assert used_slugs([first], "c1") == set()
    assert used_slugs([first, again], "c2") == {IDEAS[0].slug}


def test_the_search_learns_from_an_idea_that_is_only_a_new_number() -> None:
    by_slug = {idea.slug: page_of(idea).key for idea in IDEAS}
    change = change_of(by_slug["short-window-third"])
    assert change is not None
    assert (change.before, change.after) == ({"SHORT_WINDOW": 0.5}, {"SHORT_WINDOW": 0.33})
    assert change_of(by_slug["decay-cosine"]) is None  # the schedule changes too
    assert read_key(by_slug["decay-cosine"]) == {"source": "notebook", "idea": "decay-cosine"}
