"""Optimizers by name, as torch runs them by default on the target device."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch

from hardware_db.errors import UsageError
from profiles.trace.settings import StepSettings

Build = Callable[..., torch.optim.Optimizer]
Options = dict[str, Any]

OPTIMIZERS: dict[str, tuple[str, Options]] = {
    "adamw": ("AdamW", {}),
    "adam": ("Adam", {}),
    "adamw-fused": ("AdamW", {"fused": True}),
    "adam-fused": ("Adam", {"fused": True}),
    "sgd": ("SGD", {"lr": 0.01}),
    "sgd-momentum": ("SGD", {"lr": 0.01, "momentum": 0.9}),
    "sgd-fused": ("SGD", {"lr": 0.01, "momentum": 0.9, "fused": True}),
    "nadam": ("NAdam", {}),
    "radam": ("RAdam", {}),
    "adamax": ("Adamax", {}),
    "adagrad": ("Adagrad", {}),
    "adadelta": ("Adadelta", {}),
    "rmsprop": ("RMSprop", {}),
    "adafactor": ("Adafactor", {}),
    "adamw-for-loop": ("AdamW", {"foreach": False}),
    "adam-for-loop": ("Adam", {"foreach": False}),
    "sgd-momentum-for-loop": ("SGD", {"lr": 0.01, "momentum": 0.9, "foreach": False}),
}
"""Name: class in torch.optim and options. Everything else is the class's default."""


def make_optimizer(settings: StepSettings, parameters: Iterable[torch.nn.Parameter]) -> torch.optim.Optimizer:
    """Build the optimizer of the step.

    On an accelerator torch's optimizers treat all parameters at once by default ("foreach"); on the CPU one by one
    (torch.optim documentation, section "Algorithms").

    Raises
    ------
    UsageError
        If no optimizer has this name.
    """
    if not isinstance(settings.optimizer, str):
        return settings.optimizer(parameters)
    if settings.optimizer not in OPTIMIZERS:
        raise UsageError(f"No optimizer is called {settings.optimizer!r}. Use one of: {', '.join(OPTIMIZERS)}")
    class_name, options = OPTIMIZERS[settings.optimizer]
    build: Build = getattr(torch.optim, class_name)
    if not {"fused", "foreach"} & set(options):
        options = {**options, "foreach": settings.device != "cpu"}
    return build(list(parameters), **options)
