"""Each puzzle of the ladder is won by exactly those schedules that break it, and by no others."""

import inspect
import re

import pytest

from streamlib import processes, schedule
from streamlib.exercises import lesson_puzzles as ladder

NUMBERS = range(1, 11)


@pytest.fixture
def play(capsys):
    """As ladder.play, without what it prints; the game is closed at the end."""
    games = []

    def play(number):
        games.append(ladder.play(number))
        capsys.readouterr()
        return games[-1]

    yield play
    for game in games:
        game.close()


def explored(number):
    """Explore a puzzle; return all schedules that were played, and those that reach its goal."""
    puzzle = ladder.PUZZLES[number - 1]
    stuck = puzzle.reached == "deadlock"
    verdict = schedule.explore(
        puzzle.plan, lambda db: stuck or not puzzle.won(db), setup=puzzle.setup
    )
    run = processes.history("explore")[-1]
    played = run.orders()["schedule"].tolist()
    left = {one for one, why in zip(played, run.stopped, strict=True) if why}
    assert stuck or (verdict.total == len(played) and not left), verdict
    return played, {*verdict.broken} | left


@pytest.mark.parametrize("number", NUMBERS)
def test_a_puzzle_is_won_by_exactly_the_schedules_that_explore_calls_broken(number, play):
    played, broken = explored(number)
    game = play(number)
    assert not game.won
    won = set()
    for one in played:
        game.again()
        for turn in one.split():
            assert not game.won
            game.turn(turn)
        assert game.schedule == one
        won |= {one} if game.won else set()
    least = ladder.TO_BEAT[number - 1]
    print(number, len(played), len(broken), sorted({len(one.split()) for one in broken}), [*broken][:2])
    assert won == broken
    assert min((len(one.split()) for one in broken), default=0) == least
