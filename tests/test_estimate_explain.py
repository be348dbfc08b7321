"""Where the time of a step goes, what binds it, and what would change it."""

from dataclasses import replace

import pytest
from hand_made import database, device, offer, profile

from estimator import TrainingRun, estimate
from estimator.largest import Change, changes, largest_shares
from estimator.ranges import Range

DB = database([device()], [offer()])
RUN = TrainingRun(profile(), steps=100, global_batch_size=8)


@pytest.fixture(scope="module")
def row():
    return estimate(RUN, "big", database=DB)


def test_the_shares_are_those_of_the_device(row):
    found = largest_shares(row, shown=100)
    assert sum(each.share for each in found) == pytest.approx(1.0)
    assert sum(each.seconds for each in found) == pytest.approx(row.answer.step.device.mid)
    assert [each.seconds for each in found] == sorted((each.seconds for each in found), reverse=True)
    assert {(each.operator, each.phase) for each in found} >= {("aten.mm", "backward"), ("aten.relu", "forward")}
    assert len(largest_shares(row)) <= 5


def test_compiling_and_lower_precision_are_offered_where_they_help():
    found = {each.what: each.factor for each in changes(estimate(RUN, "big", database=DB))}
    assert found["torch.compile"] < 1 and "products in float8" not in found
    newer = device(matrix_peaks={"bfloat16": 400e12, "float8": 800e12})
    with_float8 = {each.what: each.factor for each in changes(estimate(RUN, newer, database=DB))}
    assert with_float8["products in float8"] < 1


def test_a_larger_micro_batch_is_offered_where_it_fits():
    run = RUN.replace(global_batch_size=64, micro_batch_size=8)
    found = {each.what: each.factor for each in changes(estimate(run, "big", database=DB))}
    assert found["micro-batch 16"] < 1
    small = estimate(run.replace(micro_batch_size=64), device(memory_bytes=10**9), database=DB)
    assert not any(each.what.startswith("micro") for each in changes(small))


def test_the_explanation_says_it(row):
    text = str(row.explain())
    assert f"{row.bound} binds the step" in text and "what would change the time of a sample" in text


def test_what_would_change_nothing_is_not_told(row):
    told = [Change("sit still", 1.001), Change("run", 0.9), Change("walk backwards", 1.2)]
    text = str(replace(row.explain(), changes=tuple(told)))
    assert "×0.90  run" in text and "×1.20  walk backwards" in text and "sit still" not in text
    assert "what would change" not in str(replace(row.explain(), changes=(told[0],)))


def test_parts_that_are_nothing_but_a_rounding_are_not_told(row):
    step = row.answer.step
    residue = replace(step, parts={**step.parts, "parameter gathering": Range(1e-19, 2e-19, 4e-19)})
    assert "parameter gathering" not in str(replace(row, answer=replace(row.answer, step=residue)).explain())
    slow = replace(step, parts={**step.parts, "parameter gathering": Range(1e-3, 2e-3, 4e-3)})
    assert "2.00 ms (1.00 ms-4.00 ms) parameter gathering" in str(
        replace(row, answer=replace(row.answer, step=slow)).explain()
    )


def test_without_an_answer_nothing_is_said():
    refused = estimate(RUN, device(matrix_peaks={"float16": 1e12}), database=DB)
    assert largest_shares(refused) == () == changes(refused)
    assert "largest" not in str(refused.explain())
