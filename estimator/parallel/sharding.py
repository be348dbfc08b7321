"""The operations that one device runs: every operation of a profile divided by the degrees of a split.

Tensor parallelism divides features and heads, context parallelism the tokens of a sequence, expert parallelism the
weights of experts (each device gets as many rows as it sends away: balanced routing). The operation's own m, n and k
shrink, so that narrow products are timed as the narrow products they are.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from estimator.parallel.layout import Layout, layout_of
from estimator.parallel.linears import INTO, OUT, ROWS
from estimator.parallel.roles import Role, largest_tensor
from hardware_db.errors import UsageError
from profiles.tables import QUANTITIES, OperationTable

if TYPE_CHECKING:
    from estimator.parallel.blocks import Floats
    from estimator.parallel.linears import Linear
    from estimator.parallel.parallelism import Parallelism
    from profiles.growth import Integers
    from profiles.model_profile import ModelProfile
    from profiles.operation_trace import Recording

Mask = NDArray[np.bool_]

SIZES: Final = ("m", "n", "k")
FLOPS: Final = QUANTITIES[:3]


@lru_cache(maxsize=1024)
def sharded_table(profile: ModelProfile, split: Parallelism) -> OperationTable:
    """Return the operations of ONE device for a profile at the size of one micro-batch.

    Operations keep their order and counts; layers that run on other pipeline stages are still in the table.

    Raises
    ------
    UsageError
        a degree does not divide what it is to divide, or the model has nothing that it could divide
    """
    layout = layout_of(profile)
    check_split(profile, layout, split)
    table = _context_part(profile, layout, split.context_parallel)
    if split.tensor_parallel == 1 and not layout.has_experts:
        return table
    return _divided(table, layout, split)


def check_split(profile: ModelProfile, layout: Layout, split: Parallelism) -> None:
    """Refuse degrees that do not divide the model.

    Raises
    ------
    UsageError
        naming what does not divide
    """
    if split.tensor_parallel > 1 and not layout.divisible:
        raise UsageError(
            f"tensor parallelism does not apply to {profile.model}: not every layer has a pair of linear layers to "
            "split. Use data parallel, ZeRO or pipeline by layers"
        )
    if split.expert_parallel > 1 and not layout.has_experts:
        raise UsageError(f"{profile.model} has no experts; leave expert_parallel at 1")
    if split.context_parallel > 1:
        _check_context(profile, layout, split.context_parallel)
    if split.pipeline_parallel > 1 and layout.blocks.count + 2 < split.chunks:
        raise UsageError(f"{profile.model} has {layout.blocks.count} layers; {split.chunks} pipeline chunks need more")
    _check_features(profile, layout, split)


def _check_context(profile: ModelProfile, layout: Layout, context_parallel: int) -> None:
    length = profile.sequence_length
    if length is None or not (layout.role == Role.HEADS).any():
        raise UsageError(f"context parallelism needs attention over a sequence; {profile.model} has none")
    if length % (2 * context_parallel):
        raise UsageError(f"context_parallel {context_parallel} must divide half of the sequence length {length}")


def _check_features(profile: ModelProfile, layout: Layout, split: Parallelism) -> None:
    tensor, experts = split.tensor_parallel, split.expert_parallel
    for count in {linear.experts for linear in experts_of(layout)}:
        if count % experts:
            raise UsageError(f"expert_parallel {experts} must divide the {count} experts of {profile.model}")
    for walk in {id(walk): walk for walk in layout.walks.values()}.values():
        for linear, role in walk.linears:
            width = linear.out if role is Role.COLUMN else linear.into if role is Role.ROW else 0
            if width % tensor:
                raise UsageError(f"tensor_parallel {tensor} must divide the {width} features of {linear.module}")


def check_heads(profile: ModelProfile, layout: Layout, split: Parallelism) -> None:
    """Refuse to share the products of attention heads among devices that cannot have equally many of them.

    Raises
    ------
    UsageError
        naming the heads
    """
    if split.tensor_parallel == 1:
        return
    for heads in _heads(profile, layout):
        if heads % split.tensor_parallel:
            raise UsageError(
                f"tensor_parallel {split.tensor_parallel} must divide the {heads} attention heads of {profile.model}"
            )


@lru_cache(maxsize=256)
def _heads(profile: ModelProfile, layout: Layout) -> tuple[int, ...]:
    """Products of heads of each attention for one sample: heads, times windows where there are some."""
    table = profile.table()
    rows = (layout.role == Role.HEADS) & table.phase.mask("forward") & (np.nan_to_num(table.batch) > 0)
    each = table.batch[rows] / profile.batch_size
    return tuple({int(heads) for heads in each.tolist() if heads.is_integer()})


def experts_of(layout: Layout) -> list[Linear]:
    """Return the products of experts of all kinds of layers."""
    walks = {id(walk): walk for walk in layout.walks.values()}.values()
    return [linear for walk in walks for linear, _ in walk.linears if linear.experts]


def _context_part(profile: ModelProfile, layout: Layout, context_parallel: int) -> OperationTable:
    """Operations on one part of each sequence: attention reads the keys of all parts, the rest its own tokens only."""
    if context_parallel == 1:
        return profile.table()
    length = profile.sequence_length or 1
    whole = profile.table()
    try:
        part = profile.table(profile.batch_size, length // context_parallel)
    except UsageError:  # recorded at one length only
        return _fewer_tokens(whole, layout, context_parallel)
    pairwise = (layout.role == Role.HEADS) | quadratic(profile.trace.current)
    columns: dict[str, Any] = {
        name: np.where(pairwise, getattr(whole, name) // context_parallel, getattr(part, name)) for name in QUANTITIES
    }
    dims = {name: np.where(pairwise & (name != "m"), whole.dims[name], values) for name, values in part.dims.items()}
    return replace(part, **columns, dims=dims)


def _fewer_tokens(table: OperationTable, layout: Layout, context_parallel: int) -> OperationTable:
    """Operations on one part of each sequence by their roles: products by their rows, all but weights by tokens."""
    before = np.stack([table.m, table.n, table.k, table.batch])
    after = before.copy()
    product, heads = layout.axes[:, 0] >= 0, layout.role == Role.HEADS
    rows = np.flatnonzero(product)
    after[layout.axes[rows, ROWS], rows] /= context_parallel
    after[0, heads] /= context_parallel
    alone = table.phase.mask("optimizer") | ((layout.role == Role.REPLICATED) & ~product)
    share = np.where(alone, 1.0, 1 / context_parallel)
    read = np.where(product, _inputs(after) / _inputs(before), share)
    written = np.where(product, _outputs(after) / _outputs(before), share)
    columns: dict[str, Any] = {name: _scaled(getattr(table, name), share) for name in FLOPS}
    columns |= {"bytes_read": _scaled(table.bytes_read, read), "bytes_written": _scaled(table.bytes_written, written)}
    dims = dict(table.dims) | {name: np.ceil(after[place]) for place, name in enumerate(SIZES)}
    return replace(table, **columns, dims=dims)


@lru_cache(maxsize=64)
def quadratic(recording: Recording) -> Mask:
    """Return which operations grow with the square of the sequence length."""
    sizes = recording.sizes
    squares = np.array([sum(lengths) >= 2 for _, *lengths in sizes.monomials], dtype=np.bool_)
    matrix = np.array(sizes.coefficients, dtype=object).reshape(-1, len(sizes.monomials))
    square = (matrix[:, squares] != 0).any(axis=1)
    slots = recording.layout.quantities
    grows: Mask = np.logical_or.reduce([square[slots[name]] for name in QUANTITIES])
    return grows


@lru_cache(maxsize=64)
def on_scores(profile: ModelProfile) -> Mask:
    """Return which operations work element by element on the scores of an attention that is not fused.

    Recordings of several lengths tell by growth, others by size: nothing else inside a pair is as large as the scores.
    """
    layout, recording = layout_of(profile), profile.trace.current
    inside: Mask = layout.role == Role.INSIDE
    grows = quadratic(recording)
    if not grows.any():
        matmul = np.array([operation.family == "matmul" for operation in recording.operations], dtype=np.bool_)
        sizes = np.array([largest_tensor(operation) for operation in recording.operations], dtype=np.float64)
        scores = sizes[matmul & (layout.role == Role.HEADS)]
        grows = layout.blocks.shares[1:-1].any(axis=0) & (sizes >= (scores.max() if len(scores) else np.inf))
    return np.asarray(inside & grows)


def _divided(table: OperationTable, layout: Layout, split: Parallelism) -> OperationTable:
    share = _shares(layout, split)
    before = _product_sizes(table, layout)
    after = _split_products(before, layout, split)
    product = layout.axes[:, 0] >= 0
    work = np.where(product, _volume(after) / _volume(before), share)
    read = np.where(product, _inputs(after) / _inputs(before), share)
    written = np.where(product, _outputs(after) / _outputs(before), share)
    columns: dict[str, Any] = {name: _scaled(getattr(table, name), work) for name in FLOPS}
    columns |= {"bytes_read": _scaled(table.bytes_read, read), "bytes_written": _scaled(table.bytes_written, written)}
    dims = dict(table.dims) | {name: np.where(product, after[i], table.dims[name]) for i, name in enumerate(SIZES)}
    dims["batch"] = np.where(product, after[3], table.batch * np.where(layout.role == Role.HEADS, share, 1.0))
    return replace(table, **columns, dims=dims)


def _scaled(column: Integers, factor: Floats) -> Integers:
    scaled: Integers = np.ceil(column.astype(np.float64) * factor - 1e-6).astype(np.int64)
    return np.where(factor == 1.0, column, scaled)


def _shares(layout: Layout, split: Parallelism) -> Floats:
    """Part of an operation that is no product with a weight that one device runs."""
    tensor = split.tensor_parallel
    of_role = np.ones(len(Role))
    of_role[[Role.INSIDE, Role.HEADS, Role.EXPERT]] = 1 / tensor
    of_role[Role.TOKENS] = 1 / tensor if split.sequence_parallel else 1.0
    chosen = layout.chosen if split.expert_parallel > 1 else 1.0
    shares: Floats = of_role[layout.role] * chosen
    return shares


def _product_sizes(table: OperationTable, layout: Layout) -> Floats:
    """m, n, k and batch as rows (4, operations); a grouped product of experts is one product for each of them."""
    sizes = np.stack([table.m, table.n, table.k, table.batch])
    grouped = np.flatnonzero((layout.experts > 0) & (table.batch == 1))
    sizes[layout.axes[grouped, ROWS], grouped] /= layout.experts[grouped]
    sizes[3, grouped] = layout.experts[grouped]
    return sizes


def _split_products(sizes: Floats, layout: Layout, split: Parallelism) -> Floats:
    tensor, expert_tensor = split.tensor_parallel, split.expert_tensor_parallel
    after = sizes.copy()
    _divide(after, layout, (Role.COLUMN, OUT), tensor)
    _divide(after, layout, (Role.ROW, INTO), tensor)
    _divide(after, layout, (Role.EXPERT_COLUMN, OUT), expert_tensor)
    _divide(after, layout, (Role.EXPERT_ROW, INTO), expert_tensor)
    for role in (Role.EXPERT_COLUMN, Role.EXPERT_ROW):
        _divide(after, layout, (role, ROWS), tensor // expert_tensor)
    _gather_experts(after, layout, split)
    return after


def _divide(sizes: Floats, layout: Layout, what: tuple[Role, int], degree: int) -> None:
    places = _places(layout, *what)
    if len(places[0]):
        sizes[places] = np.ceil(sizes[places] / degree)


@lru_cache(maxsize=512)
def _places(layout: Layout, role: Role, axis: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Where the products of a role have one of their sizes: rows and columns of an array (4, operations)."""
    products = np.flatnonzero((layout.role == role) & (layout.axes[:, 0] >= 0))
    return layout.axes[products, axis].astype(np.intp), products


def _gather_experts(sizes: Floats, layout: Layout, split: Parallelism) -> None:
    """Own experts, each with the rows of all devices that share them: n/ep products of ep times the rows."""
    rows = np.flatnonzero(layout.experts > 0)
    if split.expert_parallel > 1 and len(rows):
        sizes[layout.axes[rows, ROWS], rows] *= split.expert_parallel * layout.chosen[rows]
        sizes[3, rows] /= split.expert_parallel


def _volume(sizes: Floats) -> Floats:
    products: Floats = sizes[0] * sizes[1] * sizes[2] * sizes[3]
    return products


def _inputs(sizes: Floats) -> Floats:
    m, n, k, batch = sizes
    elements: Floats = (m + n) * k * batch
    return elements


def _outputs(sizes: Floats) -> Floats:
    elements: Floats = sizes[0] * sizes[1] * sizes[3]
    return elements
