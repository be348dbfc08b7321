"""Which devices form which group: tensor parallel ranks are neighbours, then context, data and pipeline parallel ones.

This is the default order of Megatron-LM (parallel_state.py, "tp-cp-ep-dp-pp") and what other frameworks do as well:
the group that communicates most often gets the fastest links.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from estimator.parallel.network import Group, Network
    from estimator.parallel.parallelism import Parallelism


@dataclass(frozen=True, slots=True)
class Ranks:
    """The groups of a split on a network."""

    split: Parallelism
    network: Network

    @property
    def tensor(self) -> Group:
        """Devices that share every product."""
        return self.network.group(self.split.tensor_parallel, 1)

    @property
    def context(self) -> Group:
        """Devices that share a sequence."""
        return self.network.group(self.split.context_parallel, self.split.tensor_parallel)

    @property
    def shards(self) -> Group:
        """Devices among which ZeRO divides what is outside of experts."""
        return self.network.group(self.split.shards, self.split.tensor_parallel)

    @property
    def copies(self) -> Group:
        """Devices that hold the same shard: more than one with hybrid sharding."""
        return self.network.group(
            self.split.sharers // self.split.shards, self.split.tensor_parallel * self.split.shards
        )

    @property
    def sharers(self) -> Group:
        """Devices that sum their gradients."""
        return self.network.group(self.split.sharers, self.split.tensor_parallel)

    @property
    def expert(self) -> Group:
        """Devices that share the experts of a layer."""
        return self.network.group(self.split.expert_parallel, self.split.expert_tensor_parallel)

    @property
    def expert_replicas(self) -> Group:
        """Devices that hold the same experts."""
        stride = self.split.expert_parallel * self.split.expert_tensor_parallel
        return self.network.group(self.split.expert_replicas, stride)

    @property
    def stages(self) -> Group:
        """One device of each pipeline stage."""
        split = self.split
        return self.network.group(split.pipeline_parallel, split.devices // split.pipeline_parallel)
