"""Proof: predictions beside measurements, row by row and summed up by stratum.

from estimator.validation import validate

report = validate(Path("cases.csv"), jobs=2)
report.strata[-1].median_error
"""

from estimator.validation.cases import Case, Unreadable, read_cases, read_rows
from estimator.validation.report import Report, Row, Stratum
from estimator.validation.validate import validate, validate_cases

__all__ = ["Case", "Report", "Row", "Stratum", "Unreadable", "read_cases", "read_rows", "validate", "validate_cases"]
