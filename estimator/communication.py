"""What data parallelism sends: a ring all-reduce of the gradients, on the links inside and between machines.

    time = 2 (n-1)/n * bytes / (link bandwidth * efficiency) + 2 (n-1) * latency

(Patarasuk and Yuan, 2009; the bus bandwidth of NVIDIA's nccl-tests). The bandwidth is one direction of one device.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from estimator.ranges import ZERO, Range

Scope = Literal["none", "intra_node", "inter_node"]

LINK_EFFICIENCY: Final = Range(0.60, 0.80, 0.90)
"""Reached bus bandwidth over link bandwidth: NCCL reaches 370 of 450 GB/s on H100 NVLink, "protocol overhead about
20 %" (github.com/NVIDIA/nccl-tests/issues/212) and 208 of 300 on A100 (issues/178); PCIe and Ethernet are lower."""

HOP_LATENCY_S: Final[Mapping[str, float]] = {"intra_node": 5.7e-6, "inter_node": 14.0e-6}
"""Seconds a message takes to the next device of a ring: NCCL's own cost model (src/graph/tuning.cc, hwLat, ring,
Simple protocol): 3.4 us over NVLink, 5.7 us over PCIe (taken inside a machine), 14 us over a network."""

DDP_BUCKET_BYTES: Final = 25 * 1024**2
"""Gradients are sent in buckets of 25 MiB; the last is ready only when the backward pass ends
(torch.nn.parallel.DistributedDataParallel, bucket_cap_mb)."""


@dataclass(frozen=True, slots=True)
class Fabric:
    """What joins the devices of one machine, and the machines.

    Attributes
    ----------
    name
        of a machine's devices, for messages: "8 × h100-sxm"
    joined
        devices that the fast link joins: of a machine, a rack (NVL72) or a TPU slice
    inner_bytes_per_s
        fast link, one device, one direction; None where unknown
    outer_bytes_per_s
        network of ONE MACHINE to the others, one direction, all its devices together; None where unknown
    assumed
        what the reader should know of the network between machines; empty where it is this machine's own
    """

    name: str
    joined: int
    inner_bytes_per_s: float | None
    outer_bytes_per_s: float | None
    assumed: str = ""


@dataclass(frozen=True, slots=True)
class Link:
    """The slowest link of a ring over `count` devices on `nodes` machines, with the bytes/s each device gets.

    `note` is what the reader should know about the figure.
    """

    scope: Scope
    count: int
    nodes: int
    bytes_per_s: float
    note: str = ""


@dataclass(frozen=True, slots=True)
class Unlinked:
    """Why the time of a collective cannot be told."""

    reason: str


def ring_link(fabric: Fabric, count: int) -> Link | Unlinked:
    """Return the link that limits a ring over `count` devices.

    Between machines NCCL runs one ring through every network card, so the whole network of a machine carries each
    device's data, and the slower of it and the inner link decides.
    """
    if count == 1:
        return Link("none", 1, 1, float("inf"))
    nodes = -(-count // fabric.joined)
    inner, outer = fabric.inner_bytes_per_s, fabric.outer_bytes_per_s
    if inner is None and fabric.joined > 1:
        return Unlinked(f"link unknown: no bandwidth between the devices of {fabric.name} is known")
    if nodes == 1 and inner is not None:
        return Link("intra_node", count, 1, inner)
    if outer is None:
        return Unlinked(f"link unknown: no network between machines of {fabric.name} is known")
    return Link("inter_node", count, nodes, outer if inner is None else min(inner, outer), fabric.assumed)


def all_reduce_s(payload_bytes: float, link: Link) -> Range:
    """Return the seconds of one ring all-reduce of `payload_bytes` over all devices of the link.

    Examples
    --------
    >>> nvlink = Link("intra_node", count=8, nodes=1, bytes_per_s=450e9)
    >>> round(all_reduce_s(4e9, nvlink).mid, 4)  # 2 * 7/8 * 4 GB / (0.8 * 450 GB/s)
    0.0195
    """
    if link.count == 1:
        return ZERO
    seconds = 2 * (link.count - 1) / link.count * payload_bytes / link.bytes_per_s
    efficiency = LINK_EFFICIENCY
    on_wire = Range(seconds / efficiency.high, seconds / efficiency.mid, seconds / efficiency.low)
    return on_wire + Range.exactly(_ring_latency_s(link))


def _ring_latency_s(link: Link) -> float:
    """Latency of the 2 (n-1) messages; of the hops of a ring over several machines, one a machine leaves it."""
    outside = min(link.nodes, link.count - 1) if link.scope == "inter_node" else 0
    inside = link.count - 1 - outside
    return 2 * (outside * HOP_LATENCY_S["inter_node"] + inside * HOP_LATENCY_S["intra_node"])


def exposed_s(sent: Range, backward: Range, gradient_bytes: float) -> Range:
    """Return the part of the all-reduce that the backward pass does not hide.

    low: all of the last backward pass overlaps. mid: the same, but the last bucket (25 MiB) comes after it.
    high: nothing overlaps. (Lower bound = maximum, upper bound = sum: Austin et al., How to Scale Your Model, 2025.)
    """
    last_bucket = sent.mid * min(1.0, DDP_BUCKET_BYTES / gradient_bytes) if gradient_bytes else 0.0
    low = max(0.0, sent.low - backward.low)
    return Range(low, max(low, last_bucket, sent.mid - backward.mid), sent.high)
