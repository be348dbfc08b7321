"""Write the schema of every command into this folder: `python -m estimator.schemas`."""

from __future__ import annotations

import json
from pathlib import Path

from estimator.schemas import file_of
from estimator.schemas.build import schemas

if __name__ == "__main__":
    for command, schema in schemas():
        text = json.dumps(schema, indent=1, ensure_ascii=False) + "\n"
        Path(__file__).with_name(file_of(command)).write_text(text, encoding="utf-8")
