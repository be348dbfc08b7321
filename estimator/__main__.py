"""`python -m estimator` is the same as the command `flopcast`."""

from estimator.cli import main

if __name__ == "__main__":
    main(prog_name="flopcast")
