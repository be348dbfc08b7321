"""What a run takes besides its training steps, as the user knows it; what is left out is predicted or assumed."""

from __future__ import annotations

import math
from dataclasses import dataclass

from hardware_db.errors import UsageError

NEVER = math.inf
"""As the time between checkpoints: none but the one at the end."""


@dataclass(frozen=True, slots=True)
class Overheads:
    """The parts of a run around its steps. None: predicted, or an assumption with its source.

    Attributes
    ----------
    provisioning_s
        from asking for machines to their first command [s]; counted where machines are rented, and paid
    startup_s
        from the command to the first step [s], without compilation
    compile_s
        the first call of a compiled step [s]; counted where the step is compiled (TPUs, `compiled=True`)
    data_samples_per_s
        samples that the data loader of the whole run brings [1/s]; steps wait where they would be faster. None: no step
        waits for data
    eval_every_steps, eval_samples
        how often how many samples are evaluated (a forward pass each); None: never
    checkpoint_every_s
        time between checkpoints [s]; `NEVER`: only the one at the end; None: Young and Daly's best
    checkpoint_bytes
        size of one; None: parameters and optimizer states
    storage_bytes_per_s
        what the storage writes, all machines together [byte/s]; None: a volume of each machine that holds a part
    device_hours_between_failures
        mean time between failures of one device [device-hours]; None: published records
    restart_s
        from a failure to the next step [s], without the work that is done again
    stored_bytes, egress_bytes
        what lies in the provider's storage while the run lasts, and what leaves its network; None: not billed

    Raises
    ------
    UsageError
        a figure that is not above zero, or evaluation without both of its figures
    """

    provisioning_s: float | None = None
    startup_s: float | None = None
    compile_s: float | None = None
    data_samples_per_s: float | None = None
    eval_every_steps: int | None = None
    eval_samples: int | None = None
    checkpoint_every_s: float | None = None
    checkpoint_bytes: float | None = None
    storage_bytes_per_s: float | None = None
    device_hours_between_failures: float | None = None
    restart_s: float | None = None
    stored_bytes: float | None = None
    egress_bytes: float | None = None

    def __post_init__(self) -> None:
        may_be_zero = ("provisioning_s", "startup_s", "compile_s", "restart_s")
        for name in self.__dataclass_fields__:
            value = getattr(self, name)
            if value is not None and not (value > 0 or (value == 0 and name in may_be_zero)):
                raise UsageError(f"{name} must be {'0 or more' if name in may_be_zero else 'above 0'}; given: {value}")
        if (self.eval_every_steps is None) != (self.eval_samples is None):
            raise UsageError("eval_every_steps and eval_samples go together: how often, and how many samples")
