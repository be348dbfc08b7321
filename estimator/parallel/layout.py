"""Roles of all operations of a profile: layers, what comes before and after them, forward and backward."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from estimator.parallel.blocks import LAST, Blocks, blocks_of, places_of
from estimator.parallel.linears import Linear, Products
from estimator.parallel.roles import LayerRoles, Role, largest_tensor
from profiles.layers import split_path

if TYPE_CHECKING:
    from profiles.model_profile import ModelProfile
    from profiles.operation_trace import Recording

Walks = dict[int, LayerRoles]


@dataclass(frozen=True, eq=False)
class Layout:
    """What each operation of a recording is to a split over devices.

    Attributes
    ----------
    blocks
        the layers
    products
        the matrix products
    walks
        part -> roles of one layer; layers of one kind share them
    role
        (operations,) `Role`
    axes
        (operations, 3) which of m, n, k are features out, features in and rows; -1 for other operations
    experts
        (operations,) number of experts of the products of experts, else 0
    chosen
        (operations,) share of its rows that an operation of experts computes where tokens go to their experts only
    weights
        module (with "[]" for layer indices) -> role of its weights
    results
        module (with "[]" for layer indices) -> role of what it computes in the forward pass
    vocabulary
        words of the embedding; 0 without one
    """

    blocks: Blocks
    products: Products
    walks: Walks
    role: NDArray[np.intp]
    axes: NDArray[np.intp]
    experts: NDArray[np.intp]
    chosen: NDArray[np.float64]
    weights: dict[str, Role]
    results: dict[str, Role]
    vocabulary: int

    def count(self, part: int, role: Role) -> int:
        """Return how many products with weights of a part have this role."""
        walk = self.walks.get(part)
        return sum(each is role for _, each in walk.linears) if walk else 0

    @cached_property
    def width(self) -> int:
        """Features of a token between layers, of most layers."""
        widths = Counter(walk.width for walk in self.walks.values())
        return widths.most_common(1)[0][0] if widths else 0

    @cached_property
    def grouped(self) -> NDArray[np.float64]:
        """Keys that a fused attention reads over those it uses: below 1 where several queries share keys."""
        ratios = np.ones(len(self.role))
        for row in np.flatnonzero(self.role == Role.HEADS).tolist():
            operation, sizes = self.products.operations[row], self.products.sizes(row)
            if operation.family == "attention" and operation.phase == "forward" and sizes and len(operation.inputs) > 1:
                ratios[row] = operation.inputs[1].storage_elements / (sizes[1] * sizes[2] * sizes[3])
        return ratios

    @cached_property
    def divisible(self) -> bool:
        """Whether every layer has a pair of linear layers to split."""
        parts = range(1, self.blocks.count + 1)
        return self.blocks.count > 0 and all(
            self.count(part, Role.ROW) + self.count(part, Role.EXPERT_ROW) for part in parts
        )

    @cached_property
    def has_experts(self) -> bool:
        """Whether any layer has experts."""
        return bool(self.experts.any())


@lru_cache(maxsize=256)
def layout_of(profile: ModelProfile) -> Layout:
    """Return the layout of the recording that holds for the profile's batch size."""
    return _layout(profile.trace.current, profile.module_parameters)


@lru_cache(maxsize=64)
def _layout(recording: Recording, parameters: tuple[tuple[str, int], ...]) -> Layout:
    owned = {split_path(path)[0]: size / max(1, len(places_of(path))) for path, size in parameters}
    products, blocks = Products(recording, owned), blocks_of(recording)
    sheet = _Sheet(products, blocks)
    sheet.fill()
    return Layout(
        blocks, products, sheet.walks, sheet.role, sheet.axes, sheet.experts, sheet.chosen,
        {module: max(role for _, role in found) for module, found in sheet.linears.items()} | sheet.tables,
        _results(products, sheet.role), sheet.vocabulary,
    )  # fmt: skip


class _Sheet:
    """The columns of a layout while they are filled in."""

    def __init__(self, products: Products, blocks: Blocks) -> None:
        self.products, self.blocks = products, blocks
        count = len(products.operations)
        self.role = np.full(count, Role.REPLICATED, dtype=np.intp)
        self.axes = np.full((count, 3), -1, dtype=np.intp)
        self.experts = np.zeros(count, dtype=np.intp)
        self.chosen = np.ones(count)
        self.linears: dict[str, list[tuple[Linear, Role]]] = {}
        self.forward: dict[tuple[str, bool], Role] = {}
        self.tables: dict[str, Role] = {}
        self.walks = _walks(products, blocks)
        self.vocabulary, self.stream = _embedding(products)

    def fill(self) -> None:
        """Fill in layers, then their surroundings; the forward pass first, which tells what the backward pass is."""
        self._name_linears()
        parts = (*range(1, self.blocks.count + 1), 0, LAST)
        part_of = {row: part for part in reversed(parts) for row in self.blocks.operations_of(part).tolist()}
        for phase, fill in (("forward", self._forward), ("backward", self._backward)):
            for row in sorted(part_of, key=lambda row: (part_of[row] <= 0, row)):
                if self.products.operations[row].phase == phase:
                    fill(row, self.walks.get(part_of[row]))

    def _name_linears(self) -> None:
        for walk in {id(walk): walk for walk in self.walks.values()}.values():
            for linear, role in walk.linears:
                self.linears.setdefault(linear.module, []).append((linear, role))
        outside = np.concatenate([self.blocks.operations_of(0), self.blocks.operations_of(LAST)]).tolist()
        for row in outside:
            head = self.products.linear(row) if self.products.operations[row].phase == "forward" else None
            if head is not None:
                role = Role.COLUMN if head.out == self.vocabulary else Role.REPLICATED
                self.linears.setdefault(head.module, []).append((head, role))

    def _forward(self, row: int, walk: LayerRoles | None) -> None:
        if self._product(row):
            self._set(row, Role(int(self.role[row])), walk)
            return
        role = self._surrounding(row) if walk is None else walk.role[row]
        self._set(row, role, walk)
        if role is not Role.HEADS and self.products.operations[row].family != "view":
            key = self._key(row, walk)
            self.forward[key] = max(self.forward.get(key, role), role)

    def _key(self, row: int, walk: LayerRoles | None) -> tuple[str, bool]:
        crowded = walk is not None and largest_tensor(self.products.operations[row]) >= walk.crowd
        return self.products.patterns[row], crowded

    def _set(self, row: int, role: Role, walk: LayerRoles | None) -> None:
        self.role[row] = role
        if walk is not None and role >= Role.EXPERT:
            self.chosen[row] = walk.chosen

    def _product(self, row: int) -> bool:
        """Fill in a product with a known weight, whichever of its three it is."""
        sizes = self.products.sizes(row)
        if sizes is None or self.products.operations[row].family != "matmul":
            return False
        for linear, role in self.linears.get(self.products.patterns[row], ()):
            axes = linear.axes(*sizes[:3])
            if axes is not None:
                self.role[row], self.axes[row], self.experts[row] = role, axes, linear.experts
                return True
        return False

    def _backward(self, row: int, walk: LayerRoles | None) -> None:
        operation, pattern = self.products.operations[row], self.products.patterns[row]
        if self._product(row):
            self._set(row, Role(int(self.role[row])), walk)
        elif walk is None:
            self._set(row, self._surrounding(row), walk)
        elif operation.engine == "matrix" and operation.family in ("attention", "matmul"):
            self._set(row, Role.HEADS, walk)
        elif pattern in self.linears and self._key(row, walk) not in self.forward:
            self._set(row, self._beside(row), walk)
        else:
            self._set(row, self.forward.get(self._key(row, walk), Role.TOKENS), walk)

    def _beside(self, row: int) -> Role:
        """Role of an element-wise operation of a linear layer: a bias, a cast, a sum of gradients."""
        elements = largest_tensor(self.products.operations[row])
        linear, role = self.linears[self.products.patterns[row]][0]
        whole = {Role.COLUMN: linear.into, Role.ROW: linear.out}.get(role)
        if role >= Role.EXPERT:
            return Role.EXPERT
        if whole is None or elements != linear.rows * whole:
            return Role.INSIDE if role is not Role.REPLICATED else Role.TOKENS
        return Role.REPLICATED if role is Role.COLUMN else Role.TOKENS

    def _surrounding(self, row: int) -> Role:
        """Role of an operation outside of layers: on words, on tokens, or on neither."""
        operation = self.products.operations[row]
        if operation.family == "embedding":
            self.tables[self.products.patterns[row]] = Role.COLUMN
            return Role.REPLICATED if operation.phase == "forward" else Role.INSIDE
        if self.vocabulary and any(self.vocabulary in each.shape for each in (*operation.inputs, *operation.outputs)):
            return Role.INSIDE
        return Role.TOKENS if self.stream and largest_tensor(operation) >= self.stream else Role.REPLICATED


RESULT_OF: Final = {
    Role.HEADS: Role.INSIDE,
    Role.COLUMN: Role.INSIDE,
    Role.ROW: Role.TOKENS,
    Role.EXPERT_COLUMN: Role.EXPERT,
    Role.EXPERT_ROW: Role.EXPERT,
}
"""Role of an operation -> role of its result."""


def _results(products: Products, roles: NDArray[np.intp]) -> dict[str, Role]:
    """Role of the results of each module; the most divided one where they differ."""
    found: dict[str, Role] = {}
    for operation, pattern, number in zip(products.operations, products.patterns, roles.tolist(), strict=True):
        if operation.phase == "forward" and operation.family != "view":
            role = RESULT_OF.get(Role(number), Role(number))
            found[pattern] = max(found.get(pattern, role), role)
    return found


def _walks(products: Products, blocks: Blocks) -> Walks:
    """Walk through one layer of each kind."""
    kinds = blocks.kinds.tolist()
    known: dict[int, LayerRoles] = {}
    for part in range(1, blocks.count + 1):
        if kinds[part] not in known:
            known[kinds[part]] = LayerRoles.of(products, blocks.operations_of(part).tolist())
    return {part: known[kinds[part]] for part in range(1, blocks.count + 1)}


def _embedding(products: Products) -> tuple[int, int]:
    """Return the words of the largest embedding table, and the elements of what is looked up there."""
    found = [
        (operation.inputs[0].shape[0], operation.outputs[0].storage_elements)
        for operation in products.operations
        if operation.operator == "aten.embedding" and operation.phase == "forward"
    ]
    return max(found, default=(0, 0))
