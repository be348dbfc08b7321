"""What claims ask of the rest of flopcast: recorded profiles, a run on given devices, one split over many."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from estimator.forecast import estimate
from estimator.parallel.network import network_of, usual_system
from estimator.plan import Job, search
from estimator.plan.job import stack_for
from estimator.run import TrainingRun
from hardware_db import load
from hardware_db.errors import DataError
from profiles.recall import known
from profiles.request import ProfileRequest

if TYPE_CHECKING:
    from estimator.plan import Plan
    from estimator.result import Estimate
    from hardware_db import Device
    from profiles.model_profile import ModelProfile

BEST = ("amp_bfloat16", "amp_float16", "float32")
"""What a device takes where no precision is asked for: the first that it has."""


@cache
def profile_of(model: str, precision: str) -> ModelProfile:
    """Return a profile that ships with flopcast.

    Raises
    ------
    DataError
        there is none
    """
    found = known(model, ProfileRequest(precision=precision))
    if found is None:
        raise DataError(f"No profile of {model} in {precision} ships with flopcast: reinstall it")
    return found


def run_on(model: str, device: str, count: int = 1, precision: str | None = None, **work: Any) -> Estimate:
    """Estimate a run of a model on a device, in the precision given or the best that the device has."""
    found = load().device(device)
    chosen = precision or next(each for each in BEST if found.supports(each))
    return estimate(TrainingRun(profile_of(model, chosen), **work), device, count)


def usd_per_hour(device: str) -> float:
    """Return the cheapest price of one device on demand [USD/h]."""
    return min(offer.usd_per_device_hour for offer in load().offers(device=device, pricing="on_demand"))


@cache
def split_over(model: str, device: str, count: int, batch: int) -> Plan:
    """Return the fastest split of a step over many devices.

    Raises
    ------
    DataError
        nothing fits
    """
    database = load()
    found: Device = database.device(device)
    one = found.logical_device()
    profile = profile_of(model, next(each for each in BEST if found.supports(each)))
    network = network_of(one, usual_system(database, found))
    best = search(Job(profile, one, network, stack_for(profile, one), count, batch)).best
    if best is None:
        raise DataError(f"{model} does not fit {count} × {device}")
    return best
