"""What a kilowatt-hour costs and emits where a machine stands, and how much its data centre adds.

Areas are countries ("DE"), US states ("US-VA"), continents, provider regions ("gcp/us-central1") and providers ("aws").
A figure that an area lacks is taken from the area around it, and the answer says from which.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Literal

from hardware_db.devices import read_basis
from hardware_db.records import Basis
from hardware_db.tables import Row, day, records, rows, words

EnergyQuantity = Literal["electricity_price", "carbon_intensity", "power_usage_effectiveness"]
UNITS: Mapping[EnergyQuantity, str] = {
    "electricity_price": "USD/kWh",
    "carbon_intensity": "g/kWh",
    "power_usage_effectiveness": "1",
}


@dataclass(frozen=True, slots=True)
class EnergyFigure:
    """One figure of one area: USD per kWh, grams of CO2 equivalent per kWh, or total over computing power."""

    area: str
    quantity: EnergyQuantity
    value: float
    as_of: date
    basis: Basis
    sources: tuple[str, ...]
    note: str


def electricity_price(area: str) -> EnergyFigure | None:
    """Return the price of electricity [USD/kWh] in an area or the one around it; None for an unknown area."""
    return _find(area, "electricity_price")


def carbon_intensity(area: str) -> EnergyFigure | None:
    """Return the emissions of electricity [g CO2 equivalent/kWh] in an area or the one around it, or None."""
    return _find(area, "carbon_intensity")


def power_usage_effectiveness(provider: str) -> EnergyFigure | None:
    """Return what a provider's data centres use in all over what its machines use; None where it publishes nothing."""
    return _figures().get((provider, "power_usage_effectiveness"))


def area_of(provider: str, region: str) -> str | None:
    """Return the area of a provider's region, or None if it is not in the table ("global" never is)."""
    area = f"{provider}/{region}"
    return area if area in _areas() else None


def energy_figures() -> tuple[EnergyFigure, ...]:
    """Return all figures."""
    return tuple(_figures().values())


def around(area: str) -> Iterator[str]:
    """Yield an area and those around it: "aws/eu-central-1", "DE", "europe", "world"."""
    known: str | None = area if area in _areas() else None
    while known:
        yield known
        known = _areas()[known] or None


def _find(area: str, quantity: EnergyQuantity) -> EnergyFigure | None:
    return next((_figures()[place, quantity] for place in around(area) if (place, quantity) in _figures()), None)


@cache
def _areas() -> Mapping[str, str]:
    return {row["area"]: row["part_of"] for row in rows("areas.csv")}


@cache
def _figures() -> Mapping[tuple[str, EnergyQuantity], EnergyFigure]:
    return {(figure.area, figure.quantity): figure for figure in records("energy.csv", _figure)}


def _figure(row: Row) -> EnergyFigure:
    quantity = next((known for known in UNITS if known == row["quantity"]), None)
    if quantity is None or UNITS[quantity] != row["unit"]:
        raise ValueError(f"{row['quantity']!r} in {row['unit']!r}; known: {dict(UNITS)}")
    return EnergyFigure(
        area=row["area"],
        quantity=quantity,
        value=float(row["value"]),
        as_of=day(row["as_of"]),
        basis=read_basis(row["basis"]),
        sources=words(row["source"]),
        note=row["note"],
    )
