"""What was observed: operations counted, machines timed. Importing this package needs no torch.

from profiles import profile_model

profile = profile_model(model, (inputs,), precision="amp_bfloat16")
profile.flops.total, profile.peak_memory_bytes
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from profiles.model_profile import ModelProfile as ModelProfile
    from profiles.profiling import profile_model as profile_model

_MODULES = {"profile_model": "profiles.profiling", "ModelProfile": "profiles.model_profile"}

__all__ = ["ModelProfile", "profile_model"]


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module 'profiles' has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
