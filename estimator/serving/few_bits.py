"""Operations of quantised models: weights of few bits that are unpacked as they are read, or all values in 8 bits."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from estimator.memory.states import layer_parameters
from estimator.timing.work import ELEMENT_BYTES
from hardware_db.errors import UsageError
from profiles.layers import split_path
from profiles.tables import Labels

if TYPE_CHECKING:
    from profiles.model_profile import ModelProfile
    from profiles.tables import OperationTable

BITS: Final = 8
COVERED: Final = 0.8
"""Of the layers' weights, how many plain products must read for their bits to be known: experts' products are not."""

INT8: Final = "int8"


def with_weight_bits(profile: ModelProfile, table: OperationTable, bits: float) -> OperationTable:
    """Return the operations with the weights of the layers read in so many bits, scales included.

    Products still multiply in the precision of the activations: weights are unpacked on the way, at no cost of their
    own, as kernels that are bound by memory do (GPTQ, AWQ, gpt-fast). What lies outside of repeated layers (embeddings,
    the head) keeps its bits.

    Raises
    ------
    UsageError
        most weights are not read by plain products (mixtures of experts), or their width is unknown
    """
    inside = np.array([bool(split_path(name)[1]) for name in table.module.names], dtype=np.bool_)[table.module.codes]
    plain = inside & table.family.mask("matmul") & table.phase.mask("forward") & ~(table.batch > 1)
    weights = np.where(plain, np.nan_to_num(table.k * table.n), 0.0)
    every = layer_parameters(profile)
    if float(weights @ table.count.astype(np.float64)) < COVERED * every:
        raise UsageError(f"weights of few bits are known for dense layers only, which {profile.model} does not have")
    wide = table.precision.map({name: float(size) for name, size in ELEMENT_BYTES.items()})
    if np.isnan(wide[plain]).any():
        raise UsageError(f"products of {profile.model} have a precision whose bytes are unknown. Leave the bits out")
    narrowed = weights * np.maximum(0.0, np.where(plain, wide, 0.0) - bits / BITS)
    saved = np.minimum(narrowed, table.bytes_read.astype(np.float64))
    return replace(table, bytes_read=table.bytes_read - saved.astype(np.int64))


def in_int8(table: OperationTable) -> OperationTable:
    """Return 16-bit operations as a compiler for inference makes them: products in int8, all values one byte."""
    products = table.engine.mask("matrix")
    names = table.precision.values.astype("U16")
    names[products] = INT8
    halved = {name: getattr(table, name) // 2 for name in ("bytes_read", "bytes_written")}
    return replace(table, precision=Labels.of(names.tolist()), **halved)
