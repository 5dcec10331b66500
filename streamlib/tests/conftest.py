"""What several test files share."""

import re

import pytest


@pytest.fixture
def csv_file(tmp_path):
    """A function that writes a text or bytes into a file and returns the file's path."""

    def write(content):
        path = tmp_path / "given.csv"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


def is_one_sentence(text):
    """Whether a text says what is wrong and, after a colon or semicolon, what to do."""
    return re.fullmatch(r"[^\n]+[:;] [^\n]+\.", text) and not re.search(r"[.!?]\s", text)
