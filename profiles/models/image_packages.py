"""`timm:NAME,key=value` and `torchvision:NAME,key=value`: models of those packages, without their weights."""

from __future__ import annotations

import functools
import importlib.util
import json
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hardware_db.errors import MissingExtra, ModelError, UnknownModel
from profiles.models import torchvision_shim
from profiles.models.definition import Arguments, ModelDefinition
from profiles.models.hf_spec import parse_options
from profiles.models.losses import classification, model_loss
from profiles.models.placement import settle
from profiles.models.suggest import did_you_mean
from profiles.models.tensors import floats, integers

if TYPE_CHECKING:
    import torch

Create = Callable[[str, dict[str, Any]], "torch.nn.Module"]
DEFAULT_IMAGE = 224
VIDEO_FRAMES = 16
_SOME = ("resnet50", "convnext_tiny", "vit_base_patch16_224", "vit_b_16", "fasterrcnn_resnet50_fpn")
VIDEO_SIDE = 112


def resolve_timm(text: str, base: Path | None = None) -> ModelDefinition:
    """Read what follows "timm:". Raises MissingExtra; an unknown name is reported when the model is built."""
    return _define_timm(text, *_read(text, "timm"))


def _define_timm(text: str, name: str, options: dict[str, Any], wanted: int | None = None) -> ModelDefinition:
    side = functools.cache(lambda: wanted or _timm_side(name, options))

    def inputs(batch: int, sequence: int | None, image: int | None) -> Arguments:
        channels = int(options.get("in_chans", 3))
        return (floats(batch, channels, image or side(), image or side()),), {}

    return ModelDefinition(
        name=f"timm:{text}",
        build=lambda: _timm(name, _timm_options(name, options, wanted)),
        inputs=inputs,
        loss=classification,
        takes_images=True,
        resized=lambda asked: _define_timm(text, name, options, asked),
        source=f"timm, {name}",
        fingerprint=_fingerprint("timm", name, options, wanted),
    )


def _timm_options(name: str, options: dict[str, Any], side: int | None) -> dict[str, Any]:
    """Return the options with the side of the images, for a network that is built for one side only."""
    torchvision_shim.prepare()
    import timm

    fixed = side is not None and getattr(timm.get_pretrained_cfg(name), "fixed_input_size", False)
    return {**options, "img_size": side} if fixed else options


def resolve_torchvision(text: str, base: Path | None = None) -> ModelDefinition:
    """Read what follows "torchvision:". Raises MissingExtra; an unknown name is reported when the model is built."""
    return _define_torchvision(text, *_read(text, "torchvision"))


def _define_torchvision(text: str, name: str, options: dict[str, Any], wanted: int | None = None) -> ModelDefinition:
    return ModelDefinition(
        name=f"torchvision:{text}",
        build=lambda: _torchvision(name, options, wanted),
        inputs=lambda batch, sequence, image: _torchvision_inputs(name, options, batch, image or wanted),
        loss=lambda outputs, args, kwargs: _torchvision_loss(outputs, args, kwargs),
        takes_images=True,
        resized=lambda asked: _define_torchvision(text, name, options, asked),
        source=f"torchvision, {name}",
        fingerprint=_fingerprint("torchvision", name, options, wanted),
    )


def _all_of_timm() -> list[str]:
    import timm

    return list(timm.list_models())


def _all_of_torchvision() -> list[str]:
    import torchvision

    return list(torchvision.models.list_models())


_KNOWN: dict[str, Callable[[], list[str]]] = {"timm": _all_of_timm, "torchvision": _all_of_torchvision}


def _read(text: str, package: str) -> tuple[str, dict[str, Any]]:
    if importlib.util.find_spec(package) is None:
        raise MissingExtra(f"{package}:{text} needs {package}, which is not installed.\npip install 'flopcast[vision]'")
    return parse_options(text)


def _fingerprint(package: str, name: str, options: dict[str, Any], side: int | None) -> str:
    built = "" if side is None else f" for images of {side}"
    return f"{package} {name} {json.dumps(options, sort_keys=True)}{built}"


def _timm(name: str, options: dict[str, Any]) -> torch.nn.Module:
    torchvision_shim.prepare()
    import timm

    return _made("timm", name, options, lambda n, o: timm.create_model(n, pretrained=False, **o))


def _timm_side(name: str, options: dict[str, Any]) -> int:
    """Side of the images the model was published for, or the one it is built for (`img_size=`)."""
    if isinstance(options.get("img_size"), int):
        return int(options["img_size"])
    torchvision_shim.prepare()
    import timm

    published: Any = timm.get_pretrained_cfg(name)
    if published is not None:
        return int(published.input_size[-1])
    return int(_built_on_meta(name, options).pretrained_cfg["input_size"][-1])


def _built_on_meta(name: str, options: dict[str, Any]) -> Any:
    import torch

    with torch.device("meta"):
        return _timm(name, options)


def _torchvision(name: str, options: dict[str, Any], side: int | None = None) -> torch.nn.Module:
    torchvision_shim.prepare()
    import torchvision

    torchvision_shim.let_detect()

    def create(wanted: str, given: dict[str, Any]) -> torch.nn.Module:
        backbone = {"weights_backbone": None} if wanted in _names("detection", "segmentation") else {}
        model: torch.nn.Module = torchvision.models.get_model(wanted, weights=None, **backbone, **given)
        _choose_without_chance(model)
        return model

    return _made("torchvision", name, {**options, **_torchvision_sizes(name, side)}, create)


def _torchvision_sizes(name: str, side: int | None) -> dict[str, Any]:
    """Return the side of the images as the options of a network that is built for one side only."""
    import torchvision

    if side is None or name not in torchvision.models.list_models():
        return {}
    family = torchvision.models.get_model_builder(name).__module__.rpartition(".")[2]
    sizes: dict[str, dict[str, Any]] = {
        "vision_transformer": {"image_size": side},
        "maxvit": {"input_size": (side, side)},
    }
    return sizes.get(family, {})


def _choose_without_chance(model: Any) -> None:
    """Let a detector that resizes to one size take that size, instead of a random one of it."""
    transform: Any = getattr(model, "transform", None)
    if len(getattr(transform, "min_size", ())) == 1:
        transform.torch_choice = lambda sizes: sizes[0]


@functools.cache
def _names(*parts: str) -> frozenset[str]:
    import torchvision

    modules = [getattr(torchvision.models, part) for part in parts]
    return frozenset(name for module in modules for name in torchvision.models.list_models(module=module))


def _instead(name: str, names: Sequence[str], package: str) -> str:
    """Return the nearest names, or how to see them all."""
    some = ", ".join(known for known in _SOME if known in names)
    module = "timm" if package == "timm" else "torchvision.models"
    return did_you_mean(name, names) or f" It has {len(names):,}, such as {some}. All of them: {module}.list_models()"


def _made(package: str, name: str, options: dict[str, Any], create: Create) -> torch.nn.Module:
    """Create a model; turn the package's complaint into ours."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return settle(create(name, options))
    except Exception as error:
        names = _KNOWN[package]()
        if name not in names and ("nknown model" in str(error) or isinstance(error, ValueError)):
            raise UnknownModel(f"No model {name!r} in {package}.{_instead(name, names, package)}") from error
        raise ModelError(f"{name} cannot be built with {options}: {error}") from error


def _torchvision_inputs(name: str, options: dict[str, Any], batch: int, image: int | None) -> Arguments:
    torchvision_shim.prepare()
    if name in _names("optical_flow"):
        side = image or 128
        return (floats(batch, 3, side, side), floats(batch, 3, side, side)), {}
    if name in _names("video"):
        side = image or _published_side(name) or VIDEO_SIDE
        return (floats(batch, 3, VIDEO_FRAMES, side, side),), {}
    side = image or int(options.get("image_size") or _published_side(name) or DEFAULT_IMAGE)
    if name in _names("detection"):
        return ([floats(3, side, side) for _ in range(batch)], [_boxes(side) for _ in range(batch)]), {}
    return (floats(batch, 3, side, side),), {}


def _boxes(side: int) -> dict[str, Any]:
    """One object an image, in its middle."""
    import torch

    box = torch.tensor([[side / 4, side / 4, 3 * side / 4, 3 * side / 4]], device="cpu")
    masks = torch.zeros((1, side, side), dtype=torch.uint8, device="cpu")
    keypoints = torch.ones((1, 17, 3), device="cpu") * (side / 2)
    return {"boxes": box, "labels": integers(1, 1) + 1, "masks": masks, "keypoints": keypoints}


def _published_side(name: str) -> int | None:
    """Side of the images its published weights were judged on; None where the weights or the network do not say."""
    import torchvision

    if torchvision.models.get_model_builder(name).__module__ == "torchvision.models.vision_transformer":
        return DEFAULT_IMAGE  # takes images of one size only, which is this unless it is built for another
    try:
        weights = torchvision.models.get_model_weights(name)
        transforms = next(iter(weights)).transforms()
    except (ValueError, StopIteration):
        return None
    size = getattr(transforms, "crop_size", None) or getattr(transforms, "resize_size", None)
    return int(size[-1]) if size else None


def _torchvision_loss(outputs: Any, args: tuple[Any, ...], kwargs: Any) -> torch.Tensor:
    """Sum the losses of a detector; cross entropy for everything that gives class scores."""
    if isinstance(outputs, dict) and any(str(key).startswith("loss") or key == "classification" for key in outputs):
        return model_loss({f"loss_{key}": value for key, value in outputs.items()}, args, kwargs)
    return classification(outputs, args, kwargs)
