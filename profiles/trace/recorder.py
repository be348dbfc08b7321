"""The dispatch mode: sees every operator call below autograd and writes it down with its cost and its place.

Views are seen but not written down: they move nothing and start nothing on the device.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch._C import DispatchKey, DispatchKeySet
from torch.utils._python_dispatch import TorchDispatchMode, is_traceable_wrapper_subclass_type

from profiles.records import Operation
from profiles.trace.calls import tensors_in
from profiles.trace.custom import python_kernel
from profiles.trace.known import MOST_CALLS, Known, describe, key_of, make
from profiles.trace.ledger import Ledger
from profiles.trace.places import Place, Places
from profiles.trace.precision import precision_of
from profiles.trace.settings import StepSettings
from profiles.trace.sources import Sources
from profiles.trace.symbolic import lies_on, run
from profiles.trace.values import Values

LARGEST_REAL_FLOPS = 200 * 10**9
_IGNORED = frozenset({"profiler", "prim"})


class TooLarge(Exception):
    """A model is too large to be run for real."""


@dataclass(frozen=True, slots=True)
class Sight:
    """Which tensors belong to the traced device: their device type, and whether they have no values.

    `lines` says whether the line of code that each call comes from is noted.
    """

    device: str
    symbolic: bool
    lines: bool = False


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
        self._spent = 0
        self._places, self._ledger, self._values = places, ledger, values
        self._sources = Sources() if sight.lines else None
        self._settings, self._device, self._symbolic = settings, sight.device, sight.symbolic
        # For a CPU the host's own tensors are tensors of the device.
        self.devices = frozenset({sight.device, "cpu"} if settings.device == "cpu" else {sight.device})

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run one operator."""
        if types and any(map(is_traceable_wrapper_subclass_type, types)):
            return NotImplemented  # a tensor made of other tensors: it calls the operators on its parts
        kwargs = kwargs or {}
        if func.namespace in _IGNORED:
            return func(*args, **kwargs)
        if (key := python_kernel(func)) is not None:
            return self._open(func, args, kwargs, key)
        return self._call(func, args, kwargs)

    def _call(self, func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        source = "" if self._sources is None else self._sources.now()
        key = key_of(func, args, kwargs) if self._device == "meta" else None
        known = None if key is None else _KNOWN.get(key)
        if known is None or not known.current:
            out = self._run(func, args, kwargs)
            known = describe(func, args, kwargs, out)
            _remember(key, known)
        else:
            out = self._again(func, args, kwargs, known)
        outputs = tuple(tensors_in(out))
        if self._on_device(outputs, args):
            self._record(known, outputs, source)
        return out

    def _again(self, func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], known: Known) -> Any:
        if known.silent:
            return None
        if known.in_place:
            out = args[0]
        elif known.result is not None:
            out = make(known.result)
        else:
            return self._run(func, args, kwargs)
        if known.follow:
            self._values.follow(func, args, kwargs, out)
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
        return run(func, args, kwargs, self._values, self.devices) if self._symbolic else func(*args, **kwargs)

    def _on_device(self, outputs: tuple[Any, ...], args: tuple[Any, ...]) -> bool:
        """Whether a call works on the traced device: by its results, or by its arguments where it has none."""
        tensors = outputs if any(isinstance(o, torch.Tensor) for o in outputs) else tuple(tensors_in(args))
        return lies_on(self.devices, tensors)

    def _record(self, known: Known, outputs: tuple[torch.Tensor, ...], source: str) -> None:
        self._ledger.see(outputs)
        if not self.recording or known.view:
            return
        self._spend(known.cost.flops)
        place = self._places.now()
        self.operations.append(self._operation(known, place, source))
        self._ledger.sample(place, len(self.operations))

    def _spend(self, flops: int) -> None:
        """Give up a real run that takes too long."""
        self._spent += flops
        if not self._symbolic and self._spent > LARGEST_REAL_FLOPS:
            raise TooLarge(f"a real run takes more than {LARGEST_REAL_FLOPS:.0e} FLOPs")

    def _operation(self, known: Known, place: Place, source: str) -> Operation:
        cost = known.cost
        return Operation(
            known.call.operator,
            cost.family,
            place.phase,
            place.module,
            known.inputs,
            known.outputs,
            precision_of(known.call, cost, self._settings, self._places.is_linear(place.module)),
            cost.engine,
            cost.flops,
            0 if place.recomputed or cost.engine != "matrix" else cost.model_flops,
            cost.executed_flops,
            cost.bytes_read,
            cost.bytes_written,
            cost.dims,
            cost.counted,
            place.recomputed,
            source=source,
        )


_KNOWN: dict[Hashable, Known] = {}


def _remember(key: Hashable | None, known: Known) -> None:
    if key is None:
        return
    if len(_KNOWN) >= MOST_CALLS:
        _KNOWN.clear()
    _KNOWN[key] = known
