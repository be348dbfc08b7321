"""What the fit of split steps leaves behind: ranges that hold what they never saw, and the committed tables."""

import csv
from dataclasses import replace
from importlib.resources import files

import numpy as np
import pytest

from estimator.calibration.parallel_results import INSIDE, Outcome, covered, inside, range_for, range_of, widening
from estimator.parallel.adjust import ranges


def outcomes(bias_of_source, steps=50):
    """Steps of several sources that err alike within each: measured over predicted is the bias times 0.95 to 1.05."""
    rows = []
    for source, bias in bias_of_source.items():
        for at, wobble in enumerate(np.linspace(0.95, 1.05, steps).tolist()):
            said = {"source": 1.0, "architecture": 1.0, "family": 1.0}
            rows.append(Outcome(f"{source} {at}", source, source, "Megatron", bias * wobble, 1.0, said, 1.0))
    return rows


def test_sources_that_err_alike_leave_the_range_as_it_is():
    found = outcomes(dict.fromkeys("abcd", 1.0))
    assert widening(found) <= 1.1
    low, high = range_of(found)
    assert 0.95 < low < 0.97 and 1.03 < high < 1.05


def test_a_source_beside_the_others_widens_the_range_until_it_holds_most_of_all():
    found = outcomes({"a": 0.9, "b": 1.0, "c": 1.1, "d": 1.2, "e": 0.8})
    power = widening(found)
    assert power > 1.2
    share = np.mean(list(inside(found, found, power).values()))
    less = np.mean(list(inside(found, found, power - 0.1).values()))
    assert less < INSIDE <= share


def test_a_program_of_few_sources_is_no_surer_than_all_are():
    wide, narrow = outcomes({"a": 0.8, "b": 1.0, "c": 1.3}), outcomes({"d": 1.0})
    narrow = [replace(each, stack="XLA") for each in narrow]
    assert range_for("XLA", [*wide, *narrow]) == range_of([*wide, *narrow])
    assert range_for("Megatron", [*wide, *narrow]) == range_of(wide)


def test_what_is_covered_is_told_by_ranges_that_did_not_see_it():
    found = outcomes({"a": 1.0, "b": 1.0, "far": 1.5})
    far = [each for each in found if each.source == "far"]
    assert covered(far, found) == 0


def test_the_committed_ranges_are_those_of_the_committed_residuals():
    with (files("estimator.calibration") / "parallel_left_out.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    found = [
        Outcome(
            row["case_id"], row["stratum"], row["source"], row["stack"], float(row["measured_s"]),
            float(row["fitted_s"]), {"source": float(row["without_source_s"])}, float("nan"),
        )
        for row in rows
    ]  # fmt: skip
    power = widening(found)
    for stack, (low, _, high) in ranges().items():
        mine = range_for(stack, found)
        assert (low, high) == pytest.approx([end**power for end in mine], abs=2e-3)
