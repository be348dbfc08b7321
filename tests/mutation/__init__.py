"""Mutation checks: change one number or sign of a formula, and a test must fail.

`python -m tests.mutation [PATH ...]` (or `make mutation`) says how many changes no test noticed, and which.
"""
