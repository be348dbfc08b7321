"""The fit: what was put in comes out, left-out predictions have not seen their case, and tables say what is known."""

import csv
import dataclasses
from importlib.resources import files

import numpy as np
import pytest

from estimator.calibration import fit as calibration
from estimator.calibration.design import TERMS, Sample, join
from estimator.calibration.effects import SPREAD, STEP, blocks_for, jacobian, log_seconds
from estimator.calibration.fitting import predicted_seconds
from estimator.calibration.leave_out import basis_of
from estimator.calibration.results import factor_rows, left_out_rows, parameter_rows, spread_rows, utilisation_rows
from estimator.calibration.samples import Labelled
from estimator.timing.machine import machine_of
from estimator.timing.parameters import factor_table, parameters_of
from estimator.timing.seconds import seconds_of
from estimator.timing.work import work_of
from estimator.validation import published
from estimator.validation.execution import execution_of
from hardware_db import load

SLOW = 1.3
"""How much slower than predicted every case of one device is made to look."""


def labelled():
    """Cases that ship, their times replaced by predicted ones, those of the V100 made slower."""
    operations, hardware, found = published._operations(), load(), []
    for each in published.predict_published():
        if each.case.stratum not in ("neusight-infer", "neusight-train"):
            continue
        device = hardware.device(each.case.device).logical_device()
        table, settings = operations[each.case.case_id], execution_of(each.case)
        measured = each.step_time.mid * (SLOW if device.id.startswith("v100") else 1.0)
        machine = machine_of(table, device, settings.execution, settings.memory_format)
        sample = Sample(work_of(table), machine, each.case.training, each.case.accumulation, True, measured)
        found.append(Labelled(sample, each.case.model_copy(update={"measured_step_time_s": measured}), device))
    return found[::2]


@pytest.fixture(scope="module")
def fitted():
    patch = pytest.MonkeyPatch()
    patch.setattr(calibration, "STEPS", 4)
    try:
        yield calibration.calibrate("gpu", labelled(), (), validated=True)
    finally:
        patch.undo()


def test_the_fit_follows_a_device_that_is_slower(fitted):
    slow = [each for each in fitted.labelled if each.device.id.startswith("v100")]
    predicted = predicted_seconds(fitted.fitted, [calibration.observation(each) for each in slow])
    ratios = predicted / np.array([each.sample.measured_s for each in slow])
    assert np.median(ratios) > (1 + 1 / SLOW) / 2


def test_every_scheme_predicts_every_case(fitted):
    assert set(fitted.left_out) == {"device", "source", "family"}
    for left in fitted.left_out.values():
        assert (left.seconds > 0).all() and len(left.basis) == len(fitted.labelled)
    assert set(fitted.left_out["device"].basis) <= {"sibling", "datasheet"}


def test_a_device_left_out_is_predicted_without_its_own_factors(fitted):
    slow = [at for at, each in enumerate(fitted.labelled) if each.device.id.startswith("v100")]
    measured = np.array([fitted.labelled[at].sample.measured_s for at in slow])
    assert np.median(fitted.left_out["device"].seconds[slow] / measured) < 0.95


def test_the_tables_have_what_the_estimator_reads(fitted):
    assert {row["kind"] for row in parameter_rows([fitted])} >= {"gpu", "cpu", "tpu"}
    factors = factor_rows(fitted)
    assert {row["scope"] for row in factors} == {"vendor", "architecture", "device"} and all(
        row["sources"] for row in factors
    )
    for row in spread_rows(fitted):
        assert float(row["low"]) <= 1 <= float(row["high"])
    assert len(left_out_rows(fitted)) == 3 * len(fitted.labelled)
    (row,) = [row for row in utilisation_rows(fitted.labelled) if row["precision"] == "float32"]
    assert 0 < float(row["utilisation"]) < 1


def test_derivatives_are_those_of_all_costs_together(fitted):
    layout, unknowns = fitted.fitted.layout, fitted.fitted.unknowns
    design = join([each.sample for each in fitted.labelled])
    labels = {scope: [getattr(calibration.observation(e), scope) for e in fitted.labelled] for scope, _ in SPREAD}
    layout = dataclasses.replace(layout, blocks=blocks_for(labels, len(layout.free)))
    unknowns = np.concatenate([unknowns[: len(layout.free)], np.zeros(layout.size - len(layout.free))])
    slopes, base = jacobian(design, layout, unknowns), log_seconds(design, layout, unknowns)
    for place in (*range(0, len(layout.free), 5), *range(len(layout.free), layout.size, 7)):
        moved = unknowns.copy()
        moved[place] += STEP
        assert slopes[:, place] == pytest.approx((log_seconds(design, layout, moved) - base) / STEP, abs=1e-9)


def test_costs_kind_by_kind_are_what_is_predicted(fitted):
    each = fitted.labelled[0]
    design, p = join([each.sample]), parameters_of("gpu")
    terms = {name: design.term(name, p) for name in TERMS}
    whole = seconds_of(each.sample.work, each.sample.machine, each.sample.training, p)
    assert sum(terms.values())[0] == pytest.approx(((whole.device + whole.host) * design.weight).sum())


def test_the_committed_tables_are_those_that_the_fit_wrote():
    with (files("estimator.calibration") / "residuals.csv").open(encoding="utf-8") as file:
        said = {row["case_id"]: float(row["predicted_s"]) for row in csv.DictReader(file)}
    architectures = [each for each in factor_table() if (each.scope, each.quantity) == ("architecture", "bandwidth")]
    assert sum(each.n for each in architectures) == len(said) > 2000
    shipped = [each for each in published.predict_published() if each.case.case_id in said]
    assert len(shipped) > 250
    for each in shipped:
        assert each.step_time.mid == pytest.approx(said[each.case.case_id], rel=1e-4)


def test_what_few_measured_a_device_to_be_is_not_used(fitted):
    slow = [calibration.observation(each) for each in fitted.labelled if each.device.id.startswith("v100")][:1]
    (known,) = predicted_seconds(fitted.fitted, slow)
    counted = [
        dataclasses.replace(fitted.fitted, count={**fitted.fitted.count, ("device", slow[0].device): n}) for n in (2, 3)
    ]
    few, enough = (predicted_seconds(each, slow)[0] for each in counted)
    assert enough == pytest.approx(known, rel=1e-12) and few != pytest.approx(known, rel=1e-3)


def test_few_cases_are_no_calibration(fitted):
    each = calibration.observation(fitted.labelled[0])
    few = dataclasses.replace(fitted.fitted, count={("architecture", each.architecture): 2, ("device", each.device): 2})
    assert basis_of(few, each) == "sibling"
    assert basis_of(dataclasses.replace(few, count={}), each) == "datasheet"
