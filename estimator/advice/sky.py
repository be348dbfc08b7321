"""Advice as a SkyPilot task: the machines, and how the training starts on them.

Fields: docs.skypilot.co/en/latest/reference/yaml-spec.html; names of accelerators and clouds: `sky show-gpus -a`
(docs.skypilot.co/en/stable/compute/gpus.html), entered in sky_names.csv.
"""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from hardware_db.errors import UsageError

if TYPE_CHECKING:
    from estimator.advice.result import Advice
    from estimator.result import Estimate
    from hardware_db import Offer

CLOUDS: Final[Mapping[str, str]] = {
    name: name for name in ("aws", "azure", "gcp", "lambda", "oci", "runpod", "vast", "nebius", "paperspace", "cudo",
                            "fluidstack", "seeweb", "verda")
} | {"digitalocean": "do"}  # fmt: skip
"""Provider -> SkyPilot's name of it."""

CHECKPOINT_ROUNDED_S: Final = 60
Value = str | int | float | bool

RUN: Final = """\
# Your training script; the first machine of the list is the meeting point.
torchrun --nnodes $SKYPILOT_NUM_NODES --node-rank $SKYPILOT_NODE_RANK \\
  --nproc-per-node $SKYPILOT_NUM_GPUS_PER_NODE \\
  --master-addr $(echo "$SKYPILOT_NODE_IPS" | head -n 1) --master-port 29500 train.py
"""
ALONE: Final = "# Your training script.\npython train.py\n"


def sky_task(advice: Advice) -> str:
    """Return the recommendation as the YAML of a SkyPilot task.

    Raises
    ------
    UsageError
        nothing is recommended, it is a device that is there already, or SkyPilot has no name for it
    """
    if advice.best is None:
        raise UsageError("--sky: nothing keeps the limits, so there is no task to write")
    row = advice.best.row
    if row.offer is None or row.offer.provider == "own":
        raise UsageError(f"--sky: {row.device.id} is there already; SkyPilot rents machines")
    name = re.sub(r"[^a-z0-9-]+", "-", f"flopcast-{row.run.profile.model}".lower()).strip("-")[:40].strip("-")
    fields: dict[str, Value | Mapping[str, Value]] = {
        "name": name,
        "num_nodes": row.instances or 1,
        "resources": _resources(row, row.offer),
        "envs": _settings(row),
    }
    unknown = f"# SkyPilot does not rent from {row.offer.provider}: it takes the cheapest of its clouds.\n"
    head = f"# {advice.sentence}\n" + ("" if row.offer.provider in CLOUDS else unknown)
    run = RUN if row.device.kind == "gpu" and row.count > 1 else ALONE
    return f"{head}{_yaml(fields)}run: |\n" + "".join(f"  {line}\n" for line in run.splitlines())


def _resources(row: Estimate, offer: Offer) -> dict[str, Value]:
    cloud = CLOUDS.get(offer.provider)
    region = "" if offer.region in ("global", "-") else f"/{offer.region}"
    fields: dict[str, Value] = {"infra": f"{cloud}{region}"} if cloud else {}
    fields |= _hardware(row, offer)
    if offer.pricing == "spot":
        fields |= {"use_spot": True, "job_recovery": "EAGER_NEXT_REGION"}
    return fields | {"max_hourly_cost": math.ceil(120 * offer.usd_per_hour) / 100}


def _hardware(row: Estimate, offer: Offer) -> dict[str, Value]:
    if row.device.kind == "cpu":
        return {"instance_type": offer.instance}
    if offer.kind == "tpu":
        return {"accelerators": f"{offer.instance}:1"}
    name = _names().get(row.device.id)
    if name is None:
        raise UsageError(
            f"--sky: SkyPilot has no name for {row.device.id}. It knows {', '.join(list(_names())[:6])} ..."
        )
    return {"accelerators": f"{name}:{offer.device_count}"}


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
def _names() -> Mapping[str, str]:
    with files("estimator.advice").joinpath("sky_names.csv").open(encoding="utf-8") as file:
        return {row["device"]: row["accelerator"] for row in csv.DictReader(file)}
