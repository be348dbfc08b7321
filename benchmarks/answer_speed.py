"""Milliseconds of one more answer from a recorded profile: `python benchmarks/answer_speed.py`.

Every batch is a new one, so that nothing is remembered. Processor time of one process, the median of many; the peer,
measured in the same run, is torch's own `FlopCounterMode` counting layers of GPT-2's size on the meta device at one
more batch size: forward and backward products alone, without bytes, vector work or memory.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import count
from statistics import median

import torch
from torch.utils.flop_counter import FlopCounterMode

from estimator import TrainingRun, estimate_all
from estimator.claims.asking import profile_of
from estimator.memory.need import memory_of
from estimator.timing import TimeSettings, predict
from hardware_db import load
from profiles.tables import OperationTable

MODELS = ("gpt2", "llama-3.1-405b", "mixtral-8x7b", "resnet50", "t5-small", "vit-b-16")
BATCHES = count(3)


def milliseconds(answer: Callable[[int], object], times: int = 50) -> float:
    """Return the median processor time of one answer, after a first that is not counted."""
    answer(2)
    taken = []
    for _ in range(times):
        batch = next(BATCHES)
        start = time.process_time()
        answer(batch)
        taken.append(time.process_time() - start)
    return 1e3 * median(taken)


def answers(model: str) -> dict[str, float]:
    """Return the milliseconds of each kind of answer for a recorded model."""
    profile, card = profile_of(model, "amp_bfloat16"), load().device("a100-sxm-80gb")
    length, settings = profile.sequence_length, TimeSettings()
    table = profile.table(8, length)
    return {
        "FLOPs, bytes": milliseconds(lambda batch: _work(profile.table(batch, length))),
        "peak": milliseconds(lambda batch: profile.trace.recording.timeline.peak(batch, length)),
        "memory need": milliseconds(lambda batch: memory_of(profile, batch, length, card)),
        "time of a step": milliseconds(lambda _: predict(table, card, settings)),
    }


def _work(table: OperationTable) -> tuple[object, ...]:
    return tuple(table.totals(what) for what in ("flops", "bytes_read", "bytes_written"))


def peer() -> float:
    """Return the milliseconds that torch's counter takes for twelve layers of GPT-2's size at one more batch size."""
    with torch.device("meta"):
        layer = torch.nn.TransformerEncoderLayer(768, 12, 3072, 0.0, batch_first=True)
        module = torch.nn.TransformerEncoder(layer, 12, enable_nested_tensor=False)

    def counted(batch: int) -> int:
        with FlopCounterMode(display=False) as counter:
            module(torch.empty(batch, 1024, 768, device="meta")).sum().backward()
        return int(counter.get_total_flops())

    return milliseconds(counted, times=5)


def main() -> None:
    """Print the table, the ratio to the peer and the time of every device and offer at once."""
    found = {model: answers(model) for model in MODELS}
    kinds = list(found["gpt2"])
    print(f"{'milliseconds':20}" + "".join(f"{kind:>16}" for kind in kinds))
    for model, row in found.items():
        print(f"{model:20}" + "".join(f"{row[kind]:16.3f}" for kind in kinds))
    yardstick = peer()
    ratio = yardstick / (found["gpt2"]["FLOPs, bytes"] + found["gpt2"]["peak"])
    print(f"FlopCounterMode {yardstick:14.1f}   {ratio:,.0f} times as long as FLOPs, bytes and peak above")
    profile = profile_of("gpt2", "amp_bfloat16")
    every = milliseconds(
        lambda batch: estimate_all(TrainingRun(profile, tokens=1e10, global_batch_size=batch), all_offers=True), times=5
    )
    print(f"every device and offer for gpt2: {every / 1e3:.2f} s")


if __name__ == "__main__":
    main()
