"""The dispatch mode: sees every operator call below autograd and writes it down with its cost and its place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch._C import DispatchKey, DispatchKeySet
from torch.utils._python_dispatch import TorchDispatchMode

from profiles.formulas import Call, cost_of, view_cost
from profiles.records import Operation
from profiles.trace.calls import call_of, compact, tensors_in
from profiles.trace.custom import python_kernel
from profiles.trace.ledger import Ledger
from profiles.trace.places import Place, Places
from profiles.trace.precision import precision_of
from profiles.trace.settings import StepSettings
from profiles.trace.values import ASKS_FOR_VALUES, Values, values_of

aten = torch.ops.aten

_IGNORED = frozenset({"profiler", "prim"})
_VIEWS = frozenset({"detach", "detach_", "_unsafe_view", "lift_fresh", "_reshape_alias", "alias", "is_same_size"})


@dataclass(frozen=True, slots=True)
class Sight:
    """Which tensors belong to the traced device: their device type, and whether they have no values."""

    device: str
    symbolic: bool


class Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Runs every operator on symbolic tensors, and records those that work on the traced device.

    Parameters
    ----------
    places, ledger, values
        What is followed besides the calls themselves.
    settings
        The question; decides the precision that products run in.
    sight
        Which tensors belong to the traced device.
    """

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Do not wrap each call in a switch for torch.compile: slower, and it hides the caller's frames."""
        return False

    def __init__(self, places: Places, ledger: Ledger, values: Values, settings: StepSettings, sight: Sight) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operations: list[Operation] = []
        self.recording = True
        self._places, self._ledger, self._values = places, ledger, values
        self._settings, self._device, self._symbolic = settings, sight.device, sight.symbolic

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run one operator."""
        kwargs = kwargs or {}
        if func.namespace in _IGNORED:
            return func(*args, **kwargs)
        if (key := python_kernel(func)) is not None:
            return self._open(func, args, kwargs, key)
        return self._call(func, args, kwargs)

    def _call(self, func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        out = self._run(func, args, kwargs)
        outputs = tuple(tensors_in(out))
        if self._on_device(outputs, args):
            self._record(func, args, kwargs, outputs)
        return out

    def _open(self, func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], key: DispatchKey) -> Any:
        """Run the Python kernel of a custom operator under this mode; one that does not run so stays closed."""
        seen = len(self.operations), len(self._ledger.moments)
        try:
            with self:
                out = func.redispatch(DispatchKeySet(key), *args, **kwargs)
        except Exception:  # whatever the kernel cannot do with symbolic tensors
            out = None
        if out is None or len(self.operations) == seen[0]:
            del self.operations[seen[0] :], self._ledger.moments[seen[1] :]
            return self._call(func, args, kwargs)
        return out

    def _run(self, func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        if not self._symbolic:
            return func(*args, **kwargs)
        packet = func._overloadpacket
        if packet in ASKS_FOR_VALUES and self._on_device(args, ()):
            return self._values.answer(func, args, kwargs)
        if packet is aten._to_copy and (device := kwargs.get("device")) is not None and device.type == "cpu":
            return _to_host(func, args, kwargs)
        out = func(*args, **kwargs)
        self._values.follow(func, args, kwargs, out)
        return out

    def _on_device(self, outputs: tuple[Any, ...], args: tuple[Any, ...]) -> bool:
        tensors = outputs if any(isinstance(o, torch.Tensor) for o in outputs) else tuple(tensors_in(args))
        return any(t.device.type == self._device for t in tensors if isinstance(t, torch.Tensor))

    def _record(self, func: Any, args: Any, kwargs: Mapping[str, Any], outputs: tuple[torch.Tensor, ...]) -> None:
        self._ledger.see(outputs)
        if not self.recording:
            return
        place = self._places.now()
        self.operations.append(self._operation(func, call_of(func, args, kwargs, outputs), place))
        self._ledger.sample(place)

    def _operation(self, func: Any, call: Call, place: Place) -> Operation:
        cost = view_cost(call) if _is_view(func) else cost_of(call)
        return Operation(
            operator=call.operator,
            family=cost.family,
            phase=place.phase,
            module=place.module,
            inputs=compact(call.inputs),
            outputs=compact(call.outputs),
            precision=precision_of(call, cost, self._settings, self._places.is_linear(place.module)),
            engine=cost.engine,
            flops=cost.flops,
            model_flops=0 if place.recomputed else cost.model_flops,
            executed_flops=cost.executed_flops,
            bytes_read=cost.bytes_read,
            bytes_written=cost.bytes_written,
            dims=cost.dims,
            counted=cost.counted,
            recomputed=place.recomputed,
        )


@lru_cache(maxsize=1 << 12)
def _is_view(func: Any) -> bool:
    return bool(func.is_view) or func._overloadpacket.__name__ in _VIEWS


def _to_host(func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Copy to the host: the values where they are known, else the symbolic tensor stays where it is."""
    values = values_of(args[0])
    if values is None:
        kwargs = {**kwargs, "device": args[0].device}
        return func(*args, **kwargs)
    return func(values, *args[1:], **kwargs)
