"""Where else the text of val and audit lies: in files that a trainer could read beside its own data.

Dropping copies keeps them out of `train`, but a file that was dropped, or never reached, is still on the disk. So
before anything is dealt, the files of a corpus that a trainer can see are looked through: a document whose lines stand
in files that the trainer needs is train, and any other file that holds its lines is hidden together with it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from data.corpora import Corpus, SourceFile
from data.documents import Document, decode, long_lines, split_of
from data.errors import from_os_error

ELSEWHERE = 0.25  # what holds more than this share of a stretch's long lines exposes it

Progress = Callable[[int, int, str], None]  # bytes done, of how many, note


@dataclass(frozen=True, slots=True)
class Twins:
    """What is known about the documents that would be held out, by their source."""

    needed: frozenset[str] = frozenset()
    """exposed by files that may not be held out: only ever train"""
    holders: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """the other files that expose a document, or would be exposed by it"""

    def split_of(self, document: Document, holdout: float) -> str:
        if document.source in self.needed:
            document = replace(document, may_hold_out=False)
        return split_of(document, holdout)

    def hidden_with(self, document: Document) -> list[str]:
        """The files to hide when this document is held out: its own, and its twins."""
        return [document.source.partition("#")[0], *self.holders.get(document.source, ())]


def look_for_twins(corpus: Corpus, holdout: float, stretch: int, report: Progress) -> Twins:
    """`stretch` is how many characters of a held-out document are used, from its beginning.

    Nothing where no trainer can see the corpus. Reads what may be held out twice, the rest once.
    """
    if not corpus.in_sight:
        return Twins()
    candidates: dict[str, frozenset[str]] = {}
    for file in corpus.files:
        for document in corpus.read(file) if file.may_hold_out else ():
            if split_of(document, holdout) != "train":
                candidates[document.source] = long_lines(document.text[:stretch])
    owners: dict[str, list[str]] = defaultdict(list)
    for source, lines in candidates.items():
        for line in lines:
            owners[line].append(source)

    known: Counter[str] = Counter()  # lines of a candidate that stand in needed files
    holders: dict[str, list[str]] = defaultdict(list)
    seen: set[str] = set()
    wanted, total, done = frozenset(owners), corpus.size, 0
    for file in corpus.files:
        lines = _lines_of(file)
        here = wanted & lines
        if not file.may_hold_out:
            known.update(owner for line in here - seen for owner in owners[line])
            seen |= here
        elif here:
            shared = Counter(owner for line in here for owner in owners[line])
            for source, count in shared.items():
                smaller = min(len(lines), len(candidates[source]))
                if count > ELSEWHERE * smaller and source.partition("#")[0] != str(file.path):
                    holders[source].append(str(file.path))
        done += file.size
        report(done, total, str(file.path))
    needed = frozenset(source for source, count in known.items() if count > ELSEWHERE * len(candidates[source]))
    return Twins(needed, {source: tuple(sorted(files)) for source, files in holders.items()})


def _lines_of(file: SourceFile) -> frozenset[str]:
    try:
        return long_lines(decode(file.path) or "")
    except FileNotFoundError:
        return frozenset()  # removed since it was listed
    except OSError as error:
        raise from_os_error(error, "reading the corpus") from error
