"""Formulas read an operator's arguments where the operator's own schema has them."""

from __future__ import annotations

import dis
from collections.abc import Callable, Iterator

import pytest

from profiles.formulas import attention_packed, formula_of, registered, rnn
from profiles.formulas.convolution import _SIGNATURES

torch = pytest.importorskip("torch")
SAME = ("batch_first", "bidirectional", "batch_sizes")
PACKED = ("_FLASH", "_EFFICIENT", "_CUDNN")
READERS = ("argument", "flag", "flags", "integer")


def places(formula: Callable[..., object]) -> Iterator[tuple[int, str]]:
    """Position and name of every argument that a formula reads, from its code: `call.flag(6, "transposed")`."""
    code = list(dis.get_instructions(formula))
    for reading, position, name in zip(code, code[1:], code[2:], strict=False):
        if reading.argval in READERS and (position.opname, name.opname) == ("LOAD_CONST", "LOAD_CONST"):
            yield position.argval, name.argval


def arguments(operator: str) -> list[list[str]]:
    """Names of the arguments of each overload; none where this torch has no such operator."""
    schemas = torch._C._jit_get_schemas_for_operator(operator.replace(".", "::"))
    return [[argument.name for argument in schema.arguments] for schema in schemas]


def misread(operator: str, position: int, name: str) -> bool:
    named = [each for each in arguments(operator) if name in each]
    return bool(named) and not any(each[position : position + 1] == [name] for each in named)


READ = [
    (operator, position, name)
    for operator in registered()
    if (formula := formula_of(operator)) is not None and operator.startswith("aten.")
    for position, name in places(formula)
]


def test_this_test_sees_what_formulas_read():
    assert ("aten.convolution", 6, "transposed") in READ and len(READ) > 30
    assert misread("aten.convolution", 5, "transposed") and not misread("aten.convolution", 6, "transposed")


def test_arguments_are_read_where_they_stand():
    assert [each for each in READ if misread(*each)] == []


@pytest.mark.parametrize(
    ("operator", "table"),
    [
        ("aten._cudnn_rnn", "_CUDNN"),
        ("aten._cudnn_rnn_backward", "_CUDNN_BACKWARD"),
        ("aten.miopen_rnn", "_MIOPEN"),
        ("aten.miopen_rnn_backward", "_MIOPEN_BACKWARD"),
    ],
)
def test_settings_of_recurrent_layers_stand_where_the_table_says(operator, table):
    signature = getattr(rnn, table)
    for field, name in (("mode", "mode"), ("layers", "num_layers"), *((each, each) for each in SAME)):
        assert not misread(operator, getattr(signature, field), name), field


@pytest.mark.parametrize("operator", rnn._MASK)
def test_masks_of_recurrent_layers_stand_where_the_table_says(operator):
    assert arguments(operator) and not misread(operator, rnn._MASK[operator], "output_mask")


@pytest.mark.parametrize("name", _SIGNATURES)
def test_groups_and_bias_of_convolutions_stand_where_the_table_says(name):
    signature = _SIGNATURES[name]
    for position, argument in ((signature.groups, "groups"), (signature.bias, "bias")):
        if position is None:
            assert not any(argument in each for each in arguments(f"aten.{name}"))
        else:
            assert not misread(f"aten.{name}", position, argument)
    assert signature.transposed == ("transpose" in name)


@pytest.mark.parametrize(
    ("table", "operator"),
    [(table, name) for table in PACKED for name in getattr(attention_packed, table) if not name.startswith("flash_")],
)
def test_arguments_of_attention_stand_where_the_table_says(table, operator):
    pytest.importorskip("torch.nn.attention.varlen")
    layout = getattr(attention_packed, table)[operator]
    if not arguments(operator):
        pytest.skip(f"this torch has no {operator}")
    (names, *_) = arguments(operator)
    assert names[layout.query] == "query" and layout.backward == ("backward" in operator)
    assert all(each.startswith("cu") for each in names[layout.offsets : layout.offsets + 2])
    assert all(each.startswith("max") for each in names[layout.longest : layout.longest + 2])
    assert layout.window is None or names[layout.window] == "window_size"
    assert names[layout.causal] in ("is_causal", "custom_mask_type")
