"""What it takes to start an operation: on the device, and on the host that issues it."""

from __future__ import annotations

from typing import Final

import numpy as np

from estimator.timing.machine import Machine
from estimator.timing.rates import Parameters
from estimator.timing.settings import Floats
from estimator.timing.work import Mask, Work

LAST_SLOW_YEAR: Final = 2020.0


def start_seconds(work: Work, on: Machine, p: Parameters) -> Floats:
    """Return the seconds before each kernel does anything; a compiler makes one kernel of several operations."""
    kernels = np.choose(on.style, [1.0, p["inductor_kernels"], p["graph_kernels"], p["megatron_kernels"]])
    return np.where(work.issued, p["kernel_start_s"] * kernels, 0.0)


def copy_seconds(copied_bytes: Floats, p: Parameters) -> Floats:
    """Return the seconds of a copy from the host's pageable memory to a device, for which both wait.

    The driver moves pageable memory through a pinned buffer of its own and returns when that is done (NVIDIA, CUDA
    driver API, "API synchronization behavior"); what a loader's process just wrote is mapped page by page first.
    """
    seconds: Floats = copied_bytes / p["pageable_bytes_per_s"]
    return seconds


def host_seconds(work: Work, on: Machine, training: Mask | bool, p: Parameters) -> Floats:
    """Return the seconds a host needs to issue each operation once.

    Eager forward operations pass through Python, backward operations only through the autograd engine. Hosts are taken
    to be as old as the devices they were bought with; of those up to `LAST_SLOW_YEAR` the published ones are alike.
    """
    forward = np.where(training, p["host_training_s"], p["host_inference_s"])
    eager = np.where(work.backward, p["host_backward_s"], np.where(work.optimizer, p["host_optimizer_s"], forward))
    fused = eager * p["megatron_kernels"]
    per_call = np.choose(on.style, [eager, p["inductor_host_s"], p["graph_host_s"], fused])
    newer = 2.0 ** (-np.maximum(on.year - LAST_SLOW_YEAR, 0.0) / p["host_halving_years"])
    return np.where(work.issued & on.hosted, per_call * newer, 0.0)
