"""From the step to the whole run: what comes around the training steps, each part with its ground and its option.

run time = provisioning + start-up + compilation + training + data stalls + evaluation + checkpoints + interruptions
"""

from estimator.whole_run.interruptions import best_interval_s, expected_s
from estimator.whole_run.overheads import NEVER, Overheads
from estimator.whole_run.run_time import Part, RunTime, whole_run_time

__all__ = ["NEVER", "Overheads", "Part", "RunTime", "best_interval_s", "expected_s", "whole_run_time"]
