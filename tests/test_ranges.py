"""The ranges of dependencies: both ends are known, and what the tests run with lies within."""

import re
import runpy
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parent.parent
LOWEST = runpy.run_path(str(ROOT / ".ci" / "lowest.py"))["lowest"]()
PINNED = dict(re.findall(r"^([A-Za-z0-9_.-]+)==([^\s;]+)", (ROOT / "constraints.txt").read_text(), re.MULTILINE))


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_dependency_has_a_least_version_that_is_tested():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = [Requirement(each) for each in project["dependencies"]]
    extras = project["optional-dependencies"]
    asked += [Requirement(each) for name, extra in extras.items() if name not in ("all", "test") for each in extra]
    for each in asked:
        if each.name != project["name"]:
            assert Version(LOWEST[each.name]) in each.specifier and len(each.specifier) == 1, each


def test_what_the_tests_run_with_is_within_the_ranges():
    pinned = {plain(name): Version(version) for name, version in PINNED.items()}
    known = {name: version for name, version in LOWEST.items() if plain(name) in pinned}
    assert {"torch", "streamlit", "numpy"} <= known.keys()
    assert {name: version for name, version in known.items() if pinned[plain(name)] < Version(version)} == {}
