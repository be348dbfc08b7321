"""What a training run takes and costs: the public API.

    import estimator as est
    profile = est.profile_model(model, (example_input,))    # any nn.Module; needs torch
    run = est.TrainingRun(profile, tokens=10e9, global_batch_size=512)
    est.estimate_all(run).to_frame()

Every name is loaded when it is first used: `import estimator` alone imports nothing heavy, and torch only comes in
with `profile_model`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from estimator.advice import Advice as Advice
    from estimator.advice import advise as advise
    from estimator.estimates import Estimates as Estimates
    from estimator.forecast import estimate as estimate
    from estimator.forecast import estimate_all as estimate_all
    from estimator.result import Estimate as Estimate
    from estimator.run import TrainingRun as TrainingRun
    from estimator.whole_run import Overheads as Overheads
    from hardware_db import load as hardware
    from hardware_db.errors import FlopcastError as FlopcastError
    from profiles import profile_model as profile_model
    from profiles.model_profile import ModelProfile as ModelProfile

_HOME: Final = {
    "Advice": ("estimator.advice", "Advice"),
    "Estimate": ("estimator.result", "Estimate"),
    "Estimates": ("estimator.estimates", "Estimates"),
    "FlopcastError": ("hardware_db.errors", "FlopcastError"),
    "ModelProfile": ("profiles.model_profile", "ModelProfile"),
    "Overheads": ("estimator.whole_run", "Overheads"),
    "TrainingRun": ("estimator.run", "TrainingRun"),
    "advise": ("estimator.advice", "advise"),
    "estimate": ("estimator.forecast", "estimate"),
    "estimate_all": ("estimator.forecast", "estimate_all"),
    "hardware": ("hardware_db", "load"),
    "profile_model": ("profiles", "profile_model"),
}
"""Public name -> where it lives."""

__all__ = [
    "Advice",
    "Estimate",
    "Estimates",
    "FlopcastError",
    "ModelProfile",
    "Overheads",
    "TrainingRun",
    "advise",
    "estimate",
    "estimate_all",
    "hardware",
    "profile_model",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'estimator' has no attribute {name!r}")
    module, attribute = _HOME[name]
    value = getattr(import_module(module), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
