"""By how much the slowest of many hosts and processes comes late.

The slowest decides: with independent delays of standard deviation s the expected largest of n is s sqrt(2 ln n) above
the mean (order statistics of a normal distribution).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from estimator.parallel.values import Triple, triple

if TYPE_CHECKING:
    from estimator.parallel.costs import Setting

STRAGGLER: Final = triple(0.0, 0.007, 0.014)
"""Standard deviation of the time of a step between hosts: 1.4 % in a published simulator fitted to measured runs
(github.com/zhebrak/llm-cluster-simulator, docs/PHYSICS.md), half of it as the middle."""

BESIDE: Final = triple(0.0, 0.035, 0.05)
"""The same between processes of one host that run operation by operation: they share processors and power. From the
scaling of ResNet-50 on 2, 4 and 8 GPUs of a host (lambdal/deeplearning-benchmark), 96, 95 and 91 % where links cost
nothing."""


SLICE: Final = triple(0.0, 0.025, 0.04)
"""Share of a step that is lost whenever the slices of a TPU job double: 7 % from 1 slice of v4 to 8 and 11 to 21 % from
1 of v5e to 32, whatever the model (AI-Hypercomputer/maxtext, configs/v4 and v5e), where the bytes between them are
nearly the same."""


def late_share(devices: int, setting: Setting) -> Triple:
    """Return by which share of a step the slowest of all hosts, and of the processes of a host, comes late."""
    hosts = STRAGGLER * math.sqrt(2 * math.log(max(1.0, devices / setting.network.nodes_of)))
    if setting.network.shape.startswith("torus"):
        hosts = hosts + SLICE * math.log2(max(1.0, devices / setting.network.joined))
    if setting.stack.execution != "eager" or setting.device.kind == "cpu":
        return np.asarray(hosts)
    inside = BESIDE * math.sqrt(2 * math.log(max(1, min(devices, setting.network.nodes_of))))
    return np.asarray(hosts + inside)
