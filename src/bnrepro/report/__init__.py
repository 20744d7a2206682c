"""The report: figures and pages from the tables in results/ alone. No torch."""

from bnrepro.report.page import build

__all__ = ["build"]
