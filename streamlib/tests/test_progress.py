"""The bar of a run that takes long."""

import pytest

from streamlib import processes
from streamlib.processes import progress


@pytest.fixture
def at_once(monkeypatch):
    monkeypatch.setattr(progress, "SOON_S", 0)
    monkeypatch.setattr(progress, "OFTEN_S", 0)
    monkeypatch.setenv("STREAMLIB_PREDICT", "")


def waits(me):
    me.hold(4)


def test_a_run_that_takes_long_shows_its_rounds_and_who_is_at_work(at_once, capsys):
    processes.run({"P1": waits, "P2": waits}, rounds=2)
    shown = capsys.readouterr().err
    assert "At work: P1, P2" in shown and "1 of 2 rounds done" in shown
    assert shown.endswith("\r")  # the bar is taken away


def test_a_quick_run_shows_no_bar(monkeypatch, capsys):
    monkeypatch.setenv("STREAMLIB_PREDICT", "")
    processes.run({"P1": waits})
    assert capsys.readouterr().err == ""


def test_a_run_that_is_watched_shows_no_bar(at_once, capsys):
    processes.run({"P1": waits}, watch=lambda event: None)
    assert capsys.readouterr().err == ""


def test_where_predictions_are_skipped_there_is_no_bar(at_once, monkeypatch, capsys):
    monkeypatch.setenv("STREAMLIB_PREDICT", "skip")
    processes.run({"P1": waits})
    assert capsys.readouterr().err == ""
