"""From the user's factory to a ModelDefinition."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from profiles.models import user_code
from profiles.models.definition import Arguments, ModelDefinition
from profiles.models.example_inputs import Example, example
from profiles.models.guessed_inputs import guess
from profiles.models.input_text import InputSpec, arguments
from profiles.models.losses import model_loss
from profiles.models.placement import settle
from profiles.models.user_code import UserModel

if TYPE_CHECKING:
    import torch


def resolve(spec: str, base: Path | None = None, inputs: Sequence[InputSpec] = ()) -> ModelDefinition:
    """Run the user's factory once, without weights, to see what it makes.

    Inputs and step are those that the factory returned with the module that was built last: they may share tensors.

    Raises UnknownModel (file, module or function missing), ModelError (its code fails or returns something else),
    UsageError (the inputs cannot be guessed).
    """
    factory = user_code.load(spec, base)
    made = _on_meta(lambda: user_code.call(factory, spec))
    if isinstance(made, ModelDefinition):
        return made if not inputs else with_inputs(made, inputs)
    user = _on_meta(lambda: user_code.sort_out(made, spec))
    given, notes = _given(user, inputs, spec)
    spare, last = [user.module], [user]

    def build() -> torch.nn.Module:
        import torch

        if spare and torch.get_default_device().type == "meta":
            return settle(spare.pop())
        last[0] = user_code.sort_out(_anywhere(lambda: user_code.call(factory, spec)), spec)
        return settle(last[0].module)

    def feed(batch: int, sequence: int | None, image: int | None) -> Arguments:
        own = None if inputs else last[0].inputs
        return (given if own is None else dataclasses.replace(given, arguments=own)).at(batch, sequence)

    def step(*args: Any, **kwargs: Any) -> Any:
        made = last[0].step
        return None if made is None else made(*args, **kwargs)

    return ModelDefinition(
        name=spec,
        build=build,
        inputs=feed,
        loss=model_loss,
        batch_size=given.batch_size,
        sequence_length=given.sequence_length,
        step=None if user.step is None else step,
        source=f"{spec}, {type(user.module).__name__}",
        notes=notes,
    )


def with_inputs(definition: ModelDefinition, inputs: Sequence[InputSpec]) -> ModelDefinition:
    """Return the same model fed with what the user wrote; the first dimension is the batch."""
    given = _written(inputs)

    def make(batch: int, sequence: int | None, image: int | None) -> Arguments:
        return given.at(batch, sequence)

    return dataclasses.replace(
        definition,
        inputs=make,
        batch_size=given.batch_size,
        sequence_length=given.sequence_length,
        takes_images=False,
        resized=None,
        image_size=None,
        find_depth=None,
        fingerprint=definition.fingerprint and f"{definition.fingerprint} fed with {tuple(inputs)}",
    )


def _written(inputs: Sequence[InputSpec]) -> Example:
    return example(arguments(inputs))


def _given(user: UserModel, inputs: Sequence[InputSpec], name: str) -> tuple[Example, tuple[str, ...]]:
    if inputs:
        return _written(inputs), ()
    if user.inputs is not None:
        return example(user.inputs), ()
    guessed = guess(user.module, name)
    shape = "x".join(str(size) for size in guessed.shape)
    note = f"input guessed from the first layer: {guessed.dtype}:{shape}; --input gives another"
    return _written([guessed]), (note,)


def _on_meta(make: Callable[[], Any]) -> Any:
    """Run a factory on the meta device, so that it takes no memory."""
    import torch

    with torch.device("meta"):
        return _anywhere(make)


def _anywhere(make: Callable[[], Any]) -> Any:
    """Run a factory where torch's default device is; one that reads values is run on the CPU instead."""
    import torch

    if torch.get_default_device().type != "meta":
        return make()
    try:
        return make()
    except Exception:
        with torch.device("cpu"):
            made = make()
    parts = made if isinstance(made, tuple) else (made,)
    moved = tuple(part.to("meta") if isinstance(part, torch.nn.Module) else part for part in parts)
    return moved if isinstance(made, tuple) else moved[0]
