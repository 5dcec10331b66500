"""The exercises of notebook 05."""

from streamlib import records
from streamlib.exercises import is_number
from streamlib.network import Network, trial

READING = {  # line numbers of notebooks/reading_udp.py and reading_tcp.py, counts, and words
    "05.1": {"a": 11, "b": 3, "c": 17, "d": "no", "e": 15},
    "05.2": {"a": 24, "b": 26, "c": "yes", "d": "yes", "e": 16, "f": 1},
}
NETWORKS = [
    Network(delay_s=0.002, seed=1),
    Network(loss=0.2, delay_s=0.002, seed=2),
    Network(duplicate=0.2, reorder=0.2, delay_s=0.002, seed=3),
    Network(loss=0.2, duplicate=0.1, reorder=0.1, delay_s=0.002, seed=4),
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
    if isinstance(right, int):
        return is_number(given, right)
    word = str(given).strip(" .").casefold()
    return {"true": "yes", "false": "no"}.get(word, word) == right


def a_reliability_layer(answer: object) -> str:
    """A pair of functions, send and receive, that lose nothing on four bad networks."""
    if not (isinstance(answer, tuple) and len(answer) == 2 and all(map(callable, answer))):
        return "give both functions, as in (send, receive)."
    send, receive = answer
    lines = [records.encode(seq, {"n": str(seq)}) for seq in range(1, 81)]
    for network in NETWORKS:
        try:
            tried = trial(send, receive, lines, network, timeout_s=20)
        except TypeError as error:  # a function that cannot be taken to another process
            return str(error)
        if not tried.ok:
            return f"with {network}: {tried}"
        came = [(way, text) for _, way, text, _ in tried.log]
        if "back" not in dict(came):
            return "nothing is acknowledged: on a network that loses, who would send it again?"
        if network is NETWORKS[0] and not any(map(_is_a_window, came, came[1:])):
            return "it works, but without a window: one line at a time is under way."
    return ""


def _is_a_window(one: tuple, after: tuple) -> bool:
    """Whether a second datagram was sent before any answer to the first had passed."""
    return one[0] == after[0] == "there" and one[1] != after[1]


EXERCISES = {"05.1": reading_udp, "05.2": reading_tcp, "05.3": a_reliability_layer}
