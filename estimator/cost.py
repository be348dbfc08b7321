"""From devices to what is rented: whole machines, the network between them, and dollars."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from estimator.communication import Fabric
from estimator.ranges import Range

if TYPE_CHECKING:
    from hardware_db import Device, Offer, System

SECONDS_PER_HOUR = 3600.0
LARGEST_DEFAULT_COUNT = 8


@dataclass(frozen=True, slots=True)
class Rental:
    """Whole machines of one offer that together have the devices wanted."""

    offer: Offer
    instances: int
    idle_devices: int

    @property
    def usd_per_hour(self) -> float:
        """Price of all machines for one hour."""
        return self.instances * self.offer.usd_per_hour

    def cost_usd(self, run_time: Range) -> Range:
        """Return the price of the run; machines are paid whole and by the second.

        Examples
        --------
        >>> from types import SimpleNamespace
        >>> box = Rental(SimpleNamespace(usd_per_hour=20.0), instances=2, idle_devices=0)
        >>> box.cost_usd(Range(3600, 7200, 10800))
        Range(low=40.0, mid=80.0, high=120.0)
        """
        return run_time * (self.usd_per_hour / SECONDS_PER_HOUR)


def rent(offer: Offer, count: int) -> Rental:
    """Return the machines to rent for `count` devices: instances rounded up, the devices too many named."""
    instances = -(-count // offer.device_count)
    return Rental(offer, instances, instances * offer.device_count - count)


def default_counts(offers: Iterable[Offer], global_batch_size: int) -> tuple[int, ...]:
    """Return the counts to compare where none is asked for: the smallest machine on offer and the largest up to 8.

    Machines whose devices cannot share the batch evenly are passed over where others can.
    """
    sizes = {offer.device_count for offer in offers} or {1}
    even = [size for size in sizes if size <= LARGEST_DEFAULT_COUNT and global_batch_size % size == 0]
    return tuple(sorted({min(sizes), max(even, default=min(sizes))}))


def fabric_of(device: Device, offer: Offer | None, system: System | None) -> Fabric:
    """Return what joins the devices of an offer, or of the vendor's usual machine where nothing is rented.

    A known system says it best. Without one the device's own figures hold, but not the network of a machine with
    fewer devices than the vendor's: nobody publishes a share of it.
    """
    if system is not None:
        return _system_fabric(device, system)
    host = device.devices_per_host or 1
    joined = offer.device_count if offer is not None else host
    outer = device.internode_bandwidth_bytes_per_s
    smaller = joined < host
    unknown = f"no network of a machine with {joined} {device.id} is known" if smaller else ""
    return Fabric(
        name=device.id,
        joined=joined * device.logical_devices,
        inner_bytes_per_s=device.link_bandwidth_bytes_per_s,
        outer_bytes_per_s=None if outer is None or smaller else outer * joined,
        outer_unknown=unknown,
    )


def _system_fabric(device: Device, system: System) -> Fabric:
    outer = system.scale_out_bytes_per_s
    return Fabric(
        name=system.name,
        joined=system.scale_up_devices * device.logical_devices,
        inner_bytes_per_s=system.scale_up_bytes_per_s or device.link_bandwidth_bytes_per_s,
        outer_bytes_per_s=None if outer is None else outer * system.scale_up_devices,
    )
