"""The ladder of notebooks 06 and 07: puzzles in which the learner is the scheduler."""

import inspect
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from streamlib import database, resources, schedule


def come_in(me):
    with closing(database.open(me)) as connection:
        connection.execute("INSERT INTO pets VALUES (?)", (me.name,))


def count_one(me):
    with closing(database.open(me)) as connection:
        (number,) = connection.execute("SELECT number FROM pets").fetchone()
        connection.execute("UPDATE pets SET number = ?", (number + 1,))


def take_the_cage(me):
    with closing(database.open(me)) as connection:
        (pets,) = connection.execute("SELECT count(*) FROM cage").fetchone()
        if pets == 0:
            connection.execute("INSERT INTO cage VALUES (?)", (me.name,))


def move_50(me):
    with closing(database.open(me)) as connection:
        connection.execute("UPDATE accounts SET euros = euros - 50 WHERE name = 'Ann'")
        connection.execute("UPDATE accounts SET euros = euros + 50 WHERE name = 'Ben'")


def audit(me):
    with closing(database.open(me)) as connection:
        (total,) = connection.execute("SELECT sum(euros) FROM accounts").fetchone()
        connection.execute("INSERT INTO report VALUES (?)", (total,))


def take_a_bag(me):
    with closing(database.open(me)) as connection:
        (bags,) = connection.execute("SELECT bags FROM food").fetchone()
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("UPDATE food SET bags = ?", (bags - 1,))
        connection.execute("COMMIT")


def take_two_locks(me):
    names = ["lab.db", "vet.db"] if me.name == "P1" else ["vet.db", "lab.db"]
    first, second = (sqlite3.connect(me.db.with_name(name)) for name in names)
    with closing(first), closing(second):
        first.execute("BEGIN IMMEDIATE")
        second.execute("BEGIN IMMEDIATE")
        second.execute("COMMIT")
        first.execute("COMMIT")


def adopt(me):
    with closing(database.open(me)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("UPDATE shelter SET pets = pets - 1")
        connection.execute("UPDATE homes SET pets = pets + 1")
        connection.execute("COMMIT")


def report(me):
    with closing(database.open(me)) as connection:
        (waiting,) = connection.execute("SELECT pets FROM shelter").fetchone()
        (adopted,) = connection.execute("SELECT pets FROM homes").fetchone()
        connection.execute("INSERT INTO report VALUES (?)", (waiting + adopted,))


def count_one_in_a_transaction(me):
    with closing(database.open(me, timeout_s=5)) as connection:
        connection.execute("BEGIN")
        (number,) = connection.execute("SELECT number FROM pets").fetchone()
        connection.execute("UPDATE pets SET number = ?", (number + 1,))
        connection.execute("COMMIT")


def go_home(me):
    with closing(database.open(me)) as connection:
        (vets,) = connection.execute("SELECT count(*) FROM vets WHERE here").fetchone()
        if vets > 1:
            connection.execute("UPDATE vets SET here = 0 WHERE name = ?", (me.name,))


def count_one_if_unchanged(me):
    counted = 0
    with closing(database.open(me)) as connection:
        while not counted:
            (old,) = connection.execute("SELECT number FROM pets").fetchone()
            change = "UPDATE pets SET number = ? WHERE number = ?"
            counted = connection.execute(change, (old + 1, old)).rowcount


def dine(me):
    forks = {"Ann": ("a", "b"), "Ben": ("b", "c"), "Cleo": ("c", "a")}
    for fork in forks[me.name]:
        resources.take(me, fork)
    for fork in forks[me.name]:
        resources.release(me, fork)


def print_the_list(me):
    with closing(database.open(me)) as connection:
        if me.name == "P1":
            connection.execute("BEGIN IMMEDIATE")
            resources.take(me, "printer")
        else:
            resources.take(me, "printer")
            connection.execute("BEGIN IMMEDIATE")
        connection.execute("COMMIT")
        resources.release(me, "printer")


@dataclass(frozen=True)
class Puzzle:
    """One rung of the ladder; `tables` and `reached` are SQL: to begin with, to ask at the end."""

    goal: str
    plan: dict[str, Callable]
    tables: str
    reached: str  # or "deadlock"
    hint: str
    debrief: str
    locks: tuple[str, ...] = ()  # what is shared beside the database

    def setup(self, path: Path) -> resources.Broker:
        """Make the tables anew; return what is shared."""
        with closing(sqlite3.connect(path)) as connection:
            for table in database.tables(path):
                connection.execute(f"DROP TABLE {table}")
            connection.executescript(self.tables)
        return resources.shared(*self.locks, setup=str)(path)

    def won(self, path: Path) -> bool:
        """Tell whether the goal is reached, when all have ended."""
        with closing(sqlite3.connect(path)) as connection:
            return connection.execute(self.reached).fetchone() == (1,)


TO_BEAT = (3, 4, 5, 4, 8, 2, 7, 5, 6, 0, 3, 2)  # turns; nothing wins the tenth puzzle
ONE_NUMBER = "CREATE TABLE pets (number); INSERT INTO pets VALUES (0)"
PUZZLES = [
    Puzzle(
        "Let Felix in first.",
        {"Ace": come_in, "Cooper": come_in, "Felix": come_in},
        "CREATE TABLE pets (name)",
        "SELECT name = 'Felix' FROM pets ORDER BY rowid",
        "A button gives its process a turn, and the first turn makes the first row.",
        "Nothing in the code says who comes first: the scheduler decides, and this time that was\n"
        "you. A program that needs an order has to force it.",
    ),
    Puzzle(
        "Two processes count one pet each: let the number end at 1.",
        {"P1": count_one, "P2": count_one},
        ONE_NUMBER,
        "SELECT number = 1 FROM pets",
        "What does P2 have to read so that it writes 1, too?",
        "Both read 0 before either wrote, and the second wrote over the first: a lost update.\n"
        "One command that reads and writes, SET number = number + 1, leaves no room in between.",
    ),
    Puzzle(
        "The cage has room for one: put two pets or more into it.",
        {"Ace": take_the_cage, "Buddy": take_the_cage, "Cooper": take_the_cage},
        "CREATE TABLE cage (name)",
        "SELECT count(*) > 1 FROM cage",
        "Two must look while the cage is empty. Does the third have to?",
        "What a check found may be over by the time you act on it: check-then-act is two steps.\n"
        "Take the write lock before the check, or let the table refuse a second row.",
    ),
    Puzzle(
        "Ann and Ben have 200 euros together: let the report say anything but 200.",
        {"P1": move_50, "P2": audit},
        "CREATE TABLE accounts (name, euros); CREATE TABLE report (total);"
        "INSERT INTO accounts VALUES ('Ann', 100), ('Ben', 100)",
        "SELECT total <> 200 FROM report",
        "Where are the 50 euros between P1's two updates?",
        "The audit came when 50 euros had left one account and had not reached the other.\n"
        "A transaction around the two updates makes them one change: all of it, or nothing.",
    ),
    Puzzle(
        "There are 9 bags of food, and two processes take one each: let 8 be left.",
        {"P1": take_a_bag, "P2": take_a_bag},
        "CREATE TABLE food (bags); INSERT INTO food VALUES (9)",
        "SELECT bags <> 7 FROM food",
        "BEGIN IMMEDIATE takes the lock. What has P1 done before it?",
        "The lock kept the two updates apart, but both processes had read before either held it.\n"
        "A lock protects what you read while you hold it: take it first.",
    ),
    Puzzle(
        "Let each of two processes wait for the other, forever.",
        {"P1": take_two_locks, "P2": take_two_locks},
        "",
        "deadlock",
        "Each needs the locks of two files, lab.db and vet.db. Which does each take first?",
        "Each holds the lock that the other needs: a deadlock, which only a timeout would end.\n"
        "If all processes take their locks in the same order, no such circle can form.",
    ),
    Puzzle(
        "P1 moves one of 3 pets, in a transaction: let the report say anything but 3.",
        {"P1": adopt, "P2": report},
        "CREATE TABLE shelter AS SELECT 3 AS pets; CREATE TABLE homes AS SELECT 0 AS pets;"
        "CREATE TABLE report (total)",
        "SELECT count(*) = 0 FROM report WHERE total = 3",
        "Until P1 commits, P2 sees everything as it was. What if that happens between its SELECTs?",
        "The change was one transaction, but the report read one table before it, one after it.\n"
        "A reader that wants both from the same moment needs a transaction, too.",
    ),
    Puzzle(
        "Let one of two processes fail at once, although its timeout is 5 seconds.",
        {"P1": count_one_in_a_transaction, "P2": count_one_in_a_transaction},
        f"PRAGMA journal_mode = WAL; {ONE_NUMBER}",
        "SELECT number <> 2 FROM pets",
        "A plain BEGIN is not a turn. SQLite won't wait when what a process read is out of date.",
        "A transaction that has read can't write once another has: what it read is stale, and\n"
        "waiting wouldn't make it fresh. BEGIN IMMEDIATE asks for the write lock before reading.",
    ),
    Puzzle(
        "A vet may go home if another is here: send all three home.",
        {"Ann": go_home, "Ben": go_home, "Cleo": go_home},
        "CREATE TABLE vets AS SELECT 'Ann' AS name, 1 AS here UNION VALUES ('Ben', 1), ('Cleo', 1)",
        "SELECT sum(here) = 0 FROM vets",
        "The first may leave in peace. Let the last two count each other.",
        "Nobody overwrote anything, because each vet changed only one row: this is write skew.\n"
        "The rule is about several rows, so the lock must cover the count as well.",
    ),
    Puzzle(
        "Two processes count one pet each, without any lock: let the number end at 1.",
        {"P1": count_one_if_unchanged, "P2": count_one_if_unchanged},
        ONE_NUMBER,
        "SELECT number <> 2 FROM pets",
        "What does the UPDATE do if the number is no longer the old one?",
        "The update happens only if the number is still the one that was read; if not, the loop\n"
        "reads it again. This is called compare-and-swap, and no interleaving breaks it.",
    ),
    Puzzle(
        "Three philosophers sit at a table with three forks: let all of them starve.",
        {"Ann": dine, "Ben": dine, "Cleo": dine},
        "",
        "deadlock",
        "Each needs two forks. What if each has one?",
        "Each holds one fork and waits for the next: a circle of three.\n"
        "Let one of them take the forks in the other order, and it cannot close.",
        locks=("a", "b", "c"),
    ),
    Puzzle(
        "A list is printed from the database: let both processes wait forever.",
        {"P1": print_the_list, "P2": print_the_list},
        "",
        "deadlock",
        "One takes the write lock first, the other the printer.",
        "The circle goes through two kinds of resource: SQLite knows nothing of the printer, and\n"
        "the printer nothing of SQLite. One order for all of them would avoid it.",
        locks=("printer",),
    ),
]


def play(number: int) -> schedule.play:
    """Print a puzzle: its goal and its code; return its game, which tells the turns to beat."""
    puzzle, least = _rung(number)

    def debrief(turns: int) -> str:
        fewer = f"{least} are enough" if turns > least else "no fewer clicks will do"
        return f"\nWon in {turns} turns; {fewer}.\n{puzzle.debrief}"

    print(f"Puzzle {number}. {puzzle.goal}\n")
    print(*map(inspect.getsource, dict.fromkeys(puzzle.plan.values())), sep="\n")
    print(f"Stuck? ladder.hint({number})   No schedule does it? ladder.proof({number})")
    goal = puzzle.won if puzzle.reached != "deadlock" else "deadlock"
    game = schedule.play(puzzle.plan, setup=puzzle.setup, goal=goal)
    game.debrief = debrief

    def turn(turns: int | str) -> str:
        if "x" in str(turns):
            raise ValueError("On the ladder nobody gives up: choose turns that can be taken.")
        return schedule.play.turn(game, turns)

    game.turn = turn
    return game


def hint(number: int) -> None:
    """Print a hint."""
    print(_rung(number)[0].hint)


def proof(number: int) -> None:
    """Hold against every interleaving that no schedule wins a puzzle."""
    puzzle, least = _rung(number)
    if least:
        print("There is a schedule that does it: go on looking.")
        return
    print(schedule.explore(puzzle.plan, lambda db: not puzzle.won(db), setup=puzzle.setup))
    print(f"You are right: no schedule does it.\n{puzzle.debrief}")


def _rung(number: int) -> tuple[Puzzle, int]:
    if number not in range(1, len(PUZZLES) + 1):
        raise ValueError(f"There is no puzzle {number!r}: give a number from 1 to {len(PUZZLES)}.")
    return PUZZLES[number - 1], TO_BEAT[number - 1]
