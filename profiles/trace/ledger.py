"""The bytes alive at every moment of a step, by what holds them: one entry per storage, gone when the storage goes."""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import Literal, NamedTuple

import torch

from profiles.records import Phase
from profiles.trace.places import Place
from profiles.trace_record import LiveBytes

Holder = Literal["parameter", "buffer", "gradient", "optimizer_state", "input", "activation"]
HOLDERS: tuple[Holder, ...] = ("parameter", "buffer", "gradient", "optimizer_state", "input", "activation")


class Moment(NamedTuple):
    """Live bytes right after an allocation, in the order of `HOLDERS`."""

    phase: Phase
    module: str
    live: tuple[int, ...]


class Ledger:
    """Knows every living storage of the traced device, its size and its holder."""

    def __init__(self) -> None:
        self.moments: list[Moment] = []
        self._live = dict.fromkeys(HOLDERS, 0)
        self._entries: dict[int, tuple[Holder, int, weakref.ref[torch.UntypedStorage]]] = {}
        self._grown = False

    def hold(self, tensors: Iterable[torch.Tensor], holder: Holder) -> None:
        """Note these tensors; storages that are known already change their holder."""
        for storage in _storages(tensors):
            self._forget(storage._cdata)
            self._add(storage, holder)

    def see(self, tensors: Iterable[torch.Tensor]) -> None:
        """Note the outputs of an operation; those that are new are activations."""
        for storage in _storages(tensors):
            if storage._cdata not in self._entries:
                self._add(storage, "activation")
                self._grown = True

    def sample(self, place: Place) -> None:
        """Keep this moment if anything was allocated since the last one: live bytes can only peak there."""
        if self._grown:
            self._grown = False
            self.moments.append(Moment(place.phase, place.module, tuple(self._live.values())))

    def live_bytes(self, holder: Holder) -> int:
        """Bytes that this holder has now."""
        return self._live[holder]

    def _add(self, storage: torch.UntypedStorage, holder: Holder) -> None:
        key, size = storage._cdata, storage.nbytes()
        self._entries[key] = (holder, size, weakref.ref(storage, lambda _: self._forget(key)))
        self._live[holder] += size

    def _forget(self, key: int) -> None:
        if (entry := self._entries.pop(key, None)) is not None:
            self._live[entry[0]] -= entry[1]


def _storages(tensors: Iterable[torch.Tensor]) -> Iterable[torch.UntypedStorage]:
    for tensor in tensors:
        if tensor.layout is torch.strided:
            yield tensor.untyped_storage()
        elif tensor.layout is torch.sparse_coo:
            yield from _storages((tensor._indices(), tensor._values()))


def timeline(moments: Iterable[Moment], optimizer_state_bytes: int) -> list[LiveBytes]:
    """Moments of a later step: the optimizer's states, made in the first step, are alive all the time."""
    return [_live_bytes(moment, optimizer_state_bytes) for moment in moments]


def _live_bytes(moment: Moment, optimizer_state_bytes: int) -> LiveBytes:
    held = dict(zip((f"{holder}_bytes" for holder in HOLDERS), moment.live, strict=True))
    held["optimizer_state_bytes"] = max(held["optimizer_state_bytes"], optimizer_state_bytes)
    return LiveBytes(moment.phase, moment.module, **held)
