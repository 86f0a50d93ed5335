"""The forms that a report may be written in, each by a module of its own."""

from __future__ import annotations

from enum import StrEnum

from jobctl.apps.report.figures import Report

__all__ = ["Form", "tell"]


class Form(StrEnum):
    """A form, by the name of its option."""

    HTML = "html"
    JUNIT = "junit"
    MARKDOWN = "markdown"
    CSV = "csv"
    OPENMETRICS = "openmetrics"


def tell(report: Report, form: Form) -> str:
    """The report in that form. What a form needs is imported only for it."""
    match form:
        case Form.HTML:
            from jobctl.apps.report.html import to_html

            return to_html(report)
        case Form.JUNIT:
            from jobctl.apps.report.junit import to_junit

            return to_junit(report)
        case Form.MARKDOWN:
            from jobctl.apps.report.markdown import to_markdown

            return to_markdown(report)
        case Form.CSV:
            from jobctl.apps.report.csv_rows import to_csv

            return to_csv(report)
        case Form.OPENMETRICS:
            from jobctl.apps.report.openmetrics import to_openmetrics

            return to_openmetrics(report)
