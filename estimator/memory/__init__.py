"""What one device must hold at the peak of a step, whether it can, and what changes it.

    memory_of(profile, micro_batch, sequence_length, device, settings) -> MemoryNeed
    kv_cache_bytes(profile, batch_size, context_length)                -> bytes of keys and values
    generation_of(profile, Generation(...), device)                    -> GenerationNeed, while text is written

The tensors come from the recorded moments of the step, exact for any size; workspaces, the allocator's excess and the
context from a table of constants (`parameters.csv`), each with a range and a source.
"""

from estimator.memory.advice import remedies, shortage
from estimator.memory.cached_layers import CachedLayers, KvCache
from estimator.memory.generation import Generation, GenerationNeed, generation_of
from estimator.memory.holding import Held, held_at_peak, layers_of
from estimator.memory.host import HostNeed, checkpoint_bytes, dataset_bytes, host_of
from estimator.memory.kv_cache import kv_cache_bytes, kv_cache_of
from estimator.memory.need import MemoryNeed, memory_of, need_of
from estimator.memory.overheads import Overhead, overhead_of
from estimator.memory.parameters import Parameter, parameter, parameter_table
from estimator.memory.replica import Replica, gradient_bytes, settings_of
from estimator.memory.settings import MemorySettings
from estimator.memory.states import Optimizer, optimizer, optimizers

__all__ = [
    "CachedLayers",
    "Generation",
    "GenerationNeed",
    "Held",
    "HostNeed",
    "KvCache",
    "MemoryNeed",
    "MemorySettings",
    "Optimizer",
    "Overhead",
    "Parameter",
    "Replica",
    "checkpoint_bytes",
    "dataset_bytes",
    "generation_of",
    "gradient_bytes",
    "held_at_peak",
    "host_of",
    "kv_cache_bytes",
    "kv_cache_of",
    "layers_of",
    "memory_of",
    "need_of",
    "optimizer",
    "optimizers",
    "overhead_of",
    "parameter",
    "parameter_table",
    "remedies",
    "settings_of",
    "shortage",
]
