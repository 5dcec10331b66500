"""The lab's programs for a terminal: python -m streamlib pets --hold 3 --timeout 5."""

import argparse
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one program; return its exit status: 0 well, 1 rows were lost, 2 cannot be done."""
    parser = argparse.ArgumentParser(prog="python -m streamlib")
    programs = parser.add_subparsers(dest="program", required=True)

    pets = programs.add_parser(
        "pets", help="three processes insert two pets each into one database (tasks 1 and 2)"
    )
    pets.add_argument("--hold", type=float, default=0, help="seconds an insert takes (0)")
    pets.add_argument("--timeout", type=float, default=5, help="seconds to wait for the lock (5)")
    pets.add_argument("--out", help="the log file (outputs/out0.txt, out3.txt: by --hold)")
    pets.add_argument("--db", help="the database file (one of the run's own)")
    pets.add_argument("--keep", action="store_true", help="keep the rows already in --db")

    clear = programs.add_parser("clear", help="remove the outputs stored in your notebooks")
    clear.add_argument("notebooks", nargs="*", help="which (all in notebooks/)")

    given = parser.parse_args(arguments)
    try:
        return {"pets": _pets, "clear": _clear}[given.program](given)
    except (OSError, ValueError) as error:
        print(f"{parser.prog} {given.program}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Stopped; every process was ended.", file=sys.stderr)
        return 130


def _pets(given: argparse.Namespace) -> int:
    from functools import partial

    from streamlib import database, home, logs, processes

    home.outputs.mkdir(parents=True, exist_ok=True)
    plan = {
        name: database.pets(pets, given.hold, given.timeout) for name, pets in database.PETS.items()
    }
    log = logs.start(given.out or home.outputs / f"out{given.hold:g}.txt")
    try:
        logs.opening(log, given.hold, given.timeout, given.db or "of this run's own")
        run = processes.run(
            plan,
            db=given.db,
            setup=partial(database.fresh, keep=given.keep),
            timeout_s=60 + 10 * (given.hold + given.timeout),
            label=f"pets {given.hold:g} s",
            watch=logs.watcher(log),
        )
        return logs.closing(log, run, expected=sum(map(len, database.PETS.values())))
    finally:
        logs.finish(log)


def _clear(given: argparse.Namespace) -> int:
    from streamlib import home

    for path in home.clear_outputs(given.notebooks):
        print(f"cleared {path.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
