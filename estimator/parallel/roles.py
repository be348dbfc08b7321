"""What each operation of a transformer is to tensor and expert parallelism, told from modules, operators and sizes.

A pair of linear layers is split so that no device waits in between (Shoeybi et al., 2019, "Megatron-LM"): the first
by its outputs ("column parallel"), what follows it works on its own columns or attention heads, and the second by its
inputs ("row parallel"); its partial results are summed. Which is which follows from the order of a layer's operations:
a linear layer that returns to the layer's width after attention or an activation closes a pair, the others open one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Final

from estimator.parallel.linears import TOP_K, Linear, Products

if TYPE_CHECKING:
    from collections.abc import Iterable

    from profiles.records import Operation


class Role(IntEnum):
    """What splitting a layer over devices does to an operation."""

    REPLICATED = 0
    """The same on every device."""
    TOKENS = 1
    """Between the pairs: divided by tokens with sequence parallelism, else replicated."""
    INSIDE = 2
    """Within a pair: element-wise on own columns, heads or words."""
    HEADS = 3
    """Products of each attention head."""
    COLUMN = 4
    """Product with a weight that is split by its outputs."""
    ROW = 5
    """Product with a weight that is split by its inputs."""
    EXPERT = 6
    """Element-wise on the tokens of experts."""
    EXPERT_COLUMN = 7
    """Product with the experts' weights that opens a pair."""
    EXPERT_ROW = 8
    """Product with the experts' weights that closes a pair."""


NOT_MIXING: Final = ("view", "copy", "normalisation")


@dataclass
class LayerRoles:
    """Roles of the forward operations of one layer, found by one walk through them.

    Attributes
    ----------
    role
        operation -> role
    linears
        products with weights in order, with their roles
    width
        features of a token between layers: what the first product with a weight reads
    crowd
        elements of the rows of all experts where each expert multiplies all rows; infinite elsewhere
    """

    products: Products
    rows: tuple[int, ...]
    role: dict[int, Role] = field(default_factory=dict)
    linears: list[tuple[Linear, Role]] = field(default_factory=list)
    width: int = 0
    crowd: float = math.inf
    _open: bool = False
    _mixed: bool = False
    _attended: bool = False

    @classmethod
    def of(cls, products: Products, rows: Iterable[int]) -> LayerRoles:
        """Walk through the operations of a layer; those of the backward pass are passed over."""
        forward = tuple(row for row in rows if products.operations[row].phase == "forward")
        found = cls(products, forward)
        found._walk()
        return found

    @property
    def chosen(self) -> float:
        """Share of the rows that experts multiply if tokens go to their experts only: k of n, 1 where they do so."""
        experts = max((linear.experts for linear, _ in self.linears if linear.shared_rows), default=0)
        picks = [self.products.operations[row] for row in self.rows if self.products.operations[row].operator == TOP_K]
        return picks[-1].outputs[0].shape[-1] / experts if experts and picks else 1.0

    def _walk(self) -> None:
        known = {row: linear for row in self.rows if (linear := self.products.linear(row)) is not None}
        self.width = next((linear.into for linear in known.values()), 0)
        expert_modules = {linear.module for linear in known.values() if linear.experts}
        self.crowd = min((_crowd(linear) for linear in known.values() if linear.shared_rows), default=math.inf)
        self._counts = {linear.experts for linear in known.values() if linear.experts} | {1}
        self._attention = {self.products.patterns[row] for row in self.rows if self._is_attention(row, known)}
        for row in self.rows:
            if row in known:
                self._product(row, known[row])
            else:
                self._other(row, expert_modules)

    def _is_attention(self, row: int, known: dict[int, Linear]) -> bool:
        operation = self.products.operations[row]
        return operation.engine == "matrix" and operation.family in ("attention", "matmul") and row not in known

    def _product(self, row: int, linear: Linear) -> None:
        role = self._expert_role(linear) if linear.experts else self._linear_role(linear)
        self.role[row] = role
        self.linears.append((linear, role))
        if role in (Role.ROW, Role.EXPERT_ROW):
            self._open = self._mixed = self._attended = False
        elif role is not Role.REPLICATED:
            self._open = True

    def _expert_role(self, linear: Linear) -> Role:
        return Role.EXPERT_ROW if self._open and linear.out == self.width else Role.EXPERT_COLUMN

    def _linear_role(self, linear: Linear) -> Role:
        """Routers and gates stay whole; so does a product that only feeds the next one (low-rank attention)."""
        if linear.out in self._counts:
            return Role.REPLICATED
        if self._open and linear.out == self.width and self._has_mixed(linear):
            return Role.ROW
        if self._open and linear.into != self.width and self.linears:
            self._make_whole()
        return Role.COLUMN

    def _has_mixed(self, linear: Linear) -> bool:
        around = {linear.module, linear.module.rpartition(".")[0]}
        return self._attended if around & self._attention else self._mixed

    def _make_whole(self) -> None:
        linear, role = self.linears[-1]
        if role is Role.COLUMN:
            self.linears[-1] = (linear, Role.REPLICATED)
            row = max(row for row, each in self.role.items() if each is Role.COLUMN)
            self.role[row] = Role.REPLICATED

    def _other(self, row: int, expert_modules: set[str]) -> None:
        operation, pattern = self.products.operations[row], self.products.patterns[row]
        if pattern in self._attention and self._is_attention(row, {}):
            self.role[row] = Role.HEADS
            self._mixed = self._attended = True
        elif any(pattern == module or pattern.startswith(f"{module}.") for module in expert_modules) or (
            largest_tensor(operation) >= self.crowd
        ):
            self.role[row] = Role.EXPERT
        else:
            self.role[row] = Role.INSIDE if self._open else Role.TOKENS
            self._mixed |= self._open and operation.family not in NOT_MIXING


def _crowd(linear: Linear) -> int:
    """Elements of all rows of all experts: no other tensor of a layer is as large."""
    return linear.experts * linear.rows * min(linear.out, linear.into)


def largest_tensor(operation: Operation) -> int:
    """Return the elements of the largest input or output."""
    return max((math.prod(tensor.shape) for tensor in (*operation.inputs, *operation.outputs)), default=0)
