"""Proof: predictions beside measurements, row by row and summed up by stratum.

from estimator.validation import validate

report = validate(Path("cases.csv"), jobs=2)
report.strata[-1].median_error
"""

from estimator.validation.cases import Case, read_cases
from estimator.validation.report import Report, Row, Stratum
from estimator.validation.validate import validate, validate_cases

__all__ = ["Case", "Report", "Row", "Stratum", "read_cases", "validate", "validate_cases"]
