"""Record the profiles that ship with flopcast: `python -m profiles.recording [NAME ...]`.

What is recorded answers `flopcast estimate NAME` and the dashboard at once, on machines without torch. A test holds
each against a fresh trace.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib.resources import as_file

from hardware_db.errors import DataError
from profiles.library import Question, shipped_folder
from profiles.model_profile import ModelProfile
from profiles.request import ProfileRequest

OPTIMIZER = "adamw"
DEVICE = "cuda"
PRECISIONS = ("amp_bfloat16", "amp_float16", "float32")
"""What `--precision auto` may take on some device."""

MODELS = (
    "bert-base",
    "bert-large",
    "cifar10-cnn",
    "cifar10-resnet20",
    "dcgan",
    "dlrm",
    "gnmt",
    "gpt2",
    "gpt2-medium",
    "gpt2-large",
    "gpt2-xl",
    "gpt3-175b",
    "imdb-lstm",
    "las",
    "llama-2-7b",
    "llama-3.1-8b",
    "llama-3.1-70b",
    "llama-3.1-405b",
    "mistral-7b",
    "mixtral-8x7b",
    "mnist-cnn",
    "ncf",
    "resnet18",
    "resnet50",
    "rnn-t",
    "ssd300",
    "t5-small",
    "transformer-base",
    "unet3d",
    "vgg16",
    "vit-b-16",
    "whisper-small",
    "yolov3",
)


WRITERS = tuple(name for name in MODELS if name.startswith(("gpt2", "llama", "mistral", "mixtral")))
"""Models that write text: their forward pass is recorded too, for the memory and the time of generation."""

INFERENCE = ("bfloat16", "float16", "float32")
"""What weights are kept in for inference: what `flopcast serve` asks for by itself."""


def questions() -> Iterator[Question]:
    """Yield what the shipped profiles answer: training steps of all, and the forward pass of those that write."""
    for model in MODELS:
        for precision in PRECISIONS:
            yield Question(model, "train", precision, OPTIMIZER, DEVICE)
    for model in WRITERS:
        for precision in INFERENCE:
            yield Question(model, "forward", precision, None, DEVICE)


def record(question: Question) -> None:
    """Trace a model and write its profile to the package's folder.

    Float16, mixed or not, is not traced again: it takes the same casts and kernels as bfloat16 (a test holds one of
    each against a fresh trace), so its record is that one with the type's name replaced.
    """
    with as_file(shipped_folder()) as folder:
        if question.precision in ("float16", "amp_float16"):
            source = folder / _file_name(replace(question, precision=question.precision.replace("float16", "bfloat16")))
            text = ModelProfile.load(source).to_json().replace("bfloat16", "float16")
            ModelProfile.from_json(text).save(folder / _file_name(question))
        else:
            _traced(question).save(folder / _file_name(question))


def _traced(question: Question) -> ModelProfile:
    from profiles.definitions import profile_definition
    from profiles.image_growth import with_image_sizes
    from profiles.models import resolve

    request = ProfileRequest(
        mode=question.mode, precision=question.precision, optimizer=OPTIMIZER, device=question.device
    )
    definition = resolve(question.model)
    return with_image_sizes(profile_definition(definition, request), definition, request)


def _file_name(question: Question) -> str:
    if question.file_name is None:
        raise DataError(f"{question.model} is not a plain name, so no file can be shipped under it")
    return question.file_name


def main(names: list[str]) -> None:
    """Record the models named, or all."""
    for question in questions():
        if not names or question.model in names:
            print(f"{question.model} {question.mode} {question.precision}", file=sys.stderr, flush=True)
            record(question)


if __name__ == "__main__":
    main(sys.argv[1:])
