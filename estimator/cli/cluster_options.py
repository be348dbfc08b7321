"""The options of `flopcast plan` that say what no table knows: routing of tokens, the input, memory and network."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import click

from estimator.cli.device_filters import read_memory
from hardware_db.errors import QuantityError, UsageError

if TYPE_CHECKING:
    from estimator.parallel.network import Network
    from estimator.parallel.routing import Routing
    from hardware_db import Device

_POSITIVE = click.FloatRange(min=0, min_open=True, max=math.inf)


@dataclass(frozen=True, slots=True)
class ClusterFacts:
    """What was said of a cluster and a job; None: nothing.

    `memory_bytes` and `network_bytes_per_s` are of one device, `data_samples_per_s` of the whole job, `expert_load` the
    tokens of the busiest expert over the mean.
    """

    data_samples_per_s: float | None
    capacity_factor: float | None
    expert_load: float | None
    memory_bytes: int | None
    network_bytes_per_s: int | None

    def __post_init__(self) -> None:
        for name, given in (("--memory", self.memory_bytes), ("--network", self.network_bytes_per_s)):
            if given == 0:
                raise QuantityError(f"{name}: 0 is none; leave it out, or give what there is, such as 12.5GB")

    def of(self, device: Device) -> Device:
        """Return a device with the memory and the network that were given for it."""
        given: dict[str, Any] = {}
        if self.memory_bytes is not None:
            given |= {"memory_bytes": self.memory_bytes, "visible_memory_bytes": None}
        if self.network_bytes_per_s is not None:
            given["internode_bandwidth_bytes_per_s"] = float(self.network_bytes_per_s)
        return replace(device, **given) if given else device

    def joining(self, network: Network) -> Network:
        """Return the network of a job with the links between machines that were given."""
        if self.network_bytes_per_s is None:
            return network
        return replace(network, outer_bytes_per_s=float(self.network_bytes_per_s))

    @property
    def routing(self) -> Routing:
        """How tokens go to experts.

        Raises
        ------
        UsageError
            both a capacity and a load were given, or a load below 1
        """
        from estimator.parallel.routing import USUAL, Routing

        if self.capacity_factor is not None and self.expert_load is not None:
            raise UsageError("--capacity-factor pads every expert to the same load: leave out --expert-load")
        if self.expert_load is not None:
            return Routing((self.expert_load,) * 3)
        return replace(USUAL, capacity_factor=self.capacity_factor)


def cluster_options(command: Callable[..., int]) -> Callable[..., int]:
    """Add the options of `ClusterFacts`; the command receives them as `cluster`."""

    @functools.wraps(command)
    def wrapped(*args: Any, **parameters: Any) -> int:
        given = {name: parameters.pop(name) for name in ClusterFacts.__dataclass_fields__}
        return command(*args, cluster=ClusterFacts(**given), **parameters)

    for option in reversed(_OPTIONS):
        wrapped = option(wrapped)
    return wrapped


_OPTIONS = (
    click.option("--data-rate", "data_samples_per_s", type=_POSITIVE, metavar="N",
                 help="Samples a second that the data loaders of the whole job bring."),
    click.option("--capacity-factor", type=_POSITIVE, metavar="F",
                 help="Rows that every expert computes over its mean; default: as many as tokens choose it."),
    click.option("--expert-load", type=_POSITIVE, metavar="X",
                 help="Tokens of the busiest expert over the mean: 1 balanced; default: as routers usually are."),
    click.option("--memory", "memory_bytes", callback=read_memory, metavar="SIZE",
                 help="Memory of one device, for CPUs: 384GB."),
    click.option("--network", "network_bytes_per_s", callback=read_memory, metavar="SIZE",
                 help="Bytes a second of one device to other machines, one direction: 12.5GB."),
)  # fmt: skip
