"""Kernels of whole layers: factorisations, recurrent layers, packed attention, quantised layers, torchvision's."""

from __future__ import annotations

import pytest
from formula_calls import cost, spec
from formula_rows import Row, rows
from test_formulas_written_out import operations

M, N = 17, 9
LU, QR = M * N**2 - N**3 // 3, 2 * M * N**2 - 2 * N**3 // 3
VALUES, THIN = 4 * M * N**2 - 4 * N**3 // 3, 14 * M * N**2 + 8 * N**3
FULL = 4 * M**2 * N + 8 * M * N**2 + 9 * N**3
RECTANGULAR = {
    **dict.fromkeys(("linalg_lu_factor", "linalg_lu_factor_ex", "linalg_lu", "_lu_with_info"), LU),
    **dict.fromkeys(("geqrf", "linalg_householder_product", "orgqr"), QR),
    "linalg_qr": 2 * QR,
    "linalg_svdvals": VALUES,
    "linalg_svd": THIN,
    "linalg_pinv": THIN + 2 * M * N * N,
}
"""FLOPs of a matrix of 17 x 9 or 9 x 17 (LAPACK Working Note 41; Golub and Van Loan, table in 5.4.5)."""


@pytest.mark.parametrize("name", RECTANGULAR)
@pytest.mark.parametrize("dtype", ["float32", "complex64"])
def test_factorisations_of_tall_and_wide_matrices(name, dtype):
    times = 3 * (4 if dtype == "complex64" else 1)
    for shape in ((3, M, N), (3, N, M)):
        matrix = spec(*shape, dtype=dtype)
        assert cost(f"aten.{name}", matrix, out=(matrix,)).flops == times * RECTANGULAR[name]


SQUARE, RIGHT = spec(2, 6, 6), spec(2, 6, 5)
ONE_BY_ONE = spec(4, 1, 1)
COLUMNS = 2 * 5
Z, PIVOTS, Y = spec(2, 6, 6, dtype="complex64"), spec(2, 6, dtype="int32"), spec(2, 6, 5, dtype="complex64")
COMPLEX_SOLVERS = {"linalg_lu_solve": (Z, PIVOTS, Y), "linalg_ldl_solve": (Z, PIVOTS, Y), "lu_solve": (Y, Z, PIVOTS, Y)}


@rows(
    Row("aten._linalg_eigh", (SQUARE,), (spec(2, 6), SQUARE), 2 * 9 * 6**3),
    Row("aten._linalg_eigh", (SQUARE, "L", False), (spec(2, 6), spec(0)), 2 * 4 * 6**3 // 3),
    Row("aten._linalg_svd", (spec(2, M, N),), (spec(2, M, N), spec(2, N), spec(2, N, N)), 2 * THIN),
    Row("aten._linalg_svd", (spec(2, M, N), False, False), (spec(0), spec(2, N), spec(0)), 2 * VALUES),
    Row("aten._linalg_svd", (spec(2, N, M), True, False), (spec(0), spec(2, N), spec(0)), 2 * VALUES),
    Row("aten._linalg_svd", (spec(2, N, M), True, True), (spec(2, M, M), spec(2, N), spec(2, N, N)), 2 * FULL),
    Row("aten.linalg_solve_triangular", (SQUARE, RIGHT), RIGHT, 36 * COLUMNS, named={"upper": True}),
    Row("aten.linalg_solve_triangular", (ONE_BY_ONE, ONE_BY_ONE), ONE_BY_ONE, 4, named={"upper": True}),
    Row("aten._linalg_svd", (spec(2, M, N), False, True), (spec(2, M, N), spec(2, N), spec(2, N, N)), 2 * THIN),
    *(Row(f"aten.{name}", args, args[-1], 4 * 2 * 36 * COLUMNS) for name, args in COMPLEX_SOLVERS.items()),
    Row("aten.linalg_lstsq", (spec(3, M, N), spec(3, M, 4)), (spec(3, N, 4),), 3 * (QR + 4 * (4 * M * N - N**2))),
    Row("aten.ormqr", (spec(3, M, N), spec(3, N), spec(3, M, 5)), spec(3, M, 5), 15 * (4 * M * N - 2 * N**2)),
    Row("aten.triangular_solve", (RIGHT, SQUARE), (RIGHT, SQUARE), 36 * COLUMNS),
    Row("aten.cholesky_solve", (RIGHT, SQUARE), RIGHT, 2 * 36 * COLUMNS),
    Row("aten._cholesky_solve_helper", (RIGHT, SQUARE, False), RIGHT, 2 * 36 * COLUMNS),
    Row("aten.linalg_lu_solve", (SQUARE, spec(2, 6, dtype="int32"), RIGHT), RIGHT, 2 * 36 * COLUMNS),
    Row("aten.lu_solve", (RIGHT, SQUARE, spec(2, 6, dtype="int32")), RIGHT, 2 * 36 * COLUMNS),
    Row("aten.linalg_ldl_solve", (SQUARE, spec(2, 6, dtype="int32"), RIGHT), RIGHT, 2 * 36 * COLUMNS),
    Row("aten.cholesky_solve", (spec(6, 5, dtype="complex64"), spec(6, 6, dtype="complex64")),
        spec(6, 5, dtype="complex64"), 4 * 2 * 36 * 5),
    Row("aten._linalg_solve_ex", (SQUARE, RIGHT), (RIGHT, SQUARE), 2 * (2 * 6**3 // 3) + 2 * 36 * COLUMNS),
    Row("aten.linalg_solve", (spec(6, 6, dtype="complex128"), spec(6, 5, dtype="complex128")),
        spec(6, 5, dtype="complex128"), 4 * (2 * 6**3 // 3 + 2 * 36 * 5)),
    # nine reflectors of 17 applied to a column 4mn - 2n^2, then n^2 to solve
    Row("aten.linalg_lstsq", (spec(M, N), spec(M, 4)), (spec(N, 4),), QR + 4 * (4 * M * N - N**2)),
    Row("aten.linalg_lstsq", (spec(M, N), spec(M)), (spec(N),), QR + 4 * M * N - N**2),
    Row("aten.ormqr", (spec(M, N), spec(N), spec(M, 5)), spec(M, 5), 5 * (4 * M * N - 2 * N**2)),
    Row("aten.ormqr", (spec(M, N), spec(N), spec(4, M), False), spec(4, M), 4 * (4 * M * N - 2 * N**2)),
    Row("aten.linalg_matrix_exp", (SQUARE,), SQUARE, 2 * 5 * 2 * 6**3, counted=False),
)  # fmt: skip
def test_solvers(row):
    row.check()


LSTM_BACKWARD = (
    "gh * t, gc + gh * o * (1 - t * t), gc * g, gc * i, gc * c, gc * f, go * (o * (1 - o)), gi * (i * (1 - i)), "
    "gf * (f * (1 - f)), gg * (1 - g * g)"
)
GRU_BACKWARD = (
    "g * (1 - z), g * (h - n), g * z, gn * (1 - n * n), gn * u, gn * r, gz * (z * (1 - z)), gr * (r * (1 - r))"
)
GATES = {
    1: ("tanh(a + b)", "g * (1 - h * h)"),
    4: (
        "sigmoid(a + b), sigmoid(a + b), sigmoid(a + b), tanh(a + b), f * c + i * g, o * tanh(c)",
        LSTM_BACKWARD,
    ),
    3: ("sigmoid(a + b), sigmoid(a + b), tanh(a + r * u), n + z * (h - n)", GRU_BACKWARD),
}
"""Formulas of a cell by the number of its gates: forward without biases, backward."""
H, INPUT, T, B = 5, 3, 7, 2


def gate_flops(gates: int, biases: bool = False) -> int:
    """Vector work of a cell for each hidden element; each gate has a bias for either product."""
    return operations(GATES[gates][0]) + 2 * gates * biases


def stack(gates: int, cells: int = 1, biases: bool = True, inputs: int = INPUT):
    """Weights of so many cells on the same input."""
    one = (spec(gates * H, inputs), spec(gates * H, H))
    return (one + (spec(gates * H), spec(gates * H)) * biases) * cells


X, STATE = spec(T, B, INPUT), spec(1, B, H)
CELL_ADDS = INPUT + H
MIOPEN = {0: 1, 1: 1, 2: 4, 3: 3}


@pytest.mark.parametrize("mode", MIOPEN)
@pytest.mark.parametrize("batch_first", [False, True])
def test_miopens_layers(mode, batch_first):
    gates, size = MIOPEN[mode], (B, T) if batch_first else (T, B)
    weights = stack(gates, 4, biases=False)  # as if the second layer were as narrow as the first
    settings = (mode, H, 2, batch_first, 0.0, True, True, (), None)
    found = cost("aten.miopen_rnn", spec(*size, INPUT), weights, 2, STATE, None, *settings, out=(spec(*size, 2 * H),))
    adds, dims = T * B * gates * H * CELL_ADDS, dict(found.dims)
    assert found.flops == 2 * 4 * adds and dims["m"] == B and dims["steps"] == T * 4
    assert (dims["n"], dims["k"], dims["vector_flops"]) == (gates * H, H, T * B * H * 4 * gate_flops(gates))
    before = (weights, 2, spec(9), STATE, None, spec(T, B, H), STATE, None, None)
    by_input_too = cost(
        "aten.miopen_rnn_backward", spec(*size, INPUT), *before, *settings, spec(9), (True, False, False, True),
        out=(spec(*size, INPUT),),
    )  # fmt: skip
    assert by_input_too.flops == 2 * 2 * 4 * adds and dict(by_input_too.dims)["m"] == B
    assert dict(by_input_too.dims)["vector_flops"] == T * B * H * 4 * operations(GATES[gates][1])
    weights_alone = cost(
        "aten.miopen_rnn_backward", spec(*size, INPUT), *before, *settings, spec(9), (False, False, False, True),
        out=(spec(*size, INPUT),),
    )  # fmt: skip
    unneeded = 2 * 2 * T * B * gates * H * INPUT  # the first matrix of each direction
    assert weights_alone.flops == 2 * 2 * 4 * adds - unneeded
    assert weights_alone.executed_flops == 2 * 2 * 4 * adds


def whole(name: str, gates: int, biases: bool) -> Row:
    return Row(f"aten.{name}_cell", (spec(B, INPUT), spec(B, H), *stack(gates, 1, biases)), spec(B, H),
               2 * B * gates * H * CELL_ADDS,
               sizes={"m": B, "n": gates * H, "k": H, "steps": 1, "vector_flops": B * H * gate_flops(gates, biases)}
               )  # fmt: skip


def in_one(name: str, gates: int) -> Row:
    return Row(f"quantized.quantized_{name}_cell_dynamic",
               (spec(B, INPUT), spec(B, H), (spec(gates * H, INPUT),), (spec(gates * H, H),), *[spec(gates * H)] * 2),
               spec(B, H), 2 * B * gates * H * CELL_ADDS,  # biases are added where they are packed with the weights
               sizes={"m": B, "n": gates * H, "k": H, "steps": 1, "vector_flops": B * H * gate_flops(gates)}
               )  # fmt: skip


def layers(name: str, gates: int, packed: bool, bidirectional: bool) -> Row:
    """Two layers of one size, all tokens in one list where they are packed."""
    cells = 2 * (1 + bidirectional)
    state = spec(cells, B, H)
    data = (spec(T * B, INPUT), spec(T, dtype="int64")) if packed else (X,)
    hidden = (state, state) if gates == 4 else state
    settings = (True, 2, 0.0, False, bidirectional, *(() if packed else (False,)))
    return Row(f"aten.{name}", (*data, hidden, stack(gates, cells), *settings), (spec(T, B, H),),
               2 * cells * T * B * gates * H * CELL_ADDS, overload="data" if packed else "input",
               sizes={"m": B, "steps": T * cells, "vector_flops": T * B * H * cells * gate_flops(gates, True)}
               )  # fmt: skip


NAMES = {"lstm": 4, "gru": 3, "rnn_tanh": 1, "rnn_relu": 1}


@rows(
    *(whole(name, gates, biases) for name, gates in NAMES.items() for biases in (False, True)),
    *(in_one(name, gates) for name, gates in NAMES.items()),
    *(layers(name, gates, packed, bidirectional)
      for name, gates in (NAMES | {"quantized_lstm": 4, "quantized_gru": 3}).items()
      for packed in (False, True) for bidirectional in (False, True)),
    Row("aten.mkldnn_rnn_layer",
        (X, *stack(4), STATE, STATE, False, (), 2, H, 1, False, False, False, True), (spec(T, B, H),),
        2 * T * B * 4 * H * CELL_ADDS, sizes={"m": B, "steps": T, "vector_flops": T * B * H * gate_flops(4)}),
    Row("aten.mkldnn_rnn_layer",
        (X, *stack(4), STATE, STATE, False, (), 2, H, 1, True, False, False, True), (spec(T, B, H),),
        2 * T * B * 4 * H * CELL_ADDS, sizes={"vector_flops": T * B * H * gate_flops(4, True)}),
    Row("aten.mkldnn_rnn_layer_backward",
        (X, *stack(4), STATE, STATE, X, STATE, STATE, X, STATE, STATE, False, 2, H, 1, True, True, False, (), True,
         spec(9)), (X,), 2 * 2 * T * B * 4 * H * CELL_ADDS,
        sizes={"vector_flops": T * B * H * operations(GATES[4][1])}),
    Row("aten.gru", (spec(T, 1, INPUT), spec(1, 1, H), stack(3), True, 1, 0.0, False, False, False), (spec(T, 1, H),),
        2 * T * 3 * H * CELL_ADDS, overload="input", sizes={"m": 1, "steps": T}),
    Row("aten.lstm_cell", (spec(1, INPUT), spec(1, H), *stack(4)), spec(1, H), 2 * 4 * H * CELL_ADDS,
        sizes={"m": 1, "steps": 1}),
    Row("aten.miopen_rnn",
        (spec(5, INPUT), stack(4), 4, STATE, STATE, 2, H, 1, False, 0.0, True, False, (3, 2), None),
        (spec(5, H),), 2 * 5 * 4 * H * CELL_ADDS, sizes={"m": 3}),
    Row("aten.miopen_rnn_backward",
        (spec(5, INPUT), stack(4), 4, spec(9), STATE, STATE, spec(5, H), spec(5, H), STATE, STATE, 2, H, 1, False, 0.0,
         True, False, (3, 2), None, spec(9), (True, True, True, True)),
        (spec(5, INPUT),), 2 * 2 * 5 * 4 * H * CELL_ADDS, sizes={"m": 3}),
    Row("aten._thnn_fused_lstm_cell", (spec(B, 4 * H), spec(B, 4 * H), spec(B, H), spec(4 * H), spec(4 * H)),
        (spec(B, H),), B * H * gate_flops(4, True)),
    Row("aten._thnn_fused_gru_cell", (spec(B, 3 * H), spec(B, 3 * H), spec(B, H)), (spec(B, H),),
        B * H * gate_flops(3)),
    *(Row(f"aten.{name}", (spec(B, H), None), (spec(B, 4 * H),), B * H * operations(GATES[4][1]))
      for name in ("_thnn_fused_lstm_cell_backward", "_thnn_fused_lstm_cell_backward_impl",
                   "_thnn_differentiable_lstm_cell_backward")),
    *(Row(f"aten.{name}", (spec(B, H), None), (spec(B, 3 * H),), B * H * operations(GATES[3][1]))
      for name in ("_thnn_fused_gru_cell_backward", "_thnn_differentiable_gru_cell_backward")),
)  # fmt: skip
def test_recurrent_layers(row):
    row.check()
