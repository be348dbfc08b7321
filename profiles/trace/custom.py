"""Custom operators written in Python: their implementation is run under the tracer, so that its work is counted.

An operator of `torch.library` hides what it does behind its name. If its kernel is Python code (`torch.library.impl`,
`custom_op`), that code is run on the traced tensors. Kernels in C++, CUDA or Triton stay opaque: such an operator needs
a formula (`profiles.formulas.register_formula`), else it is reported as uncounted.
"""

from __future__ import annotations

import re
from functools import lru_cache

import torch
from torch._C import DispatchKey

from profiles.formulas import formula_of
from profiles.trace.calls import operator_name

_BUILT_IN = frozenset({"aten", "prims", "quantized", "mkldnn", "mkldnn_prepacked", "xnnpack", "onednn", "prepacked"})
_KERNEL = re.compile(r"^(\w+)(?:\[alias\])?: registered at (.+?):\d+ :: \(none\) \[ boxed \]$", re.MULTILINE)
_COMPILED = (".cpp", ".cc", ".cxx", ".cu", ".h", ".hpp", ".mm")
_PREFERRED = {"CUDA": DispatchKey.CUDA, "CPU": DispatchKey.CPU, "CompositeExplicitAutograd": DispatchKey.CPU}


def python_kernel(func: torch._ops.OpOverload) -> DispatchKey | None:
    """Key under which the Python implementation of an operator without a formula is found, if it has one."""
    if func.namespace in _BUILT_IN or formula_of(operator_name(func)[0]) is not None:
        return None
    return _python_kernel(func)


@lru_cache(maxsize=1 << 10)
def _python_kernel(func: torch._ops.OpOverload) -> DispatchKey | None:
    dump = torch._C._dispatch_dump(func._name)
    found = {key for key, source in _KERNEL.findall(dump) if not source.endswith(_COMPILED)}
    return next((key for name, key in _PREFERRED.items() if name in found), None)
