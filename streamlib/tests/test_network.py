"""A bad network that can be repeated, and trials of reliability layers over it."""

import asyncio
import contextlib
import os
import select
import socket
import struct
import sys
import threading
import time
import types
from collections import Counter
from itertools import pairwise

import cloudpickle
import pytest

from streamlib import network, records, stream, wire
from streamlib.network import Network, Proxy
from streamlib.tests import reliable
from streamlib.tests.conftest import DEADLINE_S, aside, until

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # as the functions of a notebook are
DRAWS = 10_000
SEEDS = range(int(os.environ.get("STREAMLIB_SEEDS", 5)))
LINES = [records.encode(seq, {"n": str(seq)}) for seq in range(1, 61)]


@pytest.fixture(autouse=True)
def no_errors_in_the_loop(caplog):
    """The loop of a network reports an error that nobody caught to this log."""
    yield
    assert [one.getMessage() for one in caplog.records if one.name == "asyncio"] == []


def lane(way="there", **values):
    return network._Lane(Network(**values), way, Counter())


def udp():
    """A socket of our own on this machine, which does not wait for ever."""
    sock = socket.socket(type=socket.SOCK_DGRAM)
    sock.settimeout(DEADLINE_S)
    sock.bind(("127.0.0.1", 0))
    return sock


def url_of(sock):
    scheme = "udp" if sock.type == socket.SOCK_DGRAM else "tcp"
    return "{}://{}:{}".format(scheme, *sock.getsockname()[:2])


def address(proxy):
    return wire.parse(proxy.url).address


def rest_of(connection):
    """What comes through a connection until its other end says that it has sent all."""
    parts = iter(lambda: connection.recv(65_536), b"")
    return b"".join(parts)


def through(values, number, between=lambda: None):
    """Send numbered datagrams over a network; return the proxy and what arrived."""
    with udp() as receiver, udp() as sender:
        with Proxy(values, url_of(receiver)) as proxy:
            for n in range(number):
                sender.sendto(b"%d" % n, address(proxy))
                between()
            until(lambda: len(proxy.log) == number)
            arrived = [receiver.recv(100) for *_, dues in proxy.log for _ in dues]
        receiver.settimeout(0)
        with pytest.raises(BlockingIOError):
            receiver.recv(100)  # nothing more than the log says
    return proxy, arrived


@pytest.fixture
def server():
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(DEADLINE_S)
        yield server


def connect(proxy):
    return socket.create_connection(address(proxy), DEADLINE_S)


# one direction, without a clock


@pytest.mark.parametrize("way", ["there", "back"])
def test_the_fate_of_the_nth_datagram_depends_on_the_seed_and_n_alone(way):
    fates, delays = [], []
    for seed, step, size in ((3, 0.0001, 10), (3, 7.3, 60_000), (4, 1, 10)):
        chances = {"loss": 0.2, "duplicate": 0.2, "reorder": 0.2}
        one = lane(way, **chances, delay_s=0.1, jitter_s=0.5, seed=seed)
        dues = [one.datagram(size, n * step) for n in range(500)]
        fates.append([len(times) for times in dues])
        delays.append([due - n * step for n, times in enumerate(dues) for due in times])
    assert fates[0] == fates[1] != fates[2]
    assert delays[0] == pytest.approx(delays[1], abs=1e-9)


def test_there_and_back_are_not_the_same():
    there, back = lane("there", loss=0.5, seed=1), lane("back", loss=0.5, seed=1)
    fates = [[len(one.datagram(10, 0)) for _ in range(100)] for one in (there, back)]
    assert fates[0] != fates[1]


def test_probabilities_are_kept_over_ten_thousand_datagrams():
    one = lane(loss=0.1, duplicate=0.05, reorder=0.2, seed=7)
    times = Counter(len(one.datagram(100, n)) for n in range(DRAWS))
    assert one.counts == {"came": DRAWS, "lost": 1008, "held back": 1811, "repeated": 473}
    assert times == {0: 1008, 1: DRAWS - 1008 - 473, 2: 473}
    assert abs(1008 - 0.1 * DRAWS) < 4 * 30  # four standard deviations
    assert abs(1811 - 0.9 * 0.2 * DRAWS) < 4 * 39 and abs(473 - 0.9 * 0.05 * DRAWS) < 4 * 21


@pytest.mark.parametrize(("chance", "times"), [("loss", 0), ("duplicate", 2), ("reorder", 1)])
def test_what_is_certain_happens_each_time(chance, times):
    one = lane(**{chance: 1})
    assert {len(one.datagram(100, n)) for n in range(1000)} == {times}


def test_without_any_impairment_all_pass_at_once():
    one = lane()
    assert [one.datagram(1000, n / 8) for n in range(1000)] == [[n / 8] for n in range(1000)]
    assert +one.counts == {"came": 1000}


def test_delay_and_jitter_keep_their_bounds():
    one = lane(delay_s=0.5, jitter_s=2, seed=1)
    delays = [one.datagram(100, n)[0] - n for n in range(1000)]
    assert 0.5 <= min(delays) < 0.52 and 2.48 < max(delays) <= 2.5


def test_reordering_lets_later_ones_pass():
    one = lane(reorder=0.1, seed=1)
    dues = [one.datagram(100, n / 1000)[0] for n in range(1000)]
    overtaken = sum(later < due for due, later in pairwise(dues))
    assert 60 < overtaken <= one.counts["held back"]


def test_a_rate_makes_a_queue_which_loses_what_would_wait_too_long():
    one = lane(rate=1000)
    dues = [one.datagram(100, 0) for _ in range(15)]
    assert [due for [due] in dues[:10]] == pytest.approx([n / 10 for n in range(1, 11)])
    assert dues[11:] == [[]] * 4 and one.counts["lost"] >= 4
    assert one.datagram(100, 100) == [pytest.approx(100.1)]  # by then the queue is empty


def test_a_network_that_is_asked_too_much_still_delivers_at_its_rate():
    one = lane(rate=1000)
    delivered = sum(len(one.datagram(100, n / 20)) for n in range(400))  # twice the rate, 20 s
    assert 190 <= delivered <= 220


def test_a_stream_that_loses_nothing_is_only_delayed():
    one = lane(jitter_s=0.1, delay_s=0.05, seed=2)
    packets = [one.segment(1448, n) for n in range(1000)]
    delays = [due - n for n, (due, _) in enumerate(packets)]
    assert 0.05 <= min(delays) < 0.06 and 0.14 < max(delays) <= 0.15
    assert {lost for _, lost in packets} == {0} and one.counts["lost"] == 0
    assert lane(rate=1000).segment(100, 5) == (pytest.approx(5.1), 0)


def test_the_fate_of_the_nth_packet_of_a_stream_depends_on_the_seed_and_n_alone():
    fates = []
    for seed, step in ((3, 1), (3, 9), (4, 1)):
        one = lane(loss=0.3, seed=seed)
        fates.append([one.segment(1448, n * step)[1] for n in range(1000)])
        assert one.counts["lost"] == sum(fates[-1])
    assert fates[0] == fates[1] != fates[2]
    assert all(abs(sum(lost) - 1000 * 0.3 / 0.7) < 4 * 25 for lost in fates)


def test_a_packet_of_a_stream_is_not_lost_for_ever():
    assert lane(loss=1).segment(1448, 0)[1] == network.MOST_LOST


@pytest.mark.parametrize(
    ("values", "words"),
    [
        *[({name: 2}, f"{name} is 2: give a number") for name in ("loss", "duplicate", "reorder")],
        ({"loss": float("nan")}, "loss is nan: give a number from 0 to 1"),
        ({"delay_s": -0.1}, "delay_s is -0.1: give a number from 0 to 60"),
        ({"jitter_s": 61}, "jitter_s is 61: give a number"),
        *[({"rate": rate}, f"rate is {rate}: give bytes a second") for rate in (0, -1)],
    ],
)
def test_a_network_that_cannot_be_is_refused(values, words):
    with pytest.raises(ValueError, match=rf"^{words}.*\.$"):
        Network(**values)


@pytest.mark.parametrize(
    ("to", "listen"),
    [
        ("tcp://localhost:9", "udp://localhost:0"),
        ("udp://localhost:9", "tcp://localhost:0"),
        ("file:out.txt", "udp://localhost:0"),
        ("file:out.txt", "file:in.txt"),
        (None, "tcp://localhost:0"),
    ],
)
def test_urls_that_do_not_fit_are_refused(to, listen):
    with pytest.raises(ValueError, match=r"do not fit: give two udp:// or two tcp:// URLs\.$"):
        Proxy(Network(), to, listen)


def test_a_port_that_is_in_use_is_refused_in_one_sentence(server):
    with udp() as other:
        for mine in (other, server):
            with pytest.raises(OSError, match=r"^Port \d+ is in use: stop the other receiver.*\.$"):
                Proxy(Network(), f"{url_of(mine)[:3]}://localhost:9", url_of(mine))


# datagrams


def test_the_same_seed_loses_the_same_however_fast_they_come():
    bad, waiting = Network(loss=0.3, duplicate=0.3, seed=5), threading.Event()
    runs = [through(bad, 100), through(bad, 100, between=lambda: waiting.wait(0.001))]
    fates = [[(text, len(dues)) for _, _, text, dues in proxy.log] for proxy, _ in runs]
    assert fates[0] == fates[1] and {n for _, n in fates[0]} == {0, 1, 2}
    for proxy, arrived in runs:
        assert Counter(arrived) == Counter(text for _, _, text, dues in proxy.log for _ in dues)
        assert proxy.counts["lost"] == sum(not dues for *_, dues in proxy.log) > 10


def test_a_network_that_does_nothing_delivers_all_in_order():
    proxy, arrived = through(Network(), 150)
    assert arrived == [b"%d" % n for n in range(150)] and +proxy.counts == {"came": 150}


def test_a_network_that_reorders_delivers_all_but_not_in_order():
    _, arrived = through(Network(reorder=0.3, delay_s=0.05, seed=2), 150)
    assert sorted(arrived, key=int) == [b"%d" % n for n in range(150)] != arrived


def test_each_of_several_clients_gets_its_own_answers():
    with udp() as receiver, Proxy(Network(), url_of(receiver)) as proxy:
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(udp()) for _ in range(5)]
            for n, client in enumerate(clients):
                client.sendto(b"%d" % n, address(proxy))
            for _ in clients:
                question, sender = receiver.recvfrom(100)
                receiver.sendto(b"to " + question, sender)
            assert [client.recv(100) for client in clients] == [b"to %d" % n for n in range(5)]
        ways = Counter(way for _, way, *_ in proxy.log)
    assert ways == {"there": 5, "back": 5} and +proxy.counts == {"came": 5}


def test_what_is_sent_waits_until_the_receiver_has_said_where_it_is():
    with Proxy(Network()) as proxy, udp() as receiver, udp() as sender:
        sender.sendto(b"first", address(proxy))
        receiver.sendto(b"here I am", wire.parse(proxy.back_url).address)
        assert receiver.recv(100) == b"first"
        assert [text for _, _, text, _ in proxy.log] == [b"first"]


def test_a_receiver_that_is_not_there_does_not_end_the_network(nobody):
    with udp() as sender, Proxy(Network(), nobody) as proxy:
        for n in range(3):
            sender.sendto(b"?", address(proxy))
            until(lambda n=n: proxy.counts["came"] == n + 1)


def test_memory_is_bounded_and_what_there_is_no_room_for_is_lost(monkeypatch):
    monkeypatch.setattr(network, "MOST_HELD", 5_000)
    monkeypatch.setattr(network, "MOST_LOGGED", 20)
    with udp() as receiver, udp() as sender:
        with Proxy(Network(delay_s=60), url_of(receiver)) as proxy:
            for n in range(30):
                sender.sendto(b"%d" % n, address(proxy))
            until(lambda: proxy.counts["came"] == 30)
            assert proxy._held < 6_000 and len(proxy.log) == 20
    assert proxy.counts["lost"] == 20


def test_senders_for_whom_there_is_no_room_are_counted_and_do_not_harm_the_first(monkeypatch):
    monkeypatch.setattr(network, "MOST_CLIENTS", 2)
    with contextlib.ExitStack() as stack:
        receiver, *clients = (stack.enter_context(udp()) for _ in range(6))
        proxy = stack.enter_context(Proxy(Network(), url_of(receiver)))
        for n in (0, 1, 2, 3, 4, 0):
            clients[n].sendto(b"%d" % n, address(proxy))
        assert [receiver.recv(100) for _ in range(3)] == [b"0", b"1", b"0"]
    assert +proxy.counts == {"came": 3, "ignored, from too many senders": 3}


def limited(program, descriptors):
    """Let a program have no more open files than this, from now on."""
    resource = pytest.importorskip("resource")
    if not hasattr(resource, "prlimit"):
        pytest.skip("needs Linux, which can limit another process")
    resource.prlimit(program._process.pid, resource.RLIMIT_NOFILE, (descriptors, descriptors))
    return wire.parse(program.url).address


def test_idle_connections_do_not_shut_out_an_honest_one(start, server):
    program = start("impair", "tcp://localhost:0", "--to", url_of(server))
    at = limited(program, 40)
    with contextlib.ExitStack() as stack:
        for n in range(60):
            idle = stack.enter_context(socket.create_connection(at, DEADLINE_S))
            with contextlib.suppress(ConnectionError):
                idle.sendall(b"x" * (n % 2))  # half of them say something first
        honest = stack.enter_context(socket.create_connection(at, DEADLINE_S))
        honest.sendall(b"honest")
        said_first, heard = b"", [server]
        while said_first != b"honest":  # each of the idle ones reaches the server, too
            wanted = select.select(heard, [], [], DEADLINE_S)[0][0]
            if wanted is server:
                heard.append(stack.enter_context(server.accept()[0]))
                continue
            with contextlib.suppress(ConnectionError):
                said_first = wanted.recv(100)
            heard.remove(wanted)
        wanted.settimeout(DEADLINE_S)
        honest.settimeout(DEADLINE_S)
        for text in (b"still", b"here"):
            honest.sendall(text)
            assert wanted.recv(100) == text
        program.stop()


def test_a_client_that_is_heard_stays_while_idle_ones_come_and_go(server, monkeypatch):
    monkeypatch.setattr(network, "MOST_CLIENTS", 3)
    with Proxy(Network(), url_of(server), "tcp://localhost:0") as proxy:
        with contextlib.ExitStack() as stack:
            honest = stack.enter_context(connect(proxy))
            connection = stack.enter_context(server.accept()[0])
            connection.settimeout(DEADLINE_S)
            honest.sendall(b"a")
            assert connection.recv(1) == b"a"
            for _ in range(10):
                stack.enter_context(connect(proxy))
                stack.enter_context(server.accept()[0])
            honest.sendall(b"still here")
            assert connection.recv(100) == b"still here"
    assert proxy.counts["connections cut off or without a receiver"] >= 8


# itself, and others


def free(scheme):
    """A port on which nobody listens."""
    with wire.source(f"{scheme}://localhost:0") as source:
        return source.endpoint.address[1]


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "0.0.0.0"])
@pytest.mark.parametrize("scheme", ["udp", "tcp"])
def test_a_network_that_would_send_to_itself_is_refused(scheme, host):
    port = free(scheme)
    for to in ("localhost", "127.0.0.1", "0.0.0.0", "[::1]", socket.gethostname()):
        with pytest.raises(ValueError, match=r"would lead to itself: listen on another port than"):
            Proxy(Network(), f"{scheme}://{to}:{port}", f"{scheme}://{host}:{port}")
    with Proxy(Network(), f"{scheme}://localhost:9", f"{scheme}://{host}:{port}"):
        pass  # the port was left free


def test_a_network_to_port_0_is_refused():
    with pytest.raises(ValueError, match=r"would lead to itself: listen on another port than"):
        Proxy(Network(), "udp://localhost:0")


@pytest.mark.parametrize("scheme", ["udp", "tcp"])
def test_a_ring_of_networks_is_bounded_and_ends(scheme, monkeypatch):
    monkeypatch.setattr(network, "MOST_CLIENTS", 5)
    first, second = (f"{scheme}://localhost:{free(scheme)}" for _ in range(2))
    with Proxy(Network(), second, first) as one, Proxy(Network(), first, second) as other:
        kind = socket.SOCK_DGRAM if scheme == "udp" else socket.SOCK_STREAM
        with socket.socket(type=kind) as sock:
            sock.connect(address(one))
            sock.send(b"round")
            full = "ignored, from too many senders", "connections cut off or without a receiver"
            until(lambda: any(one.counts[what] for what in full))
            assert len(one._clients) <= 6 and len(other._clients) <= 6
    assert not one._thread.is_alive() and not other._thread.is_alive()


@pytest.mark.parametrize(
    ("listen", "to", "beyond"),
    [
        ("localhost", "localhost", None),
        ("0.0.0.0", "localhost", "0.0.0.0"),
        ("localhost", "192.0.2.1", "192.0.2.1"),
        ("0.0.0.0", "192.0.2.1", "0.0.0.0"),
    ],
)
@pytest.mark.parametrize("scheme", ["udp", "tcp"])
def test_a_network_beyond_this_machine_says_so(scheme, listen, to, beyond):
    with Proxy(Network(), f"{scheme}://{to}:9", f"{scheme}://{listen}:0") as proxy:
        assert proxy.note == (wire.parse(f"udp://{beyond}:9").note if beyond else "")
        assert bool(proxy.note) == bool(beyond)


def test_the_program_says_what_the_network_notes(start):
    program = start("impair", "udp://localhost:0", "--to", "udp://192.0.2.1:9")
    program.stop()
    assert wire.parse("udp://192.0.2.1:9").note in program.lines[0]


# the end


def test_a_network_ends_in_the_midst_of_traffic_and_frees_its_ports():
    over = threading.Event()

    def send_for_ever(address):
        with udp() as sender:
            while not over.is_set():
                sender.sendto(b"x", address)
        return True

    with udp() as receiver:
        with Proxy(Network(delay_s=0.01), url_of(receiver)) as proxy:
            sending = aside(send_for_ever, address(proxy))
            receiver.recv(100)
        over.set()
        assert sending() and not proxy._thread.is_alive()
    with Proxy(Network()) as other:
        pass
    for url in (proxy.url, other.url, other.back_url):
        with socket.socket(type=socket.SOCK_DGRAM) as again:
            again.bind(wire.parse(url).address)


# streams


def test_bytes_are_unaltered_and_in_order_both_ways_and_half_close_works(server):
    there = bytes(n * n % 251 for n in range(200_000))
    back = there[::-1]

    def serve():
        connection, _ = server.accept()
        connection.settimeout(DEADLINE_S)
        with connection:
            connection.sendall(back)
            got = rest_of(connection)
            connection.sendall(b"after your end")
        return got

    serving = aside(serve)
    bad = Network(loss=0.05, jitter_s=0.002, seed=4)
    with Proxy(bad, url_of(server), "tcp://localhost:0") as proxy:
        with connect(proxy) as client:
            client.sendall(there)
            client.shutdown(socket.SHUT_WR)
            assert rest_of(client) == back + b"after your end"
    assert serving() == there
    assert proxy.counts["came"] >= 200_000 / 1_448 and proxy.counts["lost"] > 5


def cost(lost, later, monkeypatch):
    """How long a packet is under way that is lost so often while so many later ones come."""
    waits, lane = [], types.SimpleNamespace(taken=7)

    async def sleep(seconds):
        waits.append(seconds)
        lane.taken = 7 + later

    monkeypatch.setattr(network.asyncio, "sleep", sleep)
    loop = types.SimpleNamespace(time=lambda: 0)
    proxy = types.SimpleNamespace(_loop=loop, _network=Network(delay_s=0.04))
    asyncio.run(Proxy._arrive(proxy, lane, 0.04, lost))
    return sum(waits)


def test_a_lost_packet_costs_a_round_trip_if_three_later_ones_tell_of_it(monkeypatch):
    assert cost(0, 9, monkeypatch) == pytest.approx(0.04)
    assert cost(1, 3, monkeypatch) == pytest.approx(0.04 + 0.08)


def test_a_lost_packet_that_too_few_follow_waits_for_the_timer(monkeypatch):
    assert cost(1, 2, monkeypatch) == pytest.approx(0.04 + 0.08 + 0.2)


def test_the_timer_doubles_each_time_that_it_runs_out(monkeypatch):
    assert cost(3, 0, monkeypatch) == pytest.approx(0.04 + 3 * 0.08 + 0.2 + 0.4 + 0.8)
    assert cost(3, 9, monkeypatch) == pytest.approx(0.04 + 3 * 0.08 + 0.2 + 0.4)


def test_a_late_packet_holds_up_all_behind_it_which_then_come_at_once():
    """Nobody overtakes, and what was lost together is waited for together."""
    delivered = []

    async def take(sock, data):
        delivered.append(data)

    async def deliver():
        packets = asyncio.Queue()
        for n in range(4):
            late = asyncio.create_task(asyncio.sleep(0.05 if n in (1, 2) else 0))
            packets.put_nowait((n, late))
        packets.put_nowait(None)
        begun = time.perf_counter()
        proxy = types.SimpleNamespace(_loop=types.SimpleNamespace(sock_sendall=take))
        with socket.socket() as sock, contextlib.suppress(OSError):  # which is not connected
            await Proxy._deliver(proxy, packets, sock)
        return time.perf_counter() - begun

    took = asyncio.run(deliver())
    assert delivered == [0, 1, 2, 3] and took >= 0.049


def test_a_receiver_that_is_not_there_closes_the_clients_connection(server):
    gone = url_of(server)
    server.close()
    with Proxy(Network(), gone, "tcp://localhost:0") as proxy:
        with connect(proxy) as client, contextlib.suppress(ConnectionError):
            assert client.recv(100) == b""


def test_an_abrupt_client_is_told_to_the_receiver_and_costs_others_nothing(server):
    with Proxy(Network(), url_of(server), "tcp://localhost:0") as proxy:
        clients = [connect(proxy) for _ in range(2)]
        for client in clients:
            client.sendall(b"?")
        connections = [server.accept()[0] for _ in clients]
        for one in connections:
            one.settimeout(DEADLINE_S)
            assert one.recv(1) == b"?"
        by_name = {}
        for n, client in enumerate(clients):
            client.sendall(b"%d" % n)
        for one in connections:
            by_name[one.recv(1)] = one
        clients[0].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        clients[0].close()  # a reset
        with contextlib.suppress(ConnectionError):
            assert by_name[b"0"].recv(100) == b""
        clients[1].sendall(b"still here")
        assert by_name[b"1"].recv(100) == b"still here"
        by_name[b"1"].close()  # and now a receiver that leaves
        with contextlib.suppress(ConnectionError):
            assert clients[1].recv(100) == b""
        by_name[b"0"].close()
        clients[1].close()


def test_a_receiver_that_breaks_off_ends_the_senders_connection_without_a_word(server):
    with Proxy(Network(delay_s=0.2), url_of(server), "tcp://localhost:0") as proxy:
        with connect(proxy) as client:
            connection, _ = server.accept()
            client.sendall(b"x" * 100_000)  # 70 packets under way
            until(lambda: proxy.counts["came"] >= 70)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()  # a reset
            with contextlib.suppress(ConnectionError):
                assert client.recv(100) == b""
            until(lambda: not proxy._clients)
    assert proxy.counts["connections cut off or without a receiver"] == 1


def test_a_connection_for_which_there_is_no_room_replaces_the_first_idle_one(server, monkeypatch):
    monkeypatch.setattr(network, "MOST_CLIENTS", 2)
    with Proxy(Network(), url_of(server), "tcp://localhost:0") as proxy:
        with contextlib.ExitStack() as stack:
            first, *_ = clients = [stack.enter_context(connect(proxy)) for _ in range(3)]
            connections = [stack.enter_context(server.accept()[0]) for _ in clients]
            with contextlib.suppress(ConnectionError):
                assert first.recv(100) == b""
            for client, connection in zip(clients[1:], connections[1:], strict=True):
                connection.settimeout(DEADLINE_S)
                client.sendall(b"still here")
                assert connection.recv(100) == b"still here"


def test_what_slow_readers_have_not_taken_is_bounded_for_each_of_many_clients(server, monkeypatch):
    monkeypatch.setattr(network, "WINDOW", 5)
    most = 5 + 2  # one with the reader, and one with the writer
    with Proxy(Network(delay_s=60), url_of(server), "tcp://localhost:0") as proxy:
        with contextlib.ExitStack() as stack:
            for number in range(1, 11):
                client = stack.enter_context(connect(proxy))
                client.sendall(b"x" * 50_000)
                until(lambda n=number: proxy.counts["came"] >= n * most)
            client.sendall(b"x" * 50_000)
            assert proxy.counts["came"] == 10 * most


def test_a_client_whose_receiver_does_not_read_holds_up_nobody_else(server, monkeypatch):
    monkeypatch.setattr(network, "WINDOW", 5)
    with Proxy(Network(), url_of(server), "tcp://localhost:0") as proxy:
        stuck = connect(proxy)
        unread = server.accept()[0]
        stuck.settimeout(0.2)
        with contextlib.suppress(TimeoutError):
            for _ in range(1000):  # until all buffers are full
                stuck.sendall(b"x" * 100_000)
        with connect(proxy) as honest, server.accept()[0] as connection:
            connection.settimeout(DEADLINE_S)
            honest.sendall(b"honest")
            assert connection.recv(100) == b"honest"
        stuck.close()
        unread.close()


def test_a_port_can_be_listened_on_again_at_once(server):
    with Proxy(Network(), url_of(server), "tcp://localhost:0") as proxy:
        with connect(proxy) as client:
            server.accept()[0].close()  # so the proxy closes first: its port rests for a minute
            assert client.recv(100) == b""
    assert not proxy._thread.is_alive()
    with Proxy(Network(), url_of(server), proxy.url) as again:
        assert again.url == proxy.url


def test_a_network_ends_though_a_receiver_does_not_read(server):
    before = set(threading.enumerate())
    with Proxy(Network(), url_of(server), "tcp://localhost:0") as proxy:
        client = connect(proxy)
        connection, _ = server.accept()
        client.settimeout(0.3)
        with contextlib.suppress(TimeoutError):
            for _ in range(1000):  # until all buffers are full
                client.sendall(b"x" * 100_000)
    with connection, client:
        assert set(threading.enumerate()) <= before


# trials of a reliability layer


def bad(seed):
    return Network(loss=0.2, reorder=0.1, duplicate=0.1, delay_s=0.002, seed=seed)


def stop_and_wait(sock, lines, patience_s=0.02):
    """As in notebook 05, as is the next one."""
    sock.settimeout(patience_s)
    for number, line in enumerate(lines):
        acknowledged = None
        while acknowledged != number:
            sock.send(b"%d " % number + line)
            with contextlib.suppress(TimeoutError):
                acknowledged = int(sock.recv(100))


def deliver_in_order(sock, deliver):
    expected = 0
    while True:
        number, _, line = sock.recv(65_507).partition(b" ")
        sock.send(number)
        if int(number) == expected:
            deliver(line)
            expected += 1


@pytest.mark.parametrize("seed", SEEDS)
def test_the_reference_delivers_each_row_once_and_in_order(seed):
    trial = network.trial(reliable.send, reliable.receive, LINES, bad(seed))
    assert trial.ok and trial.problems == [] and trial.seconds > 0
    assert trial.fates["fate"].tolist() == ["arrived"] * 60
    assert {way for _, way, *_ in trial.log} == {"there", "back"}
    assert repr(trial) == "<trial: All 60 rows arrived once, unaltered and in order.>"


@pytest.mark.parametrize("seed", [0, 1])
def test_stop_and_wait_delivers_each_row_too(seed):
    trial = network.trial(stop_and_wait, deliver_in_order, LINES[:30], bad(seed))
    assert trial.ok, trial


# layers that are wrong


def never_resends(sock, lines):
    for number, line in enumerate(lines):
        sock.send(b"%d " % number + line)


def deliver_all(sock, deliver):
    while True:
        number, _, line = sock.recv(65_507).partition(b" ")
        sock.send(number)
        deliver(line)


def deliver_at_once(sock, deliver):
    seen = set()
    while True:
        number, _, line = sock.recv(65_507).partition(b" ")
        sock.send(number)
        if number not in seen:
            deliver(line)
        seen.add(number)


def deliver_altered(sock, deliver):
    deliver_in_order(sock, lambda line: deliver(line.replace(b'{"n": "7"}', b'{"n": "x"}')))


def returns_too_early(sock, lines):
    """Returns as soon as the last line is acknowledged, whatever became of the others."""
    never_resends(sock, lines[:-1])
    acknowledged = None
    while acknowledged != len(lines) - 1:
        sock.send(b"%d " % (len(lines) - 1) + lines[-1])
        with contextlib.suppress(TimeoutError):
            acknowledged = int(sock.recv(100))


WRONG = {
    "never resends": (never_resends, deliver_in_order, bad(1), {"lost"}),
    "delivers repeated ones": (reliable.send, deliver_all, Network(duplicate=0.5), {"duplicated"}),
    "delivers out of order": (reliable.send, deliver_at_once, bad(1), {"out of order"}),
    "acknowledges and drops": (reliable.send, deliver_in_order, bad(1), {"lost"}),
    "alters a line": (stop_and_wait, deliver_altered, Network(), {"never in the source"}),
    "returns too early": (returns_too_early, reliable.receive, bad(1), {"lost"}),
}


@pytest.mark.parametrize("send, receive, values, told", WRONG.values(), ids=WRONG)
def test_a_wrong_layer_is_told(send, receive, values, told):
    trial = network.trial(send, receive, LINES[:30], values)
    assert not trial.ok and trial.problems == []
    assert told <= set(trial.fates["fate"])
    assert stream.verdict(trial.fates) in repr(trial)


@pytest.mark.parametrize("who", ["sender", "receiver"])
def test_an_error_of_the_layer_is_a_problem_and_no_traceback(who):
    def fails(*arguments):
        raise RuntimeError("mine")

    layer = {"sender": never_resends, "receiver": deliver_in_order, who: fails}
    trial = network.trial(*layer.values(), LINES[:3], Network())
    assert not trial.ok and any(who in said and "mine" in said for said in trial.problems)
    assert "mine" in repr(trial)


def test_an_endless_layer_is_ended():
    def endless(sock, lines):
        while True:
            time.sleep(0.01)

    trial = network.trial(endless, deliver_in_order, LINES[:3], Network(), timeout_s=1)
    assert not trial.ok and trial.problems and trial.seconds != trial.seconds
    assert trial.log == [] and set(trial.fates["fate"]) == {"lost"}


def test_a_layer_that_prints_dots_is_tried_too():
    def dotted(sock, lines):
        print(".", end="")
        stop_and_wait(sock, lines)

    assert network.trial(dotted, deliver_in_order, LINES[:3], Network()).ok


def test_a_layer_that_delivers_no_record_does_not_spoil_the_next_trial():
    def deliver_with_number(sock, deliver):
        while True:
            datagram = sock.recv(65_507)
            sock.send(datagram.partition(b" ")[0])
            deliver(datagram)

    good = Network()
    assert not network.trial(stop_and_wait, deliver_with_number, LINES[:3], good).ok
    assert network.trial(stop_and_wait, deliver_in_order, LINES[:3], good, timeout_s=2).ok


def waits_for_each_answer(sock, lines):
    stop_and_wait(sock, lines, patience_s=5)


def deliver_two(sock, deliver):
    """Leave after two lines, so that the trial does not wait for the silence at the end."""
    for number in range(2):
        datagram = sock.recv(65_507)
        sock.send(b"%d" % number)
        deliver(datagram.partition(b" ")[2])


def test_a_trial_over_a_slow_network_waits_for_as_long_as_that_takes():
    slow = Network(delay_s=0.3)  # more than half a second between two lines
    trial = network.trial(waits_for_each_answer, deliver_two, LINES[:2], slow)
    assert trial.ok and trial.seconds > 1.1


@pytest.mark.parametrize(
    ("values", "least", "most"),
    [
        ({}, 7, 8),
        ({"delay_s": 0.005, "loss": 0.2}, 7, 12),
        ({"delay_s": 1}, 60 * 2, 400),
        ({"jitter_s": 1}, 60 * 2, 400),
        ({"rate": 100}, 60 * 0.5, 400),
        ({"delay_s": 1, "loss": 0.5}, 60 * 8, 1500),
        ({"delay_s": 60, "loss": 1}, 3600, 3600),
    ],
)
def test_the_time_for_a_trial_grows_with_what_its_network_takes(values, least, most, monkeypatch):
    given = []

    def run(plan, timeout_s, label):
        given.append(timeout_s)
        raise InterruptedError

    monkeypatch.setattr(network.processes, "run", run)
    with pytest.raises(InterruptedError):
        network.trial(stop_and_wait, deliver_in_order, LINES, Network(**values), timeout_s=7)
    assert least <= given[0] <= most


def test_two_trials_side_by_side_share_no_file_and_do_not_disturb_each_other():
    texts = [[records.encode(seq, {"trial": name}) for seq in range(1, 31)] for name in "ab"]
    layers = [(stop_and_wait, deliver_in_order), (never_resends, deliver_in_order)]
    runs = zip(layers, texts, strict=True)
    waiting = [aside(network.trial, *layer, lines, bad(1)) for layer, lines in runs]
    trials = [trial() for trial in waiting]
    assert [trial.ok for trial in trials] == [True, False]
    got = [{row["trial"] for row in trial.fates["got"].dropna()} for trial in trials]
    assert got == [{"a"}, {"b"}]
