"""Where an optional package is not installed, tests that import it are skipped and say so."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest

OPTIONAL = ("torch", "torchvision", "transformers", "timm", "fvcore", "streamlit", "plotly", "joblib", "distributed")
TESTS = Path(__file__).parent


def absent(error: BaseException | None) -> str | None:
    """Return the optional package whose absence is behind an error; None for any other error."""
    while error is not None:
        if isinstance(error, ModuleNotFoundError):
            name = (error.name or "").partition(".")[0]
            return name if name in OPTIONAL and not importlib.util.find_spec(name) else None
        error = error.__cause__
    return None


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Iterator[None]:
    report = yield
    call = getattr(report, "call", None)
    if report.outcome == "failed" and call and (name := absent(call.excinfo.value)):
        report.outcome, report.longrepr = "skipped", (str(collector.path), 1, f"Skipped: needs {name}")
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Skip only where the test's own code imports: a package that wants torch unasked is a failure."""
    report = yield
    if report.outcome == "failed" and call.excinfo and (name := absent(call.excinfo.value)):
        importing = [entry.path for entry in call.excinfo.traceback if "importlib" not in str(entry.path)]
        if importing and Path(importing[-1]).is_relative_to(TESTS):
            report.outcome, report.longrepr = "skipped", (str(item.path), 1, f"Skipped: needs {name}")
    return report
