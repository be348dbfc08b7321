"""The sweep over all model types of transformers and all models of timm: its page, a sample, and (slow) all of it."""

import json

import pytest
import timm
from coverage_sweep import cases, outcome, results, run
from coverage_table import DOCUMENT, totals, write

from profiles.models import hf_tables

# One or two of every kind of input: text, encoder-decoder, image, detection, audio, several inputs, series.
SAMPLE = ("hf:gpt_neo", "hf:t5", "hf:convnext", "hf:splinter", "hf:timesfm", "timm:resnetv2_18")


def test_every_model_type_and_every_timm_model_is_a_case():
    names = cases()
    assert len(names) == len(set(names))
    assert {"hf:llama", "hf:whisper", "timm:resnet50", "timm:vit_base_patch16_224"} <= set(names)
    assert sum(name.startswith("timm:") for name in names) == len(timm.list_models())
    without = hf_tables.model_types() - {name.removeprefix("hf:") for name in names if name.startswith("hf:")}
    assert not any(hf_tables.heads(name) for name in without)


def documented():
    tables = DOCUMENT.read_text().partition("## Not traced")[2]
    refused, _, traced = tables.partition("## Traced")
    return [
        {line.split(" | ")[0].strip("| ") for line in part.splitlines() if line.startswith(("| hf:", "| timm:"))}
        for part in (refused, traced)
    ]


def test_the_page_counts_what_it_lists():
    refused, traced = documented()
    assert not refused & traced and refused | traced <= set(cases())
    for kind, package in (("hf:", "transformers"), ("timm:", "timm")):
        row = next(line for line in DOCUMENT.read_text().splitlines() if line.startswith(f"| {package} |"))
        known, tried, good = (int(cell.replace(",", "")) for cell in row.split("|")[2:5])
        count = [sum(name.startswith(kind) for name in names) for names in (cases(), refused | traced, traced)]
        assert [known, tried, good] == count


@pytest.mark.parametrize("case", SAMPLE)
def test_a_sample_is_traced_as_the_page_says(case):
    row = outcome(case)
    assert "refused" not in row, row
    assert row["forward"] > 0 and row["backward"] > row["forward"] / 2
    assert case in documented()[1]


def test_a_model_that_ends_its_process_costs_no_other(tmp_path, monkeypatch):
    monkeypatch.setattr("coverage_sweep.CHUNK", 3)
    path = tmp_path / "found.jsonl"
    run(["timm:resnet10t", "timm:no_such_model", "timm:resnet14t"], path)
    rows = results(path)
    assert list(rows) == ["timm:resnet10t", "timm:no_such_model", "timm:resnet14t"]
    assert rows["timm:no_such_model"]["refused"].startswith("UnknownModel: No model 'no_such_model'")
    assert rows["timm:resnet10t"]["rung"] == rows["timm:resnet14t"]["rung"] == "meta"


def test_the_page_is_written_from_results(tmp_path, monkeypatch):
    page = tmp_path / "coverage.md"
    monkeypatch.setattr("coverage_table.DOCUMENT", page)
    good = {"model": "hf:gpt2", "class": "GPT2LMHeadModel", "rung": "meta", "why": "", "guesses": 0}
    bad = {"model": "timm:x", "refused": "ModelError: a | b\nc"}
    write({row["model"]: row for row in (good, bad)}, ["hf:gpt2", "hf:llama", "timm:x"])
    text = page.read_text()
    assert "| transformers | 2 | 1 | 1 | 100.0 % |" in text and "| timm | 1 | 1 | 0 | 0.0 % |" in text
    assert "| timm:x | ModelError: a / b c |" in text and "| hf:gpt2 | GPT2LMHeadModel | meta |  |" in text


@pytest.mark.slow
def test_all_of_them(tmp_path):
    path = tmp_path / "all.jsonl"
    run(cases(), path)
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for found in totals(rows, cases()):
        assert found.tried == found.known
        assert found.share >= 0.97, found
