"""Seconds of advice, and how they grow with models, devices and offers: `python benchmarks/advise_speed.py`.

Processor time of one process on recorded profiles, the hardware database loaded. "Combinations" are ways to run it that
were compared, or beaten even at their peak: device, number of devices, network and offer.
"""

from __future__ import annotations

import time
from dataclasses import replace

from estimator import TrainingRun
from estimator.advice import Wishes, advise
from estimator.advice.market import Market
from estimator.claims.asking import BEST, profile_of
from estimator.workload import Workload
from hardware_db import Database, load

MODELS = ("mnist-cnn", "resnet50", "gpt2", "llama-3.1-8b")
WORK = {"samples": 1e8, "global_batch_size": 256}


def timed(model: str, database: Database, wishes: Wishes) -> tuple[float, int]:
    """Return the seconds of comparing everything for a model, and how many ways were compared."""
    works = tuple(Workload(TrainingRun(profile_of(model, precision), **WORK)) for precision in BEST)
    began = time.process_time()
    market = Market(works, database, wishes)
    found = market.candidates()
    seconds = time.process_time() - began
    return seconds, len(found) + sum(len(way.shelf.offers) for way in market.outdone)


def many_offers(database: Database, times: int) -> Database:
    """Return the database with every offer so many times, at other prices."""
    offers = database.all_offers
    copies = [
        replace(each, provider=f"{each.provider}-{copy}", usd_per_hour=each.usd_per_hour * (1 + copy / 100))
        for copy in range(1, times)
        for each in offers
    ]
    return replace(database, own_offers=(*offers, *copies))


def main() -> None:
    """Print the tables."""
    database, everything = load(), Wishes(spot=True)
    print(f"{'model':20} {'devices':>8} {'combinations':>13} {'first':>8} {'again':>8}   seconds")
    for model in MODELS:
        first, found = timed(model, database, everything)
        again, _ = timed(model, database, everything)
        print(f"{model:20} {'all':>8} {found:13,} {first:8.2f} {again:8.2f}")
    for devices in ("h100-*", "h100-*,a100-*", "h100-*,a100-*,tpu-*,l4,t4,v100-*"):
        seconds, found = timed("gpt2", database, Wishes(devices=devices, spot=True))
        print(f"{'gpt2':20} {len(database.match(devices)):8} {found:13,} {seconds:8.2f}")
    for times in (1, 4, 16, 40):
        seconds, found = timed("gpt2", many_offers(database, times), everything)
        print(f"{f'gpt2, offers × {times}':20} {'all':>8} {found:13,} {seconds:8.2f}")
    began = time.process_time()
    advise([TrainingRun(profile_of("gpt2", each), **WORK) for each in BEST], budget_usd=100, deadline_s=86400)
    print(f"whole advice for gpt2, with neighbours, changes and free tiers: {time.process_time() - began:.2f} s")


if __name__ == "__main__":
    main()
