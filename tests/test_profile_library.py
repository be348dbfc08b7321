"""Profiles that are already there: kept on this machine or shipped, found without torch."""

import subprocess
import sys
from dataclasses import replace

import pytest
from made_traces import profile, transformer

from hardware_db.errors import DataError
from profiles import library, recall
from profiles.library import Question
from profiles.request import ProfileRequest
from profiles.trace_record import fit_growth, fold

PROFILE = profile()
B, S = 8, 1024

QUESTION = Question("invented", "train", "bfloat16", "adamw", "cuda")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(library, "cache_folder", lambda: tmp_path / "profiles")
    return tmp_path / "profiles"


def test_a_kept_profile_is_found_at_any_size(cache):
    assert library.find(QUESTION) is None
    assert library.keep(QUESTION, PROFILE).parent == cache
    assert library.find(QUESTION) == PROFILE
    assert library.find(QUESTION, B, S) == PROFILE.at(B, S)


@pytest.mark.parametrize("field", ["model", "precision", "optimizer", "device", "definition"])
def test_another_question_is_not_answered(cache, field):
    library.keep(QUESTION, PROFILE)
    assert library.find(replace(QUESTION, **{field: "other"})) is None


def test_a_profile_of_one_size_answers_that_size_only(cache):
    single = profile(fold(transformer(2, 64)))
    library.keep(QUESTION, single)
    assert library.find(QUESTION, 2, 64) == single
    assert library.find(QUESTION, 3, 64) is None


def test_a_size_that_a_symbolic_profile_does_not_cover_is_found_beside_it(cache):
    even = [transformer(*run) for run in ((2, 128), (3, 128), (2, 192), (3, 256), (2, 320), (5, 64))]
    library.keep(QUESTION, profile(fit_growth(even)))
    odd = profile(fold(transformer(2, 65)))
    assert library.find(QUESTION, 2, 65) is None
    library.keep(QUESTION, odd)
    assert library.find(QUESTION, 2, 65) == odd


def test_a_new_version_of_what_decides_a_trace_forgets_the_old_profiles(cache, monkeypatch):
    library.keep(QUESTION, PROFILE)
    monkeypatch.setattr(library, "deciding_versions", lambda: [("torch", "99")])
    assert library.find(QUESTION) is None


def test_a_damaged_file_in_the_cache_is_as_good_as_none(cache):
    path = library.keep(QUESTION, PROFILE)
    path.write_bytes(b"damaged")
    assert library.find(QUESTION) is None
    library.keep(QUESTION, PROFILE)
    assert library.find(QUESTION) == PROFILE


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setattr(library, "cache_folder", lambda: tmp_path / "file" / "profiles")
    assert library.keep(QUESTION, PROFILE) is None


def test_shipped_profiles_are_found_by_their_names(cache, tmp_path, monkeypatch):
    folder = tmp_path / "shipped"
    folder.mkdir()
    monkeypatch.setattr(library, "shipped_folder", lambda: folder)
    vision = replace(QUESTION, model="vit-b-16", mode="forward", optimizer=None, image_size=224)
    for question in (QUESTION, vision):
        PROFILE.save(folder / question.file_name)
    assert set(library.shipped_questions()) == {QUESTION, vision}
    assert library.find(vision, 3, 100) == PROFILE.at(3, 100)
    assert library.find(replace(vision, image_size=384)) is None


def test_only_plain_names_are_shipped():
    assert QUESTION.file_name == "invented~train~bfloat16~adamw~cuda~none.json.gz"
    assert replace(QUESTION, model="train.py:build").file_name is None
    assert replace(QUESTION, model="../../etc/passwd").file_name is None
    assert replace(QUESTION, definition="abc").file_name is None
    with pytest.raises(DataError, match="no name of a recorded profile"):
        Question.of_file_name("gpt2.json.gz")


def test_every_shipped_profile_is_sound():
    for question in library.shipped_questions():
        found = library.find(question)
        assert found is not None
        assert (found.model, found.mode, found.precision, found.device) == (
            question.model, question.mode, question.precision, question.device,
        )  # fmt: skip


@pytest.mark.parametrize(("spelling", "name"), [("resnet-50", "resnet50"), ("bert-base-uncased", "bert-base")])
def test_another_spelling_finds_what_is_shipped(cache, spelling, name):
    found = recall.known(spelling, ProfileRequest(precision="amp_bfloat16", batch_size=4))
    assert found is not None and found == recall.known(name, ProfileRequest(precision="amp_bfloat16", batch_size=4))


def test_profiles_are_read_and_shown_without_torch(tmp_path):
    path = tmp_path / "profile.json.gz"
    PROFILE.save(path)
    script = (
        "import sys\n"
        "from profiles import library\n"
        "from profiles.comparison import compare\n"
        "from profiles.model_profile import ModelProfile\n"
        f"profile = ModelProfile.load({str(path)!r}).at(8, 1024)\n"
        "print(profile, compare(profile, profile), profile._repr_html_(), profile.to_frame())\n"
        "library.shipped_questions()\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)
