"""A trial of a reliability layer: a sender and a receiver of the learner's over a bad network.

    def send(sock, lines): ...          # returns when every line has been acknowledged
    def receive(sock, deliver): ...     # deliver(line) for each line: once, and in order
    reliability.trial(send, receive, lines, impair.Network(loss=0.2, seed=1))

Both run in processes of their own, as workers of `processes.run`; `sock` is a connected UDP socket.
Its `recv` raises TimeoutError after half a second of silence; if it leaves `receive`, the stream is
over. So a receiver may simply run for ever.
"""

import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from streamlib import database, home, impair, processes, records, wire
from streamlib.stream import fates

if TYPE_CHECKING:
    import pandas as pd

SILENCE_S = 0.5


@dataclass
class Trial:
    """What came of it: fates (a table), the seconds it took to send, problems (sentences).

    log: each datagram that came to the network, as in `impair.Proxy`; output: what the two
    functions printed, and their tracebacks.
    """

    fates: "pd.DataFrame"
    seconds: float
    log: list[tuple]
    problems: list[str]
    output: dict[str, str]

    @property
    def ok(self) -> bool:
        """Whether each line was delivered once, unaltered and in order."""
        return not self.problems and fates.good(self.fates)

    def __repr__(self) -> str:
        return f"<trial: {' '.join([*self.problems, fates.verdict(self.fates)])}>"


def trial(
    send: Callable,
    receive: Callable,
    lines: Sequence[bytes],
    network: impair.Network,
    timeout_s: float = 15,
) -> Trial:
    """Send lines (records, as `records.encode` makes them) over a bad network; see what arrives.

    timeout_s: a trial that takes longer is ended, seconds (not scaled). Errors in the learner's
    functions end up in `problems`.
    """
    delivered = _fresh_file()
    with impair.Proxy(network) as proxy:
        front, back = proxy.url, proxy.back_url

        def sender(me):
            while not me.db.with_suffix(".ready").exists():
                time.sleep(0.002)
            with _connected(front) as sock:
                before = time.perf_counter()
                send(sock, lines)
                me.db.with_suffix(".seconds").write_text(repr(time.perf_counter() - before))

        def receiver(me):
            with _connected(back) as sock, wire.open_for_lines(delivered) as file:
                sock.send(b"")  # tells the network where it is
                me.db.with_suffix(".ready").touch()
                with suppress(TimeoutError):  # nothing comes any more: the stream is over
                    receive(sock, lambda line: wire.write_line(file, line))

        def setup(path: Path) -> None:
            database.fresh(path)
            path.with_suffix(".ready").unlink(missing_ok=True)

        plan = {"sender": sender, "receiver": receiver}
        run = processes.run(plan, setup=setup, timeout_s=timeout_s, label="reliability")
        end = {"seq": len(lines), "end": True}
        source = [records.decode(line)["row"] for line in lines]
        table = fates.reconcile(source, [*records.read(delivered), end])
        took = Path(run.db).with_suffix(".seconds")
        seconds = float(took.read_text(encoding="ascii")) if took.exists() else float("nan")
        problems = [said.replace("run.output", "trial.output") for said in run.problems]
        return Trial(table, seconds, list(proxy.log), problems, run.output)


def _fresh_file() -> Path:
    home.runs.mkdir(parents=True, exist_ok=True)
    path = home.runs / "delivered.txt"
    path.unlink(missing_ok=True)
    return path


def _connected(url: str) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.connect((urlsplit(url).hostname, urlsplit(url).port))
    sock.settimeout(SILENCE_S)
    return sock
