"""The registry: one door for our formulas and for the users'."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from formula_calls import cost, spec

from hardware_db.errors import DataError, UsageError
from profiles.formulas import Call, Cost, cost_of, formula_of, matrix_cost, register_formula, registered
from profiles.formulas import registry as registry_module
from profiles.formulas.costs import Product
from profiles.records import FAMILIES


@pytest.fixture(autouse=True)
def unchanged_registry() -> Iterator[None]:
    """Take back what a test registers."""
    before = dict(registry_module._FORMULAS)
    yield
    registry_module._FORMULAS.clear()
    registry_module._FORMULAS.update(before)
    cost_of.cache_clear()


def test_a_users_formula_counts_from_then_on() -> None:
    x, w = spec(8, 4), spec(4, 6)
    before = cost("mylib.fancy_product", x, w, out=spec(8, 6))
    assert not before.counted

    @register_formula("mylib.fancy_product")
    def fancy_product(call: Call) -> Cost:
        left, right = call.tensor(0), call.tensor(1)
        return matrix_cost(call, Product(left.shape[0], right.shape[1], left.shape[1]))

    after = cost("mylib.fancy_product", x, w, out=spec(8, 6))
    assert after.counted and after.flops == 2 * 8 * 6 * 4


def test_a_second_formula_is_refused_unless_it_shall_replace() -> None:
    with pytest.raises(UsageError, match=r"aten.mm has a formula; register_formula\(..., replace=True\) replaces it"):
        register_formula("aten.mm")(formula_of("aten.bmm"))
    ours = register_formula("aten.mm", replace=True)(lambda call: matrix_cost(call, Product(1, 1, 1)))
    assert formula_of("aten.mm") is ours
    assert cost("aten.mm", spec(8, 4), spec(4, 6), out=spec(8, 6)).flops == 2


def test_in_place_operators_have_the_formula_of_their_twin() -> None:
    assert formula_of("aten.add_") is formula_of("aten.add")
    assert formula_of("aten.mm_") is formula_of("aten.mm")
    assert formula_of("aten.no_such_thing_") is None


def test_names_are_exact() -> None:
    assert not cost("aten.mmm", spec(8, 4), spec(4, 6), out=spec(8, 6)).counted
    assert not cost("other.mm", spec(8, 4), spec(4, 6), out=spec(8, 6)).counted


def test_a_product_by_name_alone_is_not_invented() -> None:
    found = cost("mylib.matmul", spec(8, 4), spec(4, 6), out=spec(8, 6))
    assert (found.flops, found.counted, found.engine) == (48, False, "vector")


def test_arguments_are_found_by_position_or_name() -> None:
    by_name = Call("aten.mm", "default", (spec(8, 4),), (("mat2", spec(4, 6)),), (spec(8, 6),))
    assert by_name.tensor(1, "mat2") == spec(4, 6)
    assert by_name.inputs == (spec(8, 4), spec(4, 6))
    with pytest.raises(DataError, match=r"aten.mm: argument 1  should be a tensor, got None"):
        by_name.tensor(1)
    with pytest.raises(DataError, match="should be an integer"):
        by_name.integer(3, "groups")


def test_families_are_those_of_the_record() -> None:
    sources = Path(registry_module.__file__).parent.glob("*.py")
    text = "\n".join(path.read_text() for path in sources)
    used = set(re.findall(r'FAMILY = "(\w+)"', text)) | set(re.findall(r'_cost\(call, "(\w+)"', text))
    assert used and used <= set(FAMILIES)
    assert len(registered()) > 1000


def test_importing_the_formulas_does_not_import_torch() -> None:
    code = "import sys, profiles.formulas; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_example_of_the_documentation_runs() -> None:
    text = (Path(__file__).parents[1] / "docs" / "formulas.md").read_text()
    (example,) = re.findall(r"```python\n(.*?)```", text, flags=re.S)
    space: dict[str, object] = {}
    exec(example, space)
    found = cost("mylib.fancy_product", spec(8, 4), spec(4, 6), out=spec(8, 6))
    assert found.counted and found.flops == 2 * 8 * 6 * 4
