"""Smallest possible traffic: what is read and written, by hand, byte for byte."""

from __future__ import annotations

import pytest
from formula_calls import cost, record, spec

from hardware_db.errors import DataError
from profiles.formulas.traffic import DTYPE_BITS, tensor_bytes

X = spec(6, 10)


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [("float32", 40), ("bfloat16", 20), ("bool", 10), ("complex128", 160), ("int4", 5), ("int64", 80)],
)
def test_size_of_a_dtype(dtype: str, expected: int) -> None:
    assert tensor_bytes(spec(10, dtype=dtype)) == expected


def test_part_of_a_byte_counts_whole() -> None:
    assert tensor_bytes(spec(3, dtype="int4")) == 2


def test_every_dtype_of_torch_has_its_size() -> None:
    torch = pytest.importorskip("torch")
    whole_bytes = {value for value in vars(torch).values() if isinstance(value, torch.dtype)}
    sizes = {str(dtype).removeprefix("torch."): dtype.itemsize for dtype in whole_bytes}
    sub_byte = {name for name, bits in DTYPE_BITS.items() if bits < 8}
    assert {name for name in sizes if name not in DTYPE_BITS} == set()
    assert {name: DTYPE_BITS[name] // 8 for name in sizes if name not in sub_byte} == {
        name: size for name, size in sizes.items() if name not in sub_byte
    }


def test_unknown_dtype_is_an_error_and_no_guess() -> None:
    with pytest.raises(DataError, match="No size is known for dtype 'float12'"):
        tensor_bytes(spec(3, dtype="float12"))


@pytest.mark.parametrize(
    "operator", ["aten.view", "aten.transpose", "aten.expand", "aten.detach", "aten.slice", "aten.t"]
)
def test_views_move_nothing(operator: str) -> None:
    found = cost(operator, X, out=X)
    assert (found.family, found.engine, found.flops, found.bytes_moved) == ("view", "none", 0, 0)
    assert found.counted


@pytest.mark.parametrize(
    ("operator", "args", "out", "read", "written"),
    [
        ("aten.clone", (X,), X, 240, 240),
        ("aten._to_copy", (X,), spec(6, 10, dtype="bfloat16"), 240, 120),
        ("aten.copy_", (X, spec(6, 10, dtype="bfloat16")), X, 120, 240),
        ("aten.fill_", (X, 0.0), X, 0, 240),
        ("aten.zeros_like", (X,), X, 0, 240),
        ("aten.empty", ((6, 10),), X, 0, 0),
        ("aten.arange", (60,), spec(60, dtype="int64"), 0, 480),
        ("aten.cat", ((X, X),), spec(12, 10), 480, 480),
        ("aten.add", (X, spec(10)), X, 280, 240),
        ("aten.add_", (X, X), X, 480, 240),
        ("aten.add", (spec(6, 10, stored=10), X), X, 280, 240),
        ("aten._foreach_copy_", ((X, X), (X, X)), (), 480, 480),
        ("aten._foreach_zero_", ((X, X),), (), 0, 480),
        ("aten.normal_", (X, 0.0, 1.0), X, 0, 240),
    ],
)
def test_traffic(operator: str, args: tuple[object, ...], out: object, read: int, written: int) -> None:
    found = cost(operator, *args, out=out)
    assert (found.bytes_read, found.bytes_written) == (read, written)


TABLE, INDICES = spec(50000, 64), spec(2, 8, dtype="int64")


def test_embedding_reads_only_the_rows_that_it_picks() -> None:
    found = cost("aten.embedding", TABLE, INDICES, out=spec(2, 8, 64))
    assert found.flops == 0 and found.family == "embedding" and found.counted
    assert found.bytes_read == 16 * 8 + 16 * 64 * 4 and found.bytes_written == 16 * 64 * 4


def test_embedding_backward_adds_each_row_and_writes_the_whole_table() -> None:
    found = cost("aten.embedding_dense_backward", spec(2, 8, 64), INDICES, 50000, -1, False, out=TABLE)
    assert found.flops == 16 * 64
    assert found.bytes_read == 16 * 64 * 4 + 16 * 8 and found.bytes_written == 50000 * 64 * 4


def test_embedding_bag_adds_up_what_it_picks() -> None:
    found = cost("aten._embedding_bag", TABLE, spec(16, dtype="int64"), spec(2, dtype="int64"), out=(spec(2, 64),))
    assert found.flops == 16 * 64 and found.bytes_read == 16 * 64 * 4 + 16 * 8 + 2 * 8


def test_gather_reads_what_comes_out() -> None:
    index = spec(6, 2, dtype="int64")
    assert cost("aten.gather", X, 1, index, out=spec(6, 2)).bytes_read == 12 * 4 + 12 * 8
    assert cost("aten.index_select", X, 0, spec(3, dtype="int64"), out=spec(3, 10)).bytes_read == 30 * 4 + 3 * 8
    assert cost("aten.index", X, (None, spec(2, dtype="int64")), out=spec(6, 2)).bytes_read == 12 * 4 + 2 * 8


def test_writing_in_place_touches_only_what_is_written() -> None:
    rows = spec(3, dtype="int64")
    put = cost("aten.index_put_", X, (rows,), spec(3, 10), out=X)
    assert (put.flops, put.bytes_read, put.bytes_written) == (0, 30 * 4 + 3 * 8, 30 * 4)
    added = cost("aten.index_put_", X, (rows,), spec(3, 10), True, out=X)
    assert (added.flops, added.bytes_read, added.bytes_written) == (30, 2 * 30 * 4 + 3 * 8, 30 * 4)
    broadcast = cost("aten.index_put_", X, (rows,), spec(), out=X)
    assert (broadcast.bytes_read, broadcast.bytes_written) == (4 + 3 * 8, 30 * 4)
    copied = cost("aten.index_put", X, (rows,), spec(3, 10), out=X)
    assert (copied.bytes_read, copied.bytes_written) == (60 * 4 + 30 * 4 + 3 * 8, 60 * 4)


def test_scatter_add() -> None:
    index = spec(6, 2, dtype="int64")
    found = cost("aten.scatter_add_", X, 1, index, spec(6, 2), out=X)
    assert (found.flops, found.bytes_read, found.bytes_written) == (12, 12 * (4 + 8 + 4), 12 * 4)
    assert cost("aten.scatter_", X, 1, index, spec(6, 2), overload="src", out=X).flops == 0


def test_slice_backward_writes_zeros_around_the_gradient() -> None:
    found = cost("aten.slice_backward", spec(6, 4), (6, 10), 1, 0, 4, 1, out=X)
    assert (found.flops, found.bytes_read, found.bytes_written) == (0, 24 * 4, 60 * 4)


def test_an_output_given_by_the_caller_is_not_read() -> None:
    assert cost("aten.add", X, X, overload="out", out=(X,), **{"alpha": 1}).bytes_read == 480
    torch = pytest.importorskip("torch")
    x, given = torch.ones(6, 10), torch.empty(6, 10)
    (found,) = record(lambda: torch.add(x, x, out=given)).of("aten.add")
    assert (found.bytes_read, found.bytes_written) == (480, 240)


def test_what_returns_nothing_and_is_not_in_place_writes_nothing() -> None:
    found = cost("mylib.note", X)
    assert (found.flops, found.bytes_read, found.bytes_written) == (0, 240, 0)


def test_unknown_operator_still_moves_its_bytes() -> None:
    found = cost("mylib.super_mm", X, X, out=spec(6, 6))
    assert not found.counted and found.family == "other"
    assert (found.flops, found.bytes_read, found.bytes_written) == (36, 480, 144)
