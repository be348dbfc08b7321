"""In the command's own process transformers comes without what no trace needs, and counts the same."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from profiles import lean_imports

TINY = "hf:llama,num_hidden_layers=3,hidden_size=64,intermediate_size=96,num_attention_heads=4,vocab_size=100"
HEAVY = ("torch._inductor", "accelerate", "scipy", "torchvision", "torch.distributed.tensor")
WHOLE = ("transformers", "transformers.models", "sympy")
"""Packages of which parts alone are wanted."""
COUNT = f"""
import json, sys, __main__
__main__.__file__ = PROCESS
from profiles.definitions import profile_definition
from profiles.models import resolve
profile = profile_definition(resolve(sys.argv[1]))
loaded = [name for name in {HEAVY} if name in sys.modules]
loaded += [name for name in {WHOLE} if name in sys.modules and type(sys.modules[name]).__name__ != "StandIn"]
print(json.dumps([loaded, profile.flops.total, profile.bytes_moved.total, profile.peak_memory_bytes]))
"""


def counted(process: str, model: str) -> tuple[list[str], list[int]]:
    code = COUNT.replace("PROCESS", repr(process))
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
    ("program", "arguments", "own"),
    [
        ("/usr/bin/flopcast", ["profile", "gpt2"], True),
        ("/usr/bin/flopcast", ["profile", "gpt2", "--compare", "detr"], False),
        ("/usr/bin/flopcast", ["profile", "gpt2", "--cross-check"], False),
        ("/usr/bin/flopcast", ["dashboard"], False),
        ("/usr/bin/pytest", [], False),
        ("/home/me/many_models.py", ["profile", "gpt2"], False),
        (None, ["profile", "gpt2"], False),
    ],
)
def test_only_a_command_about_one_model_is_a_process_of_our_own(monkeypatch, program, arguments, own):
    monkeypatch.setattr(sys.modules["__main__"], "__file__", program, raising=False)
    monkeypatch.setattr(sys, "argv", ["flopcast", *arguments])
    assert lean_imports.own_process() == own


def test_nothing_is_hidden_in_a_process_of_others():
    assert not lean_imports.own_process()
    import transformers.utils.import_utils as asked

    before = asked.is_scipy_available()
    lean_imports.prepare("llama")
    assert asked.is_scipy_available() == before


def test_the_compiler_comes_when_it_is_called():
    code = """
import __main__
__main__.__file__ = "flopcast"
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


@pytest.mark.parametrize(
    "first",
    [
        "import torch._dynamo.utils",
        "import torch._dynamo.config",
        "import sympy.core.basic",
        "import torch.fx.experimental.symbolic_shapes as shapes; shapes.ShapeEnv()",
    ],
)
def test_any_part_of_what_has_a_stand_in_can_be_imported_at_any_time(first):
    code = f"""
import sys, __main__
__main__.__file__ = "flopcast"
import torch
from profiles.lean_imports import compiler_is_loaded, prepare
prepare("llama")
assert not compiler_is_loaded()
{first}
import torch._dynamo.utils
import torch._dynamo as compiler
assert torch._dynamo.utils is sys.modules["torch._dynamo.utils"] is compiler.utils
assert compiler.utils.counters is compiler.exc.counters  # executed once
assert compiler.utils.__spec__.loader.get_filename("torch._dynamo.utils") == compiler.utils.__file__
import sympy
from sympy.core.symbol import Symbol
assert issubclass(Symbol, sympy.Basic) and Symbol is sympy.Symbol is sympy.core.symbol.Symbol
from torch.fx.experimental.symbolic_shapes import ShapeEnv
assert isinstance(ShapeEnv().create_unbacked_symint(), torch.SymInt)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)


MANY = """
import json, sys, __main__
__main__.__file__ = PROCESS
from profiles.definitions import profile_definition
from profiles.models import resolve
from profiles.request import ProfileRequest
for model in sys.argv[1:]:
    profile = profile_definition(resolve(model), ProfileRequest(batch_size=2, mode="forward"))
    print(json.dumps([profile.flops.total, profile.bytes_moved.total, profile.peak_memory_bytes, profile.rung]))
"""


def counts(models: list[str], process: str) -> list[list[object]]:
    code = MANY.replace("PROCESS", repr(process))
    done = subprocess.run([sys.executable, "-c", code, *models], capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.slow
def test_models_of_several_packages_in_one_process_count_as_alone():
    bert, resnet, gpt2 = "hf:bert,num_hidden_layers=1", "timm:resnet18", "hf:gpt2,n_layer=1"
    pytest.importorskip("timm")
    alone = {model: counts([model], "notebook")[0] for model in (bert, resnet, gpt2)}
    together = counts([bert, resnet, gpt2, bert], "/usr/bin/flopcast")
    assert together == [alone[bert], alone[resnet], alone[gpt2], alone[bert]]


@pytest.mark.slow
def test_commands_in_one_process_answer_like_commands_alone(tmp_path):
    """A wrong name after a model of another package is a wrong name, not a mistake of ours."""
    code = """
import sys, __main__
__main__.__file__ = "flopcast"
from estimator.cli import main
for model in ("hf:bert,num_hidden_layers=1", "timm:resnet18", "timm:resnet5000"):
    try:
        main(["profile", model, "--inference", "--json"])
    except SystemExit as left:
        print("left with", left.code)
"""
    pytest.importorskip("timm")
    home = {"XDG_CACHE_HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=500, env=home)
    assert [line for line in done.stdout.splitlines() if line.startswith("left")] == [
        f"left with {n}" for n in (0, 0, 2)
    ]
    assert "No model 'resnet5000'" in done.stderr


@pytest.mark.slow
def test_two_models_of_different_packages_are_compared_in_one_process(tmp_path):
    pytest.importorskip("timm")
    code = """
import sys, __main__
__main__.__file__ = "flopcast"
from estimator.cli import main
main()
"""
    words = ["compare", "hf:bert,num_hidden_layers=1@h100-sxm", "timm:resnet18@h100-sxm", "--samples", "1M", "--json"]
    home = {"XDG_CACHE_HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, timeout=500, env=home)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert all(found[side]["step_time_s"] > 0 and found[side]["device"] == "h100-sxm" for side in "ab"), found


@pytest.mark.slow
@pytest.mark.parametrize("process", ["flopcast", "notebook"])
def test_other_tools_count_gpt2_on_fake_tensors(process):
    pytest.importorskip("fvcore")
    code = f"""
import __main__
__main__.__file__ = {process!r}
from profiles.cross_check import cross_check
from profiles.models import resolve
from profiles.request import ProfileRequest
found = cross_check(resolve("gpt2"), request=ProfileRequest(batch_size=1, sequence_length=64))
assert found.notes[0].startswith("fvcore ran on meta"), found.notes
assert found.notes[1].startswith("FlopCounterMode ran on fake"), found.notes
# A layer: q, k, v, out and two of 4 x 768, and the two products of attention; the head of 50,257 words.
layer = 2 * 64 * 12 * 768**2 + 2 * 2 * 64 * 64 * 768
assert found.total.flopcast == found.total.flop_counter_mode == 12 * layer + 2 * 64 * 768 * 50257, found.total
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=500)
