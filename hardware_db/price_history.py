"""What prices did over time, and what a machine would cost in another region."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import replace
from statistics import median
from typing import TYPE_CHECKING

from hardware_db.database import Database
from hardware_db.errors import NoPrice
from hardware_db.records import Offer

if TYPE_CHECKING:
    import pandas as pd

    from hardware_db.store import Store


def price_history(database: Database, device: str, store: Store | None = None) -> pd.DataFrame:
    """Return what one device cost for an hour, one row per day, provider and pricing, oldest first.

    Columns: as_of, provider, pricing, offers (how many), lowest_usd, median_usd, highest_usd - per device hour, over
    regions and machines. Published prices and all snapshots of the store; of several prices of one machine on one day
    the one that was stored last.

    Raises
    ------
    NoPrice
        The device never had a price.
    """
    import pandas as pd

    id = database.device(device).id
    found = (*database.offers(id, history=True), *(store.history(id) if store else ()))
    seen = {(o.as_of, o.provider, o.instance, o.region, o.pricing): o for o in found}
    if not seen:
        raise NoPrice(f"No price of {id} was ever recorded. Import one: flopcast prices import FILE.csv")
    frame = pd.DataFrame([(o.as_of, o.provider, o.pricing, o.usd_per_device_hour) for o in seen.values()])
    frame.columns = pd.Index(["as_of", "provider", "pricing", "usd"])
    grouped = frame.groupby(["as_of", "provider", "pricing"])["usd"]
    summary = grouped.agg(offers="count", lowest_usd="min", median_usd="median", highest_usd="max")
    return summary.reset_index().sort_values(["as_of", "provider", "pricing"], ignore_index=True)


def in_region(database: Database, offer: Offer, region: str) -> Offer:
    """Return what an offer's machine would cost in another region of its provider, marked as derived.

    The published price of that machine there, if there is one. Else its price times the median ratio of the provider's
    machines that have a price in both regions: those with the same device, or all of them if none has.

    Raises
    ------
    NoPrice
        No machine of the provider has a price in both regions.
    """
    current = database.offers(provider=offer.provider, pricing=offer.pricing)
    there = {known.instance: known for known in current if known.region == region}
    if offer.instance in there:
        return there[offer.instance]
    here = [known for known in current if known.region == offer.region and known.instance in there]
    pairs = [known for known in here if known.device == offer.device] or here
    if not pairs:
        regions = ", ".join(sorted({known.region for known in current})[:8])
        raise NoPrice(f"No {offer.provider} machine has a price in {offer.region} and in {region}. Known: {regions}")
    ratio = median(there[known.instance].usd_per_hour / known.usd_per_hour for known in pairs)
    note = f"price of {offer.region} x {ratio:.3f}, the median ratio of {len(pairs)} machines priced in both regions"
    return replace(offer, region=region, usd_per_hour=offer.usd_per_hour * ratio, basis="derived", note=note)


def with_derived_prices(database: Database, provider: str, region: str) -> Database:
    """Return a database that also prices, in one region of a provider, its machines that have no price there.

    Each such price follows from the region that has the most machines in common with this one (`in_region`) and is
    marked `derived`. Machines that no ratio is known for stay without a price there.

    Raises
    ------
    NoPrice
        The provider has no price in this region at all, so no ratio is known.
    """
    current = database.offers(provider=provider)
    priced = {(offer.instance, offer.pricing) for offer in current if offer.region == region}
    if not priced:
        known = ", ".join(sorted({offer.region for offer in current})[:8]) or "no region"
        raise NoPrice(f"No {provider} machine has a price in {region}. Known: {known}")
    common = Counter(offer.region for offer in current if (offer.instance, offer.pricing) in priced)
    found: dict[tuple[str, str], Offer] = {}
    for offer in sorted(current, key=lambda known: (-common[known.region], known.region)):
        key = (offer.instance, offer.pricing)
        if key not in priced and key not in found:
            with suppress(NoPrice):
                found[key] = in_region(database, offer, region)
    return database.with_offers(found.values())
