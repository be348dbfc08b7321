"""The estimator's answers to the question in the sidebar, worked out once per question and kept."""

from __future__ import annotations

import time
from copy import copy
from dataclasses import replace
from functools import lru_cache
from threading import Lock
from typing import Final

from dashboard import counting, uploads
from dashboard.commands import Word, command_line
from dashboard.once import once
from dashboard.processes import Asked
from dashboard.run_state import Market, Question, RunChoice
from estimator.estimates import Estimates
from estimator.pricing import priced
from estimator.survey import Survey
from estimator.workload import Workload
from hardware_db import Device
from hardware_db.errors import UnknownModel
from hardware_db.here import Here, load_here
from profiles import library
from profiles.model_profile import ModelProfile
from profiles.models import ModelName, names
from profiles.recall import known
from profiles.request import ProfileRequest

FRESH_S: Final = 300.0
"""After so many seconds this machine's own devices and prices are read anew."""
_TURNS: Final = tuple(Lock() for _ in range(64))
"""Of visitors who ask the same at once, the first has it worked out, the others wait and find it."""


@lru_cache(maxsize=1)
def zoo() -> dict[str, ModelName]:
    """Return the models that have a name, those whose profiles came with the package first, by name."""
    recorded = recorded_names()
    ordered = sorted(names(), key=lambda entry: (entry.name not in recorded, entry.name))
    return {entry.name: entry for entry in ordered}


@lru_cache(maxsize=1)
def recorded_names() -> frozenset[str]:
    """Return the models that are answered without torch."""
    return frozenset(question.model for question in library.shipped_questions() if question.mode == "train")


def places() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the providers and the regions that rent anything out, by name."""
    return _places(period())


def hardware() -> Here:
    """Return the hardware database as the command line sees it, read anew every five minutes."""
    return _hardware(period())


@lru_cache(maxsize=1)
def _places(_period: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    offers = hardware().database.offers()
    return tuple(sorted({each.provider for each in offers})), tuple(sorted({each.region for each in offers}))


def period() -> int:
    """Return a number that is another one once devices and prices are to be read anew."""
    return int(time.monotonic() // FRESH_S)


@lru_cache(maxsize=1)
def _hardware(_period: int) -> Here:
    return load_here(needs_own=False)


@lru_cache(maxsize=64)
def _recorded(model: str, request: ProfileRequest) -> ModelProfile:
    found = known(model, request)
    if found is None:
        raise LookupError(model)
    return found


def profiles_of(choice: RunChoice) -> tuple[ModelProfile, ...] | Asked:
    """Return the profiles that answer the choice, in order of preference of precision, as the command line takes them.

    Where one is being counted, that is returned.

    Raises
    ------
    UnknownModel
        a profile is not there and cannot be counted here, or its counting failed
    UsageError
        sizes that the model does not have
    """
    if choice.upload is not None:
        return (_uploaded(choice),)
    found, missing = [], []
    for request in choice.requests():
        try:
            found.append(_recorded(choice.model, request))
        except LookupError:
            missing.append(request)
    return _counted(choice, tuple(missing)) if missing else tuple(found)


def profile_on(choice: RunChoice, device: Device) -> ModelProfile | Asked:
    """Return the profile that a device takes: in the first precision of the choice that it has.

    Raises
    ------
    FlopcastError
        as `profiles_of`, and where the device has no precision of the choice
    """
    found = profiles_of(choice)
    if isinstance(found, Asked):
        return found
    profile = next((each for each in found if device.supports(each.precision)), found[-1])
    device.peak_flops_per_s(profile.precision)
    return profile


@once
def sized(
    profile: ModelProfile, batch_size: int | None, sequence_length: int | None, image_size: int | None
) -> ModelProfile:
    """Return a profile at other sizes, worked out once; None: as it is."""
    return profile.at(batch_size, sequence_length, image_size)


def _uploaded(choice: RunChoice) -> ModelProfile:
    upload = uploads.kept(choice.model)
    if upload is None:
        raise UnknownModel(f"The profile {choice.upload} is no longer kept by this server. Upload it again")
    return sized(upload.profile, None, choice.sequence_length, choice.image_size)


def _counted(choice: RunChoice, missing: tuple[ProfileRequest, ...]) -> Asked:
    if not counting.possible():
        request = missing[0]
        raise UnknownModel(
            f"No profile of {choice.model} in {request.precision} with {request.optimizer} is recorded, and torch, "
            f"which counts it, is not installed here.\nOnce, where torch is: {profile_command(choice.model, request)}"
            "\nThen upload the file."
        )
    running = counting.count(choice.model, missing)
    if running.error is not None:
        raise UnknownModel(f"{choice.model} could not be counted: {running.error}")
    return running


def profile_command(model: str, request: ProfileRequest) -> str:
    """Return the command that records a profile into a file.

    Examples
    --------
    >>> profile_command("gpt2", ProfileRequest(precision="bfloat16"))
    'flopcast profile gpt2 --precision bfloat16 -o gpt2.json'
    """
    words: list[Word] = [
        ("--precision", request.precision),
        ("--optimizer", None if request.optimizer == "adamw" else request.optimizer),
        ("--sequence-length", request.sequence_length),
        ("--image-size", request.image_size),
        ("-o", f"{model}.json"),
    ]
    return command_line("profile", [model], words)


@lru_cache(maxsize=32)
def _works(choice: RunChoice, _period: int) -> tuple[Workload, ...]:
    """Return the workloads of a run of one step; they remember what devices need for it, whatever is asked next."""
    profiles = profiles_of(choice)
    if isinstance(profiles, Asked):
        raise LookupError(choice.model)
    return tuple(Workload(choice.run(profile)) for profile in profiles)


@lru_cache(maxsize=64)
def _of_one_step(choice: RunChoice, market: Market, period: int) -> Estimates:
    works = _works(choice, period)
    asked = market.choice()
    asked["database"] = hardware().database
    survey = Survey.of([work.run for work in works], asked)
    return replace(survey, works=works).estimates()


def estimates(question: Question) -> Estimates | Asked:
    """Return every priced device's answer to the question, cheapest first.

    Raises
    ------
    FlopcastError
        the question has no answer: sizes that do not divide, unknown hardware, no prices
    """
    profiles = profiles_of(question.run)
    if isinstance(profiles, Asked):
        return profiles
    step = question.run.without_amount()
    with _TURNS[hash((step, question.market)) % len(_TURNS)]:
        return _whole_run(question.run, question.market, period())


@lru_cache(maxsize=64)
def _whole_run(choice: RunChoice, market: Market, period: int) -> Estimates:
    """Return the estimates of one step made those of the run: only times, cost and energy depend on its length."""
    step = choice.without_amount()
    lengthened = {work.run.precision: _lengthened(work, choice) for work in _works(step, period)}
    found = _of_one_step(step, market, period)
    rows = tuple(priced(lengthened[row.precision], row.answer, row.rental) for row in found)
    return replace(found, rows=rows, runs=tuple(work.run for work in lengthened.values())).sort("cost")


def _lengthened(work: Workload, choice: RunChoice) -> Workload:
    longer = copy(work)  # shares what is remembered: none of it depends on the number of steps
    longer.run = choice.run(work.run.profile)
    return longer
