"""How much of a datasheet figure real programs reach, before anything was measured on the device: one table.

Every number of the time prediction that is neither in the profile nor in the hardware database is here, as three
values (fast, typical, slow) with the measurement or document it comes from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from hardware_db import Device

Execution = Literal["eager", "graph"]

POWER_LIMITED_TDP_W = 75.0
"""Cards up to this power cannot hold their boost clock: T4 (70 W), L4 (72 W) and P4 (75 W) sustain 0.40, 0.29 and 0.25
of their peak in large products, cards above 150 W 0.60 to 0.95 (operator timings of NeuSight)."""


@dataclass(frozen=True, slots=True)
class Prior:
    """One assumed quantity: its value where things go fast, typically and slowly, its unit and its source."""

    fast: float
    typical: float
    slow: float
    unit: str
    source: str

    @property
    def values(self) -> NDArray[np.float64]:
        """The three values as a column (3, 1): rows low, mid and high of a time."""
        return np.array([[self.fast], [self.typical], [self.slow]])


_NEUSIGHT = "operator and model timings published with NeuSight (Lee et al., ASPLOS 2025), 7 GPUs, float32, eager"
_VIDUR = "operator timings published with vidur (Agrawal et al., MLSys 2024), A100, float16"
_FRACTION, _SECONDS = "fraction of the datasheet figure", "s per call"

PRIORS: Final[Mapping[str, Prior]] = {
    "matrix": Prior(
        0.84,
        0.65,
        0.48,
        _FRACTION,
        f"a roofline without efficiencies predicts 0.48 to 0.84 of the measured time, median 0.65 ({_NEUSIGHT}); "
        f"products above 10 GFLOP reach 0.65 to 0.74 ({_VIDUR})",
    ),
    "matrix, power-limited": Prior(
        0.55, 0.35, 0.25, _FRACTION, f"large products on T4, L4 and P4, cards of 70 to 75 W ({_NEUSIGHT})"
    ),
    "matrix, cpu": Prior(
        0.90,
        0.50,
        0.25,
        _FRACTION,
        "own timings of float32 products on an AMD Zen 5: 0.46 of the peak with MKL, 0.9 and more with oneDNN; "
        "the slow end is an estimate for shared virtual machines",
    ),
    "vector": Prior(
        1.0,
        0.5,
        0.25,
        _FRACTION,
        "the peak counts a fused multiply-add as 2 FLOPs; an addition or a product alone issues half of that; "
        "the slow end is an estimate for special functions",
    ),
    "bandwidth": Prior(
        0.90,
        0.78,
        0.68,
        _FRACTION,
        f"element-wise operations above 200 MB reach 0.68 to 0.92, median 0.78 ({_NEUSIGHT})",
    ),
    "bandwidth, rows": Prior(
        0.75, 0.55, 0.40, _FRACTION, f"softmax and layer normalisation above 200 MB ({_NEUSIGHT})"
    ),
    "bandwidth, cpu": Prior(
        0.85,
        0.50,
        0.20,
        _FRACTION,
        "own timings on an AMD Zen 5: reused memory near the peak, freshly allocated memory far below (page faults)",
    ),
    "kernel": Prior(2e-6, 3e-6, 5e-6, _SECONDS, f"shortest kernels: 2 us (5th percentile) to 4 us (median) ({_VIDUR})"),
    "kernel, cpu": Prior(1e-6, 4e-6, 8e-6, _SECONDS, "own timings of small PyTorch operations on an AMD Zen 5"),
    "kernel, graph": Prior(
        0.0, 1e-6, 3e-6, _SECONDS, "estimate: a compiled graph has no host in the loop; not measured"
    ),
    "launch": Prior(
        4e-6,
        8e-6,
        20e-6,
        _SECONDS,
        "host time to issue one operation of eager PyTorch, 5 to 25 us; Megatron's 3.0 to 3.6 ms a layer and "
        "micro-batch (fit to vTrain's A100 timings, Bang et al., MICRO 2024) is 15 to 20 us an operation",
    ),
    "fused traffic": Prior(
        0.2,
        0.5,
        0.9,
        "fraction of the element-wise traffic left after fusion",
        "estimate: compiling speeds vision models up 1.7 times in the median (timm's published timings on an RTX 4090, "
        "eager against inductor), which takes half of their element-wise traffic away; not measured on other compilers",
    ),
}


def matrix_prior(device: Device) -> str:
    """Return which prior holds for matrix products on a device."""
    if device.kind == "cpu":
        return "matrix, cpu"
    power_limited = device.tdp_w is not None and device.tdp_w <= POWER_LIMITED_TDP_W
    return "matrix, power-limited" if power_limited else "matrix"


def kernel_prior(kind: str, execution: Execution) -> str:
    """Return which prior holds for the start of a kernel on a kind of device."""
    if execution == "graph":
        return "kernel, graph"
    return "kernel, cpu" if kind == "cpu" else "kernel"
