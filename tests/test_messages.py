"""The likeliest mistakes: each gets its message, exit code 2 and no traceback, in at most three lines."""

import json
from dataclasses import replace

import hand_made
import pytest
from click.testing import CliRunner

from estimator.cli import main
from profiles.trace_record import fold

CODE = """\
import torch


def make_model():
    return {"layers": 3}


def with_argument(config):
    return torch.nn.Linear(8, 8)


class Mismatch(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = torch.nn.Linear(768, 768)

    def forward(self, x):
        return self.encoder(x)


def embedding():
    return torch.nn.Sequential(torch.nn.Embedding(10, 8), torch.nn.Linear(8, 8))
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A user's working directory: some code, and a profile saved in it."""
    (tmp_path / "train.py").write_text(CODE)
    (tmp_path / "broken.py").write_text("import torch\n\nimport flash_attn_of_nobody\n")
    (tmp_path / "typo.py").write_text("def make_model(:\n")
    hand_made.profile().save(tmp_path / "ten.json")
    hand_made.profile(precision="amp_bfloat16").save(tmp_path / "mixed.json")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def error_of(*arguments: str) -> str:
    """Run a command that cannot be answered; return what stderr says."""
    result = CliRunner().invoke(main, list(arguments))
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    message = "\n".join(line for line in result.stderr.splitlines() if not line.startswith("Warning:"))
    assert message.startswith("Error: ")
    assert "Traceback" not in message
    assert len(message.splitlines()) <= 3
    return message


def run_error(*arguments: str) -> str:
    return error_of("estimate", "ten.json", "--tokens", "1B", *arguments)


# 1 unknown model
def test_unknown_model_names_close_ones(folder):
    message = error_of("profile", "gpt-2")
    assert "No model 'gpt-2'. Did you mean gpt2" in message
    assert "flopcast models" in message
    assert "path/to/file.py:function" in message


# 2 factory missing
def test_missing_factory_names_those_that_exist(folder):
    message = error_of("profile", "train.py:build_model")
    assert "train.py has no function 'build_model'. It defines: make_model, with_argument" in message


def test_missing_file_is_said(folder):
    assert "no file nothing.py" in error_of("profile", "nothing.py:make_model")


def test_file_without_function_is_said(folder):
    assert "train.py:function" in error_of("profile", "train.py")


# 3 factory returns the wrong thing, or needs arguments
def test_wrong_return_type_is_named(folder):
    message = error_of("profile", "train.py:make_model")
    assert "train.py:make_model() returned a dict; expected torch.nn.Module" in message


def test_needed_arguments_are_named(folder):
    message = error_of("profile", "train.py:with_argument")
    assert "needs 'config'; give a function without required arguments" in message


# 4 the user's file fails to import
def test_failing_import_says_where_and_that_it_is_not_flopcast(folder):
    message = error_of("profile", "broken.py:make_model")
    assert "broken.py:3: No module named 'flash_attn_of_nobody'" in message
    assert "nothing of flopcast failed. --debug shows the traceback" in message


def test_syntax_error_of_the_users_file(folder):
    assert "typo.py:1" in error_of("profile", "typo.py:make_model")


def test_debug_shows_the_traceback_of_the_users_file(folder):
    result = CliRunner().invoke(main, ["profile", "broken.py:make_model", "--debug"])
    assert result.exit_code == 2
    assert "Traceback (most recent call last)" in result.stderr
    assert "flash_attn_of_nobody" in result.stderr


# 5 the forward fails on a shape
def test_shape_mismatch_names_the_module_and_both_shapes(folder):
    message = error_of("profile", "train.py:Mismatch", "--input", "8x512")
    assert "512" in message and "768" in message
    assert "encoder" in message


# 6 wrong input type
def test_embedding_fed_with_floats(folder):
    message = error_of("profile", "train.py:embedding", "--input", "8x16")
    assert "integer" in message.lower() or "Long" in message


def test_unreadable_input(folder):
    assert "8x3x224x224" in error_of("profile", "train.py:embedding", "--input", "8by512")


# 9 precision the hardware lacks
def test_precision_the_hardware_lacks_names_what_it_has(folder):
    message = error_of("estimate", "mixed.json", "--tokens", "1B", "--hardware", "v100-sxm2-16gb")
    assert "v100-sxm2-16gb has no amp_bfloat16" in message
    assert "float16" in message


# 11 ambiguous or unknown hardware
def test_unknown_hardware_names_close_ones(folder):
    assert "No hardware 'h1000'. Did you mean" in run_error("--hardware", "h1000")
    assert "h100-sxm" in run_error("--hardware", "h1000")


def test_ambiguous_hardware_names_all_of_it(folder):
    message = run_error("--hardware", "a100")
    assert "'a100' is 4 devices: a100-pcie-40gb, a100-pcie-80gb, a100-sxm-40gb, a100-sxm-80gb" in message
    assert "'a100-*' takes all" in message


# 12 no price
def test_no_price_names_where_there_is_one_and_how_to_give_one(folder):
    message = run_error("--hardware", "tpu-v5p", "--region", "nowhere-1")
    assert "nowhere-1" in message and "tpu-v5p" in message
    assert "Known regions:" in message
    assert "--price tpu-v5p=" in message


# 13 sizes that do not divide
def test_remainder_names_the_nearest_batch(folder):
    message = run_error("--hardware", "h100-sxm", "--count", "8", "--batch-size", "500", "--micro-batch-size", "32")
    assert "500" in message and "remainder" in message
    assert "512" in message


# 14 unit slips
def test_percent_for_a_share(folder):
    assert run_error("--mfu", "45") == "Error: --mfu 45 is above 1. Did you mean 0.45?"


def test_negative_share(folder):
    assert "--mfu -1" in run_error("--mfu", "-1")


def test_ten_tokens(folder):
    assert error_of("estimate", "ten.json", "--tokens", "10") == "Error: --tokens 10 is 10 tokens. Did you mean 10B?"


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["estimate", "ten.json", "--tokens", "10 parsecs"], ["--tokens", "parsecs", "10B"]),
        (["estimate", "ten.json", "--tokens", "-5B"], ["--tokens: '-5B' is negative"]),
        (["estimate", "ten.json", "--tokens", "10M", "--batch-size", "-1"], ["--batch-size: '-1' is negative", "4096"]),
        (["estimate", "ten.json", "--tokens", "1e99"], ["--tokens: '1e99' is more than there is"]),
        (["estimate", "ten.json", "--samples", "0"], ["--samples", "0"]),
        (["hardware", "--min-memory", "80XB"], ["--min-memory", "80XB", "GB"]),
        (["profile", "gpt2", "--precision", "bf61"], ["--precision", "bf61", "bf16"]),
        (["hardware", "--year", "soon"], ["--year soon", "2020..2022"]),
    ],
)
def test_what_is_no_quantity(folder, arguments, parts):
    message = error_of(*arguments)
    assert all(part in message for part in parts)


# 15 no accelerator or too few packages
def test_missing_streamlit_names_the_extra(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    message = error_of("dashboard")
    assert message == "Error: flopcast dashboard needs streamlit and plotly: pip install 'flopcast[dashboard]'"


def test_unknown_kind_of_device(folder):
    message = error_of("profile", "train.py:Mismatch", "--device", "toaster")
    assert "'toaster' is not one of 'cuda', 'cpu', 'tpu'" in message


# the amount of work
@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ([], "none is given"),
        (["--tokens", "1B", "--steps", "100"], "given: --tokens and --steps"),
        (["--epochs", "3"], "--epochs and --dataset-size"),
        (["--samples", "1B", "--dataset-size", "1M"], "--epochs and --dataset-size"),
    ],
)
def test_amount_of_work_is_exactly_one(folder, arguments, part):
    assert part in error_of("estimate", "ten.json", *arguments)


def test_tokens_of_a_model_without_a_sequence(folder):
    raw = replace(hand_made.raw_trace(4, 16), sequence_length=None)
    hand_made.profile(trace=fold(raw)).save(folder / "images.json")
    assert "no sequence" in error_of("estimate", "images.json", "--tokens", "1B")


# files
def test_missing_profile_file(folder):
    assert "gone.json" in error_of("estimate", "gone.json", "--tokens", "1B")


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"recordings": []}', '{"recordings": NaN}', "\x00\xff"])
def test_damaged_profile_file(folder, content):
    (folder / "bad.json").write_text(content)
    assert "bad.json" in error_of("estimate", "bad.json", "--tokens", "1B")


def test_what_json_printed_is_no_profile(folder):
    result = CliRunner().invoke(main, ["estimate", "ten.json", "--tokens", "1B", "--json"])
    (folder / "answer.json").write_text(json.dumps(json.loads(result.stdout)))
    assert "is what --json printed, not a profile" in error_of("estimate", "answer.json", "--tokens", "1B")


def test_a_saved_profile_keeps_its_settings(folder):
    message = error_of("profile", "ten.json", "--precision", "float32")
    assert "ten.json was recorded with --precision bfloat16; float32 needs a new profile" in message


def test_a_pickle_is_refused(folder):
    (folder / "model.pt").write_bytes(b"\x80\x04")
    assert "pickle" in error_of("profile", "model.pt")


# prices and counts of the user's own
@pytest.mark.parametrize("price", ["h100-sxm", "h100-sxm=", "=3", "h100-sxm=free", "h100-sxm=0", "h100-sxm=-1"])
def test_own_price_that_is_none(folder, price):
    assert f"--price {price}" in run_error("--price", price)


def test_own_price_of_unknown_hardware(folder):
    assert "No hardware 'h1000'" in run_error("--price", "h1000=3")


@pytest.mark.parametrize("count", ["0", "-8", "many", "1,,8", "1.5"])
def test_count_that_is_none(folder, count):
    assert f"--count {count}" in run_error("--count", count)


# limits
@pytest.mark.parametrize("limits", ["flops", "flops=2", "flops=+2", "flops=lots%", "=2%"])
def test_limits_that_are_none(folder, limits):
    assert "--fail-above" in error_of("profile", "ten.json", "--baseline", "ten.json", "--fail-above", limits)


def test_limits_need_a_baseline(folder):
    assert "--baseline" in error_of("profile", "ten.json", "--fail-above", "flops=+2%")


def test_baseline_that_is_no_profile(folder):
    assert "train.py" in error_of("profile", "ten.json", "--baseline", "train.py", "--fail-above", "flops=+2%")


def test_a_saved_forward_pass_opens_as_what_it_is_and_trains_nothing(tmp_path, monkeypatch):
    """And what the model's file prints is no part of the answer."""
    monkeypatch.chdir(tmp_path)
    text = 'import torch\nprint("hello")\ndef make():\n    return torch.nn.Linear(3, 4), (torch.zeros(2, 3),)\n'
    (tmp_path / "talking.py").write_text(text)
    run = CliRunner().invoke(main, ["profile", "talking.py:make", "--inference", "--json", "-q"])
    assert json.loads(run.stdout)["run"]["mode"] == "forward"
    assert CliRunner().invoke(main, ["profile", "talking.py:make", "--inference", "-o", "a.json", "-q"]).exit_code == 0
    assert "one forward pass" in CliRunner().invoke(main, ["profile", "a.json"]).stdout
    refused = CliRunner().invoke(main, ["estimate", "a.json", "--tokens", "1B"])
    assert refused.exit_code == 2 and "recorded in mode forward" in refused.stderr
