"""How fast `flopcast plan` searches: candidates a second, and whole searches, in processor seconds.

python benchmarks/plan_speed.py

Prints a line for each job: candidates, seconds of the first search (every layer costed for the first time), seconds of
the second, candidates a second then, and how many steps were simulated event by event.
"""

from __future__ import annotations

import time

import hardware_db
from estimator.parallel.network import network_of, usual_system
from estimator.plan import Job, search
from estimator.plan.job import stack_for
from profiles.library import Question, find

JOBS = (
    ("gpt2-xl", "a100-sxm-80gb", 512, 4096, 1024),
    ("llama-3.1-8b", "h100-sxm", 512, 2048, 8192),
    ("llama-3.1-70b", "h100-sxm", 512, 512, 8192),
    ("mixtral-8x7b", "h100-sxm", 512, 1024, 4096),
    ("llama-3.1-405b", "h100-sxm", 16384, 2048, 8192),
)


def main() -> None:
    """Search every job twice."""
    database = hardware_db.load()
    print("model           devices  candidates  first s  again s  candidates/s  simulated")
    for model, name, count, batch, length in JOBS:
        device = database.device(name)
        profile = find(Question(model, "train", "amp_bfloat16", "adamw", "cuda"), 1, length)
        if profile is None:
            raise SystemExit(f"{model} is not recorded")
        network = network_of(device, usual_system(database, device))
        job = Job(profile.at(1, length), device, network, stack_for(profile, device), count, batch)
        seconds = []
        for _ in range(2):
            start = time.process_time()
            found = search(job)
            seconds.append(time.process_time() - start)
        rate = found.searched / seconds[1]
        times = f"{seconds[0]:7.2f}  {seconds[1]:7.2f}  {rate:12,.0f}"
        print(f"{model:15} {count:7,}  {found.searched:10,}  {times}  {found.evaluated:9,}")


if __name__ == "__main__":
    main()
