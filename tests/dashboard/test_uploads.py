"""Files of strangers: read as data in a locked process, or refused in one sentence."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

pytest.importorskip("streamlit")
from streamlit.testing.v1 import AppTest

from dashboard import uploads
from dashboard.reader import MOST_UNPACKED_BYTES, read
from hardware_db.errors import DataError, FlopcastError, ModelError
from profiles.recall import known
from profiles.request import ProfileRequest

APP = str(Path(__file__).parents[2] / "dashboard" / "app.py")
LINUX = sys.platform.startswith("linux")


def kept_in(folder: Path, name: str, data: bytes) -> Path:
    file = folder / name
    file.write_bytes(data)
    return file


def read_by_process(name: str, data: bytes) -> uploads.Asked:
    asked = uploads.start_reading(name, data, "amp_bfloat16")
    for _ in range(1200):
        if asked.done:
            return asked
        time.sleep(0.1)
    raise TimeoutError(name)


# --------------------------------------------------------------------------------------------------- hostile files


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path):
    file = tmp_path / "bomb.pt2"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("zeros", "w") as member:
        for _ in range(MOST_UNPACKED_BYTES // 2**24 + 1):
            member.write(bytes(2**24))
    assert file.stat().st_size < 2**20
    with pytest.raises(ModelError, match="unpacks to 1 files and 528 MiB"):
        read(file, "float32")


@pytest.mark.parametrize("member", ["../../outside", "/etc/passwd", "a\\..\\..\\b"])
def test_members_that_point_out_of_an_archive_are_refused(tmp_path, member):
    file = tmp_path / "tricks.pt2"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(member, "x")
    with pytest.raises(ModelError, match="points out of the archive"):
        read(file, "float32")


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"num_hidden_layers": 10**9}, "num_hidden_layers of 1e\\+09 is beyond any model"),
        ({"depths": [2, 10**6]}, "beyond any model"),
        ({"hidden_size": 10**12}, "hidden_size of 1e\\+12"),
        ({"text_config": {"n_layers": -(10**7)}}, "n_layers of -1e\\+07"),
        ({"hidden_size": float("inf")}, "hidden_size of inf"),
        ({"hidden_size": float("nan")}, "hidden_size of nan"),
    ],
)
def test_configurations_beyond_any_model_are_refused_before_they_are_built(tmp_path, config, said):
    file = kept_in(tmp_path, "config.json", json.dumps({"model_type": "llama", **config}).encode())
    with pytest.raises(ModelError, match=said):
        read(file, "float32")


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("x.json", b""),
        ("x.json", b"[" * 100_000),
        ("x.json", b'{"schema": 1, "model": NaN}'),
        ("x.json", b"\x00\xff\xfe"),
        ("x.json.gz", b"\x1f\x8b\x08broken"),
        ("x.json.gz", gzip.compress(b"[" + b"0," * 10**6 + b"0]")),
        ("x.pt2", b"PK\x03\x04 no archive"),
        ("x.pt2", b""),
        ("x.exe", b"MZ"),
        ("x", b"data"),
    ],
)
def test_damaged_files_are_refused(tmp_path, name, data):
    begun = time.monotonic()
    with pytest.raises(FlopcastError) as caught:
        read(kept_in(tmp_path, name, data), "float32")
    assert 0 < len(str(caught.value)) < 600
    assert time.monotonic() - begun < 30


def test_a_gzip_bomb_is_refused(tmp_path):
    bomb = gzip.compress(bytes(257 * 10**6), compresslevel=1)
    with pytest.raises(DataError, match="unpacks to more than 256 MB"):
        read(kept_in(tmp_path, "bomb.json.gz", bomb), "float32")


def test_files_larger_than_what_is_taken_are_refused(monkeypatch):
    monkeypatch.setattr(uploads, "MOST_BYTES", 10)
    with pytest.raises(DataError, match="at most 0 MiB are taken"):
        uploads.start_reading("x.onnx", bytes(11), "float32")


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\me\\model.onnx", "model.onnx"),
        ("a;rm -rf ~.pt2", "a_rm -rf _.pt2"),
        ("<script>.json", "_script_.json"),
        ("..", "upload"),
        ("x" * 500 + ".onnx", "x" * 75 + ".onnx"),
    ],
)
def test_names_keep_nothing_that_a_shell_or_a_page_trips_over(sent, kept):
    assert uploads.safe_name(sent) == kept


# ------------------------------------------------------------------------------------------------- the locked process

LOCKED = """
import os, pathlib, socket, subprocess, sys
from dashboard.isolation import isolate
folder = pathlib.Path(sys.argv[1])
isolate(folder)
def refused(attempt):
    try:
        attempt()
    except OSError:
        return True
    return False
(folder / "inside").write_text("fine")
print([
    refused(lambda: socket.create_connection(("127.0.0.1", int(sys.argv[2])), 2)),
    refused(lambda: subprocess.run(["true"])),
    refused(lambda: os.system("true")),
    refused(lambda: open(sys.argv[3], "w")),
    refused(lambda: os.remove(sys.argv[4])),
    refused(lambda: os.rename(folder / "inside", sys.argv[3])),
])
"""


@pytest.mark.skipif(not LINUX, reason="limits of POSIX")
def test_a_locked_process_has_no_network_no_programs_and_no_files_elsewhere(tmp_path):
    import socket

    folder, victim = tmp_path / "own", tmp_path / "victim"
    folder.mkdir()
    victim.write_text("kept")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        arguments = [str(folder), str(port), str(tmp_path / "new"), str(victim)]
        done = subprocess.run([sys.executable, "-c", LOCKED, *arguments], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == str([True] * 6), done.stderr
    assert victim.read_text() == "kept" and not (tmp_path / "new").exists()


@pytest.mark.skipif(not LINUX, reason="limits of POSIX")
def test_a_locked_process_cannot_take_all_memory(tmp_path):
    code = "import sys, pathlib, dashboard.isolation as i; i.isolate(pathlib.Path(sys.argv[1])); bytes(9 * 2**30)"
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, timeout=60)
    assert done.returncode != 0 and "MemoryError" in done.stderr


def test_the_process_gets_no_secrets_and_leaves_no_file(monkeypatch):
    monkeypatch.setenv("FLOPCAST_DB", "postgresql://me:secret@host/db")
    assert "FLOPCAST_DB" not in uploads._surroundings("/tmp/x")
    asked = read_by_process("broken.onnx.json", b"{")
    assert asked.error and not asked.answer
    assert not [name for name in os.listdir(uploads.tempfile.gettempdir()) if name.startswith("flopcast-upload-")]


@pytest.mark.slow
def test_a_program_and_a_configuration_become_models(tmp_path):
    torch = pytest.importorskip("torch")
    model = torch.nn.Linear(16, 8)
    torch.export.save(torch.export.export(model, (torch.randn(4, 16),)), tmp_path / "m.pt2")
    asked = read_by_process("m.pt2", (tmp_path / "m.pt2").read_bytes())
    assert asked.error is None
    assert uploads.accept("m.pt2", asked.answer.encode()).profile.parameters == 16 * 8 + 8


def test_a_small_profile_is_read_at_once_and_a_configuration_is_not():
    profile = known("mnist-cnn", ProfileRequest(precision="float32")).to_json().encode()
    assert uploads.at_once("p.json", profile)
    assert not uploads.at_once("config.json", b'{"model_type": "gpt2"}')
    assert not uploads.at_once("m.onnx", profile)
    assert not uploads.at_once("p.json.gz", profile)


# ---------------------------------------------------------------------------------------------------------- the page


def test_the_page_takes_what_the_process_read_and_says_what_it_refused():
    profile = known("mnist-cnn", ProfileRequest(precision="float32")).to_json()
    page = AppTest.from_file(APP, default_timeout=60).run()
    asked = uploads.Asked("Reading m.onnx", answer=profile, done=True)
    page.session_state["reading"], page.session_state["reading_name"] = asked, "m.onnx"
    page.run()
    assert not page.exception
    assert page.selectbox(key="model").value.startswith("m.onnx@")
    page.session_state["reading"] = uploads.Asked("Reading x", error="It is no torch.export archive", done=True)
    page.run()
    assert any("no torch.export archive" in error.value for error in page.error)
