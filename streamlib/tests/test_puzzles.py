"""Each puzzle of the ladder is won by exactly those schedules that `explore` calls broken."""

import inspect
import os
import random
import re

import pytest

from streamlib import processes, schedule
from streamlib.exercises import lesson_puzzles as ladder
from streamlib.tests.conftest import is_one_sentence

NUMBERS = range(1, 11)
FULL = "STREAMLIB_SCHEDULES" in os.environ
SAMPLE = 6  # schedules of a puzzle, broken ones and sound ones


@pytest.fixture
def play():
    """As ladder.play; the games are closed when the test is over."""
    games = []
    yield lambda number: games.append(ladder.play(number)) or games[-1]
    for game in games:
        game.close()


def explored(puzzle):
    """Explore a puzzle; return all schedules that end, and those that reach its goal."""
    deadlock = puzzle.reached == "deadlock"
    verdict = schedule.explore(
        puzzle.plan, lambda db: deadlock or not puzzle.won(db), setup=puzzle.setup
    )
    run = processes.history("explore")[-1]
    rounds = dict(zip(run.orders()["schedule"], run.stopped, strict=True))
    stuck = {schedule for schedule, why in rounds.items() if why}
    assert deadlock or (verdict.total == len(rounds) and not stuck), verdict
    return set(rounds), {*verdict.broken, *stuck}


def to_play(schedules):
    """The shortest of these schedules and SAMPLE others; all of them with STREAMLIB_SCHEDULES."""
    found = sorted(schedules, key=lambda one: (len(one.split()), one))
    others = found[1:] if FULL else random.Random(1).sample(found[1:], min(SAMPLE, len(found[1:])))
    return found[:1] + others


@pytest.mark.parametrize("number", NUMBERS)
def test_a_puzzle_is_won_by_exactly_the_schedules_that_explore_calls_broken(number, play, capsys):
    puzzle, least = ladder.PUZZLES[number - 1], ladder.TO_BEAT[number - 1]
    every, broken = explored(puzzle)
    game, won = play(number), set()
    printed = capsys.readouterr().out
    assert printed.startswith(f"Puzzle {number}. {puzzle.goal}\n")
    assert all(inspect.getsource(worker) in printed for worker in puzzle.plan.values())
    assert "to beat" not in printed  # which would give the last one away
    assert not game.won
    played = to_play(broken) + to_play(every - broken)
    for one in played:
        game.again()
        game.turn(one)
        assert game.schedule == one and game.won == (puzzle.debrief in game.said)
        won |= {one} if game.won else set()
    assert won == broken & {*played} and len(won) < len(played)
    assert min((len(one.split()) for one in broken), default=0) == least


def test_who_wins_by_clicks_or_by_a_string_is_told_whether_fewer_turns_are_enough(play):
    game = play(3)
    game.turn("1s 2s 3s 1i 2i 3i")
    assert "\nWon in 6 turns; 5 are enough.\nWhat a check found" in game.said
    game.undo()
    assert not game.won and "Won" not in game.said
    game._repr_mimebundle_()
    first, second, third, _, again = game._buttons
    for button in (again, first, second, first, second, third):
        button.click()
    assert game.won and game.schedule == "1s 2s 1i 2i 3s"
    assert "\nWon in 5 turns; no fewer clicks will do.\nWhat a check found" in game._text.value


def test_nobody_wins_the_last_and_a_proof_says_so(capsys):
    ladder.proof(10)
    said = capsys.readouterr().out
    assert said.startswith("holds: explored 6 of 6 interleavings\nYou are right: no schedule")
    assert ladder.PUZZLES[9].debrief in said
    ladder.proof(2)
    assert capsys.readouterr().out == "There is a schedule that does it: go on looking.\n"


@pytest.mark.parametrize("number", NUMBERS)
def test_a_debrief_has_two_sentences_and_a_hint_is_given(number, capsys):
    debrief = ladder.PUZZLES[number - 1].debrief
    sentences = re.split(r"(?<=\.)\s", debrief)
    assert len(sentences) == 2 and all(len(one.split()) <= 25 for one in sentences)
    assert max(map(len, debrief.splitlines())) <= 90
    ladder.hint(number)
    assert capsys.readouterr().out.strip()


@pytest.mark.parametrize("number", [0, 13, "3", None])
def test_there_are_twelve_puzzles(number):
    for call in (ladder.play, ladder.hint, ladder.proof):
        with pytest.raises(ValueError, match="There is no puzzle") as refused:
            call(number)
        assert is_one_sentence(str(refused.value))


def test_on_the_ladder_nobody_gives_up(play):
    game = play(5)
    with pytest.raises(ValueError, match="nobody gives up"):
        game.turn("1s 2s 1b 2x 1u 1c")
    assert not game.won and game.schedule == ""
