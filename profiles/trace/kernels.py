"""While a step is traced, composite operators become the kernels of the target device; afterwards nothing remains."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch

from profiles.trace.attention import scaled_dot_product_attention
from profiles.trace.real_kernels import real_kernels
from profiles.trace.recurrent import cudnn_replacements, onednn_replacements
from profiles.trace.shapes import meta_kernels
from profiles.trace.spectra import spectral_replacements

_AUTOGRAD = {"meta": "AutogradMeta", "cpu": "AutogradCPU"}


@contextmanager
def kernels_of(target: str, device: str, real: bool = False) -> Iterator[None]:
    """Replace torch's choice of kernels by that of `target` ("cuda", "cpu", "tpu" ...).

    Parameters
    ----------
    target
        Kind of device whose kernels are wanted.
    device
        Device type of the tensors that carry the trace.
    real
        Whether these have values, which the kernels of an accelerator then give too.
    """
    if real and target == "cpu":
        yield  # torch's own choice
        return
    library = torch.library.Library("aten", "IMPL")  # type: ignore[no-untyped-call]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # overriding a kernel is announced once per process
            for operator, kernel in _replacements(target).items():
                library.impl(operator, kernel, _AUTOGRAD[device])  # type: ignore[no-untyped-call]
            for operator, kernel in meta_kernels():
                library.impl(operator, kernel, "Meta", allow_override=True)  # type: ignore[no-untyped-call]
            for operator, kernel in real_kernels() if real else ():
                library.impl(operator, kernel, "CPU")  # type: ignore[no-untyped-call]
        with _fused_optimizers():
            yield
    finally:
        library._destroy()  # type: ignore[no-untyped-call]


@contextmanager
def _fused_optimizers() -> Iterator[None]:
    """Let optimizers be fused on symbolic tensors too."""
    module: Any = sys.modules[torch.optim.Optimizer.__module__]  # torch.optim hides its submodule
    supported = module._get_fused_kernels_supported_devices
    module._get_fused_kernels_supported_devices = lambda: [*supported(), "meta"]
    try:
        yield
    finally:
        module._get_fused_kernels_supported_devices = supported


def _replacements(target: str) -> dict[str, Callable[..., Any]]:
    attention = {"scaled_dot_product_attention": partial(scaled_dot_product_attention, device=target)}
    common: dict[str, Callable[..., Any]] = {**attention, **spectral_replacements()}
    if target == "cpu":
        return {**common, **onednn_replacements("cpu")}
    return {**common, **cudnn_replacements("cuda"), "dropout": _dropout}


def _dropout(tensor: torch.Tensor, p: float, train: bool) -> torch.Tensor:
    """One fused kernel where there is something to drop (aten/src/ATen/native/Dropout.cpp)."""
    if not train or p == 0 or not tensor.numel():
        return tensor
    if p == 1:
        return tensor * torch.zeros((), dtype=tensor.dtype, device=tensor.device)
    result: torch.Tensor = torch.ops.aten.native_dropout(tensor, p, train)[0]
    return result
