"""The memory that a real training step takes on this machine: what predictions are held against.

On a CUDA device it is what the framework's allocator gave out and held at most; elsewhere the bytes of storages that
any operator returned and that were alive, seen below autograd, and the resident set of the process. All from the second
step on, when the optimizer's states exist.
"""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from profiles.trace.calls import tensors_in
from profiles.trace.ledger import storages_of

KIB: Final = 1024


class LiveStorages(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sums the bytes of the storages that are alive, and keeps the largest sum.

    Parameters
    ----------
    known
        Tensors that are there from the start.
    """

    def __init__(self, known: Iterable[torch.Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.live_bytes = self.peak_bytes = 0
        self._entries: dict[int, tuple[int, weakref.ref[torch.UntypedStorage]]] = {}
        for tensor in known:
            self._see(tensor)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run one operator and note what it returns."""
        out = func(*args, **(kwargs or {}))
        for tensor in tensors_in(out if isinstance(out, (tuple, list)) else (out,)):
            self._see(tensor)
        return out

    def _see(self, tensor: torch.Tensor) -> None:
        for storage in storages_of((tensor,)):
            if storage._cdata not in self._entries:
                self._add(storage)

    def _add(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        self._entries[key] = (size, weakref.ref(storage, lambda _: self._forget(key)))
        self.live_bytes += size
        self.peak_bytes = max(self.peak_bytes, self.live_bytes)

    def _forget(self, key: int) -> None:
        self.live_bytes -= self._entries.pop(key)[0]


@dataclass(frozen=True, slots=True)
class StepMemory:
    """What a training step took at most.

    Attributes
    ----------
    tensor_bytes
        of live tensors; on CUDA what the allocator gave out (max_memory_allocated), workspaces included
    held_bytes
        on a CPU the largest resident set of the process, on CUDA what the allocator held (max_memory_reserved); None
        where the system does not tell
    """

    tensor_bytes: int
    held_bytes: int | None


def measure_memory(run: Callable[[], None], known: Callable[[], Iterable[torch.Tensor]]) -> StepMemory:
    """Return what a training step takes from the second time on, when the optimizer's states exist.

    Parameters
    ----------
    run
        makes one step
    known
        tensors that are there before and after a step: parameters, buffers, inputs, states
    """
    run()
    held = list(known())
    if any(tensor.is_cuda for tensor in held):
        torch.cuda.synchronize()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        run()
        return StepMemory(int(torch.cuda.max_memory_allocated()), int(torch.cuda.max_memory_reserved()))
    with _uncollected(), LiveStorages(held) as seen:
        run()
    return StepMemory(int(seen.peak_bytes), peak_resident_bytes(run))


def peak_resident_bytes(run: Callable[[], None]) -> int | None:
    """Return the largest resident set of this process while a function runs; None where the system does not tell.

    Linux keeps it (VmHWM of /proc/self/status) and forgets the past when 5 is written to clear_refs (proc(5)).
    """
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        run()
        return None
    run()
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next((int(line.split()[1]) * KIB for line in lines if line.startswith("VmHWM:")), None)


def measure_step_memory(
    model: torch.nn.Module,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    loss: Callable[[Any], torch.Tensor],
    optimizer: torch.optim.Optimizer,
    autocast: torch.dtype | None = None,
) -> StepMemory:
    """Return what a plain training step of a model takes.

    Parameters
    ----------
    model, args, kwargs
        The module and what it is called with, on the device that is measured.
    loss
        From the model's outputs to what is minimised.
    optimizer
        Over the model's parameters.
    autocast
        Type that the forward pass is cast to; None: not at all.
    """

    def run() -> None:
        with _cast(args, kwargs, autocast):
            outputs = model(*args, **kwargs)
            value = loss(outputs)  # outputs and loss live until the step is made, as in a training loop
        value.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return measure_memory(run, lambda: known_tensors(model, args, kwargs, [optimizer]))


def known_tensors(
    model: torch.nn.Module, args: Any, kwargs: Any, optimizers: Iterable[torch.optim.Optimizer]
) -> list[torch.Tensor]:
    """Return the tensors that are there from one step to the next."""
    states = (tensor for optimizer in optimizers for tensor in _states(optimizer))
    return [*model.parameters(), *model.buffers(), *tensors_in((args, kwargs)), *states]


def _cast(args: Any, kwargs: Any, to: torch.dtype | None) -> AbstractContextManager[Any]:
    if to is None:
        return nullcontext()
    kind = next((tensor.device.type for tensor in tensors_in((args, kwargs))), "cpu")
    return torch.autocast(kind, dtype=to)


def _states(optimizer: torch.optim.Optimizer) -> Iterator[torch.Tensor]:
    for state in optimizer.state.values():
        yield from tensors_in(tuple(state.values()))


@contextmanager
def _uncollected() -> Iterator[None]:
    """No garbage collection in between: what it frees would depend on chance."""
    gc.collect()
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()
