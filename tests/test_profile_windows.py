"""Attention windows: a profile traced on one side of a window answers lengths of that side and refuses the others."""

import json
from dataclasses import dataclass, field
from functools import cache
from types import SimpleNamespace

import pytest
from made_traces import RUNS, SINGLE_RUNS, profile, transformer

from hardware_db.errors import DataError, UsageError
from profiles import library
from profiles.library import Question
from profiles.model_profile import ModelProfile
from profiles.thresholds import held, range_text, sides, thresholds_of
from profiles.trace_record import fit_growth

MISTRAL = (
    "hf:mistral,num_hidden_layers=2,sliding_window=512,hidden_size=256,intermediate_size=512,num_attention_heads=4,"
    "num_key_value_heads=2,vocab_size=1000"
)
FIGURES = ("flops", "matmul_flops", "model_flops", "executed_flops", "bytes_moved", "peak_memory_bytes")


@cache
def traced(length: int) -> ModelProfile:
    """The profile as `flopcast profile --sequence-length` makes it."""
    from profiles.definitions import profile_definition
    from profiles.models import resolve
    from profiles.request import ProfileRequest

    return profile_definition(resolve(MISTRAL), ProfileRequest(sequence_length=length))


def at_once(length: int) -> ModelProfile:
    """The same model traced at this length alone: its step as a trace of one size."""
    from profiles.definitions import StepSettings, start
    from profiles.models import Sizes, resolve
    from profiles.profiling import profile_of
    from profiles.trace_record import fold

    settings = StepSettings("train", "float32", "adamw", "cuda")
    _, climb = start(resolve(MISTRAL), settings, Sizes(1, length, None))
    return profile_of("direct", settings, climb, fold(climb.trace.raw(1, length)))


@pytest.mark.parametrize(("recorded", "asked"), [(128, 64), (128, 480), (2048, 512), (2048, 640), (2048, 1024)])
def test_on_one_side_of_the_window_the_numbers_are_those_of_a_trace_there(recorded: int, asked: int) -> None:
    moved, direct = traced(recorded).at(sequence_length=asked), at_once(asked)
    assert [getattr(moved, name) for name in FIGURES] == [getattr(direct, name) for name in FIGURES]


def test_beyond_the_window_a_mask_is_read_and_the_products_are_more() -> None:
    assert traced(2048).matmul_flops.total == 47_706_013_696


def test_the_other_side_of_the_window_is_refused_with_what_works() -> None:
    with pytest.raises(UsageError, match=r"of at most 511, .*given: 2,048\. .*--sequence-length 2048"):
        traced(128).at(sequence_length=2048)
    with pytest.raises(UsageError, match=r"from 512 up, .*given: 128\. .*--sequence-length 128"):
        traced(2048).at(sequence_length=128)
    assert "holds for sequences of at most 511: its attention has a window" in traced(128).notes


def test_the_range_survives_a_file_and_one_that_leaves_out_its_own_runs_is_refused() -> None:
    again = ModelProfile.from_json(traced(128).to_json())
    assert again == traced(128) and again.trace.recording.lengths == (1, 511)
    document = json.loads(traced(128).to_json())
    document["recordings"][0]["lengths"] = [300, 400]
    with pytest.raises(DataError, match="lengths 300 to 400 leave out"):
        ModelProfile.from_json(json.dumps(document))


def test_a_record_without_a_range_holds_everywhere() -> None:
    document = json.loads(profile().to_json())
    for recording in document["recordings"]:
        del recording["lengths"]
    assert ModelProfile.from_json(json.dumps(document)) == profile()


def test_a_threshold_with_runs_on_both_sides_does_not_matter() -> None:
    trace = fit_growth([transformer(*run) for run in (*RUNS, *SINGLE_RUNS)], [100])
    assert trace.recording.any_length
    assert trace.at(2, 4096).sequence_length == 4096


def test_profiles_of_both_sides_are_kept_beside_each_other(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(library, "cache_folder", lambda: tmp_path)
    question = Question("windowed", "train", "float32", "adamw", "cuda")
    low, high = (fit_growth([transformer(b, s + more) for b, s in RUNS], [300]) for more in (0, 400))
    for trace in (low, high):
        library.keep(question, profile(trace))
    assert library.find(question, 2, 299) == profile(low).at(2, 299)
    assert library.find(question, 2, 4096) == profile(high).at(2, 4096)
    assert library.find(question, 2, 300) is None


@pytest.mark.parametrize(
    ("lengths", "thresholds", "range_"),
    [
        ((65, 225), (), (1, None)),
        ((65, 225), (512,), (1, 511)),
        ((65, 512), (512,), (1, 512)),
        ((65, 513), (512,), (1, None)),
        ((512, 700), (512,), (512, None)),
        ((600, 700), (512, 4096), (513, 4095)),
        ((600,), (512,), (1, None)),
    ],
)
def test_what_is_proven_by_lengths(lengths, thresholds, range_) -> None:
    assert held(lengths, thresholds) == range_


def test_sides_of_a_length() -> None:
    assert list(sides(100, (512, 4096))) == [(1, 511)]
    assert list(sides(600, (512, 4096))) == [(512, 4095), (513, 4095)]
    assert list(sides(512, (128, 512))) == [(512, None), (129, 512)]


def test_ranges_in_words() -> None:
    assert [range_text(each) for each in ((512, None), (1, 511), (512, 4095))] == [
        "from 512 up",
        "of at most 511",
        "from 512 to 4,095",
    ]


@dataclass
class Configuration:
    options: dict[str, object]
    sub_configs: dict[str, object] = field(default_factory=dict)

    def __getattr__(self, name: str) -> object:
        return self.__dict__["options"][name] if name in self.__dict__.get("options", {}) else self._none(name)

    def _none(self, name: str) -> object:
        raise AttributeError(name)

    def to_dict(self) -> dict[str, object]:
        return self.options


def thresholds(configuration: object) -> tuple[int, ...]:
    wrapped = SimpleNamespace(config=configuration)
    return thresholds_of(SimpleNamespace(modules=lambda: iter([SimpleNamespace(), wrapped])))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"sliding_window": 512, "hidden_size": 64}, (512,)),
        ({"sliding_window": None, "use_sliding_window": False, "max_window_layers": 28}, ()),
        ({"attention_chunk_size": 8192, "sliding_window_pattern": 6}, (8192,)),
        ({"attention_window": [32, 64, 64]}, (32, 64)),
        ({"local_attention": 128, "num_local_experts": 8, "norm_topk_prob": True}, (128,)),
        ({"index_topk": 2048}, (2048,)),
        ({"block_size": 64, "num_random_blocks": 3}, (704,)),
        (
            {"text_config": Configuration({"sliding_window": 9}), "vision_config": Configuration({"window_size": 7})},
            (9,),
        ),
    ],
)
def test_windows_are_found_by_the_names_of_options(options, expected) -> None:
    parts = {name: None for name in options if name.endswith("_config")}
    assert thresholds(Configuration(options, parts)) == expected


def test_a_module_without_a_configuration_has_no_thresholds() -> None:
    assert thresholds_of(SimpleNamespace(modules=lambda: iter([SimpleNamespace(config={"sliding_window": 4})]))) == ()
