"""Time of collectives and messages: latency, bandwidth, protocol; rings, trees, hierarchies and tori.

    ring all-reduce:    2 (n-1)/n M / B + 2 (n-1) hops          (Patarasuk and Yuan, 2009)
    gather, scatter:      (n-1)/n M / B +   (n-1) hops
    tree all-reduce:            2 M / B + 2 log2(machines) hops (Sanders et al., 2009; NCCL since 2.4)
    all-to-all:           what each device sends inside and to other machines, side by side
    message:                      M / B + hop

M is the whole payload, B the bandwidth of one device in one direction times what the protocol reaches of it. A
hierarchy of links is a pipeline: the slower of its levels decides the bandwidth term. NCCL takes the faster of ring and
tree, and so does this.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np

from estimator.parallel.values import Triple, triple

if TYPE_CHECKING:
    from estimator.parallel.measured_links import MeasuredLine
    from estimator.parallel.network import Group

REACHED: Final = {
    "switch": triple(0.90, 0.80, 0.65),
    "mesh": triple(0.90, 0.75, 0.60),
    "pcie": triple(0.85, 0.55, 0.20),
    "host": triple(0.45, 0.22, 0.08),
    "torus2d": triple(0.95, 0.85, 0.70),
    "torus3d": triple(0.95, 0.85, 0.70),
}
"""Share of a link's bandwidth that collectives reach (fast, typical, slow). NVLink: 370 of 450 GB/s on H100, "protocol
overhead about 20 %" (github.com/NVIDIA/nccl-tests/issues/212), 208 of 300 on A100 (issues/178). TPU: 4.5e10 of 5e10
bytes/s a link (Austin et al., How to Scale Your Model, 2025). PCIe: what gradients that nothing hides add to BERT-large
on two cards (lambdal/deeplearning-benchmark): 15 to 20 of 31.5 GB/s between A4000, A4500 and A5500, 13 of 63 between
H100; through the host's memory ("host") 5 to 8 of 31.5 between RTX 3080, 3090 and 4090, and 28 of 63 on a server of
eight 5090 (github.com/NVIDIA/nccl/issues/1639). Meshes: an estimate."""

SOCKETS_BYTES_PER_S: Final = triple(40e9, 16e9, 10e9)
"""What passes between the two processors of a host in one direction: NCCL's own figures for PCIe traffic, Emerald
Rapids 40, AMD EPYC 16, Skylake 10 GB/s (src/graph/topo.h, ERP_QPI_BW, AMD_BW, SKL_QPI_BW)."""

NETWORK_REACHED: Final = triple(0.95, 0.85, 0.60)
"""The same for the network between machines: 8 x 400 Gb/s reach 0.8 to 0.95 in published nccl-tests; the slow end is
for oversubscribed fabrics."""

HOP_S: Final = {"switch": 3.4e-6, "mesh": 3.4e-6, "pcie": 5.7e-6, "host": 5.7e-6, "torus2d": 1.0e-6, "torus3d": 1.0e-6}
"""Seconds a message takes to the next device: NCCL's own cost model (src/graph/tuning.cc, hwLat, ring, Simple): 3.4 us
over NVLink, 5.7 us over PCIe; about 1 us over a TPU's links (Austin et al., 2025)."""

NETWORK_HOP_S: Final = 14.0e-6
"""The same between machines (NCCL, hwLat, network, Simple)."""

START_S: Final = 8.4e-6
"""Seconds to start a collective (NCCL, baseLat, Simple)."""


@dataclass(frozen=True, slots=True)
class Line:
    """Seconds of a collective as a line: latency + payload * seconds per byte."""

    latency_s: Triple
    s_per_byte: Triple

    def at(self, payload_bytes: float) -> Triple:
        """Return the seconds for a payload."""
        seconds: Triple = self.latency_s + payload_bytes * self.s_per_byte
        return seconds


NOTHING: Final = Line(triple(0.0), triple(0.0))


@lru_cache(maxsize=4096)
def all_reduce(group: Group) -> tuple[Line, Line]:
    """Return the seconds to sum a payload over all devices of a group: by a ring and by a tree."""
    if group.size == 1:
        return NOTHING, NOTHING
    if group.measured is not None:
        line = _as_measured(group, group.measured.all_reduce, 2, group.measured.processes)
        return line, line
    wire = _on_wire(group)
    ring = Line(triple(START_S + 2 * _ring_latency_s(group)), 2 * wire)
    tree = Line(triple(START_S + 2 * _tree_latency_s(group)), 2 * wire * group.size / (group.size - 1))
    return ring, tree


@lru_cache(maxsize=4096)
def all_gather(group: Group) -> Line:
    """Return the seconds after which every device has all of a payload; reduce-scatter takes as long."""
    if group.size == 1:
        return NOTHING
    if group.measured is not None:
        return _as_measured(group, group.measured.all_gather, 1, group.measured.processes)
    return Line(triple(START_S + _ring_latency_s(group)), _on_wire(group))


@lru_cache(maxsize=4096)
def all_to_all(group: Group) -> Line:
    """Return the seconds in which every device sends a payload, an equal part of it to each of the others."""
    if group.size == 1:
        return NOTHING
    inside = (group.inside - 1) / group.size / _inner_rate(group)
    outside = (group.size - group.inside) / group.size / _outer_rate(group)
    hop = NETWORK_HOP_S if group.machines > 1 else HOP_S[group.shape]
    return Line(triple(START_S + hop), np.maximum(inside, outside))


@lru_cache(maxsize=4096)
def message(group: Group) -> Line:
    """Return the seconds of a message to the next device of a group; the slowest of its links decides."""
    if group.size == 1:
        return NOTHING
    if group.machines > 1:
        return Line(triple(NETWORK_HOP_S), 1 / _outer_rate(group))
    return Line(triple(HOP_S[group.shape]), 1 / _inner_rate(group))


def all_reduce_s(payload_bytes: float, group: Group) -> Triple:
    """Return the seconds of an all-reduce by the faster of ring and tree.

    Examples
    --------
    >>> from estimator.parallel.network import Group
    >>> node = Group(8, 8, 450e9, 50e9)
    >>> round(float(all_reduce_s(4e9, node)[1]), 4)  # 2 * 7/8 * 4 GB / (0.8 * 450 GB/s) + latency
    0.0195
    """
    ring, tree = all_reduce(group)
    faster: Triple = np.minimum(ring.at(payload_bytes), tree.at(payload_bytes))
    return faster


def _as_measured(group: Group, line: MeasuredLine, passes: int, processes: int) -> Line:
    """Latency in proportion to the hops of a ring, bandwidth as it was measured over other devices."""
    spread = triple(1 - min(line.error, 0.5), 1.0, 1 + line.error)
    latency = line.latency_s * (group.size - 1) / (processes - 1)
    return Line(latency * spread, passes * (group.size - 1) / group.size * line.s_per_bus_byte * spread)


def _on_wire(group: Group) -> Triple:
    """Seconds a byte of a gather: (n-1)/n of the payload through the slower of the levels."""
    inner = (group.inside - 1) / group.inside / _inner_rate(group)
    outer = (group.machines - 1) / group.machines / group.inside / _outer_rate(group)
    slower: Triple = np.maximum(inner, outer)
    return slower


def _inner_rate(group: Group) -> Triple:
    rate: Triple = group.inner_bytes_per_s * REACHED[group.shape]
    return np.minimum(rate, SOCKETS_BYTES_PER_S / group.sockets) if group.sockets else rate


def _outer_rate(group: Group) -> Triple:
    rate: Triple = group.outer_bytes_per_s * NETWORK_REACHED
    return rate


def _ring_latency_s(group: Group) -> float:
    """Hops of a ring once around: of those of each machine one leaves it."""
    outside = group.machines if group.machines > 1 else 0
    return outside * NETWORK_HOP_S + (group.size - max(outside, 1)) * HOP_S[group.shape]


def _tree_latency_s(group: Group) -> float:
    return math.log2(group.machines) * NETWORK_HOP_S + (group.inside - 1) * HOP_S[group.shape]
