"""Time of operations that only move data: bytes over the share of the memory bandwidth that their kind reaches."""

from __future__ import annotations

from typing import Final

import numpy as np

from estimator.timing.machine import Machine
from estimator.timing.rates import Parameters
from estimator.timing.settings import Floats
from estimator.timing.traffic_classes import TRAFFIC_CLASSES
from estimator.timing.work import Work

ROW_WISE: Final = ("layer_norm", "batch_norm", "softmax", "reduction")
FUSIBLE: Final = ("elementwise", "copy", "pooling", *ROW_WISE)


def traffic_seconds(work: Work, on: Machine, p: Parameters) -> Floats:
    """Return the seconds of each operation of `work.traffic_row`; `on` is its machine.

    A compiler fuses chains of element-wise operations, and with them most of the traffic between them.
    """
    share = np.array([p[f"{name}_bandwidth"] for name in TRAFFIC_CLASSES])[work.traffic_class]
    left = np.where(on.inductor, *(_left(work, p, style) for style in ("inductor", "eager")))
    left = np.where(on.graph, _left(work, p, "graph"), left)
    seconds: Floats = work.traffic_bytes * left / (on.bandwidth * share)
    return seconds


def _left(work: Work, p: Parameters, style: str) -> Floats:
    """Share of its traffic that an operation keeps."""
    if style == "eager":
        return np.ones(len(work.traffic_class))
    rows, others = p[f"{style}_row_traffic"], p[f"{style}_elementwise_traffic"]
    kept = {name: rows if name in ROW_WISE else others for name in FUSIBLE}
    return np.array([kept.get(name, 1.0) for name in TRAFFIC_CLASSES])[work.traffic_class]
