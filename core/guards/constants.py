"""Whether a change only turns the numbers at the top of a file: what guarded autonomy lets pass."""

from __future__ import annotations

import ast
import math
from collections.abc import Mapping

from core.patches import python_tree


def constants_only(files_before: Mapping[str, str], files_after: Mapping[str, str]) -> bool:
    """True when the files differ, and only in the values of module-level numeric constants of Python files."""
    changed = [path for path in {*files_before, *files_after} if files_before.get(path) != files_after.get(path)]
    same_meaning = True
    for path in changed:
        if not path.endswith(".py") or path not in files_before or path not in files_after:
            return False
        try:
            before, after = python_tree(files_before[path]), python_tree(files_after[path])
            same_meaning &= ast.dump(before) == ast.dump(after)
            if ast.dump(_masked(before)) != ast.dump(_masked(after)):
                return False
        except (SyntaxError, RecursionError):
            return False
    return not same_meaning


def _masked(tree: ast.Module) -> ast.Module:
    """The tree with the number taken out of each module-level assignment of one."""
    for statement in tree.body:
        if isinstance(statement, ast.Assign):
            names: list[ast.expr] = statement.targets
        elif isinstance(statement, ast.AnnAssign):
            names = [statement.target]
        else:
            continue
        if all(isinstance(name, ast.Name) for name in names) and statement.value is not None:
            statement.value = _Numbers().visit(statement.value)
    return tree


class _Numbers(ast.NodeTransformer):
    """Takes finite numbers out of literals, tuples of them and sums of them; calls and names stay as they are."""

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        number = isinstance(node.value, int | float) and not isinstance(node.value, bool) and math.isfinite(node.value)
        return ast.Constant(value=...) if number else node

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        inner = self.visit(node.operand)
        masked = isinstance(node.op, ast.USub | ast.UAdd) and isinstance(inner, ast.Constant) and inner.value is ...
        return inner if masked else node  # 0.1 and -0.1 are both one number

    def generic_visit(self, node: ast.AST) -> ast.AST:
        if isinstance(node, ast.Tuple | ast.List | ast.BinOp | ast.operator | ast.expr_context):
            return super().generic_visit(node)
        return node
