"""Calls made by hand from shapes, and calls recorded from torch itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod
from typing import Any

from profiles.formulas import Call, Cost, cost_of
from profiles.records import TensorSpec


def spec(*shape: int, dtype: str = "float32", stored: int | None = None) -> TensorSpec:
    """A dense tensor, or one with fewer stored elements."""
    return TensorSpec(shape, dtype, prod(shape) if stored is None else stored)


def cost(operator: str, *args: object, out: object = (), overload: str = "default", **kwargs: object) -> Cost:
    """Cost of one call; a single output needs no tuple."""
    outputs = (out,) if isinstance(out, TensorSpec) else out
    assert isinstance(outputs, tuple)
    return cost_of(Call(operator, overload, args, tuple(kwargs.items()), outputs))


@dataclass
class Recorded:
    """What torch called: each call, its cost and what torch's own registry of FLOP formulas says (None: nothing)."""

    calls: list[Call] = field(default_factory=list)
    costs: list[Cost] = field(default_factory=list)
    torch_flops: list[int | None] = field(default_factory=list)

    def of(self, operator: str) -> list[Cost]:
        """Costs of all calls of one operator."""
        return [cost for call, cost in zip(self.calls, self.costs, strict=True) if call.operator == operator]

    @property
    def matrix_flops(self) -> int:
        """Multiply-adds times two, all calls."""
        return sum(cost.flops for cost in self.costs if cost.engine == "matrix")


def record(function: Callable[[], Any]) -> Recorded:
    """Run a function and note every operator that reaches the dispatcher."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils.flop_counter import flop_registry

    from profiles.trace.calls import call_of, tensors_in

    recorded = Recorded()

    class _Recorder(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            result = func(*args, **(kwargs or {}))
            call = call_of(func, args, kwargs or {}, tuple(tensors_in(result)))
            recorded.calls.append(call)
            recorded.costs.append(cost_of(call))
            theirs = flop_registry.get(func._overloadpacket)
            flops = theirs(*args, **(kwargs or {}), out_val=result) if theirs else None
            recorded.torch_flops.append(flops)
            return result

    torch.manual_seed(0)
    with _Recorder():
        function()
    return recorded
