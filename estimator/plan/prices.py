"""What the devices of a plan are rented for: the cheapest machines that can be joined to so many of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from estimator.cost import Rental, rent

if TYPE_CHECKING:
    from estimator.parallel.network import Network
    from hardware_db import Database, Device, Offer, System


def rentals_of(
    database: Database, device: Device, network: Network, counts: Sequence[int], machine: System | None = None
) -> Mapping[int, Rental]:
    """Return the cheapest rental on demand of each number of devices; a number that nobody rents out is left out.

    A machine counts if it has as many devices as a host of the network, or all that are wanted, so that none is priced
    by single cards that nothing joins; with `machine` only its own offers. CPUs are rented in parts, and left out.
    """
    hosted = max(1, network.nodes_of // network.parts)
    offers = [
        offer
        for offer in database.offers(device.id, pricing="on_demand")
        if offer.cores is None and (machine is None or database.system_of(offer) == machine)
    ]
    found = {count: _cheapest(offers, count, min(count, hosted)) for count in counts}
    return {count: rental for count, rental in found.items() if rental is not None}


def _cheapest(offers: Sequence[Offer], count: int, least: int) -> Rental | None:
    rentals = [rent(offer, count) for offer in offers if offer.device_count >= least]
    return min(rentals, key=lambda rental: rental.usd_per_hour, default=None)
