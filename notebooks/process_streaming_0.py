"""Task 3: stream a CSV file, oldest row first, as UDP datagrams to localhost:9999.

In one terminal, in the lab's top folder, start a receiver; README says how to activate on Windows:

    source .venv/bin/activate
    python -m streamlib receive udp://localhost:9999 --out outputs/out_0.txt

In another terminal, start this program; Ctrl-C ends it before all rows are sent:

    source .venv/bin/activate
    python notebooks/process_streaming_0.py

Nobody tells this program whether a row arrived, so compare afterward, and check when the rows were
sent: an old file proves nothing.

    python -m streamlib compare data/batchfile_0_farenheit.csv outputs/out_0.txt
"""

import socket
import sys

from streamlib import home, records, rows, stream

INPUT = home.data / "batchfile_0_farenheit.csv"
# The number of a mailbox on this machine. If others use it, choose another one from 1024 to 65535,
# here and for your receiver.
PORT = 9999
ADDRESS = ("localhost", PORT)  # localhost is this machine
SECONDS = (1, 3)  # a random pause of 1 to 3 seconds after each row


def main():
    """Read the rows, sort them by time, and send each one when it is due."""
    if PORT not in range(1024, 65_536):
        raise ValueError(f"PORT is {PORT!r}: give a whole number from 1024 to 65535.")
    table = rows.oldest_first(rows.read(INPUT))
    # home.say prints; unlike print, it goes on where nobody can read it, as after `| head`.
    home.say(f"Sending {len(table)} rows to port {ADDRESS[1]}, by {table.by}. Ctrl-C ends it.")
    sent = 0
    # A UDP socket sends datagrams, one by one. `with` closes it, whatever happens.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            for row in stream.pace(table, every=SECONDS):
                # A datagram is bytes: the row becomes JSON text, and the text becomes bytes.
                datagram = records.encode(sent + 1, row)
                if len(datagram) > 65_507:
                    raise ValueError(f"row {sent + 1} is too long: a datagram takes 65,507 bytes.")
                sock.sendto(datagram, ADDRESS)
                sent += 1
                home.say(f"sent {sent}: {datagram.decode()}")
        except KeyboardInterrupt:
            home.say("Stopped by hand.")
        finally:
            # Whatever happened, tell the receiver how many rows there were; no more will come.
            sock.sendto(records.encode_end(sent), ADDRESS)
    home.say(f"{sent} rows sent.")


if __name__ == "__main__":
    try:
        main()
    except (OSError, ValueError) as error:
        sys.exit(f"process_streaming_0.py: {error}")
    except KeyboardInterrupt:
        sys.exit("Stopped by hand before a row was sent.")
