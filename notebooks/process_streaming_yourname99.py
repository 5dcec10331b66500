"""Task 4, optional: send the rows of out9.txt through UDP into out99.txt, and prove both equal.

First run process_streaming_yourname.py. Then run this program in a terminal, in the lab's top
folder; README says how to activate on Windows:

    source .venv/bin/activate
    python notebooks/process_streaming_yourname99.py

It starts a receiver, a second process, on a free port. Then both files have the same rows in the
same order. Only the times at which the rows were sent differ, and they are not compared.
"""

import sys

from streamlib import home, programs, records, stream

OUT9 = home.outputs / "out9.txt"
OUT99 = home.outputs / "out99.txt"


def main():
    """Stream the rows of out9.txt to a receiver that writes out99.txt, then compare the two."""
    if not OUT9.exists() or not any(records.read(OUT9)):
        raise OSError(f"{OUT9.name} has no rows: run process_streaming_yourname.py first.")
    source = (record["row"] for record in records.read(OUT9))
    with programs.receive(OUT99) as receiver:
        sent = stream.send(source, receiver.url, every=0.1)
        print(f"{sent.rows} rows sent to {receiver.url}; {sent.ended}.")
        receiver.wait()

    fates = stream.reconcile(OUT9, OUT99)
    print(f"out99.txt compared with out9.txt: {stream.verdict(fates)}")
    return 0 if stream.good(fates) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (OSError, ValueError) as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit("Stopped by hand.")
