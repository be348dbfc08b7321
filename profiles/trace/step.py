"""One training step, traced: forward, loss, backward, optimizer, as a loop would run them the second time."""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from profiles.lean_imports import compiler_is_loaded
from profiles.records import Operation
from profiles.timeline import LiveTable
from profiles.trace import optimized
from profiles.trace.autocast import Autocast
from profiles.trace.calls import tensors_in
from profiles.trace.factories import Factories
from profiles.trace.failures import Scene, scene_of
from profiles.trace.higher_order import uncompiled
from profiles.trace.isolation import isolated, unchecked_distributions, warm_up
from profiles.trace.kernels import kernels_of
from profiles.trace.ledger import Ledger, Moment, table_of, with_states
from profiles.trace.optimizers import make_optimizer
from profiles.trace.own_steps import OwnSteps
from profiles.trace.owned import Parameters
from profiles.trace.packed import packed_by_module
from profiles.trace.places import Places
from profiles.trace.recorder import Recorder, Sight
from profiles.trace.settings import StepSettings
from profiles.trace.values import Values
from profiles.trace_record import RawTrace

Loss = Callable[[Any, tuple[Any, ...], Mapping[str, Any]], torch.Tensor]
Procedure = Callable[..., Iterator[tuple[torch.Tensor, Iterable[torch.nn.Parameter]]]]


@dataclass(frozen=True, slots=True)
class Step:
    """What is run: the twin of a model on the traced device, its inputs there, and what training minimises.

    `procedure` is for models with several optimizers, instead of `loss`: a generator called with model and inputs,
    which yields (loss, parameters) once per optimizer and is resumed when that optimizer has made its step.
    `own_code` says that the model is the user's, who knows its lines: they are noted. `differentiates` says that the
    model takes gradients in its forward pass (forces, flows, meta-learning), so that it needs them in inference too.
    `origins` are the model's parameters by the ids of those that they are twins of.
    """

    model: torch.nn.Module
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    loss: Loss
    procedure: Procedure | None = None
    own_code: bool = False
    differentiates: bool = False
    origins: Mapping[int, torch.nn.Parameter] = field(default_factory=dict)

    def losses(self) -> Iterator[tuple[torch.Tensor, Iterable[torch.nn.Parameter]]]:
        """Run the forward pass; its outputs stay alive until the optimizer has made its step, as in a training loop."""
        if self.procedure is not None:
            yield from self.procedure(self.model, *self.args, **self.kwargs)
        else:
            outputs = self.model(*self.args, **self.kwargs)
            yield self.loss(outputs, self.args, self.kwargs), self.model.parameters()


@dataclass(frozen=True, slots=True)
class StepTrace:
    """What was seen: every call and every allocation in order, and what had to be assumed.

    `kept` are the activation bytes alive between forward and backward pass, by the module that made them.
    `whole` are the moments of a trace that was extended to more layers. `decided_sizes` says how many results had a
    size that known values decided. `own_optimizers` are classes of optimizers that the user's step called itself.
    """

    operations: list[Operation]
    moments: list[Moment]
    kept: dict[str, int]
    guesses: Counter[str]
    balanced_choices: int
    decided_sizes: int
    parameters: Parameters
    trained: bool
    whole: LiveTable | None = None
    own_optimizers: tuple[str, ...] = ()

    def raw(self, batch_size: int, sequence_length: int | None = None) -> RawTrace:
        """The trace as the record takes it."""
        return RawTrace(self.operations, self.live(), batch_size, sequence_length, self.kept)

    def live(self) -> LiveTable:
        """Live bytes at every moment, of the layers too that the trace was extended by."""
        return self.whole or table_of(self.moments)


@dataclass(frozen=True, slots=True)
class Tracing:
    """How the step is run.

    device   device type of the tensors: "meta" for a symbolic run, "cpu" for a real or fake one
    fake     the mode that makes fake tensors, for a fake run
    strict   whether to give up where the size of a result depends on unknown values, instead of guessing
    """

    device: str = "meta"
    fake: FakeTensorMode | None = None
    strict: bool = True

    @property
    def symbolic(self) -> bool:
        """Whether tensors have no values."""
        return self.device == "meta" or self.fake is not None


SYMBOLIC = Tracing()


def trace_step(step: Step, settings: StepSettings, tracing: Tracing = SYMBOLIC) -> StepTrace:
    """Trace one step.

    Parameters
    ----------
    step
        Model and inputs, on the device of `tracing` and already in the dtype of the precision asked for.
    settings
        What is asked.
    tracing
        How the step is run.

    Raises
    ------
    StepFailed
        If the model cannot be run so; its `error` is a `ValueNeeded` where the run depends on values that are unknown.
    """
    warm_up()
    run = _Run(step, settings, tracing)
    with isolated(), ExitStack() as stack:
        if compiler_is_loaded():
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        if tracing.fake is not None:
            stack.enter_context(tracing.fake)
        stack.enter_context(run.places.follow())
        if tracing.symbolic:
            stack.enter_context(uncompiled())
            stack.enter_context(unchecked_distributions())
        stack.enter_context(kernels_of(settings.device, tracing.device, real=not tracing.symbolic))
        if tracing.symbolic or settings.device != "cpu":
            stack.enter_context(Autocast(settings.device, tracing.device).available())
        stack.enter_context(run.recorder)
        try:
            run.run()
        except Exception as error:
            scene = scene_of(step.model, (step.args, step.kwargs), run.places.failed_in(error), error)
            raise StepFailed(error, scene, run.values.guesses) from error
    return run.trace()


class StepFailed(Exception):
    """The model, its loss or its optimizer raised; `error` is what, `scene` where, `guesses` what was guessed."""

    def __init__(self, error: Exception, scene: Scene | None = None, guesses: Counter[str] | None = None) -> None:
        super().__init__(str(error))
        self.error = error
        self.scene = scene or Scene()
        self.guesses: Counter[str] = guesses or Counter()


class _Run:
    def __init__(self, step: Step, settings: StepSettings, tracing: Tracing) -> None:
        self.step, self.settings = step, settings
        self.device, self.symbolic = tracing.device, tracing.symbolic
        self.places = Places(step.model, own_step=step.procedure is not None)
        self.ledger, self.values = Ledger(), Values(tracing.strict)
        sight = Sight(tracing.device, tracing.symbolic, step.own_code)
        self.recorder = Recorder(self.places, self.ledger, self.values, settings, sight)
        self._state_bytes = 0
        self._kept: dict[str, int] = {}
        self._optimizers: list[torch.optim.Optimizer] = []
        run = weakref.proxy(self)  # tensors are freed with the run, without garbage collection
        passes = (lambda: run._backward_pass()), (lambda moved: run._optimize(moved))
        self.own = OwnSteps(step.model.parameters(), step.origins, *passes)
        trainable = any(t.requires_grad for t in (*step.model.parameters(), *_tensors(step)))
        self.trained = settings.mode == "train" and trainable
        self._packed = packed_by_module(step.model)
        self.ledger.hold(step.model.parameters(), "parameter")
        self.ledger.hold((tensor for tensors in self._packed.values() for tensor in tensors), "parameter")
        self.ledger.hold(step.model.buffers(), "buffer")
        self.ledger.hold(_tensors(step), "input")

    def run(self) -> None:
        with Factories(self.device, self.symbolic, self.values):
            if self.trained:
                self._train()
            else:
                self._infer()

    def _infer(self) -> None:
        gradients = self.settings.mode == "train" or self.step.differentiates
        with torch.set_grad_enabled(gradients), self._mixed_precision():
            self.step.model(*self.step.args, **self.step.kwargs)

    def _train(self) -> None:
        handles = self._gradients_become_gradients()
        with self.own.follow() if self.step.procedure is not None else nullcontext():
            losses = self.step.losses()
            while (found := self._next_loss(losses)) is not None:
                loss, parameters = found[0], list(found[1])
                if not self.own.done(loss):
                    for parameter in parameters:
                        parameter.grad = None
                    with self._backward_pass():
                        loss.backward()
                    self._optimize(parameters)
                elif not self.own.optimizers:
                    self._optimize(parameters)
        for handle in handles:
            handle.remove()

    def _next_loss(self, losses: Iterator[Any]) -> Any:
        self.places.phase = "forward"
        with self._mixed_precision(), self.own if self.step.procedure is not None else nullcontext():
            return next(losses, None)

    @contextmanager
    def _backward_pass(self) -> Iterator[None]:
        self._kept = self.ledger.activations_by_module()
        self.places.phase = "backward"
        with self._mixed_precision(False):
            yield
        self.places.phase = "optimizer"

    def trace(self) -> StepTrace:
        return StepTrace(
            self.recorder.operations,
            with_states(self.ledger.moments, self._state_bytes),
            self._kept,
            self.values.guesses,
            self.values.balanced_choices,
            self.values.decided_sizes,
            Parameters.of(self.step.model),
            self.trained,
            own_optimizers=tuple(self.own.optimizers),
        )

    def _mixed_precision(self, enabled: bool = True) -> AbstractContextManager[Any]:
        """The autocast region of the target device."""
        low = self.settings.arithmetic.autocast
        if low is None:
            return nullcontext()
        target = "cpu" if self.settings.device == "cpu" else "cuda"
        return torch.autocast(target, dtype=low, enabled=enabled)

    def _gradients_become_gradients(self) -> list[Any]:
        """A gradient is an activation until it has been accumulated."""
        return [
            parameter.register_post_accumulate_grad_hook(self._hold_gradient)  # type: ignore[no-untyped-call]
            for parameter in self.step.model.parameters()
            if parameter.requires_grad
        ]

    def _hold_gradient(self, parameter: torch.Tensor) -> None:
        if parameter.grad is not None:
            self.ledger.hold([parameter.grad], "gradient")

    def _optimize(self, parameters: list[torch.nn.Parameter]) -> None:
        """Run the optimizer twice and record the second time: by then its states exist."""
        self.places.phase = "optimizer"
        moved = [parameter for parameter in parameters if parameter.grad is not None]
        if not moved:
            return
        key = optimized.key_of(moved, self.settings) if self.step.procedure is None else None
        known = optimized.SEEN.get(key) if key is not None else None
        if known is not None and known.current:
            self._state_bytes = known.state_bytes
            known.repeat(self.recorder.operations, self.ledger)
            return
        # What the optimizer makes by itself belongs to the host; a step that runs it itself is within autocast.
        with self.own.aside(), torch._C.DisableTorchFunction(), self._mixed_precision(False):
            self.recorder.recording = self.values.counting = False
            optimizer = make_optimizer(self.settings, moved)  # some make their states at once (Adagrad)
            optimizer.step()
            self.ledger.hold(_states(optimizer, self.recorder.devices), "optimizer_state")
            self._state_bytes = self.ledger.live_bytes("optimizer_state")
            self._optimizers.append(optimizer)
            self.recorder.recording = True
            start = optimized.Start.of(self.recorder.operations, self.ledger)
            optimizer.step()
            self.values.counting = True
        found = optimized.Optimized.of(self.recorder.operations, self.ledger, start, self._state_bytes)
        optimized.remember(key, found)


def _states(optimizer: torch.optim.Optimizer, devices: frozenset[str]) -> Iterator[torch.Tensor]:
    for state in optimizer.state.values():
        yield from (tensor for tensor in tensors_in(tuple(state.values())) if tensor.device.type in devices)


def _tensors(step: Step) -> list[torch.Tensor]:
    leaves = torch.utils._pytree.tree_leaves((step.args, step.kwargs))
    return [leaf for leaf in leaves if isinstance(leaf, torch.Tensor)]
