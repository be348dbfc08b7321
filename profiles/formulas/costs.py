"""The ways a cost is put together: matrix products, vector work, data movement, views, unknown operators."""

from __future__ import annotations

from dataclasses import dataclass

from profiles.formulas.call import Call, Cost, Dims
from profiles.formulas.traffic import bytes_read, bytes_written
from profiles.records import TensorSpec

COMPLEX_DTYPES = frozenset({"complex32", "complex64", "complex128"})


@dataclass(frozen=True, slots=True)
class Product:
    """`batch` matrix products of (m x k) with (k x n)."""

    m: int
    n: int
    k: int
    batch: int = 1

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of all of them."""
        return self.batch * self.m * self.n * self.k

    @property
    def dims(self) -> Dims:
        """The sizes that decide the speed."""
        return (("m", self.m), ("n", self.n), ("k", self.k), ("batch", self.batch))


def flops_per_multiply_add(tensor: TensorSpec) -> int:
    """2 for real numbers; 8 for complex ones, whose product takes 4 multiplications, 2 additions and 2 more to add."""
    return 8 if tensor.dtype in COMPLEX_DTYPES else 2


def matrix_cost(call: Call, product: Product, family: str = "matmul", times: int = 1, **more_dims: int) -> Cost:
    """`times` matrix products of one size; inputs read once, outputs written once.

    `more_dims` are further sizes that decide the speed; those that are zero are left out.
    """
    flops = times * product.multiply_adds * flops_per_multiply_add(call.inputs[0])
    if times != 1:
        more_dims["products"] = times
    dims = (*product.dims, *((name, size) for name, size in more_dims.items() if size))
    return Cost(family, "matrix", flops, flops, flops, bytes_read(call), bytes_written(call), dims)


def products_cost(call: Call, products: tuple[Product, ...], family: str, vector_flops: int = 0) -> Cost:
    """Several products of different sizes in one kernel; the sizes of the largest stand in `dims`."""
    flops = sum(product.multiply_adds for product in products) * flops_per_multiply_add(call.inputs[0])
    largest = max(products, key=lambda product: product.multiply_adds)
    dims = (*largest.dims, *((("vector_flops", vector_flops),) if vector_flops else ()))
    return Cost(family, "matrix", flops, flops, flops, bytes_read(call), bytes_written(call), dims)


def vector_cost(call: Call, family: str, flops: int) -> Cost:
    """Vector work of `flops` FLOPs; inputs read once, outputs written once."""
    return Cost(family, "vector", flops, flops, flops, bytes_read(call), bytes_written(call))


def movement_cost(call: Call, family: str = "copy") -> Cost:
    """Data movement: no FLOPs; inputs read once, outputs written once."""
    return Cost(family, "none", 0, 0, 0, bytes_read(call), bytes_written(call))


def write_cost(call: Call, family: str = "copy") -> Cost:
    """Outputs written without reading anything, like zeros or fill."""
    return Cost(family, "none", 0, 0, 0, 0, bytes_written(call))


def view_cost(call: Call) -> Cost:
    """Another look at the same memory, or a question about a tensor: nothing moves."""
    return Cost("view", "none", 0, 0, 0, 0, 0)


def unknown_cost(call: Call) -> Cost:
    """Estimate for an operator without a formula: one FLOP per output element, bytes from the tensors."""
    flops = call.output_elements
    return Cost("other", "vector", flops, flops, flops, bytes_read(call), bytes_written(call), counted=False)
