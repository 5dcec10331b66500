"""A file that takes lines: whole or not at all, and nothing of anybody else's is overwritten."""

import sys

import pytest

from streamlib import records, wire
from streamlib.tests.conftest import is_one_sentence


def test_a_file_takes_lines_at_once_and_begins_anew(tmp_path):
    path = tmp_path / "out9.txt"
    for earlier in (b"", b"[a, b]\n"):
        with wire.sink(f"file:{path}") as sink:
            assert path.read_bytes().startswith(earlier)  # until there is a first line
            sink.send(b"[a, b]")
            assert path.read_bytes() == b"[a, b]\n"
            sink.end(records.encode_end(1))
        assert len(path.read_bytes().splitlines()) == 2
        assert (sink.acknowledged, sink.refused, sink.problems) == (True, 0, [])


def test_a_file_or_folder_that_cannot_be_written_is_one_sentence(tmp_path):
    for path in (tmp_path, tmp_path / "no" / "x"):
        with pytest.raises(OSError, match=r"cannot be written \(.+\): name a file in") as error:
            wire.sink(f"file:{path.as_posix()}")
        assert is_one_sentence(str(error.value))


@pytest.mark.parametrize("text", ['{\n "cells": []}', '{"name": 1}', "a,b\n1,2\n", "\ufeff[a]"])
def test_a_file_that_holds_something_else_is_kept(tmp_path, text):
    path = tmp_path / "mine"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match="holds something other than a stream") as error:
        wire.open_for_lines(path)
    assert is_one_sentence(str(error.value)) and path.read_text(encoding="utf-8") == text


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is Linux's own")
def test_a_full_disk_is_one_sentence():
    full = pytest.raises(OSError, match=r"/dev/full takes no more \(No space left on device\)")
    with wire.sink("file:/dev/full") as sink, full as error:
        sink.send(b"{}")
    assert is_one_sentence(str(error.value))


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit for the size of a file")
def test_a_line_for_which_there_is_half_the_room_is_taken_back(tmp_path):
    import resource
    import signal

    path, limits = tmp_path / "out9.txt", resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    with wire.open_for_lines(path) as file:
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (15, limits[1]))
            wire.write_line(file, b"0123456789")
            with pytest.raises(OSError, match=r"takes no more \(.+\): make room"):
                wire.write_line(file, b"0123456789")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            signal.signal(signal.SIGXFSZ, before)
        assert path.read_bytes() == b"0123456789\n"
        wire.write_line(file, b"again")
    assert path.read_bytes() == b"0123456789\nagain\n"
