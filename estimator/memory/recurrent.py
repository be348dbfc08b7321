"""What recurrent and state-space models keep of a sequence while they write: as much whatever its length.

    mamba      inner x (convolution + state)                                Gu and Dao, 2023, arXiv:2312.00752
    mamba2     (inner + 2 x groups x state) x convolution + heads x width x state     Dao and Gu, 2024, arXiv:2405.21060
    rwkv       2 x hidden + 3 x attention                                   Peng et al., 2023, arXiv:2305.13048

The first term is kept in the model's own precision, the second in float32, as transformers 5.23 keeps them. Read from
the text of the configuration, without transformers; what it does not state is its class's default.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

Options = Mapping[str, Any]

SINGLE_BYTES: Final = 4


@dataclass(frozen=True, slots=True)
class RecurrentState:
    """What equal layers keep of each sequence.

    Attributes
    ----------
    layers
        how many
    elements
        numbers of one layer in the model's own precision
    single_elements
        numbers of one layer in float32
    """

    layers: int
    elements: int
    single_elements: int

    def bytes_of(self, element_bytes: float, tensor_parallel: int = 1) -> float:
        """Return the bytes of one sequence on one of the devices that share its channels."""
        shares = (math.ceil(each / tensor_parallel) for each in (self.elements, self.single_elements))
        own, single = shares
        return self.layers * (own * element_bytes + single * SINGLE_BYTES)


def _mamba(options: Options) -> tuple[int, int]:
    inner = options["expand"] * options["hidden_size"]
    return inner * options["conv_kernel"], inner * options["state_size"]


def _mamba2(options: Options) -> tuple[int, int]:
    convolved = options["expand"] * options["hidden_size"] + 2 * options["n_groups"] * options["state_size"]
    return convolved * options["conv_kernel"], options["num_heads"] * options["head_dim"] * options["state_size"]


def _rwkv(options: Options) -> tuple[int, int]:
    return 2 * options["hidden_size"], 3 * (options.get("attention_hidden_size") or options["hidden_size"])


_MAMBA: Final = {"num_hidden_layers": 32, "hidden_size": 768, "state_size": 16, "expand": 2, "conv_kernel": 4}
_MAMBA2: Final = {
    "num_hidden_layers": 64,
    "hidden_size": 4096,
    "num_heads": 128,
    "head_dim": 64,
    "state_size": 128,
    "n_groups": 8,
    "expand": 2,
    "conv_kernel": 4,
}
_RWKV: Final = {"num_hidden_layers": 32, "hidden_size": 4096}

RULES: Final[Mapping[str, tuple[Callable[[Options], tuple[int, int]], Mapping[str, int]]]] = {
    "mamba": (_mamba, _MAMBA),
    "falcon_mamba": (_mamba, _MAMBA),
    "mamba2": (_mamba2, _MAMBA2),
    "rwkv": (_rwkv, _RWKV),
}
"""Model type -> numbers of one layer (own precision, float32), and the defaults of its class in transformers 5.23."""

MIXED: Final = frozenset({"bamba", "falcon_h1", "granitemoehybrid", "jamba", "kimi_linear", "lfm2", "lfm2_moe",
    "nemotron_h", "olmo_hybrid", "qwen3_5", "qwen3_5_moe", "qwen3_next", "recurrent_gemma", "xlstm", "zamba", "zamba2",
})  # fmt: skip
"""Model types of transformers 5.23 with recurrent layers that are not known here, most beside attention."""


def state_of_sequence(configuration: Options) -> RecurrentState | None:
    """Return what a model keeps of each sequence besides keys and values; None: nothing, or nothing that is known here.

    Parameters
    ----------
    configuration
        options of a Hugging Face configuration, `model_type` among them

    Examples
    --------
    >>> state_of_sequence({"model_type": "mamba", "num_hidden_layers": 24, "hidden_size": 768})
    RecurrentState(layers=24, elements=6144, single_elements=24576)
    """
    rule = RULES.get(str(configuration.get("model_type")))
    if rule is None:
        return None
    formula, defaults = rule
    options = {**defaults, **{name: value for name, value in configuration.items() if value is not None}}
    return RecurrentState(int(options["num_hidden_layers"]), *formula(options))
