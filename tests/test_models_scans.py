"""Model types whose recurrence has a kernel in another package say that it is not what was counted."""

import importlib.util
from pathlib import Path

import pytest

from profiles.models import resolve
from profiles.models.hf_scans import KERNELS, note


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_table_names_the_types_whose_files_name_the_kernel(kernel):
    found = importlib.util.find_spec("transformers")
    if found is None or found.origin is None:
        pytest.skip("transformers is not installed")
    files = Path(found.origin).parent.glob("models/*/modeling_*.py")
    assert {file.parent.name for file in files if kernel in file.read_text("utf-8")} == KERNELS[kernel][1]


def test_mamba_says_that_its_scan_runs_step_by_step():
    pytest.importorskip("transformers")
    assert any("without mamba-ssm" in line for line in resolve("hf:mamba,num_hidden_layers=2").notes)
    assert note("llama") == ()
