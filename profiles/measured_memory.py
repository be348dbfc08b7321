"""The memory that a real training step takes on this machine: what predictions are held against.

On a CUDA device it is what the framework's allocator gave out at most; elsewhere the bytes of all storages that any
operator returned and that were alive, seen below autograd. Both in the second step, when the optimizer's states exist.
"""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from profiles.trace.calls import tensors_in


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
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if key not in self._entries:
            self._entries[key] = (size, weakref.ref(storage, lambda _: self._forget(key)))
            self.live_bytes += size
            self.peak_bytes = max(self.peak_bytes, self.live_bytes)

    def _forget(self, key: int) -> None:
        self.live_bytes -= self._entries.pop(key)[0]


def measure_step_memory(
    model: torch.nn.Module,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    loss: Callable[[Any], torch.Tensor],
    optimizer: torch.optim.Optimizer,
) -> int:
    """Return the most bytes of tensors that lived in the second training step.

    Parameters
    ----------
    model, args, kwargs
        The module and what it is called with, on the device that is measured.
    loss
        From the model's outputs to what is minimised.
    optimizer
        Over the model's parameters.
    """
    _step(model, args, kwargs, loss, optimizer)
    held = [*model.parameters(), *model.buffers(), *tensors_in((args, kwargs)), *_states(optimizer)]
    if any(tensor.is_cuda for tensor in held):
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        _step(model, args, kwargs, loss, optimizer)
        return int(torch.cuda.max_memory_allocated())
    with _uncollected(), LiveStorages(held) as seen:
        _step(model, args, kwargs, loss, optimizer)
    return int(seen.peak_bytes)


def _step(model: Any, args: Any, kwargs: Any, loss: Callable[[Any], torch.Tensor], optimizer: Any) -> None:
    outputs = model(*args, **kwargs)
    value = loss(outputs)  # outputs and loss live until the step is made, as in a training loop
    value.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


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
