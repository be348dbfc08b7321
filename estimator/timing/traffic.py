"""Time of operations that only move data: bytes over the share of the memory bandwidth that their kind reaches."""

from __future__ import annotations

from typing import Final

import numpy as np

from estimator.timing.machine import Machine
from estimator.timing.rates import Parameters
from estimator.timing.settings import EXECUTIONS, Execution, Floats
from estimator.timing.traffic_classes import TRAFFIC_CLASSES
from estimator.timing.work import Work

ROW_WISE: Final = ("layer_norm", "batch_norm_training", "softmax", "reduction")
FUSIBLE: Final = ("elementwise", "copy", "batch_norm", "pooling", *ROW_WISE)
LAYOUT_SENSITIVE: Final = "batch_norm_training"


def traffic_seconds(work: Work, on: Machine, p: Parameters) -> Floats:
    """Return the seconds of each operation of `work.traffic_row`; `on` is its machine.

    A compiler fuses chains of element-wise operations, and with them most of the traffic between them.
    """
    share = np.array([p[f"{name}_bandwidth"] for name in TRAFFIC_CLASSES])[work.traffic_class]
    left = np.choose(on.style, [_left(work, p, style) for style in EXECUTIONS])
    sensitive = work.traffic_class == TRAFFIC_CLASSES.index(LAYOUT_SENSITIVE)
    layout = np.where(sensitive & on.channels_last, p["batch_norm_channels_last"], 1.0)
    half = np.where(work.traffic_half, p["half_traffic"], 1.0)
    seconds: Floats = work.traffic_bytes * left / (on.bandwidth * share * layout * half * _reuse(work, on, p))
    return seconds


def _reuse(work: Work, on: Machine, p: Parameters) -> Floats:
    """How many times as fast small tensors pass: those that the operation before left in the cache of all units."""
    found = 1.0 / (1.0 + (work.traffic_bytes / (p["l2_share"] * on.l2_bytes)) ** 2)
    return np.asarray(1.0 + p["l2_gain"] * found)


def fault_seconds(work: Work, on: Machine, p: Parameters) -> Floats:
    """Return the seconds a CPU spends on page faults of fresh large results; accelerators keep their memory mapped."""
    seconds: Floats = work.fresh / (on.units * p["fault_bytes_per_s"])
    return seconds


def _left(work: Work, p: Parameters, style: Execution) -> Floats:
    """Share of its traffic that an operation keeps."""
    if style == "eager":
        return np.ones(len(work.traffic_class))
    rows, others = p[f"{style}_row_traffic"], p[f"{style}_elementwise_traffic"]
    kept = {name: rows if name in ROW_WISE else others for name in FUSIBLE}
    return np.array([kept.get(name, 1.0) for name in TRAFFIC_CLASSES])[work.traffic_class]
