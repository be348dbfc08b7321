"""In which precision an operation computes."""

from __future__ import annotations

from profiles.formulas import Call, Cost
from profiles.records import TensorSpec
from profiles.trace.settings import StepSettings

_NAMES = {
    "complex32": "float16",
    "complex64": "float32",
    "complex128": "float64",
    "float8_e4m3fn": "float8",
    "float8_e4m3fnuz": "float8",
    "float8_e5m2": "float8",
    "float8_e5m2fnuz": "float8",
    "qint8": "int8",
    "quint8": "int8",
    "uint8": "int8",
}
_QUANTISED = frozenset({"qint8", "quint8"})
_FLOATING = frozenset({"float64", "float32", "float16", "bfloat16", "float8"})
_DENSE = frozenset({"matmul"})


def precision_of(call: Call, cost: Cost, settings: StepSettings, in_linear: bool) -> str:
    """Return the precision of the multiply-adds of a call, by the types of its tensors.

    Exceptions, where the device computes in another type than it stores: float32 products in TF32, and linear layers in
    FP8 (their operands are cast on the way into the kernel); layers with quantised weights, which quantise their input.
    """
    stored = _stored_precision(call)
    if cost.engine != "matrix":
        return stored
    if any(tensor.dtype in _QUANTISED for tensor in call.inputs):
        return "int8"
    arithmetic = settings.arithmetic
    if arithmetic.linear is not None and in_linear and cost.family in _DENSE:
        return arithmetic.linear
    return arithmetic.products if stored == "float32" else stored


def _stored_precision(call: Call) -> str:
    """Return the first floating-point type among inputs and outputs, else the type of the first tensor."""
    names = [_name(tensor) for tensor in (*call.inputs, *call.outputs)]
    return next((name for name in names if name in _FLOATING), names[0] if names else "float32")


def _name(tensor: TensorSpec) -> str:
    return _NAMES.get(tensor.dtype, tensor.dtype)
