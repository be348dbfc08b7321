"""`estimate` and `plan` say the same of the same split; what one device cannot hold is divided over several."""

from dataclasses import replace

import pytest
from hand_made import database, device, offer, profile

from estimator import TrainingRun, estimate
from estimator.cost import fabric_of
from estimator.parallel.parallelism import Parallelism
from estimator.parallel.stack import TORCH
from estimator.plan import Job
from estimator.plan.search import Candidate, evaluate
from hardware_db import load
from profiles.library import Question, find

BIG = device("big")
RUN = TrainingRun(profile(), steps=10, global_batch_size=64, micro_batch_size=4)


def test_estimate_and_plan_agree_on_a_split():
    db = database([BIG], [offer("big", 8)])
    row = estimate(RUN, "big", count=8, database=db)
    job = Job(RUN.profile, BIG, fabric_of(BIG, offer("big", 8), None), TORCH, 8, 64)
    plan = evaluate(job, Candidate(Parallelism(data_parallel=8), 4))
    assert row.step_time_s == pytest.approx(plan.seconds, rel=1e-12)
    assert row.answer.step.parts == plan.step.parts


def test_states_are_divided_where_copies_do_not_fit():
    llama = find(Question("llama-3.1-8b", "train", "amp_bfloat16", "adamw", "cuda"), 1, 4096)
    run = TrainingRun(llama, steps=10, global_batch_size=64)
    h100 = replace(load().device("h100-sxm"), id="card")
    db = database([h100], [offer("card", 8)])
    alone = estimate(run, "card", database=db)
    assert alone.why_not_kind == "memory" and "× card with states divided (ZeRO" in alone.why_not
    many = estimate(run, "card", count=8, database=db)
    assert many.fits and many.answer.step.split.zero_stage > 0
    assert many.sharding[0].startswith("ZeRO")
