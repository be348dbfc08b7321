"""Where in the model an operation belongs: module path, phase, recomputed or not, also during the backward pass.

In the forward pass the innermost running module is known from forward hooks. The backward pass runs no module: its
operations belong to the module whose forward pass made the autograd node that is being evaluated. Autograd numbers its
nodes in the order of their creation, so it is enough to remember that number whenever a module begins or ends.
"""

from __future__ import annotations

import sys
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch.autograd.graph import _engine_run_backward
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook

from profiles.records import Phase

_RAISED_IN = "flopcast_raised_in"
ACCUMULATE = 1 << 62  # nodes that add to .grad carry the largest sequence number there is
_CREATE_GRAPH = 2  # position of create_graph among the arguments of the engine


class Place(NamedTuple):
    """Phase, module path ("" is the model itself), and whether it is a repetition by activation checkpointing."""

    phase: Phase
    module: str
    recomputed: bool = False


class Places:
    """Follows a model through one step.

    Gradients that a model takes in its forward pass are a part of that; those of the user's own step (`own_step`) are
    a backward pass wherever they are taken.
    """

    def __init__(self, model: torch.nn.Module, own_step: bool = False) -> None:
        self.phase: Phase = "forward"
        self._own_step = own_step
        modules = dict(model.named_modules())
        self._names = {id(module): name for name, module in modules.items()}
        self._owners = {
            id(parameter): path.rpartition(".")[0] for path, parameter in model.named_parameters(remove_duplicate=True)
        }
        self._linear = {name for name, module in modules.items() if isinstance(module, torch.nn.Linear)}
        self._stack = [""]
        self._numbers = [0]
        self._modules = [""]

    def failed_in(self, error: BaseException) -> str:
        """Path of the innermost module that raised this error; "" where it was raised outside of modules."""
        return str(vars(error).get(_RAISED_IN, ""))

    @contextmanager
    def follow(self) -> Iterator[None]:
        """Watch modules begin and end."""
        before = register_module_forward_pre_hook(self._enter)
        after = register_module_forward_hook(self._leave, always_call=True)
        try:
            yield
        finally:
            before.remove()
            after.remove()

    def now(self) -> Place:
        """Place of the operation that is running."""
        node = torch._C._current_autograd_node()
        if node is None:
            return Place(self.phase, self._stack[-1] if self.phase != "optimizer" else "")
        if torch.is_grad_enabled() and not _graph_of_gradients():
            return Place(self._phase_of_gradients(), self._stack[-1] or self._module_of(node), True)
        return Place(self._phase_of_gradients(), self._module_of(node))

    def _phase_of_gradients(self) -> Phase:
        return "forward" if self.phase == "forward" and not self._own_step else "backward"

    def is_linear(self, path: str) -> bool:
        """Whether the module at this path is a linear layer."""
        return path in self._linear

    def _module_of(self, node: Any) -> str:
        number = node._sequence_nr()
        if number > ACCUMULATE:
            return self._owners.get(id(node.variable), self._stack[-1])
        return self._modules[bisect_right(self._numbers, number) - 1]

    def _enter(self, module: torch.nn.Module, args: Any) -> None:
        if (name := self._names.get(id(module))) is not None:
            if self.phase == "optimizer":  # a step that goes on by itself
                self.phase = "forward"
            self._stack.append(name)
            self._mark(name)

    def _leave(self, module: torch.nn.Module, args: Any, output: Any) -> None:
        if (name := self._names.get(id(module))) is not None:
            error = sys.exc_info()[1]
            if error is not None:  # noted on the error: kept here, it would keep the tensors of its frames alive
                vars(error).setdefault(_RAISED_IN, name)
            self._stack.pop()
            self._mark(self._stack[-1])

    def _mark(self, name: str) -> None:
        self._numbers.append(torch._C._autograd._get_sequence_nr())
        self._modules.append(name)


def _graph_of_gradients() -> bool:
    """Whether the running backward pass was asked to be differentiable itself (create_graph).

    Gradients are enabled inside a backward pass for two reasons: that one, and activation checkpointing.
    """
    frame = sys._getframe()
    while frame is not None and frame.f_code is not _engine_run_backward.__code__:
        frame = frame.f_back  # type: ignore[assignment]
    return frame is not None and bool(frame.f_locals["args"][_CREATE_GRAPH])
