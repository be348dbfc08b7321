"""Which precisions of a device are worth timing: a small product tells, before a large one takes minutes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from profiles.benchmark.product_cases import matmul_cases
from profiles.benchmark.product_shapes import Product
from profiles.benchmark.sampling import Effort, sample

if TYPE_CHECKING:
    from profiles.benchmark.cases import Lab
    from profiles.benchmark.target import Target

HALVES: Final = ("float16", "bfloat16")
POINTLESS: Final = 3.0
"""How many times slower than float32 a half precision may be before it is left out by itself."""

HOPELESS: Final = 20.0
"""The same where the precision was asked for: beyond it the large products take minutes each."""

_PROBE: Final = {"cpu": Product(256, 256, 256), "gpu": Product(2048, 2048, 2048)}
"""Large enough that the product takes longer than its start."""

FIRST_TF32: Final = (8, 0)
"""Compute capability of the first NVIDIA cards with TF32 (Ampere); older ones take float32 instead and say nothing."""


def usable_precisions(target: Target, asked: Sequence[str], usual: Sequence[str]) -> tuple[tuple[str, ...], list[str]]:
    """Return the precisions to time, and why others are not.

    Parameters
    ----------
    target
        the device
    asked
        what the user wants; empty: `usual`
    usual
        what is tried on this kind of device
    """
    wanted, limit = (asked, HOPELESS) if asked else (usual, POINTLESS)
    reference, usable, reasons = _probe(target, "float32"), [], []
    for precision in wanted:
        if precision == "tf32" and not has_tf32(target.lab):
            reasons.append("tf32 was left out: this device has no units for it")
            continue
        try:
            seconds = reference if precision == "float32" else _probe(target, precision)
        except (
            RuntimeError,
            NotImplementedError,
            TypeError,
        ) as error:  # torch has no such kernel
            reasons.append(f"{precision} was left out: {str(error).splitlines()[0][:160]}")
            continue
        if precision in HALVES and seconds > limit * reference:
            slower = f"{seconds / reference:.0f} times as long as in float32"
            reasons.append(f"{precision} was left out: a product takes {slower}")
        else:
            usable.append(precision)
    return tuple(usable), reasons


def has_tf32(lab: Lab) -> bool:
    """Whether float32 products can run in TF32."""
    if lab.kind == "cpu":
        return False
    return bool(lab.torch.version.hip) or lab.torch.cuda.get_device_capability(lab.device) >= FIRST_TF32


def _probe(target: Target, precision: str) -> float:
    case = next(matmul_cases([_PROBE[target.lab.kind]], precision))
    with tf32(target.lab.torch, precision == "tf32"):
        taken = sample([case.make(target.lab)], target.clock("device"), Effort(0.05, fewest=2, most=5))
    return min(taken.seconds)


@contextmanager
def tf32(torch: Any, wanted: bool) -> Iterator[None]:
    """Let float32 products run in TF32, or not, while something is timed."""
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("high" if wanted else "highest")
    torch.backends.cudnn.allow_tf32 = wanted
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]
