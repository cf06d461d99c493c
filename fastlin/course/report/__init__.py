"""The HTML report: `page` fills the templates that contain the text, and `result_tables` tabulates results."""

from fastlin.course.report.page import write_page
from fastlin.course.report.result_tables import Table, tabulate

__all__ = ["Table", "tabulate", "write_page"]
