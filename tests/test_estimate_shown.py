"""What estimates print: frames, JSON, tables in terminals and notebooks, each step explained."""

import json
from dataclasses import replace

import pytest
from estimated import DB, RUN, row_of
from hand_made import PARAMETERS, database, device, offer, profile, raw_trace

from estimator import TrainingRun, estimate, estimate_all
from estimator.text.estimates import memory_text


@pytest.fixture(scope="module")
def rows():
    return estimate_all(RUN, database=DB)


def test_to_frame_has_units_and_sources(rows):
    frame = rows.to_frame()
    assert len(frame) == len(rows)
    assert {"run_time_s", "cost_usd", "cost_usd_low", "energy_kwh", "peak_memory_bytes", "mfu", "why_not"} <= set(frame)
    assert frame.attrs["sources"] == ["a price list"] and frame.attrs["assumptions"]
    assert frame.query("cost_usd > 0").cost_usd.notna().all()


def test_to_dict_is_one_json_document(rows):
    document = json.loads(json.dumps(rows.to_dict(), allow_nan=False))
    assert (document["schema"], document["command"], document["run"]["model"]) == (1, "estimate", "ten-layers")
    assert len(document["results"]) == len(rows) and document["assumptions"] and document["left_out"]
    first = document["results"][0]
    assert first["memory"]["parameter_bytes"] == 2 * PARAMETERS
    assert first["step_time_s"] == rows[0].step_time_s and first["device"] == rows[0].device.id


def test_explain_puts_the_numbers_in(rows):
    text = str(row_of(rows, "big", 8).explain())
    numbers = (
        "steps: 3,815",
        "2 (n-1)/n × gradient bytes",
        "of the peak), element-wise",
        "1 × $20.0/h",
        "400 W × 0.",
    )
    assert [part for part in (*numbers, "a price list") if part not in text] == []
    names = [term.name for term in row_of(rows, "big", 8).explain().terms]
    assert names == ["steps", "memory of a device", "device", "host", "all-reduce", "step", "training",
                         "run time", "device-hours", "machines",
                     "cost", "energy", "MFU"]  # fmt: skip
    assert all(term.source and term.formula for term in row_of(rows, "big", 8).explain().terms)


def test_explain_says_why_there_is_no_answer(rows):
    assert "no answer: half has no bfloat16" in str(next(row for row in rows if row.device.id == "half").explain())


def test_the_parts_explain_the_step(rows):
    for row in rows.answered:
        assert sum(row.answer.step.buckets.values()) == pytest.approx(row.step_time_s)
        assert row.step_time_s_low <= row.step_time_s <= row.step_time_s_high


def test_results_print_as_tables(rows):
    text = repr(rows)
    assert "RUN TIME" in text and "big" in text and "Traceback" not in text
    single = repr(row_of(rows, "big", 8))
    assert "8× big" in single and "epyc" not in single
    assert "bound method" not in repr(row_of(rows, "big").explain())


def test_notebook_tables_escape_what_they_show():
    evil = database([device("big")], [offer("big", provider="<script>alert(1)</script>")])
    html = estimate_all(RUN, database=evil)._repr_html_()
    assert "<script>" not in html and "&lt;script&gt;" in html
    assert html.count("<tr>") == 2 and "color" not in html


def test_notebook_rows_have_as_many_cells_as_heads(rows):
    html = rows._repr_html_()
    heads = html.count("<th>")
    for row in html.split("<tr>")[2:]:
        spanned = sum(int(part.split('"')[1]) - 1 for part in row.split("<td colspan=")[1:])
        assert row.count("<td") + spanned == heads
    assert "has no bfloat16" in html
    assert html.startswith("<p><b>") and RUN.profile.model in html.partition("<table>")[0]
    assert "<th>memory GiB</th>" in html and f"<td>{memory_text(row_of(rows, 'big', 8))}</td>" in html
    assert "<pre>" in row_of(rows, "big").explain()._repr_html_()
    assert row_of(rows, "big")._repr_html_().count("<tr>") == 2


def test_operators_without_a_formula_are_named():
    from profiles.trace_record import fold

    raw = raw_trace(8, 16)
    raw.operations.append(replace(raw.operations[1], operator="my.norm", counted=False))
    run = TrainingRun(profile(trace=fold(raw)), steps=1, global_batch_size=8)
    warned = "\n".join(estimate_all(run, devices="big", counts=[1], database=DB).warnings)
    assert "operators without a formula: my.norm (10 calls); their FLOPs are estimates, they move" in warned


def test_what_the_profile_notes_is_among_the_assumptions():
    run = TrainingRun(profile(notes=("loss: mean of all outputs",)), steps=1)
    assert "loss: mean of all outputs" in estimate_all(run, database=DB).assumptions


def test_explain_shows_a_given_mfu_as_the_ground():
    text = str(estimate(RUN.replace(mfu=0.4), "big", database=DB).explain())
    assert "TFLOP / (0.4 × 1 × 400 TFLOP/s)" in text and "the MFU that was given" in text
    assert "MFU: 40.0%" in text
