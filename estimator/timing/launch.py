"""What it takes to start an operation: on the device, and on the host that issues it."""

from __future__ import annotations

import numpy as np

from estimator.timing.machine import REFERENCE_YEAR, Machine
from estimator.timing.rates import Parameters
from estimator.timing.settings import Floats
from estimator.timing.work import Mask, Work


def start_seconds(work: Work, on: Machine, p: Parameters) -> Floats:
    """Return the seconds before each kernel does anything; a compiler makes one kernel of several operations."""
    kernels = np.where(on.inductor, p["inductor_kernels"], np.where(on.graph, p["graph_kernels"], 1.0))
    return np.where(work.issued, p["kernel_start_s"] * kernels, 0.0)


def host_seconds(work: Work, on: Machine, training: Mask | bool, p: Parameters) -> Floats:
    """Return the seconds a host needs to issue each operation once.

    Eager forward operations pass through Python, backward operations only through the autograd engine. Hosts are as old
    as the devices they were bought with: the time halves every `host_halving_years`.
    """
    forward = np.where(training, p["host_training_s"], p["host_inference_s"])
    eager = np.where(work.backward, p["host_backward_s"], np.where(work.optimizer, p["host_optimizer_s"], forward))
    per_call = np.where(on.graph, p["graph_host_s"], np.where(on.inductor, p["inductor_host_s"], eager))
    newer = 2.0 ** (-(on.year - REFERENCE_YEAR) / p["host_halving_years"])
    return np.where(work.issued, per_call * newer, 0.0)
