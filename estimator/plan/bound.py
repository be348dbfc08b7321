"""A floor under the time of many candidates at once, and what they must hold, as numpy columns.

No schedule beats this: stage s starts after one forward pass on each stage before it, then runs m micro-batches, and
its last gradient passes through the stages before it again:

    step >= max over s (fill_s + m (f_s + b_s) + max(drain_s + tail_0, tail_s)) * stragglers

f and b are passes with collectives that nothing hides, tail the optimizer and the gradients that are still to be sent.
Equal stages reach the floor, so the search looks at few candidates that are not among the best.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from estimator.memory import overhead_of
from estimator.parallel.blocks import LAST
from estimator.parallel.lateness import late_share
from estimator.parallel.passes import SIDE_BY_SIDE_ORDER
from estimator.parallel.pipeline import in_flight
from estimator.parallel.stage_memory import STAGE_OF
from estimator.parallel.sync import DDP_BUCKET_BYTES, GRADIENTS_FROM
from estimator.parallel.weights import weights_of
from estimator.plan.columns import MID
from estimator.timing import side_by_side

if TYPE_CHECKING:
    from estimator.parallel.blocks import Floats
    from estimator.parallel.parallelism import Checkpointing
    from estimator.parallel.stages import Owners
    from estimator.plan.columns import Alike, Columns, Sharding
    from estimator.plan.job import Job


@dataclass(frozen=True, eq=False)
class Bound:
    """Floors of cells that deal their layers to stages alike (`owners`: chunk of each part)."""

    job: Job
    columns: Columns
    owners: Owners
    alike: Alike

    @cached_property
    def sizes(self) -> tuple[int, int]:
        """Stages, and chunks of each."""
        shape, order = self.columns.cells[0]
        return shape.pipeline, order.chunks

    @cached_property
    def hot(self) -> Floats:
        """(kinds, chunks) parts of each kind that belong to a chunk."""
        return self.alike.counts(self.owners, math.prod(self.sizes))

    @cached_property
    def mine(self) -> Floats:
        """(kinds, stages) parts of each kind that belong to a stage."""
        stages, chunks = self.sizes
        staged: Floats = self.hot.reshape(-1, chunks, stages).sum(axis=1)
        return staged

    @cached_property
    def dense(self) -> Floats:
        """Trained parameters outside of experts of each stage, (n, stages)."""
        trained: Floats = (self.columns.dense @ self.mine) * weights_of(self.job.profile).trained
        return trained

    def seconds(self, sharding: Sharding, checkpointing: Checkpointing) -> Floats:
        """Return what no candidate can beat, (n,) seconds."""
        bound = self._alone_s if self.sizes == (1, 1) else self._piped_s
        late = float(late_share(self.job.count, self.job.setting)[MID])
        floor: Floats = bound(sharding, checkpointing) * (1 + late)
        return floor

    def _alone_s(self, sharding: Sharding, checkpointing: Checkpointing) -> Floats:
        """Seconds without a pipeline: device and host side by side over the whole step."""
        (forward, issued), (backward, issued_back) = self._streams(sharding, checkpointing)
        windows = _beside(forward, issued), _beside(backward, issued_back)
        batches = self.columns.micro_batches[:, None]
        busy = batches * (forward + backward) + self._optimizer_s(sharding)
        host = batches * (issued + issued_back) + self.columns.host_optimizer[:, None]
        floor: Floats = (_beside(busy, host) + self._exposed_s(sharding, windows))[:, 0]
        return floor

    def _piped_s(self, sharding: Sharding, checkpointing: Checkpointing) -> Floats:
        """Seconds of a pipeline."""
        shape = (-1, *reversed(self.sizes))
        forward, backward = (_beside(*both).reshape(shape) for both in self._streams(sharding, checkpointing))
        first = forward[:, 0], backward[:, 0]
        fill = np.cumsum(first[0], axis=1) - first[0]
        drain = np.cumsum(first[1], axis=1) - first[1]
        windows = forward.sum(axis=1), backward.sum(axis=1)
        tail = self._optimizer_s(sharding) + self._exposed_s(sharding, windows)
        if self.columns.cells[0][1].schedule == "zero_bubble":
            drain = np.zeros_like(drain)
        after = np.maximum(drain + tail[:, :1], tail)
        busy = self.columns.micro_batches[:, None] * (windows[0] + windows[1])
        floor: Floats = (fill + busy + after).max(axis=1)
        return floor

    def _streams(
        self, sharding: Sharding, checkpointing: Checkpointing
    ) -> tuple[tuple[Floats, Floats], tuple[Floats, Floats]]:
        """Device and host seconds of the passes of each chunk; gathering (ZeRO 3) may take longer."""
        columns, layers = self.columns, self.alike.layers
        nothing = np.zeros_like(columns.forward)
        whole = columns.forward - columns.spared
        again = {"none": nothing, "selective": columns.again, "full": whole}[checkpointing] * layers
        hosted = columns.host_forward * layers if checkpointing == "full" else nothing
        least = self._gathered_s(sharding) @ self.hot if sharding.stage == 3 else 0.0
        forward, backward = (np.maximum(each @ self.hot, least) for each in (columns.forward, columns.backward + again))
        return (forward, columns.host_forward @ self.hot), (backward, (columns.host_backward + hosted) @ self.hot)

    def _gathered_s(self, sharding: Sharding) -> Floats:
        """Seconds to gather the parameters of layers outside of experts, (n, parts)."""
        seconds: Floats = sharding.gather[1][:, None] * self.columns.dense * self.columns.per.weight
        seconds[:, [0, LAST]] = 0.0
        return seconds

    def _optimizer_s(self, sharding: Sharding) -> Floats:
        """Seconds of the optimizer and of adding up gradients, (n, stages); those of experts are left out."""
        own = self.dense / sharding.shards[:, None]
        summed = own if sharding.stage >= GRADIENTS_FROM else self.dense
        adding = self.columns.adding_s * summed * (self.columns.micro_batches[:, None] - 1)
        seconds: Floats = self.columns.per_parameter_s[:, None] * own + adding
        return seconds

    def _exposed_s(self, sharding: Sharding, windows: tuple[Floats, Floats]) -> Floats:
        """Seconds of the gradients' collectives that nothing hides, (n, stages); those of experts are left out."""
        zero, per = sharding.stage, self.columns.per
        if zero == 3:
            return np.zeros_like(self.dense)
        latency, per_byte = (sharding.gather if zero else sharding.reduce)[..., None]
        sums = latency + per_byte * self.dense * per.wire
        sent = (latency + per_byte * self.dense * per.weight) * (zero > 0)
        if zero not in self.job.stack.overlaps_gradients:
            return np.asarray(sums + sent)
        all_bytes = np.maximum(1.0, (self.dense + self.columns.experts @ self.mine) * per.wire)
        last = np.minimum(1.0, DDP_BUCKET_BYTES / all_bytes)
        shown = np.maximum(sums * last, sums - windows[1]) + np.maximum(sent * last, sent - windows[0])
        return np.asarray(shown + self.job.setting.stolen[MID] * (sums + sent - shown))

    def held_bytes(self, sharding: Sharding, checkpointing: Checkpointing) -> Floats:
        """Return what the fullest stage of each candidate holds, (n,): `estimator.parallel.memory` in columns."""
        columns, per = self.columns, self.columns.per
        full = checkpointing == "full"
        trained = weights_of(self.job.profile).trained
        dense, experts = columns.dense @ self.mine, columns.experts @ self.mine
        held = self._alive * ((columns.inputs if full else columns.whole) @ self.mine) + self._working(full)
        sizes = {"weight": per.weight, "gradient": per.gradient * trained, "optimizer": per.optimizer * trained}
        for what, size in sizes.items():
            if sharding.stage < STAGE_OF[what]:
                held = held + (dense + experts) * size
            else:
                held = held + (dense / sharding.shards[:, None] + experts / sharding.expert_shards[:, None]) * size
        if sharding.stage == 3:
            loads = columns.dense + columns.experts
            around = np.sort(loads[:, self.alike.twice], axis=1)[:, -2:].sum(axis=1) + loads[:, 0] + loads[:, LAST]
            held = held + (around * per.weight)[:, None]
        over = overhead_of(self.job.device)
        total: Floats = held * (1 + over.reserve_share.mid) + over.context_bytes.mid + over.communicator_bytes.mid
        return np.asarray(total.max(axis=1))

    @cached_property
    def _alive(self) -> Floats:
        """Micro-batches whose activations each stage holds at once, (n, stages)."""
        stages, chunks = self.sizes
        if self.columns.cells[0][1].schedule == "gpipe":
            return np.repeat(self.columns.micro_batches[:, None], stages, axis=1)
        batches = self.columns.micro_batches.astype(np.int64).tolist()
        known = {m: [in_flight((stages, chunks, m), stage) / chunks for stage in range(stages)] for m in set(batches)}
        return np.array([known[m] for m in batches])

    def _working(self, full: bool) -> Floats:
        working: Floats = np.asarray(self.columns.working[:, None] * self.mine[LAST])
        if not full:
            return working
        layers = self.columns.whole.copy()
        layers[:, [0, LAST]] = 0.0
        once = np.stack([(layers * (column > 0)).max(axis=1, initial=0.0) for column in self.mine.T], axis=1)
        most: Floats = np.maximum(once, working)
        return most


def _beside(device_s: Floats, host_s: Floats) -> Floats:
    return side_by_side(device_s, host_s, SIDE_BY_SIDE_ORDER)
