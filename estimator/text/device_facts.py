"""What is known of a device beside its figures: its hosts, what it costs to buy, free tiers, how often it stops."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from estimator.text.figures import published
from hardware_db.market import FreeTier, PurchasePrice, free_tiers, purchase_prices
from hardware_db.operation import reliabilities

if TYPE_CHECKING:
    from hardware_db import Database, Device
    from hardware_db.records import System


def device_facts(database: Database, device: Device) -> Iterator[tuple[str, str]]:
    """Yield (label, text) lines; nothing where nothing is published."""
    hosts = [_host(system) for system in database.systems if system.device == device.id]
    if hosts:
        yield "Hosts", "\n".join(hosts)
    bought = [_purchase(price) for price in purchase_prices() if price.device == device.id]
    if bought:
        yield "To buy", "\n".join(bought)
    free = [_free(tier) for tier in free_tiers() if tier.device == device.id and tier.pricing == "free"]
    if free:
        yield "Free", "\n".join(free)
    stops = [
        f"once in {record.device_hours_between:,.0f} device-hours: {record.cluster}, {record.counted}, {record.as_of}"
        f" ({record.basis})"
        for record in reliabilities()
        if record.device == device.id
    ]
    if stops:
        yield "Stops", "\n".join(stops)


def _host(system: System) -> str:
    joined = system.scale_up_devices
    link, network = (published(each, 1e9) for each in (system.scale_up_bytes_per_s, system.scale_out_bytes_per_s))
    mark = " (estimate)" if system.basis == "estimate" else ""
    inside = f"{system.devices_per_host} in a host, {joined} on the fast link at {link} GB/s ({system.topology})"
    memory = f"{published(system.host_memory_bytes, 2**30)} GiB" if system.host_memory_bytes else ""
    host = ", ".join(part for part in (system.host_cpu, memory) if part)
    return f"{system.name}: {inside}, network {network} GB/s each{f', host {host}' if host else ''}{mark}"


def _purchase(price: PurchasePrice) -> str:
    what = "one" if price.sold_as == "device" else f"{price.sold_as} of {price.devices}"
    return f"{what}: {price.usd:,.0f} USD, {price.price_type} price of {price.as_of}"


def _free(tier: FreeTier) -> str:
    limits = [f"{tier.device_count} devices" if tier.device_count > 1 else "one device"]
    limits += [f"sessions of {tier.session_limit_h:g} h"] if tier.session_limit_h else []
    limits += [f"{tier.weekly_quota_h:g} h a week"] if tier.weekly_quota_h else []
    return f"{tier.service} {tier.plan}: {', '.join(limits)}, seen {tier.as_of} ({tier.basis})"
