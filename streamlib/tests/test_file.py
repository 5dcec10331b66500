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
        assert (sink.acknowledged, sink.problems) == (True, [])


def test_a_file_or_folder_that_cannot_be_written_is_one_sentence(tmp_path):
    for path in (tmp_path, tmp_path / "no" / "x"):
        with pytest.raises(OSError, match=r"cannot be written \(.+\): name a file in") as error:
            wire.sink(f"file:{path.as_posix()}")
        assert is_one_sentence(str(error.value))


THEIRS = {
    "a notebook": '{\n "cells": []}',
    "a notebook in one line": '{"cells": [], "metadata": {}, "nbformat": 4}\n',
    "an object": '{"name": 1}',
    "an array": "[1, 2, 3]\n",
    "settings": "[tool.ruff]\nline-length = 100\n",
    "a list of links": "[the course](https://example.org)\n",
    "rows pasted by hand": "[2024-01-01, Ames, 3]\n[2024-01-02, Bern, 4]\n",
    "records of another program": '{"seq": 1, "text": "row 1"}\n',
    "a table": "a,b\n1,2\n",
    "a text after a byte order mark": "\ufeff[a]",
    "a blank line and a text": "\nmy notes\n",
}


@pytest.mark.parametrize("text", THEIRS.values(), ids=THEIRS)
def test_a_file_that_holds_something_else_is_kept(tmp_path, text):
    path = tmp_path / "mine"
    path.write_text(text, encoding="utf-8")
    for use in (wire.FileSink, lambda path: wire.sink(f"file:{path}")):
        with pytest.raises(ValueError, match="holds something other than a stream") as error:
            use(path)
        assert is_one_sentence(str(error.value)) and path.read_text(encoding="utf-8") == text


@pytest.mark.parametrize(
    "line", [b"hello", b"2024-01-01, Ames, 3", b"[a, b]", b"\xff\xfe", b'{"a": 1}']
)
def test_whatever_the_lab_wrote_into_a_file_it_may_write_again(tmp_path, line):
    path = tmp_path / "out9.txt"
    for word in (b"once", b"again"):
        with wire.FileSink(path) as file:
            for one in (line, word):
                file.send(one)
        assert path.read_bytes() == line + b"\n" + word + b"\n"


def test_a_copy_of_what_the_lab_wrote_is_not_the_labs_and_neither_is_what_replaced_it(tmp_path):
    path, copy = tmp_path / "out9.txt", tmp_path / "copy.txt"
    with wire.FileSink(path) as file:
        file.send(b"hello")
    copy.write_bytes(path.read_bytes())
    path.write_text("hello, this is mine\n", encoding="utf-8")
    for theirs in (path, copy):
        with pytest.raises(ValueError, match="something other than a stream"):
            wire.FileSink(theirs)


def test_what_a_file_holds_stays_until_the_first_line_comes(tmp_path):
    path, before = tmp_path / "out9.txt", records.encode(1, {}) + b"\n" + records.encode_end(1)
    path.write_bytes(before)
    with wire.FileSink(path) as file:
        assert path.read_bytes() == before
    assert path.read_bytes() == before
    with wire.FileSink(path) as file:
        file.send(b"x")
        assert path.read_bytes() == b"x\n"


@pytest.mark.skipif(sys.platform == "win32", reason="/dev/null is not there")
def test_what_is_not_a_file_takes_lines_as_well():
    with wire.FileSink("/dev/null") as file:
        for _ in range(2):
            file.send(b"x")


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
    with wire.FileSink(path) as file:
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (15, limits[1]))
            file.send(b"0123456789")
            with pytest.raises(OSError, match=r"takes no more \(.+\): make room"):
                file.send(b"0123456789")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            signal.signal(signal.SIGXFSZ, before)
        assert path.read_bytes() == b"0123456789\n"
        file.send(b"again")
    assert path.read_bytes() == b"0123456789\nagain\n"
