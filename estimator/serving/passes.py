"""Time of one forward pass on one device: its operations beside the host that issues them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from estimator.ranges import Range
from estimator.serving.few_bits import in_int8, with_weight_bits
from estimator.timing import EXECUTION, TimeSettings, beside, predict
from estimator.timing.machine import product_peaks

if TYPE_CHECKING:
    from estimator.timing import Basis
    from hardware_db import Device
    from profiles.model_profile import ModelProfile
    from profiles.tables import OperationTable


@dataclass(frozen=True, slots=True)
class Way:
    """How a forward pass runs.

    Attributes
    ----------
    compiled
        whether a compiler made it (torch.compile)
    host_share
        what the host takes to issue the operations over what it takes for a pass that is timed on its own
    weight_bits
        bits of a weight in the layers, scales included; None: as recorded
    int8
        whether all values have 8 bits
    """

    compiled: bool = False
    host_share: float = 1.0
    weight_bits: float | None = None
    int8: bool = False


def forward_pass(profile: ModelProfile, size: tuple[int, int | None], device: Device, way: Way) -> tuple[Range, Basis]:
    """Return the seconds of a forward pass of (batch, tokens), and on what ground.

    Raises
    ------
    UnknownPrecision
        the device has no peak for the precision
    UsageError
        the profile does not hold for this size, or for weights of few bits
    """
    settings = TimeSettings(EXECUTION.get(device.kind, "inductor" if way.compiled else "eager"))
    table = profile.table(*size)
    table = table if way.weight_bits is None else with_weight_bits(profile, table, way.weight_bits)
    table = in_int8(table) if way.int8 else table
    found = predict(table, device, settings)
    forward = table.phase.mask("forward").astype(float)
    busy, host = (Range(*(each @ forward).tolist()) for each in (found.device_s, found.host_s))
    return beside(_no_less(busy, _at_peak_s(table, device)), host * way.host_share, device.kind), found.basis


def _at_peak_s(table: OperationTable, device: Device) -> float:
    """Return the seconds of the products with the matrix engine at its peak: no range reaches below."""
    peak, matrix = product_peaks(table, device)
    rows = matrix & table.phase.mask("forward")
    return float(np.sum((table.flops * table.count)[rows] / peak[rows]))


def _no_less(seconds: Range, least: float) -> Range:
    return Range(*(max(each, least) for each in (seconds.low, seconds.mid, seconds.high)))
