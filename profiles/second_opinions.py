"""What fvcore and torch's FlopCounterMode count for the same forward pass, as a user of theirs would run them.

Neither gets help from our tracer. Each stands on the first ground that it can stand on: meta tensors (no memory), fake
tensors, or a real run on the CPU where the model is small enough for one.
"""

from __future__ import annotations

import logging
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode, flop_registry, sdpa_flop_count

from profiles.formulas import cost_of
from profiles.trace.calls import call_of, tensors_in
from profiles.trace.rungs import Ground, fake_mode

Workload = tuple[torch.nn.Module, tuple[Any, ...], dict[str, Any]]
MakeWorkload = Callable[[Ground], Workload]
GroundName = Literal["meta", "fake", "cpu"]

COMPOSITES = {
    "scaled_dot_product_attention": "attention",
    "lstm": "rnn",
    "gru": "rnn",
    "rnn_tanh": "rnn",
    "rnn_relu": "rnn",
}
"""Functions that torch takes apart into plain products on symbolic tensors, and the family they belong to."""

CUSTOM = {"transformers::grouped_mm_fallback": "matmul", "_grouped_mm": "matmul"}
"""Operators of other names than in a profile, where the grouped product of the experts is one kernel, by family."""


def _fused_attention(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    return int(sdpa_flop_count(query, key, value))  # type: ignore[no-untyped-call]


_TWINS = {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _fused_attention}
"""The CPU's fused attention does what the GPU's does; torch's registry has a formula for the latter only."""

_FVCORE_FAMILIES = {
    **dict.fromkeys(("addmm", "bmm", "einsum", "matmul", "mm", "linear"), "matmul"),
    **dict.fromkeys(("batch_norm", "group_norm", "layer_norm", "instance_norm"), "normalisation"),
    **dict.fromkeys(("upsample_nearest2d", "upsample_bilinear2d", "adaptive_avg_pool2d", "grid_sampler"), "pooling"),
    "conv": "convolution",
}
"""Families of fvcore's operators (fvcore/nn/flop_count.py, its table of default handles)."""


@dataclass(frozen=True, slots=True)
class SecondOpinion:
    """What another tool counted.

    flops     FLOPs by family; a family that it has no formula for is missing
    missed    operators that it ran into without a formula, by family, with their calls
    ground    what it ran on: "meta", "fake", "cpu"; "" where it could not count
    failure   why it could not count on the ground before that, or at all; "" where it could at once
    """

    flops: Mapping[str, int] = field(default_factory=dict)
    missed: Mapping[str, Counter[str]] = field(default_factory=dict)
    ground: str = ""
    failure: str = ""


def ask_flop_counter(make: MakeWorkload, small: bool) -> SecondOpinion:
    """Count with torch.utils.flop_counter.FlopCounterMode; `small` allows a real run."""
    return _first_that_works(_count_dispatched, make, ("meta", "fake", "cpu") if small else ("meta", "fake"))


def ask_fvcore(make: MakeWorkload, small: bool) -> SecondOpinion:
    """Count with fvcore's FlopCountAnalysis, its multiply-adds times two; `small` allows a real run."""
    try:
        import fvcore.nn  # noqa: F401
    except ImportError:
        return SecondOpinion(failure="not installed (pip install fvcore)")
    return _first_that_works(_count_traced, make, ("meta", "cpu") if small else ("meta",))


def _first_that_works(
    count: Callable[[Workload], SecondOpinion], make: MakeWorkload, grounds: tuple[GroundName, ...]
) -> SecondOpinion:
    failure = ""
    for name in grounds:
        ground = Ground("meta" if name == "meta" else "cpu", fake_mode() if name == "fake" else None)
        try:
            with torch.no_grad(), _quiet(), ground.context():
                found = count(make(ground))
        except Exception as error:  # whatever a model raises under a foreign tool is why that tool has no figure
            lines = str(error).strip().splitlines() or [type(error).__name__]
            failure = f"on {name} tensors: {lines[0]}"
            continue
        return replace(found, ground=name, failure=failure)
    return SecondOpinion(failure=failure)


@contextmanager
def _quiet() -> Iterator[None]:
    """Neither warnings nor log lines of the tools."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)


class _Seen(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes the operators that torch's registry has no formula for, by the family that ours puts them in."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.missed: dict[str, Counter[str]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operator and note it."""
        result = func(*args, **(kwargs or {}))
        if isinstance(func, torch._ops.OpOverload) and func._overloadpacket not in {**flop_registry, **_TWINS}:
            call = call_of(func, args, kwargs or {}, tuple(tensors_in(result)))
            cost = cost_of(call)
            if cost.engine != "none":
                self.missed.setdefault(cost.family, Counter())[call.operator] += 1
        return result


class _Attributed(TorchFunctionMode):
    """Adds up what a counter counts inside the composite functions, by their family."""

    def __init__(self, total: Callable[[], int]) -> None:
        super().__init__()
        self.flops: Counter[str] = Counter()
        self._total = total

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run a torch function; of a composite one, note the difference."""
        family = COMPOSITES.get(getattr(func, "__name__", ""))
        before = self._total() if family else 0
        result = func(*args, **(kwargs or {}))
        if family:
            self.flops[family] += self._total() - before
        return result


def _count_dispatched(workload: Workload) -> SecondOpinion:
    model, args, kwargs = workload
    counter, seen = FlopCounterMode(display=False, custom_mapping=_TWINS), _Seen()
    composite = _Attributed(lambda: _plain_products(counter))
    with seen, counter, composite:
        model(*args, **kwargs)
    flops = Counter({family: count for family, count in composite.flops.items() if count})
    for packet, count in counter.get_flop_counts().get("Global", {}).items():
        flops[_torch_family(packet)] += count
    flops["matmul"] -= sum(composite.flops.values())
    return SecondOpinion({family: count for family, count in flops.items() if count}, seen.missed)


def _plain_products(counter: FlopCounterMode) -> int:
    counted = counter.get_flop_counts().get("Global", {})
    return sum(count for packet, count in counted.items() if _torch_family(packet) == "matmul")


def _torch_family(packet: Any) -> str:
    """Family of an operator of torch's registry, which has products, convolutions and attention."""
    name = str(packet)
    return "convolution" if "convolution" in name else "attention" if "attention" in name else "matmul"


class _Positional(torch.nn.Module):
    """A model as torch.jit.trace wants it: tensors in, tensors out, no keywords."""

    def __init__(self, workload: Workload) -> None:
        super().__init__()
        self.model, args, kwargs = workload
        self._leaves, self._tree = _pytree.tree_flatten((args, kwargs))
        self._places = [at for at, leaf in enumerate(self._leaves) if isinstance(leaf, torch.Tensor)]

    @property
    def tensors(self) -> tuple[torch.Tensor, ...]:
        """The inputs that are tensors."""
        return tuple(self._leaves[at] for at in self._places)

    def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Call the model with these tensors in their places."""
        leaves = list(self._leaves)
        for at, tensor in zip(self._places, tensors, strict=True):
            leaves[at] = tensor
        args, kwargs = _pytree.tree_unflatten(leaves, self._tree)
        outputs = self.model(*args, **kwargs)
        values = tuple(outputs.values()) if isinstance(outputs, dict) else outputs
        return tuple(tensors_in(values))


def _count_traced(workload: Workload) -> SecondOpinion:
    from fvcore.nn import FlopCountAnalysis

    model = _Positional(workload)
    analysis = FlopCountAnalysis(model, model.tensors)
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
    flops: Counter[str] = Counter()
    for operator, multiply_adds in analysis.by_operator().items():
        flops[_FVCORE_FAMILIES.get(operator, "other")] += 2 * int(multiply_adds)
    missed = Counter({name.removeprefix("aten::"): calls for name, calls in analysis.unsupported_ops().items()})
    return SecondOpinion({family: count for family, count in flops.items() if count}, {"": missed})
