"""The one way to a profile by name: kept from an earlier question, shipped with flopcast, or traced now.

Importing this needs no torch, and neither does an answer that is already there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from hardware_db.errors import MissingExtra
from hardware_db.units import parse_precision
from profiles.library import Question, find, keep, shipped_questions
from profiles.models import InputSpec, ModelDefinition, names, resolve
from profiles.models.zoo import exact_name
from profiles.request import ProfileRequest

if TYPE_CHECKING:
    from profiles.model_profile import ModelProfile


def profile(
    model: str, request: ProfileRequest | None = None, *, inputs: Sequence[InputSpec] = (), base: Path | None = None
) -> ModelProfile:
    """Return the profile of a model by its name or definition, at the sizes asked for.

    Parameters
    ----------
    model
        Anything that `profiles.models.resolve` understands: "gpt2", "file.py:factory", "hf:llama,..." ...
    request
        Sizes, mode, precision, optimizer and device; default: a training step of the model's own sizes.
    inputs
        What to feed the model instead of its own example inputs.
    base
        Folder that relative paths start from; default the working directory.

    Raises
    ------
    FlopcastError
        If the model is unknown, cannot be run, or does not take these sizes.
    """
    request = request or ProfileRequest()
    definition = _defined(model, request, inputs, base)  # once: a user's file that is imported again may object
    question = _question(model, request, definition, inputs)
    found = _found(definition, request, question) or _found_for_images(model, request, inputs, base)
    return found or _make(definition, request, question)


def profile_for_images(
    model: str, request: ProfileRequest | None = None, *, inputs: Sequence[InputSpec] = (), base: Path | None = None
) -> ModelProfile:
    """Return a profile (see `profile`) that answers other image sizes too, where the model takes them.

    What is there may know its own image size alone: then the model is traced at others, and the result is kept.
    """
    request = request or ProfileRequest()
    found = profile(model, request, inputs=inputs, base=base)
    if found.image_size is None or found.images is not None or found.rung == "cpu":
        return found
    from profiles.image_growth import with_image_sizes

    asked = replace(request, image_size=None)
    definition = _defined(model, asked, inputs, base)
    question = _question(model, asked, definition, inputs)
    whole = with_image_sizes(profile(model, asked, inputs=inputs, base=base), definition, asked)
    if question is not None and whole.images is not None:
        keep(question, whole)
    if request.image_size is None:
        return whole
    same = whole.images is not None and whole.images.covers(found.image_size)
    return whole.at(found.batch_size, None, found.image_size) if same else found


def profile_by_line(
    model: str, request: ProfileRequest | None = None, *, inputs: Sequence[InputSpec] = (), base: Path | None = None
) -> ModelProfile:
    """Return a profile (see `profile`) whose operations know the line of code that called them.

    What is shipped or kept from another question does not: the model is traced, and kept apart.
    """
    request = request or ProfileRequest()
    definition = _defined(model, request, inputs, base)
    question = _question(model, request, definition, inputs)
    if question is not None:
        question = replace(question, definition=f"{definition.fingerprint} {list(inputs)} by line")
        sizes = definition.sizes(request.batch_size, request.sequence_length, request.image_size)
        found = find(question, sizes.batch_size, sizes.sequence_length)
        if found is not None:
            return found
    return _make(definition.with_lines(), request, question)


def known(
    model: str, request: ProfileRequest | None = None, *, inputs: Sequence[InputSpec] = (), base: Path | None = None
) -> ModelProfile | None:
    """Return a profile that is already there (see `profile`), or None where the model would have to be traced."""
    request = request or ProfileRequest()
    definition = _defined(model, request, inputs, base)
    found = _found(definition, request, _question(model, request, definition, inputs))
    return found or _found_for_images(model, request, inputs, base)


def _found(definition: ModelDefinition, request: ProfileRequest, question: Question | None) -> ModelProfile | None:
    sizes = definition.sizes(request.batch_size, request.sequence_length, request.image_size)
    return find(question, sizes.batch_size, sizes.sequence_length) if question is not None else None


def _found_for_images(
    model: str, request: ProfileRequest, inputs: Sequence[InputSpec], base: Path | None
) -> ModelProfile | None:
    """Return the profile of the model's own image size, moved to the one asked for."""
    if request.image_size is None:
        return None
    own = replace(request, image_size=None)
    definition = _defined(model, own, inputs, base)
    question = _question(model, own, definition, inputs)
    sizes = definition.sizes(request.batch_size, request.sequence_length, request.image_size)
    if question is None:
        return None
    return find(question, sizes.batch_size, sizes.sequence_length, sizes.image_size)


def _defined(model: str, request: ProfileRequest, inputs: Sequence[InputSpec], base: Path | None) -> ModelDefinition:
    return resolve(model, base=base, inputs=inputs).for_images(request.image_size)


def _make(definition: ModelDefinition, request: ProfileRequest, question: Question | None) -> ModelProfile:
    made = _tracer(definition.name, request)(definition, request)
    if question is not None:
        keep(question, made)
    return made


def _tracer(model: str, request: ProfileRequest) -> Callable[[ModelDefinition, ProfileRequest], ModelProfile]:
    """Return what traces a model, or say what is recorded of it where torch is not installed.

    Raises
    ------
    MissingExtra
        If torch is not installed.
    """
    try:
        from profiles.definitions import profile_definition
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise MissingExtra(
            f"{model} as asked is not recorded: counting its operations anew needs torch, which is not installed.\n"
            f"pip install 'flopcast[profile]', or ask for what is recorded: {_recorded(model, request.mode)}"
        ) from None
    return profile_definition


def _recorded(model: str, mode: str) -> str:
    """Name what is shipped of a model in a mode, or models that are shipped."""
    shipped = [each for each in shipped_questions() if each.mode == mode]
    own = [f"{each.precision} {each.optimizer or ''}".strip() for each in shipped if each.model == model]
    if own:
        return f"{model} in {', '.join(own)}"
    models = {each.model: 0 for each in shipped}
    return ", ".join(get_close_matches(model, models, n=3, cutoff=0.4) or list(models)[:3]) + f" ({len(models)} models)"


def _question(
    model: str, request: ProfileRequest, definition: ModelDefinition, inputs: Sequence[InputSpec]
) -> Question | None:
    """Return what a kept profile is found by; None for a user's code, which only running could tell apart."""
    if definition.fingerprint is None:
        return None
    name = exact_name(model)
    named = name in names_of_zoo() and not inputs
    return Question(
        model=name,
        mode=request.mode,
        precision=parse_precision(request.precision),
        optimizer=request.optimizer if request.mode == "train" else None,
        device=request.device,
        image_size=request.image_size,
        definition="" if named else f"{definition.fingerprint} {list(inputs)}",
    )


def names_of_zoo() -> frozenset[str]:
    """Return the names whose meaning only a new version of flopcast or transformers can change."""
    return frozenset(entry.name for entry in names())
