"""Edits to patch, and what is done with a patch: apply, switch hunks out, rebase, check.

A patch is a canonical unified diff of text files. Everything else a git patch can say (binary, rename, mode, symlink,
submodule) is refused when it is read, so that what the reviewer sees is all there is. Line numbers in headers are
recomputed, so a parsed patch, a drawn one and the one git applies are the same text and have the same hash.
"""

from core.patches.applying import apply, select
from core.patches.checking import is_editable, problems, python_tree, syntax_problem, syntax_sha256
from core.patches.edits import from_edits
from core.patches.making import diff
from core.patches.model import NO_NEWLINE, SIZE_LIMIT, FilePatch, Hunk, Patch
from core.patches.reading import parse
from core.patches.rebasing import Rebased, rebase

__all__ = [
    "NO_NEWLINE",
    "SIZE_LIMIT",
    "FilePatch",
    "Hunk",
    "Patch",
    "Rebased",
    "apply",
    "diff",
    "from_edits",
    "is_editable",
    "parse",
    "problems",
    "python_tree",
    "rebase",
    "select",
    "syntax_problem",
    "syntax_sha256",
]
