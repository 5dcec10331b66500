"""The exercises of notebook 05."""

from streamlib import predict
from streamlib.exercises import number, reason

READING = {  # line numbers of notebooks/reading_udp.py and reading_tcp.py, counts, and words
    "05.1": {"a": 11, "b": 3, "c": 17, "d": "no", "e": 15},
    "05.2": {"a": 24, "b": 26, "c": "yes", "d": "yes", "e": 16, "f": 1},
}
NETWORKS = [
    {"delay_s": 0.002, "seed": 1},
    {"loss": 0.2, "delay_s": 0.002, "seed": 2},
    {"duplicate": 0.2, "reorder": 0.2, "delay_s": 0.002, "seed": 3},
    {"loss": 0.2, "duplicate": 0.1, "reorder": 0.1, "delay_s": 0.002, "seed": 4},
]


def reading_udp(answer: object) -> str:
    """The questions on notebooks/reading_udp.py: a dict of letter and answer."""
    return _wrong_letters(READING["05.1"], answer)


def reading_tcp(answer: object) -> str:
    """The questions on notebooks/reading_tcp.py: a dict of letter and answer."""
    return _wrong_letters(READING["05.2"], answer)


def _wrong_letters(right: dict, answer: object) -> str:
    answers = answer.items() if isinstance(answer, dict) else ()
    given = {str(letter).strip().casefold(): value for letter, value in answers}
    wrong = [letter for letter in right if not _agrees(given.get(letter), right[letter])]
    hint = f'look again at {", ".join(wrong)}; answer each letter, as in {{"a": 1, "b": "yes"}}.'
    return hint if wrong else ""


def _agrees(given: object, right: int | str) -> bool:
    return predict.read(given, "number" if isinstance(right, int) else "yes or no") == right


def a_reliability_layer(answer: object) -> str:
    """A pair of functions, send and receive, that lose nothing on four bad networks."""
    if not (isinstance(answer, tuple) and len(answer) == 2 and all(map(callable, answer))):
        return "give both functions, as in (send, receive)."
    from streamlib import network, records  # only now: they take longer than the other checks

    send, receive = answer
    lines = [records.encode(seq, {"n": str(seq)}) for seq in range(1, 81)]
    for at, bad in enumerate(NETWORKS):
        over = network.Network(**bad)
        try:
            tried = network.trial(send, receive, lines, over, timeout_s=20)
        except TypeError as error:  # a function that cannot be taken to another process
            return str(error)
        if not tried.ok:
            return f"with {over}: {tried}"
        came = [(way, text) for _, way, text, _ in tried.log]
        if "back" not in dict(came):
            return "nothing is acknowledged: on a network that loses, who would send it again?"
        if at == 0 and not any(map(_is_a_window, came, came[1:])):
            return "it works, but without a window: one line at a time is under way."
    return ""


def _is_a_window(one: tuple, after: tuple) -> bool:
    """Whether a second datagram was sent before any answer to the first had passed."""
    return one[0] == after[0] == "there" and one[1] != after[1]


EXERCISES = {
    "05.1": reading_udp,
    "05.2": reading_tcp,
    "05.3": a_reliability_layer,
    "05.4": number(7840, "one datagram for each row, and 28 bytes for each datagram."),
    "05.5": reason(
        right="b",
        wrong={
            "a": "compare the two at full speed, where nothing is lost.",
            "c": "it read at once, over UDP as over TCP; what had to come first?",
            "d": "look at the verdict: all rows came in order.",
        },
    ),
}
HINTS = {
    "05.1": [
        "a receiver binds its socket to the port where it wants datagrams.",
        "row number and expected number are compared in one line.",
        "nobody is asked whether a datagram arrives, so sending to nobody is no error.",
    ],
    "05.2": [
        "a connection needs somebody who answers; which line makes it?",
        "look for the mark that ends a row, where it is added and where it is split.",
        "what does `recv` know of rows?",
    ],
    "05.3": [
        "keep the lines that are not acknowledged in a dictionary: number -> time of sending.",
        "send new lines while it holds fewer than 32; resend those that are older than 50 ms.",
        "the receiver acknowledges every line that it gets, and keeps early ones in a dictionary.",
    ],
    "05.4": ["how many datagrams are that?", "multiply the datagrams by 20 + 8 bytes."],
    "05.5": ["TCP hands bytes over in order; what if one packet of the middle is missing?"],
}
SOLUTIONS = {
    "05.1": "a 11, b 3, c 17, d no, e 15",
    "05.2": "a 24, b 26, c yes, d yes, e 16, f 1",
    "05.3": """\
import time
from contextlib import suppress


def send(sock, lines, window=32, patience_s=0.05):
    sock.settimeout(0.005)
    under_way, following, ended = {}, 0, set()
    while len(ended) < len(lines):
        while following < len(lines) and len(under_way) < window:
            under_way[following] = 0.0
            following += 1
        for number, sent_at in under_way.items():
            if time.monotonic() - sent_at > patience_s:
                sock.send(b"%d " % number + lines[number])
                under_way[number] = time.monotonic()
        with suppress(TimeoutError):
            number = int(sock.recv(100))
            under_way.pop(number, None)
            ended.add(number)


def receive(sock, deliver):
    expected, early = 0, {}
    while True:
        number, _, line = sock.recv(65_507).partition(b" ")
        sock.send(number)
        early[int(number)] = line
        while expected in early:
            deliver(early.pop(expected))
            expected += 1""",
    "05.4": "280 * 28 = 7,840 bytes",
    "05.5": "(b): this is head-of-line blocking.",
}
