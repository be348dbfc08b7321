"""A user's own machines: checked by field, laid over the published ones, used by estimate and plan as those are."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from estimator import TrainingRun, estimate
from estimator.cli import main
from estimator.cli.market_options import Market
from estimator.parallel.network import network_of, usual_system
from hardware_db import Database, load
from hardware_db.errors import DataError
from hardware_db.here import load_here
from hardware_db.own import check_own_file
from profiles.recall import profile
from profiles.request import ProfileRequest

OWN = """
[[device]]
id = "acme-x1"
like = "h100-sxm"
name = "Acme X1"
source = "data sheet rev. 3"
date = 2026-11-01
memory = "120GiB"

[[system]]
id = "acme-node"
name = "Acme node"
device = "Acme X1"
devices_per_host = 4
topology = "mesh"
scale_up_bandwidth = "300 GB/s"
scale_out_bandwidth = "12.5 GB/s"
host_cpu = "EPYC 9654"
host_memory = "1024 GiB"
instances = ["acme.4x"]
source = "data sheet rev. 3"
date = 2026-11-01

[[system]]
id = "dgx-h100"
like = "dgx-h100"
scale_out_bandwidth = "25 GB/s"
source = "our rack has half of the cards"
date = 2026-11-02
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "devices.toml"
    path.write_text(OWN)
    return path


def test_an_own_machine_is_a_system_beside_the_published_ones(own: Path) -> None:
    db = load(own)
    node = db.own_system("acme-x1")
    assert node is not None
    assert (node.device, node.devices_per_host, node.scale_up_devices, node.topology) == ("acme-x1", 4, 4, "mesh")
    assert (node.scale_up_bytes_per_s, node.scale_out_bytes_per_s) == (300e9, 12.5e9)
    assert (node.host_cpu, node.host_memory_bytes) == ("epyc-9654", 1024 * 2**30)
    assert node.instances == ("acme-node", "acme.4x") and node.sources == ("data sheet rev. 3",)
    assert len(db.systems) == len(load().systems) + 1, "one is new, one takes the place of a published one"


def test_an_entry_like_a_published_machine_says_only_what_differs(own: Path) -> None:
    mine = {system.id: system for system in load(own).systems}["dgx-h100"]
    published = {system.id: system for system in load().systems}["dgx-h100"]
    assert mine.scale_out_bytes_per_s == 25e9 and published.scale_out_bytes_per_s == 50e9
    assert (mine.device, mine.devices_per_host, mine.scale_up_bytes_per_s) == ("h100-sxm", 8, 450e9)


def test_an_own_machine_is_where_a_device_usually_sits(own: Path) -> None:
    db = load(own)
    for name, bandwidth in (("acme-x1", 12.5e9), ("h100-sxm", 25e9)):
        system = usual_system(db, db.device(name))
        network = network_of(db.device(name), system)
        assert network.outer_bytes_per_s == bandwidth, name
    assert usual_system(load(), load().device("h100-sxm")).id == "dgx-h100"


def test_an_own_price_is_that_of_the_own_machine(own: Path) -> None:
    """Eight devices are two machines of four, with the user's network between them."""
    market = Market(hardware="acme-x1", counts=(8,), prices={"acme-x1": 2.0})
    db = market.choice(load(own))["database"]
    (offer,) = db.offers("acme-x1")
    assert (offer.instance, offer.device_count, offer.usd_per_hour) == ("acme-node", 4, 8.0)
    assert db.system_of(offer).id == "acme-node"
    assert db.device_of(offer).internode_bandwidth_bytes_per_s == 12.5e9


def test_a_slower_network_of_ones_own_makes_the_step_longer(own: Path) -> None:
    run = TrainingRun(profile("gpt2", ProfileRequest(precision="amp_bfloat16")), tokens=10**9, global_batch_size=64)
    fast = estimate(run, "acme-x1", 8, database=load(own))
    own.write_text(OWN.replace('"12.5 GB/s"', '"0.1 GB/s"'))
    slow = estimate(run, "acme-x1", 8, database=load(own))
    assert fast.step_time is not None and slow.step_time is not None
    assert slow.step_time.mid > 1.5 * fast.step_time.mid


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('topology = "mesh"', 'topology = "ring"', "system 'acme-node': topology is 'ring', none of switch, mesh"),
        ('topology = "mesh"', "", "it lacks topology .or like = a system to start from"),
        ("devices_per_host = 4", "devices_per_host = 0", "devices_per_host is 0; it must be at least 1"),
        ('device = "Acme X1"', 'device = "Acme X9"', "system 'acme-node': device: No hardware 'Acme X9'"),
        ('"EPYC 9654"', '"L4"', "host_cpu is 'L4', a gpu. Processors: flopcast hardware --kind cpu"),
        ('"300 GB/s"', '"300 GiB"', "scale_up_bandwidth: '300 GiB' is not a number above 0 with one of the units MB/s"),
        ("scale_out_bandwidth = \"12.5", "network = \"12.5", "network is no field"),
        ('id = "acme-node"', 'id = "dgx-h100"', "system 'dgx-h100': 2 entries have this id"),
        ('like = "dgx-h100"', 'like = "dgx-h9"', "like is 'dgx-h9', no system. There are: .*dgx-h200"),
        ("[[system]]", "[[sistem]]", "is no table of this file. Did you mean system"),
    ],
)  # fmt: skip
def test_each_fault_of_a_machine_is_named(own: Path, old: str, new: str, message: str) -> None:
    own.write_text(OWN.replace(old, new, 1))
    with pytest.raises(DataError, match=message):
        load(own)


def test_all_faults_are_said_at_once(own: Path) -> None:
    broken = '[[device]]\nid = "x"\nmemory = "80"\ntdp = "5"\nkind = "toaster"\nlink_name = 5\n'
    own.write_text(broken + '[[system]]\nid = "n"\ndevice = "nope"\nhost_memory = "lots"\n')
    with pytest.raises(DataError) as caught:
        load(own)
    said = str(caught.value)
    fields = ("memory", "tdp", "kind", "link_name", "source", "date", "device: No", "host_memory", "'n': source")
    assert all(field in said for field in fields)
    assert "more" not in said and len(said.splitlines()) == 1 + int(said.split(" has ")[1].split()[0])


def test_a_long_list_of_faults_ends(own: Path) -> None:
    own.write_text('[[device]]\nid = "x"\n' + "".join(f'field_{n} = "1"\n' for n in range(40)))
    with pytest.raises(DataError, match="and 22 more"):
        load(own)


def test_a_check_holds_machines_against_their_devices(own: Path, tmp_path: Path) -> None:
    found = check_own_file(own, load())
    assert found.faults == () and found.remarks == ("dgx-h100 takes the place of the published dgx-h100",)
    own.write_text(OWN.replace('"300 GB/s"', '"30 TB/s"').replace('"12.5 GB/s"', '"31 TB/s"'))
    faults = check_own_file(own, load()).faults
    assert any("above that of the device's memory" in fault for fault in faults)
    assert any("scale-out bandwidth" in fault for fault in faults)
    own.write_text(OWN.replace('topology = "mesh"', 'topology = "mesh"\nscale_up_devices = 6'))
    assert check_own_file(own, load()).faults == (
        "acme-node: the fast link joins 6 devices, which is no multiple of 4 a host",
    )


def test_published_machines_keep_the_same_rules() -> None:
    from hardware_db.checks import check_systems

    assert check_systems(load().systems, load().devices_by_id) == []


@pytest.fixture
def broken_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    path = tmp_path / "flopcast" / "devices.toml"
    path.parent.mkdir()
    path.write_text("[[device]]\nid = 5\n")
    return path


def test_a_broken_file_stops_only_what_needs_it(broken_default: Path, own: Path) -> None:
    with pytest.raises(DataError, match="Your own devices: ") as caught:
        load_here()
    assert str(broken_default) in str(caught.value) and "--devices FILE" in str(caught.value)
    found = load_here(needs_own=False)
    assert found.database is load() and str(broken_default) in found.warnings[0]
    assert load_here(own).database.device("acme-x1").memory_bytes == 120 * 2**30


def test_short_names_of_precisions_are_known_to_a_device() -> None:
    h100: Database = load()
    device = h100.device("h100-sxm")
    assert device.peak_flops_per_s("bf16") == device.peak_flops_per_s("amp") == 989.4e12
    assert device.supports("fp8") and not device.supports("fp4") and not device.supports("bf61")
    assert device.ridge_point("bf16") == device.ridge_point("bfloat16")


HOPPER = """
[[device]]
id = "acme-h"
name = "Acme H"
kind = "gpu"
vendor = "NVIDIA"
source = "data sheet rev. 3"
date = 2026-11-01
"""


def checked(tmp_path: Path, more: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    path = tmp_path / "own.toml"
    path.write_text(HOPPER + more)
    found = check_own_file(path, load())
    return found.faults, found.unchecked


def test_a_check_finds_a_sparse_peak_in_every_16_bit_format(tmp_path: Path) -> None:
    """132 units x 4096 FLOPs x 1.83 GHz = 989.4 TFLOP/s; data sheets print twice that, with sparsity."""
    card = 'architecture = "hopper"\ncompute_units = "132"\npeak_clock = "1.83 GHz"\n'
    for precision in ("bfloat16", "float16"):
        faults, unchecked = checked(tmp_path, card + f'matrix_peak = {{ {precision} = "1979 TFLOP/s" }}')
        assert len(faults) == 1 and "gives 989.4" in faults[0] and not unchecked
        assert checked(tmp_path, card + f'matrix_peak = {{ {precision} = "989.4 TFLOP/s" }}') == ((), ())


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ("", "architecture not given"),
        ('architecture = "Hoppr"\n', "no rate of architecture 'Hoppr' is known. Did you mean Hopper?"),
        ('architecture = "Hopper"\ncompute_units = "132"\n', "peak_clock not given"),
        ('architecture = "Hopper"\n', "compute_units and peak_clock not given"),
        ('architecture = "Volta"\n', "no such rate of Volta is known"),
    ],
)
def test_a_check_says_which_peaks_it_could_not_hold_against_anything(tmp_path: Path, more: str, why: str) -> None:
    peaks = 'matrix_peak = { bfloat16 = "989 TFLOP/s", float8 = "1979 TFLOP/s" }'
    faults, unchecked = checked(tmp_path, more + peaks)
    assert faults == () and len(unchecked) == 1
    assert unchecked[0].startswith("acme-h: ") and why in unchecked[0]
    assert "matrix_peak bfloat16" in unchecked[0] and "matrix_peak float8" in unchecked[0]
    result = CliRunner().invoke(main, ["hardware", "--check", str(tmp_path / "own.toml")])
    assert result.exit_code == 0 and why in result.output and "every figure passes" not in result.output
