"""Schemas from types: closed objects, every field there, units said."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, Final, get_type_hints, is_typeddict

import msgspec

from estimator.cli.output import SCHEMA
from estimator.schemas import data, model, training
from estimator.schemas.data import BenchmarkRow, HardwareRow, OfferRow
from hardware_db.records import Device, Offer
from profiles.machine_profile import MachineProfile

DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"

DOCUMENTS: Final[Mapping[str, Sequence[type]]] = {
    "profile": (
        model.ProfileDocument, model.ProfilesDocument, model.ProfileGateDocument, model.CrossCheckDocument,
    ),
    "benchmark": (
        data.BenchmarkDocument, data.MeasuredMemoryDocument, data.LoaderDocument, data.DoneDocument,
    ),
    "estimate": (training.EstimateDocument, training.GateDocument, training.UnansweredGateDocument),
    "advise": (training.AdviceDocument, training.GateDocument, training.UnansweredGateDocument),
    "compare": (training.CompareDocument,),
    "portfolio": (training.PortfolioDocument,),
    "campaign": (training.CampaignDocument, training.NothingDocument),
    "buy": (training.BuyDocument,),
    "fit": (model.FitDocument,),
    "plan": (model.PlanDocument, model.ExportDocument),
    "serve": (model.ServeDocument,),
    "validate": (data.ValidateDocument,),
    "claims": (data.ClaimsDocument, data.NewcomersDocument),
    "hardware": (data.HardwareDocument, data.HardwareCheckDocument),
    "models": (model.ModelsDocument,),
    "detect": (data.DetectDocument,),
    "prices refresh": (data.RefreshDocument,),
    "prices import": (data.ImportDocument,),
    "prices history": (data.HistoryDocument,),
    **{f"db {each}": (data.StoreDocument,) for each in ("info", "export", "import", "share", "unshare")},
    "doctor": (data.DoctorDocument,),
}  # fmt: skip
"""Command -> the documents that it prints."""

MERGED: Final[Mapping[type, type]] = {HardwareRow: Device, OfferRow: Offer, BenchmarkRow: MachineProfile}
"""Rows that also have all fields of a record."""

UNITS: Final[Mapping[str, str]] = {
    "flops_per_s": "FLOP/s", "bytes_per_s": "bytes per second", "samples_per_s": "samples per second",
    "tokens_per_s": "tokens per second", "predictions_per_s": "predictions per second", "_per_s": "per second",
    "usd_per_hour": "US dollars an hour", "usd_per_kwh": "US dollars a kWh", "usd_per_month": "US dollars a month",
    "_bytes": "bytes", "_usd": "US dollars", "_kwh": "kWh", "_kg": "kilograms of CO2 equivalent", "_hz": "Hz",
    "_w": "watts", "device_hours": "hours of devices", "_s": "seconds",
}  # fmt: skip
"""End of a name -> its unit, the first that fits; ends of a range have the unit of their middle."""


def schemas() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each command and its schema."""
    for command, documents in DOCUMENTS.items():
        yield command, _schema(command, documents)


def _schema(command: str, documents: Sequence[type]) -> dict[str, Any]:
    found, parts = msgspec.json.schema_components([*documents, *MERGED.values()], ref_template="#/$defs/{name}")
    shapes = dict(_types((*documents, *MERGED.values())))
    for name, part in parts.items():
        if part.get("type") == "object" and "properties" in part:
            _close(part, shapes[name])
    for row, record in MERGED.items():
        if row.__name__ in parts:
            _merge(parts[row.__name__], parts[record.__name__])
    for document in documents:
        names = parts[document.__name__]["properties"]
        names |= {"schema": {"const": SCHEMA}, "command": {"const": command}}
    choice = found[: len(documents)]
    body = choice[0] if len(choice) == 1 else {"anyOf": list(choice)}
    used = _used(body, parts)
    title = f"flopcast {command} --json"
    return {"$schema": DRAFT, "title": title, **body, "$defs": {name: parts[name] for name in sorted(used)}}


def _close(part: dict[str, Any], shape: type) -> None:
    """Let an object have these fields alone, and all of them but those that may be missing."""
    if is_dataclass(shape):  # whose defaults are written out too
        part["required"] = list(part["properties"])
    part["additionalProperties"] = False
    part["description"] = part.get("description", "").split("\n\n")[0].replace("\n", " ")
    for name, field in part["properties"].items():
        field.pop("default", None)
        if field.get("format") == "date-time":  # a blank stands where RFC 3339 has a T
            del field["format"]
        middle = name.removesuffix("_low").removesuffix("_high")
        unit = next((unit for end, unit in UNITS.items() if middle.endswith(end)), None)
        if unit is not None and "$ref" not in field:
            field["description"] = unit
    if is_dataclass(shape):
        part["properties"] = {name: _or_null(field) for name, field in part["properties"].items()}


def _or_null(field: dict[str, Any]) -> dict[str, Any]:
    """Let a float of a record be null: JSON has no infinity."""
    return {**field, "type": ["number", "null"]} if field.get("type") == "number" else field


def _merge(row: dict[str, Any], record: dict[str, Any]) -> None:
    own = set(row["properties"])
    row["required"] = [*(name for name in record["required"] if name not in own), *row["required"]]
    row["properties"] = record["properties"] | row["properties"]


def _types(shapes: Sequence[type]) -> Iterator[tuple[str, type]]:
    """Yield every named type that these are made of."""
    seen: set[object] = set()
    left: list[Any] = list(shapes)
    while left:
        each = left.pop()
        if each in seen:
            continue
        seen.add(each)
        left += getattr(each, "__args__", ())
        if is_typeddict(each) or is_dataclass(each):
            yield each.__name__, each
            left += [get_type_hints(each)[name] for name in _names(each)]


def _names(shape: Any) -> list[str]:
    return [item.name for item in fields(shape)] if is_dataclass(shape) else list(shape.__annotations__)


def _used(body: object, parts: Mapping[str, Any]) -> set[str]:
    """Return the names of the parts that a schema refers to, directly or not."""
    found: set[str] = set()
    left = [body]
    while left:
        each = left.pop()
        if isinstance(each, dict):
            name = str(each.get("$ref", "")).rpartition("/")[2]
            if name and name not in found:
                found.add(name)
                left.append(parts[name])
            left += each.values()
        elif isinstance(each, list | tuple):
            left += each
    return found
