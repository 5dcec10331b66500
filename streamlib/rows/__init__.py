"""Any CSV file, row by row and by column name; and rows sorted by time or number."""

from streamlib.rows.reading import LONGEST, Growing, Row, Rows, read  # noqa: F401
from streamlib.rows.sorting import Sorted, oldest_first  # noqa: F401
