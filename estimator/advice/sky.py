"""Advice as a SkyPilot task: the machines, and how the training starts on them.

Fields: docs.skypilot.co/en/latest/reference/yaml-spec.html. sky_names.csv holds the names of accelerators and the
clouds that each is listed for, from SkyPilot's catalog; one device may have other names in other clouds. The commands
of a task are run on every machine of it, and on every host of a slice of TPUs
(docs.skypilot.co/en/latest/reference/tpu.html, "Multi-Host TPU Pods").
"""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from hardware_db.errors import UsageError

if TYPE_CHECKING:
    from estimator.advice.result import Advice
    from estimator.result import Estimate
    from hardware_db import Offer

OTHER_NAMES: Final[Mapping[str, str]] = {"digitalocean": "do"}
"""Provider -> SkyPilot's name of it, where it is another one."""

ONE_MACHINE: Final = frozenset({"runpod", "verda"})
"""Clouds of which SkyPilot gives a task one machine only.

skypilot-org/skypilot sky/clouds/runpod.py @74da432 and sky/clouds/verda.py @0d3f784: MULTI_NODE is unsupported.
"""

CHECKPOINT_ROUNDED_S: Final = 60
Value = str | int | float | bool

RUN: Final = """\
# Your training script; the first machine of the list is the meeting point.
torchrun --nnodes $SKYPILOT_NUM_NODES --node-rank $SKYPILOT_NODE_RANK \\
  --nproc-per-node $SKYPILOT_NUM_GPUS_PER_NODE \\
  --master-addr $(echo "$SKYPILOT_NODE_IPS" | head -n 1) --master-port 29500 train.py
"""
ALONE: Final = "# Your training script.\npython train.py\n"
SLICE: Final = """\
# Your training script, started on every host of the slice; jax.distributed.initialize() lets them find each other.
python train.py
"""


@dataclass(frozen=True, slots=True)
class Accelerator:
    """SkyPilot's name of a device, and the clouds that its catalog lists it for under this name."""

    name: str
    clouds: frozenset[str]


def sky_task(advice: Advice) -> str:
    """Return the recommendation as the YAML of a SkyPilot task.

    Raises
    ------
    UsageError
        nothing is recommended, it is a device that is there already, SkyPilot has no name for it, or several machines
        or slices of it are not what a task of SkyPilot can be
    """
    if advice.best is None:
        raise UsageError("--sky: nothing keeps the limits, so there is no task to write")
    row = advice.best.row
    if row.offer is None or row.offer.provider == "own":
        raise UsageError(f"--sky: {row.device.id} is there already; SkyPilot rents machines")
    name = re.sub(r"[^a-z0-9-]+", "-", f"flopcast-{row.run.profile.model}".lower()).strip("-")[:40].strip("-")
    resources = _resources(row, row.offer)
    fields: dict[str, Value | Mapping[str, Value]] = {
        "name": name,
        "num_nodes": row.instances or 1,
        "resources": resources,
        "envs": _settings(row),
    }
    unknown = f"# SkyPilot lists no {row.device.id} of {row.offer.provider}: it takes the cheapest of its clouds.\n"
    head = f"# {advice.sentence}\n" + ("" if "infra" in resources else unknown)
    return f"{head}{_yaml(fields)}run: |\n" + "".join(f"  {line}\n" for line in _run(row).splitlines())


def _run(row: Estimate) -> str:
    """Start one process a device, one a host of a slice of TPUs, or one alone."""
    if row.count == 1:
        return ALONE
    return SLICE if row.device.kind == "tpu" else RUN


def _resources(row: Estimate, offer: Offer) -> dict[str, Value]:
    cloud = OTHER_NAMES.get(offer.provider, offer.provider)
    fields: dict[str, Value] = _hardware(row, offer, cloud)
    if cloud in _clouds_of(row):
        _refuse_several(row, cloud)
        region = "" if offer.region in ("global", "-") else f"/{offer.region}"
        fields = {"infra": f"{cloud}{region}", **fields}
    if offer.pricing == "spot":
        fields |= {"use_spot": True, "job_recovery": "EAGER_NEXT_REGION"}
    return fields | {"max_hourly_cost": math.ceil(120 * offer.usd_per_hour) / 100}


def _hardware(row: Estimate, offer: Offer, cloud: str) -> dict[str, Value]:
    """Name what is rented; a machine without an accelerator has the name that its provider gives it."""
    if row.device.kind == "cpu":
        if cloud not in _clouds():
            raise UsageError(f"--sky: SkyPilot does not rent from {offer.provider}, whose name {offer.instance} is")
        return {"instance_type": offer.instance}
    found = _names().get(row.device.id)
    if found is None:
        known = ", ".join(list(_names())[:6])
        raise UsageError(f"--sky: no name of {row.device.id} for SkyPilot is known. There are names of {known} ...")
    if offer.kind == "tpu":
        if (row.instances or 1) > 1:
            raise UsageError(
                f"--sky: {row.instances} slices {offer.instance} train as one only as a multislice, which a task of "
                "SkyPilot does not set up. Ask for one slice: --count"
            )
        return {"accelerators": f"{offer.instance}:1"}
    named = next((each for each in found if cloud in each.clouds), found[0])
    return {"accelerators": f"{named.name}:{offer.device_count}"}


def _clouds_of(row: Estimate) -> frozenset[str]:
    """Clouds that SkyPilot lists the machine for."""
    if row.device.kind == "cpu":
        return _clouds()
    return frozenset().union(*(each.clouds for each in _names()[row.device.id]))


def _refuse_several(row: Estimate, cloud: str) -> None:
    if cloud in ONE_MACHINE and (row.instances or 1) > 1:
        raise UsageError(f"--sky: SkyPilot gives a task one machine of {cloud}; this takes {row.instances}")


def _settings(row: Estimate) -> dict[str, Value]:
    """What the estimate rests on, for the script to read."""
    fields: dict[str, Value] = {
        "PRECISION": row.precision,
        "STEPS": row.run.total_steps,
        "GLOBAL_BATCH_SIZE": row.run.global_batch_size,
        "MICRO_BATCH_SIZE": row.micro_batch_size or 1,
        "GRADIENT_ACCUMULATION_STEPS": row.gradient_accumulation_steps or 1,
    }
    if row.whole is not None and row.whole.stops.mid >= 0.05 and math.isfinite(row.whole.interval_s):
        rounded = max(1, round(row.whole.interval_s / CHECKPOINT_ROUNDED_S)) * CHECKPOINT_ROUNDED_S
        fields["CHECKPOINT_EVERY_S"] = rounded
    return fields


def _yaml(fields: Mapping[str, Value | Mapping[str, Value]], indent: str = "") -> str:
    text = ""
    for name, value in fields.items():
        inside = f"\n{_yaml(value, indent + '  ')}" if isinstance(value, Mapping) else f" {json.dumps(value)}\n"
        text += f"{indent}{name}:{inside}"
    return text


@cache
def _clouds() -> frozenset[str]:
    return frozenset().union(*(each.clouds for found in _names().values() for each in found))


@cache
def _names() -> Mapping[str, Sequence[Accelerator]]:
    found: dict[str, list[Accelerator]] = {}
    with files("estimator.advice").joinpath("sky_names.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            found.setdefault(row["device"], []).append(
                Accelerator(row["accelerator"], frozenset(row["clouds"].split()))
            )
    return found
