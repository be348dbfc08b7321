"""`lora=8`: fine-tuning by low-rank adapters beside frozen layers (Hu et al. 2021, arXiv 2106.09685).

`lora_targets` says beside which: `all` linear layers of the repeated blocks (Dettmers et al. 2023, QLoRA, arXiv
2305.14314, section 4), or names joined by +, such as `q_proj+v_proj`. Without it: the projections of queries and values
(Hu et al., section 4.2), under the names that the architecture has for them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hardware_db.errors import UsageError
from profiles.models.hf_spec import HuggingFaceSpec

if TYPE_CHECKING:
    import torch

ALL = "all"
# Names of the layers that project to queries and values (alone, else together with keys), by architecture.
_QUERY_AND_VALUE: tuple[tuple[str, ...], ...] = (
    ("q_proj", "v_proj"), ("query", "value"), ("q_lin", "v_lin"), ("q", "v"), ("query_proj", "value_proj"),
    ("c_attn",), ("query_key_value",), ("qkv_proj",), ("Wqkv",), ("qkv",),
)  # fmt: skip


def rank_of(spec: HuggingFaceSpec) -> int | None:
    """Rank of the adapters, None without any. Raises UsageError for what is no rank."""
    rank = spec.run.get("lora")
    if rank is None:
        if "lora_targets" in spec.run:
            raise UsageError("lora_targets needs lora=RANK, for example lora=8")
        return None
    if not isinstance(rank, int) or isinstance(rank, bool) or rank < 1:
        raise UsageError(f"lora={rank!r} is no rank; expected 1 or more, for example lora=8")
    return rank


def note(spec: HuggingFaceSpec) -> tuple[str, ...]:
    """What training means for a model with adapters."""
    rank = rank_of(spec)
    if rank is None:
        return ()
    where = spec.run.get("lora_targets", "queries and values")
    return (f"LoRA: only adapters of rank {rank} are trained ({where}), without dropout; all else is frozen",)


def adapt(model: torch.nn.Module, spec: HuggingFaceSpec) -> torch.nn.Module:
    """Freeze the model and add the adapters asked for; as it is without any.

    Raises UsageError where the model has no layers of the names asked for.
    """
    rank = rank_of(spec)
    if rank is None:
        return model
    from profiles.models.networks import low_rank

    return low_rank.adapt(model, _paths(model, spec.run.get("lora_targets")), rank)


def _paths(model: torch.nn.Module, targets: Any) -> list[str]:
    from profiles.models.networks import low_rank

    linear = [path for path in low_rank.linear_paths(model) if not low_rank.is_head(model, path)]
    if targets == ALL:
        return linear
    names = {path.rpartition(".")[2] for path in linear}
    if targets is None:
        found: tuple[str, ...] = next((pair for pair in _QUERY_AND_VALUE if names.issuperset(pair)), ())
    else:
        found = tuple(str(targets).split("+"))
    missing = [name for name in found if name not in names]
    if missing or not found:
        wanted = ", ".join(missing) or "queries and values"
        raise UsageError(
            f"There is no linear layer for {wanted} to adapt.\n"
            f"lora_targets may be all, or names joined by +: {', '.join(sorted(names)) or 'none'}"
        )
    return [path for path in linear if path.rpartition(".")[2] in found]
