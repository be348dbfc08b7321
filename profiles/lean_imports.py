"""Import transformers without the packages that no model needs to be traced, where nothing else runs in the process.

The file of a transformers model imports half of torch besides: its compiler, its distributed tensors, accelerate,
SciPy and torchvision, which take twice as long as all the rest. transformers asks once for each whether it is there;
the command `flopcast`, whose process does nothing but answer, lets it hear no. In anyone else's process nothing is
done: what is hidden here would be missing there.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from profiles.models.hf_tables import heads

COMMAND = "flopcast"
_SEVERAL_MODELS = frozenset({"dashboard", "benchmark", "validate", "--compare"})
"""What is hidden for the sake of one model may be what the next one needs."""
_USES = {
    "accelerate": ("is_accelerate_available",),
    "scipy": ("is_scipy_available",),
    "torchvision": ("is_torchvision_available", "is_torchvision_v2_available"),
}
"""Package -> the questions of transformers that hide it where they are answered with no."""
_MARKS = ("disable", "assume_constant_result", "allow_in_graph")
"""Decorators that mark functions for the compiler."""
_NEEDY_HEADS = ("Detection", "Segmentation", "Matching")
"""Classes whose losses match boxes and masks: with SciPy, torchvision and accelerate."""


def own_process() -> bool:
    """Tell whether this process is the command, which neither compiles nor distributes, and answers for one model."""
    program, *arguments = sys.argv or [""]
    return Path(program).stem == COMMAND and not _SEVERAL_MODELS & set(arguments)


def prepare(model_type: str) -> None:
    """Let transformers come without what models of a type do not use, in a process of our own; call it before that."""
    if not own_process() or "transformers.modeling_utils" in sys.modules:
        return
    unused = _unused(model_type)
    if "torchvision" in unused:  # which wants the real compiler
        sys.modules.setdefault("torch._dynamo", _Uncompiled())
    _hide(unused)


def compiler_is_loaded() -> bool:
    """Tell whether torch's compiler has been imported, and not just its stand-in."""
    return not isinstance(sys.modules.get("torch._dynamo"), _Uncompiled | None)


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


class _Uncompiled(ModuleType):
    """Stands in for torch's compiler where it is told something that only compiling needs; gives way to it else."""

    def __init__(self) -> None:
        super().__init__("torch._dynamo")
        self.__path__ = [str(Path(_folder("torch"), "_dynamo"))]

    @staticmethod
    def graph_break(*args: Any, **options: Any) -> None:
        """Nothing is compiled: there is no graph."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if name in _MARKS:
            return _unmarked
        if sys.modules.get("torch._dynamo") is self:
            del sys.modules["torch._dynamo"]
        return getattr(importlib.import_module("torch._dynamo"), name)


def _unmarked(function: Any = None, *args: Any, **options: Any) -> Any:
    return function if function is not None else _unmarked
