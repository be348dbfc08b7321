"""What the database answers: offers, the rented part of a CPU, a user's own devices."""

import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

import hardware_db
from hardware_db import Database, load, load_here
from hardware_db.database import CURRENT_KINDS, CURRENT_SINCE
from hardware_db.errors import DataError, UnknownDevice, UnknownPrecision, UsageError
from hardware_db.frames import figures_frame
from hardware_db.own import Own, check_own_file


@pytest.fixture(scope="module")
def db() -> Database:
    return load()


def test_offers_are_current_whole_machines_and_the_cheapest_comes_first(db: Database) -> None:
    offers = db.offers("h100-sxm")
    assert len(offers) > 50
    assert all(offer.as_of >= CURRENT_SINCE and offer.kind in CURRENT_KINDS for offer in offers)
    prices = [offer.usd_per_device_hour for offer in offers]
    assert prices == sorted(prices)


def test_history_adds_old_prices_and_market_bids(db: Database) -> None:
    everything = db.offers(history=True)
    assert len(everything) == len(db.all_offers)
    assert min(offer.as_of for offer in everything) < CURRENT_SINCE
    assert any(offer.kind == "marketplace" for offer in everything)


def test_offers_filter_by_exact_provider_region_and_pricing(db: Database) -> None:
    offers = db.offers(device="NVIDIA H100 80GB HBM3", provider="aws", region="us-east-1", pricing="on-demand")
    assert {(o.device, o.provider, o.region, o.pricing) for o in offers} == {
        ("h100-sxm", "aws", "us-east-1", "on_demand")
    }
    assert db.offers(provider="a") == ()


def test_an_unknown_pricing_or_device_is_a_mistake(db: Database) -> None:
    with pytest.raises(UsageError, match="'cheap' is no pricing"):
        db.offers(pricing="cheap")
    with pytest.raises(UnknownDevice):
        db.offers("h1000")


def test_nobody_gets_a_whole_socket_for_the_price_of_eight_vcpus(db: Database) -> None:
    """c7a.2xlarge has 8 vCPUs of Zen 4, one per core: 8 of the 96 cores of the socket in the table."""
    offer = next(o for o in db.offers(provider="aws") if o.instance == "c7a.2xlarge")
    part, socket = db.device_of(offer), db.device("epyc-9654")
    assert (offer.vcpus, offer.cores, socket.compute_units) == (8, 8, 96)
    assert part.compute_units == 8
    assert part.vector_peaks["float32"] == pytest.approx(socket.vector_peaks["float32"] * 8 / 96)
    assert part.memory_bandwidth_bytes_per_s == pytest.approx(socket.memory_bandwidth_bytes_per_s * 8 / 96)
    assert part.memory_bytes == offer.memory_bytes == 16 * 2**30


def test_two_vcpus_are_one_core_where_threads_share_it(db: Database) -> None:
    offer = next(o for o in db.offers(provider="aws") if o.instance == "c6i.2xlarge")
    assert (offer.vcpus, offer.cores) == (8, 4)
    assert db.device_of(offer).compute_units == 4


def test_every_cpu_offer_is_scaled_to_its_cores(db: Database) -> None:
    for offer in db.offers():
        if db.devices_by_id[offer.device].kind == "cpu":
            assert offer.cores is not None and offer.vcpus is not None
            assert offer.cores in (offer.vcpus, offer.vcpus / 2)
            assert db.device_of(offer).compute_units == pytest.approx(offer.cores)


def test_an_accelerator_is_rented_whole(db: Database) -> None:
    offer = next(o for o in db.offers("rtx-4090") if db.system_of(o) is None)
    assert db.device_of(offer) is db.device("rtx-4090")


def test_the_same_device_has_another_network_in_another_machine(db: Database) -> None:
    """The A100 of a DGX has 25 GB/s to other hosts, that of a p4d 400 Gb/s over eight of them."""
    offer = next(o for o in db.offers("a100-sxm-40gb", provider="aws") if o.instance == "p4d.24xlarge")
    assert db.device("a100-sxm-40gb").internode_bandwidth_bytes_per_s == 25e9
    assert db.device_of(offer).internode_bandwidth_bytes_per_s == 6.25e9
    system = db.system_of(offer)
    assert system is not None and (system.devices_per_host, system.topology) == (8, "switch")


def test_systems_name_devices_and_instances_that_exist(db: Database) -> None:
    instances = [instance for system in db.systems for instance in system.instances]
    assert len(instances) == len(set(instances))
    offered = {offer.instance: offer.device for offer in db.all_offers}
    for system in db.systems:
        assert system.device in db.devices_by_id
        assert system.devices_per_host <= system.scale_up_devices
        assert not system.host_cpu or db.device(system.host_cpu).kind == "cpu"
        for instance in system.instances:
            assert offered.get(instance, system.device) == system.device, instance
    racks = {system.id: system.scale_up_devices for system in db.systems}
    assert racks["gb200-nvl72"] == 72 and racks["tpu-v5e-pod"] == 256


def test_a_package_of_two_dies_has_two_logical_devices(db: Database) -> None:
    package = db.device("mi250x")
    die = package.logical_device()
    assert package.logical_devices == 2
    assert die.matrix_peaks["bfloat16"] == pytest.approx(191.5e12)
    assert die.memory_bytes == 64 * 2**30
    assert die.logical_device() is die


def test_unknown_stays_unknown(db: Database) -> None:
    with pytest.raises(UnknownPrecision, match=r"v100-sxm2-16gb has no bfloat16\. It has float16, float64, float32"):
        db.device("v100-sxm2-16gb").peak_flops_per_s("bf16".replace("bf16", "bfloat16"))
    with pytest.raises(UnknownPrecision, match=r"gaudi-1 has no bfloat16\. It has no published peak at all"):
        db.device("gaudi-1").peak_flops_per_s("bfloat16")
    assert db.device("gaudi-1").launch_price_usd is None
    assert db.device("v100-sxm2-16gb").supports("amp_float16")
    assert not db.device("v100-sxm2-16gb").supports("amp_bfloat16")


def test_a_device_prints_its_ridge_point(db: Database) -> None:
    assert db.device("a100-sxm-80gb").ridge_point("bfloat16") == pytest.approx(312e12 / 2039e9)
    assert db.device("hailo-8").ridge_point("int8") is None


def test_usable_memory_is_what_the_driver_reports(db: Database) -> None:
    assert db.device("l40s").usable_memory_bytes == 46068 * 2**20
    assert db.device("h100-sxm").usable_memory_bytes == 80 * 2**30


def test_devices_are_hashable_and_equal_by_what_they_say(db: Database) -> None:
    half = db.device("mi250x").fraction(0.5)
    assert half == db.device("mi250x").fraction(0.5)
    assert hash(half) == hash(db.device("mi250x").fraction(0.5))
    assert half != db.device("mi250x")


def test_frames(db: Database) -> None:
    devices, offers, figures = db.devices_frame(), db.offers_frame(), figures_frame(db)
    assert len(devices) == len(db.devices()) and len(offers) == len(db.offers())
    assert len(figures) == sum(len(device.figures) for device in db.devices())
    assert devices.set_index("id").loc["h100-sxm", "matrix_bfloat16_flops_per_s"] == 989.4e12
    assert offers["usd_per_device_hour"].gt(0).all()


OWN = """
[[device]]
id = "acme-x1"
name = "Acme X1"
kind = "npu"
vendor = "Acme"
source = "data sheet rev. 3"
date = 2026-11-01
aliases = ["Acme X1 Rev B"]
memory = "80 GiB"
memory_bandwidth = "3.35 TB/s"
devices_per_host = 8
matrix_peak = { bf16 = "700 TFLOP/s" }
vector_peak = { float32 = "60 TFLOP/s" }

[[device]]
id = "h100-sxm"
like = "h100-sxm"
source = "measured in our rack"
date = 2026-11-02
basis = "measured"
tdp = "500 W"
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "devices.toml"
    path.write_text(OWN)
    return path


def test_own_devices_lie_over_the_published_ones(own: Path, db: Database) -> None:
    mine = load(own)
    device = mine.device("acme x1 rev b")
    assert device.id == "acme-x1" and device.peak_flops_per_s("bfloat16") == 700e12
    assert device.memory_bytes == 80 * 2**30 and device.devices_per_host == 8
    assert device.figures[0].sources == ("data sheet rev. 3",) and device.figures[0].retrieved == date(2026, 11, 1)
    capped = mine.device("h100-sxm")
    assert capped.tdp_w == 500 and capped.memory_bytes == db.device("h100-sxm").memory_bytes
    assert db.device("h100-sxm").tdp_w == 700


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('memory = "80 GiB"', 'memory = "80 GB/s"', "acme-x1.*80 GB/s"),
        ('memory = "80 GiB"', 'memori = "80 GiB"', "memori is no field. Did you mean memory"),
        ('memory = "80 GiB"', 'memory = "1e400 GiB"', "1e400 GiB' is not a number above 0"),
        ('memory = "80 GiB"', "memory = 80", "memory: '80' is not a number above 0 with one of the units MB, GB"),
        ('matrix_peak = { bf16 = "700 TFLOP/s" }', "matrix_peak = 700", "matrix_peak is 700, not a peak by precision"),
        ('{ bf16 = "700 TFLOP/s" }', '{ bf16 = "7 TFLOP/s", bfloat16 = "8 TFLOP/s" }', "bfloat16 is given twice"),
        ("devices_per_host = 8", 'logical_devices = "two"', "logical_devices is 'two', not a whole number"),
        ('id = "h100-sxm"', 'id = "acme-x1"', "device 'acme-x1': 2 entries have this id"),
        ('kind = "npu"', 'kind = "spaceship"', "acme-x1.*kind is 'spaceship', none of cpu, gpu, tpu, npu, fpga"),
        ('kind = "npu"', "", "lacks kind"),
        ("bf16", "bf61", "bf61.*no precision"),
        ('source = "data sheet rev. 3"', "", "source is missing. Try source = "),
        ("date = 2026-11-01", 'date = "someday"', "date is 'someday', not a date. Try date = 2026-11-01"),
        ('like = "h100-sxm"', 'like = "h1000"', "No hardware 'h1000'"),
        ('id = "acme-x1"', 'id = "Acme X1"', "id is 'Acme X1'; it may have small letters"),
        ("[[device]]", "[[device", "cannot be read"),
        ("[[device]]", "[device]", "device"),
    ],
)
def test_each_fault_of_an_own_file_is_named(own: Path, old: str, new: str, message: str) -> None:
    own.write_text(OWN.replace(old, new, 1))
    with pytest.raises(DataError, match=message) as caught:
        load(own)
    assert str(own) in str(caught.value) and len(str(caught.value).splitlines()) <= 3


def test_a_single_table_is_explained(own: Path) -> None:
    own.write_text('[device]\nid = "x"\n')
    with pytest.raises(DataError, match=r"a device begins with \[\[device\]\]"):
        load(own)


def test_a_missing_own_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        load(tmp_path / "none.toml")


def test_a_check_names_figures_that_cannot_be_true(own: Path, db: Database) -> None:
    found = check_own_file(own, db)
    assert ([device.id for device in found.own.devices], found.faults) == (["acme-x1", "h100-sxm"], ())
    assert found.remarks == ("h100-sxm takes the place of the published h100-sxm",)
    own.write_text(OWN.replace('"700 TFLOP/s"', '"7000 TFLOP/s"'))
    assert check_own_file(own, db).faults == ("acme-x1: ridge point 2.09e+03 FLOP/byte",)
    own.write_text(OWN.replace('["Acme X1 Rev B"]', '["NVIDIA L4"]'))
    assert check_own_file(own, db).faults == ("acme-x1: the name 'NVIDIA L4' is that of l4",)
    own.write_text("")
    found = check_own_file(own, db)
    assert found.own == Own() and "nothing in it" in found.faults[0]


def test_a_rack_and_a_slice_are_systems_of_their_offers(db: Database) -> None:
    """The fast link joins 72 devices of a rack, though its machine has four, and a whole TPU slice of several hosts."""
    rack = db.offers("gb200")[0]
    system = db.system_of(rack)
    assert system is not None
    assert (rack.device_count, system.devices_per_host, system.scale_up_devices) == (4, 4, 72)
    assert db.device_of(rack).internode_bandwidth_bytes_per_s == 50e9
    for offer in db.offers():
        if offer.kind == "tpu":
            pod = db.system_of(offer)
            assert pod is not None and pod.device == offer.device, offer
            assert offer.device_count <= pod.scale_up_devices


def test_the_price_of_a_whole_device(db: Database) -> None:
    part = next(offer for offer in db.offers("epyc-9654") if offer.cores == 4)
    assert db.usd_per_whole_device_hour(part) == pytest.approx(part.usd_per_hour * 96 / 4)
    box = next(offer for offer in db.offers("h100-sxm") if offer.device_count == 8)
    assert db.usd_per_whole_device_hour(box) == box.usd_per_hour / 8


def test_what_only_runs_trained_models_says_so(db: Database) -> None:
    inference = {device.id for device in db.devices() if device.use == "inference"}
    assert {"inferentia1", "inferentia2", "groq-lpu-v1", "coral-edge-tpu", "hailo-8"} <= inference
    assert not inference & {"trainium1", "h100-sxm", "tpu-v5e", "gaudi-2", "l4", "jetson-agx-orin-64gb"}


def test_a_file_of_own_devices_may_be_named_by_a_text(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text('[[device]]\nid = "acme-x1"\nlike = "h100-sxm"\nsource = "x"\ndate = 2026-11-01\n')
    assert load(str(path)).device("acme-x1") == load(path).device("acme-x1")
    assert load_here(str(path)).database.device("acme-x1").id == "acme-x1"


def test_what_the_command_sees_is_imported_when_it_is_asked_for() -> None:
    code = (
        "import hardware_db, sys; assert 'hardware_db.here' not in sys.modules; print(hardware_db.load_here.__module__)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.strip() == "hardware_db.here"
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        hardware_db.nothing  # noqa: B018


@pytest.mark.parametrize("name", [None, 100, b"t4"])
def test_a_name_that_is_no_text_is_a_mistake(db: Database, name: object) -> None:
    with pytest.raises(UsageError, match="asked for by its name, not by"):
        db.device(name)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="asked for by its name, not by"):
        db.match(name)  # type: ignore[arg-type]
