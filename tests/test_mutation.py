"""Mutation checks: the changes are what they say, and those of a sample are noticed."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

from tests.mutation.mutants import mutants_of

ROOT = Path(__file__).parent.parent
TESTS = ("matmul", "rare", "written_out")


def test_every_number_and_sign_is_changed_once(tmp_path):
    (tmp_path / "cost.py").write_text(
        'WIDTH = 0.5\n\ndef cost(n: int = 3) -> int:\n    return 2 * n ** 2 - len("a" + "b")\n'
    )
    found = [(each.change, each.in_function, ast.unparse(each.tree)) for each in mutants_of("cost.py", tmp_path)]
    assert [change for change, _, _ in found] == [
        "0.5 -> 1.5",
        "3 -> 4",
        "- -> +",
        "* -> //",
        "2 -> 3",
        "** -> *",
        "2 -> 3",
    ]
    assert [inside for _, inside, _ in found] == [False, False, True, True, True, True, True]
    assert "return 2 * n ** 2 + len(" in found[2][2] and "return 3 * n ** 2 - len(" in found[4][2]


def test_a_sample_of_changed_formulas_fails_the_counts_by_hand():
    files = [f"profiles/formulas/{name}.py" for name in ("matmul", "grouped_matmul")]
    tests = [f"tests/test_formulas_{name}.py" for name in TESTS]
    command = [sys.executable, "-m", "tests.mutation", *files, "--sample", "20", "--tests", *tests]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=600)
    found = re.search(r"20 changes: (\d+) noticed, (\d+) without effect", done.stdout)
    assert found, done.stdout + done.stderr
    assert int(found[1]) + int(found[2]) >= 18, done.stdout


def test_tests_that_fail_anyway_notice_nothing(tmp_path):
    path = tmp_path / "test_sums.py"
    path.write_text("def test_sums():\n    assert 1 + 1 == 3\n")
    command = [sys.executable, "-m", "tests.mutation", "profiles/formulas/fft.py", "--tests", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=600)
    assert done.returncode and "noticed" not in done.stdout
    assert "test_sums fails without any change" in done.stderr
