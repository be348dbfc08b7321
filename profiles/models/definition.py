"""What it takes to run one training step of a model: how to build it, what to feed it, what to minimise.

Nothing here imports torch; the functions in a `ModelDefinition` do, when they are called.

The engine's side of the bargain, for every kind of model::

    sizes = definition.sizes(batch_size=8, sequence_length=1024)
    with torch.device("meta"):
        model = definition.build()
        args, kwargs = definition.inputs(sizes.batch_size, sizes.sequence_length, sizes.image_size)
    outputs = model(*args, **kwargs)                 # mode "forward": without definition.labels
    definition.loss(outputs, args, kwargs).backward()

Models with several optimizers have a `step` instead of a loss: a generator that yields (loss, parameters) once per
optimizer. The engine runs `loss.backward()`, then that optimizer's step over those parameters, then resumes it.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hardware_db.errors import UsageError

if TYPE_CHECKING:
    import torch

Arguments = tuple[tuple[Any, ...], dict[str, Any]]
BuildFunction = Callable[[], "torch.nn.Module"]
InputsFunction = Callable[[int, "int | None", "int | None"], Arguments]
LossFunction = Callable[[Any, tuple[Any, ...], Mapping[str, Any]], "torch.Tensor"]
StepFunction = Callable[..., "Iterator[tuple[torch.Tensor, Iterable[torch.nn.Parameter]]]"]


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is fed to the model at once; None where the model has no such size (or has its own, fixed one)."""

    batch_size: int
    sequence_length: int | None
    image_size: int | None

    def __str__(self) -> str:
        """Say it as people do: "batch 2, 128 tokens, 224 pixels"."""
        length = "" if self.sequence_length is None else f", {self.sequence_length} tokens"
        return f"batch {self.batch_size}{length}" + ("" if self.image_size is None else f", {self.image_size} pixels")


@dataclass(frozen=True, slots=True)
class Depth:
    """The repeated layers of a model, so that equal ones are traced once.

    layers        how many the model has
    period        after how many layers the pattern repeats (1: all equal; 6 for five local and one global attention)
    fewest        smallest number of layers for which the pattern is complete
    with_layers   the same model with another number of layers; ask only for one of `counts()`
    """

    layers: int
    with_layers: Callable[[int], ModelDefinition]
    period: int = 1
    fewest: int = 1

    def counts(self) -> tuple[int, ...]:
        """Numbers of layers, rising by one period up to `layers`: any quantity is a straight line over them."""
        return tuple(n for n in range(self.fewest, self.layers + 1) if (self.layers - n) % self.period == 0)


@dataclass(frozen=True, slots=True)
class DeclaredModel:
    """A model of which only sizes are known; its step is 6 FLOPs per parameter and token, attention added if known.

    parameters          all of them
    active_parameters   those a token meets (fewer in a mixture of experts)
    layers, hidden_size for the attention term 12 x layers x hidden_size x sequence_length per token and step
                        (Chowdhery et al. 2022, PaLM, arXiv 2204.02311, appendix B); None: no attention term
    """

    parameters: int
    active_parameters: int
    layers: int | None = None
    hidden_size: int | None = None

    def forward_flops_per_token(self, sequence_length: int) -> int:
        """FLOPs of the forward pass for one token; the backward pass takes twice as many."""
        attention = 4 * (self.layers or 0) * (self.hidden_size or 0) * sequence_length
        return 2 * self.active_parameters + attention


@dataclass(frozen=True)
class ModelDefinition:
    """One model, ready to be built without its weights.

    name              as shown
    build             makes the module; the engine calls it under `torch.device("meta")`
    inputs            (batch_size, sequence_length, image_size) -> (args, kwargs): integers are real CPU tensors, float
                      tensors lie on torch's default device of the moment
    loss              (outputs, args, kwargs) -> the scalar that training minimises
    batch_size ...    the sizes used where the user gives none; sequence_length None: the model has no sequence
    takes_images      whether image_size means anything; image_size None then: the model's own
    resized           side -> the same model built for images of this side; None: it takes images of any size as it is
    sequence_limit    longest sequence the model has positions for, None where unlimited or unknown
    labels            names in kwargs that only training needs; drop them to run the forward pass alone
    find_depth        looks for the repeated layers (may import torch); use the property `depth`
    step              generator of (loss, parameters) for several optimizers, called as step(model, *args, **kwargs)
    source            where the dimensions come from
    fingerprint       equal texts mean equal models; None where only running the user's code could tell
    notes             assumptions worth showing
    """

    name: str
    build: BuildFunction
    inputs: InputsFunction
    loss: LossFunction
    batch_size: int = 1
    sequence_length: int | None = None
    image_size: int | None = None
    takes_images: bool = False
    resized: Callable[[int], ModelDefinition] | None = None
    sequence_limit: int | None = None
    labels: tuple[str, ...] = ()
    find_depth: Callable[[], Depth | None] | None = None
    step: StepFunction | None = None
    source: str = ""
    fingerprint: str | None = None
    notes: tuple[str, ...] = ()

    @functools.cached_property
    def depth(self) -> Depth | None:
        """The repeated layers, where they can be varied; may import torch and build the model without its weights."""
        return self.find_depth() if self.find_depth is not None else None

    def for_images(self, side: int | None) -> ModelDefinition:
        """Return the model built for images of a side, if it is built for one; None: of its own side."""
        return self if side is None or side < 1 or self.resized is None else self.resized(side)

    def with_lines(self) -> ModelDefinition:
        """Return the same model, taken as code whose lines matter: its profile says which line called what.

        It has no fingerprint, since a profile that is kept or shipped knows no lines.
        """
        depth = self.depth
        if depth is None:
            return dataclasses.replace(self, fingerprint=None)
        deeper = dataclasses.replace(depth, with_layers=lambda layers: depth.with_layers(layers).with_lines())
        return dataclasses.replace(self, fingerprint=None, find_depth=lambda: deeper)

    def sizes(
        self, batch_size: int | None = None, sequence_length: int | None = None, image_size: int | None = None
    ) -> Sizes:
        """Fill in the defaults; raise UsageError for a size below 1 or one that this model does not have."""
        for name, size in (("batch", batch_size), ("sequence", sequence_length), ("image", image_size)):
            if size is not None and size < 1:
                raise UsageError(f"The {name} size of {self.name} is {size}; it must be 1 or more")
        if sequence_length is not None and self.sequence_length is None:
            raise UsageError(f"{self.name} has no sequence length; {sequence_length} was given. Leave it out")
        if image_size is not None and not self.takes_images:
            raise UsageError(f"{self.name} takes no images of variable size; {image_size} was given. Leave it out")
        if self.sequence_limit is not None and (sequence_length or 0) > self.sequence_limit:
            raise UsageError(
                f"{self.name} has {self.sequence_limit:,} positions; a sequence of {sequence_length:,} does not fit. "
                f"Give at most {self.sequence_limit}"
            )
        return Sizes(
            batch_size=batch_size or self.batch_size,
            sequence_length=sequence_length or self.sequence_length,
            image_size=image_size or self.image_size,
        )
