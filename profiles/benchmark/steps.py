"""A real training step of a model on a device: what predictions of its time are held against."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import psutil
import torch

from hardware_db.errors import ModelError, UsageError
from profiles.benchmark.cases import Case, Lab
from profiles.benchmark.clock import Call
from profiles.models import ModelDefinition, Sizes
from profiles.trace.calls import tensors_in
from profiles.trace.optimizers import make_optimizer
from profiles.trace.rungs import bytes_of
from profiles.trace.settings import StepSettings

_MOMENT = 1e-8
"""Added to the moments of an optimizer: far from denormal numbers, and nothing to a moment that is in use."""

STATES = 4
"""What AdamW training keeps of the size of the weights: weights, gradients, two moments."""

Losses = Callable[[], Iterator[tuple[torch.Tensor, Iterable[torch.nn.Parameter]]]]


@dataclass(frozen=True, slots=True)
class RealStep:
    """A model with its inputs and its optimizers, ready to make training steps; `run` makes one.

    Attributes
    ----------
    model, args, kwargs
        the module and what it is called with, on the device
    losses
        runs the forward pass: yields a loss and the parameters that it trains, once per optimizer
    settings
        precision and optimizer
    """

    model: torch.nn.Module
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    losses: Losses
    settings: StepSettings
    optimizers: list[torch.optim.Optimizer]

    def run(self) -> None:
        """Make one training step: forward, loss, backward, optimizer."""
        losses, number = self.losses(), 0
        while (found := self._next(losses)) is not None:
            loss, parameters = found
            if not isinstance(loss, torch.Tensor) or loss.grad_fn is None:
                raise ModelError(
                    "A training step that runs backward() and the optimizer itself can be profiled, not timed.\n"
                    "Return the loss and leave both out: they are added"
                )
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer = self._optimizer(number, parameters)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            number += 1

    def _next(self, losses: Iterator[Any]) -> Any:
        with self._mixed_precision():
            return next(losses, None)

    def _mixed_precision(self) -> AbstractContextManager[Any]:
        low = self.settings.arithmetic.autocast
        return nullcontext() if low is None else torch.autocast(self.settings.device, dtype=low)

    def _optimizer(self, number: int, parameters: Iterable[torch.nn.Parameter]) -> torch.optim.Optimizer:
        if number == len(self.optimizers):
            self.optimizers.append(make_optimizer(self.settings, parameters))
        return self.optimizers[number]

    def settle(self) -> None:
        """Make a step and leave the optimizer as it is within a run, not at its start.

        Rows of an embedding that no sample has touched yet have second moments of exactly 0, whose square root takes
        MKL on a CPU ten times as long as that of any other number.
        """
        self.run()
        with torch.no_grad():
            for optimizer in self.optimizers:
                for state in optimizer.state.values():
                    for tensor in tensors_in(tuple(state.values())):
                        if tensor.dim() and tensor.is_floating_point():
                            tensor.abs_().add_(_MOMENT)


def real_step(definition: ModelDefinition, sizes: Sizes, settings: StepSettings, device: str) -> RealStep:
    """Build a model with random weights on a device ("cpu", "cuda:0"), and what it is fed with.

    Raises
    ------
    UsageError
        The model cannot be trained here: its weights, gradients and moments alone are more than the free memory, or the
        precision needs special layers.
    ModelError
        It cannot be built.
    """
    _check_memory(definition, device)
    if settings.arithmetic.linear is not None:
        raise UsageError(
            f"--precision {settings.precision}: its layers come from another library; a step in it cannot "
            "be measured. Use bfloat16 or amp_bfloat16"
        )
    try:
        with torch.device(device):
            model = definition.build()
            args, kwargs = definition.inputs(sizes.batch_size, sizes.sequence_length, sizes.image_size)
    except (RuntimeError, ValueError, TypeError) as error:
        raise ModelError(f"{definition.name} cannot be built on {device}: {str(error).splitlines()[0]}") from error
    model = model.to(device=device, dtype=settings.arithmetic.weights).train()
    args, kwargs = _placed((args, kwargs), device, settings.arithmetic.weights)

    def losses() -> Iterator[tuple[torch.Tensor, Iterable[torch.nn.Parameter]]]:
        if definition.step is not None:
            yield from definition.step(model, *args, **kwargs)
        else:
            yield definition.loss(model(*args, **kwargs), args, kwargs), model.parameters()

    return RealStep(model, args, kwargs, losses, settings, [])


def _check_memory(definition: ModelDefinition, device: str) -> None:
    """Refuse a model whose training state does not fit, before a byte of it is allocated."""
    with torch.device("meta"):
        needed = STATES * bytes_of(definition.build())
    free = psutil.virtual_memory().available if device == "cpu" else torch.cuda.mem_get_info(device)[0]
    if needed > free:
        raise UsageError(
            f"{definition.name} needs {needed / 2**30:.3g} GiB for weights, gradients and two moments; "
            f"{free / 2**30:.3g} GiB are free on {device}. Nothing was run; flopcast estimate needs no such device"
        )


def step_case(definition: ModelDefinition, sizes: Sizes, settings: StepSettings) -> Case:
    """Return the case of a training step of a model: after some steps, on the same inputs each time.

    Its name says all that decides its time: "training step of gpt2 float32 adamw, 2 x 128".
    """
    given = [size for size in (sizes.batch_size, sizes.sequence_length, sizes.image_size) if size is not None]

    def make(lab: Lab) -> Call:
        step = real_step(definition, sizes, settings, lab.device)
        step.settle()
        return step.run

    what = f"{definition.name} {settings.precision} {settings.optimizer}, {' x '.join(map(str, given))}"
    return Case(f"training step of {what}", "training step", settings.precision, make, cached=True)


def _placed(inputs: Any, device: str, weights: torch.dtype | None) -> Any:
    """Move inputs to the device: floats with random values, in the dtype of the weights."""

    def place(tensor: Any) -> Any:
        if not isinstance(tensor, torch.Tensor):
            return tensor
        if not tensor.is_floating_point():
            return tensor.to(device)
        return torch.randn(tensor.shape, device=device, dtype=weights or tensor.dtype)

    return torch.utils._pytree.tree_map(place, inputs)
