"""Shapes of the answers about a model: profile, fit, plan, serve, models."""

from __future__ import annotations

from typing import NotRequired, TypedDict

from estimator.schemas.document import Document
from estimator.schemas.training import GateRow
from estimator.serving.lifetime import Lifetime
from profiles.records import MemoryFootprint, Uncounted


class Settings(TypedDict):
    """The step that was counted; `optimizer` is null for a forward pass."""

    model: str
    mode: str
    precision: str
    optimizer: str | None
    device: str
    batch_size: int
    sequence_length: int | None
    image_size: int | None


class Phases(TypedDict):
    """A quantity by phase, with its sum."""

    forward: float
    backward: float
    optimizer: float
    total: float


class BreakdownRow(TypedDict):
    """Operations that share a module, or a label; modules come as a tree, `level` by level, each before its parts."""

    name: str
    flops: Phases
    bytes_moved: Phases
    calls: int
    counted: NotRequired[bool]
    level: NotRequired[int]
    path: NotRequired[str]
    layers: NotRequired[int]
    parameters: NotRequired[int]
    activation_bytes: NotRequired[int]


class ProfileRow(Settings):
    """One step of a model; one multiply-add is 2 FLOPs. `uncounted` operators have no formula."""

    parameters: int
    trainable_parameters: int
    flops: Phases
    matmul_flops: Phases
    model_flops: Phases
    executed_flops: Phases
    bytes_moved: Phases
    arithmetic_intensity: float | None
    peak_memory_bytes: int | None
    memory: MemoryFootprint | None
    uncounted: list[Uncounted]
    rung: str
    rung_reason: str
    notes: list[str]
    versions: dict[str, str]
    breakdown: list[BreakdownRow]


class ProfileDocument(Document):
    """What a step computes, moves and holds."""

    run: Settings
    results: list[ProfileRow]


class TwoSettings(TypedDict):
    """The steps that are compared."""

    left: Settings
    right: Settings


class QuantityRow(TypedDict):
    """One quantity of both; `change` is (right - left) / left, null where there was nothing."""

    quantity: str
    unit: str
    left: float
    right: float
    change: float | None


class ProfilesDocument(Document):
    """Two models side by side (`--compare`)."""

    run: TwoSettings
    results: list[QuantityRow]


class ProfileGateDocument(Document):
    """A model held against a saved profile (`--baseline`)."""

    run: Settings
    results: list[GateRow]


class Request(TypedDict):
    """What was counted by several tools; null: the model's own."""

    model: str
    batch_size: int | None
    sequence_length: int | None
    image_size: int | None
    mode: str
    precision: str
    optimizer: str
    device: str


class CrossCheckRow(TypedDict):
    """One family of operators: FLOPs by each tool, null where a tool has no figure, and why they differ."""

    family: str
    flopcast: int
    fvcore_x2: int | None
    flop_counter_mode: int | None
    reason: str


class CrossCheckDocument(Document):
    """The forward pass counted by flopcast, fvcore and torch (`--cross-check`); the last row is the sum."""

    run: Request
    results: list[CrossCheckRow]


class FitRun(TypedDict):
    """What is to fit where."""

    model: str
    device: str
    count: int


class WayRow(TypedDict):
    """One change or several that hold less, of training or (the last four names) of writing text."""

    changes: list[str]
    fits: bool
    verdict: str
    probability_out_of_memory: float | None
    memory_bytes: int
    memory_bytes_low: int
    memory_bytes_high: int
    saved_bytes: int
    time_ratio: float | None
    notes: list[str]
    time_ratio_low: NotRequired[float | None]
    time_ratio_high: NotRequired[float | None]
    largest_micro_batch: NotRequired[int | None]
    checkpointed_blocks: NotRequired[dict[str, int]]
    host_offloaded_bytes: NotRequired[int]
    cache_bytes: NotRequired[int]
    weight_bytes: NotRequired[int]
    phase: NotRequired[str]
    most_sequences: NotRequired[int | None]


class FitRow(TypedDict):
    """Whether a step fits (largest_micro_batch ...), or text can be written (`mode`, cache_bytes ...)."""

    model: str
    device: str
    count: int
    precision: str
    fits: bool
    fits_as_it_is: bool
    verdict: str
    probability_out_of_memory: float | None
    memory_bytes: int
    memory_bytes_low: int
    memory_bytes_high: int
    capacity_bytes: int | None
    memory: dict[str, float]
    ways: list[WayRow]
    notes: list[str]
    micro_batch_size: NotRequired[int]
    sequence_length: NotRequired[int | None]
    optimizer: NotRequired[str | None]
    host_bytes: NotRequired[int]
    host_bytes_low: NotRequired[int]
    host_bytes_high: NotRequired[int]
    host_assumptions: NotRequired[list[str]]
    checkpoint_bytes: NotRequired[int]
    sample_bytes: NotRequired[int]
    peak_phase: NotRequired[str]
    peak_module: NotRequired[str]
    largest_micro_batch: NotRequired[int | None]
    longest_sequence: NotRequired[int | None]
    most_layers: NotRequired[int | None]
    mode: NotRequired[str]
    sequences: NotRequired[int]
    context_length: NotRequired[int]
    prompt_length: NotRequired[int]
    cache_bytes: NotRequired[int]
    weight_bytes: NotRequired[int]
    phase: NotRequired[str]
    prefill_bytes: NotRequired[int]
    decode_bytes: NotRequired[int]
    cache_bytes_per_token: NotRequired[float]
    most_sequences: NotRequired[int | None]
    longest_context: NotRequired[int | None]


class FitDocument(Document):
    """Whether it fits, and what would make it fit."""

    run: FitRun
    results: list[FitRow]


class PlanRow(TypedDict):
    """One split of a step; where nothing fits on so many devices, only their number and `why_not`."""

    device_count: int
    why_not: str | None
    data_parallel: NotRequired[int]
    tensor_parallel: NotRequired[int]
    pipeline_parallel: NotRequired[int]
    virtual_pipeline: NotRequired[int]
    context_parallel: NotRequired[int]
    expert_parallel: NotRequired[int]
    zero_stage: NotRequired[int]
    sharding_group: NotRequired[int]
    schedule: NotRequired[str]
    even_stages: NotRequired[bool]
    sequence_parallel: NotRequired[bool]
    activation_checkpointing: NotRequired[str]
    micro_batch_size: NotRequired[int]
    gradient_accumulation_steps: NotRequired[int]
    step_time_s: NotRequired[float]
    step_time_s_low: NotRequired[float]
    step_time_s_high: NotRequired[float]
    slower: NotRequired[float]
    mfu: NotRequired[float]
    peak_memory_bytes: NotRequired[int]
    communication_s: NotRequired[float]
    bound: NotRequired[str]
    parts_s: NotRequired[dict[str, float]]
    stage_layers: NotRequired[list[int]]
    stage_memory_bytes: NotRequired[list[int]]
    basis: NotRequired[str]
    provider: NotRequired[str | None]
    instance: NotRequired[str | None]
    usd_per_hour: NotRequired[float | None]
    usd_per_step: NotRequired[float | None]


class PlanRun(TypedDict):
    """The step that was asked about, and what runs it."""

    model: str
    precision: str
    optimizer: str | None
    sequence_length: int | None
    image_size: int | None
    global_batch_size: int
    device: str
    links: str
    software: str


class PlanDocument(Document):
    """Splits of one number of devices, or the best of each; knees: where more devices stop paying."""

    run: PlanRun
    results: list[PlanRow]
    knee_hours: list[int] | None
    knee_dollars: list[int] | None


class ExportRow(TypedDict):
    """The best plan as the file of a software."""

    format: str
    file: str


class ExportDocument(Document):
    """A plan written out (`--export`)."""

    run: PlanRun
    results: list[ExportRow]


class ServingRow(TypedDict):
    """Predictions, or text (prompt_tokens ...), on one device."""

    device: str
    batch_size: int
    latency_s: float
    latency_s_low: float
    latency_s_high: float
    peak_memory_bytes: int
    fits: bool | None
    precision: str
    basis: str
    provider: str | None
    weight_bits: NotRequired[float | None]
    predictions_per_s: NotRequired[float]
    usd_per_thousand: NotRequired[float | None]
    prompt_tokens: NotRequired[int]
    answer_tokens: NotRequired[int]
    prefill_s: NotRequired[float]
    token_s: NotRequired[float]
    tokens_per_s: NotRequired[float]
    kv_cache_bytes: NotRequired[int]
    usd_per_million_tokens: NotRequired[float | None]


class ServeDocument(Document):
    """What running a trained model takes; `left_out`: device -> why it has no row."""

    run: dict[str, str]
    results: list[ServingRow]
    left_out: dict[str, str]
    lifetime: Lifetime | None


class NamedModelRow(TypedDict):
    """A model that has a name, with its published number of parameters."""

    name: str
    task: str
    parameters: int
    batch_size: int
    sequence_length: int | None
    image_size: int | None
    source: str


class ModelsDocument(Document):
    """Models that have a name."""

    run: dict[str, str]
    results: list[NamedModelRow]
