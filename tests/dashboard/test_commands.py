"""The command that a page offers asks the same question: the command line takes it and says the same."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("streamlit")
from click.testing import CliRunner
from streamlit.testing.v1 import AppTest

from estimator.cli import main

APP = str(Path(__file__).parents[2] / "dashboard" / "app.py")


def drawn(view: str, **query: str) -> AppTest:
    page = AppTest.from_file(APP, default_timeout=60)
    for name, value in query.items():
        page.query_params[name] = value
    page.run().switch_page(f"views/{view}.py").run()
    assert not page.exception and not page.error and not page.warning
    return page


def commands_of(page: AppTest) -> list[list[str]]:
    lines = [line for block in page.code for line in block.value.splitlines()]
    return [shlex.split(line) for line in lines if line.startswith(("flopcast ", "python "))]


def answer_of(words: list[str]) -> dict:
    done = CliRunner().invoke(main, [*words[1:], "--json"])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_model():
    page = drawn("model", model="gpt2", micro="4", precision="amp_bfloat16")
    (words,) = commands_of(page)
    assert words == ["flopcast", "profile", "gpt2", "--batch-size", "4", "--precision", "amp_bfloat16"]
    (said,) = answer_of(words)["results"]
    assert (said["batch_size"], said["precision"]) == (4, "amp_bfloat16")
    assert page.metric[0].value == "124 M" and said["parameters"] == 124_439_808


def test_roofline():
    page = drawn("roofline", model="gpt2", device="l4", amount="1B")
    words = commands_of(page)[-1]
    assert words == ["flopcast", "estimate", "gpt2", "--tokens", "1B", "--hardware", "l4", "--explain"]
    row = answer_of(words)["results"][0]
    assert row["device"] == "l4"
    assert page.main.subheader[0].value.endswith(f"is bound by {row['bound']}")


def test_hardware():
    page = drawn("hardware", device="l4", device_kinds="TPU")
    listed, one = commands_of(page)
    assert listed == ["flopcast", "hardware", "--kind", "tpu"]
    assert {row["id"] for row in answer_of(listed)["results"]} == set(page.dataframe[0].value["device"])
    assert one == ["flopcast", "hardware", "l4", "--sources"]
    assert answer_of(one)["results"][0]["id"] == "l4"


def test_accuracy_prints_the_same_errors():
    page = drawn("accuracy")
    words = commands_of(page)[-1]
    assert words[0] == "python"
    done = subprocess.run([sys.executable, *words[1:]], capture_output=True, text=True, check=True, timeout=120)
    table = page.dataframe[0].value.set_index("stratum")
    line = next(line for line in done.stdout.splitlines() if line.startswith("| timm-train-3090 |"))
    _, count, median, *_ = (part.strip() for part in line.strip("|").split("|"))
    assert int(count) == table.loc["timm-train-3090", "n"]
    assert float(median) == pytest.approx(100 * table.loc["timm-train-3090", "median_error"], abs=0.5)
