"""docs/data.md says what the tables hold."""

import re
from pathlib import Path

from hardware_db import load
from hardware_db.devices import QUANTITIES
from hardware_db.records import BASES
from hardware_db.tables import columns

TEXT = (Path(__file__).parent.parent / "docs" / "data.md").read_text()


def test_the_tables_hold_what_is_said_and_not_much_more() -> None:
    """A row that is added leaves this text true; after a tenth more it wants to be brought up to date."""
    db = load()
    figures = sum(len(device.figures) for device in db.devices())
    current = db.offers()
    counts = (
        len(db.devices()), figures, len(db.systems), len(db.all_offers), len({o.provider for o in db.all_offers}),
        len(current), len({o.provider for o in current}),
    )  # fmt: skip
    said = re.search(
        r"hold more than (\S+) devices with (\S+) figures, (\S+) systems and (\S+) dated offers of (\S+) providers;"
        r" more than\s+(\S+) of (\S+) providers are current",
        TEXT,
    )
    assert said is not None
    for number, count in zip(said.groups(), counts, strict=True):
        assert 0.8 * count < int(number.replace(",", "")) <= count


def test_every_table_basis_and_quantity_is_explained() -> None:
    for name in [*columns(), *QUANTITIES, *BASES]:
        assert f"`{name}`" in TEXT, name


def test_the_python_example_runs() -> None:
    code = re.search(r"```python\n(.*?)```", TEXT, re.S)
    assert code is not None
    exec(compile(code[1], "docs/data.md", "exec"), {})


def test_the_toml_example_is_a_device(tmp_path: Path) -> None:
    example = re.search(r"```toml\n(.*?)```", TEXT, re.S)
    assert example is not None
    (tmp_path / "devices.toml").write_text(example[1])
    db = load(tmp_path / "devices.toml")
    assert db.device("acme-x1").memory_bytes == 80 * 2**30
    node = db.own_system("acme-x1")
    assert node is not None and (node.devices_per_host, node.host_cpu) == (8, "epyc-9654")
