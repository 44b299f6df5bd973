"""A vetoed idea in other words and other code is known again; an idea that is merely related is not."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from core import patches
from core.lab import target_source
from core.models import Edit
from core.researchers.claude.likeness import ALIKE, Meaning, likeness, meaning, names_of, rarity, stems
from core.researchers.claude.repeats import Vetoed, marks, near_repeat, resembling
from core.researchers.notebook import Idea, Page, notebook, opened
from tests.unit.test_claude_texts import experiment

FILES = {"train.py": (target_source() / "train.py").read_text()}
AGAIN = tomllib.loads(Path(__file__).with_suffix(".toml").read_text())["idea"]


def pages() -> dict[str, tuple[Meaning, patches.Patch, Idea]]:
    """Every page of the notebook that applies, by its title."""
    found = {}
    for idea in notebook():
        page = opened(idea, FILES)
        if isinstance(page, Page):
            patch = patches.diff(FILES, page.files)
            found[idea.title] = (meaning(idea.title, idea.hypothesis, patch), patch, idea)
    return found


def rewordings() -> list[tuple[str, Meaning, patches.Patch]]:
    """(title of the page it repeats, what it says, its patch)."""
    titles = list(pages())
    found = []
    for entry in AGAIN:
        edits = [Edit("train.py", edit["search"], edit["replace"]) for edit in entry["edit"]]
        patch = patches.diff(FILES, {**FILES, **patches.from_edits(FILES, edits)})
        [page] = [title for title in titles if title.startswith(entry["again"])]
        found.append((page, meaning(entry["title"], entry["hypothesis"], patch), patch))
    return found


@pytest.mark.parametrize("texts", [0, 10, 100])
def test_rewordings_are_known_again_and_related_ideas_are_left_alone(texts: int) -> None:
    """Whether the lab is young, so that it has few texts to tell rare words by, or not."""
    known, again = pages(), rewordings()
    corpus = [stems(f"{idea.title} {idea.hypothesis}") for *_, idea in known.values()][:texts]
    name = rarity(names_of(FILES))

    def alike(one: Meaning, page: str) -> bool:
        word = rarity([*corpus, known[page][0].words])
        return likeness(one, known[page][0], word=word, name=name) >= ALIKE

    hits = [page for page, told, _ in again if alike(told, page)]
    others = [(a, b) for a in known for b in known if a != b and alike(known[a][0], b)]
    others += [(page, b) for page, told, _ in again for b in known if b != page and alike(told, b)]
    assert len(hits) >= 0.85 * len(again)
    assert len(others) <= 0.01 * (len(known) * (len(known) - 1) + len(again) * (len(known) - 1)), others


def test_hardly_any_rewording_is_known_by_its_code_alone() -> None:
    """What the words are for."""
    known = pages()
    by_code = 0
    for page, told, patch in rewordings():
        vetoed = Vetoed(1, page, "no", "anna", marks(known[page][1]), told)
        by_code += near_repeat(patch, [vetoed]) is not None
    assert by_code <= 2


def test_the_nearest_of_several_vetoed_ideas_is_named() -> None:
    known = pages()
    vetoed = [
        Vetoed(number, title, "no", "anna", marks(patch), told)
        for number, (title, (told, patch, _)) in enumerate(known.items(), 1)
    ]
    history = [experiment(n, title=v.title) for n, v in enumerate(vetoed, 1)]
    named = [resembling(told, patch, vetoed, history, FILES) for _, told, patch in rewordings()]
    right = [found is not None and found.title == page for found, (page, *_) in zip(named, rewordings(), strict=True)]
    assert sum(right) >= 0.8 * len(right)


def test_the_opposite_of_a_vetoed_change_is_not_the_vetoed_change() -> None:
    known = pages()
    wide, narrow = (next(title for title in known if title.startswith(word)) for word in ("Wider", "Narrower"))
    told, patch, _ = known[wide]
    vetoed = Vetoed(1, wide, "no", "anna", marks(patch), told)
    assert resembling(known[narrow][0], known[narrow][1], [vetoed], [], FILES) is None
    assert resembling(told, patch, [vetoed], [], FILES) is vetoed


def test_endings_and_small_words_make_no_difference() -> None:
    assert stems("The learned scales of each layer") == stems("Learning a scale for the layers")
    assert stems("feed-forward") == stems("feedforward")
