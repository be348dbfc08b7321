"""Two ways side by side: what they differ by, how likely one is better, and what a change may cost."""

import json

import pytest
from click.testing import CliRunner

from estimator.advice.comparison import Side, compare, exceeded
from estimator.cli import main
from hardware_db.errors import DataError, UsageError


def side(name="a", device="big", count=1, **changes):
    row = {"device": device, "count": count, "provider": "alpha", "usd_per_hour": 2.0, "device_hours": 10.0,
           "energy_kwh": None, "peak_memory_bytes": 1e9}  # fmt: skip
    for quantity, (low, mid, high) in {"run_time_s": (90, 100, 120), "cost_usd": (9, 10, 12)}.items():
        row |= {f"{quantity}_low": low, quantity: mid, f"{quantity}_high": high}
    return Side(name, row | changes)


def test_what_differs_and_how_likely_it_is():
    dear = side("b", device="small", cost_usd_low=18, cost_usd=20, cost_usd_high=24)
    found = compare(side(), dear)
    changes = {each.quantity: each.change for each in found.differences}
    assert changes["cost"] == 1.0 and changes["time"] == 0.0 and changes["energy"] is None
    assert found.chances["cheaper"] > 0.999 and found.chances["faster"] == pytest.approx(0.5)
    assert "greener" not in found.chances and "a is cheaper in 100%" in found.sentence


def test_on_the_same_devices_the_middle_decides():
    # Their ranges overlap, but what makes one slow makes the other slow.
    longer = side("b", run_time_s_low=91, run_time_s=101, run_time_s_high=121)
    assert compare(side(), longer).chances["faster"] == 1.0
    assert compare(longer, side()).chances["faster"] == 0.0
    assert compare(side(), side()).chances["faster"] == 0.5


def test_what_exceeds_its_limit():
    found = compare(side(), side(cost_usd=10.6))
    assert exceeded(found, {"cost": 0.05}) == ("cost",)
    assert exceeded(found, {"cost": 0.06, "time": 0.0}) == ()
    with pytest.raises(UsageError, match="no quantity 'flops'"):
        exceeded(found, {"flops": 0.1})
    with pytest.raises(DataError, match="the energy of a or of a is not known"):
        exceeded(found, {"energy": 0.1})


def flopcast(*words):
    return CliRunner().invoke(main, list(words))


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "base.json"
    done = flopcast("estimate", "gpt2", "--tokens", "1B", "--hardware", "l4", "--json", "-o", str(path))
    assert done.exit_code == 0, done.stderr
    return str(path)


def test_the_gate_is_open_at_the_same_cost_and_shut_above(saved):
    words = ["estimate", "gpt2", "--hardware", "l4", "--baseline", saved]
    same = flopcast(*words, "--tokens", "1B")
    assert same.exit_code == 0 and "Within the limits" in same.stdout and "+0.0 %" in same.stdout
    more = flopcast(*words, "--tokens", "1.1B", "--json")
    rows = {row["quantity"]: row for row in json.loads(more.stdout)["results"]}
    assert more.exit_code == 1 and rows["cost"]["exceeded"] and rows["cost"]["change"] == pytest.approx(0.1, abs=0.01)
    assert flopcast(*words, "--tokens", "1.1B", "--fail-above", "cost=+20%").exit_code == 0
    advice = flopcast("advise", "gpt2", "--tokens", "1B", "--hardware", "l4", "--count", "1", "--baseline", saved)
    assert advice.exit_code == 0 and "Baseline 1× l4" in advice.stdout


def test_what_is_no_baseline_is_refused(tmp_path):
    path = tmp_path / "other.json"
    path.write_text('{"command": "profile", "results": [{}]}')
    words = ("estimate", "gpt2", "--tokens", "1B", "--hardware", "l4")
    assert "is no answer with a run time" in flopcast(*words, "--baseline", str(path)).stderr
    assert "--fail-above needs --baseline" in flopcast(*words, "--fail-above", "cost=+5%").stderr


def test_the_command_compares_devices_models_and_saved_answers(saved):
    found = flopcast("compare", "gpt2@l4=2", saved, "--tokens", "1B", "--json")
    document = json.loads(found.stdout)
    assert found.exit_code == 0 and document["a"]["count"] == 2 and document["b"]["device"] == "l4"
    assert document["chances"]["faster"] > 0.9
    assert flopcast("compare", "gpt2@l4", "gpt2-medium@l4", "--tokens", "1B").exit_code == 0
    assert "after @ comes a device" in flopcast("compare", "gpt2@l4=0", saved, "--tokens", "1B").stderr
    assert flopcast("compare", "gpt2@l4", saved).exit_code == 2
