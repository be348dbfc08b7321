"""Factorisations and solvers, by their leading operation counts; work on the vector engine, family "other".

Sources: LAPACK Working Note 41, appendix C (Cholesky, LU, QR, inverse, triangular solves); Golub and Van Loan, Matrix
Computations, 3rd edition, sections 5.4.5, 7.5.6, 8.3.3 and table in 5.4.5 (singular values and eigenvalues, which
iterate: typical counts).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

from profiles.formulas.call import Call, Cost
from profiles.formulas.call import product as size
from profiles.formulas.costs import COMPLEX_DTYPES, vector_cost
from profiles.formulas.registry import register_formula
from profiles.records import TensorSpec


def lu(m: int, n: int) -> int:
    """LU of (m, n): 2n^3/3 where square."""
    small, large = min(m, n), max(m, n)
    return small * small * large - small**3 // 3


def qr(m: int, n: int) -> int:
    """Householder QR of (m, n) without forming Q: 2mn^2 - 2n^3/3 where m >= n."""
    small, large = min(m, n), max(m, n)
    return 2 * large * small * small - 2 * small**3 // 3


def svd(m: int, n: int, vectors: bool) -> int:
    """Singular values 4mn^2 - 4n^3/3; with the thin vectors 14mn^2 + 8n^3."""
    small, large = min(m, n), max(m, n)
    if vectors:
        return 14 * large * small * small + 8 * small**3
    return 4 * large * small * small - 4 * small**3 // 3


FACTORISATIONS: Mapping[str, Callable[[int, int], int]] = MappingProxyType(
    {
        "linalg_cholesky_ex": lambda m, n: n**3 // 3,
        "linalg_cholesky": lambda m, n: n**3 // 3,
        "cholesky": lambda m, n: n**3 // 3,
        "cholesky_inverse": lambda m, n: 2 * n**3 // 3,
        "linalg_ldl_factor_ex": lambda m, n: n**3 // 3,
        "linalg_lu_factor_ex": lu,
        "linalg_lu_factor": lu,
        "linalg_lu": lu,
        "_lu_with_info": lu,
        "_linalg_det": lu,
        "_linalg_slogdet": lu,
        "linalg_inv_ex": lambda m, n: 2 * n**3,
        "linalg_inv": lambda m, n: 2 * n**3,
        "inverse": lambda m, n: 2 * n**3,
        "linalg_qr": lambda m, n: 2 * qr(m, n),
        "geqrf": qr,
        "linalg_householder_product": qr,
        "orgqr": qr,
        "_linalg_eigvals": lambda m, n: 10 * n**3,
        "linalg_eigvals": lambda m, n: 10 * n**3,
        "linalg_eig": lambda m, n: 25 * n**3,
        "linalg_eigvalsh": lambda m, n: 4 * n**3 // 3,
        "linalg_eigh": lambda m, n: 9 * n**3,
        "linalg_svdvals": lambda m, n: svd(m, n, vectors=False),
        "linalg_svd": lambda m, n: svd(m, n, vectors=True),
    }
)
"""FLOPs of one matrix of (m, n) by operator."""


def least_squares(m: int, n: int, columns: int) -> int:
    """QR of (m, n), then Q^T b and a triangular solve for each column: 4mn - n^2 each."""
    return qr(m, n) + columns * (4 * max(m, n) * min(m, n) - min(m, n) ** 2)


def _complex_factor(tensor: TensorSpec) -> int:
    """A complex multiply-add is 8 FLOPs, a real one 2."""
    return 4 if tensor.dtype in COMPLEX_DTYPES else 1


def _cost(call: Call, flops: int) -> Cost:
    """`flops` for each matrix of the first tensor."""
    matrix = call.tensor(0)
    return vector_cost(call, "other", flops * size(matrix.shape[:-2]) * _complex_factor(matrix))


def _factorisation(flops: Callable[[int, int], int]) -> Callable[[Call], Cost]:
    """Formula of one entry of the table."""

    def formula(call: Call) -> Cost:
        m, n = call.tensor(0).shape[-2:]
        return _cost(call, flops(m, n))

    return formula


for _name, _flops in FACTORISATIONS.items():
    register_formula(f"aten.{_name}")(_factorisation(_flops))


@register_formula("aten._linalg_eigh")
def eigh(call: Call) -> Cost:
    """(A, UPLO, compute_v): symmetric eigenvalues 4n^3/3, with vectors 9n^3."""
    n = call.tensor(0).shape[-1]
    return _cost(call, 9 * n**3 if call.flag(2, "compute_v", True) else 4 * n**3 // 3)


@register_formula("aten._linalg_svd")
def singular_values(call: Call) -> Cost:
    """(A, full_matrices, compute_uv): with all of U too 4m^2n + 8mn^2 + 9n^3."""
    m, n = call.tensor(0).shape[-2:]
    small, large = min(m, n), max(m, n)
    if call.flag(1, "full_matrices") and call.flag(2, "compute_uv", True):
        return _cost(call, 4 * large * large * small + 8 * large * small * small + 9 * small**3)
    return _cost(call, svd(m, n, call.flag(2, "compute_uv", True)))


def _columns(call: Call, matrix: TensorSpec) -> int:
    """Right-hand sides of a solver: the elements of the solution over the size of the matrix, over all matrices."""
    return size(call.outputs[0].shape) // max(matrix.shape[-1], 1)


_SOLVERS: Mapping[str, tuple[int, int]] = MappingProxyType(
    {
        "linalg_solve_triangular": (0, 1),
        "triangular_solve": (1, 1),
        "cholesky_solve": (1, 2),
        "_cholesky_solve_helper": (1, 2),
        "linalg_lu_solve": (0, 2),
        "lu_solve": (1, 2),
        "linalg_ldl_solve": (0, 2),
    }
)
"""Position of the factor, and how many triangular solves of n^2 FLOPs a column takes."""


@register_formula(*(f"aten.{name}" for name in _SOLVERS))
def solve_factored(call: Call) -> Cost:
    """Solve with a factor that is there."""
    position, solves = _SOLVERS[call.operator.removeprefix("aten.")]
    factor = call.tensor(position)
    flops = solves * factor.shape[-1] ** 2 * _columns(call, factor) * _complex_factor(factor)
    return vector_cost(call, "other", flops)


@register_formula("aten._linalg_solve_ex", "aten.linalg_solve")
def solve(call: Call) -> Cost:
    """LU, then two triangular solves."""
    matrix = call.tensor(0)
    n = matrix.shape[-1]
    flops = lu(n, n) * size(matrix.shape[:-2]) + 2 * n * n * _columns(call, matrix)
    return vector_cost(call, "other", flops * _complex_factor(matrix))


@register_formula("aten.linalg_lstsq")
def lstsq(call: Call) -> Cost:
    """Least squares by Householder QR (Golub and Van Loan 5.3.2)."""
    m, n = call.tensor(0).shape[-2:]
    right = call.tensor(1)
    return _cost(call, least_squares(m, n, right.shape[-1] if len(right.shape) > 1 else 1))


@register_formula("aten.ormqr")
def ormqr(call: Call) -> Cost:
    """K reflectors of length m applied to the columns of the third tensor: 4mk - 2k^2 each."""
    m, k = call.tensor(0).shape[-2:]
    target = call.tensor(2)
    columns = target.shape[-1] if call.flag(3, "left", True) else target.shape[-2]
    return _cost(call, columns * (4 * m * k - 2 * k * k))


@register_formula("aten.linalg_pinv")
def pinv(call: Call) -> Cost:
    """Singular values with vectors, and the product that puts them together again."""
    m, n = call.tensor(0).shape[-2:]
    return _cost(call, svd(m, n, vectors=True) + 2 * m * n * min(m, n))


@register_formula("aten.linalg_matrix_exp")
def matrix_exp(call: Call) -> Cost:
    """Five products of a Taylor polynomial of degree 18 (Bader et al. 2019, doi:10.3390/math7121174).

    The squarings after it depend on the values, so that this stays an estimate.
    """
    n = call.tensor(0).shape[-1]
    return replace(_cost(call, 5 * 2 * n**3), counted=False)
