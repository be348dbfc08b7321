"""The examples in docstrings run and are true, in every module that has some."""

import doctest
from importlib import import_module
from pathlib import Path

import pytest
from test_estimate_docs import MODULES as WITH_A_PROFILE

from estimator import TrainingRun
from hardware_db import load
from profiles.recall import known
from profiles.request import ProfileRequest

ROOT = Path(__file__).parent.parent
PACKAGES = ("hardware_db", "profiles", "estimator", "dashboard")
OF_PROFILES_THEY_DO_NOT_MAKE = {
    "estimator.fit.cheapest",
    "estimator.fit.search",
    "estimator.fit.writing",
    "estimator.memory.generation",
    "estimator.memory.need",
}
"""Their examples show a call and the form of its result on a profile that the reader has; they are not run."""
EXAMPLES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for package in PACKAGES
    for path in (ROOT / package).rglob("*.py")
    if ">>> " in path.read_text(encoding="utf-8")
)


def test_there_are_examples_in_every_package():
    assert {name.partition(".")[0] for name in EXAMPLES} == set(PACKAGES)


@pytest.fixture(scope="module")
def named() -> dict[str, object]:
    """What examples name without making it."""
    profile = known("llama-3.1-8b", ProfileRequest(precision="amp_bfloat16"))
    gpt2 = known("gpt2", ProfileRequest(precision="amp_bfloat16"))
    return {"profile": profile, "database": load(), "run": TrainingRun(gpt2, tokens=1e9, global_batch_size=512)}


ELSEWHERE = OF_PROFILES_THEY_DO_NOT_MAKE | {f"estimator.{name}" for name in WITH_A_PROFILE}


@pytest.mark.parametrize("name", [name for name in EXAMPLES if name not in ELSEWHERE])
def test_examples(name, named):
    if name.startswith("dashboard"):
        pytest.importorskip("streamlit")
    result = doctest.testmod(import_module(name), extraglobs=named)
    assert result.attempted > 0 and result.failed == 0
