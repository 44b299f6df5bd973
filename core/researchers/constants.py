"""The numbers of a Python file that can be tuned: where they stand, and between which bounds a search may move them.

A constant is a module-level assignment `UPPER_CASE = number` (or a short tuple of numbers, one constant an element)
that the file uses somewhere. Bounds and scale are guessed from its name, its comment and its value.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Literal

from core.errors import PatchError
from core.patches import python_tree
from core.researchers.numbers import beta_text, round_nicely, write_number

Scale = Literal["log", "linear", "beta", "integer", "power"]

_NOT_TUNABLE = re.compile(
    "SEED|EVAL|VAL|AUDIT|TEST|BUDGET|TIME|SECONDS|MINUTES|HOURS|TIMEOUT|TOKENS?|VOCAB|SEQUENCE|SEQ|DEVICES?|DTYPE|LOG|LOGGING|"
    "PRINT|EVERY|INTERVAL|SAVE|CHECKPOINT|VERSION|PORT|WORKERS|THREADS|RANK|WORLD|EPS|EPSILON|BOS|EOS|PAD|IDS?|INDEX|DEBUG|"
    "METRIC|FLOPS|BYTES|PEAK|MFU"
)
"""words of a name: what they count is the measurement or the machine, not the method"""
_HANDS_OFF = re.compile(r"\b((do not|don't) (change|tune|touch)|not tunable|frozen|must stay)\b", re.IGNORECASE)
_SHARE = re.compile(r"\b(share|fraction|portion)\b", re.IGNORECASE)
_SHARE_WORDS = {"WARMUP", "WARMDOWN", "COOLDOWN", "RAMP", "FRACTION", "FRAC", "SHARE", "DROPOUT"}
_BETA_WORDS = {"BETA", "BETA1", "BETA2", "BETAS", "MOMENTUM", "EMA"}
_LARGEST_TUPLE = 4

_CATEGORIES = {
    "schedule": "WARMUP|WARMDOWN|COOLDOWN|FINAL|RAMP|SCHEDULE|MOMENTUM",
    "initialisation": "INIT|STD",
    "optimizer": "LR|BETA[12S]?|DECAY|ADAM|MUON|CLIP",
    "batch": "BATCH|ROWS",
    "architecture": "ROPE|WINDOW|HEADS?|MLP|GATE|(SOFT)?CAP|RATIO|EXPANSION|WIDTH|DEPTH|DIM|LAYERS|CHANNELS|RANGE",
}
"""what a constant belongs to, by the words of its name; the first that fits"""


@dataclass(frozen=True, slots=True)
class Constant:
    """One tunable number and where it stands in its file."""

    path: str
    name: str
    """`MATRIX_LR`, or `ADAM_BETAS[1]` for an element of a tuple"""
    value: float
    text: str
    """as written"""
    integer: bool
    start: int
    end: int
    """characters of the file's content"""
    comment: str

    @property
    def words(self) -> frozenset[str]:
        return frozenset(self.name.partition("[")[0].split("_"))

    @property
    def category(self) -> str:
        fits = (label for label, words in _CATEGORIES.items() if any(re.fullmatch(words, word) for word in self.words))
        return next(fits, "constants")


@dataclass(frozen=True, slots=True)
class Domain:
    """Where a constant may go. Positions are coordinates in which equal steps mean equal changes."""

    scale: Scale
    low: float
    high: float
    """bounds, as positions"""
    step: float
    """a moderate first step, as a difference of positions"""

    def position(self, value: float) -> float:
        match self.scale:
            case "log":
                return math.log(value) if value > 0 else self.low - self.step
            case "beta":
                return -math.log(1 - min(value, 1 - 1e-9))
            case "power":
                return math.log2(max(value, 1))
            case _:
                return float(value)

    def value(self, position: float) -> float:
        """The round number nearest to a position, inside the bounds."""
        position = min(max(position, self.low), self.high)
        match self.scale:
            case "log":
                return round_nicely(math.exp(position))
            case "beta":
                return float(beta_text(1 - math.exp(-position)))
            case "power":
                return float(2 ** round(position))
            case "integer":
                return float(round(position))
            case "linear":
                return round(position, 2)

    def near(self, one: float, other: float) -> bool:
        """Two values too close for a run to tell apart."""
        return abs(self.position(one) - self.position(other)) < 0.3 * self.step


def find_constants(files: Mapping[str, str]) -> list[Constant]:
    """The tunable constants of the Python files, in the order they are written. Files that do not parse have none."""
    found = []
    for path, content in files.items():
        if path.endswith(".py"):
            found += _constants_of(path, content)
    return found


def _constants_of(path: str, content: str) -> list[Constant]:
    if "\r" in content.replace("\r\n", ""):
        return []  # Python ends a line there, no editor does
    try:
        tree = python_tree(content)
    except (SyntaxError, ValueError, RecursionError):
        return []
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    assigned: dict[str, list[tuple[ast.stmt, ast.expr]]] = {}
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                assigned.setdefault(name, []).append((node, value))
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                assigned.setdefault(name, []).append((node, value))
    lines = content.encode(errors="replace").split(b"\n")
    starts = list(accumulate((len(line.decode(errors="replace")) + 1 for line in lines), initial=0))
    found = []
    for name, places in assigned.items():
        statement, value = places[0]
        rest = lines[(statement.end_lineno or 1) - 1][statement.end_col_offset or 0 :].decode(errors="replace")
        comment = rest.partition("#")[2].strip()
        if len(places) > 1 or name not in used or not _is_tunable(name, comment):
            continue
        for label, number in _numbers_of(name, value):
            line, column = lines[number.lineno - 1], number.col_offset
            start = starts[number.lineno - 1] + len(line[:column].decode(errors="replace"))
            text = line[column : number.end_col_offset].decode(errors="replace")
            worth, is_integer = float(ast.literal_eval(number)), isinstance(number.value, int)
            found.append(Constant(path, label, worth, text, is_integer, start, start + len(text), comment))
    return found


def _is_tunable(name: str, comment: str) -> bool:
    if not re.fullmatch(r"[A-Z][A-Z0-9_]*", name) or _HANDS_OFF.search(comment):
        return False
    return not any(_NOT_TUNABLE.fullmatch(word) for word in name.split("_"))


def _numbers_of(name: str, value: ast.expr) -> list[tuple[str, ast.Constant]]:
    match value:
        case ast.Constant() if _is_number(value):
            return [(name, value)]
        case ast.Tuple(elts=elements) if 1 < len(elements) <= _LARGEST_TUPLE and all(map(_is_number, elements)):
            return [(f"{name}[{i}]", one) for i, one in enumerate(elements) if isinstance(one, ast.Constant)]
    return []


def _is_number(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and type(node.value) in (int, float) and math.isfinite(float(node.value))  # type: ignore[arg-type]


def domain_of(constant: Constant, seen: Iterable[float] = ()) -> Domain | None:
    """Where the constant may go, wide enough for the values `seen` in earlier experiments; None: no idea."""
    domain = _guess(constant)
    if domain is None:
        return None
    low, high = _limits(constant.comment)
    bounds = [domain.low, domain.high]
    bounds[0] = max(bounds[0], domain.position(low)) if low is not None else bounds[0]
    bounds[1] = min(bounds[1], domain.position(high)) if high is not None else bounds[1]
    positions = [domain.position(value) for value in seen]
    return replace(domain, low=min([bounds[0], *positions]), high=max([bounds[1], *positions]))


def _limits(comment: str) -> tuple[float | None, float | None]:
    """What a comment says of bounds: `at least 1`, `at most 5`."""
    found = {word: float(n) for word, n in re.findall(r"\bat (least|most) ([0-9]+(?:\.[0-9]+)?)", comment)}
    return found.get("least"), found.get("most")


def _guess(constant: Constant) -> Domain | None:
    value, words = constant.value, constant.words
    if value < 0:
        return None
    if constant.integer and float(value).is_integer() and 0 < value < 1000:
        if value >= 8 and math.log2(value).is_integer():
            position = math.log2(value)
            return Domain("power", position - 2, position + 2, 1)
        if value <= 16:
            return Domain("integer", max(1, value - 2), value + 2, 1)
    if value <= 1 and not constant.integer and (words & _SHARE_WORDS or _SHARE.search(constant.comment)):
        reach = 0.35 if value > 0.1 else 0.15
        return Domain("linear", max(0.05 if value > 0.1 else 0.0, value - reach), min(1.0, value + reach), reach / 3)
    if value < 0.3 and "FINAL" in words:
        return Domain("linear", 0.0, value + 0.2, 0.05)
    if words & _BETA_WORDS and 0.5 <= value < 1:
        return Domain("beta", *_around(-math.log(1 - value), math.log(4), low=math.log(2)), math.log(2))
    if value == 0:
        return Domain("log", math.log(1e-3), math.log(0.2), math.log(3)) if "DECAY" in words else None
    factor, step = 3.0, 1.5
    if value >= 1000:
        factor, step = 16.0, 4.0
    elif 0.25 <= value <= 4 and not words & {"LR", "RATE", "DECAY"}:  # a multiplier: small steps around one
        factor, step = 2.5, 1.25
    elif value > 4 and not words & {"LR", "RATE", "DECAY"}:
        factor, step = 3.0, 1.4
    return Domain("log", *_around(math.log(value), math.log(factor)), math.log(step))


def _around(position: float, reach: float, low: float = -math.inf) -> tuple[float, float]:
    return max(position - reach, low), position + reach


def with_values(content: str, values: Mapping[Constant, float]) -> str:
    """The file with some of its constants changed; everything else, comments and spacing too, stays as it was."""
    for constant in sorted(values, key=lambda c: c.start, reverse=True):
        text = written(constant, values[constant])
        content = content[: constant.start] + text + content[constant.end :]
    return content


def written(constant: Constant, value: float) -> str:
    """The value as source, in the style of what stands there."""
    return write_number(value, constant.text, integer=constant.integer)


def without(content: str, name: str) -> str:
    """The file without the module-level assignment of a name, its comment included.

    Raises:
        PatchError: there is no such assignment, or more than one.
    """
    lines = content.splitlines(keepends=True)
    places = [
        node
        for node in python_tree(content).body
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == [name]
    ]
    if len(places) != 1:
        raise PatchError(f"{name} is assigned {len(places)} times, not once")
    del lines[places[0].lineno - 1 : places[0].end_lineno]
    return "".join(lines)
