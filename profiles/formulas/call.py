"""One call of one operator, and what it costs. Nothing here needs torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from hardware_db.errors import DataError
from profiles.records import Engine, TensorSpec

Dims = tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Call:
    """One operator call as the dispatcher saw it, with every tensor replaced by its `TensorSpec`.

    operator   namespace and name: "aten.mm", "mylib.fancy_product"
    overload   "default", "Tensor", "out" ...
    args       positional arguments in the order of the operator's schema; lists are tuples, None stays None
    kwargs     keyword arguments as (name, value) pairs
    outputs    the tensors that came back, lists flattened, None left out

    The dtype of a `TensorSpec` is torch's name without its prefix: "float32", "bfloat16", "int64", "bool".
    """

    operator: str
    overload: str
    args: tuple[object, ...]
    kwargs: tuple[tuple[str, object], ...] = ()
    outputs: tuple[TensorSpec, ...] = ()

    def argument(self, position: int, name: str, default: object = None) -> object:
        """Value of a schema argument, however it was passed; `default` where it was left out."""
        if position < len(self.args):
            return self.args[position]
        return dict(self.kwargs).get(name, default)

    def keyword(self, name: str, default: object = None) -> object:
        """Value of a keyword-only argument; `default` where it was left out."""
        return dict(self.kwargs).get(name, default)

    def tensor(self, position: int, name: str = "") -> TensorSpec:
        """Tensor at this place of the schema; raises DataError where there is none."""
        value = self.argument(position, name)
        if not isinstance(value, TensorSpec):
            raise DataError(f"{self.operator}: argument {position} {name} should be a tensor, got {value!r}.")
        return value

    def optional_tensor(self, position: int, name: str = "") -> TensorSpec | None:
        """Tensor at this place of the schema, or None."""
        value = self.argument(position, name)
        return value if isinstance(value, TensorSpec) else None

    def tensors(self, position: int, name: str = "") -> tuple[TensorSpec, ...]:
        """All tensors of a list argument at this place of the schema."""
        return tuple(flatten(self.argument(position, name)))

    def integers(self, position: int, name: str = "") -> tuple[int, ...]:
        """Integers of a list argument; a single integer gives a tuple of one, nothing an empty tuple."""
        value = self.argument(position, name)
        values = value if isinstance(value, tuple) else (value,)
        return tuple(int(item) for item in values if isinstance(item, int))

    def flag(self, position: int, name: str, default: bool = False) -> bool:
        """Boolean argument."""
        return bool(self.argument(position, name, default))

    def flags(self, position: int, name: str) -> tuple[bool, ...]:
        """Booleans of a list argument, such as an output mask."""
        value = self.argument(position, name)
        return tuple(bool(item) for item in value) if isinstance(value, tuple) else ()

    def integer(self, position: int, name: str, default: int | None = None) -> int:
        """Integer argument; raises DataError where there is none and no default."""
        value = self.argument(position, name, default)
        if not isinstance(value, int):
            raise DataError(f"{self.operator}: argument {position} {name} should be an integer, got {value!r}.")
        return value

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """All tensors among the arguments, lists flattened; an `out=` tensor is no input."""
        named = (value for name, value in self.kwargs if name not in ("out", "out0", "out1", "out2"))
        return (*flatten(self.args), *flatten(tuple(named)))

    @property
    def output_elements(self) -> int:
        """Number of elements of all outputs."""
        return sum(elements(output) for output in self.outputs)


@dataclass(frozen=True, slots=True)
class Cost:
    """What one call costs; the fields mean the same as in `profiles.records.Operation`.

    `flops`, `model_flops` and `executed_flops` of an operator on the matrix engine are its multiply-adds alone, 2 FLOPs
    each; the vector work that such a kernel also does (bias, softmax, gates) is `("vector_flops", n)` in `dims`.
    """

    family: str
    engine: Engine
    flops: int
    model_flops: int
    executed_flops: int
    bytes_read: int
    bytes_written: int
    dims: Dims = ()
    counted: bool = True

    @property
    def bytes_moved(self) -> int:
        """Bytes read plus bytes written."""
        return self.bytes_read + self.bytes_written

    def with_traffic(self, read: int, written: int) -> Cost:
        """The same cost with other bytes read and written."""
        return replace(self, bytes_read=read, bytes_written=written)


def flatten(value: object) -> Iterator[TensorSpec]:
    """Every TensorSpec in nested tuples, in order."""
    if isinstance(value, TensorSpec):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from flatten(item)


def elements(tensor: TensorSpec) -> int:
    """Number of elements of a shape."""
    return product(tensor.shape)


def product(sizes: tuple[int, ...]) -> int:
    """Product of sizes; 1 for none (a scalar has one element)."""
    result = 1
    for size in sizes:
        result *= size
    return result
