"""Which models torchvision and timm have, read from their sources: to import either takes seconds.

Both mark the function that makes a model with `@register_model`; the files are searched, never executed.
"""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

_MARKED = r"^@register_model\b.*\n(?:[@ \t)].*\n)*def {name}\("


def has(package: str, name: str) -> bool:
    """Whether an installed package has a model; False where it is not installed.

    >>> has("nosuchpackage", "resnet50")
    False
    """
    found = importlib.util.find_spec(package)
    if found is None or not name.isidentifier():
        return False
    marked = re.compile(_MARKED.format(name=name), re.MULTILINE)
    return any(
        f"def {name}(" in text and marked.search(text)
        for folder in found.submodule_search_locations or ()
        for text in map(_read, sorted(Path(folder, "models").rglob("*.py")))
    )


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")
