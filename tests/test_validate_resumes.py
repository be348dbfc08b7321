"""An interrupted `flopcast validate` goes on where it stopped: what was traced is kept, and not traced again."""

import os
import signal
import subprocess
import sys
import time

import pytest

pytest.importorskip("timm")
CASES = """case_id,model,task,device,precision,micro_batch_size,measured_step_time_s
a,timm:test_resnet,train,t4,float32,8,0.02
b,timm:test_vit,train,t4,float32,8,0.02
"""


@pytest.mark.slow
def test_a_trace_outlives_an_interrupt(tmp_path):
    (tmp_path / "cases.csv").write_text(CASES, encoding="utf-8")
    env = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    command = [sys.executable, "-m", "estimator", "validate", str(tmp_path / "cases.csv"), "--csv"]

    def kept():
        return {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*.json.gz")}

    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as first:
        while not kept() and first.poll() is None:
            time.sleep(0.05)
        first.send_signal(signal.SIGINT)
        printed, said = first.communicate(timeout=120)
    assert (first.returncode, printed) == (130, "") and "Interrupted" in said
    before = kept()
    assert len(before) == 1

    second = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    assert {line.split(",")[0] for line in second.stdout.splitlines()[1:]} == {"a", "b"}
    after = kept()
    assert len(after) == 2 and all(after[path] == moment for path, moment in before.items())
