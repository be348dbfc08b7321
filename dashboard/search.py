"""The process that plans: `python -m dashboard.search` reads a question as JSON and prints the plans as JSON.

question  {"profile": a profile's JSON text, "device": id, "counts": [8, 16], "batch": 256}
answer    {"assumptions", "priced", "knee_hours", "knee_dollars", "points"}; a point has its count, the best plan and
          those that lose to it with their prices, its files for training software, or why nothing fits
"""

from __future__ import annotations

import json
import sys
from typing import Any

from dashboard.replying import reply
from estimator.parallel.network import network_of, usual_system
from estimator.plan import Job, Point, Scaling, scaling_of
from estimator.plan.exports import FORMATS, exported
from estimator.plan.job import stack_for
from estimator.plan.prices import rentals_of
from estimator.plan.rows import plan_row, price_row, why_not
from estimator.text.plan import assumed_of
from estimator.timing import as_benchmarked
from hardware_db.errors import FlopcastError
from hardware_db.here import load_here
from profiles.model_profile import ModelProfile


def answer(question: dict[str, Any]) -> dict[str, Any]:
    """Plan for every number of devices.

    Raises
    ------
    FlopcastError
        the device has no known memory or links, or the profile does not hold for other batch sizes
    """
    database = load_here().database
    device = as_benchmarked(database.device(question["device"]))
    system, profile = usual_system(database, device), ModelProfile.from_json(question["profile"])
    network, stack = network_of(device, system), stack_for(profile, device)
    counts, batch = question["counts"], question["batch"]
    job = Job(profile, device.logical_device(), network, stack, counts[0], batch)
    found = scaling_of(job, counts, rentals_of(database, device, network, counts))
    return {
        "assumptions": assumed_of(found),
        "priced": found.priced,
        "knee_hours": found.knee("hours"),
        "knee_dollars": found.knee("dollars"),
        "points": [_point(found, point) for point in found.points],
    }


def _point(found: Scaling, point: Point) -> dict[str, Any]:
    best = point.found.best
    if best is None:
        return {"device_count": point.count, "why_not": why_not(point), "plans": [], "files": {}}
    return {
        "device_count": point.count,
        "why_not": None,
        "searched": point.found.searched,
        "fitting": point.found.fitting,
        "device_time_of_best": found.device_seconds(point),
        "plans": [
            {"split": str(plan.split), **plan_row(point, plan), **price_row(found, point, plan)}
            for plan in point.found.plans
        ],
        "files": {form: _file(form, found.job, point) for form in FORMATS},
    }


def _file(form: str, job: Job, point: Point) -> dict[str, str]:
    try:
        return {"text": exported(form, point.found, job.on(point.count))}
    except FlopcastError as error:
        return {"why_not": str(error)}


if __name__ == "__main__":
    sys.exit(reply(lambda: answer(json.load(sys.stdin))))
