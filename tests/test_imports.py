"""What imports what: packages only look down, and nothing heavy comes in with the estimator or the dashboard."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HEAVY = ("torch", "plotly", "streamlit", "pandas", "transformers", "fvcore")
BELOW = {
    "hardware_db": set(),
    "profiles": {"hardware_db"},
    "estimator": {"hardware_db", "profiles"},
    "dashboard": {"hardware_db", "profiles", "estimator"},
}
ALLOWED = {"estimator/cli/doctor.py": {"torch"}}  # its question is whether torch is there and what it sees
TORCH_FREE = ("hardware_db", "estimator", "dashboard")


def loaded_by(statement: str) -> set[str]:
    """Which of the heavy packages a fresh interpreter has after a statement."""
    code = f"import sys\n{statement}\nprint(*[name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    return set(done.stdout.split())


LIGHT = [
    "import estimator",
    "import hardware_db",
    "import profiles",
    "import dashboard",
    "import estimator.cli",
    "from estimator import Estimate, Estimates, ModelProfile, TrainingRun, estimate, estimate_all",
    "import hardware_db; hardware_db.load().offers()",
]


@pytest.mark.parametrize("statement", LIGHT)
def test_importing_is_light(statement):
    assert loaded_by(statement) == set()


def test_this_test_sees_what_is_loaded():
    assert loaded_by("import pandas") == {"pandas"}


def test_this_test_sees_what_an_import_brings_in(tmp_path):
    (tmp_path / "innocent.py").write_text("import pandas\n")
    assert loaded_by(f"sys.path.insert(0, {str(tmp_path)!r}); import innocent") == {"pandas"}


def imports(path: Path) -> set[str]:
    """First names of everything a file imports, inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found


def wrong_ways(package: str, root: Path = ROOT) -> dict[str, set[str]]:
    """Files of a package that import a package above it, or torch where there must be none."""
    forbidden = set(BELOW) - BELOW[package] - {package}
    if package in TORCH_FREE:
        forbidden |= {"torch", "transformers"}
    if package != "dashboard":
        forbidden |= {"plotly", "streamlit"}
    files = sorted((root / package).rglob("*.py"))
    assert files
    found = {str(path.relative_to(root)): imports(path) & forbidden for path in files}
    return {name: wrong for name, used in found.items() if (wrong := used - ALLOWED.get(name, set()))}


@pytest.mark.parametrize("package", BELOW)
def test_packages_only_look_down(package):
    assert wrong_ways(package) == {}


def test_a_wrong_way_is_found(tmp_path):
    (tmp_path / "hardware_db").mkdir()
    (tmp_path / "hardware_db" / "bad.py").write_text("def late():\n    from estimator.run import TrainingRun\n")
    (tmp_path / "hardware_db" / "good.py").write_text("import csv\n")
    assert wrong_ways("hardware_db", tmp_path) == {"hardware_db/bad.py": {"estimator"}}


def test_the_public_door():
    pytest.importorskip("torch", reason="names that count a model need it")
    import estimator

    for name in estimator.__all__:
        assert getattr(estimator, name).__name__ != "", name
    assert callable(estimator.estimate) and callable(estimator.estimate_all)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = estimator.nonsense


def test_functions_are_not_hidden_by_modules_of_the_same_name():
    modules = "estimator.forecast, estimator.result, estimator.estimates, estimator.cli.app"
    code = f"import estimator, {modules}\nassert callable(estimator.estimate)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_a_command_loads_itself_alone():
    code = (
        "import sys\nfrom estimator.cli import main\nmain(['detect', '--help'], standalone_mode=False)\n"
        "assert 'estimator.cli.detect' in sys.modules\n"
        "assert not {'estimator.cli.estimate', 'estimator.cli.plan', 'numpy', 'pydantic'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, capture_output=True)


def test_an_estimate_of_a_recorded_profile_needs_no_pydantic(tmp_path):
    code = (
        "import sys\nfrom estimator.cli import main\n"
        "main(['estimate', 'gpt2', '--tokens', '1B', '--hardware', 'h100-sxm'], standalone_mode=False)\n"
        "assert not {'torch', 'pandas', 'scipy', 'pydantic', 'sqlalchemy'} & set(sys.modules)"
    )
    clean = {**os.environ, "XDG_DATA_HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, capture_output=True, env=clean)
