"""The two questions: one run on given devices, and one run on all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Unpack

import hardware_db
from estimator.pricing import on_offer, preference
from estimator.survey import Choice, Survey, check_count, unpriced
from estimator.workload import Workload

if TYPE_CHECKING:
    from estimator.estimates import Estimates
    from estimator.result import Estimate
    from estimator.run import TrainingRun
    from hardware_db import Database, Device, Offer


def estimate(
    run: TrainingRun,
    device: Device | str,
    count: int = 1,
    offer: Offer | None = None,
    *,
    database: Database | None = None,
) -> Estimate:
    """Estimate a run on `count` devices, split as little as they need: data parallel, ZeRO, then layers divided.

    Parameters
    ----------
    run
        the training run
    device
        exact id, name or alias of a device in the database, or a device of your own
    count
        devices (packages as they are rented; a package of two dies runs two replicas)
    offer
        what is rented; default the cheapest on demand that can be estimated, or no cost where there is none
    database
        the hardware database; default the published one

    Raises
    ------
    UnknownDevice
        no device, or several, have this name
    UsageError
        a count below 1, or a batch that does not divide over the devices

    Examples
    --------
    >>> row = estimate(run, "h100-sxm", count=8)
    >>> row.fits, row.precision, row.count
    (True, 'bfloat16', 8)
    """
    database = database or hardware_db.load()
    if not isinstance(device, str):
        database = database.with_devices([device])
    found = database.device(device) if isinstance(device, str) else device
    work = Workload(run)
    check_count(work, count)
    offers = [offer] if offer else database.offers(device=found.id, pricing="on_demand")
    if not offers:
        return unpriced(work, database, found, count)
    return min((on_offer(work, database, each, count) for each in offers), key=preference)


def estimate_all(run: TrainingRun | Sequence[TrainingRun], **choice: Unpack[Choice]) -> Estimates:
    """Estimate a run on every device, with the cheapest offer of each device and count.

    Parameters
    ----------
    run
        a run, or several of the same work in order of preference of precision: a device takes the first whose
        precision it has
    **choice
        see `Choice`

    Raises
    ------
    NoPrice
        no offer matches provider, region and pricing
    UsageError
        a batch that does not divide over a count that was asked for
    UnknownDevice
        no device, or several, have a name that was given

    Examples
    --------
    >>> rows = estimate_all(run, devices="h100-sxm,tpu-v5e", counts=[8])
    >>> rows.cheapest() in rows.pareto(), rows.fastest().device.id
    (True, 'h100-sxm')
    """
    unknown = set(choice) - set(Choice.__annotations__)
    if unknown:
        raise TypeError(f"estimate_all() has no argument {', '.join(sorted(unknown))}")
    return Survey.of(run, Choice(**choice)).estimates()
