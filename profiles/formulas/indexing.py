"""Gather, scatter and embedding: only what is picked is read, only what is added counts as FLOPs.

A row that is picked twice is read twice, so that the traffic grows evenly with the number of indices.
"""

from __future__ import annotations

from profiles.formulas.call import Call, Cost, elements
from profiles.formulas.costs import movement_cost, vector_cost
from profiles.formulas.registry import register_formula
from profiles.formulas.traffic import element_bytes, tensor_bytes, total_bytes
from profiles.records import TensorSpec


def _picked(call: Call, family: str = "copy") -> Cost:
    """As many elements of the first tensor are read as come out, and all other tensors (indices, masks) whole."""
    cost = movement_cost(call, family)
    others = total_bytes(call.inputs[1:])
    return cost.with_traffic(element_bytes(call.inputs[0], elements(call.outputs[0])) + others, cost.bytes_written)


_PICKING = "index _unsafe_index index_select gather take take_along_dim masked_select _unsafe_masked_index"


@register_formula(*(f"aten.{name}" for name in _PICKING.split()))
def gather(call: Call) -> Cost:
    """Read what the indices name."""
    return _picked(call)


@register_formula("aten.embedding")
def embedding(call: Call) -> Cost:
    """Read one row of the table per index."""
    return _picked(call, "embedding")


def _scattered(call: Call, values: TensorSpec | None, accumulates: bool, touched: int) -> Cost:
    """Write `touched` elements into the first tensor, adding to what is there or not.

    In place only the touched elements move; otherwise the whole tensor is copied first.
    """
    target = call.inputs[0]
    cost = vector_cost(call, "elementwise" if accumulates else "copy", touched if accumulates else 0)
    if call.operator.endswith("_"):
        old = element_bytes(target, touched) if accumulates else 0
        written = element_bytes(target, touched)
    else:
        old, written = tensor_bytes(target), cost.bytes_written
    others = total_bytes(tensor for tensor in call.inputs[1:] if tensor is not values)
    return cost.with_traffic(old + others + (tensor_bytes(values) if values else 0), written)


@register_formula("aten.index_put", "aten._unsafe_index_put", "aten._index_put_impl")
def index_put(call: Call) -> Cost:
    """(self, indices, values, accumulate): as many elements as the values broadcast to."""
    values = call.tensor(2, "values")
    return _scattered(call, values, call.flag(3, "accumulate"), _indexed_elements(call, elements(values)))


def _indexed_elements(call: Call, at_least: int) -> int:
    """Elements that a tuple of index tensors names: their broadcast shape times the dimensions without an index."""
    given = call.argument(1, "indices")
    slots = given if isinstance(given, tuple) else ()
    indices = [slot for slot in slots if isinstance(slot, TensorSpec)]
    if any(index.dtype in ("bool", "uint8") for index in indices):
        return at_least
    sizes = call.inputs[0].shape
    kept = [size for size, slot in zip(sizes, slots, strict=False) if not isinstance(slot, TensorSpec)]
    count = max((elements(index) for index in indices), default=1)
    for size in (*kept, *sizes[len(slots) :]):
        count *= size
    return max(count, at_least)


@register_formula("aten._unsafe_masked_index_put_accumulate")
def masked_index_put(call: Call) -> Cost:
    """(self, mask, indices, values): add the values where the mask is true."""
    values = call.tensor(3, "values")
    return _scattered(call, values, True, elements(values))


@register_formula("aten.scatter", "aten.scatter_reduce", "aten.scatter_add")
def scatter(call: Call) -> Cost:
    """(self, dim, index, src or value): one element per index; a reduction is one FLOP per element."""
    reduces = call.operator.rstrip("_") != "aten.scatter" or call.overload in ("reduce", "value_reduce")
    return _scattered(call, call.optional_tensor(3, "src"), reduces, elements(call.tensor(2, "index")))


@register_formula("aten.index_add", "aten.index_reduce", "aten.index_copy")
def index_add(call: Call) -> Cost:
    """(self, dim, index, source)."""
    source = call.tensor(3, "source")
    return _scattered(call, source, "copy" not in call.operator, elements(source))


@register_formula("aten.index_fill")
def index_fill(call: Call) -> Cost:
    """(self, dim, index, value): the slices that the index names."""
    target, dim = call.tensor(0), call.integer(1, "dim")
    length = target.shape[dim] if target.shape else 1
    return _scattered(call, None, False, elements(call.tensor(2)) * elements(target) // max(length, 1))


@register_formula("aten.put")
def put(call: Call) -> Cost:
    """(self, index, source, accumulate)."""
    source = call.tensor(2, "source")
    return _scattered(call, source, call.flag(3, "accumulate"), elements(source))


@register_formula("aten.masked_scatter")
def masked_scatter(call: Call) -> Cost:
    """Values put where a mask is true."""
    return movement_cost(call)


_SLICES = "select_scatter slice_scatter diagonal_scatter as_strided_scatter"


@register_formula(*(f"aten.{name}" for name in _SLICES.split()))
def slice_scatter(call: Call) -> Cost:
    """A copy of the first tensor with a part replaced."""
    return movement_cost(call)


_SLICE_GRADIENTS = (
    "select_backward slice_backward diagonal_backward masked_scatter_backward trace_backward "
    "value_selecting_reduction_backward masked_select_backward _gather_sparse_backward"
)


@register_formula(*(f"aten.{name}" for name in _SLICE_GRADIENTS.split()))
def slice_backward(call: Call) -> Cost:
    """Zeros with the gradient written into a part."""
    return movement_cost(call)


@register_formula("aten.unfold_backward", "aten.gather_backward", "aten.index_select_backward")
def unfold_backward(call: Call) -> Cost:
    """Each element of the gradient is added at its source."""
    return vector_cost(call, "elementwise", elements(call.tensor(0)))


@register_formula("aten.embedding_dense_backward", "aten.embedding_backward", "aten.embedding_sparse_backward")
def embedding_backward(call: Call) -> Cost:
    """Each row of the gradient is added to a row of the table's, which is written once."""
    return vector_cost(call, "embedding", elements(call.tensor(0)))


@register_formula("aten._embedding_bag", "aten._embedding_bag_forward_only", "aten.embedding_bag")
def embedding_bag(call: Call) -> Cost:
    """(weight, indices, offsets, ..., per_sample_weights): one row read per index and added up, weighted or not."""
    table, indices = call.tensor(0), call.tensor(1)
    picked = elements(indices) * table.shape[-1]
    weights = call.optional_tensor(6, "per_sample_weights")
    cost = vector_cost(call, "embedding", picked * (2 if weights else 1))
    return cost.with_traffic(element_bytes(table, picked) + total_bytes(call.inputs[1:]), cost.bytes_written)


@register_formula(
    "aten._embedding_bag_dense_backward", "aten._embedding_bag_backward", "aten._embedding_bag_sparse_backward"
)
def embedding_bag_backward(call: Call) -> Cost:
    """The gradient of each bag is added to the rows of its indices."""
    gradient, indices = call.tensor(0), call.tensor(1)
    return vector_cost(call, "embedding", elements(indices) * gradient.shape[-1])


@register_formula("aten._embedding_bag_per_sample_weights_backward")
def embedding_bag_weights_backward(call: Call) -> Cost:
    """(grad, weight, indices, ...): one dot product per index."""
    gradient, indices = call.tensor(0), call.tensor(2)
    return vector_cost(call, "embedding", 2 * elements(indices) * gradient.shape[-1])


@register_formula("aten.embedding_renorm")
def embedding_renorm(call: Call) -> Cost:
    """(table, indices, max_norm, norm_type): norm and scale of the rows named: 3 FLOPs per element."""
    table, indices = call.tensor(0), call.tensor(1)
    picked = elements(indices) * table.shape[-1]
    cost = vector_cost(call, "embedding", 3 * picked)
    return cost.with_traffic(element_bytes(table, picked) + tensor_bytes(indices), element_bytes(table, picked))
