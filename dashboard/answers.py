"""The estimator's answers for the run in the sidebar, computed once per question and kept."""

from __future__ import annotations

from functools import lru_cache

from dashboard.run_state import RunChoice
from estimator import estimate_all
from estimator.estimates import Estimates
from hardware_db.errors import UnknownModel
from profiles import library
from profiles.model_profile import ModelProfile


@lru_cache(maxsize=1)
def model_names() -> tuple[str, ...]:
    """Return the models whose recorded training profiles came with the package."""
    return tuple(sorted({question.model for question in _questions()}))


@lru_cache(maxsize=1)
def _questions() -> tuple[library.Question, ...]:
    found = library.shipped_questions()
    return tuple(q for q in found if q.mode == "train" and q.optimizer == "adamw" and q.device == "cuda")


@lru_cache(maxsize=256)
def recorded(model: str, precision: str) -> ModelProfile | None:
    """Return the recorded training profile of a model in a precision, None where there is none."""
    question = next((q for q in _questions() if (q.model, q.precision) == (model, precision)), None)
    return library.find(question) if question else None


def profiles_of(choice: RunChoice, uploaded: ModelProfile | None) -> tuple[ModelProfile, ...]:
    """Return the profiles that answer the choice, in order of preference of precision.

    Raises
    ------
    UnknownModel
        there is no profile of this model in these precisions
    """
    if uploaded is not None and uploaded.model == choice.model:
        return (uploaded,)
    found = (recorded(choice.model, precision) for precision in choice.precisions)
    profiles = tuple(profile for profile in found if profile is not None)
    if not profiles:
        raise UnknownModel(
            f"No recorded profile of {choice.model} in {', '.join(choice.precisions)}. "
            f"Record one: flopcast profile {choice.model} -o {choice.model}.json, and upload it here."
        )
    return profiles


@lru_cache(maxsize=64)
def _estimates(
    choice: RunChoice, profiles: tuple[ModelProfile, ...], pricing: str, counts: tuple[int, ...]
) -> Estimates:
    runs = [choice.run(profile) for profile in profiles]
    if counts:
        return estimate_all(runs, pricing=pricing, counts=counts)
    return estimate_all(runs, pricing=pricing)


def estimates(
    choice: RunChoice, uploaded: ModelProfile | None = None, pricing: str = "on_demand", counts: tuple[int, ...] = ()
) -> Estimates:
    """Return every priced device's answer to the run; `counts` empty means the sizes that are offered.

    Raises
    ------
    FlopcastError
        the question has no answer: unknown model, sizes that do not divide, no prices
    """
    return _estimates(choice, profiles_of(choice, uploaded), pricing, counts)
