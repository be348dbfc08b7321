"""The bytes alive at every moment of a step, by what holds them: one entry per storage, gone when the storage goes."""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

from profiles.records import Phase
from profiles.timeline import LiveTable
from profiles.trace.places import Place

Holder = Literal["parameter", "buffer", "gradient", "optimizer_state", "input", "activation"]
HOLDERS: tuple[Holder, ...] = ("parameter", "buffer", "gradient", "optimizer_state", "input", "activation")
"""In the order of the fields of `LiveBytes`."""


class Moment(NamedTuple):
    """Live bytes right after an allocation.

    `after` says how many operations had been recorded by then, `live` are the bytes in the order of `HOLDERS`.
    """

    after: int
    phase: Phase
    module: str
    live: tuple[int, ...]


class Ledger:
    """Knows every living storage of the traced device, its size, its holder and the module that made it."""

    def __init__(self) -> None:
        self.moments: list[Moment] = []
        self._live = dict.fromkeys(HOLDERS, 0)
        self._entries: dict[int, tuple[Holder, int, weakref.ref[torch.UntypedStorage]]] = {}
        self._makers: dict[int, str] = {}
        self._new: list[int] = []

    def hold(self, tensors: Iterable[torch.Tensor], holder: Holder) -> None:
        """Note these tensors; storages that are known already change their holder."""
        for storage in storages_of(tensors):
            self._forget(storage._cdata)
            self._add(storage, holder)

    def see(self, tensors: Iterable[torch.Tensor]) -> None:
        """Note the outputs of an operation; those that are new are activations."""
        for storage in storages_of(tensors):
            if storage._cdata not in self._entries:
                self._add(storage, "activation")
                self._new.append(storage._cdata)

    def sample(self, place: Place, after: int) -> None:
        """Keep this moment if anything was allocated since the last one: live bytes can only peak there."""
        if self._new:
            self._makers.update(dict.fromkeys(self._new, place.module))
            self._new.clear()
            self.moments.append(Moment(after, place.phase, place.module, tuple(self._live.values())))

    def live(self) -> tuple[int, ...]:
        """Bytes alive now, in the order of `HOLDERS`."""
        return tuple(self._live.values())

    def live_bytes(self, holder: Holder) -> int:
        """Bytes that this holder has now."""
        return self._live[holder]

    def activations_by_module(self) -> dict[str, int]:
        """Bytes of the activations that are alive now, by the module that made them."""
        found: Counter[str] = Counter()
        for key, (holder, size, _) in self._entries.items():
            if holder == "activation":
                found[self._makers.get(key, "")] += size
        return dict(found)

    def _add(self, storage: torch.UntypedStorage, holder: Holder) -> None:
        key, size = storage._cdata, storage.nbytes()
        self._entries[key] = (holder, size, weakref.ref(storage, lambda _: self._forget(key)))
        self._live[holder] += size

    def _forget(self, key: int) -> None:
        if (entry := self._entries.pop(key, None)) is not None:
            self._live[entry[0]] -= entry[1]
            self._makers.pop(key, None)


def storages_of(tensors: Iterable[torch.Tensor]) -> Iterable[torch.UntypedStorage]:
    """Yield the storages that tensors lie in; of sparse tensors (COO) those of indices and values."""
    for tensor in tensors:
        if is_traceable_wrapper_subclass(tensor):
            names, _ = tensor.__tensor_flatten__()
            yield from storages_of(getattr(tensor, name) for name in names)
        elif tensor.layout is torch.strided:
            yield tensor.untyped_storage()
        elif tensor.layout is torch.sparse_coo:
            yield from storages_of((tensor._indices(), tensor._values()))


def with_states(moments: Iterable[Moment], optimizer_state_bytes: int) -> list[Moment]:
    """Moments of a later step: the optimizer's states, made in the first step, are alive all the time."""
    place = HOLDERS.index("optimizer_state")
    return [moment._replace(live=_replaced(moment.live, place, optimizer_state_bytes)) for moment in moments]


def _replaced(live: tuple[int, ...], place: int, value: int) -> tuple[int, ...]:
    return (*live[:place], max(live[place], value), *live[place + 1 :])


def table_of(moments: Sequence[Moment]) -> LiveTable:
    """Moments as the record keeps them."""
    live = np.array([moment.live for moment in moments], dtype=np.int64).reshape(-1, len(HOLDERS))
    return LiveTable(tuple((moment.phase, moment.module) for moment in moments), live)
