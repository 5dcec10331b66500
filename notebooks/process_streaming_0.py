"""Task 3: stream a CSV file, oldest row first, as UDP datagrams to localhost:9999.

Start a receiver in one terminal, in the top folder of the lab:

    python -m streamlib receive udp://localhost:9999 --out outputs/out_0.txt

and this program in another; Ctrl-C ends it before all rows are sent:

    python notebooks/process_streaming_0.py

Nobody tells this program whether a row arrived. So compare afterwards, and see whether the file is
of this run: an old one proves nothing.

    python -m streamlib compare data/batchfile_0_farenheit.csv outputs/out_0.txt

(If Python says that there is no module streamlib: README says how to activate the lab's Python.)
"""

import socket

from streamlib import home, records, rows, stream

INPUT = home.data / "batchfile_0_farenheit.csv"
ADDRESS = ("localhost", 9999)  # this machine, and a port: the number of a letter box on it
SECONDS = (1, 3)  # a pause of 1 to 3 seconds after each row, drawn at random


def main():
    """Read the rows, sort them by time, send each one as soon as it is due."""
    table = rows.oldest_first(rows.read(INPUT))
    print(f"Sending {len(table)} rows to port {ADDRESS[1]}, sorted by {table.by}. Ctrl-C ends it.")
    sent = 0
    # A UDP socket: it sends datagrams, one by one. `with` closes it, whatever happens.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            for row in stream.pace(table, every=SECONDS):
                # A datagram is bytes, so the row becomes text in JSON, and that becomes bytes.
                datagram = records.encode(sent + 1, row)
                sock.sendto(datagram, ADDRESS)
                sent += 1
                print(f"sent {sent}: {datagram.decode()}")
        except KeyboardInterrupt:
            print("Stopped by hand.")
        # Tell the receiver that this was all, and how much it was.
        sock.sendto(records.encode_end(sent), ADDRESS)
    print(f"{sent} rows sent.")


if __name__ == "__main__":
    main()
