"""A profile as JSON: equal after a round trip, refused with a reason where it is damaged or hostile."""

import gzip
import json
import os
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_traces import RUNS, SINGLE_RUNS, operation, profile, spec, transformer

from hardware_db.errors import DataError
from profiles import profile_json
from profiles.model_profile import ModelProfile
from profiles.records import FAMILIES, PHASES
from profiles.trace_record import LiveBytes, RawTrace, fit_growth, fold

PROFILE = profile()
B, S = 8, 1024


words = st.text(max_size=12)
sizes = st.integers(0, 10**15)
dtypes = st.sampled_from(["float32", "bfloat16", "int64"])
tensors = st.builds(spec, st.integers(0, 10**4), st.integers(0, 10**4), dtype=dtypes)
operations = st.builds(
    operation,
    module=st.sampled_from(["", "h.[0-3].attn", "h.0", "h.[0,2].mlp.1", "é.x"]),
    phase=st.sampled_from(PHASES),
    operator=words,
    family=st.sampled_from(FAMILIES),
    engine=st.sampled_from(["matrix", "vector", "none"]),
    precision=words,
    inputs=st.lists(tensors, max_size=3).map(tuple),
    outputs=st.lists(tensors, max_size=2).map(tuple),
    flops=sizes,
    model_flops=sizes,
    executed_flops=sizes,
    bytes_read=sizes,
    bytes_written=sizes,
    dims=st.lists(st.tuples(words, sizes), max_size=3, unique_by=lambda pair: pair[0]).map(tuple),
    counted=st.booleans(),
    recomputed=st.booleans(),
    count=st.integers(1, 9).map(lambda n: 4 * n),
    source=words,
)
moments = st.builds(LiveBytes, st.sampled_from(PHASES), words, *[sizes] * 6)
raws = st.builds(
    RawTrace,
    st.lists(operations, max_size=8),
    st.lists(moments, max_size=8),
    st.integers(1, 10**6),
    st.one_of(st.none(), st.integers(1, 10**6)),
    st.dictionaries(st.sampled_from(["h.0", "h.1", "mlp"]), sizes, max_size=3),
)
profiles = st.builds(
    ModelProfile,
    model=words,
    mode=st.sampled_from(["train", "forward"]),
    precision=words,
    optimizer=st.one_of(st.none(), words),
    device=words,
    parameters=st.just(20),
    trainable_parameters=st.integers(0, 20),
    trace=raws.map(fold),
    module_parameters=st.sampled_from([(), (("h.[0-3]", 8), ("mlp", 12), ("head", 0))]),
    image_size=st.one_of(st.none(), st.integers(1, 4096)),
    sequence_limit=st.one_of(st.none(), st.integers(1, 10**6)),
    rung=st.sampled_from(["meta", "fake", "cpu"]),
    rung_reason=words,
    notes=st.lists(words, max_size=3).map(tuple),
    versions=st.lists(st.tuples(words, words), max_size=3).map(tuple),
)


@settings(deadline=None)
@given(profiles)
def test_a_profile_survives_being_written_and_read(made):
    assert ModelProfile.from_json(made.to_json()) == made


@pytest.mark.parametrize("size", [(2, 96), (1, 77), (B, S)])
def test_a_symbolic_profile_stays_symbolic_and_at_its_size(size):
    again = ModelProfile.from_json(PROFILE.at(*size).to_json())
    assert again == PROFILE.at(*size)
    assert again.at(5, 301).memory == PROFILE.at(5, 301).memory
    assert again.at(1, 301).flops == PROFILE.at(1, 301).flops


def test_a_deep_model_makes_a_small_file():
    deep = profile(
        fit_growth([transformer(*run, layers=126) for run in (*RUNS, *SINGLE_RUNS)]), parameters=1,
        trainable_parameters=1, module_parameters=(),
    )  # fmt: skip
    assert len(gzip.compress(deep.to_json().encode())) < 100_000


def document():
    return json.loads(PROFILE.to_json())


def edited(path, value):
    """The profile's document with one place changed; a value of `del` removes the key."""
    found = document()
    *parents, last = path
    place = found
    for key in parents:
        place = place[key]
    if value is del_:
        del place[last]
    else:
        place[last] = value
    return json.dumps(found)


del_ = object()


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (["parameters"], -1, "Expected `int` >= 0 - at `$.parameters`"),
        (["parameters"], 10**30, "Expected `int` <= 1000000000000000000 - at `$.parameters`"),
        (["parameters"], True, "Expected `int`, got `bool` - at `$.parameters`"),
        (["parameters"], "88576", "Expected `int`, got `str` - at `$.parameters`"),
        (["parameters"], 1.5, "Expected `int`, got `float` - at `$.parameters`"),
        (["parameters"], 5, "88,576 of 5 parameters are trainable"),
        (["module_parameters"], [["h", 7]], "the modules own 7 parameters, the model has 88,576"),
        (["module_parameters"], [["h.[0-1]", 7]], "7 parameters cannot be shared equally"),
        (["model"], del_, "missing required field `model`"),
        (["model"], "x" * 2000, "Expected `str` of length <= 1000 - at `$.model`"),
        (["extra"], 1, "unknown field `extra`"),
        (["mode"], "predict", "Invalid enum value 'predict' - at `$.mode`"),
        (["rung"], "magic", "Invalid enum value 'magic' - at `$.rung`"),
        (["schema"], 2, "has schema 2; this flopcast reads 1"),
        (["schema"], del_, "it has no 'schema'"),
        (["recordings"], [], "Expected `array` of length >= 1 - at `$.recordings`"),
        (["recordings", 0, "runs"], [], "Expected `array` of length >= 1 - at `$.recordings[0].runs`"),
        (["recordings", 0, "runs", 0, 0], 0, "Expected `int` >= 1"),
        (["recordings", 0, "runs", 0, 1], None, "some runs have a sequence length, others none"),
        (["recordings", 0, "tensors", 0, 2], -5, "Expected `int` >= 0"),
        (["recordings", 0, "tensors", 0, 2], 99_999, "row 99999 of sizes is asked for"),
        (["recordings", 0, "operations", 0, 1], [77_777], "row 77777 of tensors is asked for"),
        (["recordings", 0, "operations", 0, 7], 0, "Expected `int` >= 1"),
        (["recordings", 0, "operations", 0, 0, 2], "sideways", "Invalid enum value 'sideways'"),
        (["recordings", 0, "operations", 0, 0, 3], "h.[0-6]", "1 calls cannot be shared equally by 'h.[0-6]'"),
        (["recordings", 0, "sizes", "coefficients", 0], [1], "every polynomial needs"),
        (["recordings", 0, "sizes", "denominators"], [1], "as many rows of coefficients as denominators"),
        (["recordings", 0, "sizes", "denominators", 0], 0, "Expected denominators from 1"),
        (["recordings", 0, "sizes", "monomials", 0], [99, 0, 0], "Expected `int` <= 4"),
        (["recordings", 0, "sizes", "coefficients", 0, 0], -(10**20), "below 0"),
        (["recordings", 0, "sizes", "coefficients", 0, 0], 10**29, "beyond any model"),
        (["recordings", 0, "sizes", "coefficients", 0, 0], 10**31, "Expected coefficients up to 1e+30"),
        (["recordings", 0, "sizes", "extra"], 1, "unknown field `extra`"),
        (["recordings", 0, "moments", 0, 3, 0], 88_888, "row 88888 of moment_sizes"),
        (["recordings", 0, "keepers"], ["a"], "1 keepers, but"),
        (["batch_size"], 0, "Expected `int` >= 1"),
        (["sequence_length"], None, "it has sequence length None, its runs have 96"),
    ],
)
def test_what_contradicts_the_schema_is_refused_by_name(path, value, message):
    with pytest.raises(DataError) as error:
        ModelProfile.from_json(edited(path, value))
    assert message in str(error.value)
    assert len(str(error.value).splitlines()) <= 3


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "3", '"schema"', b"\xff\xfe", "\ud800", "[" * 100_000, "{" * 10_000, pickle.dumps(1)],
)
def test_what_is_no_profile_is_refused(text):
    with pytest.raises(DataError, match="The text is no"):
        ModelProfile.from_json(text)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e400", "1e5"])
def test_numbers_that_are_no_integers_are_refused(number):
    text = PROFILE.to_json().replace(f'"parameters":{PROFILE.parameters}', f'"parameters":{number}', 1)
    assert number in text
    with pytest.raises(DataError):
        ModelProfile.from_json(text)


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_a_damaged_text_is_refused_or_read_but_never_crashes(data):
    text = PROFILE.to_json()
    at = data.draw(st.integers(0, len(text) - 1))
    length = data.draw(st.integers(0, 30))
    damaged = text[:at] + data.draw(st.text(max_size=5)) + text[at + length :]
    try:
        found = ModelProfile.from_json(damaged)
    except DataError:
        return
    assert found.flops.total >= 0


# ------------------------------------------------------------------------------------------------------------- files


@pytest.mark.parametrize("name", ["profile.json", "profile.json.gz"])
def test_a_saved_profile_is_loaded_again(tmp_path, name):
    path = tmp_path / name
    PROFILE.save(path)
    assert ModelProfile.load(path) == PROFILE
    assert ModelProfile.load(str(path)) == PROFILE
    assert [each.name for each in tmp_path.iterdir()] == [name]
    assert path.read_bytes().startswith(b"\x1f\x8b") == name.endswith(".gz")


def test_the_same_profile_makes_the_same_file(tmp_path):
    PROFILE.save(tmp_path / "a.json.gz")
    profile().save(tmp_path / "b.json.gz")
    assert (tmp_path / "a.json.gz").read_bytes() == (tmp_path / "b.json.gz").read_bytes()


def test_a_failed_save_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "profile.json"
    PROFILE.save(path)

    def fail(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(DataError, match=r"cannot be written to .*profile.json: No space left on device"):
        PROFILE.at(3).save(path)
    monkeypatch.undo()
    assert ModelProfile.load(path) == PROFILE
    assert [each.name for each in tmp_path.iterdir()] == ["profile.json"]


def test_a_folder_that_is_missing_is_said(tmp_path):
    with pytest.raises(DataError, match="No such file or directory"):
        PROFILE.save(tmp_path / "missing" / "profile.json")
    with pytest.raises(DataError, match="cannot be read: No such file or directory"):
        ModelProfile.load(tmp_path / "missing.json")


def test_a_damaged_archive_is_refused(tmp_path):
    path = tmp_path / "profile.json.gz"
    PROFILE.save(path)
    whole = path.read_bytes()
    for damaged in (whole[:100], whole[:-4], whole[:60] + b"\x00" * 20 + whole[80:]):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=r"profile.json.gz is"):
            ModelProfile.load(path)


def test_an_archive_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(profile_json, "MOST_BYTES", 1000)
    path = tmp_path / "bomb.json.gz"
    path.write_bytes(gzip.compress(b" " * 10**6))
    with pytest.raises(DataError, match="unpacks to more than"):
        ModelProfile.load(path)
