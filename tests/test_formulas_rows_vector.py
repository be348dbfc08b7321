"""Vector work: FLOPs of calls with odd sizes, written out as the operations of each formula."""

from __future__ import annotations

from formula_calls import spec
from formula_rows import Row, rows

X, ROW, N = spec(6, 10), spec(10), 60
IMAGE, CHANNELS, PIXELS = spec(2, 3, 5, 7), spec(3), 2 * 3 * 5 * 7
TRAINING, FIXED = (None, None, True, 0.1, 1e-5), (None, None, False, 0.1, 1e-5)
STATS = (CHANNELS, CHANNELS)


def batch_norm_backward(update: bool, mask: tuple[bool, bool, bool], per_element: int) -> Row:
    args = (IMAGE, IMAGE, CHANNELS, *STATS, *STATS, update, 1e-5, mask, spec(0))
    return Row("aten.native_batch_norm_backward", args, (IMAGE,), per_element * PIXELS)


def group_norm_backward(weight: object, mask: tuple[bool, bool, bool], per_element: int) -> Row:
    args = (IMAGE, IMAGE, spec(2, 1), spec(2, 1), weight, 2, 3, 35, 1, mask)
    return Row("aten.native_group_norm_backward", args, (IMAGE,), per_element * PIXELS)


def rms_backward(weight: object, mask: tuple[bool, bool], per_element: int) -> Row:
    return Row("aten._fused_rms_norm_backward", (X, X, (10,), spec(6, 1), weight, mask), (X,), per_element * N)


@rows(
    # mean, subtract, square, sum, scale: 5; weight and bias one each
    Row("aten.layer_norm", (X, (10,), ROW, ROW), X, 7 * N),
    Row("aten.layer_norm", (X, (10,), ROW, None), X, 6 * N),
    Row("aten.layer_norm", (X, (10,), None, ROW), X, 6 * N),
    Row("aten.native_layer_norm", (X, (10,), None, ROW, 1e-5), (X,), 6 * N),
    Row("aten.group_norm", (IMAGE, 1, CHANNELS, CHANNELS), IMAGE, 7 * PIXELS),
    Row("aten.group_norm", (IMAGE, 1, None, CHANNELS), IMAGE, 6 * PIXELS),
    Row("aten.native_group_norm", (IMAGE, CHANNELS, None, 2, 3, 35, 1, 1e-5), (IMAGE,), 6 * PIXELS),
    Row("aten.native_group_norm", (IMAGE, None, CHANNELS, 2, 3, 35, 1, 1e-5), (IMAGE,), 6 * PIXELS),
    Row("aten.native_group_norm", (IMAGE, None, None, 2, 3, 35, 1, 1e-5), (IMAGE,), 5 * PIXELS),
    group_norm_backward(CHANNELS, (True, True, True), 10 + 2 + 1),
    group_norm_backward(None, (True, False, True), 9 + 1),
    group_norm_backward(CHANNELS, (False, True, False), 2 + 2),
    Row("aten.native_layer_norm_backward",
        (X, X, (10,), spec(6, 1), spec(6, 1), None, None, (True, False, False)), (X,), 9 * N),
    Row("aten.native_layer_norm_backward",
        (X, X, (10,), spec(6, 1), spec(6, 1), ROW, None, (True, False, False)), (X,), 10 * N),
    Row("aten.native_batch_norm", (IMAGE, None, None, CHANNELS, None, True, 0.1, 1e-5), (IMAGE,), 5 * PIXELS),
    Row("aten.rms_norm", (X, (10,)), X, 3 * N),
    Row("aten.rms_norm", (X, (10,), ROW), X, 4 * N),
    rms_backward(ROW, (True, False), 6 + 1),
    rms_backward(None, (True, True), 6 + 2),
    rms_backward(ROW, (False, True), 2 + 1),
    # in training also the statistics: mean, subtract, square, sum; all write their running ones but the functional
    *(Row(f"aten.{name}", (IMAGE, CHANNELS, CHANNELS, *STATS, True, 0.1, 1e-5), (IMAGE,), 7 * PIXELS,
          written=4 * (PIXELS + running))
      for name, running in (("_native_batch_norm_legit", 6), ("_native_batch_norm_legit_functional", 0),
                            ("cudnn_batch_norm", 6), ("miopen_batch_norm", 6), ("batch_norm", 6),
                            ("_batch_norm_impl_index", 6), ("instance_norm", 6), ("native_batch_norm", 6))),
    *(Row(f"aten.{name}", (IMAGE, None, None, *FIXED), (IMAGE,), 2 * PIXELS, written=4 * PIXELS)
      for name in ("_native_batch_norm_legit", "_native_batch_norm_legit_functional", "cudnn_batch_norm",
                   "miopen_batch_norm", "batch_norm", "_batch_norm_impl_index", "instance_norm")),
    Row("aten.native_batch_norm", (IMAGE, None, CHANNELS, CHANNELS, None, True, 0.1, 1e-5), (IMAGE,), 6 * PIXELS,
        written=4 * (PIXELS + 3)),
    Row("aten.native_batch_norm", (IMAGE, None, None, None, CHANNELS, True, 0.1, 1e-5), (IMAGE,), 5 * PIXELS,
        written=4 * (PIXELS + 3)),
    Row("aten._native_batch_norm_legit", (IMAGE, CHANNELS, None, True, 0.1, 1e-5), (IMAGE,), 6 * PIXELS,
        written=4 * PIXELS, overload="no_stats"),
    Row("aten._native_batch_norm_legit", (IMAGE, CHANNELS, None, False, 0.1, 1e-5), (IMAGE,), 3 * PIXELS,
        overload="no_stats"),
    Row("aten._native_batch_norm_legit_no_training", (IMAGE, CHANNELS, CHANNELS, *STATS, 0.1, 1e-5), (IMAGE,),
        4 * PIXELS, written=4 * PIXELS),
    Row("aten._batch_norm_with_update", (IMAGE, CHANNELS, CHANNELS, *STATS, 0.1, 1e-5), (IMAGE,), 7 * PIXELS,
        written=4 * (PIXELS + 6)),
    Row("aten._batch_norm_with_update_functional", (IMAGE, CHANNELS, CHANNELS, *STATS, 0.1, 1e-5), (IMAGE,),
        7 * PIXELS, written=4 * PIXELS),
    batch_norm_backward(True, (True, True, True), 9),
    batch_norm_backward(True, (False, True, True), 4 + 1),
    batch_norm_backward(False, (True, False, False), 1),
    batch_norm_backward(False, (True, True, True), 1 + 4 + 1),
    Row("aten.cudnn_batch_norm_backward", (IMAGE, IMAGE, CHANNELS, *STATS, *STATS, 1e-5, spec(0)), (IMAGE,),
        9 * PIXELS),
    *(Row(f"aten.{name}", (IMAGE, CHANNELS), (IMAGE,), per_element * PIXELS)
      for name, per_element in {
          "batch_norm_stats": 1 + 1 + 2, "batch_norm_elemt": 1 + 1 + 1 + 1, "batch_norm_backward_reduce": 1 + 1 + 1 + 2,
          "batch_norm_backward_elemt": 5, "batch_norm_gather_stats": 4, "batch_norm_gather_stats_with_counts": 4,
          "batch_norm_update_stats": 1 + 1 + 2, "_weight_norm_interface": 1 + 1 + 1, "_weight_norm": 1 + 1 + 1,
          "_weight_norm_interface_backward": 2 + 4, "_weight_norm_differentiable_backward": 2 + 4,
          "norm_except_dim": 1 + 1, "renorm": 1 + 1 + 1}.items()),
)  # fmt: skip
def test_norms(row):
    row.check()


TARGET = spec(6, dtype="int64")
STEP = 2 + 3 + 3 + 2 + 1 + 1
"""CTC: maxima, subtractions, exponentials, sums, a logarithm over three neighbours, and the emission."""


@rows(
    *(Row(f"aten.{name}", (X, X), X, per_element * N)
      for name, per_element in {
          "mse_loss": 2, "l1_loss": 2, "smooth_l1_loss": 6, "huber_loss": 6, "binary_cross_entropy": 8,
          "binary_cross_entropy_with_logits": 8, "soft_margin_loss": 4, "kl_div": 4, "multi_margin_loss": 4,
          "multilabel_margin_loss": 4, "multilabel_margin_loss_forward": 4}.items()),
    Row("aten.l1_loss", (X, X), spec(), 3 * N),
    Row("aten.multi_margin_loss", (X, TARGET), spec(), (4 + 1) * N),  # the target has one class for ten scores
    *(Row(f"aten.{name}", (spec(), X, X, 1), X, per_element * N)
      for name, per_element in {
          "mse_loss_backward": 3, "smooth_l1_loss_backward": 5, "huber_loss_backward": 5,
          "binary_cross_entropy_backward": 5, "soft_margin_loss_backward": 6, "multi_margin_loss_backward": 4,
          "multilabel_margin_loss_backward": 4}.items()),
    Row("aten.nll_loss", (X, TARGET, ROW, 1, -100), spec(), 2 * 6, read=4 * 6 + 8 * 6 + 4 * 10, written=4),
    Row("aten.nll_loss_backward", (spec(), X, TARGET, ROW, 1, -100, spec()), X, 2 * 6, read=4 + 48 + 40 + 4),
    Row("aten.cross_entropy_loss", (X, TARGET), spec(), 5 * N + 2 * 6),
    Row("aten._ctc_loss", (spec(20, 2, 9), spec(2, 4)), (spec(2), spec(2, 20, 9)), STEP * 2 * 20 * 9),
    # forward and backward variables, five for the gradient of a state, three to put a score together
    Row("aten._cudnn_ctc_loss", (spec(20, 2, 11), spec(2, 4)), (spec(2), spec(20, 2, 11)),
        (2 * STEP + 5) * 20 * 2 * 9 + 3 * 20 * 2 * 11),
    Row("aten.miopen_ctc_loss", (spec(20, 2, 11), spec(8)), (spec(2), spec(20, 2, 11)),
        (2 * STEP + 5) * 20 * 2 * 9 + 3 * 20 * 2 * 11),
    Row("aten._cudnn_ctc_loss", (spec(20, 1, 11), spec(4)), (spec(1), spec(20, 1, 11)),
        (2 * STEP + 5) * 20 * 9 + 3 * 20 * 11),
    Row("aten._ctc_loss_backward",
        (spec(2), spec(20, 2, 11), spec(2, 4), (20, 20), (4, 4), spec(2), spec(2, 20, 9), 0), spec(20, 2, 11),
        (STEP + 5) * 360 + 3 * 440),
)  # fmt: skip
def test_losses(row):
    row.check()


BIG, SMALL = spec(2, 3, 9, 10), spec(2, 3, 4, 5)
GRID = spec(2, 4, 5, 2)
VOLUME, CELLS = spec(2, 3, 4, 5, 6), 2 * 3 * 4 * 5 * 6


def antialiased(name: str, tall: int, wide: int) -> tuple[Row, Row]:
    """9 x 10 to 4 x 5: first 9 rows of 5 with `wide` taps, then 4 of 5 with `tall` taps; two FLOPs a tap."""
    flops = 2 * 6 * (9 * 5 * wide + 4 * 5 * tall)
    back = (SMALL, (4, 5), (2, 3, 9, 10), False)
    return (Row(f"aten._upsample_{name}2d_aa", (BIG, (4, 5), False), SMALL, flops),
            Row(f"aten._upsample_{name}2d_aa_backward", back, BIG, flops))  # fmt: skip


@rows(
    Row("aten.upsample_linear1d", (spec(2, 3, 5), (11,), False), spec(2, 3, 11), 3 * 66),
    Row("aten.upsample_trilinear3d", (spec(2, 3, 2, 2, 2), (4, 5, 6), False), VOLUME, 15 * CELLS),
    Row("aten.upsample_linear1d_backward", (spec(2, 3, 11), (11,), (2, 3, 5), False), spec(2, 3, 5), 4 * 66),
    Row("aten.upsample_trilinear3d_backward", (VOLUME, (4, 5, 6), (2, 3, 2, 2, 2), False), spec(2, 3, 2, 2, 2),
        16 * CELLS),
    Row("aten.upsample_bicubic2d_backward", (BIG, (9, 10), (2, 3, 4, 5), False), SMALL, 32 * 540),
    *(Row(f"aten.{name}{dims}d{back}", (spec(*shape),), spec(*shape), 6 * 5**dims if back else 0)
      for name in ("upsample_nearest", "_upsample_nearest_exact") for back in ("", "_backward")
      for dims, shape in ((1, (2, 3, 5)), (2, (2, 3, 5, 5)), (3, (2, 3, 5, 5, 5)))),
    # half widths 1, 2 and 3 at scales of 9/4 and 2: twice 3 and 2, 5 and 4, 7 and 6 taps
    *antialiased("bilinear", 6, 4),
    *antialiased("bicubic", 10, 8),
    *antialiased("lanczos", 14, 12),
    Row("aten._upsample_bilinear2d_aa", (SMALL, (9, 10), False), BIG, 2 * 6 * (4 * 10 * 2 + 9 * 10 * 2)),
    *(Row("aten.grid_sampler", (BIG, GRID, mode, 0, False), SMALL, (2 * taps - 1) * 120)
      for mode, taps in ((0, 4), (1, 1), (2, 16))),
    *(Row("aten.grid_sampler_3d", (VOLUME, spec(2, 4, 5, 6, 3), mode, 0, False), VOLUME, (2 * taps - 1) * CELLS)
      for mode, taps in ((0, 8), (1, 1), (2, 64))),
    Row("aten.grid_sampler_2d", (BIG, GRID), SMALL, 7 * 120),
    Row("aten.cudnn_grid_sampler", (BIG, GRID), SMALL, 7 * 120),
    # for the image a multiplication and an addition a tap, for the grid as much for each of its dimensions
    Row("aten.grid_sampler_2d_backward", (SMALL, BIG, GRID, 0, 0, False, (True, True)), (BIG, GRID), 2 * 4 * 3 * 120),
    Row("aten.grid_sampler_2d_backward", (SMALL, BIG, GRID, 2, 0, False, (True, False)), (BIG,), 2 * 16 * 120),
    Row("aten.grid_sampler_2d_backward", (SMALL, BIG, GRID, 2, 0, False, (False, True)), (GRID,), 2 * 16 * 2 * 120),
    Row("aten.grid_sampler_3d_backward", (VOLUME, VOLUME, spec(2, 4, 5, 6, 3), 0, 0, False, (True, True)), (VOLUME,),
        2 * 8 * 4 * CELLS),
    Row("aten._grid_sampler_2d_cpu_fallback_backward", (SMALL, BIG, GRID, 0, 0, False), (BIG, GRID), 2 * 4 * 3 * 120),
    Row("aten.cudnn_grid_sampler_backward", (BIG, GRID, SMALL), (BIG, GRID), 2 * 4 * 3 * 120),
    Row("aten.affine_grid_generator", (spec(2, 2, 3), (2, 3, 4, 5), False), GRID, 2 * 3 * 80),
    Row("aten.affine_grid_generator", (spec(2, 3, 4), (2, 3, 4, 5, 6), False), spec(2, 4, 5, 6, 3), 2 * 4 * 720),
    Row("aten.affine_grid_generator_backward", (GRID, (2, 3, 4, 5), False), spec(2, 2, 3), 2 * 3 * 80),
)  # fmt: skip
def test_interpolation(row):
    row.check()


POOLED, PLACES = spec(2, 3, 4, 4), spec(2, 3, 4, 4, dtype="int64")


@rows(
    Row("aten.avg_pool1d", (spec(2, 3, 12), (5,), (5,)), spec(2, 3, 2), 5 * 12),
    Row("aten.max_pool1d", (spec(2, 3, 12), 3), spec(2, 3, 4), 3 * 24),
    Row("aten.max_pool2d", (IMAGE, (2, 5)), spec(2, 3, 2, 1), 10 * 12),
    Row("aten.avg_pool3d", (VOLUME, (2,)), spec(2, 3, 2, 2, 3), 8 * 72),
    Row("aten.max_pool3d_with_indices", (VOLUME, (2, 1, 3)), spec(2, 3, 2, 5, 2), 6 * 120),
    Row("aten.avg_pool2d_backward", (POOLED, IMAGE, (3,), (2,)), IMAGE, 9 * 96),
    Row("aten.avg_pool3d_backward", (spec(2, 3, 2, 2, 3), VOLUME, (2,), (2,)), VOLUME, 8 * 72),
    # windows of 5 to 3: 0-1, 1-3, 3-4: 2 + 3 + 2; of 7 to 2: 0-3, 3-6: 4 + 4
    Row("aten.adaptive_avg_pool1d", (spec(2, 3, 5), (3,)), spec(2, 3, 3), 6 * 7),
    Row("aten.adaptive_max_pool2d", (IMAGE, (3, 2)), spec(2, 3, 3, 2), 6 * 7 * 8),
    Row("aten._adaptive_avg_pool3d", (spec(2, 3, 5, 7, 5), (3, 2, 3)), spec(2, 3, 3, 2, 3), 6 * 7 * 8 * 7),
    Row("aten._adaptive_avg_pool2d_backward", (spec(2, 3, 3, 2), IMAGE), IMAGE, 6 * 7 * 8),
    Row("aten._adaptive_avg_pool3d_backward", (spec(2, 3, 3, 2, 3), spec(2, 3, 5, 7, 5)), spec(2, 3, 5, 7, 5),
        6 * 7 * 8 * 7),
    Row("aten.max_pool2d_with_indices_backward", (POOLED, IMAGE, (2, 2), (2, 2), (0, 0), (1, 1), False, PLACES), IMAGE,
        96, read=4 * 96 + 8 * 96, written=4 * PIXELS),
    Row("aten.max_pool2d_backward", (POOLED, IMAGE, (2, 2)), IMAGE, 96, read=4 * 96 + 4 * PIXELS),
    Row("aten.reflection_pad2d_backward", (spec(2, 3, 7, 9), IMAGE, (1, 1, 1, 1)), IMAGE, 0, read=4 * 6 * 63,
        written=4 * PIXELS),
    Row("aten.im2col", (IMAGE, (2, 2)), spec(2, 12, 24), 0, read=4 * PIXELS, written=4 * 576),
    Row("aten.col2im", (spec(2, 12, 24), (5, 7), (2, 2)), IMAGE, 576),
)  # fmt: skip
def test_pooling(row):
    row.check()


P, STATE, STEPS = (spec(5, 4), spec(7)), (spec(5, 4), spec(7)), (spec(), spec())
ADAM, SGD = {"weight_decay": 0.0, "amsgrad": False}, {"momentum": 0.9, "weight_decay": 0.0}
SUMS, HALF = (spec(5, 4), spec(7)), (spec(5, 4, dtype="bfloat16"), spec(7, dtype="bfloat16"))


@rows(
    Row("aten._fused_adam_", (P, P, STATE, STATE, (), STEPS), (), 13 * 27, named=ADAM),
    Row("aten._fused_adam_", (P, P, STATE, STATE, (), STEPS), (), 15 * 27, named={"weight_decay": 0.1}),
    Row("aten._fused_adamw_", (P, P, STATE, STATE, STATE, STEPS), (), 15 * 27, written=4 * 4 * 27,
        named={"weight_decay": 0.1, "amsgrad": True}),
    Row("aten._fused_adamw_", (P, P, STATE, STATE, (), STEPS), (), 14 * 27, written=4 * 4 * 27,  # also the gradients
        named=ADAM | {"grad_scale": spec()}),
    # what is written are the parameters, not the gradients, here of half the size
    Row("aten._fused_adam_", (P, HALF, STATE, STATE, (), STEPS), (), 13 * 27, written=4 * 3 * 27, named=ADAM),
    Row("aten._fused_sgd_", (P, HALF, SUMS), (), 4 * 27, written=4 * 2 * 27, named=SGD),
    Row("aten._fused_sgd_", (P, HALF, ()), (), 2 * 27, written=4 * 27),
    Row("aten._fused_sgd_", (P, HALF, ()), (), 3 * 27, written=(4 + 2) * 27, named={"grad_scale": spec()}),
    Row("aten._fused_adagrad_", (P, HALF, SUMS, STEPS), (), 7 * 27, written=4 * 2 * 27),
    Row("aten._fused_sgd_", (P, P, SUMS), (), 4 * 27, written=4 * 2 * 27, named=SGD),
    Row("aten._fused_sgd_", (P, P, SUMS), (), 5 * 27, named=SGD | {"dampening": 0.1}),
    Row("aten._fused_sgd_", (P, P, SUMS), (), 7 * 27, named=SGD | {"dampening": 0.1, "nesterov": True}),
    Row("aten._fused_sgd_", (P, P, SUMS), (), 2 * 27, named=SGD | {"is_first_step": True}),
    Row("aten._fused_sgd_", (P, P, ()), (), 4 * 27, written=4 * 27, named={"weight_decay": 0.1}),
    Row("aten._fused_sgd_", (P, P, ()), (), 2 * 27, written=4 * 27),
    Row("aten._fused_adagrad_", (P, P, SUMS, STEPS), (), 7 * 27, written=4 * 2 * 27),
    Row("aten._fused_adagrad_", (P, P, SUMS, STEPS), (), 9 * 27, named={"weight_decay": 0.1}),
    Row("aten._foreach_max", (P,), STEPS, 27),
    Row("aten._foreach_powsum", (P, 2), STEPS, 2 * 27),
    Row("aten._foreach_addcmul_", (P, P, P, 1), (), 2 * 27),
    Row("aten._foreach_addcmul_", (P, P, P, 0.5), (), 3 * 27),
    Row("aten._foreach_addcdiv_", (P, P, P), (), 3 * 27, named={"value": 0.5}),
    Row("aten._foreach_lerp_", (P, P, 0.1), (), 3 * 27),
    Row("aten._foreach_add_", (P, P), (), 2 * 27, named={"alpha": 0.5}),
    Row("aten._amp_foreach_non_finite_check_and_unscale_", (P, spec(), spec()), (), 2 * 27),
    Row("aten._amp_update_scale_", (spec(), spec(), spec()), spec(), 3),
)  # fmt: skip
def test_optimizers_and_lists(row):
    row.check()
