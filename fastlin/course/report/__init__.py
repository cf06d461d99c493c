"""The report as one page: task by task the formula, what was done, the picture, the table, and each claim's verdict.

`page` fills the templates, which hold the prose, and `tables` turns results into tables.
"""

from fastlin.course.report.page import write_model_page, write_page
from fastlin.course.report.result_tables import Table, tabulate

__all__ = ["Table", "tabulate", "write_model_page", "write_page"]
