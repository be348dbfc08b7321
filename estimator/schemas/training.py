"""Shapes of the answers about a training run: estimate, advise, compare, portfolio, campaign, buy."""

from __future__ import annotations

from typing import NotRequired, TypedDict

from estimator.advice.buying import Purchase
from estimator.advice.result import Saving
from estimator.campaign.plan import Stage
from estimator.memory.need import MemoryNeed
from estimator.parallel.parallelism import Parallelism
from estimator.ranges import Range
from estimator.schemas.document import Document
from estimator.whole_run.overheads import Overheads


class Run(TypedDict):
    """The run that was asked about; exactly one of tokens, samples, epochs and steps is given."""

    model: str
    parameters: int
    tokens: float | None
    samples: float | None
    epochs: float | None
    steps: float | None
    dataset_size: float | None
    global_batch_size: int
    sequence_length: int | None
    precision: str
    optimizer: str
    micro_batch_size: int | None
    compiled: bool
    channels_last: bool
    mfu: float | None
    split: str | None
    overheads: Overheads | None
    total_steps: int
    total_samples: float
    total_tokens: float | None


class Place(TypedDict):
    """What is rented, and what it costs by the hour; no offer: null."""

    device: str
    device_name: str
    kind: str
    vendor: str
    count: int
    provider: str | None
    instance: str | None
    region: str | None
    pricing: str | None
    instances: int | None
    idle_devices: int | None
    usd_per_hour: float | None
    price_as_of: str | None
    price_source: str | None


class EstimateRow(Place):
    """One device, count and offer; `_low` and `_high` hold 80 % of cases. Without an answer `why_not` says why."""

    step_time_s: float | None
    step_time_s_low: float | None
    step_time_s_high: float | None
    run_time_s: float | None
    run_time_s_low: float | None
    run_time_s_high: float | None
    device_hours: float | None
    device_hours_low: float | None
    device_hours_high: float | None
    cost_usd: float | None
    cost_usd_low: float | None
    cost_usd_high: float | None
    power_w: float | None
    power_w_low: float | None
    power_w_high: float | None
    energy_kwh: float | None
    energy_kwh_low: float | None
    energy_kwh_high: float | None
    run_time_parts_s: dict[str, float | None] | None
    cost_parts_usd: dict[str, float | None] | None
    interruptions: float | None
    precision: str
    micro_batch_size: int | None
    gradient_accumulation_steps: int | None
    peak_memory_bytes: int | None
    memory_bytes: int | None
    fits: bool | None
    memory: MemoryNeed | None
    mfu: float | None
    hfu: float | None
    split: Parallelism | None
    bound: str | None
    seconds_by_bound: dict[str, float] | None
    basis: str | None
    notes: list[str]
    why_not: str | None
    why_not_kind: str | None


class EstimateDocument(Document):
    """What a run takes and costs everywhere; `left_out`: device -> why it has no row."""

    run: Run
    results: list[EstimateRow]
    left_out: dict[str, str]


class GateRow(TypedDict):
    """One quantity held against a saved answer; `limit` is the growth that is allowed, null where none is."""

    quantity: str
    unit: NotRequired[str]
    baseline: float | None
    now: float | None
    change: float | None
    limit: float | None
    exceeded: bool


class GateDocument(Document):
    """The best row beside a saved one (`--baseline`)."""

    run: Run
    results: list[GateRow]


class UnansweredGateDocument(Document):
    """`--baseline` where nothing can run it any more."""

    run: dict[str, str]
    results: list[GateRow]


class Option(EstimateRow):
    """A row with its emissions and the chances that it keeps each limit that was given."""

    co2_kg: float | None
    co2_kg_low: float | None
    co2_kg_high: float | None
    co2_area: str | None
    chances: dict[str, float]


class Neighbour(Option):
    """An option beside the recommendation: in what it is better, what speaks against it, how sure the first is."""

    better: str
    but: str
    chance: float | None


class FreeTier(TypedDict):
    """The run within a free service."""

    service: str
    plan: str
    device: str
    count: int
    run_time_s: float | None
    sessions: int | None
    calendar_days: float | None
    why_not: str


class AdviceRow(TypedDict):
    """The recommendation, what is beside it and what would change it; nothing keeps the limits: `answered` is false."""

    answered: bool
    sentence: str
    recommendation: Option | None
    reasons: list[str]
    risks: list[str]
    neighbours: list[Neighbour]
    savings: list[Saving]
    remedies: list[str]
    frontier: list[Option]
    free_tiers: list[FreeTier]
    considered: int


class AdviceDocument(Document):
    """One recommendation."""

    run: Run
    results: list[AdviceRow]


class DifferenceRow(TypedDict):
    """One quantity of A and of B; `change` is B over A, minus 1."""

    quantity: str
    unit: str
    a: float | None
    b: float | None
    change: float | None


class Sides(TypedDict):
    """Names of what is compared."""

    a: str
    b: str


class CompareDocument(Document):
    """Two ways to run something: their rows and how likely A is the better one."""

    run: Sides
    results: list[DifferenceRow]
    chances: dict[str, float]
    sentence: str
    a: EstimateRow | None
    b: EstimateRow | None


class PortfolioRow(TypedDict):
    """The advice on one job."""

    name: str
    answered: bool
    sentence: str
    device: str | None
    count: int | None
    provider: str | None
    region: str | None
    pricing: str | None
    run_time_s: float | None
    cost_usd: float | None
    cost_usd_low: float | None
    cost_usd_high: float | None


class PortfolioTotal(TypedDict):
    """All jobs together."""

    jobs: int
    answered: int
    cost_usd: float


class PortfolioDocument(Document):
    """The advice on every job of a file."""

    run: dict[str, str]
    results: list[PortfolioRow]
    total: PortfolioTotal


class PlanPlace(TypedDict):
    """What a plan is carried out on."""

    device: str
    count: int
    provider: str | None
    region: str | None
    pricing: str | None


class CampaignDocument(Document):
    """Stages of a plan one after the other, and their sums."""

    run: Run
    results: list[Stage]
    answered: bool
    sentence: str
    place: PlanPlace
    stages: list[Stage]
    wall_s: Range
    device_hours: Range
    cost_usd: Range | None


class NothingDocument(Document):
    """Nothing can run it."""

    run: dict[str, str]
    results: list[str]
    sentence: str


class BuyRow(TypedDict):
    """Buying one device beside its cheapest offer."""

    device: str
    price_usd: float
    price_source: str
    own_usd_per_hour: float
    running_usd_per_hour: float
    rent_usd_per_hour: float
    break_even_month: float | None
    break_even_utilisation: float | None
    buy: bool
    provider: str
    region: str
    pricing: str
    price_as_of: str
    purchase: Purchase


class BuyDocument(Document):
    """Buy or rent."""

    run: dict[str, str]
    results: list[BuyRow]
