"""Singular values and eigenvalues alone: vectors are computed too only where a gradient needs them.

While calls are watched torch computes the vectors in any case (aten/src/ATen/native/BatchLinearAlgebra.cpp, which asks
`isTensorSubclassLike`); a run that nobody watches does not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

aten = torch.ops.aten
Tensor = torch.Tensor


def spectral_replacements() -> dict[str, Callable[..., Any]]:
    """Operators with the functions that take their place."""
    return {"linalg_svdvals": _singular, "linalg_eigvalsh": _symmetric, "linalg_eigvals": _general}


def _needs_vectors(matrix: Tensor) -> bool:
    return torch.is_grad_enabled() and matrix.requires_grad


def _singular(matrix: Tensor, *, driver: str | None = None) -> Tensor:
    found: Tensor = aten._linalg_svd(matrix, False, _needs_vectors(matrix), driver=driver)[1]
    return found


def _symmetric(matrix: Tensor, triangle: str = "L") -> Tensor:
    found: Tensor = aten._linalg_eigh(matrix, triangle, _needs_vectors(matrix))[0]
    return found


def _general(matrix: Tensor) -> Tensor:
    found: Tensor = aten.linalg_eig(matrix)[0] if _needs_vectors(matrix) else aten._linalg_eigvals(matrix)
    return found
