"""Electric energy of the devices, before the run: the power that the predicted step draws, times its time.

    power = idle + (rated - idle) * activity,   activity = sum over bounds of share of the step * activity of the bound

Linear in utilisation above an idle floor (Fan, Weber and Barroso, 2007, "Power provisioning for a warehouse-sized
computer"). Two figures of 8 x H100 machines fix the two main terms: training draws at most 0.82 of the rating (Latif et
al., 2024, arXiv:2412.08602), taken as a step bound by compute alone; and a compute-intensive job 0.76 (Newkirk et al.,
2025, arXiv:2506.14551), taken as the step that is predicted for their Llama-2-13b (74 % compute, 18 % memory, 8 %
waiting). Not fitted and yet close: of their ResNet the larger batch drew 1 kW of 10.2 more, predicted 1.1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from estimator.ranges import ZERO, Range

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hardware_db import Device

USUAL_SHARE: Final = Range(0.40, 0.76, 1.00)
"""Drawn over rated power while training, where no step is known to say: 0.76 under heavy load (Newkirk et al., 2025);
the ends are assumptions."""

IDLE_SHARE: Final = Range(0.07, 0.12, 0.37)
"""Drawn over rated power by a device that does nothing. Reported by users: 22 of 320 W of an RTX 3080, 30 of 300 W of
an A40 (NVIDIA/open-gpu-kernel-modules issues 314, 874), 137 of 1,000 W of a B200 and 238 of 1,400 W of an MI355X
(ROCm/legacy-rocm-build issue 5219); and with a model in memory 53 of 300 W of a V100 (zai-org/GLM-130B issue 32), 110
of 300 W of the A40. The middle is between both kinds, the ends are the extremes."""

_COMPUTE: Final = Range(0.65, 0.80, 1.00)
_MEMORY: Final = Range(0.40, 0.64, 0.90)
_WAITING: Final = Range(0.10, 0.32, 0.70)
_STARVED: Final = Range(0.00, 0.10, 0.32)

ACTIVITY: Final = {
    "compute": _COMPUTE,
    "memory": _MEMORY,
    "launch": _WAITING,
    "network": _WAITING,
    "waiting": _WAITING,
    "data": _STARVED,
}
"""What binds a step -> power above idle over what the rating leaves above idle.

The middles of compute and memory follow from the two figures above; the high end of compute is the rating. All others
are assumptions, wide because nothing that was found says more: waiting for others, the link or the host draws much
less than computing (of synchronous training at Microsoft: arXiv:2508.14318, without figures), waiting for data is
taken to be near idle. Other kinds than GPUs are assumed to be alike.
"""

J_PER_KWH = 3.6e6


def share_bound_by(bound: str) -> Range:
    """Return the power over rated power of a step that one thing binds all the time.

    Examples
    --------
    >>> round(share_bound_by("compute").mid, 3)
    0.824
    """
    activity = ACTIVITY[bound]
    ends = [
        idle + (1 - idle) * above
        for idle, above in zip(
            (IDLE_SHARE.low, IDLE_SHARE.mid, IDLE_SHARE.high), (activity.low, activity.mid, activity.high), strict=True
        )
    ]
    return Range(*ends)


_SHARES: Final = {bound: share_bound_by(bound) for bound in ACTIVITY}

LEAST_SHARE: Final = min(share.mid for share in _SHARES.values())
"""Less of its rated power no device is taken to draw during a run, as a middle value."""


def power_share(seconds_by_bound: Mapping[str, float]) -> Range:
    """Return the mean power over rated power of a step, from its seconds by what binds them.

    Examples
    --------
    >>> round(power_share({"compute": 0.738, "memory": 0.181, "network": 0.014, "waiting": 0.067}).mid, 2)
    0.76
    """
    seconds = sum(seconds_by_bound.values())
    return sum((_SHARES[bound] * (part / seconds) for bound, part in seconds_by_bound.items()), ZERO)


def mean_power_w(device: Device, seconds_by_bound: Mapping[str, float]) -> Range | None:
    """Return the watts that one device draws on average in such steps; None where its rated power is unknown."""
    return None if device.tdp_w is None else power_share(seconds_by_bound) * device.tdp_w


def energy_kwh(power_w: Range, count: int, run_time: Range) -> Range:
    """Return the energy of `count` devices that draw `power_w` watts each over `run_time` seconds.

    What comes around the steps is taken to draw what they do. Devices only: no host, no cooling.
    """
    return run_time.times(power_w) * (count / J_PER_KWH)
