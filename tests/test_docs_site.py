"""The documentation builds without a warning, and what it recommends for continuous integration works."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODEL = """
import torch

def build_model():
    return torch.nn.Sequential(torch.nn.Linear(512, {width}), torch.nn.ReLU(), torch.nn.Linear({width}, 10))
"""


def test_the_site_builds_without_a_warning(tmp_path):
    pytest.importorskip("furo")
    pytest.importorskip("myst_parser")
    build = ["--fail-on-warning", "--keep-going", "-q", "-b", "html", "-d", str(tmp_path / "trees")]
    command = [sys.executable, "-m", "sphinx", *build, str(ROOT / "docs"), str(tmp_path / "site")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "site" / "api.html").read_text(encoding="utf-8")
    assert "profile_model" in page and "global_batch_size" in page


def test_every_page_is_in_the_table_of_contents():
    listed = set(re.findall(r"^([a-z_]+)$", (ROOT / "docs" / "index.md").read_text(), re.MULTILINE))
    assert listed == {page.stem for page in ROOT.glob("docs/*.md")} - {"index"}


@pytest.mark.slow
def test_the_gate_of_pull_requests_lets_the_same_pass_and_refuses_the_dearer(tmp_path):
    pytest.importorskip("torch")
    page = (ROOT / "docs" / "ci.md").read_text()
    record, compare, _, _ = (line.split() for line in re.findall(r"^    (flopcast .+)$", page, re.MULTILINE))
    for width, code in ((1024, 0), (2048, 1)):
        (tmp_path / "train.py").write_text(MODEL.format(width=width))
        for words in [record, compare] if width == 1024 else [compare]:
            done = subprocess.run(
                [sys.executable, "-m", "estimator", *words[1:]], capture_output=True, text=True, cwd=tmp_path
            )
        assert done.returncode == code, done.stderr
    rows = [line for line in page.splitlines() if "**too much**" in line]
    assert len(rows) == 2 and all(row in done.stdout for row in rows)


@pytest.mark.slow
def test_the_gate_of_dollars_refuses_a_dearer_run(tmp_path):
    pytest.importorskip("torch")
    page = (ROOT / "docs" / "ci.md").read_text()
    _, _, record, compare = re.findall(r"^    (flopcast .+)$", page, re.MULTILINE)
    (tmp_path / "train.py").write_text(MODEL.format(width=1024))
    for words, code in ((record, 0), (compare, 0), (compare.replace("h100-sxm=3", "h100-sxm=4"), 1)):
        command = [sys.executable, "-m", "estimator", *words.split()[1:]]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=300)
        assert done.returncode == code, done.stderr
    assert "| cost |" in done.stdout and "+33.3 %" in done.stdout


@pytest.mark.slow
def test_the_cookbook_shows_what_the_commands_print():
    page = ROOT / "docs" / "cookbook.py"
    done = subprocess.run([sys.executable, str(page)], capture_output=True, text=True, timeout=600, cwd=ROOT)
    assert done.stdout == page.with_suffix(".md").read_text(encoding="utf-8"), "python docs/cookbook.py > the page"
