"""What is to be traced: mode, precision, optimizer and the kind of device whose kernels are counted."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

import torch

from hardware_db.errors import UsageError
from profiles.request import TARGETS

Mode = Literal["train", "forward"]
OptimizerFactory = Callable[[Iterable[torch.nn.Parameter]], torch.optim.Optimizer]


@dataclass(frozen=True, slots=True)
class Precision:
    """How a precision is put into effect.

    weights    dtype that float weights and inputs are converted to; None leaves them as they are
    autocast   lower dtype of autocast; None without mixed precision
    products   precision in which float32 products run ("tf32" on tensor cores)
    linear     precision in which the products of linear layers run, whatever the dtype of their tensors
    """

    weights: torch.dtype | None = None
    autocast: torch.dtype | None = None
    products: str = "float32"
    linear: str | None = None


PRECISIONS = {
    "float64": Precision(weights=torch.float64),
    "float32": Precision(weights=torch.float32),
    "tf32": Precision(weights=torch.float32, products="tf32"),
    "float16": Precision(weights=torch.float16),
    "bfloat16": Precision(weights=torch.bfloat16),
    "amp_float16": Precision(weights=torch.float32, autocast=torch.float16),
    "amp_bfloat16": Precision(weights=torch.float32, autocast=torch.bfloat16),
    "float8": Precision(weights=torch.bfloat16, linear="float8"),
}


@dataclass(frozen=True, slots=True)
class StepSettings:
    """One question to the tracer.

    mode        "train": forward, loss, backward and optimizer step; "forward": inference without gradients
    precision   one of `PRECISIONS`
    optimizer   name from `profiles.trace.optimizers`, or a function from parameters to an optimizer
    device      kind of device whose kernels are counted: "cuda", "cpu", "tpu" ...; none needs to be there
    """

    mode: Mode = "train"
    precision: str = "float32"
    optimizer: str | OptimizerFactory = "adamw"
    device: str = "cuda"

    def __post_init__(self) -> None:
        if self.mode not in ("train", "forward"):
            raise UsageError(f"Mode {self.mode!r} is unknown. Use 'train' or 'forward'")
        if self.precision not in PRECISIONS:
            raise UsageError(f"Models cannot be traced in {self.precision!r}. Use one of: {', '.join(PRECISIONS)}")
        if self.device not in TARGETS:
            known = ", ".join(TARGETS)
            raise UsageError(f"{self.device!r} is no kind of device whose kernels are known. Use one of: {known}")

    @property
    def arithmetic(self) -> Precision:
        """How the precision is put into effect."""
        return PRECISIONS[self.precision]
