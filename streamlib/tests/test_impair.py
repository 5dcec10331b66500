"""A bad network that can be repeated: what it does to datagrams and to streams, and how it ends."""

import contextlib
import signal
import socket
import struct
import threading
from collections import Counter
from itertools import islice, pairwise
from types import SimpleNamespace

import pytest

from streamlib import impair, wire
from streamlib.tests.conftest import DEADLINE_S, UNIX, aside, run, until

DRAWS = 10_000


def lane(**network):
    return impair._Lane(impair.Network(**network), "there", Counter())


def udp():
    """A socket of our own on this machine, which does not wait for ever."""
    sock = socket.socket(type=socket.SOCK_DGRAM)
    sock.settimeout(DEADLINE_S)
    sock.bind(("127.0.0.1", 0))
    return sock


def url_of(sock):
    scheme = "udp" if sock.type == socket.SOCK_DGRAM else "tcp"
    return wire.Endpoint(scheme, address=sock.getsockname()).url


def rest_of(connection):
    """What comes through a connection until its other end says that it has sent all."""
    parts = iter(lambda: connection.recv(65_536), b"")
    return b"".join(parts)


def through(network, number, between=lambda: None):
    """Send numbered datagrams over a network; return its log and what arrived."""
    with udp() as receiver, udp() as sender:
        with impair.Proxy(network, url_of(receiver)) as proxy:
            for n in range(number):
                sender.sendto(b"%d" % n, proxy.endpoint.address)
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
    return socket.create_connection(proxy.endpoint.address, DEADLINE_S)


# one direction, without a clock


@pytest.mark.parametrize("way", ["there", "back"])
def test_the_fate_of_the_nth_datagram_hangs_on_the_seed_and_n_alone(way):
    network = impair.Network(0.2, 0.2, 0.2, delay_s=0.1, jitter_s=0.5, seed=3)
    other = impair.Network(0.2, 0.2, 0.2, delay_s=0.1, jitter_s=0.5, seed=4)
    fates, delays = [], []
    for net, step, size in ((network, 0.0001, 10), (network, 7.3, 60_000), (other, 1, 10)):
        one = impair._Lane(net, way, Counter())
        dues = [one.datagram(size, n * step) for n in range(500)]
        fates.append([len(times) for times in dues])
        delays.append([due - n * step for n, times in enumerate(dues) for due in times])
    assert fates[0] == fates[1] != fates[2]
    assert delays[0] == pytest.approx(delays[1], abs=1e-9)


def test_there_and_back_are_not_the_same():
    network, fates = impair.Network(loss=0.5, seed=1), []
    for way in ("there", "back"):
        one = impair._Lane(network, way, Counter())
        fates.append([len(one.datagram(10, 0)) for _ in range(100)])
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
    assert one.counts == {"came": 1000}


def test_delay_and_jitter_keep_their_bounds():
    one = lane(delay_s=0.5, jitter_s=2, seed=1)
    delays = [one.datagram(100, n)[0] - n for n in range(1000)]
    assert 0.5 <= min(delays) < 0.52 and 2.48 < max(delays) <= 2.5


def test_reordering_lets_later_ones_pass():
    one = lane(reorder=0.1, seed=1)
    dues = [one.datagram(100, n / 1000)[0] for n in range(1000)]
    overtaken = sum(later < due for due, later in pairwise(dues))
    assert 60 < overtaken <= one.counts["held back"]


def test_a_rate_makes_a_queue_which_drops_what_would_wait_too_long():
    one = lane(rate=1000)
    dues = [one.datagram(100, 0) for _ in range(15)]
    assert [due for [due] in dues[:10]] == pytest.approx([n / 10 for n in range(1, 11)])
    assert dues[11:] == [[]] * 4 and one.counts["dropped: queue full"] >= 4
    assert one.datagram(100, 100) == [pytest.approx(100.1)]  # by then the queue is empty


def test_a_network_that_is_asked_too_much_still_delivers_at_its_rate():
    one = lane(rate=1000)
    delivered = sum(len(one.datagram(100, n / 20)) for n in range(400))  # twice the rate, 20 s
    assert 190 <= delivered <= 220


def test_parts_of_a_stream_keep_their_order_and_loss_costs_time():
    one = lane(loss=0.3, jitter_s=0.1, delay_s=0.05, seed=2)
    dues = [one.segment(1448, n / 1000) for n in range(1000)]
    assert dues == sorted(dues) and all(due >= n / 1000 + 0.05 for n, due in enumerate(dues))
    assert abs(one.counts["lost"] - 1000 * 0.3 / 0.7) < 4 * 25
    assert [lane(rate=1000).segment(100, 5)] == pytest.approx([5.1])


def test_a_stream_that_loses_everything_does_not_draw_for_ever():
    one = lane(loss=1)
    draws = iter([0.5] * DRAWS)
    one._rng = SimpleNamespace(random=lambda: next(draws))
    with contextlib.suppress(ValueError):  # to refuse it would be well, too
        one.segment(100, 0)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        *[({name: 2}, f"{name} is 2: give a prob") for name in ("loss", "duplicate", "reorder")],
        ({"loss": float("nan")}, "loss is nan"),
        ({"delay_s": -0.1}, "delay_s is -0.1: give seconds from 0 to 60"),
        ({"jitter_s": 61}, "jitter_s is 61: give seconds"),
        *[({"rate": rate}, f"rate is {rate}: give bytes a second") for rate in (0, -1)],
    ],
)
def test_a_network_that_cannot_be(values, words):
    with pytest.raises(ValueError, match=rf"^{words}.*\.$"):
        impair.Network(**values)


@pytest.mark.parametrize(
    ("to", "listen"),
    [
        ("tcp://localhost:9", "udp://localhost:0"),
        ("udp://localhost:9", "tcp://localhost:0"),
        ("file:out.txt", "udp://localhost:0"),
        ("file:out.txt", "file:in.txt"),
    ],
)
def test_endpoints_that_do_not_fit_together(to, listen):
    with pytest.raises(ValueError, match=r"must both be udp:// or both be tcp://\.$"):
        impair.Proxy(impair.Network(), to, listen)


def test_connections_need_a_receiver():
    with pytest.raises(ValueError):
        with impair.Proxy(impair.Network(), listen="tcp://localhost:0"):
            pass


def test_a_port_that_is_in_use(server):
    with udp() as other:
        for mine in (other, server):
            with pytest.raises(OSError, match=r"^Port \d+ .* is in use: .*\.$"):
                impair.Proxy(impair.Network(), url_of(mine), url_of(mine))


# datagrams


def test_the_same_seed_loses_the_same_however_fast_they_come():
    network, waiting = impair.Network(loss=0.3, duplicate=0.3, seed=5), threading.Event()
    runs = [through(network, 100), through(network, 100, between=lambda: waiting.wait(0.002))]
    fates = [[(text, len(dues)) for _, _, text, dues in proxy.log] for proxy, _ in runs]
    assert fates[0] == fates[1] and {n for _, n in fates[0]} == {0, 1, 2}
    for proxy, arrived in runs:
        assert Counter(arrived) == Counter(text for _, _, text, dues in proxy.log for _ in dues)
        assert proxy.counts["lost"] == sum(not dues for *_, dues in proxy.log) > 10


def test_a_network_that_does_nothing_delivers_all_in_order():
    proxy, arrived = through(impair.Network(), 150)
    assert arrived == [b"%d" % n for n in range(150)] and proxy.counts == {"came": 150}


def test_a_network_that_reorders_delivers_all_but_not_in_order():
    _, arrived = through(impair.Network(reorder=0.3, delay_s=0.05, seed=2), 150)
    assert sorted(arrived, key=int) == [b"%d" % n for n in range(150)] != arrived


def test_each_of_several_clients_gets_its_own_answers():
    with udp() as receiver, impair.Proxy(impair.Network(), url_of(receiver)) as proxy:
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(udp()) for _ in range(5)]
            for n, client in enumerate(clients):
                client.sendto(b"%d" % n, proxy.endpoint.address)
            for _ in clients:
                question, sender = receiver.recvfrom(100)
                receiver.sendto(b"to " + question, sender)
            assert [client.recv(100) for client in clients] == [b"to %d" % n for n in range(5)]
        ways = Counter(way for _, way, *_ in proxy.log)
    assert ways == {"there": 5, "back": 5} and proxy.counts == {"came": 5}


def test_a_receiver_that_has_told_where_it_is_gets_the_first_datagram():
    proxy = impair.Proxy(impair.Network())
    with udp() as receiver, udp() as sender:
        receiver.settimeout(1)
        receiver.sendto(b"", wire.parse(proxy.back_url).address)
        sender.sendto(b"first", proxy.endpoint.address)
        with proxy:  # both are there when it looks
            assert receiver.recv(100) == b"first"


def test_a_receiver_that_is_not_there_does_not_end_the_network(nobody):
    with udp() as sender, impair.Proxy(impair.Network(), nobody) as proxy:
        for n in range(3):
            sender.sendto(b"?", proxy.endpoint.address)
            until(lambda n=n: proxy.counts["came"] == n + 1)


@pytest.fixture
def crowded(monkeypatch):
    """A network on which 30 datagrams are under way, and room for fewer."""
    monkeypatch.setattr(impair, "MOST_WAITING", 10)
    monkeypatch.setattr(impair, "MOST_LOGGED", 20)
    with udp() as receiver, udp() as sender:
        with impair.Proxy(impair.Network(delay_s=60), url_of(receiver)) as proxy:
            for n in range(30):
                sender.sendto(b"%d" % n, proxy.endpoint.address)
            until(lambda: proxy.counts["came"] == 30)
            yield proxy


def test_memory_is_bounded(crowded):
    assert len(crowded._queue) <= 10 and len(crowded.log) <= 20


def test_what_there_is_no_room_for_is_counted(crowded):
    assert sum(crowded.counts.values()) - crowded.counts["came"] >= 20


def test_a_network_ends_in_the_midst_of_traffic_and_frees_its_ports():
    over = threading.Event()

    def send_for_ever(address):
        with udp() as sender:
            while not over.is_set():
                sender.sendto(b"x", address)
        return True

    with udp() as receiver:
        with impair.Proxy(impair.Network(delay_s=0.01), url_of(receiver)) as proxy:
            sending = aside(send_for_ever, proxy.endpoint.address)
            receiver.recv(100)
        over.set()
        assert sending() and not proxy._thread.is_alive()
        with socket.socket(type=socket.SOCK_DGRAM) as again:
            again.bind(proxy.endpoint.address)
        with impair.Proxy(impair.Network()) as other:
            rear = wire.parse(other.back_url).address
        with socket.socket(type=socket.SOCK_DGRAM) as again:
            again.bind(rear)


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
    network = impair.Network(loss=0.1, jitter_s=0.002, seed=1)
    with impair.Proxy(network, url_of(server), "tcp://localhost:0") as proxy:
        with connect(proxy) as client:
            client.sendall(there)
            client.shutdown(socket.SHUT_WR)
            assert rest_of(client) == back + b"after your end"
    assert serving() == there
    assert proxy.counts["came"] >= 200_000 / impair.SEGMENT and proxy.counts["lost"] > 5


def test_a_receiver_that_is_not_there_closes_the_clients_connection(server):
    gone = url_of(server)
    server.close()
    with impair.Proxy(impair.Network(), gone, "tcp://localhost:0") as proxy:
        with connect(proxy) as client, contextlib.suppress(ConnectionError):
            assert client.recv(100) == b""


def test_an_abrupt_client_is_told_to_the_receiver_and_costs_others_nothing(server):
    with impair.Proxy(impair.Network(), url_of(server), "tcp://localhost:0") as proxy:
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


def test_a_port_can_be_listened_on_again_at_once(server):
    with impair.Proxy(impair.Network(), url_of(server), "tcp://localhost:0") as proxy:
        with connect(proxy) as client:
            server.accept()[0].close()  # so the proxy closes first: its port rests for a minute
            assert client.recv(100) == b""
    assert not proxy._thread.is_alive()
    with impair.Proxy(impair.Network(), url_of(server), proxy.url) as again:
        assert again.url == proxy.url


def test_a_network_ends_though_a_receiver_does_not_read(server):
    before = set(threading.enumerate())
    with impair.Proxy(impair.Network(), url_of(server), "tcp://localhost:0") as proxy:
        client = connect(proxy)
        connection, _ = server.accept()
        client.settimeout(0.3)
        with contextlib.suppress(TimeoutError):
            for _ in range(1000):  # until all buffers are full
                client.sendall(b"x" * 100_000)
    with connection, client:
        assert set(threading.enumerate()) <= before


# the program


@UNIX
def test_the_program_tells_its_url_first_and_its_counts_at_ctrl_c(start):
    with udp() as receiver, udp() as sender:
        options = ["--duplicate", 1, "--delay", 0.001, "--jitter", 0.001, "--seed", 1]
        program = start("impair", "udp://localhost:0", "--to", url_of(receiver), *options)
        assert program.lines[0].startswith("Impairing udp://127.0.0.1:")
        for n in range(5):
            sender.sendto(b"%d" % n, wire.parse(program.url).address)
        got = [receiver.recv(100) for _ in range(10)]
    assert Counter(got) == Counter([b"%d" % n for n in range(5)] * 2)
    program._process.send_signal(signal.SIGINT)
    assert program.wait(DEADLINE_S) == 0
    assert program.lines[1:] == ["5 came, 5 repeated"]


@pytest.mark.parametrize(
    "words",
    [
        ["udp://localhost:0", "--to", "udp://localhost:9", "--loss", 2],
        ["udp://localhost:0", "--to", "udp://localhost:9", "--delay", -1],
        ["udp://localhost:0", "--to", "tcp://localhost:9", "--rate", 10],
        ["file:out9.txt", "--to", "udp://localhost:9"],
        ["localhost", "--to", "udp://localhost:9"],
    ],
)
def test_the_program_refuses_what_makes_no_sense_in_one_sentence(words):
    done = run("impair", *words)
    assert (done.returncode, done.stdout) == (2, "")
    [sentence] = islice(done.stderr.splitlines(), 2)
    assert sentence.startswith("python -m streamlib impair: ") and sentence.endswith(".")
