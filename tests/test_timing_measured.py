"""What was benchmarked takes the place of what was fitted: on that device, in part on its siblings, on no other."""

import dataclasses

import numpy as np
import pytest
from hand_made import profile

from estimator.timing import TimeSettings, correction_of, ground_of, predict, streaming, sustained_flops_per_s
from estimator.timing import measured as module
from estimator.timing.corrections import forget_measured
from hardware_db import load
from profiles.benchmark.costs import seconds_by_row
from profiles.machine_profile import FittedFigure, Machine, MachineProfile, Timing

COSTS = {
    "cache.near_share": 0.5,
    "cache.near_bytes": 1e6,
    "cache.far_bytes": 1e8,
    "launch.forward": 4e-6,
    "launch.backward": 3e-6,
    "launch.optimizer": 5e-6,
    "cost.traffic.add.cache_bytes": 1e-11,
    "cost.traffic.add.memory_bytes": 1e-10,
}


def benchmark(device, kind, figures, units=None):
    return MachineProfile(
        machine=Machine(device, device, kind, units=units),
        recorded_at="2026-11-20T10:00:00+00:00",
        mode="quick",
        timings=(Timing("one", "matmul", "float32", (1.0,)),),
        figures=tuple(FittedFigure(name, value, "", 0.0, 1) for name, value in figures.items()),
    )


@pytest.fixture
def benchmarked(monkeypatch):
    def use(*profiles):
        monkeypatch.setattr(module, "profiles_of", lambda: profiles)
        forget_measured()

    yield use
    monkeypatch.undo()
    forget_measured()


@pytest.fixture
def a100(benchmarked):
    figures = {"sustained.matmul.bfloat16": 200e12, "sustained.matmul.float32": 15e12, "bandwidth.elementwise": 1e12}
    benchmarked(benchmark("a100-sxm-80gb", "gpu", {**figures, "launch.module": 5e-6}))
    return load().device("a100-sxm-80gb")


def test_a_gpu_reaches_what_was_measured(a100):
    assert correction_of(a100).basis == "measured"
    assert sustained_flops_per_s(a100, "bfloat16") == pytest.approx(200e12)
    assert sustained_flops_per_s(a100, "float32") == pytest.approx(15e12)
    assert 1e9 / streaming(1e9, a100).mid == pytest.approx(1e12)
    assert "flopcast benchmark of a100-sxm-80gb, 2026-11-20" in ground_of(a100)


def test_launches_of_the_host_are_those_measured(a100, benchmarked):
    table = profile().table(8, 16)
    fast = predict(table, a100, TimeSettings())
    benchmarked(benchmark("a100-sxm-80gb", "gpu", {"launch.module": 1e-5}))
    assert predict(table, a100, TimeSettings()).host_s[1] == pytest.approx(2 * fast.host_s[1])


@pytest.mark.usefixtures("a100")
def test_a_sibling_takes_it_where_nothing_was_published_of_it():
    hardware = load()
    assert correction_of(hardware.device("a100-pcie-80gb")).basis == "sibling"
    assert correction_of(hardware.device("a100-pcie-80gb")).measured is not None
    assert correction_of(hardware.device("a100-pcie-40gb")).basis == "calibrated"
    assert correction_of(hardware.device("rtx-3080-ti")).measured is None


def test_a_cpu_is_priced_by_its_costs(benchmarked):
    chip = load().device("epyc-9654")
    benchmarked(benchmark(chip.id, "cpu", COSTS, units=chip.compute_units))
    table = profile(precision="float32").table(8, 16)
    found = predict(table, chip, TimeSettings())
    rows = seconds_by_row(table, COSTS)
    timed = np.isfinite(rows.total)
    assert timed.any() and not timed.all() and found.basis == "measured"
    assert found.device_s[1][timed] == pytest.approx((rows.total * table.count)[timed])
    assert (found.device_s[1] > 0).all()


def test_more_cores_compute_faster_than_the_part_that_was_measured(benchmarked):
    chip = load().device("epyc-9654")
    table = profile(precision="float32").table(8, 16)
    times = []
    for units in (chip.compute_units, chip.compute_units / 2):
        benchmarked(benchmark(chip.id, "cpu", COSTS, units=units))
        times.append(predict(table, chip, TimeSettings()).device_s[1])
    assert (times[1] <= times[0]).all() and (times[1] < times[0]).any()


def test_a_benchmark_that_was_stopped_too_early_is_not_used(benchmarked):
    chip = load().device("epyc-9654")
    benchmarked(benchmark(chip.id, "cpu", {"launch.forward": 1e-6}))
    assert correction_of(chip).basis != "measured"


def test_a_device_that_is_not_in_the_database_speaks_for_none(benchmarked):
    unknown = benchmark("epyc-9654", "cpu", COSTS)
    benchmarked(dataclasses.replace(unknown, machine=dataclasses.replace(unknown.machine, device=None)))
    assert correction_of(load().device("epyc-9654")).basis != "measured"
