"""How much two ideas mean the same, whatever their code looks like. Pure.

Titles and hypotheses are compared word by word, stems only, rare words counting more; the names on changed lines add a
little. Measured on the 33 pages of the offline notebook and 20 of them proposed again in other words and other code
(`tests/unit/test_claude_likeness.py`): from `ALIKE` on 18 of the 20 are known again, and 7 of the 1,696 other pairs are
taken for alike, such as weight decay for one table and for another. So likeness is a question to the model, never a
refusal.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from core.patches import Hunk, Patch

ALIKE = 0.3
"""from here on the model is asked what is different"""
WORDS = 0.8
"""share of the words in the likeness; the rest is the code's"""
SHARED = 4
"""fewer words in common say nothing, as between two ideas of one line each"""
PRIOR = 5
"""texts that a young lab is taken to have had, so that the words of its first ones tell something"""
TITLE = 2
"""a word of the title counts as much as so many of the hypothesis"""
STOP = frozenset(
    re.findall(
        r"\w+",
        """a about after again against all already also an and any are as at away be because been before both but by can
    could does down during each every few first for from had has have here how if in into is it its itself just last let
    like little made make many may more most much must need new no not nothing now of off on once one only or other our
    out over own rather run same second short should simpler small so some still such than that the their them then
    there these they third this those three through time to too two under until up use very was way we well were what
    when where which while who will with without would you your""",
    )
)
ENDING = re.compile(r"(?<=\w{3})(?:i[sz]ation|ation|ings?|ie[sd]|ers?|e[ds]?|s|ly|y)$")
WORD = re.compile(r"[a-z][a-z0-9]+")
NAME = re.compile(r"[A-Za-z_]\w*")

Weight = Callable[[str], float]


@dataclass(frozen=True, slots=True)
class Meaning:
    """What an idea says and what it touches."""

    words: Mapping[str, int]
    names: frozenset[str]


def meaning(title: str, hypothesis: str, patch: Patch) -> Meaning:
    counted = Counter({word: TITLE * count for word, count in Counter(stems(title)).items()})
    counted.update(stems(hypothesis))
    return Meaning(counted, frozenset(name for hunk in patch.hunks for name in _names(hunk)))


def likeness(one: Meaning, other: Meaning, *, word: Weight, name: Weight) -> float:
    """0 for nothing in common, 1 for the same; `word` and `name` say how much a single one tells."""
    if len(one.words.keys() & other.words.keys()) < SHARED:
        return 0.0
    return WORDS * _cosine(one.words, other.words, word) + (1 - WORDS) * _cosine(
        dict.fromkeys(one.names, 1), dict.fromkeys(other.names, 1), name
    )


def rarity(texts: Iterable[Iterable[str]]) -> Weight:
    """How much a word tells: the fewer of the texts have it, the more."""
    count, having = 0, Counter[str]()
    for text in texts:
        count += 1
        having.update(set(text))
    return lambda word: max(0.0, math.log((count + PRIOR) / (having[word] + 1)))


def names_of(files: Mapping[str, str]) -> list[list[str]]:
    """The names on each line of the files."""
    return [NAME.findall(line.partition("#")[0]) for text in files.values() for line in text.split("\n")]


def stems(text: str) -> list[str]:
    """The words that tell something, without their endings: `learned` and `learning` are one."""
    return [ENDING.sub("", word) for word in WORD.findall(text.lower().replace("-", "")) if word not in STOP]


def _names(hunk: Hunk) -> set[str]:
    """Names on the lines that changed; a line that only moved did not."""
    removed = [line[1:].partition("#")[0].strip() for line in hunk.lines if line[0] == "-"]
    added = [line[1:].partition("#")[0].strip() for line in hunk.lines if line[0] == "+"]
    moved = set(removed) & set(added)
    return {name for line in (*removed, *added) if line not in moved for name in NAME.findall(line)}


def _cosine(one: Mapping[str, int], other: Mapping[str, int], weight: Weight) -> float:
    if not one or not other:
        return 0.0
    shared = sum(weight(key) ** 2 * math.sqrt(one[key] * other[key]) for key in one.keys() & other.keys())
    lengths = [math.sqrt(sum(weight(key) ** 2 * count for key, count in each.items())) for each in (one, other)]
    return shared / (lengths[0] * lengths[1]) if all(lengths) else 0.0
