"""What a device holds besides tensors: workspaces of libraries, the allocator's excess, context and communicators."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Final

from estimator.memory.parameters import parameter
from estimator.ranges import Range

if TYPE_CHECKING:
    from hardware_db import Device


@dataclass(frozen=True, slots=True)
class Overhead:
    """The constants of one kind of device; ranges.

    Attributes
    ----------
    workspace_bytes
        of the library of matrix products, for each thread that calls it
    convolution_bytes
        workspace of the library of convolutions
    slack_bytes
        unused end of a large block
    reserve_share
        bytes held by the allocator and used by no tensor, over the bytes of tensors and workspaces
    context_bytes
        driver, kernels, runtime
    communicator_bytes
        buffers of the library of collectives, where devices communicate
    withheld_share
        of the device's memory, what a program never gets: shared memory that the system keeps for itself
    live_share
        bytes of tensors over those predicted
    """

    workspace_bytes: Range
    convolution_bytes: Range
    slack_bytes: Range
    reserve_share: Range
    context_bytes: Range
    communicator_bytes: Range
    withheld_share: Range
    live_share: Range


def overhead_of(device: Device) -> Overhead:
    """Return what a device holds besides tensors, by its architecture, vendor and kind.

    What the system withheld of a shared memory counts as context.
    """
    found = overhead_by((device.architecture, device.vendor, device.kind))
    if not found.withheld_share.high or device.usable_memory_bytes is None:
        return found
    return replace(found, context_bytes=found.context_bytes + found.withheld_share * device.usable_memory_bytes)


_CONSTANTS: Final = (
    "workspace", "convolution_workspace", "block_slack", "reserve", "context", "communicator", "withheld", "live_bytes",
)  # fmt: skip
"""Names in the table of constants, in the order of the fields of `Overhead`."""


@cache
def overhead_by(scopes: tuple[str, ...]) -> Overhead:
    """Return the constants for the first of the scopes (architecture, vendor, kind) that has each."""
    return Overhead(*(parameter(name, scopes).value for name in _CONSTANTS))


GENERAL = overhead_by(("gpu",))
"""Where nothing is known of the device."""
