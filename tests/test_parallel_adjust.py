"""Factors of software on the parts of a step: they touch what they name, and nothing where nothing was measured."""

import numpy as np
import pytest

import hardware_db
from estimator.parallel.adjust import Adjustment, adjustment_of, chip_correction, range_of
from estimator.parallel.stack import MEGATRON, STACKS, TORCH, XLA
from estimator.parallel.values import triple
from profiles.library import Question, find

DATABASE = hardware_db.load()


def test_software_that_was_not_measured_keeps_the_formulas():
    assert adjustment_of("PyTorch", DATABASE.device("h100-sxm")) == Adjustment()
    assert (range_of(TORCH, "gpu", triple(1.0, 2.0, 4.0)) == [1.0, 2.0, 4.0]).all()


def test_factors_of_an_architecture_take_the_place_of_general_ones():
    general, hopper = (adjustment_of("PyTorch FSDP", DATABASE.device(name)) for name in ("a100-sxm-80gb", "h100-sxm"))
    assert hopper.products > general.products
    assert hopper.traffic == general.traffic


@pytest.mark.parametrize("stack", ["Megatron", "PyTorch FSDP", "XLA"])
def test_every_measured_software_is_one_that_runs(stack):
    assert stack.casefold() in STACKS and adjustment_of(stack, DATABASE.device("h100-sxm")) != Adjustment()


def test_a_compiler_for_another_kind_of_device_is_another_program():
    gpu, tpu, cpu = (adjustment_of("XLA", DATABASE.device(name)) for name in ("h100-sxm", "tpu-v5p", "epyc-9654"))
    assert tpu.products != gpu.products
    assert cpu == gpu
    assert (range_of(XLA, "tpu", triple(1.0, 1.0, 1.0)) != range_of(XLA, "gpu", triple(1.0, 1.0, 1.0))).any()


def test_each_factor_falls_on_its_own_operations():
    table = find(Question("llama-3.1-8b", "train", "amp_bfloat16", "adamw", "cuda"), 1, 1024).table()
    factors = Adjustment(products=2.0, attention_backward=3.0, traffic=5.0).of_operations(table)
    matrix, attention = table.engine.mask("matrix"), table.family.mask("attention")
    backward, optimizer = table.phase.mask("backward"), table.phase.mask("optimizer")
    assert set(factors[matrix & ~attention]) == {2.0}
    assert set(factors[matrix & attention & backward]) == {3.0}
    assert set(factors[matrix & attention & ~backward]) == {1.0}
    assert set(factors[~matrix & ~optimizer]) == {5.0}
    assert set(factors[optimizer]) == {1.0}


def test_one_chip_with_two_memories_computes_alike():
    small, large = (chip_correction(DATABASE.device(f"a100-sxm-{size}gb")) for size in (40, 80))
    assert small == large and small.basis == "calibrated"


def test_the_range_of_a_measured_software_is_what_published_steps_showed():
    low, mid, high = range_of(MEGATRON, "gpu", triple(0.1, 2.0, 100.0))
    assert mid == 2.0 and 1.5 < low < mid < high < 2.7
    assert np.isfinite([low, high]).all()
