"""Profiles for many questions: kept ones at once, others traced in as many processes as allowed."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TYPE_CHECKING

from hardware_db.errors import FlopcastError
from profiles.library import Question, find, keep

if TYPE_CHECKING:
    from profiles.case_trace import ProfileQuestion
    from profiles.model_profile import ModelProfile

Answer = tuple["ProfileQuestion", "ModelProfile | None", str]
"""A question, its profile, and the reason where there is none."""


def answers(questions: Iterable[ProfileQuestion], base: Path, jobs: int) -> Iterator[Answer]:
    """Yield the profile of every question, kept ones first; each is traced once and kept for the next time."""
    missing = []
    for question in questions:
        kept = find(_library_question(question), question.batch_size, question.sequence_length)
        if kept is None:
            missing.append(question)
        else:
            yield question, kept, ""
    yield from _traced_one_by_one(missing, base) if jobs == 1 else _traced_in_parallel(missing, base, jobs)


def _library_question(question: ProfileQuestion) -> Question:
    attention = " eager attention" if question.eager_attention else ""
    loop = "" if question.loop == "loss" else f" {question.loop}"
    return Question(
        model=question.model,
        mode=question.mode,
        precision=question.precision,
        optimizer=question.optimizer,
        device=question.device,
        image_size=question.image_size,
        definition=f"as measured{attention}{loop}",
    )


def _traced_one_by_one(questions: Iterable[ProfileQuestion], base: Path) -> Iterator[Answer]:
    for question in questions:
        profile, reason = answer(question, base)
        yield question, profile, reason


def _traced_in_parallel(questions: Iterable[ProfileQuestion], base: Path, jobs: int) -> Iterator[Answer]:
    # A forked process would share torch's threads and locks; a spawned one starts clean.
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        running = {pool.submit(answer, question, base): question for question in questions}
        for done in as_completed(running):
            try:
                profile, reason = done.result()
            except BrokenProcessPool:
                profile, reason = None, "the process that traced it was ended, most likely for want of memory"
            yield running[done], profile, reason


def answer(question: ProfileQuestion, base: Path) -> tuple[ModelProfile | None, str]:
    """Trace a question and keep its profile; the reason where it cannot be traced."""
    from profiles.case_trace import trace

    try:
        profile = trace(question, base)
    except FlopcastError as error:
        return None, str(error).splitlines()[0]
    except Exception as error:  # a model's own code may raise anything; its row says so, others go on
        return None, f"the model failed: {type(error).__name__}: {error}".splitlines()[0]
    keep(_library_question(question), profile)
    return profile, ""
