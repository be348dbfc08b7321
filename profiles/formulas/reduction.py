"""Reductions, scans, sorting and softmax.

A sum of n elements counts n additions. Sorting and selecting count one FLOP per element: GPUs sort by radix, in passes
over the elements that do not depend on their number (Merrill and Grimshaw 2011, doi:10.1142/S0129626411000187).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from profiles.formulas.call import Call, Cost, elements
from profiles.formulas.costs import COMPLEX_DTYPES, vector_cost
from profiles.formulas.elementwise import element_count
from profiles.formulas.registry import register_formula

_NAMES_BY_FLOPS = {
    1: (
        "sum nansum prod all any amax amin argmax argmin cumsum cumprod cummax cummin _cummax_helper _cummin_helper "
        "median nanmedian mode kthvalue sort argsort msort topk unique_consecutive unique_dim unique_dim_consecutive "
        "_unique _unique2 count_nonzero bincount histc histogram _histogramdd_bin_edges "
        "_histogramdd_from_bin_cts _histogramdd_from_bin_tensors trace is_nonzero equal nonzero nonzero_numpy "
        "nonzero_static "
        "argwhere isin logcumsumexp _logcumsumexp sum_to_size segment_reduce diff "
        "_is_all_true _is_any_true hash_tensor quantile nanquantile mean nanmean"
    ),
    2: "aminmax _aminmax norm linalg_vector_norm linalg_norm frobenius_norm native_norm linalg__powsum",
    3: "dist",
    4: "var std var_mean std_mean logsumexp special_logsumexp",
    7: "allclose",
}
REDUCTIONS: Mapping[str, int] = MappingProxyType(
    {name: flops for flops, names in _NAMES_BY_FLOPS.items() for name in names.split()}
)
"""FLOPs per element of the input: var and its like are a sum for the mean, subtract, square, sum; logsumexp is a
maximum, subtract, exponential, sum; a norm is a square and a sum."""

_PER_OUTPUT = {"mean": 1, "nanmean": 1, "var": 1, "std": 2, "var_mean": 1, "std_mean": 2, "logsumexp": 2, "norm": 1}
_PER_OUTPUT |= {"linalg_vector_norm": 1}
"""Further FLOPs per element of the first output: the division by n, the root, the logarithm."""


def _formula(name: str) -> Callable[[Call], Cost]:
    """Formula of one entry of the table."""

    def formula(call: Call) -> Cost:
        source = call.inputs[0]
        outputs = elements(call.outputs[0]) if call.outputs else 0
        flops = REDUCTIONS[name] * elements(source) + _PER_OUTPUT.get(name, 0) * outputs
        return vector_cost(call, "reduction", flops * (2 if source.dtype in COMPLEX_DTYPES else 1))

    return formula


for _name in REDUCTIONS:
    register_formula(f"aten.{_name}")(_formula(_name))


@register_formula("aten.max", "aten.min")
def extremum(call: Call) -> Cost:
    """Of all elements or along a dimension: one comparison per element; of two tensors: element-wise."""
    if call.overload == "other":
        return vector_cost(call, "elementwise", element_count(call))
    return vector_cost(call, "reduction", elements(call.tensor(0)))


@register_formula("aten.searchsorted", "aten.bucketize")
def search(call: Call) -> Cost:
    """Binary search: as many comparisons per value as the number of boundaries has bits (Knuth, TAOCP 3, 6.2.1)."""
    boundaries = call.tensor(0) if call.operator == "aten.searchsorted" else call.tensor(1)
    length = boundaries.shape[-1] if boundaries.shape else 1
    return vector_cost(call, "reduction", call.output_elements * length.bit_length())


@register_formula("aten.cumprod_backward", "aten.cummaxmin_backward", "aten._segment_reduce_backward")
def scan_backward(call: Call) -> Cost:
    """One addition per element."""
    return vector_cost(call, "reduction", element_count(call))


SOFTMAX: Mapping[str, int] = MappingProxyType(
    {
        "_softmax": 5,  # max, subtract, exp, sum, divide
        "softmax": 5,
        "special_softmax": 5,
        "_safe_softmax": 5,
        "_masked_softmax": 6,
        "_softmax_backward_data": 4,  # y (g - sum(g y))
        "_masked_softmax_backward": 5,
        "_log_softmax": 5,  # max, subtract, exp, sum, subtract
        "log_softmax": 5,
        "special_log_softmax": 5,
        "_log_softmax_backward_data": 4,  # g - exp(y) sum(g)
    }
)
"""FLOPs per element by operator."""


def _softmax(flops: int) -> Callable[[Call], Cost]:
    """Formula of a softmax of so many FLOPs per element."""

    def formula(call: Call) -> Cost:
        return vector_cost(call, "softmax", flops * element_count(call))

    return formula


for _name, _flops in SOFTMAX.items():
    register_formula(f"aten.{_name}")(_softmax(_flops))
