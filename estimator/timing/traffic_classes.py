"""Kinds of memory traffic: operations of one kind reach about the same share of a device's memory bandwidth."""

from __future__ import annotations

from typing import Final

TRAFFIC_CLASSES: Final = (
    "elementwise",
    "copy",
    "layer_norm",
    "batch_norm",
    "batch_norm_training",
    "softmax",
    "reduction",
    "embedding",
    "pooling",
    "pooling_backward",
    "indexing",
    "optimizer",
)

_BY_FAMILY: Final = {
    "normalisation": "layer_norm",
    "softmax": "softmax",
    "activation": "elementwise",
    "elementwise": "elementwise",
    "reduction": "reduction",
    "embedding": "embedding",
    "pooling": "pooling",
    "loss": "reduction",
    "random": "elementwise",
    "fft": "indexing",
    "sparse": "indexing",
    "copy": "copy",
    "view": "copy",
    "optimizer": "optimizer",
    "other": "elementwise",
}

_INDEXING: Final = ("index", "gather", "scatter", "take", "nonzero", "topk", "sort", "upsample", "grid_sampler", "roll")


def traffic_class(operator: str, family: str, training: bool) -> str:
    """Return one of `TRAFFIC_CLASSES` for an operator ("aten.native_batch_norm") and its family ("normalisation").

    In inference batch normalisation is an element-wise operation; in `training` it gathers statistics first.
    """
    name = operator.partition(".")[2]
    if name.startswith("_foreach_") or name.startswith("_fused_adam") or name.startswith("_fused_sgd"):
        return "optimizer"
    if "batch_norm" in name:
        return "batch_norm_training" if training else "batch_norm"
    if family == "pooling" and "backward" in name:
        return "pooling_backward"
    if family not in ("embedding", "view") and name.startswith(_INDEXING):
        return "indexing"
    return _BY_FAMILY.get(family, "elementwise")
