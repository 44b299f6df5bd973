"""Whether a patch can be run at all, and whether two of them mean the same."""

from __future__ import annotations

import ast
import contextlib
import hashlib
import warnings
from collections.abc import Collection, Iterable, Mapping
from fnmatch import fnmatchcase
from threading import Lock

from core.errors import PatchError
from core.patches.applying import apply
from core.patches.model import SIZE_LIMIT, Patch
from core.text import invisible, one_line

TRIES = 5
"""to read a text that nothing is wrong with"""
_ONE_AT_A_TIME = Lock()
"""Python 3.11 keeps the depth of the tree it makes in one place for all threads: two at once end in a SystemError"""


def is_editable(path: str, editable: Iterable[str]) -> bool:
    """Whether a path is one of the editable files; `*` and `?` stand for any characters."""
    return any(path == pattern or fnmatchcase(path, pattern) for pattern in editable)


def problems(
    patch: Patch,
    files: Mapping[str, str],
    editable: Collection[str],
    *,
    may_create: bool = False,
    may_delete: bool = False,
) -> list[str]:
    """Everything that keeps the patch from being run, one sentence each; empty when it is fine."""
    if not patch.files:
        return ["The patch changes nothing."]
    found = []
    if sum(len(line) for hunk in patch.hunks for line in hunk.lines) > SIZE_LIMIT:
        found.append(f"The patch is larger than {SIZE_LIMIT:,} characters.")
    for file in patch.files:
        if not is_editable(file.path, editable):
            found.append(f"It changes {file.path}, which is not editable (editable: {', '.join(editable)}).")
        if (file.created and not may_create) or (file.deleted and not may_delete):
            found.append(
                f"It {'creates' if file.created else 'deletes'} {file.path}; only the text of files may change."
            )
    hidden = [
        f"{hunk.path} line {number} holds an invisible character: {item.name}."
        for hunk in patch.hunks
        for number, line in hunk.added_lines
        for item in invisible(line)
    ]
    found += hidden[:5] + ([f"There are {len(hidden) - 5} more invisible characters."] if hidden[5:] else [])
    try:
        after = apply(patch, files)
    except PatchError as error:
        return [*found, error.message]
    texts = [(file.path, after[file.path]) for file in patch.files if not file.deleted]
    return found + [f"{path} {problem}." for path, text in texts if (problem := syntax_problem(path, text))]


def syntax_problem(path: str, text: str) -> str:
    """What keeps Python from reading the file, with its line; empty when nothing does, or it is not Python."""
    if not path.endswith(".py"):
        return ""
    try:
        _compiled(text, 0)  # more than parsing: a `return` outside a function is found here
    except SyntaxError as error:
        return f"is not valid Python, line {error.lineno or '?'}: {one_line(error.msg, 120)}"
    return ""


def python_tree(text: str) -> ast.Module:
    """The syntax tree; SyntaxError for anything Python cannot read, however strange."""
    tree = _compiled(text, ast.PyCF_ONLY_AST)
    assert isinstance(tree, ast.Module)
    return tree


def _compiled(text: str, flags: int) -> object:
    try:
        with _ONE_AT_A_TIME, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "\d" in a proposal must not write on the screen
            for _ in range(TRIES - 1):
                with contextlib.suppress(SystemError):  # of 3.11, while another thread makes a tree, of a traceback say
                    return compile(text, "patch", "exec", flags, dont_inherit=True)
            return compile(text, "patch", "exec", flags, dont_inherit=True)
    except (ValueError, RecursionError, MemoryError, OverflowError) as error:
        raise SyntaxError(f"Python cannot read it: {error}") from error


def syntax_sha256(files: Mapping[str, str]) -> str:
    """One hash for all files that mean the same: comments, formatting and docstrings of Python files do not count.

    Comparable only between processes of one Python version, whose syntax trees it is made of.
    """
    digest = hashlib.sha256()
    for path, text in sorted(files.items()):
        meaning = text
        if path.endswith(".py"):
            with contextlib.suppress(SyntaxError, RecursionError):  # then its content stands for it
                meaning = ast.dump(_without_docstrings(python_tree(text)), annotate_fields=False)
        for part in (path, meaning):
            data = part.encode("utf-8", "surrogatepass")
            digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.body:
            first = node.body[0]
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                node.body = node.body[1:]
    return tree
