"""The shared database: what it refuses, what it leaves alone, and its lock."""

import random
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from types import SimpleNamespace

import pytest

from streamlib import database
from streamlib.tests.conftest import is_one_sentence


@pytest.fixture
def me(tmp_path):
    """A stand-in for the handle of a worker, which writes its marks into a list."""
    marks = []
    return SimpleNamespace(
        name="P1",
        db=database.fresh(tmp_path / "lab.db"),
        scale=0.1,
        rng=random.Random(1),
        marks=marks,
        mark=lambda state, item=None, resource=None, detail=None: marks.append(state),
        step=lambda name, item=None: None,
        hold=lambda seconds: None,
        think=lambda: None,
    )


def test_a_name_with_an_apostrophe_is_stored_as_it_is(me):
    names = ["O'Malley", "x'); DROP TABLE pets; --"]
    database.pets(names)(me)
    assert [row["name"] for row in database.rows(me.db)] == names
    assert me.marks == ["waiting", "holding", "done"] * 2


def test_an_insert_that_is_locked_out_gives_up_and_stores_nothing(me):
    with closing(sqlite3.connect(me.db, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with closing(database.open(me, timeout_s=0.1)) as connection:
            assert database.insert(me, connection, "Ace") is False
            assert not connection.in_transaction
    assert me.marks == ["waiting", "gave_up"]
    assert database.rows(me.db) == []


def test_a_reader_that_stays_makes_the_commit_give_up(me):
    with closing(sqlite3.connect(me.db, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM pets").fetchall()
        with closing(database.open(me, timeout_s=0.1)) as connection:
            assert database.insert(me, connection, "Ace") is False
            assert not connection.in_transaction
    assert me.marks == ["waiting", "holding", "gave_up"]
    assert database.rows(me.db) == []


def test_other_errors_are_not_taken_for_a_lock(me):
    with closing(database.open(me)) as connection:
        connection.execute("DROP TABLE pets")
        with pytest.raises(sqlite3.OperationalError, match="no such table"):
            database.insert(me, connection, "Ace")


def test_fresh_empties_the_pets_and_touches_no_other_table(me):
    database.pets(["Ace"])(me)
    with closing(sqlite3.connect(me.db)) as connection:
        connection.execute("CREATE TABLE mine (x)")
    database.fresh(me.db, keep=True)
    assert len(database.rows(me.db)) == 1
    database.fresh(me.db)
    assert database.rows(me.db) == []
    with closing(sqlite3.connect(me.db)) as connection:
        assert connection.execute("SELECT count(*) FROM mine").fetchone() == (0,)


def test_fresh_ends_wal_mode(me):
    with closing(sqlite3.connect(me.db)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    database.fresh(me.db)
    with closing(sqlite3.connect(me.db)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)


def test_a_path_that_cannot_be_used_is_refused_and_left_alone(tmp_path):
    text = tmp_path / "notes.txt"
    text.write_text("these are my notes, and no database\n" * 100, encoding="utf-8")
    before = text.read_bytes()
    for path, words in [
        (tmp_path, "unable to open database file.*: name another file"),
        (tmp_path / "nowhere" / "lab.db", "in a folder of this machine"),
        (text, "file is not a database"),
    ]:
        with pytest.raises(OSError, match=words) as error:
            database.fresh(path)
        assert str(path) in str(error.value) and is_one_sentence(str(error.value))
    assert text.read_bytes() == before


def test_a_database_that_another_program_holds_is_refused(me):
    with closing(sqlite3.connect(me.db, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(OSError, match="is locked: COMMIT what this notebook has open"):
            database.fresh(me.db)


@pytest.mark.parametrize("error", ["locking protocol", "disk I/O error"])
def test_a_disk_that_cannot_lock_files_is_said(me, monkeypatch, error):
    def connect(*arguments, **options):
        raise sqlite3.OperationalError(error)

    monkeypatch.setattr(sqlite3, "connect", connect)
    for ask in (database.fresh, database.rows):
        with pytest.raises(
            OSError, match=rf"\({error}\): name another file, in a folder of this m"
        ):
            ask(me.db)


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE pets (id INTEGER PRIMARY KEY, name TEXT, breed TEXT)",
        "CREATE TABLE Pets (name)",
        "CREATE TABLE pets (id INTEGER PRIMARY KEY, name TEXT, process TEXT, pid INTEGER)",
        "CREATE VIEW pets AS SELECT 1 AS name",
        "CREATE TABLE dogs (name); CREATE INDEX pets ON dogs (name)",
        f"{database.TABLE}; ALTER TABLE pets ADD COLUMN breed TEXT",
        f"{database.TABLE}; ALTER TABLE pets RENAME COLUMN pid TO breed",
    ],
)
def test_pets_that_the_lab_did_not_make_are_left_alone(tmp_path, sql, keep):
    path = tmp_path / "mine.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(f"PRAGMA journal_mode = WAL; {sql}")
    before = path.read_bytes()
    with pytest.raises(OSError, match="has pets that the lab did not make: give another path"):
        database.fresh(path, keep=keep)
    assert path.read_bytes() == before


def test_what_a_learner_added_to_the_pets_of_the_lab_stays(me):
    add = "CREATE INDEX by_name ON pets (name); CREATE TRIGGER mine AFTER INSERT ON pets BEGIN "
    with closing(sqlite3.connect(me.db)) as connection:
        connection.executescript(add + "SELECT 1; END")
        before = connection.execute("SELECT name, sql FROM sqlite_master").fetchall()
        database.pets(["Ace"])(me)
        database.fresh(me.db)
        assert connection.execute("SELECT name, sql FROM sqlite_master").fetchall() == before
    database.pets(["Buddy"])(me)
    assert [(row["id"], row["name"]) for row in database.rows(me.db)] == [(1, "Buddy")]


def test_rows_of_what_is_not_there_are_refused_and_nothing_is_made(tmp_path):
    with pytest.raises(OSError, match="does not exist"):
        database.rows(tmp_path / "lab.db")
    assert database.tables(tmp_path / "lab.db") == {}
    assert not (tmp_path / "lab.db").exists()
    with closing(sqlite3.connect(tmp_path / "empty.db")) as connection:
        connection.execute("CREATE TABLE other (x)")
    with pytest.raises(OSError, match="has no table pets"):
        database.rows(tmp_path / "empty.db")


@pytest.mark.parametrize("hold", [-1, float("inf"), "3"])
def test_durations_that_make_no_sense_are_refused(hold):
    with pytest.raises(ValueError, match="hold_s is"):
        database.pets(["Ace"], hold)


def test_one_name_twice_is_refused():
    with pytest.raises(ValueError, match="different ones"):
        database.pets(["Ace", "Ace"])


def test_a_database_that_is_kept_is_not_waited_for(me):
    with closing(sqlite3.connect(me.db, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        asking = threading.Thread(target=database.fresh, args=(me.db,), kwargs={"keep": True})
        asking.daemon = True
        asking.start()
        asking.join(10)
        assert not asking.is_alive()


def test_one_name_in_place_of_a_list_is_refused():
    with pytest.raises(ValueError, match="names is 'Ace': give a list"):
        database.pets("Ace")


def test_tables_show_what_is_committed_and_only_the_first_rows(me):
    with closing(sqlite3.connect(me.db, isolation_level=None)) as connection:
        connection.execute('CREATE TABLE "a ""b" (x)')
        connection.executemany('INSERT INTO "a ""b" VALUES (?)', [(n,) for n in range(30)])
        connection.execute("CREATE TABLE long AS SELECT printf('%.*c', 1000000, 'x') AS x")
        connection.execute("BEGIN IMMEDIATE")
        connection.execute('DELETE FROM "a ""b"')
        rows = [{"x": n} for n in range(20)]
        assert database.tables(me.db) == {
            "pets": [],
            'a "b': rows,
            "long": [{"x": "x" * 200 + "…"}],
        }


def test_programs_that_begin_at_once_with_one_database_all_have_it(tmp_path):
    for path in (tmp_path / f"{n}.db" for n in range(20)):
        with ThreadPoolExecutor() as pool:
            assert [*pool.map(lambda at: database.fresh(at, keep=True), [path] * 4)] == [path] * 4
