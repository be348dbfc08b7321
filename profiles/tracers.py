"""How a model definition is traced at one size after the other: with all its layers, or with few of many equal ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from profiles.depth import Layers, NotPeriodic, plan
from profiles.depth_extension import Growth, extend, learn
from profiles.models import Depth, ModelDefinition, Sizes
from profiles.records import Rung
from profiles.trace.rungs import Climb, Ground, bytes_of, climb, trace_on
from profiles.trace.settings import StepSettings
from profiles.trace.step import Step, StepFailed, StepTrace
from profiles.trace.twin import Twins


@dataclass(frozen=True, slots=True)
class Tracer:
    """Traces a definition; where `growth` is set, that of a shorter model, whose traces it extends to all layers."""

    definition: ModelDefinition
    settings: StepSettings
    growth: Growth | None = None

    def climb(self, sizes: Sizes) -> Climb:
        """Trace one size on the first rung that works."""
        with Ground("meta").building():
            weight = bytes_of(self.definition.build())
        return climb(lambda ground: self._step(ground, sizes), self.settings, weight)

    def trace(self, sizes: Sizes, rung: Rung = "meta") -> StepTrace:
        """Trace one size on a rung.

        Raises
        ------
        StepFailed
            If the model cannot be run there.
        NotPeriodic
            If its layers are not equal at this size, so that all have to be traced.
        """
        trace = trace_on(rung, lambda ground: self._step(ground, sizes), self.settings)
        return trace if self.growth is None else extend(trace, self.growth, self.growth.layers.copies)

    def _step(self, ground: Ground, sizes: Sizes) -> Step:
        definition, weights = self.definition, self.settings.arithmetic.weights
        training = self.settings.mode == "train"
        with ground.building():
            model = definition.build()
        with ground.context():
            args, kwargs = definition.inputs(sizes.batch_size, sizes.sequence_length, sizes.image_size)
        model.to(weights).train(training)
        if not training:
            kwargs = {name: value for name, value in kwargs.items() if name not in definition.labels}
        args, kwargs = Twins(ground.device, weights, ground.fake).copy((args, kwargs))
        own_code = definition.fingerprint is None  # what can be told from its text is no code of the user
        return Step(model, args, kwargs, definition.loss, definition.step, own_code)


def start(definition: ModelDefinition, settings: StepSettings, sizes: Sizes) -> tuple[Tracer, Climb]:
    """Choose how to trace a definition, and trace it at its first size.

    With few layers if that can be proven to be enough, else with all: slower, and as exact.
    """
    for layers in _plans(definition):
        try:
            return _start_short(definition, settings, sizes, layers)
        except NotPeriodic:
            continue
        except StepFailed:
            break
    return start_whole(definition, settings, sizes)


def start_whole(definition: ModelDefinition, settings: StepSettings, sizes: Sizes) -> tuple[Tracer, Climb]:
    """Trace a definition with all its layers at its first size."""
    tracer = Tracer(definition, settings)
    return tracer, tracer.climb(sizes)


def _start_short(
    definition: ModelDefinition, settings: StepSettings, sizes: Sizes, layers: Layers
) -> tuple[Tracer, Climb]:
    depth = definition.depth
    if depth is None:
        raise NotPeriodic("the model has no layers that repeat")
    short, longer = (depth.with_layers(count) for count in (layers.traced, layers.traced + layers.period))
    seen = Tracer(short, settings).trace(sizes)
    if seen.guesses:
        raise NotPeriodic("values decide what is computed")
    growth = learn(seen, Tracer(longer, settings).trace(sizes), layers)
    return Tracer(short, settings, growth), Climb(extend(seen, growth, layers.copies), "meta")


def _plans(definition: ModelDefinition) -> Iterator[Layers]:
    """Which layers to trace. The second is mostly unlike those above: while it runs the first holds the embeddings."""
    depth = definition.depth
    if depth is None or plan(depth, ("",)) is None:
        return
    stacks = _stacks(depth)
    for more_head in (1, 0):
        layers = plan(depth, stacks, more_head)
        if layers is not None:
            yield layers


def _stacks(depth: Depth) -> list[str]:
    """Paths of the outermost lists of modules that have one module per layer."""
    fewer, more = (_lengths(depth.with_layers(count)) for count in depth.counts()[:2])
    lists = [path for path, length in fewer.items() if more.get(path, length) == length + depth.period]
    return [path for path in lists if not any(path.startswith(f"{other}.") for other in lists)]


def _lengths(definition: ModelDefinition) -> dict[str, int]:
    """Number of modules in every list of modules, by its path."""
    with torch.device("meta"):
        model = definition.build()
    kinds = (torch.nn.ModuleList, torch.nn.Sequential)
    return {path: len(module) for path, module in model.named_modules() if isinstance(module, kinds)}
