"""`flopcast validate`: rows and strata as they are promised, every row kept, nothing that one odd row can break."""

import csv
import importlib
import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from hand_made import device

import hardware_db
from estimator.cli import main
from estimator.validation import read_cases, read_rows, validate_cases
from estimator.validation.cases import Case, Unreadable
from estimator.validation.defaults import completed
from estimator.validation.execution import execution_of
from estimator.validation.report import report_of, row_of
from estimator.validation.software import runs_optimizer
from hardware_db.errors import DataError
from profiles.library import Question, find

MODULE = importlib.import_module("estimator.validation.validate")
HEADER = ("case_id", "stratum", "model", "task", "device", "precision", "micro_batch_size", "measured_step_time_s")
GOOD = ("a", "mine", "gpt2", "train", "a100-sxm-80gb", "amp_bfloat16", "2", "0.1")


@pytest.fixture
def answered(monkeypatch):
    """GPT-2 is answered by the profile that ships, so that nothing has to be traced."""

    def answers(questions, _base, _jobs):
        for question in questions:
            kept = find(Question("gpt2", "train", "amp_bfloat16", "adamw", "cuda"), 2, 1024)
            yield question, kept if question.model == "gpt2" else None, "" if question.model == "gpt2" else "unheard of"

    monkeypatch.setattr(MODULE, "answers", answers)


def table(path: Path, *rows, header=HEADER):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows((header, *rows))
    return path


def changed(**cells):
    return tuple(cells.get(name, value) for name, value in zip(HEADER, GOOD, strict=True))


def run(*words):
    return CliRunner().invoke(main, ["validate", *map(str, words)])


@pytest.mark.usefixtures("answered")
def test_json_has_the_promised_rows_and_strata(tmp_path):
    result = run(table(tmp_path / "c.csv", GOOD, changed(case_id="b", measured_step_time_s="0.2")), "--json")
    found = json.loads(result.stdout)
    assert result.exit_code == 0
    promised = {"case_id", "predicted_step_time_s", "low_s", "high_s", "measured_step_time_s", "basis", "error",
                "predicted_peak_memory_bytes", "measured_peak_memory_bytes"}  # fmt: skip
    assert all(set(row) >= promised for row in found["rows"])
    first, second = found["rows"]
    assert first["low_s"] < first["predicted_step_time_s"] < first["high_s"]
    assert first["error"] == pytest.approx(first["predicted_step_time_s"] / 0.1 - 1)
    assert second["predicted_step_time_s"] == first["predicted_step_time_s"]
    assert [each["stratum"] for each in found["strata"]] == ["mine", "all"]
    assert found["strata"][-1]["predicted"] == 2 and found["strata"][-1]["datasheet_roofline_error"] > 0


@pytest.mark.usefixtures("answered")
def test_rows_that_cannot_be_predicted_are_kept_and_named(tmp_path):
    rows = (
        GOOD,
        changed(case_id="no such device", device="warp drive"),
        changed(case_id="no such model", model="nothing"),
        changed(case_id="no number", measured_step_time_s="soon"),
        changed(case_id="no peak", device="v100-sxm2-16gb"),
    )
    path = table(tmp_path / "c.csv", *rows)
    found = {row["case_id"]: row for row in json.loads(run(path, "--json").stdout)["rows"]}
    assert list(found) == [row[0] for row in rows]
    assert "warp drive" in found["no such device"]["reason"]
    assert found["no such model"]["reason"] == "unheard of"
    assert "measured_step_time_s is 'soon'" in found["no number"]["reason"]
    assert "bfloat16" in found["no peak"]["reason"] and found["no peak"]["predicted_step_time_s"] is None
    text = run(path)
    assert "not predicted: 1 row (no such device)" in text.stderr and "mine" in text.stdout


@pytest.mark.usefixtures("answered")
def test_csv_has_a_line_a_row(tmp_path):
    lines = list(csv.DictReader(run(table(tmp_path / "c.csv", GOOD), "--csv").stdout.splitlines()))
    assert len(lines) == 1 and float(lines[0]["predicted_step_time_s"]) > 0


@pytest.mark.usefixtures("answered")
def test_nothing_predicted_is_exit_code_1(tmp_path):
    assert run(table(tmp_path / "c.csv", changed(device="warp drive"))).exit_code == 1


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("measured_step_time_s", "-5"),
        ("measured_step_time_s", "0"),
        ("measured_step_time_s", "nan"),
        ("micro_batch_size", "0"),
    ],
)
def test_what_cannot_have_been_measured_is_not_compared(tmp_path, column, value):
    (row,) = read_rows(table(tmp_path / "cases.csv", changed(**{column: value})))
    assert isinstance(row, Unreadable)
    assert row.reason.startswith(f"line 2: {column} is {value!r}; Input should be")


def test_a_table_without_its_columns_is_refused(tmp_path):
    result = run(table(tmp_path / "c.csv", ("gpt2",), header=("model",)))
    assert result.exit_code == 2 and "misses the column task, device" in result.stderr


def test_odd_words_do_not_stop_a_file(tmp_path):
    path = table(tmp_path / "c.csv", (*GOOD, "max-autotune", "blocked"), header=(*HEADER, "compile", "memory_format"))
    (case,) = read_cases(path)
    assert (case.compile, case.memory_format) == ("inductor", "contiguous")
    bad = table(tmp_path / "d.csv", changed(task="dream"))
    assert isinstance(read_rows(bad)[0], Unreadable)
    with pytest.raises(DataError, match="task is 'dream'"):
        read_cases(bad)


def case(**changes):
    stated = dict(zip(HEADER, GOOD, strict=True)) | {"device_count": 8}
    return Case.model_validate(stated | changes)


@pytest.mark.parametrize(
    ("stated", "filled"),
    [
        ({"precision": None, "global_batch_size": 16}, {"precision": "amp_bfloat16"}),
        ({"micro_batch_size": None, "global_batch_size": 64}, {"micro_batch_size": 8}),
        ({"micro_batch_size": None, "global_batch_size": 64, "tensor_parallel": 4}, {"micro_batch_size": 1}),
        ({"micro_batch_size": None, "global_batch_size": 2}, {"micro_batch_size": 1, "tensor_parallel": 4}),
        ({"gradient_accumulation_steps": 4}, {"global_batch_size": 64}),
        ({"activation_checkpointing": "block", "global_batch_size": 16}, {"activation_checkpointing": "full"}),
        ({"global_batch_size": 16}, {}),
    ],
)
def test_gaps_are_filled_with_what_is_usual_and_said(stated, filled):
    found, assumed = completed(case(**stated), device(matrix_peaks={"bfloat16": 1e15}))
    assert {name: getattr(found, name) for name in filled} == filled
    assert set(assumed) == {f"{name} {value}" for name, value in filled.items()}


@pytest.mark.parametrize(
    ("stated", "stepped"),
    [
        ({"task": "train"}, True),
        ({"task": "train", "scope": "step"}, True),
        ({"task": "train", "scope": "forward_backward"}, False),
        ({"task": "train", "scope": "step", "source": "huggingface/transformers@, docs model_doc/gpt2.md"}, False),
        ({"task": "train", "source": "huggingface/transformers@, docs model_doc/gpt2.md", "optimizer": "adamw"}, True),
        ({"task": "infer"}, False),
    ],
)
def test_an_optimizer_is_timed_where_one_was(stated, stepped):
    assert runs_optimizer(case(**stated)) == stepped


@pytest.mark.parametrize(
    ("folder", "precision", "layout"),
    [
        ("PyTorch/Classification/ConvNets/resnext101-32x4d", "amp_float16", "channels_last"),
        ("PyTorch/Classification/ConvNets/resnext101-32x4d", "float32", "contiguous"),
        ("TensorFlow/Classification/ConvNets/resnet50v1.5", "amp_float16", "contiguous"),
    ],
)
def test_images_lie_as_the_source_is_known_to_run_them(folder, precision, layout):
    source = f"NVIDIA/DeepLearningExamples@729963dd47, {folder}/README.md"
    assert execution_of(case(source=source, precision=precision)).memory_format == layout


def test_errors_of_a_stratum_by_hand():
    rows = [row_of(case(case_id=str(n)), None, None, "") for n in range(4)]
    predicted = [1.1, 0.7, 1.0, None]
    made = [
        type(row)(**{**{f: getattr(row, f) for f in row.__dataclass_fields__}, "predicted_step_time_s": p, "low_s": 0.9,
                     "high_s": 1.05, "measured_step_time_s": 1.0, "error": None if p is None else p - 1})
        for row, p in zip(rows, predicted, strict=True)
    ]  # fmt: skip
    (stratum, whole) = report_of(made).strata
    assert (stratum.n, stratum.predicted) == (4, 3) == (whole.n, whole.predicted)
    assert stratum.median_error == pytest.approx(0.1) and stratum.bias == pytest.approx(0.0)
    assert stratum.within_20_percent == pytest.approx(2 / 3) and stratum.coverage == 1.0


def test_one_odd_row_does_not_take_the_others_with_it(monkeypatch):
    def explode(*_):
        raise ZeroDivisionError("odd")

    monkeypatch.setattr(MODULE, "answers", lambda q, *_: ((each, "a profile", "") for each in q))
    monkeypatch.setattr(MODULE, "predict_case", explode)
    report = validate_cases([case(global_batch_size=16)], Path(), 1, hardware_db.load())
    assert report.rows[0].reason == "ZeroDivisionError: odd"


def test_a_processor_that_was_benchmarked_is_the_part_that_the_machine_has(monkeypatch):
    chip = hardware_db.load().device("epyc-9654")
    monkeypatch.setattr(MODULE, "as_benchmarked", lambda device: device.fraction(4 / 96) if device == chip else device)
    monkeypatch.setattr(MODULE, "answers", lambda q, *_: ((each, "a profile", "") for each in q))
    monkeypatch.setattr(MODULE, "predict_case", lambda *asked: asked[2].compute_units)
    monkeypatch.setattr(MODULE, "row_of", lambda case, time, memory, reason, assumed: (time, assumed))
    monkeypatch.setattr(MODULE, "report_of", list)
    stated = {"precision": "float32", "global_batch_size": 16}
    rows = [case(device="epyc-9654", **stated), case(device="h100-sxm", **stated)]
    found = validate_cases(rows, Path(), 1, hardware_db.load())
    assert [time for time, _ in found] == [4, 132]
    assert ["4 of 96 cores, as benchmarked" in assumed for _, assumed in found] == [True, False]


def test_floors_count_an_expert_for_the_tokens_that_go_to_it(tmp_path):
    """This model sends every token to all of its 16 experts; where experts are spread, each computes its own alone."""
    sizes = "hidden_size=256,intermediate_size=512,intermediate_size_mlp=512,num_attention_heads=4,head_dim=64"
    experts = (
        "num_key_value_heads=4,num_hidden_layers=2,interleave_moe_layer_step=1,num_local_experts=16,vocab_size=512"
    )
    stated = case(
        model=f"hf:llama4_text,{sizes},{experts},num_experts_per_tok=1#ForCausalLM",
        task="train", device="h100-sxm", device_count="8", devices_per_node="8", precision="bfloat16",
        micro_batch_size="1", global_batch_size="8", sequence_length="128", data_parallel="8", compile="megatron",
    )  # fmt: skip
    spread = stated.model_copy(update={"expert_parallel": 8, "case_id": "spread"})
    rows = validate_cases([stated, spread], tmp_path, 1, hardware_db.load()).rows
    together, apart = (row.constant_utilisation_s for row in rows)
    assert together is not None and apart is not None and together > 2 * apart > 0
