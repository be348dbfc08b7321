"""The bytes of a real training step on this machine: storages that are alive, seen below autograd."""

import gc
import weakref

import torch
from torch.utils._python_dispatch import TorchDispatchMode


class LiveStorages(TorchDispatchMode):
    """Sums the bytes of all storages that an operator returned and that are still alive."""

    def __init__(self, known):
        super().__init__()
        self.sizes, self.live, self.peak = {}, 0, 0
        for tensor in known:
            self.see(tensor)

    def see(self, tensor):
        if tensor.is_sparse:
            self.see(tensor._indices())
            self.see(tensor._values())
            return
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key not in self.sizes:
            self.sizes[key] = (storage.nbytes(), weakref.ref(storage, lambda _: self.forget(key)))
            self.live += storage.nbytes()
            self.peak = max(self.peak, self.live)

    def forget(self, key):
        self.live -= self.sizes.pop(key)[0]

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for leaf in torch.utils._pytree.tree_leaves(out):
            if isinstance(leaf, torch.Tensor):
                self.see(leaf)
        return out


def states_of(optimizer):
    return [t for state in optimizer.state.values() for t in state.values() if isinstance(t, torch.Tensor)]


def real_peak(model, inputs, optimizer):
    """Peak bytes of live tensors in the second training step: by then the optimizer's states exist."""
    with torch.no_grad():  # what the first call of an operator in a process makes and keeps is no part of a step
        model(*inputs)
    model(*inputs).mean().backward()
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    gc.collect()
    gc.disable()
    try:
        held = [*model.parameters(), *model.buffers(), *inputs, *states_of(optimizer)]
        with LiveStorages(held) as seen:
            outputs = model(*inputs)
            outputs.mean().backward()
            optimizer.step()
        return seen.peak
    finally:
        gc.enable()
