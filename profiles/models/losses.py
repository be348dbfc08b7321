"""What training minimises, by task. Targets are made up: their values never change what is computed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from hardware_db.errors import ModelError

if TYPE_CHECKING:
    import torch

MEAN_LOSS_NOTE = "loss: mean of all float outputs (none was given)"


def cross_entropy(outputs: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> torch.Tensor:
    """Cross entropy of class scores [batch, classes, ...] against class 0."""
    import torch

    shape = (outputs.shape[0], *outputs.shape[2:])
    return torch.nn.functional.cross_entropy(outputs, torch.zeros(shape, dtype=torch.int64, device=outputs.device))


def classification(outputs: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> torch.Tensor:
    """Sum of the cross entropies of all class scores a classifier puts out: main and auxiliary heads alike."""
    import torch

    scores = [tensor for tensor in _tensors(outputs) if tensor.dim() >= 2]
    if not scores:
        raise ModelError("The model puts out no class scores [batch, classes, ...]")
    return torch.stack([cross_entropy(tensor, args, kwargs) for tensor in scores]).sum()


def token_cross_entropy(outputs: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> torch.Tensor:
    """Cross entropy of token scores [batch, sequence, vocabulary], every position a target."""
    import torch

    scores = outputs.flatten(0, 1)
    targets = torch.zeros(scores.shape[0], dtype=torch.int64, device=scores.device)
    return torch.nn.functional.cross_entropy(scores, targets)


def binary_cross_entropy(outputs: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> torch.Tensor:
    """Binary cross entropy of raw scores of any shape."""
    import torch

    return torch.nn.functional.binary_cross_entropy_with_logits(outputs, torch.zeros_like(outputs))


def mean_squared_error(outputs: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> torch.Tensor:
    """Mean squared distance of the outputs to a target of the same shape."""
    import torch

    return torch.nn.functional.mse_loss(outputs, torch.zeros_like(outputs))


def boxes_and_classes(outputs: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> torch.Tensor:
    """Softmax loss of the classes plus smooth L1 of the boxes, every default box a target (arXiv 1512.02325, eq. 1).

    Which boxes count is a choice among few numbers that changes no product of matrices.
    """
    import torch

    scores, places = outputs
    loss: torch.Tensor = token_cross_entropy(scores, args, kwargs) + torch.nn.functional.smooth_l1_loss(
        places, torch.zeros_like(places)
    )
    return loss


def boxes_in_a_grid(outputs: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> torch.Tensor:
    """Squared error of the boxes (first four columns) plus logistic loss of the rest (arXiv 1804.02767, 2.1-2.2)."""
    places, scores = outputs.split((4, outputs.shape[-1] - 4), dim=-1)
    return mean_squared_error(places, args, kwargs) + binary_cross_entropy(scores, args, kwargs)


def lattice(outputs: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> torch.Tensor:
    """Mean log probability of going on, over every pair of a frame and a place [batch, time, places, symbols].

    In place of the sum over all paths (Graves 2012, arXiv 1211.3711, section 2.4), whose work between the log
    probabilities and their gradient is two numbers per pair.
    """
    loss: torch.Tensor = -outputs.log_softmax(dim=-1)[..., 0].mean()
    return loss


def evidence_bound(outputs: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> torch.Tensor:
    """Error of the rebuilt pixels plus divergence from the prior (Kingma and Welling 2014, arXiv 1312.6114, eq. 10)."""
    import torch

    rebuilt, mean, log_variance = outputs
    error = torch.nn.functional.mse_loss(rebuilt, args[0].flatten(1), reduction="sum")
    loss: torch.Tensor = error - 0.5 * (1 + log_variance - mean.pow(2) - log_variance.exp()).sum()
    return loss


def model_loss(outputs: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> torch.Tensor:
    """Take the loss the model itself computed, else a scalar output, else the mean of all float outputs.

    A dict of losses (torchvision's detectors in training) is summed, as their reference training script does.
    Raises ModelError where no output can be differentiated.
    """
    import torch

    loss = outputs.get("loss") if isinstance(outputs, Mapping) else getattr(outputs, "loss", None)
    if isinstance(loss, torch.Tensor):
        return loss if loss.dim() == 0 else loss.mean()
    if isinstance(outputs, dict) and outputs and all(str(key).startswith("loss") for key in outputs):
        return torch.stack([value.mean() for value in outputs.values()]).sum()
    terms = [tensor for tensor in _tensors(outputs) if tensor.requires_grad]
    if not terms:
        raise ModelError("No output of the model can be differentiated: all are integers or detached from parameters")
    if len(terms) == 1 and terms[0].dim() == 0:
        return terms[0]
    return torch.stack([term.abs().mean() if term.is_complex() else term.float().mean() for term in terms]).sum()


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    """All float tensors in nested tuples, lists, mappings and dataclasses, each once."""
    import dataclasses

    import torch

    if isinstance(value, torch.Tensor):
        if value.is_floating_point() or value.is_complex():
            yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _tensors(part)
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from _tensors(part)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            yield from _tensors(getattr(value, field.name))
