"""How a model definition is traced at one size after the other: with all its layers, or with few of many equal ones."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from profiles.depth import Layers, NotPeriodic, plan
from profiles.depth_extension import Growth, extend, learn
from profiles.models import ModelDefinition, Sizes
from profiles.trace.rungs import Climb, Ground, RungName, bytes_of, climb, trace_on
from profiles.trace.settings import StepSettings
from profiles.trace.step import Step, StepFailed, StepTrace
from profiles.trace.twin import Twins


@dataclass(frozen=True, slots=True)
class Tracer:
    """Traces a definition; where `short` is set, a model of fewer layers, whose traces it extends to all of them."""

    definition: ModelDefinition
    settings: StepSettings
    short: ModelDefinition | None = None
    growth: Growth | None = None

    def climb(self, sizes: Sizes) -> Climb:
        """Trace one size on the first rung that works."""
        with torch.device("meta"):
            weight = bytes_of(self.definition.build())
        return climb(lambda ground: self._step(ground, sizes), self.settings, weight)

    def trace(self, sizes: Sizes, rung: RungName = "meta") -> StepTrace:
        """Trace one size on a rung; all layers are traced where they are not equal at this size.

        Raises
        ------
        StepFailed
            If the model cannot be run there.
        """
        if self.short is not None and self.growth is not None:
            few = Tracer(self.short, self.settings)
            try:
                return extend(few.trace(sizes, rung), self.growth, self.growth.layers.copies)
            except NotPeriodic:
                pass
        return trace_on(rung, lambda ground: self._step(ground, sizes), self.settings)

    def _step(self, ground: Ground, sizes: Sizes) -> Step:
        definition, weights = self.definition, self.settings.arithmetic.weights
        training = self.settings.mode == "train"
        with ground.context():
            model = definition.build()
            args, kwargs = definition.inputs(sizes.batch_size, sizes.sequence_length, sizes.image_size)
        model.to(weights).train(training)
        if not training:
            kwargs = {name: value for name, value in kwargs.items() if name not in definition.labels}
        args, kwargs = Twins(ground.device, weights, ground.fake).copy((args, kwargs))
        return Step(model, args, kwargs, definition.loss, definition.step)


def start(definition: ModelDefinition, settings: StepSettings, sizes: Sizes) -> tuple[Tracer, Climb]:
    """Choose how to trace a definition, and trace it at its first size."""
    layers = _layers(definition)
    if layers is not None:
        try:
            return _start_short(definition, settings, sizes, layers)
        except (NotPeriodic, StepFailed):
            pass  # all layers are traced then: slower, and as exact
    tracer = Tracer(definition, settings)
    return tracer, tracer.climb(sizes)


def _start_short(
    definition: ModelDefinition, settings: StepSettings, sizes: Sizes, layers: Layers
) -> tuple[Tracer, Climb]:
    assert definition.depth is not None
    short = Tracer(definition.depth.with_layers(layers.traced), settings)
    longer = Tracer(definition.depth.with_layers(layers.traced + layers.period), settings)
    seen = short.trace(sizes)
    if seen.guesses:
        raise NotPeriodic("values decide what is computed")
    growth = learn(seen, longer.trace(sizes), layers)
    return Tracer(definition, settings, short.definition, growth), Climb(extend(seen, growth, layers.copies), "meta")


def _layers(definition: ModelDefinition) -> Layers | None:
    """Which layers to trace; None where the model has to be traced whole."""
    depth = definition.depth
    if depth is None or plan(depth, ("",)) is None:
        return None
    counts = plan(depth, ("",))
    assert counts is not None
    fewer, more = (_lengths(depth.with_layers(n)) for n in (counts.traced, counts.traced + counts.period))
    stacks = [path for path, length in fewer.items() if more.get(path, length) == length + counts.period]
    return plan(depth, [path for path in stacks if not any(path.startswith(f"{other}.") for other in stacks)])


def _lengths(definition: ModelDefinition) -> dict[str, int]:
    """Number of modules in every list of modules, by its path."""
    with torch.device("meta"):
        model = definition.build()
    kinds = (torch.nn.ModuleList, torch.nn.Sequential)
    return {path: len(module) for path, module in model.named_modules() if isinstance(module, kinds)}
