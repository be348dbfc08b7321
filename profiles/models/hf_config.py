"""From the text of a Hugging Face model to its configuration object and model class; imports torch when used."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import os
from pathlib import Path
from typing import Any

from hardware_db.errors import MissingExtra, ModelError, UnknownModel, UsageError
from profiles import lean_imports
from profiles.models import hf_mended, torchvision_shim
from profiles.models.hf_spec import RUN_OPTIONS, HuggingFaceSpec
from profiles.models.hf_tables import heads
from profiles.models.suggest import did_you_mean

# Entries of a published config.json that say how weights were stored or text is generated, not what is computed.
_NOT_COMPUTED = ("quantization_config", "auto_map", "dtype", "torch_dtype", "transformers_version", "_name_or_path")


def quiet_offline() -> None:
    """Make transformers neither ask the network nor print advice."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    logging.getLogger("transformers").setLevel(logging.ERROR)


def configuration(spec: HuggingFaceSpec) -> Any:
    """Make the configuration object. Raises UsageError for an option that it does not have or refuses."""
    quiet_offline()
    torchvision_shim.prepare()
    lean_imports.prepare(spec.model_type)
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    kind = CONFIG_MAPPING[spec.model_type]
    options = {key: value for key, value in spec.options.items() if key not in _NOT_COMPUTED}
    _check_names(spec, kind)
    try:
        options = options if spec.published else hf_mended.mend(spec.model_type, options, kind)
        config = kind(**options)
        if spec.side is not None:
            config = kind(**_for_images(options, config, spec.side))
    except Exception as error:
        reason = str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
        raise UsageError(f"transformers refuses this {spec.model_type} configuration: {reason}") from error
    for part in (config, *sub_configurations(config)):
        if hasattr(part, "use_cache"):
            part.use_cache = False
    return config


def _for_images(options: dict[str, Any], config: Any, side: int) -> dict[str, Any]:
    """Return the options with the side of the images, where the configuration or its part that sees has one."""
    if isinstance(getattr(config, "image_size", None), int | list | tuple):
        return {**options, "image_size": _alike(config.image_size, side)}
    vision: Any = getattr(config, "vision_config", None)
    if not isinstance(getattr(vision, "image_size", None), int | list | tuple):
        return options
    return {**options, "vision_config": {**vision.to_dict(), "image_size": _alike(vision.image_size, side)}}


def _alike(size: Any, side: int) -> Any:
    return side if isinstance(size, int) else [side] * len(size)


def _check_names(spec: HuggingFaceSpec, kind: Any) -> None:
    """Refuse an option typed by hand that neither the configuration nor the code of its model ever mentions."""
    default = kind() if spec.typed else None
    for key in (name.partition(".")[0] for name in spec.typed):
        if not hasattr(default, key) and not _mentions(kind, key):
            public = [name for name in vars(default) if not name.startswith("_")]
            near = did_you_mean(key, [*public, *RUN_OPTIONS])
            ours = f"Options beside those of its configuration: {', '.join(RUN_OPTIONS)}"
            raise UsageError(f"{spec.model_type} has no option {key!r}.{near}\n{ours}")


def _mentions(kind: Any, key: str) -> bool:
    """Tell whether the model's source reads an option that its configuration class does not declare."""
    modeling = _modeling_module(kind)
    source = importlib.util.find_spec(modeling)
    return source is not None and source.origin is not None and f'"{key}"' in Path(source.origin).read_text("utf-8")


def _modeling_module(kind: Any) -> str:
    return str(kind.__module__).replace(".configuration_", ".modeling_")


def sub_configurations(config: Any) -> list[Any]:
    """All configurations inside a configuration (text, vision, encoder ...), at any depth."""
    found = []
    for name in getattr(config, "sub_configs", {}):
        part = getattr(config, name, None)
        if part is not None and hasattr(part, "to_dict"):
            found += [part, *sub_configurations(part)]
    return found


def model_class(spec: HuggingFaceSpec, config: Any, class_name: str) -> Any:
    """Find a model class by name. Raises UnknownModel where transformers has none."""
    found = getattr(_module(_modeling_module(type(config))), class_name, None)
    if found is None:
        import transformers

        found = getattr(transformers, class_name, None)
    if found is None:
        raise UnknownModel(f"{spec.model_type} has no class {class_name}. It has: {', '.join(heads(spec.model_type))}")
    return found


def _module(name: str) -> Any:
    """Import a module with models; None where the model type has none of its own and uses those of another.

    Raises MissingExtra where it needs a package that is not installed.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name == name:
            return None
        if error.name is None:  # transformers' own, from a module that failed to import for some reason it swallows
            raise ModelError(f"transformers cannot import {name}: {error}") from error
        message = f"This model needs {error.name}, which is not installed.\npip install {error.name}"
        raise MissingExtra(message) from error


def text_configuration(config: Any) -> Any:
    """Return the part that reads text, of several the one that writes; the whole where there are no parts."""
    try:
        return config.get_text_config()
    except ValueError:
        return config.get_text_config(decoder=True)


def build(spec: HuggingFaceSpec, class_name: str) -> Any:
    """Make the model in torch's default float type, without weights from anywhere.

    Raises ModelError where transformers cannot make it (a missing package, sizes that do not fit together).
    """
    import torch

    from profiles.models.uninitialised import Uninitialised

    config = configuration(spec)
    kind = model_class(spec, config, class_name)
    if kind.forward is torch.nn.Module.forward:
        raise ModelError(f"{class_name} has no forward pass: it only generates, and its parts are trained one by one")
    extra = {key: value for key, value in spec.run.items() if key.endswith("_implementation")}
    try:
        with Uninitialised():
            model = kind._from_config(config, dtype=torch.get_default_dtype(), **extra)
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(f"transformers cannot build {class_name} from this configuration: {reason}") from error
    if spec.options.get("tie_word_embeddings") is False:
        _untie_head(model)
    return model


def _untie_head(model: Any) -> None:
    """Give the output layer weights of its own, as asked: T5's class ties it whatever its configuration says."""
    import torch

    head, words = model.get_output_embeddings(), model.get_input_embeddings()
    if head is not None and words is not None and head.weight is words.weight:
        head.weight = torch.nn.Parameter(torch.empty_like(words.weight))
