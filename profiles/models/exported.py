"""`model.pt2`: a program saved by torch.export. Data: checked before it is read, and nothing in it is run as Python."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hardware_db.errors import ModelError, UsageError
from profiles.models.archive_check import check_archive
from profiles.models.definition import Arguments, ModelDefinition
from profiles.models.example_inputs import Example, example
from profiles.models.files import digest
from profiles.models.losses import model_loss

if TYPE_CHECKING:
    import torch


def resolve(text: str, base: Path | None = None) -> ModelDefinition:
    """Read a `.pt2` file. Raises UnknownModel (missing), ModelError (not data only, or written by another torch)."""
    path = (base or Path()) / text
    check_archive(path)
    program = functools.cache(lambda: _load(path))
    given, free = _example(program(), text)

    def inputs(batch: int, sequence: int | None, image: int | None) -> Arguments:
        _check_free(text, given, free, batch, sequence)
        return given.at(batch, sequence)

    return ModelDefinition(
        name=text,
        build=lambda: _module(program()),
        inputs=inputs,
        loss=model_loss,
        batch_size=given.batch_size,
        sequence_length=given.sequence_length,
        source=f"torch.export program {path.name}",
        fingerprint=f"export {digest(path)}",
    )


def _load(path: Path) -> Any:
    import torch

    try:
        with torch.device("cpu"):
            return torch.export.load(path)
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(f"{path.name} cannot be read by torch {torch.__version__}: {reason}") from error


def _module(program: Any) -> torch.nn.Module:
    """Make a module of the program, on meta where that is torch's default device."""
    import torch
    from torch.export.passes import move_to_device_pass

    if torch.get_default_device().type == "meta":
        program = move_to_device_pass(program, "meta")
    return _whole(program.module())


def _whole(graph: torch.nn.Module) -> torch.nn.Module:
    """Wrap a program that refuses to be asked for training or evaluation: what it does was decided at its export."""
    import torch

    class Program(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.graph = graph

        def forward(self, *args: Any, **kwargs: Any) -> Any:
            return self.graph(*args, **kwargs)

        def train(self, mode: bool = True) -> Program:
            self.training = mode
            return self

    return Program()


def _example(program: Any, name: str) -> tuple[Example, tuple[bool, bool]]:
    """Return the example the program was exported with, and whether batch and sequence may be changed."""
    import torch

    if program.example_inputs is None:
        raise ModelError(f"{name} was saved without example inputs; export it again with torch.export.export")
    given = example(program.example_inputs)
    users = [n for n in program.graph.nodes if n.op == "placeholder" and n.name in program.graph_signature.user_inputs]
    shapes = [node.meta["val"].shape for node in users if isinstance(node.meta.get("val"), torch.Tensor)]
    batch = any(shape and not isinstance(shape[0], int) for shape in shapes)
    sequence = any(len(shape) == 2 and not isinstance(shape[1], int) for shape in shapes)
    return given, (batch, sequence)


def _check_free(name: str, given: Example, free: tuple[bool, bool], batch: int, sequence: int | None) -> None:
    """Refuse a size that the export has fixed."""
    asked = (("batch", given.batch_size, batch), ("sequence", given.sequence_length, sequence or given.sequence_length))
    for (what, own, wanted), is_free in zip(asked, free, strict=True):
        if own != wanted and not is_free:
            raise UsageError(
                f"{name} was exported for a {what} of {own} only; {wanted} was given. "
                "Export it with dynamic_shapes to vary it"
            )
