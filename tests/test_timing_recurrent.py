"""Recurrent layers: the input's product at once, one product a step that waits, as published measurements have it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from estimator.timing.machine import machine_of
from estimator.timing.parameters import parameters_of
from estimator.timing.products import product_seconds
from estimator.timing.recurrent import recurrent_seconds
from estimator.timing.work import MATMUL, Products, work_of
from hardware_db import load
from profiles import profile_model

V100 = load().device("v100-sxm2-16gb")
PARAMETERS = parameters_of("gpu")
# Seconds of forward passes of LSTM layers in float32 without the input's product: samples, features, seconds; 25 steps.
# baidu-research/DeepBench, results/train/DeepBench_NV_V100.xlsx (V100 of a DGX-1), read 2026-11-22.
DEEPBENCH = [
    (32, 512, 1.14e-3), (64, 512, 1.34e-3), (128, 512, 1.56e-3), (32, 1024, 1.98e-3), (64, 1024, 2.20e-3),
    (128, 1024, 3.25e-3), (64, 2048, 5.57e-3), (128, 2048, 9.29e-3), (128, 4096, 31.17e-3),
]  # fmt: skip


def table(samples, features, steps, mode="forward"):
    module = nn.LSTM(features, features, device="meta")
    sequence = torch.empty(steps, samples, features, device="meta", requires_grad=mode == "train")
    profile = profile_model(module, (sequence,), mode=mode, optimizer="sgd")
    return profile.table(profile.batch_size, profile.sequence_length)


def seconds(operations, alone=False):
    work = work_of(operations).recurrent
    if alone:
        work = replace(work, flops=2 * work.m * work.n * work.k * work.steps)
    return recurrent_seconds(work, machine_of(operations, V100, "eager", "contiguous").at(work.row), PARAMETERS)[0]


def product(operations, m, n, k, moved):
    rows = work_of(operations).recurrent.row
    one = np.ones(1)
    sizes = Products(rows, np.full(1, MATMUL), m * one, n * one, k * one, one, 0 * one, one, moved * one)
    return float(product_seconds(sizes, machine_of(operations, V100, "eager", "contiguous").at(rows), PARAMETERS)[0][0])


def test_a_layer_takes_its_inputs_product_once_and_a_product_a_step():
    operations = table(128, 1024, 25)
    moved = float(work_of(operations).recurrent.moved[0])
    once = product(operations, 25 * 128, 4 * 1024, 1024, moved)
    step = product(operations, 128, 4 * 1024, 1024, 4 * (1024 * 4096 + 128 * (1024 + 4096)))
    expected = once + 25 * (step + 2 * PARAMETERS["kernel_start_s"])
    assert seconds(operations) == pytest.approx([expected])


def test_gradients_of_weights_are_one_product_more_of_all_tokens():
    forward, backward = seconds(table(128, 1024, 25, "train"))
    once = product(table(128, 1024, 25), 25 * 128, 4 * 1024, 2 * 1024, 0.0)
    assert backward - forward == pytest.approx(once, rel=0.1)


def test_short_steps_take_as_long_with_few_samples():
    few, many = (seconds(table(samples, 256, 100))[0] for samples in (1, 16))
    assert few > 0.8 * many
    assert seconds(table(1, 256, 200))[0] == pytest.approx(2 * few, rel=0.1)


def test_published_layers_are_predicted():
    found = [seconds(table(samples, features, 25), alone=True)[0] for samples, features, _ in DEEPBENCH]
    errors = np.abs(np.array(found) / [measured for *_, measured in DEEPBENCH] - 1)
    assert np.median(errors) < 0.3 and errors.max() < 0.6
