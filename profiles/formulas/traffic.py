"""Smallest possible traffic to device memory: every distinct input element once, every output element once."""

from __future__ import annotations

from collections.abc import Iterable
from types import MappingProxyType

from hardware_db.errors import DataError
from profiles.formulas.call import Call, elements, flatten
from profiles.records import TensorSpec

_BITS_OF = {
    1: ("bits1x8", "int1", "uint1"),
    2: ("bits2x4", "int2", "uint2"),
    3: ("int3", "uint3"),
    4: ("bits4x2", "int4", "uint4"),
    5: ("int5", "uint5"),
    6: ("int6", "uint6"),
    7: ("int7", "uint7"),
    8: (
        *("bool", "int8", "uint8", "qint8", "quint8", "quint4x2", "quint2x4", "bits8", "float4_e2m1fn_x2"),
        *("float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu"),
    ),
    16: ("float16", "bfloat16", "int16", "uint16", "bits16"),
    32: ("float32", "int32", "uint32", "qint32", "complex32"),
    64: ("float64", "int64", "uint64", "complex64"),
    128: ("complex128",),
}
DTYPE_BITS = MappingProxyType({dtype: bits for bits, dtypes in _BITS_OF.items() for dtype in dtypes})
"""Bits of one element in memory by dtype, from torch's table of dtypes
(https://docs.pytorch.org/docs/stable/tensor_attributes.html); packed types (quint4x2, float4_e2m1fn_x2) count bytes."""


def element_bytes(tensor: TensorSpec, count: int) -> int:
    """Bytes of `count` elements of the dtype of `tensor`, rounded up to whole bytes."""
    if tensor.dtype not in DTYPE_BITS:
        raise DataError(f"No size is known for dtype {tensor.dtype!r}; known: {', '.join(sorted(DTYPE_BITS))}.")
    return -(-count * DTYPE_BITS[tensor.dtype] // 8)


def tensor_bytes(tensor: TensorSpec) -> int:
    """Bytes behind one tensor; the repeated elements of an expanded tensor are there once."""
    return element_bytes(tensor, min(elements(tensor), tensor.storage_elements))


def total_bytes(tensors: Iterable[TensorSpec]) -> int:
    """Bytes behind several tensors."""
    return sum(tensor_bytes(tensor) for tensor in tensors)


def bytes_read(call: Call) -> int:
    """All input tensors once."""
    return total_bytes(call.inputs)


def bytes_written(call: Call) -> int:
    """All output tensors once; an operator that works in place and returns nothing writes its first argument."""
    if call.outputs:
        return total_bytes(call.outputs)
    if call.operator.endswith("_") and call.args:
        return total_bytes(flatten(call.args[0]))
    return 0
