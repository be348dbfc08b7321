"""From devices to what is rented: whole machines, the network between them, and dollars."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from estimator.parallel.network import Network, network_of

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


def fabric_of(device: Device, offer: Offer | None, system: System | None) -> Network:
    """Return what joins the devices of an offer, or of the system itself where nothing is rented.

    The fast link joins what is rented in one piece: a machine, a slice of a TPU pod, or the whole rack that a machine
    belongs to. A known system gives the figures. Without one the device's own hold, but not the network of a machine
    with fewer devices than the vendor's: nobody publishes a share of it.
    """
    if offer is None:
        return network_of(device, system)
    if system is not None:
        rack = system.topology == "switch" and system.scale_up_devices > system.devices_per_host
        return network_of(device, system, None if rack else offer.device_count)
    found = network_of(device, None, offer.device_count)
    if offer.device_count < (device.devices_per_host or 1):
        return replace(found, outer_bytes_per_s=None)
    return replace(
        found,
        name=f"{offer.device_count} × {device.id}",
        note=f"network between machines: the usual one for {device.id}, the provider's own is not known",
    )
