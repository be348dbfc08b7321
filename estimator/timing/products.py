"""Time of matrix products and of convolutions, which are products with a layout.

The device computes a product tile by tile. A tile of tm x tn elements does tm * tn / (tm + tn) multiply-adds for every
element it reads, so small tiles are slower; large ones waste work at the edges and leave units idle when there are few
of them (tile quantisation: NVIDIA, "Matrix Multiplication Background User's Guide"). Long dot products of few tiles are
split and summed through memory (split-K). The library is assumed to know the best tile and split.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from estimator.timing.machine import Machine
from estimator.timing.rates import Parameters, sustained_rate
from estimator.timing.settings import EAGER, Floats
from estimator.timing.work import DATA, FORWARD, MATMUL, WEIGHT, Kernels, Mask, Products

TILES: Final = np.array([(256, 128), (128, 128), (128, 64), (64, 128), (64, 64), (32, 64), (64, 32), (32, 32)], float)
SPLITS: Final = np.array([1, 4, 16, 64], float)
SHORTEST_SPLIT: Final = 64
PARTIAL_SUM_BYTES: Final = 4
REFERENCE_REACH: Final = 64.0
"""Multiply-adds per element read of a tile of 128 x 128."""

WINOGRAD_KERNEL: Final = 9
WINOGRAD_CHANNELS: Final = 16
PACKED_GROUPS: Final = 8
SPECIALISED_KERNELS: Final = (1, 9, 25)
"""Depthwise kernels that PyTorch compiles specially: 1, 3 and 5 wide (aten/src/ATen/native/cuda/DepthwiseConv2d.cu)."""

SUBLANES: Final = 8
"""Rows of a register of a TPU (8 x 128)."""

HALF_BYTES: Final = 2.0
TILE_SIDE: Final = 2048.0
"""Rows and columns of the sums in float32 that fit into what XLA takes of a TPU's vector memory unless asked for more:
16 MiB (--xla_tpu_scoped_vmem_limit_kib)."""

ALIGNMENT: Final = 8
"""Channels that tensor cores take at once; fewer are padded."""


def product_seconds(work: Products, on: Machine, p: Parameters) -> tuple[Floats, Floats]:
    """Return (seconds, seconds of their memory traffic alone) of each product; `on` is its machine, one value each."""
    work = _padded(work, on)
    if not (work.role != MATMUL).any():
        memory = work.moved / (on.bandwidth * p["product_bandwidth"])
        return _best_tiling(work, work.k, np.broadcast_to(sustained_rate(on, p), work.k.shape), on, p), memory
    rate = sustained_rate(on, p) * _share_of_rate(work, on, p)
    depth = np.where(on.matrix & (work.role == FORWARD), _padded_depth(work), work.k)
    memory = work.moved / (on.bandwidth * p["product_bandwidth"])
    seconds = _best_tiling(work, depth, rate, on, p)
    layout = _layout_seconds(work, on, p)
    direct = _direct(work, on)
    if not direct.any():
        return seconds + layout, memory + layout
    apart = _direct_seconds(work, on, p)
    return np.where(direct, apart, seconds + layout), np.where(direct, apart, memory + layout)


def _padded(work: Products, on: Machine) -> Products:
    """Pad products to a systolic matrix unit, as XLA does: rows to `SUBLANES`, columns and depth to its side.

    Operands are read once for every tile of sums that fits on the chip, of at most `TILE_SIDE`: a chip with more FLOPs
    a byte waits for them longer.

    Source: Cloud TPU performance guide (cloud.google.com/tpu/docs/performance-guide).
    """
    side = on.array_side
    if not (side > 1).any():
        return work
    rows = np.where(side > 1, SUBLANES, 1.0)
    m, n, k = (np.ceil(size / to) * to for size, to in ((work.m, rows), (work.n, side), (work.k, side)))
    reads = 1.0 / np.minimum(m, TILE_SIDE) + 1.0 / np.minimum(n, TILE_SIDE)
    tiled = HALF_BYTES * work.batch * m * n * (on.operand * k * reads + 1.0)
    moved = np.where(side > 1, np.maximum(work.moved, tiled), work.moved)
    return replace(work, m=m, n=n, k=k, moved=moved)


def _padded_depth(work: Products) -> Floats:
    channels = np.where(work.kernel > 0, work.k / np.maximum(work.kernel, 1.0), ALIGNMENT)
    return work.k * np.ceil(channels / ALIGNMENT) * ALIGNMENT / np.maximum(channels, 1.0)


def _best_tiling(work: Products, depth: Floats, rate: Floats, on: Machine, p: Parameters) -> Floats:
    """Seconds with the best of `TILES` and `SPLITS`: compute and memory overlap in part.

    Memory does not depend on the tile, so that the best tile is the one that computes fastest.
    """
    column = np.s_[:, None, None]
    m, n, k, batch = work.m[column], work.n[column], depth[column], work.batch[column]
    tile_m, tile_n, split = TILES[None, :, None, 0], TILES[None, :, None, 1], SPLITS[None, None, :]
    tiles = batch * np.ceil(m / tile_m) * np.ceil(n / tile_n) * split
    half_reach = np.broadcast_to(_half_reach(on, p), work.m.shape)[column]
    reach = tile_m * tile_n / (tile_m + tile_n)
    share = reach / (reach + half_reach) * (1 + half_reach / REFERENCE_REACH)
    units = _column(on.units, len(work.m))
    waves = np.maximum(1.0, tiles / units)
    each = 2 * tile_m * tile_n * (k / split + p["product_prologue"]) / (rate[column] / units * share)
    compute = (waves * each).min(axis=1)
    splits = SPLITS[None, :]
    sums = np.where(splits > 1, 2 * PARTIAL_SUM_BYTES * splits * (work.batch * work.m * work.n)[:, None], 0.0)
    bandwidth = np.broadcast_to(on.bandwidth, (len(work.m),))[:, None]
    memory = (work.moved[:, None] + sums) / (bandwidth * p["product_bandwidth"])
    order = p["overlap_order"]
    seconds = (compute**order + memory**order) ** (1 / order)
    shortest = (depth[:, None] / splits < SHORTEST_SPLIT) & (splits > 1)
    best: Floats = np.where(shortest, np.inf, seconds).min(axis=1)
    return best


def _half_reach(on: Machine, p: Parameters) -> Floats:
    """Tile reach at which half of the rate is reached: the more FLOPs a byte a matrix engine has, the more reuse."""
    return np.where(on.matrix, p["matrix_reach"] * on.ridge ** p["reach_exponent"], p["vector_reach"])


def _column(values: Floats, rows: int) -> Floats:
    return np.broadcast_to(values, (rows,))[:, None, None]


def _share_of_rate(work: Products, on: Machine, p: Parameters) -> Floats:
    """What each product reaches of the rate of a plain large one: by role, grouping, layout and algorithm."""
    role = np.array([1.0, p["convolution_forward"], p["convolution_data"], p["convolution_weight"]])[work.role]
    grouped = (work.role != MATMUL) & (work.batch > 1)
    able = on.winograd & ~on.matrix
    winograd = (able & (work.kernel == WINOGRAD_KERNEL) & (work.stride < 2) & (work.batch == 1)) & (
        work.channels_in >= WINOGRAD_CHANNELS
    )
    return role * np.where(grouped, _grouped_share(work, on, p), 1.0) * np.where(winograd, p["winograd"], 1.0)


def _grouped_share(work: Products, on: Machine, p: Parameters) -> Floats:
    """What grouped convolutions reach of plain ones, by layout and direction."""
    forward = np.where(on.channels_last, p["grouped_forward_channels_last"], p["grouped_forward"])
    backward = np.where(on.channels_last, p["grouped_backward_channels_last"], p["grouped_backward"])
    return np.where(work.role == FORWARD, forward, backward)


def _direct(work: Products, on: Machine) -> Mask:
    """Which convolutions run without a matrix engine: depthwise ones, and gradients of grouped ones in channels last.

    Of the latter cuDNN has kernels for matrix engines only where groups come in eights and are as wide on both sides;
    others run as its `grouped_direct` kernels (profiled in github.com/pytorch/pytorch/issues/34977), as slow as
    depthwise ones: on an RTX 3090 ResNeXt (32 groups) trains faster in channels last than contiguous, NFNet (2 and 6),
    ResNeSt (2 and 4) and SENet-154 (64, twice as wide on one side) 1.6 to 3.5 times as slow.
    """
    gradient = (work.role > FORWARD) & (work.batch > 1) & on.channels_last
    packed = (work.batch % PACKED_GROUPS == 0) & (work.channels_in == work.channels_out)
    chosen: Mask = work.depthwise | (gradient & ~packed)
    return chosen


def _layout_seconds(work: Products, on: Machine, p: Parameters) -> Floats:
    """Tensor cores take channels last: other layouts are converted on the way in and out (cuDNN's nchwToNhwc)."""
    converted = (work.role != MATMUL) & on.matrix & ~on.channels_last
    passes = np.where(on.style == EAGER, p["layout_passes"], p["compiled_layout_passes"])
    return np.where(converted, passes * work.moved / (on.bandwidth * p["copy_bandwidth"]), 0.0)


def _direct_seconds(work: Products, on: Machine, p: Parameters) -> Floats:
    """Convolutions without a matrix engine: little reuse, so memory and element-wise arithmetic bound them."""
    forward = work.role == FORWARD
    bandwidth = on.bandwidth * np.where(forward, p["depthwise_bandwidth"], p["depthwise_backward_bandwidth"])
    arithmetic = on.vector_peak * np.where(forward, p["depthwise_share"], p["depthwise_backward_share"])
    general = np.where(np.isin(work.kernel, SPECIALISED_KERNELS), 1.0, p["depthwise_general_kernel"])
    layout = np.where(on.channels_last, p["depthwise_channels_last"], 1.0)
    seconds: Floats = work.moved / (bandwidth * layout) + work.flops / (arithmetic * layout * general)
    return seconds


def kernel_seconds(work: Kernels, on: Machine, p: Parameters) -> tuple[Floats, Floats]:
    """Return (seconds, seconds of memory traffic alone) of fused attention and other kernels bound by their FLOPs."""
    share = np.where(work.backward, p["attention_backward"], p["attention_forward"])
    share = np.where(work.attention, share, np.where(work.plain, 1.0, p["other_kernels"]))
    idle = np.maximum(1.0, on.units / work.blocks)
    memory = work.moved / (on.bandwidth * p["product_bandwidth"])
    return work.flops * _padded_heads(work, on) * idle / (sustained_rate(on, p) * share) + memory, memory


def _padded_heads(work: Kernels, on: Machine) -> Floats:
    """Work of attention with its heads padded to a systolic matrix unit, over that without.

    Both products of attention have the features of a head on a side of the unit: heads of 128 fill half of one of 256.
    """
    padded = np.ceil(work.depth / on.array_side) * on.array_side / work.depth
    return np.where((on.array_side > 1) & (work.depth > 0), padded, 1.0)


assert (MATMUL, FORWARD, DATA, WEIGHT) == (0, 1, 2, 3)
