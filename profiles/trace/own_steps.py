"""Training steps that call `backward()` and `optimizer.step()` themselves: seen, so that they are counted as such.

The optimizer of such a step was often made for other tensors than the traced ones (those of the user's module, whose
twin is traced), and its states do not exist yet. The optimizer that was asked for therefore takes its place, at the
moment and for the twins of the parameters of its step; the user's own optimizer changes nothing.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook
from torch.overrides import TorchFunctionMode

from hardware_db.errors import ModelError

_EXPECTED = (
    "Return the loss as a tensor and leave out backward(), zero_grad() and optimizer.step(), which are added; "
    "or call backward() in the step"
)


class OwnSteps(TorchFunctionMode):
    """While it is entered, backward passes that are called run in `backward`; inside of `follow`, optimizers are seen.

    Parameters
    ----------
    parameters
        Those of the traced model.
    origins
        What the optimizers of the step may have been made for instead: id of a tensor -> the traced parameter.
    backward
        Makes the context of a backward pass.
    optimize
        Runs the optimizer that was asked for over parameters.
    """

    def __init__(
        self,
        parameters: Iterable[torch.nn.Parameter],
        origins: Mapping[int, torch.nn.Parameter],
        backward: Callable[[], AbstractContextManager[None]],
        optimize: Callable[[list[torch.nn.Parameter]], None],
    ) -> None:
        super().__init__()
        self.optimizers: dict[str, None] = {}
        self._parameters = {id(parameter): parameter for parameter in parameters}
        self._known = {**origins, **self._parameters}
        self._backward, self._optimize = backward, optimize
        self._losses: list[weakref.ref[torch.Tensor]] = []
        self._foreign: set[int] = set()
        self._hidden: list[tuple[torch.Tensor, torch.Tensor | None]] = []
        self._busy = False

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run one torch function."""
        if func is not torch.Tensor.backward:
            return func(*args, **(kwargs or {}))
        self._losses.append(weakref.ref(args[0]))
        with self._backward():
            return func(*args, **(kwargs or {}))  # type: ignore[no-untyped-call]

    @property
    def called_backward(self) -> bool:
        """Whether the step ran a backward pass itself."""
        return bool(self._losses)

    def done(self, loss: Any) -> bool:
        """Whether the step itself ran the backward pass of what it gave as its loss.

        Raises
        ------
        ModelError
            If it ran none, and gave nothing to run one from.
        """
        if isinstance(loss, torch.Tensor) and loss.requires_grad:
            return any(known() is loss for known in self._losses)
        if self.called_backward:
            return True
        given = "a tensor without a gradient" if isinstance(loss, torch.Tensor) else _named(loss)
        raise ModelError(f"The training step returned {given} and called no backward().\n{_EXPECTED}")

    @contextmanager
    def follow(self) -> Iterator[None]:
        """See the steps of optimizers, and keep those of other tensors from changing anything."""
        before, after = (
            register_optimizer_step_pre_hook(self._enter_step),
            register_optimizer_step_post_hook(self._leave),
        )
        clear = torch.optim.Optimizer.zero_grad

        def zero_grad(optimizer: torch.optim.Optimizer, set_to_none: bool = True) -> None:
            if any(id(each) in self._parameters for each in _tensors(optimizer)):
                clear(optimizer, set_to_none)
                return
            for parameter in self._own(optimizer) or self._parameters.values():
                parameter.grad = None

        setattr(torch.optim.Optimizer, "zero_grad", zero_grad)  # noqa: B010 - mypy knows no method that is replaced
        try:
            yield
        finally:
            setattr(torch.optim.Optimizer, "zero_grad", clear)  # noqa: B010
            self._show()
            before.remove()
            after.remove()

    @contextmanager
    def aside(self) -> Iterator[None]:
        """See nothing meanwhile: the optimizer that was asked for runs."""
        self._busy = True
        try:
            yield
        finally:
            self._busy = False

    def _own(self, optimizer: torch.optim.Optimizer) -> list[torch.nn.Parameter]:
        return [self._known[id(each)] for each in _tensors(optimizer) if id(each) in self._known]

    def _enter_step(self, optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
        if self._busy:
            return
        if any(callable(argument) for argument in (*args[1:], *kwargs.values())):
            raise ModelError(f"optimizer.step(closure) cannot be followed.\n{_EXPECTED}")
        own = self._own(optimizer)
        if not own:
            self._foreign.add(id(optimizer))
        if len(self._foreign) > 1:
            raise ModelError(
                "The training step uses several optimizers of another copy of the model.\n"
                "Make it a generator that yields (loss, parameters) once for each, and leave the optimizers out"
            )
        self.optimizers[type(optimizer).__name__] = None
        self._optimize(own or list(self._parameters.values()))
        self._hidden = [(parameter, parameter.grad) for parameter in _tensors(optimizer)]
        for parameter, _ in self._hidden:
            parameter.grad = None

    def _leave(self, optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
        if not self._busy:
            self._show()

    def _show(self) -> None:
        for parameter, gradient in self._hidden:
            parameter.grad = gradient
        self._hidden = []


def _tensors(optimizer: torch.optim.Optimizer) -> list[torch.Tensor]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def _named(value: Any) -> str:
    return "None" if value is None else f"{type(value).__name__}"
