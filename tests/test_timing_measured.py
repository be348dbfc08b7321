"""What was benchmarked takes the place of what was fitted: on that device, in part on its siblings, on no other."""

import dataclasses

import numpy as np
import pytest
from hand_made import profile

from estimator import TrainingRun, estimate, estimate_all
from estimator.timing import (
    TimeSettings,
    as_benchmarked,
    cores_said,
    correction_of,
    ground_of,
    predict,
    streaming,
    sustained_flops_per_s,
)
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
    assert timed.any() and not timed.all()
    assert found.device_s[1][timed] == pytest.approx((rows.total * table.count)[timed])
    assert (found.device_s[1] > 0).all()


PRODUCTS = {"flops": 1e-11, "left_elements": 0.0, "right_elements": 0.0, "result_elements": 0.0, "matrices": 0.0}


def test_a_time_counts_as_measured_where_nearly_all_of_it_was(benchmarked):
    chip = load().device("epyc-9654")
    table = profile(precision="float32").table(8, 16)
    products = {f"cost.matmul.{name}": value for name, value in PRODUCTS.items()}
    benchmarked(benchmark(chip.id, "cpu", COSTS, units=chip.compute_units))
    guessed = predict(table, chip, TimeSettings())
    benchmarked(benchmark(chip.id, "cpu", COSTS | products, units=chip.compute_units))
    found = predict(table, chip, TimeSettings())
    assert np.isfinite(seconds_by_row(table, COSTS | products).total).all()
    assert (guessed.basis, found.basis) == ("datasheet", "measured")
    widths = [each.device_s[2] / each.device_s[0] for each in (guessed, found)]
    assert (widths[0] > widths[1]).all()


def test_a_compiled_step_takes_the_share_of_an_eager_one_that_the_formulas_say(benchmarked):
    chip = load().device("epyc-9654")
    table = profile(precision="float32").table(8, 16)
    plain, compiled = (predict(table, chip, TimeSettings(each)).device_s[1] for each in ("eager", "inductor"))
    benchmarked(benchmark(chip.id, "cpu", COSTS, units=chip.compute_units))
    timed = np.isfinite(seconds_by_row(table, COSTS).total)
    eager, fused = (predict(table, chip, TimeSettings(each)).device_s[1] for each in ("eager", "inductor"))
    assert (fused / eager)[timed] == pytest.approx((compiled / plain)[timed])


def test_profiles_of_one_machine_complete_each_other(benchmarked):
    chip = load().device("epyc-9654")
    slow, fast = {f"cost.matmul.{name}": value for name, value in PRODUCTS.items()}, {"cost.matmul.flops": 1e-12}
    whole, part = benchmark(chip.id, "cpu", COSTS), benchmark(chip.id, "cpu", fast | {"launch.forward": 9e-6})
    table = profile(precision="float32").table(8, 16)
    benchmarked(whole)
    before = correction_of(chip).measured.figures
    benchmarked(part, benchmark(chip.id, "cpu", COSTS | slow))
    figures = correction_of(chip).measured.figures
    assert figures == before | fast | {"launch.forward": 9e-6}, "a class is never put together from two benchmarks"
    benchmarked(whole, part)
    assert correction_of(chip).measured.figures == COSTS | fast
    assert predict(table, chip, TimeSettings()).device_s.shape[1] == len(table)


def test_an_own_benchmark_says_which_part_of_a_processor_the_machine_has(benchmarked, monkeypatch):
    chip = load().device("epyc-9654")
    mine = benchmark(chip.id, "cpu", COSTS, units=4)
    machine = dataclasses.replace(mine.machine, memory_bytes=16 << 30, threads=8)
    mine = dataclasses.replace(mine, machine=machine)
    benchmarked(mine)
    part = as_benchmarked(chip)
    assert (part.compute_units, part.memory_bytes) == (4, 16 << 30)
    assert part.peak_flops_per_s("float32") == pytest.approx(chip.peak_flops_per_s("float32") * 4 / 96)
    assert cores_said(part) == "4 of 96 cores" and cores_said(chip) == ""
    assert "flopcast benchmark of epyc-9654, 4 of 96 cores, 2026-11-20" in ground_of(part)
    rented = chip.fraction(0.5)
    assert as_benchmarked(rented) is rented, "what is rented is another machine"
    other = load().device("epyc-7763")
    assert as_benchmarked(other) is other
    monkeypatch.setattr(module, "recorded_profiles", lambda: (mine,))
    forget_measured()
    assert as_benchmarked(chip) is chip, "what others measured says nothing of the user's machine"


def test_an_estimate_of_a_benchmarked_processor_is_of_the_users_machine(benchmarked):
    chip = load().device("xeon-platinum-8259cl")
    run = TrainingRun(profile(precision="float32"), samples=1000, global_batch_size=8)
    whole = estimate(run, chip.id)
    mine = benchmark(chip.id, "cpu", COSTS, units=2)
    benchmarked(dataclasses.replace(mine, machine=dataclasses.replace(mine.machine, memory_bytes=16 << 30)))
    found = estimate_all(run, devices=chip.id)
    assert (found[0].memory_bytes, found[0].device.compute_units) == (16 << 30, 2)
    assert found[0].step_time_s > whole.step_time_s
    assert "xeon-platinum-8259cl: the 2 of 24 cores that were benchmarked" in found.assumptions
    assert estimate(run, chip.id).step_time_s == found[0].step_time_s


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


def test_of_several_parts_of_a_processor_the_one_nearest_in_cores_is_used(benchmarked):
    chip = load().device("epyc-9654")
    one, four = ({**COSTS, "launch.forward": seconds} for seconds in (1e-6, 4e-6))
    parts = [benchmark(chip.id, "cpu", each, units=units) for each, units in ((one, 1), (four, 4))]
    parts = [
        dataclasses.replace(each, machine=dataclasses.replace(each.machine, threads=each.machine.units))
        for each in parts
    ]
    for order in (parts, parts[::-1]):
        benchmarked(*order)
        used = {
            cores: correction_of(chip.fraction(cores / 96)).measured.figures["launch.forward"]
            for cores in (1, 2, 4, 96)
        }
        assert used[1] == 1e-6 and used[4] == used[96] == 4e-6
        assert as_benchmarked(chip).compute_units == 4, "the machine has as many as the larger benchmark used"
