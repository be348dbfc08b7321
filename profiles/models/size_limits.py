"""Sizes beyond any model, refused before anything is built: 10^9 layers would be made one by one."""

from __future__ import annotations

from typing import Any, Final

from hardware_db.errors import ModelError

MOST_LAYERS: Final = 10_000
MOST_NUMBER: Final = 10**9
COUNTS_OF_LAYERS: Final = ("num_hidden_layers", "n_layer", "n_layers", "num_layers", "layers")

BOUNDLESS: Final = ("time_step_limit",)
"""What published configurations set to infinity (Mamba 2); bases of rotary embeddings ("theta") are large as well."""


def check_sizes(content: Any, name: str = "") -> None:
    """Look through the numbers of a configuration, whatever its shape.

    Raises
    ------
    ModelError
        A number of layers below 0 or above 10,000, or any other number beyond 10^9, infinities included.
    """
    for key, value in content.items() if isinstance(content, dict) else ():
        check_sizes(value, str(key))
    for value in content if isinstance(content, list) else ():
        check_sizes(value, name)
    if isinstance(content, int | float) and not isinstance(content, bool):
        _check(content, name)


def _check(number: float, name: str) -> None:
    if name in BOUNDLESS or "theta" in name:
        return
    most = MOST_LAYERS if "layers" in name or "depth" in name else MOST_NUMBER
    if not abs(number) <= most:
        shown = f"{number:.3g}" if abs(number) < 1e300 else str(number)  # a whole number may be beyond any float
        raise ModelError(f"{name} of {shown} is beyond any model: at most {most:,} is counted")
    if name in COUNTS_OF_LAYERS and number < 0:
        raise ModelError(f"{name} of {number} is no number of layers: give a whole number above 0")
