"""Files that nobody would write, into every reader of a file: taken, or refused in a sentence."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import hardware_db
from estimator.advice.comparison import Side
from estimator.cli.portfolio import read_jobs
from estimator.validation.cases import read_cases
from hardware_db.own import check_own_file
from hardware_db.price_import import read_price_list
from hardware_db.store import Store, open_store
from hardware_db.store_transfer import import_store
from profiles.machine_profile import FittedFigure, Machine, MachineProfile, Timing
from profiles.model_profile import ModelProfile
from profiles.models import hf_spec
from profiles.recall import known
from profiles.request import ProfileRequest
from tests.hostile import changed, damaged, refusal

PRICES = b"""provider,instance,region,device,device_count,pricing,usd_per_hour,as_of,vcpus,cores,memory_gib,note
acme,rack-1,berlin,h100-sxm,8,on_demand,12.50,2026-11-01,96,,384,"a, b"
acme,rack-2,berlin,t4,1,spot,0.20,2026-11-01,,,,
"""
DEVICES = b"""[[device]]
id = "acme-x1"
name = "Acme X1"
kind = "gpu"
vendor = "Acme"
aliases = ["X1 Rev B"]
memory = "80 GB"
memory_bandwidth = "3.35 TB/s"
matrix_peak = { bfloat16 = "700 TFLOP/s" }
source = "data sheet rev. 3"
date = 2026-11-01

[[system]]
id = "acme-8x"
device = "acme-x1"
devices_per_host = 8
topology = "switch"
scale_up_bandwidth = "400 GB/s"
source = "data sheet rev. 3"
date = 2026-11-01
"""
CASES = b"""case_id,model,task,device,precision,micro_batch_size,sequence_length,measured_step_time_s,notes
a,gpt2,train,h100-sxm,bfloat16,8,1024,0.25,
b,resnet50,infer,t4,float32,32,,0.1,"read, twice"
"""
JOBS = b"""name,model,tokens,hardware,deadline
first,gpt2,1B,h100-sxm,3d
second,resnet50,,t4,
"""
ANSWER = json.dumps({
    "command": "estimate",
    "results": [{"device": "t4", "count": 1, "run_time_s": 5.0, "run_time_s_low": 4.0, "run_time_s_high": 6.0,
                 "cost_usd": 2.0, "provider": None}],
}).encode()  # fmt: skip
CONFIG = b'{"model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 64, "rope": {"theta": 1e4}}'
MACHINE = MachineProfile(
    Machine("t4", "Tesla T4", "gpu", units=40.0, versions=(("torch", "2.9"),)),
    "2026-11-20T12:00:00+00:00", "quick", (Timing("matmul float32 8x8x8", "matmul", "float32", (1e-5, 2e-5)),),
    (FittedFigure("launch_s", 1e-5, "s", 0.1, 3),),
).to_json().encode()  # fmt: skip
PROFILE = known("mnist-cnn", ProfileRequest(precision="float32")).to_json().encode()
EXPORT = json.dumps({
    "format": 1,
    "tables": {
        "price_snapshots": [{"id": 1, "taken_at": "2026-11-20T12:00:00+00:00", "source": "x"}],
        "measurements": [{"id": 1, "device": "t4", "value": 1.0, "date": "2026-11-01"}],
    },
}).encode()  # fmt: skip


def compared(path: Path) -> object:
    side = Side.saved(path)
    return side.where, [(side.value(name), side.spread(name)) for name in ("cost", "time")]


@cache
def store_in(folder: Path) -> Store:
    return open_store(f"sqlite:///{folder / 'store.db'}")


def imported(path: Path) -> object:
    return import_store(store_in(path.parent), path)


READERS: dict[str, tuple[str, Callable[[Path], object], bytes]] = {
    "prices": ("x.csv", lambda path: read_price_list(path, hardware_db.load()), PRICES),
    "devices": ("x.toml", lambda path: check_own_file(path, hardware_db.load()), DEVICES),
    "cases": ("x.csv", read_cases, CASES),
    "jobs": ("x.csv", read_jobs, JOBS),
    "answer": ("x.json", compared, ANSWER),
    "configuration": ("x.json", lambda path: hf_spec.parse(path.name, path.parent), CONFIG),
    "machine": ("x.json", MachineProfile.load, MACHINE),
    "profile": ("x.json", ModelProfile.load, PROFILE),
    "packed profile": ("x.json.gz", ModelProfile.load, gzip.compress(PROFILE, mtime=0)),
    "export of a store": ("x.json", imported, EXPORT),
}


def contents(name: str) -> st.SearchStrategy[tuple[str, bytes]]:
    file, _, sound = READERS[name]
    strategy = damaged(sound)
    return st.tuples(st.just(name), strategy | changed(sound) if file.endswith(".json") else strategy)


ANY = st.sampled_from(sorted(READERS)).flatmap(contents)


@pytest.mark.parametrize("examples", [200, pytest.param(10_000, marks=pytest.mark.slow)])
def test_any_file_is_taken_or_refused_in_a_sentence(examples, tmp_path):
    hardware_db.load()

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    @given(ANY)
    def attempt(reader_and_content: tuple[str, bytes]) -> None:
        name, content = reader_and_content
        file, read, _ = READERS[name]
        path = tmp_path / file
        path.write_bytes(content)
        refusal(lambda: read(path))

    attempt()


@pytest.mark.parametrize("name", READERS)
def test_noise_is_refused_by_every_reader(name, tmp_path):
    file, read, sound = READERS[name]
    path = tmp_path / file
    if name != "export of a store":
        path.write_bytes(sound)
        assert refusal(lambda: read(path)) is None
    for noise in (b"\0\xff", b"[" * 100_000, b'{"a":' * 100_000, b'{"a": ' + b"9" * 5000 + b"}", b"\xed\xa0\x80"):
        path.write_bytes(noise)
        assert refusal(lambda: read(path)) is not None, noise[:20]
    path.unlink()
    assert refusal(lambda: read(path)) is not None
