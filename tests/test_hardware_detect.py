"""Which row a machine is: real driver answers, tie-breaks, slices, hidden names, and cards nobody published."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from hardware_db import Database, load
from hardware_db.detect import card_of_torch, detect, may_have_card, parse_nvidia_smi, pci_tpus
from hardware_db.detect_card import CardFacts, match_card
from hardware_db.detect_cpu import CpuFacts, architecture_of, match_cpu, parse_cpuinfo, usable_cores

MIB, GIB = 2**20, 2**30


@pytest.fixture(scope="module")
def db() -> Database:
    return load()


@pytest.mark.parametrize(
    ("card", "id", "basis"),
    [
        (CardFacts("NVIDIA H100 80GB HBM3", 81559 * MIB, power_limit_w=700), "h100-sxm", "name"),
        (CardFacts("NVIDIA H100 PCIe", 81559 * MIB, power_limit_w=350), "h100-pcie", "name"),
        (CardFacts("Tesla T4", 15360 * MIB, 40, 70, "7.5"), "t4", "name"),
        (CardFacts("NVIDIA A10G", 23028 * MIB, power_limit_w=300), "a10g", "name"),
        (CardFacts("NVIDIA A10", 23028 * MIB, power_limit_w=150), "a10", "name"),
        (CardFacts("NVIDIA A100-SXM4-40GB", 40339 * MIB, 108), "a100-sxm-40gb", "name"),
        (CardFacts("NVIDIA L40S", 46068 * MIB, 142), "l40s", "name"),
        (CardFacts("NVIDIA B300", 275040 * MIB), "b300-sxm", "name"),
        (CardFacts("NVIDIA GeForce RTX 3060", 12288 * MIB, 28), "rtx-3060-12gb", "tie-break"),
        (CardFacts("NVIDIA GeForce RTX 3060", 8192 * MIB, 28), "rtx-3060-8gb", "tie-break"),
        (CardFacts("NVIDIA GeForce RTX 3080", 10240 * MIB), "rtx-3080-10gb", "tie-break"),
        (CardFacts("NVIDIA GeForce RTX 3080", 12288 * MIB), "rtx-3080-12gb", "tie-break"),
        (CardFacts("NVIDIA GeForce RTX 4060 Ti", 16380 * MIB), "rtx-4060-ti-16gb", "tie-break"),
        (CardFacts("Orin", 61 * GIB, 16), "jetson-agx-orin-64gb", "tie-break"),
        (CardFacts("AMD Instinct MI300X", 192 * GIB, 304, capability="gfx942"), "mi300x", "name"),
        (CardFacts("AMD Radeon Graphics", 192 * GIB, 304, capability="gfx942"), "mi300x", "architecture"),
        (CardFacts("AMD Radeon Graphics", 256 * GIB, 304, capability="gfx942"), "mi325x", "architecture"),
        (CardFacts("AMD Radeon Graphics", 128 * GIB, 228, capability="gfx942"), "mi300a", "architecture"),
        (CardFacts("AMD Instinct MI250X/MI250", 64 * GIB, 104, capability="gfx90a"), "mi250", "tie-break"),
        (CardFacts("AMD Instinct MI250X / MI250", 64 * GIB, 110, capability="gfx90a"), "mi250x", "tie-break"),
        (CardFacts("NVIDIA GB200", 189471 * MIB, 152), "gb200", "name"),
        (CardFacts("NVIDIA GB300", 284208 * MIB, 152), "gb300", "name"),
        (CardFacts("NVIDIA GH200 120GB", 97871 * MIB, 132), "gh200-96gb", "name"),
        (CardFacts("TPU v5 lite"), "tpu-v5e", "name"),
        (CardFacts("Apple M2 Max"), "apple-m2-max", "name"),
    ],
)
def test_a_card_is_its_row(db: Database, card: CardFacts, id: str, basis: str) -> None:
    found = match_card(db, card)
    assert found.device is not None, found.note
    assert (found.device.id, found.basis) == (id, basis)


def test_a_die_of_a_package_is_half_of_the_row(db: Database) -> None:
    found = match_card(db, CardFacts("AMD Instinct MI250X", 64 * GIB, 110, capability="gfx90a"))
    assert found.device is not None and found.device.id == "mi250x"
    assert found.device.matrix_peaks["bfloat16"] == pytest.approx(191.5e12)
    assert found.device.memory_bytes == 64 * GIB


def test_a_name_with_the_wrong_memory_is_not_that_device(db: Database) -> None:
    """A 4090 with 48 GB is a rebuilt card, not the published one."""
    found = match_card(db, CardFacts("NVIDIA GeForce RTX 4090", 48 * GIB, 128))
    assert found.device is None and found.basis == "unknown"
    assert "memory or units are not those of rtx-4090" in found.note


def test_two_rows_that_nothing_tells_apart_stay_undecided(db: Database) -> None:
    found = match_card(db, CardFacts("NVIDIA GeForce RTX 3060"))
    assert found.device is None and "rtx-3060-12gb, rtx-3060-8gb" in found.note


def test_a_slice_is_its_share_of_the_card(db: Database) -> None:
    whole = db.device("a100-sxm-80gb")
    found = match_card(db, CardFacts("NVIDIA A100-SXM4-80GB MIG 1g.10gb", 9728 * MIB, 14))
    assert found.basis == "slice" and found.device is not None
    assert found.device.matrix_peaks["bfloat16"] == pytest.approx(whole.matrix_peaks["bfloat16"] * 14 / 108)
    assert found.device.memory_bytes == 9728 * MIB
    assert found.device.memory_bandwidth_bytes_per_s == pytest.approx(2039e9 * 9728 / 81920)
    by_name = match_card(db, CardFacts("NVIDIA A100-SXM4-80GB MIG 2g.20gb")).device
    assert by_name is not None and by_name.matrix_peaks["bfloat16"] == pytest.approx(312e12 * 2 / 7)
    assert match_card(db, CardFacts("NVIDIA Z9 MIG 1g.10gb")).basis == "unknown"
    part_of_a_slice = match_card(db, CardFacts("NVIDIA A100-SXM4-80GB MIG 1c.3g.40gb")).device
    assert part_of_a_slice is not None and part_of_a_slice.matrix_peaks["bfloat16"] == pytest.approx(312e12 / 7)
    assert part_of_a_slice.memory_bytes == 40 * GIB


def test_a_die_that_two_packages_share_stays_undecided_without_its_name(db: Database) -> None:
    """An MI210 and half of an MI250 have the same architecture, units and memory."""
    found = match_card(db, CardFacts("AMD Radeon Graphics", 64 * GIB, 104, capability="gfx90a"))
    assert found.device is None and "mi210" in found.note and "mi250" in found.note


def test_a_card_that_nobody_published_gets_a_marked_entry(db: Database) -> None:
    """The rule applied to an RTX 4090's own properties gives its published peak; GeForce runs at half rate."""
    card = CardFacts("NVIDIA GeForce RTX 4099", 24 * GIB, 128, 450, "8.9", 2.52e9, 1008e9)
    found = match_card(db, card)
    assert found.basis == "derived" and found.device is not None
    assert found.device.matrix_peaks["bfloat16"] == pytest.approx(165.2e12, rel=0.01)
    assert found.device.vector_peaks["float32"] == pytest.approx(82.58e12, rel=0.01)
    assert found.device.memory_bytes == 24 * GIB
    assert found.device.status == "derived" and found.device.name.endswith("(derived)")
    assert {figure.basis for figure in found.device.figures} == {"derived"}
    sixteen = match_card(db, CardFacts("NVIDIA GeForce GTX 1660 Ti", 6 * GIB, 24, 120, "7.5", 1.77e9)).device
    assert sixteen is not None and not sixteen.matrix_peaks
    assert sixteen.vector_peaks["float32"] == pytest.approx(24 * 128 * 1.77e9)
    turing = match_card(db, CardFacts("Quadro RTX 3000", 6 * GIB, 30, 80, "7.5", 1.38e9)).device
    assert turing is not None and "bfloat16" not in turing.matrix_peaks


@pytest.mark.parametrize(
    "card", [CardFacts("Voodoo 2"), CardFacts("NVIDIA X", 8 * GIB, 20, 80, "99.0", 1e9), CardFacts("")]
)
def test_a_card_that_says_too_little_stays_unknown(db: Database, card: CardFacts) -> None:
    found = match_card(db, card)
    assert found.device is None and found.basis == "unknown"


def test_nvidia_smi_is_read_with_its_slices(db: Database) -> None:
    table = (
        "NVIDIA A100-SXM4-80GB, 81920, 400.00, 8.0, 1410\n"
        "NVIDIA GeForce RTX 3060, 12288, 170.00, 8.6, 2100\n"
        "NVIDIA GB10, [N/A], [N/A], 12.1, 3003\n"
    )
    listing = (
        "GPU 0: NVIDIA A100-SXM4-80GB (UUID: GPU-1)\n"
        "  MIG 1g.10gb     Device  0: (UUID: MIG-1)\n"
        "  MIG 3g.40gb     Device  1: (UUID: MIG-2)\n"
        "GPU 1: NVIDIA GeForce RTX 3060 (UUID: GPU-2)\n"
        "GPU 2: NVIDIA GB10 (UUID: GPU-3)\n"
    )
    cards = parse_nvidia_smi(table, listing)
    assert [card.name for card in cards] == [
        "NVIDIA A100-SXM4-80GB MIG 1g.10gb",
        "NVIDIA A100-SXM4-80GB MIG 3g.40gb",
        "NVIDIA GeForce RTX 3060",
        "NVIDIA GB10",
    ]
    assert (cards[2].memory_bytes, cards[2].power_limit_w, cards[2].clock_hz) == (12288 * MIB, 170.0, 2.1e9)
    assert cards[3].memory_bytes is None and cards[3].power_limit_w is None
    assert [match_card(db, card).basis for card in cards] == ["slice", "slice", "tie-break", "name"]


def test_torch_properties_are_read_on_cuda_rocm_and_old_versions() -> None:
    cuda = SimpleNamespace(
        name="NVIDIA B200", major=10, minor=0, multi_processor_count=148, total_memory=179 * GIB,
        clock_rate=1965000, memory_clock_rate=3996000, memory_bus_width=8192,
    )  # fmt: skip
    facts = card_of_torch(cuda)
    assert (facts.capability, facts.units, facts.clock_hz) == ("10.0", 148, 1.965e9)
    assert facts.memory_bandwidth_bytes_per_s == pytest.approx(8.18e12, rel=0.001)
    rocm = SimpleNamespace(
        name="AMD Radeon Graphics", major=9, minor=4, multi_processor_count=304, total_memory=192 * GIB,
        gcnArchName="gfx942:sramecc+:xnack-",
    )  # fmt: skip
    old = card_of_torch(rocm)
    assert (old.capability, old.clock_hz, old.memory_bandwidth_bytes_per_s) == ("gfx942", None, None)


def test_torch_lists_cuda_and_intel_devices(db: Database) -> None:
    t4 = SimpleNamespace(name="Tesla T4", major=7, minor=5, multi_processor_count=40, total_memory=15 * GIB)
    max_stack = SimpleNamespace(name="Intel(R) Data Center GPU Max 1550", total_memory=64 * GIB, gpu_eu_count=512)
    torch = SimpleNamespace(
        cuda=SimpleNamespace(device_count=lambda: 1, get_device_properties=lambda number: t4),
        xpu=SimpleNamespace(
            is_available=lambda: True, device_count=lambda: 1, get_device_properties=lambda number: max_stack
        ),
        backends=SimpleNamespace(mps=SimpleNamespace(is_available=lambda: False)),
    )
    cards = detect(db, torch).cards
    assert [card.device.id for card in cards if card.device] == ["t4", "max-1550"]
    stack = cards[1].device
    assert stack is not None and stack.matrix_peaks["bfloat16"] == pytest.approx(838.9e12 / 2)


def test_tpus_are_found_on_the_bus(tmp_path: Path, db: Database) -> None:
    for number, (vendor, device, subsystem) in enumerate(
        [
            ("0x1ae0", "0x0063", "0x0000"),
            ("0x1ae0", "0x0027", "0x004f"),
            ("0x10de", "0x2330", "0x0000"),
            ("0x1ae0", "0xffff", ""),
        ]
    ):
        place = tmp_path / f"0000:0{number}:00.0"
        place.mkdir()
        for name, text in (("vendor", vendor), ("device", device), ("subsystem_device", subsystem)):
            (place / name).write_text(text + "\n")
    devices = [match_card(db, card).device for card in pci_tpus(tmp_path)]
    assert [device.id for device in devices if device] == ["tpu-v5e", "tpu-v3"]
    assert pci_tpus(tmp_path / "none") == ()


HIDDEN = """processor\t: 0
vendor_id\t: AuthenticAMD
cpu family\t: 26
model\t\t: 2
model name\t: AMD EPYC
stepping\t: 1
physical id\t: 0
core id\t\t: 0
flags\t\t: fpu avx512f

processor\t: 1
vendor_id\t: AuthenticAMD
cpu family\t: 26
model\t\t: 2
model name\t: AMD EPYC
physical id\t: 0
core id\t\t: 0

processor\t: 2
vendor_id\t: AuthenticAMD
physical id\t: 0
core id\t\t: 1
"""


def test_a_hidden_processor_is_known_by_family_and_model(db: Database) -> None:
    found = match_cpu(db, CpuFacts("AMD EPYC", "AuthenticAMD/26/2/1", frozenset(), 8, 64 * GIB))
    assert found.basis == "architecture" and found.device is not None
    assert found.device.id in ("epyc-9755", "epyc-9965") and found.device.compute_units == pytest.approx(8)
    assert found.device.memory_bytes == 64 * GIB
    assert "stands in" in found.note


def test_a_named_processor_is_its_row(db: Database) -> None:
    facts = CpuFacts("Intel(R) Xeon(R) Platinum 8375C CPU @ 2.90GHz", "GenuineIntel/6/106/6", frozenset(), 4, 16 * GIB)
    found = match_cpu(db, facts)
    assert found.basis == "name" and found.device is not None and found.device.id == "xeon-platinum-8375c"
    assert found.device.vector_peaks["float32"] == pytest.approx(5.939e12 * 4 / 32)


@pytest.mark.parametrize(
    ("name", "signature", "stand_in"),
    [
        ("Intel(R) Xeon(R) CPU @ 2.00GHz", "GenuineIntel/6/85/3", "xeon-gold-6148"),
        ("Intel(R) Xeon(R) Processor @ 2.50GHz", "GenuineIntel/6/85/7", "xeon-platinum-8259cl"),
        ("Intel(R) Xeon(R) Platinum 8370C CPU @ 2.80GHz", "GenuineIntel/6/106/6", "xeon-platinum-8375c"),
        ("Intel(R) Xeon(R) Platinum 8480C", "GenuineIntel/6/143/8", "xeon-platinum-8480-plus"),
        ("Intel(R) Core(TM) i7-8700K CPU @ 3.70GHz", "GenuineIntel/6/158/10", "core-i9-9900k"),
        ("AMD EPYC 7V13 64-Core Processor", "AuthenticAMD/25/1/1", "epyc-7763"),
        ("AMD EPYC 9754 128-Core Processor", "AuthenticAMD/25/160/2", "epyc-9654"),
        ("AMD Ryzen 7 5800X 8-Core Processor", "AuthenticAMD/25/33/0", "ryzen-9-5950x"),
        ("", "0x41/0xd40", "graviton3"),
    ],
)
def test_the_nearest_of_its_kind_stands_in_for_a_processor(
    db: Database, name: str, signature: str, stand_in: str
) -> None:
    found = match_cpu(db, CpuFacts(name, signature, frozenset(), 4, 16 * GIB))
    assert found.device is not None and (found.device.id, found.basis) == (stand_in, "architecture")
    assert "stands in" in found.note


def test_an_architecture_without_a_row_gets_a_marked_entry(db: Database) -> None:
    """Haswell: 32 FLOPs a cycle and core in float32; 2 cores at 2.3 GHz are 0.1472 TFLOP/s."""
    found = match_cpu(db, CpuFacts("Intel(R) Xeon(R) CPU @ 2.30GHz", "GenuineIntel/6/63/0", frozenset(), 2, 12 * GIB))
    assert found.basis == "derived" and found.device is not None
    assert found.device.vector_peaks == {"float32": pytest.approx(2 * 32 * 2.3e9)}
    assert found.device.memory_bandwidth_bytes_per_s is None and found.device.memory_bytes == 12 * GIB
    assert found.device.name.endswith("(derived)")
    clockless = match_cpu(db, CpuFacts("Haswell", "GenuineIntel/6/63/0", frozenset(), 2, 12 * GIB))
    assert clockless.device is None and clockless.basis == "unknown"
    running = match_cpu(db, CpuFacts("Haswell", "GenuineIntel/6/63/0", frozenset(), 2, 12 * GIB, 3e9)).device
    assert running is not None and running.vector_peaks["float32"] == pytest.approx(2 * 32 * 3e9)


@pytest.mark.parametrize(
    ("signature", "architecture"),
    [
        ("GenuineIntel/6/85/4", "Skylake"),
        ("GenuineIntel/6/85/7", "Cascade Lake"),
        ("GenuineIntel/6/143/8", "Sapphire Rapids"),
        ("AuthenticAMD/25/17/1", "Zen 4"),
        ("AuthenticAMD/25/1/1", "Zen 3"),
        ("0x41/0xd40", "Neoverse V1"),
        ("GenuineIntel/6/8/3", None),
        ("", None),
    ],
)
def test_signatures_tell_architectures(signature: str, architecture: str | None) -> None:
    assert architecture_of(signature) == architecture


def test_an_unknown_processor_stays_unknown(db: Database) -> None:
    found = match_cpu(db, CpuFacts("MOS 6502", "", frozenset(), 1, 65536))
    assert found.device is None and found.basis == "unknown"


def test_cores_are_physical_allowed_and_within_the_quota() -> None:
    processors = parse_cpuinfo(HIDDEN)
    assert len(processors) == 3
    assert usable_cores(processors, None, None) == 2
    assert usable_cores(processors, frozenset({0, 1}), None) == 1
    assert usable_cores(processors, None, 1.5) == pytest.approx(1.0)
    assert usable_cores(processors, None, 64.0) == 2


def test_this_machine_is_detected_without_torch() -> None:
    code = (
        "import sys; from hardware_db import load; from hardware_db.detect import detect; machine = detect(load());"
        "print(machine.cpu.facts.cores > 0, machine.cpu.facts.memory_bytes > 2**28, 'torch' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["True", "True", "False"]


@pytest.mark.gpu
def test_the_card_of_this_machine_is_in_the_table(db: Database) -> None:
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    by_torch, by_smi = detect(db, torch).cards, detect(db).cards
    assert [card.device and card.device.id for card in by_torch] == [card.device and card.device.id for card in by_smi]
    assert all(card.device is not None for card in by_torch)


def test_torch_is_asked_only_where_a_device_file_says_that_it_may_know_one(tmp_path: Path) -> None:
    (tmp_path / "nvme0").touch()
    assert not may_have_card("Linux", tmp_path)
    assert may_have_card("Windows", tmp_path) and may_have_card("Darwin", tmp_path)
    (tmp_path / "dri").mkdir()
    assert not may_have_card("Linux", tmp_path)
    (tmp_path / "dri" / "renderD128").touch()
    assert may_have_card("Linux", tmp_path)
    (tmp_path / "nvidia0").touch()
    assert may_have_card("Linux", tmp_path)
