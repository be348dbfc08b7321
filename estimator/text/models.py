"""The named models as text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from estimator.text.notes import notes
from estimator.text.page import Page
from estimator.text.table import MISSING, Column, Row, table
from hardware_db.units import format_count

if TYPE_CHECKING:
    from profiles.models import ModelName

COLUMNS = (
    Column("MODEL", align="left"),
    Column("TASK", align="left"),
    Column("PARAMETERS"),
    Column("SAMPLE", align="left", drop=2),
    Column("SOURCE", align="left", style="dim", drop=1),
)
OTHERS = (
    "path/to/file.py:function · package.module:function · config.json · hf:llama,num_hidden_layers=16#ForCausalLM · "
    "a saved profile.json"
)


def model_list(page: Page, models: Sequence[ModelName]) -> str:
    """Return one line a name; SAMPLE is what one sample is where nothing else is asked for."""
    rows = [Row([each.name, each.task, format_count(each.parameters), _sample(each), each.source]) for each in models]
    footer = [("Names", str(len(models))), ("Your own", OTHERS), ("Next", f"flopcast profile {models[0].name}")]
    return page.render(*table(COLUMNS, rows, page.width), "", notes(footer))


def _sample(model: ModelName) -> str:
    if model.sequence_length:
        return f"{model.sequence_length:,} tokens"
    return f"{model.image_size}×{model.image_size} pixels" if model.image_size else MISSING
