"""One step of a data-parallel run: from what is asked to `estimator.parallel.step`, which knows how long it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from estimator.parallel.costs import Setting
from estimator.parallel.parallelism import Parallelism
from estimator.parallel.stack import own_stack
from estimator.parallel.step import ParallelStep, parallel_step

if TYPE_CHECKING:
    from estimator.memory import Replica
    from estimator.parallel.network import Network
    from estimator.workload import Workload
    from hardware_db import Device
    from profiles.tables import OperationTable


def step_time(work: Workload, device: Device, network: Network, replica: Replica) -> ParallelStep:
    """Return the step of `work` on as many of `device` (as the framework sees them) as there are replicas.

    Raises
    ------
    UsageError
        a link that is needed is unknown
    UnknownPrecision
        the device publishes no peak for a precision of the profile's products
    """
    split = Parallelism(
        data_parallel=replica.replicas,
        zero_stage=replica.zero_stage,
        activation_checkpointing=replica.checkpointing,
    )
    layout = work.settings_on(device).memory_format
    setting = Setting(device, network, own_stack(device, work.run.compiled), layout)
    return parallel_step(work.at(replica.micro_batch_size), split, setting, work.accumulation(replica))


def step_weights(table: OperationTable, passes: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return how often each operation of the table runs in a step: once a micro-batch, the optimizer's once."""
    return np.where(table.phase.mask("optimizer"), 1.0, float(passes))
