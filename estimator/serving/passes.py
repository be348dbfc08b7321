"""Time of one forward pass on one device: its operations beside the host that issues them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from estimator.ranges import Range
from estimator.timing import EXECUTION, TimeSettings, beside, predict

if TYPE_CHECKING:
    from estimator.timing import Basis
    from hardware_db import Device
    from profiles.model_profile import ModelProfile


def forward_pass(
    profile: ModelProfile, size: tuple[int, int | None], device: Device, *, compiled: bool, host_share: float = 1.0
) -> tuple[Range, Basis]:
    """Return the seconds of a forward pass of (batch, tokens), and on what ground.

    The host takes `host_share` of what it takes to issue the operations of a pass that is timed on its own.

    Raises
    ------
    UnknownPrecision
        the device has no peak for the precision
    UsageError
        the profile does not hold for this size
    """
    settings = TimeSettings(EXECUTION.get(device.kind, "inductor" if compiled else "eager"))
    table = profile.table(*size)
    found = predict(table, device, settings)
    forward = table.phase.mask("forward").astype(float)
    busy, host = (Range(*(each @ forward).tolist()) for each in (found.device_s, found.host_s))
    return beside(busy, host * host_share, device.kind), found.basis
