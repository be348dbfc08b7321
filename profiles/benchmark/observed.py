"""Which operations of the framework a call runs, described as the tracer describes those of a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode

from profiles.benchmark.clock import Call
from profiles.machine_profile import bare
from profiles.records import Operation, Phase
from profiles.trace.known import describe
from profiles.trace.precision import precision_of
from profiles.trace.settings import StepSettings


class _Observer(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __init__(self, settings: StepSettings, optimizing: bool) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.settings, self.optimizing = settings, optimizing
        self.operations: list[Operation] = []

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        known = describe(func, args, kwargs or {}, out)
        if not known.view and func.namespace not in ("profiler", "prim"):
            self.operations.append(self._operation(known))
        return out

    def _phase(self, operator: str) -> Phase:
        if self.optimizing:
            return "optimizer"
        return "backward" if "backward" in operator else "forward"

    def _operation(self, known: Any) -> Operation:
        cost = known.cost
        return Operation(
            operator=known.call.operator,
            family=cost.family,
            phase=self._phase(known.call.operator),
            module="",
            inputs=known.inputs,
            outputs=known.outputs,
            precision=precision_of(known.call, cost, self.settings, False),
            engine=cost.engine,
            flops=cost.flops,
            model_flops=cost.model_flops,
            executed_flops=cost.executed_flops,
            bytes_read=cost.bytes_read,
            bytes_written=cost.bytes_written,
            dims=cost.dims,
            counted=cost.counted,
        )


def operations_of(call: Call, precision: str, optimizing: bool = False) -> tuple[Operation, ...]:
    """Run a call once and return the operations below it, equal ones counted, without their tensors."""
    observer = _Observer(StepSettings("forward", "tf32" if precision == "tf32" else "float32"), optimizing)
    with observer:
        call()
    return bare(observer.operations)
