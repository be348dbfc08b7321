"""Machine profiles: kept, found again, imported, compared; the command that does it."""

import gzip
import json
from dataclasses import replace

import pytest
from click.testing import CliRunner

from estimator.cli import benchmark, main
from estimator.cli.benchmark_run import time_left_s
from estimator.text.benchmark import benchmark_text, drift_text
from estimator.text.page import Page
from hardware_db import load
from hardware_db.errors import DataError
from profiles.benchmark import library
from profiles.benchmark.drift import drifts, fastest
from profiles.machine_profile import FittedFigure, Machine, MachineProfile, Timing


def timing(name="matmul float32 8x8x8", seconds=(1.0, 1.0, 1.0), family="matmul", **more):
    return Timing(name, family, "float32", seconds, flops=1024, moved_bytes=768, **more)


def profile(*timings, **more):
    machine = Machine("epyc-9654", "AMD EPYC 9654 96-Core Processor", "cpu", "Zen 4", units=2, threads=2)
    fields = {"machine": machine, "recorded_at": "2026-11-20T10:00:00+00:00", "mode": "quick", **more}
    return MachineProfile(timings=timings or (timing(),), **fields)


@pytest.fixture(autouse=True)
def own_store(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setattr(library, "recorded_profiles", lambda: ())


def test_json_keeps_everything():
    whole = profile(timing(note="said"), figures=(FittedFigure("launch.forward", 4e-6, "s", 0.1, 3),), notes=("busy",))
    assert MachineProfile.from_json(whole.to_json()) == whole


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"schema": 9}, "has schema 9; this flopcast reads 1"),
        ({"timings": [{"name": "x", "family": "cooking", "precision": "float32", "seconds": [1]}]}, "no sound machine"),
        ({"timings": [{"name": "x", "family": "matmul", "precision": "float32", "seconds": [-1]}]}, "above 0"),
        ({"surprise": 1}, "MachineProfile has no field 'surprise'"),
        (
            {"machine": {"reported": "x", "kind": "cpu", "device": None, "colour": "red"}},
            "Machine has no field 'colour'",
        ),
        ({"timings": None}, "Expected `array`, got `null`"),
        ({"recorded_at": "yesterday"}, "no sound machine profile"),
    ],
)
def test_broken_profiles_are_refused(change, said):
    document = {**json.loads(profile().to_json()), **change}
    with pytest.raises(DataError, match=said):
        MachineProfile.from_json(json.dumps(document), "box.json")


@pytest.mark.parametrize(
    ("text", "said"), [("{", "is no JSON"), ("[]", "is no machine profile"), ("{}", "is no machine")]
)
def test_other_files_are_refused(text, said):
    with pytest.raises(DataError, match=said):
        MachineProfile.from_json(text, "box.json")


def test_typical_time_is_the_median_of_the_faster_half():
    assert timing(seconds=(5.0, 1.0, 2.0, 9.0, 3.0)).typical_s == 2.0
    assert timing(seconds=(4.0,)).typical_s == 4.0
    assert timing(seconds=(1.0, 9.0)).typical_s == 1.0


def test_names_tell_profiles_apart():
    assert library.name_of(profile()) == "epyc-9654_2-threads_2026-11-20"
    assert library.name_of(profile(complete=False)) == "epyc-9654_2-threads_2026-11-20_part"
    assert library.name_of(profile(left_out=3)) == "epyc-9654_2-threads_2026-11-20_part"
    together = timing("all-reduce of 8 bytes over 4", family="collective", processes=4)
    assert library.name_of(profile(together)) == "epyc-9654_2-threads_4-processes_2026-11-20"
    assert library.device_name(Machine(None, "AMD EPYC (Zen 9)", "cpu")) == "amd-epyc-zen-9"


def test_the_newest_whole_profile_comes_first():
    old, new = profile(), profile(recorded_at="2026-11-21T10:00:00+00:00")
    part = profile(recorded_at="2026-11-22T10:00:00+00:00", complete=False)
    for each in (part, new, old):
        library.keep(each)
    assert library.profiles_of("epyc-9654") == (new, old, part)
    assert library.profiles_of("h100-sxm") == ()


def test_a_short_benchmark_does_not_hide_a_whole_one_nor_a_shipped_one_a_short_one(monkeypatch):
    shipped = profile(recorded_at="2026-01-01T10:00:00+00:00")
    monkeypatch.setattr(library, "recorded_profiles", lambda: (shipped,))
    two, one = (
        profile(timing("a"), timing("b"), left_out=3),
        profile(recorded_at="2026-11-22T10:00:00+00:00", left_out=9),
    )
    for each in (two, one):
        library.keep(each)
    assert library.profiles_of("epyc-9654") == (two, one, shipped)
    library.keep(profile())
    assert library.profiles_of("epyc-9654") == (profile(), two, one, shipped)


def test_collectives_alone_do_not_hide_a_benchmark():
    together = timing("all-reduce of 8 bytes over 4", family="collective", processes=4)
    node = profile(together, recorded_at="2026-11-22T10:00:00+00:00")
    for each in (profile(), node):
        library.keep(each)
    assert library.profiles_of("epyc-9654") == (profile(), node)


def test_one_of_the_same_day_takes_the_place():
    library.keep(profile())
    later = profile(timing(seconds=(2.0,)))
    library.keep(later)
    assert library.profiles_of("epyc-9654") == (later,)


def test_a_profile_is_found_by_what_it_holds():
    launch = FittedFigure("launch.forward", 4e-6, "s", 0.1, 3)
    fitted = profile(figures=(launch,))
    library.keep(profile(recorded_at="2026-11-21T10:00:00+00:00"))
    library.keep(fitted)
    assert library.profile_with("launch.forward", "epyc-9654") == fitted
    assert library.profile_with("launch.forward", "epyc-9654", threads=2) == fitted
    assert library.profile_with("launch.forward", "epyc-9654", threads=8) is None
    assert library.profile_with("launch.view", "epyc-9654") is None


def test_own_profiles_come_before_recorded_ones(monkeypatch):
    recorded = profile(recorded_at="2027-01-01T00:00:00+00:00")
    monkeypatch.setattr(library, "recorded_profiles", lambda: (recorded,))
    library.keep(profile())
    assert library.profiles_of("epyc-9654") == (profile(), recorded)


def test_forgetting_removes_those_of_one_device():
    assert library.forget("epyc-9654") == 0
    library.keep(profile())
    library.keep(replace(profile(), machine=Machine("h100-sxm", "NVIDIA H100", "gpu")))
    assert library.forget("epyc-9654") == 1
    assert [each.machine.device for each in library.profiles_of()] == ["h100-sxm"]


def test_drift_is_the_median_over_a_family():
    then = profile(timing("a"), timing("b"), timing("c"), timing("launch of one operation", family="launch"))
    times = {"a": 1.0, "b": 1.3, "c": 1.2, "launch of one operation": 9.0, "d": 9.0}
    now = profile(*(timing(name, (s,), "launch" if s == 9 else "matmul") for name, s in times.items()))
    (found,) = drifts(now, then)
    assert (found.family, found.cases, found.ratio, found.slower) == ("matmul", 3, 1.2, True)
    assert not drifts(then, then)[0].slower


def test_unlike_machines_are_not_compared():
    card = replace(profile(), machine=Machine("h100-sxm", "NVIDIA H100", "gpu"))
    with pytest.raises(DataError, match="is of a gpu, this machine is a cpu"):
        drifts(profile(), card)
    eight = replace(profile(), machine=replace(profile().machine, threads=8))
    with pytest.raises(DataError, match="threads: 8, this machine is threads: 2"):
        drifts(profile(), eight)
    with pytest.raises(DataError, match="no case in common"):
        drifts(profile(timing("other")), profile())


def test_the_fastest_case_is_rated_by_what_its_family_is_bound_by():
    quick = Timing("quick", "elementwise", "float32", (1.0,), flops=1, moved_bytes=100)
    busy = Timing("busy", "elementwise", "float32", (1.0,), flops=900, moved_bytes=10)
    assert fastest((quick, busy), "elementwise", "float32") == quick
    assert fastest((quick, busy), "matmul", "float32") is None


def run(*words):
    return CliRunner().invoke(main, ["benchmark", *words])


def test_a_profile_from_elsewhere_is_used_and_forgotten(tmp_path):
    file = tmp_path / "box.json"
    whole = profile(figures=(FittedFigure("cache.near_share", 0.5, "share", 0.1, 9),))
    whole.save(file)
    imported = run("--import", str(file))
    assert imported.exit_code == 0
    assert "Kept as epyc-9654_2-threads_2026-11-20; estimates for epyc-9654 now use it." in imported.stdout
    assert library.profiles_of("epyc-9654") == (whole,)
    assert run("--forget", "epyc-9654").stdout == "Removed 1 machine profile of epyc-9654\n"
    assert run("--forget", "epyc-9654").exit_code == 2


def test_a_profile_of_too_little_is_kept_and_said_so(tmp_path):
    file = tmp_path / "box.json"
    profile().save(file)
    said = " ".join(run("--import", str(file)).stdout.split())
    assert "too little was measured for estimates to use it: give it more --seconds" in said


def test_what_is_no_profile_is_not_imported(tmp_path):
    file = tmp_path / "box.json"
    file.write_text("{}", encoding="utf-8")
    refused = run("--import", str(file))
    assert refused.exit_code == 2
    assert "is no machine profile. Make one with: flopcast benchmark -o FILE" in refused.stderr


@pytest.mark.parametrize(("rate", "code"), [(1e12, 0), (1e15, 2)])
def test_a_profile_of_others_that_no_machine_can_reach_is_not_imported(tmp_path, rate, code):
    path = tmp_path / "theirs.json"
    fast = replace(timing("matmul float32 4096x4096x4096"), flops=int(rate))
    profile(fast, figures=(FittedFigure("cache.near_share", 0.5, "share", 0.1, 9),)).save(path)
    done = run("--import", str(path))
    assert done.exit_code == code, done.stderr
    if code:
        assert "matmul float32 4096x4096x4096 ran at 1e+15 FLOP/s" in done.stderr and "epyc-9654" in done.stderr
        assert library.profiles_of("epyc-9654") == ()


def test_what_cannot_be_compared_or_saved_is_refused_before_anything_is_timed(tmp_path, monkeypatch):
    def never(*_):
        raise AssertionError("measured")

    monkeypatch.setattr("profiles.benchmark.session.measure", never)
    broken, card = tmp_path / "broken.json", tmp_path / "card.json"
    broken.write_text("{", encoding="utf-8")
    replace(profile(), machine=Machine("h100-sxm", "NVIDIA H100", "gpu")).save(card)
    for words, said in (
        (("--check", str(broken)), "is no JSON"),
        (("--check", str(card)), "is of a gpu, this machine"),
    ):
        refused = run("--device", "cpu", *words)
        assert refused.exit_code == 2
        assert said in refused.stderr
    monkeypatch.setattr(benchmark, "targets_of", lambda *_: (None, None))
    refused = run("--device", "all", "-o", str(tmp_path / "both.json"))
    assert refused.exit_code == 2
    assert "holds one machine profile, not 2. Name one device: --device" in refused.stderr


def test_another_model_of_machine_is_said():
    other = replace(profile(), machine=replace(profile().machine, reported="Intel Xeon"))
    found = drifts(profile(), other)
    assert "this is another model, AMD EPYC 9654" in drift_text(Page(100), found, profile(), other)
    assert "another" not in drift_text(Page(100), found, profile(), profile())


def test_a_device_that_is_not_there_is_named():
    refused = run("--device", "cuda:7")
    assert refused.exit_code == 2
    assert "--device cuda:7: this torch" in refused.stderr
    assert "Seen here: cpu" in refused.stderr


@pytest.mark.parametrize(("budget", "left"), [(40.0, 15.0), (8.0, 8.0)])
def test_time_left_follows_the_pace_within_the_budget(budget, left):
    assert time_left_s(10, 40, 5.0, budget) == left


def test_recorded_machines_can_be_read():
    from importlib.resources import files

    for path in files("profiles.recorded_machines").iterdir():
        if path.name.endswith(".json.gz"):
            found = MachineProfile.from_json(gzip.decompress(path.read_bytes()), path.name)
            assert found.complete
            assert library.name_of(found) == path.name.removesuffix(".json.gz")


def test_the_table_sets_measured_beside_the_datasheet():
    card = load().device("h100-sxm")
    product = Timing("matmul bfloat16 8192x8192x8192 nn", "matmul", "bfloat16", (2e-3,), flops=2 * 8192**3)
    copied = Timing("memory copy 4096 MiB", "copy", "float32", (3e-3,), moved_bytes=2 * 4096 * 2**20)
    launch = Timing("launch of one operation", "launch", "float32", (4e-6,))
    machine = Machine(
        "h100-sxm", "NVIDIA H100 80GB HBM3", "gpu", "Hopper", driver="580.1", versions=(("torch", "2.13"),)
    )
    text = benchmark_text(Page(120), profile(product, copied, launch, machine=machine), card, [("Note", "busy")])
    lines = text.splitlines()
    assert lines[0] == "NVIDIA H100 80GB HBM3 (h100-sxm) · driver 580.1 · torch 2.13 · quick: 3 cases"
    (found,) = [line.split() for line in lines if line.startswith("matmul bfloat16")]
    peak = card.peak_flops_per_s("bfloat16")
    assert found[2:4] == ["550", "TFLOP/s"]
    assert found[5] == f"{peak / 1e12:.0f}"
    assert found[7] == f"{100 * 2 * 8192**3 / 2e-3 / peak:.0f}"
    assert any(line.startswith("copy float32") and "2.86 TB/s" in line for line in lines)
    assert any(line.startswith("launch of one operation") and "4.00 us" in line for line in lines)
    assert lines[-1].split() == ["Note", "busy"]
