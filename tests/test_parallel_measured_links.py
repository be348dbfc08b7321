"""Collectives that were timed on a machine come out of predictions as they went in, and only where they were timed."""

import pytest

from estimator.parallel import measured_links as module
from estimator.parallel.collectives import all_gather, all_reduce, all_reduce_s
from estimator.parallel.measured_links import links_of
from estimator.parallel.network import Network, network_of
from hardware_db import load
from profiles.benchmark.collectives import COLLECTIVES, fit_collectives
from profiles.machine_profile import Machine, MachineProfile, Timing

PROCESSES, LATENCY_S, BUS_BYTES_PER_S = 4, 30e-6, 5e9
MID = 1


def timed(data_bytes, kind):
    """What a machine with this latency and bandwidth shows: the bus carries (n - 1) / n of the data each pass."""
    bus = kind.bus_bytes(data_bytes, PROCESSES)
    seconds = (LATENCY_S + bus / BUS_BYTES_PER_S,)
    name = f"{kind.name} of {data_bytes} bytes over {PROCESSES}"
    return Timing(name, "collective", "float32", seconds, moved_bytes=bus, processes=PROCESSES)


def profile(*kinds, device="h100-sxm"):
    timings = tuple(timed(size, kind) for kind in COLLECTIVES if kind.name in kinds for size in (2**14, 2**20, 2**26))
    return MachineProfile(
        machine=Machine(device, device, "gpu"),
        recorded_at="2026-11-20T10:00:00+00:00",
        mode="quick",
        timings=timings,
        figures=tuple(fit_collectives(timings)),
    )


BOTH = ("all-reduce", "all-gather")


@pytest.mark.parametrize("data_bytes", [2**14, 2**22, 2**28])
def test_what_was_timed_is_what_is_predicted(data_bytes):
    network = Network("here", PROCESSES, 450e9, None, "switch", PROCESSES, measured=links_of(profile(*BOTH)))
    group = network.group(PROCESSES, 1)
    passes = 2 * (PROCESSES - 1) / PROCESSES * data_bytes / BUS_BYTES_PER_S
    assert all_reduce_s(data_bytes, group)[MID] == pytest.approx(LATENCY_S + passes, rel=1e-6)
    gathered = (PROCESSES - 1) / PROCESSES * data_bytes / BUS_BYTES_PER_S
    assert all_gather(group).at(data_bytes)[MID] == pytest.approx(LATENCY_S + gathered, rel=1e-6)


def test_fewer_devices_take_fewer_hops_over_the_same_links():
    group = Network("here", 4, 450e9, None, "switch", 4, measured=links_of(profile(*BOTH))).group(2, 1)
    line, _ = all_reduce(group)
    assert line.latency_s[MID] == pytest.approx(LATENCY_S / 3)
    assert line.s_per_byte[MID] == pytest.approx(2 * 1 / 2 / BUS_BYTES_PER_S)


def test_links_of_one_machine_say_nothing_of_several():
    network = Network("here", 8, 450e9, 50e9, "switch", 8, measured=links_of(profile(*BOTH)))
    assert network.group(8, 1).measured is not None
    assert network.group(16, 1).measured is None


def test_a_profile_without_one_of_them_has_no_links():
    assert links_of(profile("all-reduce")) is None


def test_the_profile_of_a_device_is_used_for_that_device(monkeypatch):
    monkeypatch.setattr(module, "profiles_of", lambda: [profile(*BOTH)])
    module._measured.cache_clear()
    try:
        measured, others = (network_of(load().device(name)).measured for name in ("h100-sxm", "a100-sxm-80gb"))
        assert measured is not None and measured.processes == PROCESSES
        assert others is None
    finally:
        monkeypatch.undo()
        module._measured.cache_clear()
