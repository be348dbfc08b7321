"""Predictions of cases that the fit has not seen: whole devices, sources or families of models left out in turn."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np

from estimator.calibration.fitting import Fit, Observation, Tangent, predicted_seconds
from estimator.timing.corrections import FEWEST_CASES
from estimator.timing.settings import Basis, Floats

FOLDS: Final = {"family": 8}
"""How many groups the members of a kind are left out in; others are left out one by one."""

REFIT_STEPS: Final = 8
SEED: Final = 0


@dataclass(frozen=True, eq=False)
class LeftOut:
    """Predictions of all steps by fits without them: `seconds` and the basis each had, in the order given."""

    seconds: Floats
    basis: tuple[Basis, ...]


def leave_out(
    observations: Sequence[Observation],
    key: Callable[[Observation], str],
    tangent: Tangent,
    folds: int | None = None,
) -> LeftOut:
    """Predict every step by a fit without those of its key; operators of a device go with it.

    One key is left out at a time, or where `folds` is given so many groups of keys in turn.
    """
    members = sorted({key(each) for each in observations if not each.operator})
    groups = min(folds or len(members), len(members))
    fold_of = dict(zip(members, np.random.default_rng(SEED).permutation(len(members)) % groups, strict=True))
    seconds = np.zeros(len(observations))
    basis: list[Basis] = ["datasheet"] * len(observations)
    for fold in range(groups):
        out = [at for at, each in enumerate(observations) if fold_of.get(key(each)) == fold]
        refit = tangent.refit(partial(_outside, fold_of, key, fold), REFIT_STEPS)
        seconds[out] = predicted_seconds(refit, [observations[at] for at in out])
        for at in out:
            basis[at] = basis_of(refit, observations[at])
    return LeftOut(seconds, tuple(basis))


def _outside(
    fold_of: Mapping[str, int], key: Callable[[Observation], str], fold: int, observation: Observation
) -> bool:
    return fold_of.get(key(observation)) != fold


def basis_of(fitted: Fit, observation: Observation) -> Basis:
    """Return what the fit knew of the device of an observation."""
    if fitted.count.get(("device", observation.device), 0) >= FEWEST_CASES:
        return "calibrated"
    return "sibling" if fitted.count.get(("architecture", observation.architecture), 0) else "datasheet"


_PREFIXES: Final = re.compile(r"^(tf_|gluon_|legacy_|swsl_|ssl_|dm_|eca_|ese_|test_)+")


def model_family(model: str) -> str:
    """Return the family of a model: `timm:tf_efficientnet_b0` is efficientnet, `hf:llama,...` is llama.

    Examples
    --------
    >>> model_family("timm:tf_efficientnet_b0"), model_family("hf:llama,num_hidden_layers=2#ForCausalLM")
    ('efficientnet', 'llama')
    """
    _, _, name = model.rpartition(":") if not model.startswith("hf:") else ("", "", model[3:])
    name = re.split(r"[,#/]", _PREFIXES.sub("", name.removeprefix("configs/neusight_")))[0]
    letters = re.match(r"[a-zA-Z]+", name)
    return letters[0].lower() if letters else name
