"""The examples in the docstrings of the estimator run and are true."""

import doctest
from importlib import import_module

import pytest
from hand_made import profile

from estimator import TrainingRun

MODULES = {"parallel.collectives": 1, "forecast": 2, "ranges": 2, "run": 1, "workload": 1}
"""Module -> docstrings with examples, so that a lost example is noticed."""


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    module = import_module(f"estimator.{name}")
    known = {"profile": profile(), "run": TrainingRun(profile(), tokens=1e9, sequence_length=1024)}
    found = [test for test in doctest.DocTestFinder().find(module, extraglobs=known) if test.examples]
    assert len(found) == MODULES[name]
    assert doctest.testmod(module, extraglobs=known).failed == 0
