"""Any CSV file, row by row and by column name; and rows sorted by time or number."""

from streamlib.rows.reading import LONGEST, Growing, Row, Rows, read
from streamlib.rows.sorting import Sorted, oldest_first

__all__ = ["LONGEST", "Growing", "Row", "Rows", "Sorted", "oldest_first", "read"]
