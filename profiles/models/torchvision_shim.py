"""Let torchvision be imported next to a torch that its compiled part was not built for.

The wheel on the package index expects its own operators `torchvision::nms` and `qnms`; next to a CPU-only torch they
are missing, and importing torchvision - or transformers, which imports it where it finds it - fails. Declaring the two
schemas first is enough for every network that does not call them.
"""

from __future__ import annotations

import functools
import importlib.util
from typing import Any

_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


@functools.cache
def prepare() -> Any:
    """Declare the operators torchvision lacks, once, if its compiled part does not load. Call before importing it."""
    found = importlib.util.find_spec("torchvision")
    if found is None or _loads(found.submodule_search_locations):
        return None
    import torch

    library = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
    for name in ("nms", "qnms"):
        if not hasattr(torch.ops.torchvision, name):
            library.define(name + _SCHEMA)  # type: ignore[no-untyped-call]
    return library


def _loads(folders: Any) -> bool:
    """Tell whether torchvision's compiled part loads into this torch."""
    import torch

    for folder in folders or ():
        for library in sorted(_compiled(folder)):
            try:
                torch.ops.load_library(library)  # type: ignore[no-untyped-call]
            except OSError:
                continue
            return True
    return False


def _compiled(folder: str) -> list[str]:
    from pathlib import Path

    return [str(path) for path in Path(folder).glob("_C*") if path.suffix in (".so", ".pyd", ".dll")]
