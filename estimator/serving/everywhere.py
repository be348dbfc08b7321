"""Serving on every device that fits it: one row a device, the cheapest price first."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from estimator.serving.few_bits import INT8
from estimator.serving.passes import Way
from estimator.serving.predictions import BITS_16, Serving, predictions_on
from estimator.serving.writing import Dialogue, Writing, writing_on
from estimator.timing import as_benchmarked
from hardware_db.errors import UnknownPrecision, UsageError

if TYPE_CHECKING:
    from hardware_db import Database, Device, Offer
    from profiles.model_profile import ModelProfile

Answered = Serving | Writing


@dataclass(frozen=True)
class Question:
    """What is served: profiles in order of preference of precision, sequences and tokens, where.

    `dialogue` None: predictions of `batch_size` samples. `int8`: in 8 bits, where `None` says only on devices that have
    nothing else.
    """

    profiles: Sequence[ModelProfile]
    batch_size: int
    dialogue: Dialogue | None = None
    compiled: bool = False
    devices: str | None = None
    int8: bool | None = None


def serve_everywhere(asked: Question, database: Database) -> tuple[tuple[Answered, ...], dict[str, str]]:
    """Return a row for every device, the cheapest that fits first, and why others have none.

    Devices that nobody rents out have a row without a price: edge, mobile and FPGA devices among them.
    """
    rows: list[Answered] = []
    left_out: dict[str, str] = {}
    for device in database.match(asked.devices) if asked.devices else database.devices():
        try:
            rows.append(_row(asked, database, device))
        except (UnknownPrecision, UsageError) as error:
            left_out[device.id] = str(error).splitlines()[0]
    return tuple(sorted(rows, key=_order)), left_out


def _row(asked: Question, database: Database, device: Device) -> Answered:
    offer = min(database.offers(device=device.id, pricing="on_demand"), key=_per_device, default=None)
    real = as_benchmarked(device) if offer is None else database.device_of(offer)
    if real.memory_bandwidth_bytes_per_s is None:
        raise UsageError(f"no memory bandwidth of {device.id} is known")
    profile = next((each for each in asked.profiles if real.supports(each.precision)), None)
    if asked.dialogue is None:
        narrow = next((each for each in asked.profiles if each.precision in BITS_16), None)
        if asked.int8 or (asked.int8 is None and profile is None and narrow and real.supports(INT8)):
            way = Way(compiled=True, int8=True)
            return predictions_on(narrow or asked.profiles[0], real, asked.batch_size, offer, way)
        return predictions_on(profile or asked.profiles[-1], real, asked.batch_size, offer, Way(asked.compiled))
    profile = profile or asked.profiles[-1]
    return writing_on(profile, real, asked.dialogue, offer, compiled=asked.compiled)


def _per_device(offer: Offer) -> float:
    return offer.usd_per_device_hour


def _order(row: Answered) -> tuple[bool, float, float]:
    price = next(_prices(row), math.inf)
    return row.fits is not True, price, row.latency.mid


def _prices(row: Answered) -> Iterator[float]:
    found = row.usd_per_thousand if isinstance(row, Serving) else row.usd_per_million
    if found is not None:
        yield found.mid
