"""How long the light commands take, beside what every other counter pays before its first answer: importing torch.

    python benchmarks/cli_speed.py

Prints processor seconds (user and system, the least of five cold processes each) and the ratio to `import torch`.
"""

from __future__ import annotations

import resource
import subprocess
import sys

RUNS = 5
FLOPCAST = [sys.executable, "-m", "estimator"]
COMMANDS = {
    "import torch (the yardstick)": [sys.executable, "-c", "import torch"],
    "flopcast --help": [*FLOPCAST, "--help"],
    "flopcast hardware": [*FLOPCAST, "hardware"],
    "flopcast profile gpt2": [*FLOPCAST, "profile", "gpt2"],
    "flopcast estimate gpt2 --tokens 10B": [*FLOPCAST, "estimate", "gpt2", "--tokens", "10B"],
    "flopcast fit llama-3.1-8b --device l4": [*FLOPCAST, "fit", "llama-3.1-8b", "--device", "l4"],
}
ANSWERED = (0, 1)
"""Exit codes of an answer: yes, and no."""


def processor_seconds(command: list[str]) -> float:
    """Return what one process took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode not in ANSWERED:
        raise SystemExit(f"{' '.join(command)} failed: {done.stderr}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Time every command and print the table."""
    least = {name: min(processor_seconds(command) for _ in range(RUNS)) for name, command in COMMANDS.items()}
    yardstick = next(iter(least.values()))
    print(f"{'COMMAND':<42} {'SECONDS':>8} {'RATIO':>6}")
    for name, seconds in least.items():
        print(f"{name:<42} {seconds:>8.2f} {seconds / yardstick:>6.2f}")


if __name__ == "__main__":
    main()
