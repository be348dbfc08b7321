"""The benchmark on this machine, with little time: that it runs, is right where it can be known, and can be stopped."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from click.testing import CliRunner

from estimator.cli import benchmark_run, main
from estimator.cli.benchmark_step import step_check
from estimator.cli.model_options import ModelQuestion, find_profile
from estimator.cli.output import Output
from hardware_db import load
from hardware_db.errors import ModelError, UsageError
from profiles.benchmark.cases import Lab
from profiles.benchmark.costs import PRODUCT_AMOUNTS
from profiles.benchmark.library import profiles_of, usable
from profiles.benchmark.observed import operations_of
from profiles.benchmark.session import Plan, measure
from profiles.benchmark.steps import real_step, step_case
from profiles.benchmark.target import targets
from profiles.machine_profile import FittedFigure, MachineProfile, Timing
from profiles.models import resolve
from profiles.trace.settings import StepSettings

SETTINGS = StepSettings("train", "float32", "adamw", "cpu")


@pytest.fixture(scope="module")
def target():
    return targets("cpu", torch, load())[0]


@pytest.fixture(scope="module")
def measured(target):
    seen = []
    return measure(target, Plan(budget_s=4.0, precisions=("float32",)), seen.append), seen


def test_rates_are_those_of_a_computer(measured):
    profile, _ = measured
    assert 1e9 < profile.figure("sustained.matmul.float32") < 1e14
    assert profile.complete
    product = profile.timings[0]
    assert product.name == "matmul float32 1024x1024x1024 nn"
    assert product.flops == 2 * 1024**3
    assert product.moved_bytes == 3 * 4 * 1024**2
    assert all(0 < seconds <= wall * 1.01 for seconds, wall in zip(product.seconds, product.wall_seconds, strict=True))


def test_progress_counts_up_and_tells_the_latest(measured):
    profile, seen = measured
    assert [each.done for each in seen] == list(range(len(seen)))
    assert seen[0].latest is None
    assert seen[1].latest.name == profile.timings[0].name
    assert all(each.seconds_left >= 0 for each in seen)


def test_what_time_did_not_allow_is_said(measured):
    profile, seen = measured
    left_out = seen[0].total - len(profile.timings)
    said = f"time was up: {left_out} of {seen[0].total} cases were left out"
    assert any(note.startswith(said) for note in profile.notes) == (left_out > 0)
    assert profile.left_out == left_out


def test_a_processor_without_time_still_gets_its_costs(target):
    profile = measure(target, Plan(budget_s=0.01, precisions=("float32",)))
    assert usable(profile)
    assert {"launch.forward", "launch.backward", "launch.optimizer", "fresh.s_per_byte"} <= set(profile.values)
    (said,) = [note for note in profile.notes if note.startswith("time was up")]
    assert "convolution" in said and "matmul" not in said
    assert profile.complete and not profile.whole


def test_ctrl_c_keeps_what_was_measured(target):
    def interrupt(progress):
        if progress.done == 2:
            raise KeyboardInterrupt

    profile = measure(target, Plan(budget_s=4.0, precisions=("float32",)), interrupt)
    assert len(profile.timings) == 2
    assert not profile.complete
    assert any(note.startswith("interrupted after 2 of ") for note in profile.notes)


def test_ctrl_c_before_anything_was_measured_is_an_interruption(target):
    def interrupt(progress):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure(target, Plan(budget_s=4.0, precisions=("float32",)), interrupt)


def test_a_step_trains_the_model():
    step = real_step(resolve("lenet5"), resolve("lenet5").sizes(batch_size=4), SETTINGS, "cpu")
    before = [parameter.clone() for parameter in step.model.parameters()]
    step.run()
    assert all(not torch.equal(old, new) for old, new in zip(before, step.model.parameters(), strict=True))
    assert all(parameter.grad is None for parameter in step.model.parameters())


def test_a_settled_optimizer_has_no_moments_of_zero():
    step = real_step(resolve("lenet5"), resolve("lenet5").sizes(batch_size=2), SETTINGS, "cpu")
    step.settle()
    for state in step.optimizers[0].state.values():
        assert (state["exp_avg_sq"] > 0).all()


def test_models_with_two_optimizers_are_stepped_twice():
    definition = resolve("dcgan")
    step = real_step(definition, definition.sizes(batch_size=2), SETTINGS, "cpu")
    step.run()
    assert len(step.optimizers) == 2


def test_the_case_of_a_step_says_what_decides_its_time():
    definition = resolve("lenet5")
    case = step_case(definition, definition.sizes(batch_size=4), SETTINGS)
    assert case.name == "training step of lenet5 float32 adamw, 4 x 32"


@pytest.mark.parametrize(("model", "precision"), [("params=7B", "float32"), ("lenet5", "float8")])
def test_what_cannot_be_trained_is_said(model, precision):
    definition = resolve(model)
    with pytest.raises(UsageError):
        real_step(definition, definition.sizes(batch_size=1), StepSettings("train", precision, "adamw", "cpu"), "cpu")


def test_operations_below_a_call_are_described():
    one, other = torch.ones(8, 4), torch.ones(4, 2)
    (found,) = operations_of(lambda: one @ other, "float32")
    assert (found.operator, found.flops, dict(found.dims)["k"]) == ("aten.mm", 2 * 8 * 4 * 2, 4)


def test_data_are_random_and_lie_apart():
    lab = Lab(torch, "cpu")
    one, other = lab.random(1000), lab.random(1000)
    assert one.std() > 0.5
    assert not torch.equal(one, other)
    assert lab.random(10, precision="bfloat16").dtype == torch.bfloat16


def test_the_command_saves_a_profile_and_checks_against_it(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    file = tmp_path / "here.json"
    words = ["benchmark", "--device", "cpu", "--seconds", "1", "--precision", "float32"]
    first = CliRunner().invoke(main, [*words, "--model", "lenet5", "--batch-size", "2", "-o", str(file)])
    assert first.exit_code == 0
    assert "matmul float32" in first.stdout
    assert "Predicted" in first.stdout and "for the training step from all other cases" in first.stdout
    profile = MachineProfile.load(file)
    assert profile.timings[-1].name == "training step of lenet5 float32 adamw, 2 x 32"
    faster = json.loads(profile.to_json())
    for timing in faster["timings"]:
        timing["seconds"] = [seconds / 100 for seconds in timing["seconds"]]
    file.write_text(json.dumps(faster), encoding="utf-8")
    second = CliRunner().invoke(main, [*words, "--check", str(file), "--json"])
    assert second.exit_code == 1
    (result,) = json.loads(second.stdout)["results"]
    assert all(drift["ratio"] > 10 for drift in result["drifts"])
    assert result["timings"][0]["seconds"]


def test_a_step_is_held_against_what_the_other_cases_predict(capsys):
    figures = [FittedFigure(f"cost.matmul.{name}", 0.0, "s", 0.0, 9) for name in PRODUCT_AMOUNTS[1:]]
    figures += [FittedFigure(name, 1e-9, "s", 0.0, 9) for name in ("cost.matmul.flops", "launch.forward")]
    figures += [FittedFigure(f"cost.traffic.add.{name}_bytes", 0.0, "s", 0.0, 9) for name in ("cache", "memory")]
    figures += [FittedFigure(f"cache.{name}", 1.0, "", 0.0, 9) for name in ("near_share", "near_bytes", "far_bytes")]
    figures += [FittedFigure(f"launch.{name}", 0.0, "s", 0.0, 9) for name in ("backward", "optimizer")]
    target = targets("cpu", torch, load())[0]
    step = Timing("training step of mnist-mlp", "training step", "float32", (0.5,))
    found = MachineProfile(target.machine, "2026-11-20T10:00:00+00:00", "quick", (step,), tuple(figures))
    question = ModelQuestion("mnist-mlp", batch_size=64)
    check = step_check(found, question, target, Output())
    flops = find_profile(replace(question, device="cpu", precision="float32"), Output()).matmul_flops.total
    assert check.predicted_s == pytest.approx(flops * 1e-9, rel=0.2) and check.measured_s == 0.5
    assert check.predicted_s_low < check.predicted_s < check.predicted_s_high and check.basis == "measured"
    assert check.error == pytest.approx(check.predicted_s / 0.5 - 1)
    assert step_check(replace(found, figures=()), question, target, Output()) is None, "nothing was measured"
    assert "The training step is not predicted: Too little" in capsys.readouterr().err
    assert step_check(found, question, replace(target, device=None), Output()) is None
    assert "not in the hardware database" in capsys.readouterr().err


def test_ctrl_c_within_the_step_of_a_model_keeps_the_benchmark(tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setattr(benchmark_run, "_step", interrupt)
    words = ["benchmark", "--device", "cpu", "--seconds", "1", "--precision", "float32", "--model", "lenet5"]
    stopped = CliRunner().invoke(main, words)
    assert stopped.exit_code == 130
    assert "matmul float32" in stopped.stdout
    assert [each.complete for each in profiles_of()][:1] == [True]


def test_the_memory_of_a_step_is_measured():
    words = ["benchmark", "--device", "cpu", "--memory", "mnist-mlp", "--batch-size", "8", "--json"]
    found = CliRunner().invoke(main, words)
    assert found.exit_code == 0
    (result,) = json.loads(found.stdout)["results"]
    assert result["measured_bytes"] == pytest.approx(result["predicted_bytes"], rel=0.01)


def test_collectives_over_two_processes(tmp_path):
    file = tmp_path / "pair.json"
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    words = ["-m", "profiles.benchmark.collectives", "--seconds", "0.5", "-o", str(file)]
    done = subprocess.run([*start, *words], capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    profile = MachineProfile.load(file)
    assert {timing.processes for timing in profile.timings} == {2}
    biggest = next(timing for timing in profile.timings if timing.name == "all-reduce of 16777216 bytes over 2")
    assert biggest.moved_bytes == 16777216
    assert 0 < profile.figure("collective.all_reduce.latency") < 1
    assert 1e6 < profile.figure("collective.all_reduce.bus_bandwidth") < 1e12
    assert done.stdout.count("all-reduce") == 4


def test_collectives_need_company():
    done = subprocess.run(
        [sys.executable, "-m", "profiles.benchmark.collectives"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2
    assert "collectives need 2 processes or more" in done.stderr


def test_the_resident_set_is_measured_and_predicted_with_a_range():
    words = ["benchmark", "--device", "cpu", "--memory", "mnist-mlp", "--batch-size", "8"]
    found = CliRunner().invoke(main, [*words, "--precision", "amp_bfloat16", "--json"])
    assert found.exit_code == 0
    (result,) = json.loads(found.stdout)["results"]
    assert result["precision"] == "amp_bfloat16"
    assert result["measured_bytes"] < result["held_bytes"]
    assert result["predicted_held_bytes_low"] < result["predicted_held_bytes"] < result["predicted_held_bytes_high"]
    shown = CliRunner().invoke(main, words).stdout
    assert "of tensors at the peak" in shown and "resident set of the process" in shown


def test_several_optimizers_are_measured_in_their_own_loop():
    words = ["benchmark", "--device", "cpu", "--memory", "dcgan", "--batch-size", "2", "--json"]
    (result,) = json.loads(CliRunner().invoke(main, words).stdout)["results"]
    assert result["measured_bytes"] == pytest.approx(result["predicted_bytes"], rel=0.01)


def test_a_step_that_runs_backward_itself_is_refused(tmp_path):
    (tmp_path / "whole.py").write_text(
        "import torch\n\ndef model():\n    step = lambda model, x: model(x).sum().backward()\n"
        "    return torch.nn.Linear(4, 4), torch.ones(2, 4), step\n"
    )
    definition = resolve("whole.py:model", base=tmp_path)
    step = real_step(definition, definition.sizes(), SETTINGS, "cpu")
    with pytest.raises(ModelError, match="can be profiled, not timed"):
        step.run()
