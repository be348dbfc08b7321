"""Does it fit, how large can it be, and what would make it fit."""

import json
from dataclasses import replace

import pytest
from hand_made import PARAMETERS, POINTS, WIDTH, database, device, profile, raw_trace

from estimator.fit import CHANGES, fit
from estimator.fit.changes import combined, go_together
from estimator.memory import MemorySettings, memory_of
from hardware_db.errors import UnknownDevice, UsageError
from profiles.trace_record import fit_growth

WEIGHTS = (("h.[0-9]", PARAMETERS),)
NAMED = {change.label: change for change in CHANGES}


def with_products(precision="bfloat16"):
    """The model made by hand, its products with their sizes."""
    raws = [raw_trace(batch, length, precision) for batch, length in POINTS]
    for raw in raws:
        sides = (("m", raw.batch_size * raw.sequence_length), ("n", WIDTH), ("k", WIDTH), ("batch", 1))
        raw.operations = [replace(op, dims=sides) if op.family == "matmul" else op for op in raw.operations]
    return profile(precision=precision, module_parameters=WEIGHTS, trace=fit_growth(raws))


@pytest.fixture(scope="module")
def step():
    return with_products()


def needed(step, **fields):
    return memory_of(step, 2, 16, device(), MemorySettings(**fields)).total_bytes


def test_what_fits_fits_as_it_is(step):
    found = fit(step, device(), micro_batch_size=2, sequence_length=16)
    assert found.as_it_is and found.fits and found.need.verdict == "fits"
    assert found.need.total_bytes == needed(step)
    assert all(len(way.changes) == 1 for way in found.ways)


def test_the_largest_sizes_fit_and_the_next_do_not(step):
    small = device(memory_bytes=10**9)
    found = fit(step, small, micro_batch_size=2, sequence_length=1024)
    batch, length = found.largest_micro_batch, found.longest_sequence
    for size, fits in (
        ((batch, 1024), True),
        ((batch + 1, 1024), False),
        ((2, length), True),
        ((2, length + 16), False),
    ):
        assert (memory_of(step, *size, device=small).total_bytes <= 10**9) is fits


def test_a_way_saves_what_it_says(step):
    found = fit(step, device(), micro_batch_size=2, sequence_length=16)
    way = next(way for way in found.ways if way.changes == ("8-bit AdamW",))
    assert way.saved_bytes == found.need.total_bytes - way.need.total_bytes > 0
    assert way.need.total_bytes == needed(step, optimizer="adamw-8bit")
    assert all(way.saved_bytes > 0 for way in found.ways if len(way.changes) == 1)


def test_ways_that_fit_come_first_and_the_fastest_of_them(step):
    tight = device(memory_bytes=(needed(step) + needed(step, optimizer="adamw-8bit")) // 2)
    found = fit(step, tight, micro_batch_size=2, sequence_length=16)
    assert not found.as_it_is and found.fits and found.ways[0].fits
    fitting = [way.fits for way in found.ways]
    assert fitting == sorted(fitting, reverse=True)
    times = [way.time.mid for way in found.ways if way.fits and way.time]
    assert times == sorted(times)


def test_changes_are_combined_only_where_none_alone_suffices(step):
    room = needed(step, optimizer="adamw-8bit", optimizer_in_backward=True)
    found = fit(step, device(memory_bytes=room + 1000), micro_batch_size=2, sequence_length=16)
    several = [way for way in found.ways if len(way.changes) > 1]
    alone = {way.changes[0] for way in found.ways if way.fits and len(way.changes) == 1}
    assert several and all(way.fits and not alone & set(way.changes) for way in several)


def test_nothing_fits_where_not_even_the_context_does(step):
    found = fit(step, device(memory_bytes=10**8), micro_batch_size=2, sequence_length=16)
    assert not found.fits and found.largest_micro_batch is None and found.need.verdict == "out_of_memory"
    assert "No way" in repr(found)


def test_sharding_is_offered_to_several_devices_only(step):
    one, eight = (fit(step, device(), count, micro_batch_size=2, sequence_length=16) for count in (1, 8))
    labels = [{label for way in found.ways for label in way.changes} for found in (one, eight)]
    assert not any("ZeRO" in label for label in labels[0]) and "ZeRO 3 / FSDP" in labels[1]


def test_another_recording_is_a_way(step):
    double = with_products("float32")
    found = fit([double, step], device(), micro_batch_size=2, sequence_length=16)
    assert found.profile.precision == "float32"
    assert all(way.changes != ("bfloat16",) or way.profile.precision == "bfloat16" for way in found.ways)


def test_a_host_link_that_is_unknown_gives_no_time(step):
    found = fit(step, device(), micro_batch_size=2, sequence_length=16)
    way = next(way for way in found.ways if way.changes == ("optimizer on the host",))
    assert way.time is None and way.saved_bytes > 0


def test_changes_that_exclude_each_other_are_not_combined():
    full, selective, eight = (NAMED[name] for name in ("full checkpointing", "selective checkpointing", "8-bit AdamW"))
    assert go_together((full, eight)) and not go_together((full, selective))
    assert not go_together((NAMED["ZeRO 3 / FSDP"], NAMED["LoRA rank 16"]))
    both = combined((NAMED["optimizer on the host"], NAMED["activations on the host"]), MemorySettings())
    assert both.offloaded == ("optimizer", "activations")


def test_the_answer_is_plain_data(step):
    told = json.loads(json.dumps(fit(step, device(), micro_batch_size=2, sequence_length=16).to_dict()))
    assert told["fits"] is True and sum(told["memory"].values()) == told["memory_bytes"]
    assert {"changes", "saved_bytes", "time_ratio", "largest_micro_batch"} <= told["ways"][0].keys()


def test_the_table_marks_what_fits(step):
    shown = repr(fit(step, device(), micro_batch_size=2, sequence_length=16))
    assert "as it is" in shown and "✓ 8-bit AdamW" in shown and max(map(len, shown.splitlines())) <= 120


@pytest.mark.parametrize("count", [0, -1])
def test_a_count_below_one_is_refused(step, count):
    with pytest.raises(UsageError, match="count must be 1 or more"):
        fit(step, device(), count)


def test_a_device_without_a_capacity_is_refused(step):
    with pytest.raises(UsageError, match="The memory of big is unknown"):
        fit(step, device(memory_bytes=None))


def test_an_unknown_device_is_refused(step):
    with pytest.raises(UnknownDevice):
        fit(step, "warp-core", database=database([device()], []))


def test_several_machines_may_divide_within_each(step):
    """Groups of one machine hold more than groups of all, and gather over the faster links."""
    one = device(devices_per_host=4, link_bandwidth_bytes_per_s=1e11, internode_bandwidth_bytes_per_s=1e10)
    ways = {way.changes: way for way in fit(step, one, 8, micro_batch_size=2, sequence_length=16).ways}
    grouped, whole = ways["FSDP in groups of 4",], ways["ZeRO 3 / FSDP",]
    assert grouped.need.total_bytes == needed(step, replicas=8, zero_stage=3, shard_group=4) > whole.need.total_bytes
    assert grouped.time.mid < whole.time.mid
    alone = fit(step, one, 4, micro_batch_size=2, sequence_length=16).ways
    assert not [way for way in alone if "FSDP in groups of 4" in way.changes]
