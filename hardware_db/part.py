"""The figures of a part of a device (usable cores, a slice, a die), so that they say what its fields say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date

from hardware_db.devices import FIELDS, PEAKS, estimated_fields
from hardware_db.records import Basis, Device, Figure

#: Figures of an entry that is derived from the machine's own properties which the machine does not report itself.
_WORKED_OUT = (*PEAKS, "memory_bandwidth")
_UNITS = {"memory": "MiB", "compute_units": "1"}


@dataclass(frozen=True)
class Share:
    """How a part came from the whole: in which words, on what ground, and what the machine itself reported.

    `stands_in` says that the whole is another device of the same architecture, so that none of its figures is sure.
    """

    why: str
    basis: Basis = "estimate"
    reported: tuple[str, ...] = ()
    stands_in: bool = False


def with_own_figures(whole: Device, part: Device, share: Share) -> Device:
    """Return the part with figures that its fields agree with; what did not change keeps its basis and source."""
    if part == whole and not share.stands_in:
        return part
    figures = tuple(_figures(whole, part, share))
    known = {figure.quantity for figure in figures}
    lacking = (name for name in share.reported if name not in known and getattr(part, FIELDS[name]) is not None)
    return replace(part, figures=(*figures, *(_reported(name, part) for name in lacking)))


def _figures(whole: Device, part: Device, share: Share) -> Iterator[Figure]:
    for figure in whole.figures:
        factor = _factor(whole, part, figure)
        if figure.quantity in share.reported and factor is not None:
            yield _reported(figure.quantity, part)
        elif factor == 1.0 and not share.stands_in:
            yield figure
        elif factor is not None:
            yield replace(figure, value=figure.value * factor, basis=share.basis, note=share.why)


def _factor(whole: Device, part: Device, figure: Figure) -> float | None:
    """Return what a figure has become of 1; None where the part has none."""
    old, new = (getattr(device, FIELDS[figure.quantity]) for device in (whole, part))
    if figure.quantity in PEAKS:
        old, new = old.get(figure.precision), new.get(figure.precision)
    return None if not old or new is None else new / old


def _reported(quantity: str, part: Device) -> Figure:
    value, unit = getattr(part, FIELDS[quantity]), _UNITS[quantity]
    value = value / 2**20 if unit == "MiB" else value
    return Figure(quantity, "", "", value, unit, "measured", ("this machine",), date.today(), "as reported")


def uncertain_fields(device: Device) -> tuple[str, ...]:
    """Return the fields of a detected device that nobody published: estimates, shares, what was worked out."""
    estimated = estimated_fields(device)
    if device.status != "derived":
        return estimated
    found = (figure for figure in device.figures if figure.quantity in _WORKED_OUT)
    names = (".".join(part for part in (FIELDS[each.quantity], each.precision) if part) for each in found)
    return tuple(dict.fromkeys((*estimated, *names)))
