"""Which published device a card is, from what its driver says; a card that is not in the table gets a derived entry.

Exact names first; where several devices share a name (RTX 3060 with 8 or 12 GB), memory, units and power limit decide;
AMD cards that hide their name are found by gfx architecture and units; a MIG slice is its share of the whole card.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

from hardware_db.database import Database
from hardware_db.devices import figure_fields
from hardware_db.part import Share, with_own_figures
from hardware_db.rates import rates
from hardware_db.records import Device, Figure
from hardware_db.tables import rows, words

#: How far the memory that a driver reports may lie below (ECC, reserved) or above the published capacity.
MEMORY_BELOW, MEMORY_ABOVE = 0.12, 0.07
_MIG = re.compile(
    r"^(?P<name>.*) MIG (?:(?P<instance>\d)c\.)?(?P<slices>\d)g\.(?P<memory>\d+)gb(?:\+\S+)?$", re.IGNORECASE
)
#: A card is cut into at most seven compute slices: "MIG 2g.10gb" has two of them, "MIG 1c.2g.10gb" one of the two.
_SLICES = 7


@dataclass(frozen=True)
class CardFacts:
    """What a driver says of one card; None where it does not say.

    name            as reported: "NVIDIA H100 80GB HBM3", "TPU v5 lite"
    memory_bytes    as reported
    units           streaming multiprocessors, compute units
    power_limit_w   default limit
    capability      "9.0" on NVIDIA, "gfx942" on AMD
    clock_hz        highest clock of the units
    memory_bandwidth_bytes_per_s  from memory clock and bus width, where the driver gives them
    """

    name: str
    memory_bytes: int | None = None
    units: int | None = None
    power_limit_w: float | None = None
    capability: str = ""
    clock_hz: float | None = None
    memory_bandwidth_bytes_per_s: float | None = None


@dataclass(frozen=True)
class FoundCard:
    """The device that a card is; `basis` is name, tie-break, architecture, slice, derived or unknown."""

    facts: CardFacts
    device: Device | None
    basis: str
    note: str


def match_card(database: Database, card: CardFacts) -> FoundCard:
    """Return the device that a card is, or a derived entry, or nothing: never a similar one."""
    slice_of = _MIG.match(card.name)
    if slice_of:
        return _slice(database, card, slice_of)
    named = [database.devices_by_id[id] for id in database.names.candidates(card.name)]
    fitting = [device for device in named if _fits(device, card)]
    if len(fitting) == 1:
        return FoundCard(card, _one_of(fitting[0], card), "tie-break" if len(named) > 1 else "name", fitting[0].name)
    if len(fitting) > 1:
        return _closest(fitting, card)
    if named:
        return _derived(card, f"called {card.name}, but memory or units are not those of {_ids(named)}")
    return _by_architecture(database, card)


def _fits(device: Device, card: CardFacts) -> bool:
    """Whether reported memory and units can be this device's, or one of its logical devices'."""
    shares = {1.0, 1 / device.logical_devices}
    return any(
        _memory_fits(device.usable_memory_bytes, card.memory_bytes, share)
        and (card.units is None or device.compute_units is None or _same(device.compute_units * share, card.units))
        for share in shares
    )


def _memory_fits(published: int | None, reported: int | None, share: float = 1.0) -> bool:
    if published is None or reported is None:
        return True
    return (1 - MEMORY_BELOW) * published * share <= reported <= (1 + MEMORY_ABOVE) * published * share


def _same(published: float, reported: float) -> bool:
    return abs(published - reported) < 0.5


def _closest(devices: Sequence[Device], card: CardFacts) -> FoundCard:
    """Let memory, then the power limit decide; several that are as close stay undecided."""

    def distance(device: Device) -> tuple[float, float]:
        part = _one_of(device, card)
        return _gap(part.usable_memory_bytes, card.memory_bytes), _gap(part.tdp_w, card.power_limit_w)

    ranked = sorted(devices, key=distance)
    if distance(ranked[0]) == distance(ranked[1]):
        return FoundCard(card, None, "unknown", f"{card.name} is one of {_ids(ranked)}; nothing tells them apart")
    return FoundCard(card, _one_of(ranked[0], card), "tie-break", f"{ranked[0].name}, not {_ids(ranked[1:])}")


def _gap(published: float | None, reported: float | None) -> float:
    return 0.0 if published is None or reported is None else round(abs(published / reported - 1), 2)


def _one_of(device: Device, card: CardFacts) -> Device:
    """Return the logical device where the driver lists parts of a package, the device itself where it does not."""
    if device.logical_devices == 1 or _memory_fits(device.usable_memory_bytes, card.memory_bytes):
        return device
    share = Share(f"one of {device.logical_devices} of {device.name}", basis="derived")
    return with_own_figures(device, device.logical_device(), share)


def _slice(database: Database, card: CardFacts, name: re.Match[str]) -> FoundCard:
    """Return a MIG slice: its share of the units (n of seven slices where they are not reported), its own memory."""
    whole = match_card(database, CardFacts(name["name"])).device
    if whole is None:
        return FoundCard(card, None, "unknown", f"a slice of {name['name']}, which is not in the table")
    share = int(name["instance"] or name["slices"]) / _SLICES
    if card.units is not None and whole.compute_units:
        share = card.units / whole.compute_units
    memory = card.memory_bytes or int(name["memory"]) * 2**30
    part = whole.fraction(share, memory_bytes=memory)
    bandwidth = whole.memory_bandwidth_bytes_per_s
    if bandwidth and whole.memory_bytes:
        part = replace(part, memory_bandwidth_bytes_per_s=bandwidth * min(1.0, memory / whole.memory_bytes))
    why = f"{share:.0%} of the units of {whole.name}"
    reported = tuple(
        name for name, known in (("memory", card.memory_bytes), ("compute_units", card.units)) if known is not None
    )
    return FoundCard(card, with_own_figures(whole, part, Share(why, reported=reported)), "slice", why)


def _by_architecture(database: Database, card: CardFacts) -> FoundCard:
    """Find an AMD card that hides its name by architecture, units and memory; else derive an entry."""
    if card.capability.startswith("gfx") and card.units is not None:
        architecture = architecture_of(card.capability.split(":")[0])
        same = [d for d in database.devices(vendor="AMD") if d.architecture == architecture and _fits(d, card)]
        if len(same) == 1:
            note = f"{card.name or 'unnamed'} with {card.units} units of {card.capability} is {same[0].name}"
            return FoundCard(card, _one_of(same[0], card), "architecture", note)
        if same:
            return _closest(same, card)
    return _derived(card, f"{card.name or 'this card'} is not in the table")


def architecture_of(capability: str) -> str | None:
    """Return the architecture that a compute capability ("9.0") or gfx name tells, or None."""
    for row in rows("rates.csv"):
        if capability in words(row["identifies"]):
            return row["architecture"]
    return None


def _derived(card: CardFacts, why: str) -> FoundCard:
    """Build an entry from units, clock and the architecture's rates; nothing is assumed that the card does not say."""
    architecture = architecture_of(card.capability)
    if architecture is None or card.units is None or card.clock_hz is None:
        return FoundCard(card, None, "unknown", f"{why}, and it does not say enough to derive its peaks")
    figures = tuple(_derived_figures(card, architecture))
    device = Device(
        id="derived-" + re.sub(r"[^a-z0-9]+", "-", card.name.casefold()).strip("-"),
        kind="gpu",
        vendor="AMD" if card.capability.startswith("gfx") else "NVIDIA",
        name=f"{card.name} (derived)",
        architecture=architecture,
        status="derived",
        release_date=None,
        accounting_unit="gpu",
        compute_unit="CU" if card.capability.startswith("gfx") else "SM",
        logical_devices=1,
        figures=figures,
        note="Derived from the card's own properties; not published by anybody.",
        **figure_fields(figures),
    )
    return FoundCard(card, device, "derived", f"{why}; peaks are units x rate x clock")


def _derived_figures(card: CardFacts, architecture: str) -> list[Figure]:
    assert card.units is not None and card.clock_hz is not None

    def figure(quantity: str, value: float, unit: str, precision: str = "", how: str = "as reported") -> Figure:
        accumulate = "float32" if precision else ""
        return Figure(quantity, precision, accumulate, value, unit, "derived", ("this machine",), date.today(), how)

    found = [
        figure("compute_units", card.units, "1"),
        figure("boost_clock", card.clock_hz / 1e6, "MHz"),
    ]
    if card.memory_bytes:
        found.append(figure("memory", card.memory_bytes / 2**20, "MiB"))
    if card.memory_bandwidth_bytes_per_s:
        found.append(figure("memory_bandwidth", card.memory_bandwidth_bytes_per_s / 1e9, "GB/s", how="clock x bus x 2"))
    for (named, engine, precision), rate in rates().items():
        if named == architecture:
            share = 0.5 if engine == "matrix" and "GeForce" in card.name else 1.0
            if engine == "matrix" and "GTX" in card.name:
                continue  # the GTX 16 series is Turing without its matrix engine
            peak = card.units * rate * share * card.clock_hz / 1e12
            found.append(figure(f"{engine}_peak", peak, "TFLOP/s", precision, "units x rate x clock"))
    return found


def _ids(devices: Sequence[Device]) -> str:
    return ", ".join(device.id for device in devices)
