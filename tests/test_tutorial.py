"""The tutorial notebook runs as it is, and says what it says."""

from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parent.parent / "docs" / "tutorial.ipynb"


def test_every_cell_runs_and_draws_itself():
    pytest.importorskip("torch")
    pytest.importorskip("ipykernel")
    nbclient = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    kept = nbformat.read(NOTEBOOK, as_version=4)
    run = nbclient.NotebookClient(nbformat.read(NOTEBOOK, as_version=4), timeout=200).execute()
    cells = [cell for cell in run.cells if cell.cell_type == "code"]
    shown = [cell.outputs[-1]["data"] for cell in cells]
    counted, by_hand, sizes, options, frontier, why = shown
    first, second = eval(by_hand["text/plain"])
    assert first == second == 2 * 64 * 32 * 32 * 64 * 27
    assert len(eval(sizes["text/plain"])) == 3
    assert all("<table" in drawn["text/html"] for drawn in (counted, options))
    assert len(eval(frontier["text/plain"])) >= 1 and why["text/plain"]
    before = [cell.outputs[-1]["data"]["text/plain"] for cell in kept.cells if cell.cell_type == "code"]
    assert before[1:3] == [by_hand["text/plain"], sizes["text/plain"]], "what the notebook shows is stale"
