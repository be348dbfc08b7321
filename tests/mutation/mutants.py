"""The changes: every number becomes another, every + - * / // ** its opposite, one at a time."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeGuard

OPPOSITE: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Pow: ast.Mult,
}
SYMBOL = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//", ast.Pow: "**"}
FUNCTIONS = (ast.FunctionDef, ast.Lambda)


@dataclass(frozen=True)
class Mutant:
    """One change of one file; `in_function`: it acts when a function runs, not when the module is imported."""

    path: str
    lines: tuple[int, int]
    text: str
    change: str
    in_function: bool
    tree: ast.Module

    @property
    def key(self) -> tuple[str, str, str]:
        """What it is known by wherever its line moves: file, text of the line, change."""
        return self.path, self.text, self.change

    def __str__(self) -> str:
        return f"{self.path}:{self.lines[0]}: {self.change} in `{self.text}`"


def mutants_of(path: str, root: Path) -> Iterator[Mutant]:
    """Yield all changes of a file; the tree of each is only changed while it is the last one yielded."""
    source = (root / path).read_text(encoding="utf-8")
    tree, texts = ast.parse(source), source.splitlines()
    for node, statement, in_function in _walked(tree, tree, False):
        lines = statement.lineno, statement.end_lineno or statement.lineno
        field, before, after, change = _other(node)
        setattr(node, field, after)
        yield Mutant(path, lines, texts[node.lineno - 1].strip(), change, in_function, tree)
        setattr(node, field, before)


def _other(node: ast.Constant | ast.BinOp) -> tuple[str, object, object, str]:
    """Field of a node, what stands there, what is put there, and the change in words."""
    if isinstance(node, ast.Constant):
        number = node.value
        assert isinstance(number, (int, float))
        new = number + 1 if abs(number) < 100 else number * 2
        return "value", number, new, f"{number} -> {new}"
    sign = OPPOSITE[type(node.op)]
    return "op", node.op, sign(), f"{SYMBOL[type(node.op)]} -> {SYMBOL[sign]}"


def _walked(
    node: ast.AST, statement: ast.AST, in_function: bool
) -> Iterator[tuple[ast.Constant | ast.BinOp, ast.AST, bool]]:
    """Numbers and signs below a node, with the statement they stand in; annotations are left out."""
    for field, value in ast.iter_fields(node):
        inside = in_function or (isinstance(node, FUNCTIONS) and field == "body")
        for child in value if isinstance(value, list) else [value]:
            if field in ("annotation", "returns") or not isinstance(child, ast.AST):
                continue
            nearest = child if isinstance(child, ast.stmt) else statement
            if _changeable(child):
                yield child, nearest, inside
            yield from _walked(child, nearest, inside)


def _changeable(node: ast.AST) -> TypeGuard[ast.Constant | ast.BinOp]:
    if isinstance(node, ast.Constant):
        return type(node.value) in (int, float)
    return isinstance(node, ast.BinOp) and type(node.op) in OPPOSITE and not _of_texts(node)


def _of_texts(node: ast.BinOp) -> bool:
    """Whether it joins texts or tuples, in which there is no number to change."""
    return any(
        isinstance(side, (ast.JoinedStr, ast.Tuple, ast.List))
        or (isinstance(side, ast.Constant) and isinstance(side.value, str))
        for side in (node.left, node.right)
    )
