"""Import transformers without the packages that no model needs to be traced, where nothing else runs in the process.

The file of a transformers model imports half of torch besides: its compiler, its distributed tensors, accelerate,
SciPy and torchvision, which take twice as long as all the rest. transformers asks once for each whether it is there;
the command `flopcast`, whose process does nothing but answer, lets it hear no. In anyone else's process nothing is
done: what is hidden here would be missing there.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import sys
from pathlib import Path
from typing import Any

from profiles.models.hf_tables import heads
from profiles.stand_ins import StandIn, compiler, symbolic_algebra, symbolic_shapes

COMMAND = "flopcast"
_SEVERAL_MODELS = frozenset(
    {"dashboard", "benchmark", "validate", "campaign", "portfolio", "claims", "compare", "--compare", "--cross-check"}
)
"""What is hidden for the sake of one model may be what the next one needs, or another tool that counts it."""
_USES = {
    "accelerate": ("is_accelerate_available",),
    "scipy": ("is_scipy_available",),
    "torchvision": ("is_torchvision_available", "is_torchvision_v2_available"),
}
"""Package -> the questions of transformers that hide it where they are answered with no."""
_LISTS_ALL_MODELS = ("transformers", "transformers.models")
"""Packages that read the file of every model, to know its names, when they are opened."""
_NEEDY_HEADS = ("Detection", "Segmentation", "Matching")
"""Classes whose losses match boxes and masks: with SciPy, torchvision and accelerate."""


def own_process() -> bool:
    """Tell whether this process is the command, which neither compiles nor distributes, and answers for one model.

    A script that calls the command's function may call it again, for another model.
    """
    program = getattr(sys.modules.get("__main__"), "__file__", None) or ""
    return Path(program).stem == COMMAND and not _SEVERAL_MODELS & set(sys.argv[1:])


def prepare(model_type: str) -> None:
    """Let transformers come without what models of a type do not use, in a process of our own; call it before that."""
    if not own_process() or "transformers" in sys.modules:
        return
    version = {"__version__": importlib.metadata.version("transformers")}
    for package in _LISTS_ALL_MODELS:
        sys.modules[package] = StandIn(package, version, parts="all")
    expect_numbers()
    unused = _unused(model_type)
    if "torchvision" in unused:  # which wants the real compiler
        sys.modules.setdefault("torch._dynamo", compiler())
    _hide(unused)
    _open_once()


def prepare_own() -> None:
    """Let torch come without its compiler for networks of our own, which neither compile nor import anything else."""
    if own_process():
        expect_numbers()
        sys.modules.setdefault("torch._dynamo", compiler())


def expect_numbers() -> None:
    """Let torch's shape functions work on plain numbers without SymPy: no size is a symbol here."""
    importlib.import_module("torch.fx.experimental")  # the stand-in goes into its package
    sys.modules.setdefault("sympy", symbolic_algebra())
    sys.modules.setdefault("torch.fx.experimental.symbolic_shapes", symbolic_shapes())


def compiler_is_loaded() -> bool:
    """Tell whether torch's compiler has been imported, and not just its stand-in."""
    return not isinstance(sys.modules.get("torch._dynamo"), StandIn | None)


def _unused(model_type: str) -> set[str]:
    """Packages that neither the code of a model type names nor a loss of one of its classes."""
    if any(needy in name for name in heads(model_type) for needy in _NEEDY_HEADS):
        return set()
    folder = Path(_folder("transformers"), "models", model_type.replace("-", "_"))
    source = "".join(file.read_text("utf-8") for file in folder.glob("modeling_*.py"))
    return {package for package in _USES if source and package not in source}


def _folder(package: str) -> str:
    found = importlib.util.find_spec(package)
    return str(Path(found.origin).parent) if found is not None and found.origin is not None else ""


def _open_once() -> None:
    """Let transformers.processing_utils, which wants the whole package for processors alone, have the stand-in."""
    from transformers import utils

    def opened(path: str, file: str = "__init__.py") -> Any:
        return sys.modules["transformers"]

    utils.direct_transformers_import = opened


def _hide(packages: set[str]) -> None:
    """Have transformers ask, once, for packages that it is not to find, and for torch's distributed part."""
    import torch
    from transformers.utils import import_utils

    asked = importlib.util.find_spec
    available = torch.distributed.is_available

    def find_spec(name: str, package: str | None = None) -> Any:
        return None if name in packages else asked(name, package)

    importlib.util.find_spec, torch.distributed.is_available = find_spec, lambda: False
    try:
        for question in ("is_torch_distributed_available", *(each for name in packages for each in _USES[name])):
            answer = getattr(import_utils, question)
            answer.cache_clear()
            answer()
    finally:
        importlib.util.find_spec, torch.distributed.is_available = asked, available
