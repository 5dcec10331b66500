"""How a stream stops early: the stop button of a cell, Ctrl-C, and limits."""

import signal
import threading

import pytest

from streamlib.stream.stopping import Stop, check_limit
from streamlib.tests.conftest import UNIX


@UNIX
def test_a_first_ctrl_c_is_noted_and_a_second_one_interrupts():
    stop, before = Stop(), signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), stop.heard():
        assert not stop.asked
        signal.raise_signal(signal.SIGINT)
        assert stop.asked and stop.at > 0
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before and not stop.asked


@UNIX
def test_a_thread_leaves_ctrl_c_to_the_main_thread():
    before, found = signal.getsignal(signal.SIGINT), []

    def listen():
        with Stop().heard():
            found.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=listen)
    thread.start()
    thread.join()
    assert found == [before]


@pytest.mark.parametrize("limit", [0, -1, 1.5, "3"])
def test_a_limit_is_a_whole_number_of_rows(limit):
    with pytest.raises(ValueError, match=f"^limit is {limit!r}: give a whole number of rows"):
        check_limit(limit)


def test_no_limit_and_a_limit_of_one_row_are_taken():
    check_limit(None)
    check_limit(1)
