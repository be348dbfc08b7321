"""Every operator that torch has is counted, decomposes into such, or is on a list with the reason."""

from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType

import pytest
from formula_calls import Recorded, record

from profiles.formulas import formula_of, registered

torch = pytest.importorskip("torch")

WITHOUT_FORMULA = MappingProxyType(
    {
        "torch's own tests": (
            "_foobar _test_autograd_multiple_dispatch _test_autograd_multiple_dispatch_view "
            "_test_autograd_multiple_dispatch_view_copy _test_functorch_fallback _test_optional_filled_intlist "
            "_test_optional_floatlist _test_optional_intlist _test_parallel_materialize _test_warn_in_autograd"
        ),
        "forward-mode differentiation, which training does not use": "glu_jvp glu_backward_jvp",
        "Apple GPUs, which no price list offers": (
            "_lstm_mps lstm_mps_backward _mps_convolution_transpose mps_convolution_backward "
            "mps_convolution_transpose_backward"
        ),
        "packs or compresses weights once, before the step": (
            "_cslt_compress _cslt_sparse_mm_search _dyn_quant_pack_4bit_weight _to_sparse_semi_structured "
            "_sparse_semi_structured_apply _sparse_semi_structured_apply_dense _sparse_semi_structured_tile"
        ),
        "the weights are packed into an object, so that the shapes do not tell": ("quantized_batch_norm"),
        "the work depends on the values": "_spsolve _compute_linear_combination",
        "rare: stays an estimate that is listed": (
            "_fill_mem_eff_dropout_mask_ _nested_from_padded_and_nested_example _nested_sum_backward "
            "_nested_tensor_softmax_with_shape _philox_key_fold_in _philox_key_split _sparse_mm_reduce_impl_backward "
            "from_file"
        ),
    }
)


def overloads() -> dict[str, list[str]]:
    """Full names of all overloads of each aten operator."""
    found: dict[str, list[str]] = {}
    for name in torch._C._dispatch_get_all_op_names():
        namespace, _, rest = name.partition("::")
        if namespace == "aten":
            found.setdefault(rest.split(".")[0], []).append(name)
    return found


def decomposes(names: list[str]) -> bool:
    """True where torch itself takes every overload apart into other operators."""
    has = torch._C._dispatch_has_kernel_for_dispatch_key
    return all(has(name, "CompositeImplicitAutograd") or name.endswith("out") for name in names)


def test_every_operator_is_counted_decomposes_or_has_a_reason() -> None:
    reasons = {name for names in WITHOUT_FORMULA.values() for name in names.split()}
    missing = {
        name for name, names in overloads().items() if formula_of(f"aten.{name}") is None and not decomposes(names)
    }
    assert missing - reasons == set(), "give these a formula or a reason"
    assert reasons - missing == set(), "these have a formula or are gone: take them off the list"


def core() -> Iterator[str]:
    """Operators of core ATen, to which torch.export reduces any model."""
    for name in overloads():
        packet = getattr(torch.ops.aten, name, None)
        if packet and any(torch.Tag.core in getattr(packet, overload).tags for overload in packet.overloads()):
            yield name


def test_every_core_operator_is_counted() -> None:
    assert len(list(core())) > 150
    assert [name for name in core() if formula_of(f"aten.{name}") is None] == []


def test_every_formula_is_of_an_operator_that_exists() -> None:
    known = set(overloads())
    names = {name.removeprefix("aten.") for name in registered() if name.startswith("aten.")}
    assert {name for name in names if name not in known and f"{name}_" not in known} == set()


def convolutional() -> Recorded:
    """Training step of a convolutional network, on meta."""
    with torch.device("meta"):
        layers = [torch.nn.Conv2d(3, 8, 3), torch.nn.BatchNorm2d(8), torch.nn.ReLU(), torch.nn.MaxPool2d(2)]
        model = torch.nn.Sequential(*layers, torch.nn.Flatten(), torch.nn.Linear(8 * 15 * 15, 10))
        image, target = torch.randn(4, 3, 32, 32), torch.zeros(4, dtype=torch.long)
        return record(lambda: torch.nn.functional.cross_entropy(model(image), target).backward())


def attentive() -> Recorded:
    """Training step of a transformer layer on the CPU."""
    model = torch.nn.TransformerEncoderLayer(32, 4, 64, dropout=0.0, batch_first=True)
    return record(lambda: model(torch.randn(2, 8, 32)).square().mean().backward())


def recurrent() -> Recorded:
    """Training step of a recurrent network on the CPU."""
    model = torch.nn.LSTM(8, 16, num_layers=2)
    return record(lambda: model(torch.randn(5, 2, 8))[0].sum().backward())


TORCH_IS_WRONG = {
    "aten.convolution_backward": "the weight gradient of a grouped convolution is not divided by the groups",
    "aten.mm": "complex products",
    "aten.bmm": "complex products",
}


@pytest.mark.parametrize("step", [convolutional, attentive, recurrent])
def test_agrees_with_the_registry_of_torch_wherever_that_has_a_formula(step: object) -> None:
    assert callable(step)
    recorded = step()
    theirs = [
        (call.operator, flops, cost.flops)
        for call, cost, flops in zip(recorded.calls, recorded.costs, recorded.torch_flops, strict=True)
        if flops is not None
    ]
    assert [line for line in theirs if line[1] != line[2]] == []
    assert all(cost.counted for cost in recorded.costs)


def test_where_torch_is_wrong() -> None:
    grouped = torch.nn.Conv2d(8, 8, 3, groups=8)
    recorded = record(lambda: grouped(torch.randn(1, 8, 9, 9)).sum().backward())
    position = [call.operator for call in recorded.calls].index("aten.convolution_backward")
    assert recorded.torch_flops[position] == 8 * recorded.costs[position].flops
    complex_product = record(lambda: torch.randn(3, 4, dtype=torch.cfloat) @ torch.randn(4, 5, dtype=torch.cfloat))
    assert recorded.torch_flops.count(None) < len(recorded.calls)
    assert [cost.flops for cost in complex_product.of("aten.mm")] == [8 * 3 * 4 * 5]
    assert [flops for flops in complex_product.torch_flops if flops] == [2 * 3 * 4 * 5]
