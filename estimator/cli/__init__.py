"""The command line. Every command parses its options, calls the library and prints the answer; it computes nothing.

Nothing heavy is imported before a command needs it: torch, pandas and rich come in inside the functions, so that
`flopcast --help` and `flopcast hardware` answer at once.
"""

from estimator.cli.app import main

__all__ = ["main"]
