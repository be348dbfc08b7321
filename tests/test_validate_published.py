"""The published measurements that ship: predictions stay as good as they are, the Accuracy page says what is true."""

from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from estimator.calibration.leave_out import model_family
from estimator.validation.accuracy import left_out_cases, page
from estimator.validation.published import peers, predict_published, published_cases

ROOT = Path(__file__).parent.parent

GATES = {
    "neusight-infer": 0.06,
    "neusight-train": 0.06,
    "timm-train-3090": 0.11,
    "timm-infer-3090": 0.06,
    "timm-infer-4090": 0.08,
    "timm-infer-pro6000": 0.09,
    "timm-infer-i9": 0.09,
    "lambda-bert": 0.17,
    "lambda-resnet50": 0.09,
    "lambda-tf": 0.15,
    "dle-bert-train": 0.09,
    "dle-bert-infer": 0.13,
    "torchvision-ryujaehun": 0.09,
    "torchvision-u39kun": 0.08,
    "torchtune": 0.10,
    "pycls": 0.07,
    "hf-docs": 0.07,
    "dle-cnn-infer": 0.12,
}
"""Largest median error of a source's published steps; what it was when last fitted, and a little more."""


@pytest.fixture(scope="module")
def predicted():
    return predict_published()


def test_every_source_is_predicted_as_well_as_it_was(predicted):
    errors = defaultdict(list)
    for each in predicted:
        errors[each.case.stratum].append(abs(each.error))
    worse = {name: np.median(errors[name]) for name, gate in GATES.items() if np.median(errors[name]) > gate}
    assert not worse
    assert np.median([error for found in errors.values() for error in found]) < 0.085


def test_ranges_hold_most_measurements(predicted):
    inside = [e.step_time.low <= (e.case.measured_step_time_s or 0) <= e.step_time.high for e in predicted]
    assert 0.75 <= np.mean(inside) <= 0.95


def test_predictions_beat_the_rules_of_thumb(predicted):
    ours = np.median([abs(each.error) for each in predicted])
    for name in ("constant_utilisation_s", "datasheet_roofline_s"):
        floor = [abs(getattr(e.floors, name) / (e.case.measured_step_time_s or 1) - 1) for e in predicted]
        assert ours < np.median(floor) / 2


def test_every_measurement_has_a_source_and_many_kinds_are_there():
    cases = published_cases()
    assert len(cases) >= 300 and all(case.source and case.measured_step_time_s for case in cases)
    assert len({case.case_id for case in cases}) == len(cases)
    assert len({case.device for case in cases}) >= 20 and len({model_family(case.model) for case in cases}) >= 40
    assert set(peers()) <= {case.case_id for case in cases}


def test_cases_left_out_were_measured_once_and_the_same():
    measured = {case.case_id: case.measured_step_time_s for case in published_cases()}
    for case in left_out_cases():
        if case.case_id in measured:
            assert case.measured_s == pytest.approx(measured[case.case_id], rel=1e-4)


def test_the_page_is_what_the_tables_say():
    message = "docs/accuracy.md is stale: python -m estimator.validation.accuracy > docs/accuracy.md"
    assert (ROOT / "docs" / "accuracy.md").read_text(encoding="utf-8") == page(), message
