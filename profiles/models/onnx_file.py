"""`model.onnx`: read by onnx, turned into a module by onnx2torch. Data: a graph and its weights."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hardware_db.errors import ModelError
from profiles.models import torchvision_shim
from profiles.models.definition import ModelDefinition
from profiles.models.example_inputs import example
from profiles.models.files import digest, first_line, need, unreadable
from profiles.models.input_text import InputSpec, arguments
from profiles.models.losses import model_loss
from profiles.models.placement import settle

if TYPE_CHECKING:
    import torch

# What a dimension without a size is taken as: the first is the batch, the second of ids the sequence, others an image.
_UNSIZED = {"batch": 1, "sequence": 128, "other": 224}
NEWEST_OPSET = 14


def resolve(text: str, base: Path | None = None) -> ModelDefinition:
    """Read an `.onnx` file. Raises UnknownModel, MissingExtra, and ModelError for operators unknown to onnx2torch."""
    need("onnx2torch", text, "onnx")
    path = (base or Path()) / text
    fingerprint = f"onnx {digest(path)}"
    graph = functools.cache(lambda: _load(path))
    given = example(arguments(_inputs(graph())))
    return ModelDefinition(
        name=text,
        build=lambda: _convert(graph(), text),
        inputs=lambda batch, sequence, image: given.at(batch, sequence),
        loss=model_loss,
        batch_size=given.batch_size,
        sequence_length=given.sequence_length,
        source=f"ONNX graph {path.name}",
        fingerprint=fingerprint,
    )


def _load(path: Path) -> Any:
    import onnx

    try:
        model = onnx.load(path)
    except Exception as error:
        unreadable(path.name, error)
    if not model.graph.node:
        empty = "holds no operations" if path.stat().st_size else "is empty"
        raise ModelError(f"{path.name} {empty}. torch.onnx.export(model, inputs, {path.name!r}) writes a graph")
    return _without_identities(model)


def _without_identities(model: Any) -> Any:
    """Drop `Identity` of a weight, which exporters write for tied weights and onnx2torch cannot follow."""
    weights = {weight.name for weight in model.graph.initializer}
    other = {n.output[0]: n.input[0] for n in model.graph.node if n.op_type == "Identity" and n.input[0] in weights}
    kept = [node for node in model.graph.node if node.op_type != "Identity" or node.output[0] not in other]
    for node in kept:
        for position, name in enumerate(node.input):
            node.input[position] = other.get(name, name)
    del model.graph.node[:]
    model.graph.node.extend(kept)
    return model


def _inputs(model: Any) -> list[InputSpec]:
    """Read the shapes of the graph's inputs; sizes left open get a default."""
    weights = {weight.name for weight in model.graph.initializer}
    return [_spec(value.type.tensor_type) for value in model.graph.input if value.name not in weights]


def _spec(tensor: Any) -> InputSpec:
    import onnx

    dtype = str(onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type))
    sizes = [dimension.dim_value for dimension in tensor.shape.dim]
    whole = dtype.startswith("int") and len(sizes) == 2
    names = ["batch", "sequence" if whole else "other", *["other"] * len(sizes)]
    return InputSpec(tuple(size or _UNSIZED[name] for size, name in zip(sizes, names, strict=False)), dtype)


def _convert(model: Any, text: str) -> torch.nn.Module:
    """Make a module; its weights are those of the file, on the CPU."""
    torchvision_shim.prepare()
    import onnx2torch
    import torch

    opset = max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=0)
    try:
        with torch.device("cpu"):
            module: torch.nn.Module = onnx2torch.convert(model)
    except Exception as error:
        hint = _remedy(model, opset)
        raise ModelError(f"{text} cannot be turned into a torch module: {first_line(error)}.{hint}") from error
    return settle(_trainable(module))


def _remedy(model: Any, opset: int) -> str:
    """Tell which operators onnx2torch does not know in any version of theirs, else to export with an older one."""
    from onnx2torch.node_converters.registry import get_converter

    unknown = []
    for node in model.graph.node:
        try:
            get_converter(node.op_type, NEWEST_OPSET, node.domain)
        except Exception:  # it raises what its table raises
            unknown.append(node.op_type)
    if unknown:
        return f" onnx2torch knows no {', '.join(sorted(set(unknown)))}: profile the code that it was exported from"
    return f" Its opset is {opset}; export with opset {NEWEST_OPSET} or lower" if opset > NEWEST_OPSET else ""


def _trainable(module: torch.nn.Module) -> torch.nn.Module:
    """Make parameters of the float weights that onnx2torch keeps as constants (of plain matrix products, for one)."""
    import torch

    for name, container in module.named_modules():
        if name.rpartition(".")[2] == "initializers":
            for key, value in list(container.named_buffers(recurse=False)):
                if value.is_floating_point() and value.numel() > 1:
                    delattr(container, key)
                    container.register_parameter(key, torch.nn.Parameter(value))
    return module
