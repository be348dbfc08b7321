"""Operators that take functions (`torch.cond`, `while_loop`, `scan`, `map`, flex attention), run as they are written.

torch compiles what it hands to such an operator. A trace wants to see inside instead: branches and loops are run in
Python, call by call, so that autograd and the counts are those of the code that they stand for. Flex attention becomes
one fused operator, as on the device; its block mask, where its values are known, says which pairs are executed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils._pytree import tree_map

from profiles.trace.values import values_of

Tensor = torch.Tensor

_FLEX_MODULE = "torch.nn.attention.flex_attention"
_NESTED_MODULE = "torch.nested._internal.sdpa"
# In BlockMask.as_tuple(): kv_num_blocks, full_kv_num_blocks, and rows and columns of a block.
_PARTIAL_BLOCKS, _FULL_BLOCKS, _BLOCK_SIZES = 2, 4, slice(-3, -1)


def _cond(pred: Any, true_fn: Callable[..., Any], false_fn: Callable[..., Any], operands: Sequence[Any] = ()) -> Any:
    return true_fn(*operands) if bool(pred) else false_fn(*operands)


def _while_loop(cond_fn: Callable[..., Any], body_fn: Callable[..., Any], carried: Any, additional: Any = ()) -> Any:
    while bool(cond_fn(*carried, *additional)):
        carried = tuple(body_fn(*carried, *additional))
    return carried


def _scan(combine: Callable[..., Any], init: Sequence[Tensor], xs: Sequence[Tensor], additional_inputs: Any) -> Any:
    carry, outputs = list(init), []
    for step in range(xs[0].shape[0]):
        found = list(combine(*carry, *(x[step] for x in xs), *additional_inputs))
        carry = found[: len(init)]
        outputs.append(found[len(init) :])
    return [*carry, *(torch.stack(column) for column in zip(*outputs, strict=True))]


def _map(function: Callable[..., Any], xs: Sequence[Tensor], additional: Sequence[Any] = ()) -> Any:
    rows = [function(*(x[row] for x in xs), *additional) for row in range(xs[0].shape[0])]
    return tree_map(lambda *column: torch.stack(column), *rows)


def _flex(query: Tensor, key: Tensor, value: Tensor, score_mod: Any, block_mask: Any, *rest: Any, **named: Any) -> Any:
    pairs = _executed_pairs(query, key, block_mask)
    output, lse = _FlexAttention.apply(query, key, value, pairs)  # type: ignore[no-untyped-call]
    return output, lse, lse


class _FlexAttention(torch.autograd.Function):
    """Forward and backward kernel of flex attention, one operator each."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, pairs: int) -> tuple[Tensor, Tensor]:
        """Return output (batch, heads, length, width) and log-sum-exp (batch, heads, length)."""
        output, lse = torch.ops.flopcast.flex_attention(query, key, value, pairs)
        ctx.save_for_backward(query, key, value, output, lse)
        ctx.pairs = pairs
        return output, lse

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        """Return the gradients of query, key and value."""
        query, key, value, output, lse = ctx.saved_tensors
        found = torch.ops.flopcast.flex_attention_backward(query, key, value, output, lse, grads[0], ctx.pairs)
        return (*found, None)


def _executed_pairs(query: Tensor, key: Tensor, block_mask: Sequence[Any]) -> int:
    """Pairs of query and key in the blocks that the mask does not leave out; all where that is unknown."""
    batch, heads, queries = query.shape[:3]
    everything = batch * heads * queries * key.shape[2]
    rows, columns = block_mask[_BLOCK_SIZES]
    blocks = 0
    for counts in (block_mask[_PARTIAL_BLOCKS], block_mask[_FULL_BLOCKS]):
        values = None if counts is None else values_of(counts)
        if values is None and counts is not None:
            return everything
        if values is not None:
            blocks += int(values.sum()) * (batch // counts.shape[0]) * (heads // counts.shape[1])
    return int(min(everything, blocks * rows * columns))


def _outputs(query: Tensor, key: Tensor, value: Tensor, pairs: int) -> tuple[Tensor, Tensor]:
    output = torch.empty_like(query[..., :1]).expand(*query.shape[:-1], value.shape[-1])
    return torch.empty_like(output), query.new_empty(query.shape[:-1], dtype=torch.float32)


def _gradients(query: Tensor, key: Tensor, value: Tensor, *rest: Any) -> tuple[Tensor, Tensor, Tensor]:
    return torch.empty_like(query), torch.empty_like(key), torch.empty_like(value)


def _define(library: Any) -> Any:
    inputs = "Tensor query, Tensor key, Tensor value"
    library.define(f"flex_attention({inputs}, SymInt executed_pairs) -> (Tensor, Tensor)")
    library.define(
        f"flex_attention_backward({inputs}, Tensor output, Tensor logsumexp, Tensor gradient, SymInt executed_pairs)"
        " -> (Tensor, Tensor, Tensor)"
    )
    library.impl("flex_attention", _outputs, "Meta")
    library.impl("flex_attention_backward", _gradients, "Meta")
    return library


_LIBRARY = _define(torch.library.Library("flopcast", "DEF"))  # type: ignore[no-untyped-call]

_OPERATORS: dict[str, Callable[..., Any]] = {
    "cond": _cond,
    "while_loop": _while_loop,
    "scan": _scan,
    "map_impl": _map,
    "flex_attention": _flex,
}


def stand_in(func: Any) -> Callable[..., Any] | None:
    """Function to run instead of an operator that takes functions; None for any other."""
    return _OPERATORS.get(func._name) if isinstance(func, torch._ops.HigherOrderOperator) else None


def flex_is_loaded() -> bool:
    """Whether flex attention has been imported, so that `uncompiled` prepares it."""
    return _FLEX_MODULE in sys.modules


@contextmanager
def uncompiled() -> Iterator[None]:
    """Let nothing be compiled, and let flex attention and that of nested tensors take symbolic tensors."""
    patches: list[tuple[Any, str, Any]] = [(torch, "compile", _not_compiled)]
    if (flex := sys.modules.get(_FLEX_MODULE)) is not None:
        patches.append((flex, "_validate_device", lambda *tensors: None))
    if (nested := sys.modules.get(_NESTED_MODULE)) is not None:  # flash attention, as for torch's counter
        patches.append((nested, "_is_computing_meta_flops", lambda tensor: tensor.device.type == "meta"))
    before = [(module, name, getattr(module, name)) for module, name, _ in patches]
    for module, name, value in patches:
        setattr(module, name, value)
    try:
        yield
    finally:
        for module, name, value in before:
            setattr(module, name, value)


def _not_compiled(model: Any = None, **options: Any) -> Any:
    return model if model is not None else lambda function: function
