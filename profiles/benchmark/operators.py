"""Operators that move data: which measured one each of them is like."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_MEASURED: Final = frozenset(
    (
        "add",
        "mul",
        "add_",
        "mul_",
        "div",
        "sqrt",
        "lerp_",
        "addcmul_",
        "addcdiv_",
        "relu",
        "threshold_backward",
        "gelu",
        "gelu_backward",
        "silu",
        "silu_backward",
        "tanh",
        "sigmoid",
        "exp",
        "where",
        "_softmax",
        "_softmax_backward_data",
        "_log_softmax",
        "_log_softmax_backward_data",
        "native_layer_norm",
        "native_layer_norm_backward",
        "native_batch_norm",
        "native_batch_norm_backward",
        "max_pool2d_with_indices_backward",
        "mean",
        "sum",
        "bernoulli_",
        "clone",
        "cat",
        "embedding",
        "embedding_dense_backward",
    )
)

_LIKE: Final[Mapping[str, str]] = {
    "sub": "add",
    "rsub": "add",
    "sub_": "add_",
    "neg": "relu",
    "div_": "mul_",
    "sqrt_": "sqrt",
    "rsqrt": "sqrt",
    "pow": "mul",
    "relu_": "mul_",
    "hardtanh": "relu",
    "hardtanh_": "mul_",
    "hardtanh_backward": "threshold_backward",
    "clamp": "relu",
    "silu_": "silu",
    "tanh_": "tanh",
    "sigmoid_": "sigmoid",
    "tanh_backward": "threshold_backward",
    "sigmoid_backward": "threshold_backward",
    "masked_fill": "where",
    "zeros": "relu",
    "zeros_like": "relu",
    "fill_": "mul_",
    "zero_": "mul_",
    "copy_": "relu",
    "_to_copy": "relu",
    "stack": "cat",
    "index_select": "embedding",
    "gather": "embedding",
    "index": "embedding",
    "native_dropout": "bernoulli_",
    "native_group_norm": "native_layer_norm",
    "native_group_norm_backward": "native_layer_norm_backward",
    "_native_batch_norm_legit": "native_batch_norm",
    "avg_pool2d": "mean",
    "_adaptive_avg_pool2d": "mean",
}
"""Operators whose loops look alike, by what PyTorch's CPU kernels do."""

_FAMILIES: Final[Mapping[str, str]] = {
    "activation": "silu",
    "elementwise": "add",
    "optimizer": "addcdiv_",
    "reduction": "sum",
    "loss": "sum",
    "normalisation": "native_layer_norm",
    "softmax": "_softmax",
    "pooling": "mean",
    "random": "bernoulli_",
    "embedding": "embedding",
}


def traffic_like(operator: str, family: str) -> str:
    """Return the measured operator that this one takes as long as, byte for byte.

    >>> traffic_like("aten.hardtanh_backward", "activation"), traffic_like("aten.roll", "copy")
    ('threshold_backward', 'clone')
    """
    name = operator.removeprefix("aten.")
    if name in _MEASURED:
        return name
    return _LIKE.get(name) or _FAMILIES.get(family, "clone")
