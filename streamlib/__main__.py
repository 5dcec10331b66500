"""The lab's programs for a terminal: python -m streamlib pets --hold 3 --timeout 5.

What a program needs is imported when it is chosen: children import this module again.
"""

import argparse
import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one program; return its exit status: 0 well, 1 rows were lost, 2 cannot be done."""
    parser = argparse.ArgumentParser(prog="python -m streamlib")
    programs = parser.add_subparsers(dest="program", required=True)

    pets = programs.add_parser(
        "pets", help="three processes insert two pets each into one database (tasks 1 and 2)"
    )
    pets.add_argument("--hold", type=float, default=0, help="seconds an insert takes (0)")
    pets.add_argument("--timeout", type=float, default=5, help="seconds to wait for the lock (5)")
    pets.add_argument("--out", help="the log file (outputs/out0.txt, out3.txt: by --hold)")
    pets.add_argument("--db", help="the database file (one of the run's own)")
    pets.add_argument("--keep", action="store_true", help="keep the rows already in --db")

    receive = programs.add_parser("receive", help="write the rows that arrive at a URL to a file")
    receive.add_argument("url", help="where to listen, such as udp://localhost:9999")
    receive.add_argument("--out", required=True, help="the file, such as outputs/out9.txt")
    receive.add_argument("--limit", type=int, help="leave after so many rows")
    receive.add_argument("--format", choices=("json", "course"), default="json", help="(json)")

    receive.add_argument("--stamp", action="store_true", help="note when each row came")

    impair = programs.add_parser("impair", help="a bad network between a sender and a receiver")
    impair.add_argument("url", help="where to send to, such as udp://localhost:9998")
    impair.add_argument("--to", required=True, help="the receiver, such as udp://localhost:9999")
    for name in ("loss", "duplicate", "reorder"):
        impair.add_argument(f"--{name}", type=float, default=0, help="a probability, 0 to 1 (0)")
    impair.add_argument("--delay", type=float, default=0, help="seconds one way (0)")
    impair.add_argument("--jitter", type=float, default=0, help="at most so much more (0)")
    impair.add_argument("--rate", type=float, help="bytes a second (no limit)")
    impair.add_argument("--seed", type=int, default=0, help="of all that is random here (0)")

    send = programs.add_parser("send", help="send the rows of a CSV file to a URL, one by one")
    send.add_argument("csv", help="the file, such as data/penguins.csv")
    send.add_argument("--to", required=True, help="such as udp://localhost:9999 or file:out9.txt")
    send.add_argument(
        "--every", type=float, nargs="+", metavar="S", help="seconds from row to row, or two bounds"
    )
    send.add_argument("--limit", type=int, help="stop after so many rows")
    send.add_argument("--seed", type=int, help="for the pauses between two bounds")
    send.add_argument("--oldest-first", action="store_true", help="sort by time first")
    send.add_argument("--by", help="sort by this column, a time or a number")
    send.add_argument("--format", choices=("json", "course"), default="json", help="(json)")

    compare = programs.add_parser("compare", help="hold what was received against its source")
    compare.add_argument("source", help="the CSV file that was sent, or another out9.txt")
    compare.add_argument("received", help="the file that the receiver wrote")

    clear = programs.add_parser("clear", help="remove the outputs stored in your notebooks")
    clear.add_argument("notebooks", nargs="*", help="which (all in notebooks/)")

    given = parser.parse_args(arguments)
    for screen in (sys.stdout, sys.stderr):
        if hasattr(screen, "reconfigure"):  # a letter that it does not have stops no stream
            screen.reconfigure(errors="backslashreplace")
    if os.environ.get("STREAMLIB_STOP_AT_EOF"):
        _stop_at_eof()
    try:
        return globals()[f"_{given.program}"](given)
    except (OSError, ValueError) as error:
        print(f"{parser.prog} {given.program}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Stopped; nothing was left running.", file=sys.stderr)
        return 130


def _pets(given: argparse.Namespace) -> int:
    from functools import partial

    from streamlib import database, home, logs, processes

    home.outputs.mkdir(parents=True, exist_ok=True)
    plan = {
        name: database.pets(pets, given.hold, given.timeout) for name, pets in database.PETS.items()
    }
    log = logs.start(given.out or home.outputs / f"out{given.hold:g}.txt")
    try:
        logs.opening(log, given.hold, given.timeout, given.db or "of this run's own")
        run = processes.run(
            plan,
            db=given.db,
            setup=partial(database.fresh, keep=given.keep),
            timeout_s=60 + 10 * (given.hold + given.timeout),
            label=f"pets {given.hold:g} s",
            watch=logs.watcher(log),
        )
        return logs.closing(log, run, expected=sum(map(len, database.PETS.values())))
    finally:
        logs.finish(log)


def _receive(given: argparse.Namespace) -> int:
    from streamlib import stream

    def listening(endpoint):
        print(f"Listening on {endpoint.url} ; rows go to {given.out} ; Ctrl-C ends it.")
        print(endpoint.note, end="\n" * bool(endpoint.note), flush=True)

    def watch(count: int, line: bytes) -> None:
        print(f"{count:,} received, the last: {_short(line.decode(errors='replace'))}", flush=True)

    tell = _Seldom(watch)
    done = stream.receive(
        given.url,
        given.out,
        limit=given.limit,
        format=given.format,
        stamp=given.stamp,
        listening=listening,
        watch=tell,
    )
    tell.last()
    print(f"{done.rows:,} rows written to {given.out}; {done.ended}.", *done.problems, sep="\n")
    return 0 if done.ok else 1


def _impair(given: argparse.Namespace) -> int:
    import signal
    import threading

    from streamlib import impair

    network = impair.Network(
        loss=given.loss,
        duplicate=given.duplicate,
        reorder=given.reorder,
        delay_s=given.delay,
        jitter_s=given.jitter,
        rate=given.rate,
        seed=given.seed,
    )
    over = threading.Event()
    signal.signal(signal.SIGINT, lambda *_: over.set())
    with impair.Proxy(network, given.to, given.url) as proxy:
        print(f"Impairing {proxy.url} on the way to {given.to} ; Ctrl-C ends it.", flush=True)
        while not over.wait(0.2):
            pass
    print(", ".join(f"{count:,} {what}" for what, count in proxy.counts.items()) or "nothing came")
    return 0


def _send(given: argparse.Namespace) -> int:
    from streamlib import rows, stream, wire

    table = rows.read(given.csv)
    every = given.every and (given.every[0] if len(given.every) == 1 else tuple(given.every))
    endpoint = wire.parse(given.to)
    first = f"Sending {given.csv} to {endpoint.url} ; Ctrl-C ends it. {endpoint.note}".rstrip()
    if given.oldest_first or given.by:
        table = rows.oldest_first(table, given.by)
        first += f"\nOldest first, by {table.by}."
    tell = _Seldom(lambda seq, row: print(f"sent {seq:,}: {_short(str(dict(row)))}", flush=True))
    done = stream.send(
        _told(table, first, tell),
        given.to,
        every=every,
        limit=given.limit,
        seed=given.seed,
        format=given.format,
    )
    if tell.pending and tell.pending[0] <= done.rows:
        tell.last()
    print(f"{done.rows:,} rows sent; {done.ended}.", *done.problems, *table.odd, sep="\n")
    return 0 if done.ok else 1


def _compare(given: argparse.Namespace) -> int:
    from streamlib import rows
    from streamlib.stream import fates

    source = fates.load(given.source)
    table, how = fates.reconcile(source, given.received), ""
    if not fates.good(table):
        try:
            oldest_first = rows.oldest_first(source)
            other = fates.reconcile(oldest_first, given.received)
        except ValueError:
            other = table  # there is nothing to sort it by
        if fates.count_good(other) > fates.count_good(table):
            table, how = other, f"The source was taken oldest first, by {oldest_first.by}."
    bad = table[~table["fate"].isin(fates.GOOD)]
    if len(bad):
        print(bad.head(20).to_string(index=False, na_rep="", max_colwidth=48))
        print(f"... and {len(bad) - 20:,} more" if len(bad) > 20 else "")
    print(_when(given.received), how, sep="\n" if how else "")
    print(fates.verdict(table))
    if not fates.count_good(table):
        print(f"No row of {given.source} came in order: are these the files, the source first?")
    return 0 if fates.good(table) else 1


def _when(received: str) -> str:
    """When the rows in a file were sent: an old file proves nothing of a new stream."""
    from datetime import datetime

    from streamlib import records

    try:
        sent = [record["sent"] for record in records.read(received)]
        first, last = (datetime.fromtimestamp(one) for one in (min(sent), max(sent)))
    except (OSError, ValueError, OverflowError):
        return f"When the rows of {received} were sent is not known."
    return f"The rows in {received} were sent on {first:%d %B %Y, %H:%M:%S} to {last:%H:%M:%S}."


def _told(table: Iterable[dict], first: str, tell: "_Seldom") -> Iterator[dict]:
    """Pass the rows on, and print some that were sent: not so often that it slows the stream."""
    print(first, flush=True)  # when a row is asked for: by then the file or socket is open
    for seq, row in enumerate(table, start=1):
        tell.pending = (seq, row)
        yield row
        tell(seq, row)  # the next one is asked for: this one has been sent


class _Seldom:
    """Acts at most five times a second; `last` makes up for the last call, if it was left out."""

    def __init__(self, act):
        self.act, self.pending, self.at, self.skipped = act, None, 0.0, False

    def __call__(self, *arguments: object) -> None:
        now = time.monotonic()
        self.pending = arguments
        if now - self.at >= 0.2:
            self.at = now
            self.last()
        else:
            self.skipped = True

    def last(self) -> None:
        if self.pending:
            if self.skipped:
                print("(not every row is shown)")
                self.skipped = False
            self.act(*self.pending)
            self.pending = None


def _short(text: str) -> str:
    text = "".join(letter if letter.isprintable() else "?" for letter in text[:101])
    return text if len(text) <= 100 else text[:99] + "…"


def _stop_at_eof() -> None:
    """Stop as at Ctrl-C when standard input ends: its starter wants it so, or has died."""
    import _thread
    import threading

    def wait() -> None:
        while os.read(0, 4096):  # not sys.stdin, whose lock would be held when Python ends
            pass
        _thread.interrupt_main()

    threading.Thread(target=wait, daemon=True).start()


def _clear(given: argparse.Namespace) -> int:
    from streamlib import home

    for path in home.clear_outputs(given.notebooks):
        print(f"cleared {path.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
