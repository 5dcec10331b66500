"""The programs for a terminal. They import late: the processes that they start import this file."""

import _thread
import argparse
import contextlib
import functools
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from streamlib import home


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one sentence."""

    def error(self, message: str) -> None:
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help.\n")


def pets(parser: Parser, arguments: Sequence[str]) -> int:
    """Run tasks 1 and 2: three processes insert two pets each into one database."""
    parser.add_argument("--hold", type=float, default=0, help="seconds that an insert takes (0)")
    parser.add_argument("--timeout", type=float, default=5, help="seconds to wait for the lock (5)")
    parser.add_argument("--out", help="the log file (outputs/out0.txt, out3.txt: named by --hold)")
    parser.add_argument("--db", help="the database file (a new one for each run)")
    parser.add_argument("--keep", action="store_true", help="keep the rows that are in --db")
    given = parser.parse_args(arguments)
    from streamlib import database, logs, processes

    plan = {p: database.pets(two, given.hold, given.timeout) for p, two in database.PETS.items()}
    with logs.Log(given.out or home.outputs / f"out{given.hold:g}.txt") as log:
        log.opening(given.hold, given.timeout, given.db or "of this run alone")
        setup = functools.partial(database.fresh, keep=given.keep)
        run = processes.run(plan, db=given.db, setup=setup, timeout_s=3600, watch=log.watch)
        return log.closing(run, expected=6)


def receive(parser: Parser, arguments: Sequence[str]) -> int:
    """Write the rows that arrive at a URL to a file."""
    parser.add_argument("url", help="where to listen, such as udp://localhost:9999")
    parser.add_argument("--out", required=True, help="the file, such as outputs/out9.txt")
    parser.add_argument("--limit", type=int, help="end after this number of rows")
    parser.add_argument("--format", choices=("json", "course"), default="json", help="(json)")
    parser.add_argument("--stamp", action="store_true", help="note when each row arrived")
    given = parser.parse_args(arguments)
    from streamlib import stream

    def listening(at) -> None:
        home.say(f"Listening on {at.url} for {given.out} ; Ctrl-C ends it.", at.note)

    shown_at = 0.0

    def watch(count: int, line: bytes) -> None:
        nonlocal shown_at
        if time.monotonic() > shown_at + 0.2:  # more often would slow the receiver down
            shown_at, text = time.monotonic(), repr(line.decode(errors="replace"))
            home.say(f"{count:,} received, the last: {text[1:-1]:.100}")

    done = stream.receive(**vars(given), listening=listening, watch=watch)
    home.say(f"{done.rows:,} rows written to {given.out}; {done.ended}.", *done.problems, sep="\n")
    return 0 if done.ok else 1


def send(parser: Parser, arguments: Sequence[str]) -> int:
    """Send the rows of a CSV file to a URL, one by one."""
    parser.add_argument("csv", help="the file, such as data/penguins.csv")
    parser.add_argument("--to", required=True, help="such as udp://localhost:9999 or file:out9.txt")
    parser.add_argument("--every", type=float, nargs="+", help="seconds between rows, or a range")
    parser.add_argument("--limit", type=int, help="end after this number of rows")
    parser.add_argument("--seed", type=int, help="for the pauses within a range")
    parser.add_argument("--oldest-first", action="store_true", help="sort by time first")
    parser.add_argument("--by", help="sort by this column, a time or a number")
    parser.add_argument("--format", choices=("json", "course"), default="json", help="(json)")
    given, reading = _with_reading(parser, arguments)
    from streamlib import rows, stream, wire

    table, endpoint = rows.read(given.csv, **reading), wire.parse(given.to)
    home.say(table)
    if given.oldest_first or given.by:
        table = rows.oldest_first(table, given.by)
        home.say(f"Oldest first, by {table.by}.")

    def shown() -> Iterator[dict]:  # asked for its first row once the file or socket is open
        home.say(f"Sending {given.csv} to {endpoint.url} ; Ctrl-C ends it.", endpoint.note)
        for seq, row in enumerate(table, start=1):
            yield row
            if given.every:  # when the next one is asked for, this one has been sent
                home.say(f"sent {seq:,}: {dict(row)!s:.100}")

    told, options = shown(), ("every", "limit", "seed", "format")
    done = stream.send(told, given.to, **{name: getattr(given, name) for name in options})
    if done.ended == "limit reached":
        next(told, None)  # to tell of the last one, too
    home.say(f"{done.rows:,} rows sent; {done.ended}.", *done.problems, *table.problems, sep="\n")
    return 0 if done.ok else 1


def compare(parser: Parser, arguments: Sequence[str]) -> int:
    """Compare the rows that were received with their source, one by one."""
    parser.add_argument("source", help="the CSV file that was sent, or another out9.txt")
    parser.add_argument("received", help="the file that the receiver wrote")
    given, reading = _with_reading(parser, arguments)
    from streamlib import records, rows, stream

    source = rows.read(given.source, **reading) if set(reading.values()) - {None} else given.source
    fates = stream.in_sent_order(source, given.received)
    sent = [one["sent"] for one in records.read(given.received) if 0 < one["sent"] < 2**32]
    if sent:  # an old file proves nothing about a new stream
        home.say(f"The rows were sent from {time.ctime(min(sent))} to {time.ctime(max(sent))}.")
    home.say(*stream.told(fates), stream.verdict(fates), sep="\n")
    return 0 if stream.good(fates) else 1


def impair(parser: Parser, arguments: Sequence[str]) -> int:
    """Put a bad network between a sender and a receiver."""
    parser.add_argument("url", help="where to listen for the sender, such as udp://localhost:9998")
    parser.add_argument("--to", required=True, help="the receiver, such as udp://localhost:9999")
    for name in ("--loss", "--duplicate", "--reorder"):
        parser.add_argument(name, type=float, default=0, help="a probability, from 0 to 1 (0)")
    for name, words in (("delay", "seconds one way (0)"), ("jitter", "at most this much more (0)")):
        parser.add_argument(f"--{name}", type=float, default=0, dest=f"{name}_s", help=words)
    parser.add_argument("--rate", type=float, help="bytes a second (no limit)")
    parser.add_argument("--seed", type=int, default=0, help="for all that is random here (0)")
    given = vars(parser.parse_args(arguments))
    from streamlib.network import Network, Proxy

    url, to = given.pop("url"), given.pop("to")
    with Proxy(Network(**given), to, url) as proxy:
        home.say(f"Impairing {proxy.url} on the way to {to} ; Ctrl-C ends it.", proxy.note)
        with contextlib.suppress(KeyboardInterrupt):
            while True:
                time.sleep(0.1)
    home.say(", ".join(f"{n:,} {what}" for what, n in proxy.counts.items() if n) or "nothing came")
    return 0


def clear(parser: Parser, arguments: Sequence[str]) -> int:
    """Remove the stored outputs from your notebooks."""
    parser.add_argument("notebooks", nargs="*", help="which ones (all in notebooks/)")
    named, status = parser.parse_args(arguments).notebooks, 0
    for path in map(Path, named or sorted(home.root.glob("notebooks/*.ipynb"))):
        try:
            home.clear_outputs(path)
            home.say(f"cleared {path.name}")
        except ValueError as error:
            status = 2
            home.say(f"{parser.prog}: {error}", file=sys.stderr)
    return status


def lab(parser: Parser, arguments: Sequence[str]) -> int:
    """Open the lab in JupyterLab; options go on to it, such as --no-browser."""
    from streamlib.lab import open_lab

    return open_lab(arguments)


PROGRAMS = {one.__name__: one for one in (pets, receive, send, compare, impair, clear, lab)}


def _with_reading(parser: Parser, arguments: Sequence[str]) -> tuple[argparse.Namespace, dict]:
    """Return what was given, and also what tells `rows.read` how to read the CSV file."""
    parser.add_argument("--encoding", help="of the CSV file, such as cp1252 (guessed)")
    parser.add_argument("--delimiter", help="between its fields, such as ';' (guessed)")
    parser.add_argument("--header", action=argparse.BooleanOptionalAction, help="is there one?")
    given = parser.parse_args(arguments)
    return given, {name: getattr(given, name) for name in ("encoding", "delimiter", "header")}


def _stop_when_told() -> None:
    """Stop as at Ctrl-C when a word comes by standard input, or when its starter has died."""
    os.read(0, 1)  # not sys.stdin, whose lock would be held when Python ends
    _thread.interrupt_main()


def main(arguments: Sequence[str]) -> int:
    """Run a program; return 0 if no loss is known, 1 for rows lost or altered, 2 if it fails."""
    words = "\n".join(f"  {name:9}{one.__doc__}" for name, one in PROGRAMS.items())
    kind = argparse.RawDescriptionHelpFormatter
    parser = Parser(prog="python -m streamlib", description=words, formatter_class=kind)
    parser.add_argument("program", choices=PROGRAMS, help="followed by its own arguments")
    program = PROGRAMS[parser.parse_args(arguments[:1]).program]
    parser = Parser(prog=f"{parser.prog} {program.__name__}", description=program.__doc__)
    if os.environ.get("STREAMLIB_STOP_AT_EOF"):
        _thread.start_new_thread(_stop_when_told, ())
    try:
        return program(parser, arguments[1:])
    except (OSError, ValueError) as error:
        home.say(f"{parser.prog}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Stopped; nothing was left running.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
