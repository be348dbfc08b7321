"""How long a call takes: on a processor that others use as well, on a GPU, or by the clock on the wall."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

Call = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Reading:
    """Seconds of one call (mean of those timed together), and the same by the clock on the wall."""

    seconds: float
    wall_seconds: float


class Clock(Protocol):
    """Times a number of calls, one after the other."""

    def read(self, call: Call, calls: int) -> Reading:
        """Return the time of one of `calls` calls."""
        ...


@dataclass(frozen=True, slots=True)
class ProcessorClock:
    """The time that a call needs of the processor, whatever other programs take meanwhile.

    Seconds are those that the calling thread ran, or those of all threads divided by their number if that is more. On
    a quiet machine that equals the wall clock, because threads wait for each other by spinning; on a busy one it leaves
    out the time in which this program was ready but another one ran.
    """

    threads: int

    def read(self, call: Call, calls: int) -> Reading:
        """Return the time of one of `calls` calls."""
        wall, every, own = time.perf_counter(), time.process_time(), time.thread_time()
        for _ in range(calls):
            call()
        own = time.thread_time() - own
        every = time.process_time() - every
        wall = time.perf_counter() - wall
        return Reading(min(wall, max(own, every / self.threads)) / calls, wall / calls)


@dataclass(frozen=True, slots=True)
class WallClock:
    """The clock on the wall, for calls that wait for other processes or for the disk."""

    def read(self, call: Call, calls: int) -> Reading:
        """Return the time of one of `calls` calls."""
        started = time.perf_counter()
        for _ in range(calls):
            call()
        wall = (time.perf_counter() - started) / calls
        return Reading(wall, wall)


@dataclass(frozen=True, slots=True)
class CudaClock:
    """CUDA (or ROCm) events around the calls: time on the device, without that of the first launch.

    `cuda` is the module `torch.cuda`.
    """

    cuda: Any

    def read(self, call: Call, calls: int) -> Reading:
        """Return the time of one of `calls` calls."""
        first, last = (self.cuda.Event(enable_timing=True) for _ in range(2))
        self.cuda.synchronize()
        started = time.perf_counter()
        first.record()
        for _ in range(calls):
            call()
        last.record()
        self.cuda.synchronize()
        wall = time.perf_counter() - started
        return Reading(first.elapsed_time(last) * 1e-3 / calls, wall / calls)


@dataclass(frozen=True, slots=True)
class LaunchClock:
    """The time a host needs to issue calls to a device, which works them off meanwhile.

    `synchronize` waits for the device: before the calls, so that its queue is empty, and after them, unmeasured.
    """

    synchronize: Call

    def read(self, call: Call, calls: int) -> Reading:
        """Return the time of one of `calls` calls."""
        self.synchronize()
        reading = WallClock().read(call, calls)
        self.synchronize()
        return reading
