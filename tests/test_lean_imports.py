"""In the command's own process transformers comes without what no trace needs, and counts the same."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from profiles import lean_imports

TINY = "hf:llama,num_hidden_layers=3,hidden_size=64,intermediate_size=96,num_attention_heads=4,vocab_size=100"
HEAVY = ("torch._inductor", "accelerate", "scipy", "torchvision", "torch.distributed.tensor")
COUNT = f"""
import json, sys
sys.argv = [sys.argv[1], sys.argv[2]]
from profiles.definitions import profile_definition
from profiles.models import resolve
profile = profile_definition(resolve(sys.argv[1]))
loaded = [name for name in {HEAVY} if name in sys.modules]
print(json.dumps([loaded, profile.flops.total, profile.bytes_moved.total, profile.peak_memory_bytes]))
"""


def counted(process: str, model: str) -> tuple[list[str], list[int]]:
    code = COUNT.replace("[sys.argv[1], sys.argv[2]]", f"[{process!r}, sys.argv[1]]")
    done = subprocess.run([sys.executable, "-c", code, model], capture_output=True, text=True, check=True, timeout=500)
    loaded, *figures = json.loads(done.stdout.splitlines()[-1])
    return loaded, figures


def test_the_command_loads_nothing_that_it_does_not_use():
    loaded, figures = counted("/usr/bin/flopcast", TINY)
    assert loaded == []
    parameters = 2 * 100 * 64 + 64 + 3 * (4 * 64**2 + 3 * 64 * 96 + 2 * 64)
    assert figures[2] > 16 * parameters  # weights, gradients and two moments in float32


@pytest.mark.slow
@pytest.mark.parametrize("model", [TINY, "gpt2", "vit-b-16", "whisper-small", "hf:detr", "hf:maskformer", "hf:mixtral"])
def test_the_command_counts_what_any_other_process_counts(model):
    assert counted("flopcast", model)[1] == counted("notebook", model)[1]


def test_packages_that_a_model_names_are_not_hidden():
    assert "scipy" not in lean_imports._unused("detr")
    assert {"scipy", "accelerate", "torchvision"} <= lean_imports._unused("llama")


@pytest.mark.parametrize(
    ("arguments", "own"),
    [
        (["/usr/bin/flopcast", "profile", "gpt2"], True),
        (["flopcast", "profile", "gpt2", "--compare", "detr"], False),
        (["flopcast", "dashboard"], False),
        (["/usr/bin/pytest"], False),
        ([], False),
    ],
)
def test_only_a_command_about_one_model_is_a_process_of_our_own(monkeypatch, arguments, own):
    monkeypatch.setattr(sys, "argv", arguments)
    assert lean_imports.own_process() == own


def test_nothing_is_hidden_in_a_process_of_others():
    assert not lean_imports.own_process()
    import transformers.utils.import_utils as asked

    before = asked.is_scipy_available()
    lean_imports.prepare("llama")
    assert asked.is_scipy_available() == before


def test_the_compiler_comes_when_it_is_called():
    code = """
import sys
sys.argv = ["flopcast"]
import torch
from profiles.lean_imports import compiler_is_loaded, prepare
prepare("llama")
model = torch.nn.Linear(2, 2)
torch.optim.SGD(model.parameters(), lr=0.1).step()
assert not compiler_is_loaded()
torch._dynamo.reset()
assert compiler_is_loaded()
assert torch.compile(model, backend="eager")(torch.ones(1, 2)).shape == (1, 2)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)
