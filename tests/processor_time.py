"""Seconds of the processor that a command takes, however busy the machine is."""

import resource
import subprocess

BUSY = 3
"""What a shared machine may add to a time that holds on an idle one; the times themselves are in benchmarks/."""


def processor_seconds(command: list[str], bound: float, attempts: int = 4) -> float:
    """Return the least of several runs; stop at the first below the bound.

    The clock and even a single count of processor seconds grow when other programs share the cores and caches; the
    least of several is the nearest to what the command itself needs.
    """
    least = float("inf")
    for _ in range(attempts):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        least = min(least, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        if least < bound:
            break
    return least
