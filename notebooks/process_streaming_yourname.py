"""Task 4: stream a CSV file of your own into outputs/out9.txt, one row every 1 to 3 seconds.

Copy this file to process_streaming_<your name>.py and change what is marked. Then run your copy in
a terminal, in the lab's top folder; README says how to activate on Windows:

    source .venv/bin/activate
    python notebooks/process_streaming_yourname.py

This program writes the output itself, row by row; nothing is pasted from the screen. So each row in
the file should be exactly what was sent. The last lines say whether it is.
"""

import sys
from itertools import islice

from streamlib import home, rows, stream

# ---- CHANGE 1: your name
NAME = "yourname"
# ---- CHANGE 2: your CSV file; put it in the folder data/
INPUT = home.data / "airports.csv"
# ---- CHANGE 3: the columns to stream, spelled as in the file's first row
COLUMNS = ["icao", "name", "city"]

OUT = home.outputs / "out9.txt"
ROWS = 12  # ten or more
SECONDS = (1, 3)


def shown(table):
    """Yield ROWS rows; print each one as soon as it is sent, when the next one is asked for."""
    for number, row in enumerate(islice(table, ROWS), start=1):
        yield row
        home.say(f"sent {number}: {dict(row)}")


def main():
    """Stream the rows into the file, then compare the file with its source."""
    if not (isinstance(ROWS, int) and ROWS > 0):
        raise ValueError(f"ROWS is {ROWS!r}: give a whole number, 10 or more.")
    table = rows.read(INPUT, columns=COLUMNS)
    home.say(table)  # prints it; where nobody can read that, the stream goes on
    home.say(f"{NAME} streams {ROWS} rows to {OUT.name}, one every {SECONDS} seconds.")
    sent = stream.send(shown(table), f"file:{OUT}", every=SECONDS)
    home.say(f"{sent.rows} rows sent; {sent.ended}.")

    fates = stream.reconcile(table, OUT)
    home.say(stream.verdict(fates))
    if sent.rows < 10:
        home.say(f"Only {sent.rows} rows: this task asks for ten or more.")
    return 0 if stream.good(fates) and sent.rows >= 10 else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (OSError, ValueError) as error:
        sys.exit(f"{NAME}: {error}")
    except KeyboardInterrupt:
        sys.exit(f"{NAME}: stopped by hand.")
