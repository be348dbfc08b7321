"""Formulas: FLOPs and bytes of every operator, as pure functions of shapes, found by the operator's name.

Add your own through the same door:

    from profiles.formulas import Call, Cost, Product, matrix_cost, register_formula

    @register_formula("mylib.fancy_product")
    def fancy_product(call: Call) -> Cost:
        left, right = call.tensor(0), call.tensor(1)
        return matrix_cost(call, Product(left.shape[0], right.shape[1], left.shape[1]))
"""

from __future__ import annotations

from importlib import import_module

from profiles.formulas.call import Call as Call
from profiles.formulas.call import Cost as Cost
from profiles.formulas.costs import Product as Product
from profiles.formulas.costs import matrix_cost as matrix_cost
from profiles.formulas.costs import movement_cost as movement_cost
from profiles.formulas.costs import unknown_cost as unknown_cost
from profiles.formulas.costs import vector_cost as vector_cost
from profiles.formulas.costs import view_cost as view_cost
from profiles.formulas.registry import cost_of as cost_of
from profiles.formulas.registry import formula_of as formula_of
from profiles.formulas.registry import register_formula as register_formula
from profiles.formulas.registry import registered as registered

_FAMILIES = (
    "matmul",
    "grouped_matmul",
    "convolution",
    "attention",
    "attention_packed",
    "attention_layers",
    "rnn",
    "sparse",
    "fft",
    "distance",
    "linalg",
    "quantised",
    "elementwise",
    "activation",
    "reduction",
    "normalisation",
    "pooling",
    "resize",
    "indexing",
    "movement",
    "random_numbers",
    "loss",
    "foreach",
    "optimizer",
    "extensions",
    "prims",
)
for _family in _FAMILIES:
    import_module(f"profiles.formulas.{_family}")
