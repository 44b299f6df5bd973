"""Walks the syntax tree of a Python file and reports what the rules name on the lines a patch added."""

from __future__ import annotations

import ast
import re
from bisect import bisect_left
from collections.abc import Collection, Iterator, Sequence
from functools import cached_property
from typing import NamedTuple

from core.guards.rules import (
    BUILTINS,
    HARNESS_PUBLIC,
    IDENTIFIERS,
    METHODS,
    MODULES,
    OVER_TIME,
    REDUCTIONS,
    SAFE_MODULES,
    STRINGS,
    Kind,
    Level,
    Rule,
)
from core.patches import python_tree

_BUILT_ON = Rule(Kind.IO, Level.CAUTION, "opens a file; a run writes through the harness")
_OPEN_ELSEWHERE = Rule(Kind.IO, Level.DANGER, "opens a file outside the run")
_BY_NAME = Rule(Kind.PATCHING, Level.CAUTION, "reaches an attribute by a name made at run time")
_REPLACES = Rule(Kind.PATCHING, Level.DANGER, "replaces part of a module or of the harness")
_SETTING = Rule(Kind.ENVIRONMENT, Level.NOTE, "changes a setting of a library")
_HARNESS_INSIDE = Rule(Kind.PATCHING, Level.CAUTION, "reaches into the harness")
_UNMASKED = Rule(Kind.CAUSALITY, Level.CAUTION, "attention without is_causal=True: is there another mask?")
_NEW_IMPORT = Rule(Kind.IMPORT, Level.CAUTION, "is a new import")
_NEW_PLAIN_IMPORT = Rule(Kind.IMPORT, Level.NOTE, "is a new import")
_ALL_NAMES = Rule(Kind.IMPORT, Level.CAUTION, "imports names that the reader cannot see")


_SCOPES = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
_SIGNS = (ast.expr_context, ast.operator, ast.unaryop, ast.cmpop, ast.boolop)
"""nodes that no rule is about, as many as all others together"""
_NAMES = tuple((re.compile(pattern), rule) for pattern, rule in IDENTIFIERS)


class Sighting(NamedTuple):
    """A rule, where it fired and on what."""

    rule: Rule
    line: int
    word: str


def sightings(before: str, after: ast.Module, added: Collection[int]) -> Iterator[Sighting]:
    """What the rules say about the nodes of `after` that begin on added lines; what was imported before is no news."""
    touched = list(_touched(after, sorted(added)))
    reader = _Reader(before, after, touched)
    for node in touched:
        for rule, line, word in reader.of_node(node):
            if line in added:
                yield Sighting(rule, line, word)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in reader.docstrings:
            # any line of a long string may be the added one
            lines = [line for line in range(node.lineno, (node.end_lineno or node.lineno) + 1) if line in added]
            for pattern, rule in STRINGS if lines else ():
                if match := re.search(pattern, node.value):
                    yield Sighting(rule, lines[0], match.group())


class _Reader:
    """Knows what the names of one file stand for."""

    def __init__(self, before: str, after: ast.Module, touched: Collection[ast.AST]) -> None:
        self._before = before
        self.modules = dict(_imports(after))
        self.inner = {id(node.value) for node in touched if isinstance(node, ast.Attribute)}
        self.docstrings = {id(node.value) for node in touched if isinstance(node, ast.Expr)}
        self.harness = {
            target.id
            for node in _statements(after)
            if isinstance(node, ast.Assign) and (self._dotted(_function(node.value)) or "").count("Harness")
            for target in node.targets
            if isinstance(target, ast.Name)
        }

    @cached_property
    def known(self) -> set[str]:
        """What the file imported before; read only where the patch imports something."""
        try:
            tree = python_tree(self._before)
        except SyntaxError:
            return set()
        known = {module for _, module in _imports(tree)}
        return known | {module.rpartition(".")[0] for module in known}

    def of_node(self, node: ast.AST) -> Iterator[Sighting]:
        match node:  # the most frequent first: a large patch has tens of thousands
            case ast.Name() | ast.Attribute():
                yield from self._of_name(node)
            case ast.Constant() | ast.Expr():
                pass
            case ast.keyword():
                if node.arg and not _is_true(node):  # is_causal=True is as it should be
                    if node.arg in METHODS:
                        yield Sighting(METHODS[node.arg], node.lineno, node.arg)
                    yield from _of_identifier(node.arg, node.lineno)
            case ast.Call():
                yield from self._of_call(node)
            case ast.Assign() | ast.Delete():
                yield from (sight for target in node.targets for sight in self._of_target(target))
            case ast.AugAssign() | ast.AnnAssign() | ast.For():
                yield from self._of_target(node.target)
            case ast.arg():
                yield from _of_identifier(node.arg, node.lineno)
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield from _of_identifier(node.name, node.lineno)
            case ast.Import() | ast.ImportFrom():
                yield from self._of_import(node)

    def _dotted(self, node: ast.AST | None) -> str | None:
        """`torch.nn.functional.softmax` for `F.softmax`, whatever the import was called; None for other values."""
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            return None
        return ".".join([self.modules.get(node.id, node.id), *reversed(parts)])

    def _of_import(self, node: ast.Import | ast.ImportFrom) -> Iterator[Sighting]:
        for alias in node.names:
            module = alias.name if isinstance(node, ast.Import) else _source(node)
            name = module if isinstance(node, ast.Import) else f"{module}.{alias.name}"
            rule = _longest(name)
            if alias.name == "*":
                yield Sighting(_ALL_NAMES, node.lineno, f"{module}.*")
            if name in self.known or (module in self.known and rule is None):
                continue
            if rule is None:
                plain = name.split(".")[0] in SAFE_MODULES
                yield Sighting(_NEW_PLAIN_IMPORT if plain else _NEW_IMPORT, alias.lineno, name)
            else:
                # the module os alone does nothing: what is used of it weighs
                level = Level.CAUTION if name == "os" else rule.level
                yield Sighting(Rule(Kind.IMPORT, level, f"is a new import that {rule.why}"), alias.lineno, name)

    def _of_name(self, node: ast.Name | ast.Attribute) -> Iterator[Sighting]:
        line = node.end_lineno or node.lineno  # in a chain over several lines the name is at the end
        dotted = self._dotted(node)
        if dotted and id(node) not in self.inner:
            root = _root(node)
            if root in self.modules:
                rule = _longest(dotted)
                if rule:
                    yield Sighting(rule, line, dotted)
            elif isinstance(node, ast.Name) and node.id in BUILTINS:
                yield Sighting(BUILTINS[node.id], line, node.id)
        last = node.attr if isinstance(node, ast.Attribute) else self.modules.get(node.id, "").rpartition(".")[2]
        if last in METHODS:
            yield Sighting(METHODS[last], line, last)
        if isinstance(node, ast.Attribute):
            owner = node.value
            if isinstance(owner, ast.Name) and owner.id in self.harness and node.attr not in HARNESS_PUBLIC:
                yield Sighting(_HARNESS_INSIDE, line, f"{owner.id}.{node.attr}")
        yield from _of_identifier(node.attr if isinstance(node, ast.Attribute) else node.id, line)

    def _of_call(self, node: ast.Call) -> Iterator[Sighting]:
        line = node.func.end_lineno or node.lineno
        name = self._dotted(node.func) or (node.func.attr if isinstance(node.func, ast.Attribute) else "")
        last = name.rpartition(".")[2]
        if name == "open":
            yield Sighting(_open_rule(node), line, "open")
        if name in ("getattr", "setattr", "delattr") and len(node.args) > 1:
            yield from self._by_name(name, node)
        functional = name.startswith(("torch.", "numpy."))
        method = isinstance(node.func, ast.Attribute)  # the built-in max(1, x) is another thing
        if last in REDUCTIONS and (functional or method) and _over_time(node, functional=functional):
            yield Sighting(OVER_TIME, line, last)
        if last in ("scaled_dot_product_attention", "flash_attn_func"):
            given = {keyword.arg: keyword for keyword in node.keywords}
            causal = given.get("is_causal") or given.get("causal")
            if "attn_mask" not in given and len(node.args) < 4 and not (causal and _is_true(causal)):
                yield Sighting(_UNMASKED, line, last)

    def _by_name(self, how: str, node: ast.Call) -> Iterator[Sighting]:
        owner, name = node.args[0], node.args[1]
        if not (isinstance(name, ast.Constant) and isinstance(name.value, str)):
            yield Sighting(_BY_NAME, node.lineno, how)
            return
        reached = ast.Attribute(value=owner, attr=name.value, ctx=ast.Load())
        ast.copy_location(reached, node)
        yield from self._of_name(reached)
        if how != "getattr":
            yield from self._of_target(reached)

    def _of_target(self, target: ast.expr) -> Iterator[Sighting]:
        if isinstance(target, ast.Tuple | ast.List):
            yield from (sight for part in target.elts for sight in self._of_target(part))
        elif isinstance(target, ast.Attribute | ast.Subscript):
            root, text = _root(target), _source_text(target)
            if root in self.harness:
                yield Sighting(_REPLACES, target.lineno, text)
            elif root in self.modules and not (self.modules[root] == "os" and "environ" in text):
                setting = re.search(r"\.(?:backends|config|_dynamo|_inductor)\.", f".{self._dotted(target) or text}.")
                yield Sighting(_SETTING if setting else _REPLACES, target.lineno, text)


def _touched(tree: ast.AST, added: Sequence[int]) -> Iterator[ast.AST]:
    """The nodes whose lines hold an added one: the rest of a file need not be walked."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        for child in ast.iter_child_nodes(node):
            if isinstance(child, _SIGNS):
                continue
            first, last = getattr(child, "lineno", 1), getattr(child, "end_lineno", None)
            if isinstance(child, _SCOPES) and child.decorator_list:
                first = child.decorator_list[0].lineno
            at = bisect_left(added, first)
            if at < len(added) and (last is None or added[at] <= last):
                waiting.append(child)


def _statements(tree: ast.AST) -> Iterator[ast.AST]:
    """All statements of a file, whatever block they are in."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        for block in ("body", "orelse", "handlers", "finalbody", "cases"):
            found = getattr(node, block, ())
            waiting += found if isinstance(found, list) else ()


def _of_identifier(name: str, line: int) -> Iterator[Sighting]:
    lower = name.lower()
    for pattern, rule in _NAMES:
        if pattern.search(lower):
            yield Sighting(rule, line, name)


def _imports(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Each imported name of the file and what it stands for."""
    for node in _statements(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield (alias.asname, alias.name) if alias.asname else (alias.name.split(".")[0],) * 2
                yield alias.name, alias.name
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield alias.asname or alias.name, f"{_source(node)}.{alias.name}"


def _source(node: ast.ImportFrom) -> str:
    return "." * node.level + (node.module or "")


def _longest(name: str) -> Rule | None:
    while name:
        if name in MODULES:
            return MODULES[name]
        name = name.rpartition(".")[0]
    return None


def _source_text(node: ast.expr) -> str:
    try:
        return ast.unparse(node)
    except RecursionError:
        return "…"


def _function(node: ast.AST) -> ast.AST | None:
    return node.func if isinstance(node, ast.Call) else None


def _root(node: ast.AST) -> str:
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def _is_true(node: ast.keyword) -> bool:
    return isinstance(node.value, ast.Constant) and node.value.value is True


def _open_rule(node: ast.Call) -> Rule:
    path = node.args[0] if node.args else None
    if isinstance(path, ast.Constant) and re.match(r"[/~]|.*\.\.", str(path.value)):
        return _OPEN_ELSEWHERE
    return _BUILT_ON


def _over_time(node: ast.Call, *, functional: bool) -> bool:
    """Whether a reduction names dimension 1 or -2 alone; both matrix dimensions together are a norm of a weight."""
    named = [keyword.value for keyword in node.keywords if keyword.arg in ("dim", "axis")]
    given = named or node.args[functional : functional + 1]
    try:
        value = ast.literal_eval(given[0]) if given else None
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return False
    dims = set(value) if isinstance(value, tuple | list) else {value}
    return bool(dims & {1, -2}) and not dims >= {-2, -1} and not any(isinstance(dim, bool) for dim in dims)
