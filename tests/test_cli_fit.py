"""`flopcast fit`: what the search finds reaches page, JSON, CSV and exit code, without torch and at once."""

import csv
import io
import json
import subprocess
import sys

import hand_made
import pytest
from click.testing import CliRunner

from estimator.cli import main
from estimator.fit import fit


@pytest.fixture(autouse=True)
def saved(tmp_path, monkeypatch):
    """A working directory with a saved profile and an empty cache."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    profile = hand_made.profile()
    profile.save(tmp_path / "ten.json")
    return profile


def run(*arguments: str, code: int = 0):
    result = CliRunner().invoke(main, ["fit", *arguments])
    assert result.exit_code == code, result.output
    return result


def test_the_figures_are_those_of_the_api(saved):
    (told,) = json.loads(run("ten.json", "--device", "l4", "--json").stdout)["results"]
    assert told == json.loads(json.dumps(fit(saved, "l4").to_dict()))


def test_the_rows_of_csv_are_the_ways(saved):
    rows = list(csv.DictReader(io.StringIO(run("ten.json", "--device", "l4", "--count", "2", "--csv").stdout)))
    assert [int(row["saved_bytes"]) for row in rows] == [way.saved_bytes for way in fit(saved, "l4", 2).ways]


def test_the_exit_code_says_whether_anything_fits():
    run("llama-3.1-8b", "--device", "l4")
    said = run("llama-3.1-405b", "--device", "l4", code=1).stdout
    assert "No way" in said and "flopcast plan" in said


def test_the_precision_is_the_best_that_the_device_has():
    """Volta multiplies in float16 but not in bfloat16 (NVIDIA V100 datasheet)."""
    for device, precision in (("l4", "amp_bfloat16"), ("v100-pcie-16gb", "amp_float16")):
        (told,) = json.loads(run("gpt2", "--device", device, "--json").stdout)["results"]
        assert told["precision"] == precision


def test_sizes_asked_for_are_those_answered():
    arguments = ("--micro-batch-size", "4", "--sequence-length", "512")
    (told,) = json.loads(run("gpt2", "--device", "l4", *arguments, "--json").stdout)["results"]
    assert (told["micro_batch_size"], told["sequence_length"]) == (4, 512)


@pytest.mark.parametrize(("name", "bytes_each"), [("adamw-8bit", 2 + 8 / 256), ("lion-8bit", 1 + 4 / 256)])
def test_an_optimizer_that_is_not_recorded_is_worked_out(saved, name, bytes_each):
    """A byte of each state, and a float32 scale for each block of 256 (Dettmers et al., 2022, section 2)."""
    (told,) = json.loads(run("ten.json", "--device", "l4", "--optimizer", name, "--json").stdout)["results"]
    assert told["optimizer"] == name and told["memory"]["optimizer"] == round(bytes_each * saved.parameters)
    assert not any("8-bit AdamW" in way["changes"] for way in told["ways"] if name == "adamw-8bit")


@pytest.mark.slow
def test_inputs_say_how_many_samples_a_device_takes(saved):
    (told,) = json.loads(run("imdb-lstm", "--device", "l4", "--input", "int64:48x80", "--json").stdout)["results"]
    assert told["micro_batch_size"] == 48


def test_an_optimizer_of_no_kind_is_refused():
    assert "lamb" in run("gpt2", "--device", "l4", "--optimizer", "lamb", code=2).stderr


def test_an_unknown_device_is_named():
    assert "Did you mean" in run("ten.json", "--device", "h100-sxn", code=2).stderr


@pytest.mark.parametrize("model, count", [("gpt2", "1"), ("llama-3.1-8b", "8")])
def test_a_recorded_profile_answers_without_torch(model, count):
    words = ["fit", model, "--device", "l4", "--count", count]
    asked = f"main({words}, standalone_mode=False)"
    code = f"import sys; from estimator.cli import main; {asked}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"


def test_a_processor_has_the_memory_that_is_said():
    """A catalogue's processor has none: it comes with its machine."""
    refused = run("gpt2", "--device", "epyc-9654", code=2)
    assert "--memory 64GB" in refused.stderr
    (told,) = json.loads(run("ten.json", "--device", "epyc-9654", "--memory", "2GB", "--json").stdout)["results"]
    assert told["capacity_bytes"] == 2_000_000_000


def test_an_unknown_optimizer_is_refused_with_all_that_are_known():
    said = run("gpt2", "--device", "l4", "--optimizer", "nope", code=2).stderr
    assert "adamw-8bit" in said and "adamw-for-loop" in said
