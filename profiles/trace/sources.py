"""Which line of the model's code a call comes from; one of the backward pass belongs to the line of its forward call.

Autograd numbers its nodes in the order of their creation, and makes the node of an operator before it runs it. So it is
enough to remember, at every forward call, how far the numbers have come. Lines of torch, of Python's own library and of
the tracer are passed over: "transformers/models/gpt2/modeling_gpt2.py:231" called what they did.
"""

from __future__ import annotations

import sys
import sysconfig
import traceback
from bisect import bisect_right
from enum import Enum
from functools import lru_cache
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch.autograd.graph import _engine_run_backward

from profiles.trace.places import ACCUMULATE

_TRACER = Path(__file__).resolve().parents[1]
_NETWORKS = _TRACER / "models" / "networks"
_STEP = Path(__file__).resolve().with_name("step.py")
_TORCH = Path(torch.__file__).resolve().parent
_PYTHON = Path(sysconfig.get_path("stdlib")).resolve()
_ENGINE = _engine_run_backward.__code__


class _Kind(Enum):
    """What a file is to the search for a line: the model's own, one to pass over, or the end of the model."""

    MODEL = 1
    PASSED = 2
    END = 3


class Sources:
    """Follows the lines of one step."""

    def __init__(self) -> None:
        self._numbers: list[int] = []
        self._lines: list[str] = []

    def now(self) -> str:
        """Line of the operation that is running, "" where no line of the model called it; to be asked at every call."""
        node = torch._C._current_autograd_node()
        line = _line(sys._getframe(1)) or ("" if node is None else self._line_of(node))
        number = torch._C._autograd._get_sequence_nr()
        if not self._numbers or number > self._numbers[-1]:
            self._numbers.append(number)
            self._lines.append(line)
        return line

    def _line_of(self, node: Any) -> str:
        """Line of the forward call that made an autograd node."""
        number = node._sequence_nr()
        at = bisect_right(self._numbers, number)
        return self._lines[at] if number < ACCUMULATE and at < len(self._lines) else ""


def _line(frame: FrameType | None) -> str:
    """Innermost line of the model's code; "" where the tracer or autograd called torch directly."""
    while frame is not None and frame.f_code is not _ENGINE:
        kind = _kind(frame.f_code.co_filename)
        if kind is _Kind.MODEL:
            return _text(frame.f_code.co_filename, frame.f_lineno)
        if kind is _Kind.END:
            return ""
        frame = frame.f_back
    return ""


def line_of(error: BaseException) -> str:
    """Innermost line of the model's code that an error passed; "" where it passed none."""
    frames = [(frame.f_code.co_filename, line) for frame, line in traceback.walk_tb(error.__traceback__)]
    lines = [_text(name, line) for name, line in frames if _kind(name) is _Kind.MODEL]
    return lines[-1] if lines else ""


@lru_cache(maxsize=1 << 12)
def _kind(name: str) -> _Kind:
    if name.startswith("<"):
        return _Kind.PASSED
    file = Path(name).resolve()
    if file == _STEP:
        return _Kind.END
    installed = {"site-packages", "dist-packages"} & set(file.parts)
    own_library = file.is_relative_to(_PYTHON) and not installed
    tracer = file.is_relative_to(_TRACER) and not file.is_relative_to(_NETWORKS)
    passed = own_library or file.is_relative_to(_TORCH) or tracer
    return _Kind.PASSED if passed else _Kind.MODEL


@lru_cache(maxsize=1 << 15)
def _text(name: str, line: int) -> str:
    return f"{_shown(name)}:{line}"


@lru_cache(maxsize=1 << 12)
def _shown(name: str) -> str:
    """Path of a file as it is imported: without the folder that Python found it in."""
    file = Path(name).resolve()
    folders = {Path(folder).resolve() for folder in (*sys.path, ".")} | {_TRACER.parent}
    found = [file.relative_to(folder).as_posix() for folder in folders if file.is_relative_to(folder)]
    return min(found, key=lambda path: (path.count("/"), path), default=file.name)
