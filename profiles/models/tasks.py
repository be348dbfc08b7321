"""What is fed to our own networks and what they minimise, by task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hardware_db.errors import UsageError
from profiles.models import losses
from profiles.models.definition import Arguments, InputsFunction, LossFunction
from profiles.models.tensors import floats, integers

Options = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Task:
    """`inputs` takes the network's options first; `loss` as in ModelDefinition."""

    inputs: Any
    loss: LossFunction

    def inputs_for(self, options: Options) -> InputsFunction:
        """Bind the network's options."""
        return lambda batch, sequence, image: self.inputs(options, batch, sequence, image)


def _image(options: Options, batch: int, sequence: int | None, image: int | None) -> Arguments:
    side = _only(options, image)
    return (floats(batch, options.get("channels", 3), side, side),), {}


def _only(options: Options, image: int | None) -> int:
    """Side of the image; UsageError for another than the one the network is built for."""
    fixed = options.get("fixed_image_size")
    if fixed is not None and image != fixed:
        raise UsageError(f"This network takes images of {fixed} x {fixed} only; {image} was given. Leave it out")
    return image or 1


def _tokens(options: Options, batch: int, sequence: int | None, image: int | None) -> Arguments:
    return (integers(options["vocabulary"], batch, sequence or 1),), {}


def _translation(options: Options, batch: int, sequence: int | None, image: int | None) -> Arguments:
    ids = integers(options["vocabulary"], batch, sequence or 1)
    return (ids, ids.clone()), {}


def _speech(options: Options, batch: int, sequence: int | None, image: int | None) -> Arguments:
    characters = sequence or 1
    frames = floats(batch, 8 * characters, options["mels"])
    return (frames, integers(options["characters"], batch, characters)), {}


def _adversarial(options: Options, batch: int, sequence: int | None, image: int | None) -> Arguments:
    return (floats(batch, 100, 1, 1), floats(batch, 3, 64, 64)), {}


def _diffusion(options: Options, batch: int, sequence: int | None, image: int | None) -> Arguments:
    side = (image or 1) // 8
    latents, text = floats(batch, 4, side, side), floats(batch, 77, options["context"])
    pooled = (floats(batch, options["pooled"]),) if options.get("pooled") else ()
    return (latents, integers(1000, batch), text, *pooled), {}


def _volume(options: Options, batch: int, sequence: int | None, image: int | None) -> Arguments:
    side, slices = _only(options, image), options["slices"]
    return (floats(batch, options["channels"], slices, side, side),), {}


def _classed(options: Options, batch: int, sequence: int | None, image: int | None) -> Arguments:
    side = (image or 1) // 8
    if side != options.get("side", side):
        raise UsageError(f"This network is built for images of {8 * options['side']}; {image} was given. Leave it out")
    return (floats(batch, 4, side, side), integers(1000, batch), integers(1000, batch)), {}


def _ratings(options: Options, batch: int, sequence: int | None, image: int | None) -> Arguments:
    return (integers(options["users"], batch), integers(options["items"], batch)), {}


def _clicks(options: Options, batch: int, sequence: int | None, image: int | None) -> Arguments:
    rows = options["rows"]
    return (floats(batch, options["bottom"][0]), integers(min(rows), batch, len(rows))), {}


TASKS: dict[str, Task] = {
    "image classification": Task(_image, losses.cross_entropy),
    "image segmentation": Task(_image, losses.cross_entropy),
    "volume segmentation": Task(_volume, losses.cross_entropy),
    "object detection": Task(_image, losses.boxes_and_classes),
    "object detection in a grid": Task(_image, losses.boxes_in_a_grid),
    "text classification": Task(_tokens, losses.binary_cross_entropy),
    "language modelling": Task(_tokens, losses.token_cross_entropy),
    "translation": Task(_translation, losses.token_cross_entropy),
    "speech recognition": Task(_speech, losses.token_cross_entropy),
    "speech transduction": Task(_speech, losses.lattice),
    "image generation": Task(_adversarial, losses.model_loss),
    "image encoding": Task(_image, losses.evidence_bound),
    "denoising of classes": Task(_classed, losses.mean_squared_error),
    "recommendation": Task(_ratings, losses.binary_cross_entropy),
    "click prediction": Task(_clicks, losses.binary_cross_entropy),
    "denoising": Task(_diffusion, losses.mean_squared_error),
}
