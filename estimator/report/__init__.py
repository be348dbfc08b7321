"""Advice as one file that opens anywhere: HTML with plots, or Markdown."""

from estimator.report.content import Report, Section, report_of
from estimator.report.pages import FORMS, written

__all__ = ["FORMS", "Report", "Section", "report_of", "written"]
