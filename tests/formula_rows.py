"""One row of a table of formulas: a call of odd sizes, and its cost as worked out by hand."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from formula_calls import cost


@dataclass(frozen=True)
class Row:
    """What one call costs; `sizes` are entries of `dims`, 0 where there must be none.

    `executed` and `model` are as many as `flops` where they are None; bytes that are None are not looked at.
    """

    operator: str
    args: tuple[object, ...]
    out: object
    flops: int
    read: int | None = None
    written: int | None = None
    sizes: dict[str, int] = field(default_factory=dict)
    executed: int | None = None
    model: int | None = None
    counted: bool = True
    overload: str = "default"
    named: dict[str, object] = field(default_factory=dict)

    def check(self) -> None:
        """Compare all that the row says."""
        found = cost(self.operator, *self.args, out=self.out, overload=self.overload, **self.named)
        assert found.flops == self.flops and found.counted is self.counted
        assert found.executed_flops == (self.flops if self.executed is None else self.executed)
        assert found.model_flops == (self.flops if self.model is None else self.model)
        assert self.read in (None, found.bytes_read)
        assert self.written in (None, found.bytes_written)
        if self.read is not None and self.written is not None:
            assert found.bytes_moved == self.read + self.written
        sizes = dict(found.dims)
        assert {name: sizes.get(name, 0) for name in self.sizes} == self.sizes


def rows(*each: Row) -> pytest.MarkDecorator:
    """Parametrize a test over rows, each named by its operator."""
    return pytest.mark.parametrize("row", each, ids=[f"{row.operator}-{number}" for number, row in enumerate(each)])
