"""Is a `.pt2` file data only? Reading an archive of torch.export may otherwise run code a stranger put into it.

Three doors, each closed here before torch opens the file: members that are pickles, compiled libraries
(AOTInductor), and symbolic expressions, which sympy evaluates.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hardware_db.errors import ModelError, UnknownModel

# Numbers, names, quoted names, arithmetic and comparisons: no attribute, no double underscore, no other string.
_EXPRESSION = re.compile(r"^(?!.*__)(?:\d+\.\d+|'\w+'|[\w\s+\-*/%(),<>=!&|~])*$")
_CALL = re.compile(r"(\w+)\s*\(")
# What an expression may call: sympy's numbers and relations, and torch's own integer functions.
_CALLED = frozenset({
    "Symbol", "Integer", "Float", "Rational", "Add", "Mul", "Pow", "Max", "Min", "Mod", "Abs", "Eq", "Ne", "Lt", "Le",
    "Gt", "Ge", "And", "Or", "Not", "Equality", "Unequality", "LessThan", "StrictLessThan", "GreaterThan",
    "StrictGreaterThan", "FloorDiv", "CeilDiv", "CleanDiv", "FloatTrueDiv", "IntTrueDiv", "PythonMod", "PowByNatural",
    "FloatPow", "ModularIndexing", "TruncToInt", "CeilToInt", "FloorToInt", "RoundToInt", "RoundDecimal", "ToFloat",
    "Where", "Identity", "IsNonOverlappingAndDenseIndicator", "BooleanTrue", "BooleanFalse",
})  # fmt: skip


def check_archive(path: Path) -> None:
    """Raise ModelError where the file is no such archive or holds more than data, UnknownModel where it is missing."""
    try:
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                _check_member(archive, name, path.name)
    except FileNotFoundError as error:
        raise UnknownModel(f"There is no file {path}") from error
    except zipfile.BadZipFile as error:
        raise ModelError(f"{path.name} is no torch.export archive; torch.export.save writes one") from error


def _check_member(archive: zipfile.ZipFile, name: str, file: str) -> None:
    if "/aotinductor/" in name or name.endswith((".so", ".o", ".cubin", ".dll")):
        raise ModelError(f"{file} holds compiled code ({name}), which is not run. Save the program: torch.export.save")
    if name.endswith(".json"):
        content = json.loads(archive.read(name))
        for member in _pickled(content):
            _check_pickle(archive, f"{name.rpartition('/')[0]}/{member}", file)
        _check_expressions(content, file)
    elif name.endswith((".pt", ".pkl")):
        _check_pickle(archive, name, file)


def _pickled(content: Any) -> Iterator[str]:
    """Names of the members that a payload configuration says are pickled."""
    entries = content.get("config") if isinstance(content, dict) else None
    for entry in entries.values() if isinstance(entries, dict) else ():
        if isinstance(entry, dict) and entry.get("use_pickle"):
            yield str(entry.get("path_name"))


def _check_pickle(archive: zipfile.ZipFile, name: str, file: str) -> None:
    """Accept a pickle that torch's restricted reader reads: it names nothing but tensors and plain containers."""
    import torch

    try:
        content = archive.read(name)
        if content:
            torch.load(io.BytesIO(content), weights_only=True, map_location="cpu")
    except Exception as error:
        raise ModelError(f"{file} holds a pickled object ({name}), which could run code; it is refused") from error


def _check_expressions(content: Any, file: str) -> None:
    """Refuse a symbolic expression that is more than arithmetic."""
    if isinstance(content, dict):
        for key, value in content.items():
            if key == "expr_str" and not _is_arithmetic(value):
                raise ModelError(f"{file} holds the expression {value!r}, which is no arithmetic; it is refused")
            _check_expressions(value, file)
    elif isinstance(content, list):
        for value in content:
            _check_expressions(value, file)


def _is_arithmetic(expression: Any) -> bool:
    return (
        isinstance(expression, str)
        and _EXPRESSION.match(expression) is not None
        and all(name in _CALLED for name in _CALL.findall(expression))
    )
