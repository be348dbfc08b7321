"""Names: what drivers really report finds its row, a near miss never finds a wrong one."""

import pytest

from hardware_db import Database, load
from hardware_db.errors import AmbiguousDevice, UnknownDevice
from hardware_db.naming import spelling
from hardware_db.tables import rows

#: Strings seen in public logs and configuration files, and the row they mean.
REPORTED = {
    "Tesla K80": "k80",
    "Tesla P4": "p4",
    "Tesla P100-PCIE-16GB": "p100-pcie-16gb",
    "Tesla V100-SXM2-16GB": "v100-sxm2-16gb",
    "Tesla V100-SXM2-32GB": "v100-sxm2-32gb",
    "Tesla V100-PCIE-32GB": "v100-pcie-32gb",
    "Tesla T4": "t4",
    "NVIDIA A10": "a10",
    "NVIDIA A10G": "a10g",
    "NVIDIA A100-SXM4-40GB": "a100-sxm-40gb",
    "NVIDIA A100-SXM4-80GB": "a100-sxm-80gb",
    "NVIDIA A100-PCIE-40GB": "a100-pcie-40gb",
    "A100-PCIe-40GB": "a100-pcie-40gb",
    "NVIDIA A100 80GB PCIe": "a100-pcie-80gb",
    "NVIDIA A40": "a40",
    "NVIDIA RTX A4000": "rtx-a4000",
    "NVIDIA L4": "l4",
    "NVIDIA L20": "l20",
    "NVIDIA L40": "l40",
    "NVIDIA L40S": "l40s",
    "NVIDIA GeForce RTX 2080 Ti": "rtx-2080-ti",
    "GeForce RTX 2080 Ti": "rtx-2080-ti",
    "NVIDIA GeForce RTX 4090": "rtx-4090",
    "NVIDIA GeForce RTX 5090": "rtx-5090",
    "NVIDIA H100 80GB HBM3": "h100-sxm",
    "NVIDIA H100": "h100-sxm",
    "NVIDIA H100 PCIe": "h100-pcie",
    "NVIDIA H100 NVL": "h100-nvl",
    "NVIDIA H200": "h200-sxm",
    "NVIDIA H200 NVL": "h200-nvl",
    "NVIDIA H20": "h20-96gb",
    "NVIDIA H20-3e": "h20-141gb",
    "NVIDIA H800": "h800-sxm",
    "NVIDIA GH200 480GB": "gh200-96gb",
    "NVIDIA B200": "b200-sxm",
    "NVIDIA B300": "b300-sxm",
    "NVIDIA GB200": "gb200",
    "NVIDIA GB300": "gb300",
    "NVIDIA RTX PRO 6000 Blackwell Server Edition": "rtx-pro-6000-server",
    "NVIDIA RTX PRO 6000 Blackwell Workstation Edition": "rtx-pro-6000-workstation",
    "NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition": "rtx-pro-6000-max-q",
    "AMD Instinct MI300X": "mi300x",
    "AMD Instinct MI325X": "mi325x",
    "AMD Instinct MI350X": "mi350x",
    "Intel(R) Arc(TM) Pro B60 Graphics": "arc-pro-b60",
    "Intel(R) Data Center GPU Max 1550": "max-1550",
    "TPU v2": "tpu-v2",
    "TPU v3": "tpu-v3",
    "TPU v4": "tpu-v4",
    "TPU v5 lite": "tpu-v5e",
    "TPU v5e": "tpu-v5e",
    "TPU v5": "tpu-v5p",
    "TPU v5p": "tpu-v5p",
    "TPU v6 lite": "tpu-v6e",
    "TPU v6e": "tpu-v6e",
    "TPU7x": "tpu-v7",
    "AMD EPYC 9654 96-Core Processor": "epyc-9654",
    "Intel(R) Xeon(R) Platinum 8375C CPU @ 2.90GHz": "xeon-platinum-8375c",
    "INTEL(R) XEON(R) PLATINUM 8592+": "xeon-platinum-8592-plus",
    "13th Gen Intel(R) Core(TM) i9-13900K": "core-i9-13900k",
    "Apple M2 Max": "apple-m2-max",
    "NVIDIA T4G": "t4g",
    "Quadro RTX 6000": "quadro-rtx-6000",
    "Quadro RTX 8000": "quadro-rtx-8000",
    "TITAN RTX": "titan-rtx",
    "NVIDIA TITAN V": "titan-v",
    "TITAN Xp": "titan-xp",
    "NVIDIA TITAN X (Pascal)": "titan-x-pascal",
    "A100-SXM-80GB": "a100-sxm-80gb",
    "NVIDIA A30": "a30",
    "NVIDIA A2": "a2",
    "NVIDIA A16": "a16",
    "NVIDIA RTX A4500": "rtx-a4500",
    "NVIDIA RTX A6000": "rtx-a6000",
    "NVIDIA RTX 6000 Ada Generation": "rtx-6000-ada",
    "NVIDIA RTX 4000 Ada Generation": "rtx-4000-ada",
    "NVIDIA GeForce RTX 3090": "rtx-3090",
    "NVIDIA GeForce RTX 4070 SUPER": "rtx-4070-super",
    "NVIDIA GeForce RTX 4070 Ti SUPER": "rtx-4070-ti-super",
    "NVIDIA GeForce RTX 4090 D": "rtx-4090-d",
    "NVIDIA GeForce RTX 3080 Laptop GPU": "rtx-3080-laptop",
    "NVIDIA GeForce GTX TITAN X": "gtx-titan-x",
    "NVIDIA H100 80GB HBM2e": "h100-pcie",
    "NVIDIA GH200 120GB": "gh200-96gb",
    "NVIDIA GH200 144G HBM3e": "gh200-144gb",
    "NVIDIA B300 SXM6 AC": "b300-sxm",
    "NVIDIA GB10": "gb10",
    "NVIDIA Thor": "jetson-agx-thor",
    "AMD Instinct MI250X": "mi250x",
    "AMD Instinct MI210": "mi210",
    "AMD Instinct MI300A": "mi300a",
    "AMD Instinct MI355X": "mi355x",
    "AMD Radeon RX 7900 XTX": "rx-7900-xtx",
    "Intel(R) Data Center GPU Max 1100": "max-1100",
    "Intel(R) Arc(TM) B580 Graphics": "arc-b580",
    "Apple M4 Max": "apple-m4-max",
    "HL-225": "gaudi-2",
    "Intel(R) Xeon(R) Platinum 8480+": "xeon-platinum-8480-plus",
    "Intel(R) Xeon(R) 6980P": "xeon-6980p",
    "Intel(R) Core(TM) i9-14900K": "core-i9-14900k",
    "Intel(R) Xeon(R) CPU E5-2686 v4 @ 2.30GHz": "xeon-e5-2686-v4",
    "AMD Ryzen 9 7950X 16-Core Processor": "ryzen-9-7950x",
}


@pytest.fixture(scope="module")
def db() -> Database:
    return load()


@pytest.mark.parametrize(("reported", "id"), REPORTED.items())
def test_what_a_driver_reports_finds_its_row(db: Database, reported: str, id: str) -> None:
    assert db.device(reported).id == id


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("NVIDIA L40", "l4"),
        ("NVIDIA L4", "l40"),
        ("NVIDIA RTX A4000", "a40"),
        ("NVIDIA A40", "rtx-a4000"),
        ("NVIDIA H200", "h20-96gb"),
        ("NVIDIA H20", "h200-sxm"),
        ("NVIDIA H100 NVL", "h100-pcie"),
        ("NVIDIA A10G", "a10"),
        ("NVIDIA RTX 6000 Ada Generation", "quadro-rtx-6000"),
        ("NVIDIA GeForce RTX 4070 Ti", "rtx-4070"),
    ],
)
def test_a_near_miss_is_never_taken(db: Database, name: str, wrong: str) -> None:
    assert db.device(name).id != wrong


@pytest.mark.parametrize(
    "name",
    [
        "NVIDIA L400",
        "L4S",
        "RTX A40000",
        "A10 Pro",
        "H100 SXM 120GB",
        "NVIDIA",
        "RTX",
        "",
        "80GB",
        "NVIDIA GeForce RTX 4090 Laptop GPU",
        "NVIDIA GeForce RTX 5090 D",
        "NVIDIA H800 PCIe",
        "GRID A100D-80C",
        "TPU v4 lite",
        "AMD Instinct MI308X",
    ],
)
def test_a_part_of_a_name_is_no_name(db: Database, name: str) -> None:
    with pytest.raises(UnknownDevice):
        db.device(name)


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("NVIDIA GeForce RTX 3060", 2),
        ("NVIDIA GeForce RTX 3080", 2),
        ("RTX 4060 Ti", 2),
        ("a100", 4),
        ("h100", 3),
        ("Orin", 5),
    ],
)
def test_a_name_that_several_devices_bear_is_ambiguous(db: Database, name: str, count: int) -> None:
    assert len(db.names.candidates(name)) == count
    with pytest.raises(AmbiguousDevice):
        db.device(name)


def test_the_message_of_an_ambiguous_name_lists_the_devices(db: Database) -> None:
    with pytest.raises(AmbiguousDevice) as caught:
        db.device("a100")
    text = str(caught.value)
    assert text.startswith("'a100' is 4 devices: a100-pcie-40gb, a100-pcie-80gb, a100-sxm-40gb, a100-sxm-80gb.")
    assert text.endswith("'a100-*' takes all")


def test_the_message_of_an_unknown_name_lists_close_ones(db: Database) -> None:
    with pytest.raises(UnknownDevice, match=r"No hardware 'h1000'\. Did you mean .*h100"):
        db.device("h1000")
    with pytest.raises(UnknownDevice, match=r"Did you mean tpu-v5e"):
        db.device("tpuv5e")
    with pytest.raises(UnknownDevice, match=r"No hardware 'quantum'\. Names: flopcast hardware"):
        db.device("quantum")


def test_devices_that_share_a_name_differ_in_memory_or_units(db: Database) -> None:
    """Else no machine could ever tell which of them it has; short names that no driver reports are exempt."""
    sharers: dict[str, set[str]] = {}
    for row in rows("aliases.csv"):
        if row["reported_by"] in ("driver", "cpuinfo"):
            sharers.setdefault(spelling(row["alias"]), set()).add(row["device"])
    shared = {alias: ids for alias, ids in sharers.items() if len(ids) > 1}
    assert "nvidia geforce rtx 3060" in shared
    for alias, ids in shared.items():
        signs = {(d.memory_bytes, d.compute_units, d.tdp_w) for d in (db.devices_by_id[id] for id in ids)}
        assert len(signs) == len(ids), alias


def test_patterns_and_lists(db: Database) -> None:
    assert [d.id for d in db.match("tpu-v5e, H100 SXM")] == ["tpu-v5e", "h100-sxm"]
    assert {d.id for d in db.match("a100-*")} == {"a100-pcie-40gb", "a100-pcie-80gb", "a100-sxm-40gb", "a100-sxm-80gb"}
    assert [d.id for d in db.match("h100-sxm,h100-s*")] == ["h100-sxm", "h100-sxm-96gb", "h100-sxm-96gb-hbm2e"]
    with pytest.raises(UnknownDevice, match="'z9-\\*'"):
        db.match("z9-*")
    with pytest.raises(UnknownDevice):
        db.match(" , ")


def test_filters(db: Database) -> None:
    assert {d.kind for d in db.devices(kind="tpu")} == {"tpu"}
    assert {d.vendor for d in db.devices(vendor="amd")} == {"AMD"}
    assert not db.devices(kind="gpu", vendor="Google")
