"""Time series, and trajectories of an agent: past values, time features, future values."""

from __future__ import annotations

from typing import Any

from profiles.models.hf_request import Request, first
from profiles.models.tensors import floats, integers, ones


def series_inputs(request: Request) -> dict[str, Any]:
    """Make the inputs a forecaster needs, of the lengths its configuration fixes."""
    config, batch = request.config, request.batch
    if request.main_input == "states":
        return _trajectory(request)
    lags = max(getattr(config, "lags_sequence", None) or [0])
    past = first(getattr(config, "context_length", None), 64) + lags
    future = first(getattr(config, "prediction_length", None), 1)
    channels = first(getattr(config, "num_input_channels", None) or getattr(config, "input_size", None), 1)
    shape = () if lags and channels == 1 else (channels,)
    features = int(getattr(config, "num_time_features", 1))
    if config.model_type.startswith("timesfm"):
        return {"past_values": [floats(past) for _ in range(batch)], "future_values": floats(batch, future)}
    made = {
        "past_values": floats(batch, past, *shape),
        "past_time_features": floats(batch, past, features),
        "past_observed_mask": ones(batch, past, *shape),
        "future_values": floats(batch, future, *shape),
        "future_time_features": floats(batch, future, features),
        "target_values": integers(first(getattr(config, "num_targets", None), 2), batch),
    }
    return {name: value for name, value in made.items() if name in request.names}


def _trajectory(request: Request) -> dict[str, Any]:
    """States, actions, rewards, returns and time steps of an agent (Decision Transformer)."""
    config, batch, steps = request.config, request.batch, 20
    return {
        "states": floats(batch, steps, config.state_dim),
        "actions": floats(batch, steps, config.act_dim),
        "rewards": floats(batch, steps, 1),
        "returns_to_go": floats(batch, steps, 1),
        "timesteps": integers(steps, batch, steps),
        "attention_mask": ones(batch, steps),
    }
