"""How fast the streams are, beside what one would use instead; nothing here is asserted.
`python -m streamlib.tests.benchmarks` runs them and has their targets.

Contenders take turns within each round, since a busy machine has slow and fast seconds. Senders
and receivers are processes of their own, as a learner has them: this file is also their program.
"""

import contextlib
import csv
import json
import socket
import statistics
import subprocess
import sys
import time
from collections import deque
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from streamlib import records, rows, stream
from streamlib.tests import reliable

ROWS = 100_000
MILLION = 1_000_000
COLUMNS = ["Year", "Month", "Day", "Time", "TempF"]


@pytest.fixture(autouse=True)
def at_full_scale(monkeypatch):
    """A pace is kept as learners have it."""
    monkeypatch.setenv("STREAMLIB_SCALE", "1")


def temperatures(path, count):
    """Write a CSV file of so many rows."""
    with open(path, "w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(COLUMNS)
        for n in range(count):
            day = [2013 + n // 8760 % 10, n // 730 % 12 + 1, n // 24 % 28 + 1, f"{n % 24}:00"]
            table.writerow([*day, f"{40 + n * 7919 % 4000 / 100:.2f}"])
    return path


# Programs: each a way to send or to receive, in a process of its own


def bare_receive(out):
    """The contender: a socket, a loop, the same decoding, a write for each row."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock,
        open(out, "wb", buffering=0) as file,
    ):
        sock.bind(("127.0.0.1", 0))
        print(sock.getsockname()[1], flush=True)
        while True:
            line = sock.recv(65_535)
            if "end" in json.loads(line):
                break
            file.write(line + b"\n")


def bare_send(path, port):
    """The contender: csv, json and sendto in a loop."""
    with (
        open(path, encoding="utf-8", newline="") as file,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock,
    ):
        table = csv.reader(file)
        names = next(table)
        _send_all((dict(zip(names, row, strict=True)) for row in table), sock, port)


def pandas_send(path, port):
    """The contender of those who know pandas: iterrows."""
    import pandas as pd

    frame = pd.read_csv(path, dtype=str)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        _send_all((row.to_dict() for _, row in frame.iterrows()), sock, port)


def _send_all(table, sock, port):
    address, before = ("127.0.0.1", int(port)), time.perf_counter()
    for seq, row in enumerate(table, start=1):
        record = {"seq": seq, "sent": time.time(), "row": row}
        sock.sendto(json.dumps(record, ensure_ascii=False).encode(), address)
    print(time.perf_counter() - before)
    for _ in range(5):  # one of them will find room in the receiver's buffer
        time.sleep(0.1)
        sock.sendto(b'{"end": true}', address)


def lab_receive(out):
    """Ours; prints its port, and at the end what it received and its peak memory."""
    got = stream.receive(
        "udp://localhost:0", out, listening=lambda it: print(it.address[1], flush=True)
    )
    print(json.dumps({"rows": got.rows, "peak_kb": peak_kb()}))


def lab_send(path, port):
    """Ours; prints the seconds, and its peak memory."""
    table, before = rows.read(path), time.perf_counter()
    sent = stream.send(table, f"udp://localhost:{port}")
    print(time.perf_counter() - before, sent.rows, peak_kb())


def peak_kb():
    """The most memory that this process has had, in kB (Linux).

    Not resource.getrusage: its figure begins with that of the process that started this one.
    """
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0])


def bare_tcp_receive(out):
    """The contender: the lines of a buffered makefile, the same decoding, written as they come."""
    with socket.create_server(("127.0.0.1", 0)) as server, open(out, "wb") as file:
        print(server.getsockname()[1], flush=True)
        connection, _ = server.accept()
        with connection, connection.makefile("rb") as lines:
            for line in lines:
                json.loads(line)
                file.write(line)
            file.flush()
            connection.sendall(b"written")


def bare_tcp_send(path, port):
    """The contender: csv, json, and a buffered makefile."""
    with open(path, encoding="utf-8", newline="") as file:
        table = csv.reader(file)
        names = next(table)
        with socket.create_connection(("127.0.0.1", int(port))) as sock:
            before = time.perf_counter()
            with sock.makefile("wb") as out:
                for seq, row in enumerate(table, start=1):
                    row = dict(zip(names, row, strict=True))
                    record = {"seq": seq, "sent": time.time(), "row": row}
                    out.write(json.dumps(record, ensure_ascii=False).encode() + b"\n")
            sock.shutdown(socket.SHUT_WR)
            sock.recv(100)
            print(time.perf_counter() - before)


def zmq_receive(out):
    """The contender: a PULL socket of pyzmq."""
    import zmq

    with zmq.Context() as context, context.socket(zmq.PULL) as pull, open(out, "wb") as file:
        print(pull.bind_to_random_port("tcp://127.0.0.1"), flush=True)
        with context.socket(zmq.PUSH) as done:
            print(done.bind_to_random_port("tcp://127.0.0.1"), flush=True)
            while (line := pull.recv()) != b"end":
                json.loads(line)
                file.write(line + b"\n")
            file.flush()
            done.send(b"written")


def zmq_send(path, port, done):
    """The contender: a PUSH socket of pyzmq; its second one waits for the receiver's word."""
    import zmq

    with (
        zmq.Context() as context,
        context.socket(zmq.PUSH) as push,
        context.socket(zmq.PULL) as written,
        open(path, encoding="utf-8", newline="") as file,
    ):
        push.connect(f"tcp://127.0.0.1:{port}")
        written.connect(f"tcp://127.0.0.1:{done}")
        table = csv.reader(file)
        names = next(table)
        before = time.perf_counter()
        for seq, row in enumerate(table, start=1):
            record = {"seq": seq, "sent": time.time(), "row": dict(zip(names, row, strict=True))}
            push.send(json.dumps(record, ensure_ascii=False).encode())
        push.send(b"end")
        written.recv()
        print(time.perf_counter() - before)


def stamped_receive(out, scheme):
    """Ours, each row stamped at its arrival."""
    stream.receive(
        f"{scheme}://localhost:0",
        out,
        stamp=True,
        listening=lambda it: print(it.address[1], flush=True),
    )
    came = [record["received"] - record["sent"] for record in records.read(out)]
    print(statistics.median(came))


def paced_send(path, port, scheme):
    """Ours, a thousand rows a second."""
    stream.send(rows.read(path), f"{scheme}://localhost:{port}", every=0.001)


def bare_stamped_receive(out, scheme):
    """The contender: a blocking loop that decodes, stamps and writes."""
    came = []
    kind = socket.SOCK_DGRAM if scheme == "udp" else socket.SOCK_STREAM
    with socket.socket(socket.AF_INET, kind) as sock, open(out, "wb", buffering=0) as file:
        sock.bind(("127.0.0.1", 0))
        print(sock.getsockname()[1], flush=True)
        if scheme == "tcp":
            sock.listen()
            lines = sock.accept()[0].makefile("rb")
            take = lines.readline
        else:
            take = partial(sock.recv, 65_535)
        while "end" not in (record := json.loads(take())):
            file.write(json.dumps(record).encode() + b"\n")
            came.append(time.time() - record["sent"])
    print(statistics.median(came))


def bare_paced_send(path, port, scheme):
    """The contender: encode and send in a loop, at the same deadlines."""
    kind = socket.SOCK_DGRAM if scheme == "udp" else socket.SOCK_STREAM
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.connect(("127.0.0.1", int(port)))
        if scheme == "tcp":
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        due = time.perf_counter()
        for seq, row in enumerate(rows.read(path), start=1):
            time.sleep(max(0, due - time.perf_counter()))
            record = {"seq": seq, "sent": time.time(), "row": row}
            sock.sendall(json.dumps(record, ensure_ascii=False).encode() + b"\n")
            due += 0.001
        sock.sendall(b'{"end": true}\n')


def layer_receive(out):
    """The reference of the learner's layer, with the work that the lab's receiver does."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock,
        open(out, "wb", buffering=0) as file,
    ):
        sock.bind(("127.0.0.1", 0))
        print(sock.getsockname()[1], flush=True)
        _, sender = sock.recvfrom(100, socket.MSG_PEEK)
        sock.connect(sender)
        sock.settimeout(1)

        def deliver(line):
            records.decode(line)
            file.write(line + b"\n")

        with contextlib.suppress(TimeoutError, ConnectionError):
            reliable.receive(sock, deliver)


def layer_send(path, port):
    """The reference of the learner's layer; prints the seconds until all was acknowledged."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("127.0.0.1", int(port)))
        before = time.perf_counter()
        lines = [records.encode(seq, row) for seq, row in enumerate(rows.read(path), start=1)]
        reliable.send(sock, lines)
        print(time.perf_counter() - before)


def tcp_receive(out):
    """Ours, over TCP."""
    stream.receive("tcp://localhost:0", out, listening=lambda it: print(it.address[1], flush=True))


def tcp_send(path, port):
    """Ours, over TCP at full speed; prints the seconds until all was acknowledged."""
    table, before = rows.read(path), time.perf_counter()
    stream.send(table, f"tcp://localhost:{port}")
    print(time.perf_counter() - before)


def under_loss(path, folder):
    """The layer and TCP side by side, on a network that loses; print their seconds."""
    folder = Path(folder)
    for _ in range(5):
        (layer,), _ = through("layer_receive", "layer_send", folder / "layer", path)
        (tcp,), _ = through("tcp_receive", "tcp_send", folder / "tcp", path)
        for out in ("layer", "tcp"):
            assert stream.good(stream.reconcile(path, folder / out))
        print(layer, tcp, flush=True)


def sleep_loop(step_s, count):
    """Yield after each sleep, as most programs do."""
    for n in range(count):
        yield n
        time.sleep(step_s)


def lab_pace(step_s, count):
    """The same by deadlines."""
    return stream.pace(range(count), step_s)


def keep(way, step_s="0.005", count="1000"):
    """Keep a pace; print how late each record was, and the CPU time that it took, seconds."""
    step_s, count = float(step_s), int(count)
    late, cpu, start = [], time.process_time(), 0.0
    for n in {"sleep": sleep_loop, "pace": lab_pace}[way](step_s, count):
        now = time.perf_counter()
        start = now if n == 0 else start
        late.append(now - start - n * step_s)
    print(json.dumps([late, time.process_time() - cpu]))


def program(*words):
    """Start one of the functions above as a process."""
    command = [sys.executable, "-m", "streamlib.tests.stream_benchmarks", *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8")


def through(receive, send, out, path, *options, ports=1):
    """Send a file to a receiver; return what sender and receiver printed."""
    receiver = program(receive, out, *options)
    numbers = [receiver.stdout.readline().strip() for _ in range(ports)]
    sender = program(send, path, *numbers, *options)
    said = sender.communicate(timeout=600)[0].split()
    return said, receiver.communicate(timeout=600)[0]


# Benchmarks


@pytest.mark.benchmark(group="streams")
def test_udp(benchmark, tmp_path):
    """A CSV file through UDP into a file: ours, a bare loop, iterrows."""
    path = temperatures(tmp_path / "source.csv", ROWS)
    bare, pandas, lost = [], [], []

    def compare():
        said, got = through("lab_receive", "lab_send", tmp_path / "out", path)
        ours = float(said[0])
        lost.append(ROWS - json.loads(got)["rows"])
        said, _ = through("bare_receive", "bare_send", tmp_path / "bare", path)
        bare.append(float(said[0]) / ours)
        said, _ = through("bare_receive", "pandas_send", tmp_path / "bare", path)
        pandas.append(float(said[0]) / ours)

    benchmark.pedantic(compare, rounds=5)
    benchmark.extra_info["udp/bare"] = statistics.median(bare)
    benchmark.extra_info["udp/iterrows"] = statistics.median(pandas)
    benchmark.extra_info["lost"] = sum(lost)


@pytest.mark.benchmark(group="streams")
def test_memory(benchmark, tmp_path):
    """The peak memory of a 200 MB stream above that of one of ten rows, MB; the larger one."""
    few = temperatures(tmp_path / "few.csv", 10)
    large = tmp_path / "large.csv"
    with open(large, "w", encoding="utf-8", newline="") as file:
        file.write("number,text\n")
        for n in range(400_000):
            file.write(f"{n},{'some words of which there are many ' * 15}\n")
    assert large.stat().st_size > 200_000_000

    def peaks(path):
        said, got = through("lab_receive", "lab_send", tmp_path / "out", path)
        return int(said[2]), json.loads(got)["peak_kb"]

    def compare():
        above = [b - a for a, b in zip(peaks(few), peaks(large), strict=True)]
        benchmark.extra_info["sender"], benchmark.extra_info["receiver"] = (
            mb / 1024 for mb in above
        )

    benchmark.pedantic(compare, rounds=1)


@pytest.mark.benchmark(group="streams")
def test_pace(benchmark):
    """A thousand records, one each 5 ms: a loop that sleeps, and deadlines."""
    offs, p99s, cpus = [], [], []

    def compare():
        (slept, slept_cpu), (paced, paced_cpu) = (
            json.loads(program("keep", way).communicate(timeout=60)[0]) for way in ("sleep", "pace")
        )
        offs.append(abs(paced[-1]) / slept[-1])
        p99s.append(1000 * float(np.percentile(paced, 99)))
        cpus.append(paced_cpu / slept_cpu)

    benchmark.pedantic(compare, rounds=3)
    benchmark.extra_info["off"] = statistics.median(offs)
    benchmark.extra_info["p99"] = statistics.median(p99s)
    benchmark.extra_info["cpu"] = statistics.median(cpus)


@pytest.mark.benchmark(group="a million rows reconciled")
def test_reconcile(benchmark, tmp_path):
    """Source against records, beside a bare loop that only reads the same two files."""
    source, out = temperatures(tmp_path / "source.csv", MILLION), tmp_path / "out"
    stream.send(rows.read(source), f"file:{out}")
    ratios = []

    def bare():
        with open(source, encoding="utf-8", newline="") as file:
            deque(csv.DictReader(file), maxlen=0)
        with open(out, encoding="utf-8") as file:
            deque(map(json.loads, file), maxlen=0)

    def compare():
        before = time.perf_counter()
        bare()
        between = time.perf_counter()
        fates = stream.reconcile(source, out)
        ratios.append((time.perf_counter() - between) / (between - before))
        assert stream.good(fates)

    benchmark.pedantic(compare, rounds=3)
    benchmark.extra_info["reconcile/bare"] = statistics.median(ratios)


@pytest.mark.benchmark(group="lines without numbers")
def test_reconcile_equal_lines(benchmark, tmp_path):
    """10,000 lines of which 4 are distinct, with some lost and some that came twice."""
    source, out = [{"kind": str(n * n % 7)} for n in range(10_000)], tmp_path / "out"
    lines = [f"[{row['kind']}]" for row in source]
    changed = lines[:2000] + lines[2001:6000] + lines[5999:]
    out.write_text("".join(f"{line}\n" for line in changed), encoding="utf-8")
    benchmark.pedantic(stream.reconcile, (source, out), rounds=3)


@pytest.mark.benchmark(group="streams")
def test_tcp(benchmark, tmp_path):
    """A CSV file through TCP into a file: ours, a buffered makefile, pyzmq."""
    path = temperatures(tmp_path / "source.csv", 2 * ROWS)
    bare, zmq = [], []

    def compare():
        said, _ = through("tcp_receive", "tcp_send", tmp_path / "out", path)
        ours = float(said[0])
        said, _ = through("bare_tcp_receive", "bare_tcp_send", tmp_path / "bare", path)
        bare.append(float(said[0]) / ours)
        said, _ = through("zmq_receive", "zmq_send", tmp_path / "zmq", path, ports=2)
        zmq.append(float(said[0]) / ours)

    benchmark.pedantic(compare, rounds=5)
    benchmark.extra_info["tcp/makefile"] = statistics.median(bare)
    benchmark.extra_info["tcp/zmq"] = statistics.median(zmq)


@pytest.mark.benchmark(group="streams")
@pytest.mark.parametrize("scheme", ["udp", "tcp"])
def test_delay(benchmark, tmp_path, scheme):
    """One-way delay at 1,000 rows a second: ours, and a bare loop's; medians."""
    path = temperatures(tmp_path / "source.csv", 2000)
    ratios = []

    def compare():
        _, ours = through("stamped_receive", "paced_send", tmp_path / "out", path, scheme)
        _, bare = through("bare_stamped_receive", "bare_paced_send", tmp_path / "b", path, scheme)
        ratios.append(float(ours.split()[-1]) / float(bare))

    benchmark.pedantic(compare, rounds=5)
    benchmark.extra_info[f"delay {scheme}"] = statistics.median(ratios)


@pytest.mark.benchmark(group="streams")
def test_layer(benchmark, tmp_path):
    """The learner's layer and TCP where the kernel drops one packet in a hundred (Linux, root)."""
    path = temperatures(tmp_path / "source.csv", 20_000)
    rule = "iptables -A INPUT -m statistic --mode random --probability 0.01 -j DROP"
    call = f"{sys.executable} -m streamlib.tests.stream_benchmarks under_loss {path} {tmp_path}"
    # A network of its own, with packets of the usual size, so that nothing else loses any.
    command = ["unshare", "-n", "sh", "-c", f"ip link set lo up mtu 1500 && {rule} && {call}"]
    done = benchmark.pedantic(
        subprocess.run, (command,), {"capture_output": True, "encoding": "utf-8"}, rounds=1
    )
    if done.returncode:
        pytest.skip(f"no network of its own can be had here: {done.stderr[-200:]}")
    pairs = [tuple(map(float, line.split())) for line in done.stdout.splitlines()]
    benchmark.extra_info["layer/tcp"] = statistics.median(layer / tcp for layer, tcp in pairs)
    benchmark.extra_info["layer_s"] = statistics.median(layer for layer, _ in pairs)


if __name__ == "__main__":  # the ends of a stream, each in a process of its own
    globals()[sys.argv[1]](*sys.argv[2:])
