"""Time of recurrent layers in one call: what all steps share is one product, the rest waits for the step before.

The input of every step is known at the start, so its product with the input weights is one large product over all
tokens; so are the gradients of the weights. The product with the recurrent weights has as many rows as there are
samples and runs once a step and layer, followed by the kernel of the gates (Appleyard et al. 2016, arXiv:1604.01946,
optimisations 2 and 5). Nothing of this is fitted. On 318 recurrent layers of DeepBench on five GPUs a forward pass is
28 % off in the median and a backward pass 33 %; with 64 samples or more 24 and 22 %. A share of a large product for all
of a layer, what was here before, is 61 % off in both, 80 and 143 % (benchmarks/recurrent_layers.py).
"""

from __future__ import annotations

from typing import Final

import numpy as np

from estimator.timing.machine import Machine
from estimator.timing.products import product_seconds
from estimator.timing.rates import Parameters
from estimator.timing.settings import Floats
from estimator.timing.work import MATMUL, Products, Recurrent

KERNELS_A_STEP: Final = 2.0
"""The product and the gates."""


def recurrent_seconds(work: Recurrent, on: Machine, p: Parameters) -> tuple[Floats, Floats]:
    """Return (seconds, seconds of their memory traffic alone) of each layer; `on` is its machine, one value each."""
    tokens = work.m * work.steps
    shared = np.maximum(work.flops - 2 * tokens * work.n * work.k, 0.0)
    at_once, memory = product_seconds(_products(work, tokens, shared / (2 * tokens * work.n), work.moved), on, p)
    read = work.element_bytes * (work.k * work.n + work.m * (work.k + work.n))
    step, waits = product_seconds(_products(work, work.m, work.k, read), on, p)
    start = KERNELS_A_STEP * p["kernel_start_s"]
    return at_once + work.steps * (step + start), memory + work.steps * waits


def _products(work: Recurrent, m: Floats, k: Floats, moved: Floats) -> Products:
    one = np.ones(len(work.row))
    role = np.full(len(work.row), MATMUL)
    return Products(work.row, role, m, work.n, k, batch=one, kernel=0 * one, stride=one, moved=moved)
