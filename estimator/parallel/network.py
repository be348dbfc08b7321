"""What joins the devices of a job: fast links inside a machine, rack or slice, a network between them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from typing import TYPE_CHECKING, Final, Literal

from estimator.parallel.measured_links import MeasuredLinks, measured_links
from hardware_db.errors import UsageError, one_line

if TYPE_CHECKING:
    from hardware_db import Database, Device
    from hardware_db.records import System

Shape = Literal["switch", "mesh", "pcie", "host", "torus2d", "torus3d"]
AXES: Final = {"torus2d": 2, "torus3d": 3}
PCIE_LINKS: Final = ("PCIe",)
GEFORCE: Final = ("GeForce ", "NVIDIA GeForce ")
"""Names of cards whose driver lets none write into another's memory over PCIe: all they send goes through the host's
(NCCL, src/transport/shm.cc; github.com/tinygrad/open-gpu-kernel-modules changes the driver for that)."""
PCIE_BOX: Final = 8
"""Cards of a host where nobody publishes one: what servers of two sockets take."""
ONE_SOCKET: Final = 4
"""PCIe cards of a host from which on half of them hang on a second processor (vendors' servers of 8 and 10 cards)."""

WRAPPED_AXIS: Final = 16
"""Chips of a torus axis from which on it closes to a ring; v5e and v6e slices have wraparound on axes of 16 only, those
of v4 and v5p on multiples of 4 (Google Cloud, TPU architecture pages; Austin et al., How to Scale Your Model, 2025)."""


@dataclass(frozen=True, slots=True)
class Network:
    """The links of a job's devices; bandwidths of one device in one direction.

    Attributes
    ----------
    name
        of the machine, for messages
    joined
        devices that the fast link joins
    inner_bytes_per_s, outer_bytes_per_s
        fast link, all links of a device together; its share of the network to other machines. None where unknown
    shape
        how the fast links are laid out
    nodes_of
        devices of one host: what can be late together
    note
        what the reader should know of the network between machines
    measured
        collectives that were measured on this device, in one machine if over no more than the fast link joins
    parts
        devices of this network on one chip or package, which share its links: 2 cores of a TPU v3, 2 dies of an MI250X
    bridge
        pairs (or more) of cards that a bridge joins faster than the rest of their host; None: there is none
    """

    name: str
    joined: int
    inner_bytes_per_s: float | None
    outer_bytes_per_s: float | None
    shape: Shape
    nodes_of: int
    note: str = ""
    measured: MeasuredLinks | None = None
    parts: int = 1
    bridge: Bridge | None = None

    def group(self, size: int, stride: int) -> Group:
        """Return the group of `size` devices that are `stride` apart in the order of ranks.

        Raises
        ------
        UsageError
            the group needs a link whose bandwidth nobody publishes
        """
        inside = next((d for d in range(min(size, self.joined // stride), 1, -1) if size % d == 0), 1)
        if inside > 1 and self.inner_bytes_per_s is None:
            raise UsageError(f"no bandwidth between the devices of {self.name} is known")
        if size > inside and self.outer_bytes_per_s is None:
            raise UsageError(
                f"no network between machines of {self.name} is known. Give it: plan --network 12.5GB, else [[system]]"
            )
        outer = (self.outer_bytes_per_s or math.inf) / self.parts
        if self.bridge is not None and size * stride <= self.bridge.joined:
            return Group(size, size, self.bridge.bytes_per_s, outer, "switch")
        crossing = self._crossing(inside, stride)
        found = Group(size, inside, self._inner(inside, stride), outer, self.shape, sockets=crossing)
        known = self.measured
        alike = known is not None and (found.machines == 1) == (known.processes <= self.joined)
        return replace(found, measured=known) if alike else found

    def _crossing(self, inside: int, stride: int) -> int:
        """Return how many groups pass the link between the sockets of a host at once; 0 where they stay on one."""
        if self.shape not in ("pcie", "host") or self.joined <= ONE_SOCKET:
            return 0
        return stride if inside * stride > self.joined // 2 else 0

    def _inner(self, inside: int, stride: int) -> float:
        """Bandwidth that a group inside has: of a torus only the axes that it spans, and both ways only in rings.

        Devices of one chip that are in different groups share its links; neighbours in one ring pass on inside of it.
        """
        beside = min(stride, self.parts) if inside * stride > self.parts else 1
        bandwidth = (self.inner_bytes_per_s or math.inf) / beside
        axes = AXES.get(self.shape)
        if axes is None:
            return bandwidth
        chips = max(1, inside * beside // self.parts)
        length = max(2, round((self.joined / self.parts) ** (1 / axes)))
        spanned = min(axes, max(1, math.ceil(math.log(max(chips, 2), length) - 1e-9)))
        side = chips ** (1 / spanned)
        wrapped = side >= WRAPPED_AXIS - 1e-9 if axes == 2 else round(side) % 4 == 0
        return bandwidth * spanned / axes * (1.0 if wrapped else 0.5)


@dataclass(frozen=True, slots=True)
class Bridge:
    """Cards that a bridge joins, and the bandwidth of one of them in one direction."""

    joined: int
    bytes_per_s: float


@dataclass(frozen=True, slots=True)
class Group:
    """Devices that take part in one collective: `inside` of them in each machine, bandwidths of one device.

    `measured` is what was measured of such groups, `sockets` how many of them pass the link between two processors of
    a host at once (0: they stay on one).
    """

    size: int
    inside: int
    inner_bytes_per_s: float
    outer_bytes_per_s: float
    shape: Shape = "switch"
    measured: MeasuredLinks | None = None
    sockets: int = 0

    @property
    def machines(self) -> int:
        """Machines that the group spans."""
        return self.size // self.inside

    @property
    def bytes_per_s(self) -> float:
        """Bandwidth of a ring through the whole group: every device of a machine brings its share of the network."""
        if self.machines == 1:
            return self.inner_bytes_per_s
        outer = self.inside * self.outer_bytes_per_s
        return min(self.inner_bytes_per_s, outer) if self.inside > 1 else outer


def network_of(device: Device, system: System | None = None, devices_per_node: int | None = None) -> Network:
    """Return the network of devices in a known system, or with the device's own published links.

    `devices_per_node`, where given, is how many of them the fast link joins at most.
    """
    host = device.devices_per_host or (PCIE_BOX if device.link_name.startswith(PCIE_LINKS) else 1)
    bridge = _bridge(system)
    joined = (system.devices_per_host if bridge else system.scale_up_devices) if system else host
    fast = system.scale_up_bytes_per_s if system and not bridge else None
    if devices_per_node is not None:
        joined = min(joined, devices_per_node) if system else devices_per_node
    return Network(
        name=system.name if system else f"{joined} × {device.id}",
        joined=joined * device.logical_devices,
        inner_bytes_per_s=fast or device.link_bandwidth_bytes_per_s,
        outer_bytes_per_s=system.scale_out_bytes_per_s if system else device.internode_bandwidth_bytes_per_s,
        shape=_shape(device, system),
        nodes_of=(system.devices_per_host if system else host) * device.logical_devices,
        measured=measured_links(device.id),
        parts=device.logical_devices,
        bridge=bridge,
    )


def _bridge(system: System | None) -> Bridge | None:
    if system is None or system.topology != "bridge" or system.scale_up_bytes_per_s is None:
        return None
    return Bridge(system.scale_up_devices, system.scale_up_bytes_per_s)


def _shape(device: Device, system: System | None) -> Shape:
    known: dict[str, Shape] = {name: name for name in ("switch", "mesh", "pcie", "torus2d", "torus3d")}
    shape: Shape = "pcie" if device.link_name.startswith(PCIE_LINKS) else "switch"
    if system is not None and system.topology in known:
        shape = known[system.topology]
    return "host" if shape == "pcie" and any(name.startswith(GEFORCE) for name in device.aliases) else shape


def named_system(database: Database, device: Device, name: str) -> System:
    """Return the machine of a device with this id, name, or name in price lists.

    Raises
    ------
    UsageError
        no machine with this device is called so; the message lists those that are known
    """
    known = [system for system in database.systems if system.device == device.id]
    wanted = name.strip().casefold()
    for system in known:
        if wanted in (system.id.casefold(), system.name.casefold()):
            return system
        if any(fnmatch(wanted, pattern.casefold()) for pattern in system.instances):
            return system
    have = f"known: {', '.join(system.id for system in known)}" if known else "none is known: describe one in --devices"
    raise UsageError(f"no machine with {device.id} is called {one_line(name)}; {have}")


def usual_system(database: Database, device: Device) -> System | None:
    """Return the machine a device usually sits in, or None where none is known.

    The user's own machine, else the vendor's, else the largest that somebody rents out.
    """
    own = database.own_system(device.id)
    if own is not None:
        return own
    systems = [system for system in database.systems if system.device == device.id]
    return max(systems, key=lambda system: (not system.instances, system.devices_per_host), default=None)
