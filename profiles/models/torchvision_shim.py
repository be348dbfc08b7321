"""Let torchvision be imported next to a torch that its compiled part was not built for.

The wheel on the package index expects its own operators `torchvision::nms` and `qnms`; next to a CPU-only torch they
are missing, and importing torchvision - or transformers, which imports it where it finds it - fails. Declaring the two
schemas first is enough for every network that does not call them. Detectors do call `nms` and `roi_align`; these get
kernels for symbolic tensors here, and as nobody knows which boxes overlap, all are kept.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

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


@functools.cache
def let_detect() -> Any:
    """Let detectors of torchvision run on symbolic tensors, also where its own operators did not load.

    Call after importing torchvision; keep what is returned.
    """
    import torch

    from profiles.models.sampled_regions import sample_at_most

    sample_at_most()
    library: Any = torch.library.Library("torchvision", "IMPL")  # type: ignore[no-untyped-call]
    library.impl("nms", _all_kept, "Meta", allow_override=True)
    boxes: Any = importlib.import_module("torchvision.ops.boxes")
    boxes._batched_nms_vanilla = boxes._batched_nms_coordinate_trick  # one call for all classes instead of one for each
    lacking = prepare()
    if lacking is not None:
        for name in ("boxes", "roi_align"):
            importlib.import_module(f"torchvision.ops.{name}")._assert_has_ops = lambda: None  # type: ignore[attr-defined]
        lacking.define(f"roi_align(Tensor input, Tensor rois, {_POOLED}, {_SAMPLED}) -> Tensor")
        lacking.define(f"_roi_align_backward(Tensor grad, Tensor rois, {_POOLED}, {_IMAGE}, {_SAMPLED}) -> Tensor")
        lacking.impl("roi_align", _aligned, "Meta")
        lacking.impl("_roi_align_backward", _unaligned, "Meta")
        torch.library.register_autograd("torchvision::roi_align", _align_backward, setup_context=_remember, lib=lacking)
    return library


# Arguments of the operators as torchvision declares them (torchvision/csrc/ops/roi_align.cpp).
_POOLED = "float spatial_scale, SymInt pooled_height, SymInt pooled_width"
_SAMPLED = "int sampling_ratio, bool aligned"
_IMAGE = "SymInt batch_size, SymInt channels, SymInt height, SymInt width"


def _aligned(image: torch.Tensor, rois: torch.Tensor, scale: float, *pooled: Any) -> torch.Tensor:
    """Features of every region, [regions, channels, pooled height, pooled width]."""
    return image.new_empty((rois.shape[0], image.shape[1], pooled[0], pooled[1]))


def _unaligned(grad: torch.Tensor, rois: torch.Tensor, *sizes: Any) -> torch.Tensor:
    return grad.new_empty(sizes[3:7])


def _remember(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> None:
    image, rois, *ctx.pooled = inputs
    ctx.shape = image.shape
    ctx.save_for_backward(rois)


def _align_backward(ctx: Any, grad: torch.Tensor) -> tuple[Any, ...]:
    import torch

    scale, height, width, sampling, aligned = ctx.pooled
    (rois,) = ctx.saved_tensors
    back = torch.ops.torchvision._roi_align_backward(grad, rois, scale, height, width, *ctx.shape, sampling, aligned)
    return back, *(None,) * 6


def _all_kept(boxes: torch.Tensor, scores: torch.Tensor, threshold: float) -> torch.Tensor:
    import torch

    return scores.new_empty(scores.shape, dtype=torch.int64)


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
