"""Print the least versions that pyproject.toml allows, as constraints for pip: `python .ci/lowest.py > lowest.txt`.

What is asked for without a bound, and what others ask for, stays open: pip takes the newest that fits.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

PROJECT = Path(__file__).parents[1] / "pyproject.toml"


def lowest() -> dict[str, str]:
    """Return package -> least version, over the core and all extras."""
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    asked = [*project["dependencies"], *(each for extra in project["optional-dependencies"].values() for each in extra)]
    bounds = (re.fullmatch(r"([A-Za-z0-9_-]+)(?:\[[a-z,]+\])?>=([0-9.a-z]+)", each) for each in asked)
    return {bound[1]: bound[2] for bound in bounds if bound}


if __name__ == "__main__":
    print("\n".join(f"{name}=={version}" for name, version in sorted(lowest().items())))
