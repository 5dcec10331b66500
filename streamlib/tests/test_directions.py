"""The house keeps its floors: imports go down, never up or sideways, type-only ones included."""

import ast
import subprocess
import sys

from streamlib import home

# A room imports only from rooms in a line above its own; the same goes for modules in a package.
FLOORS = """
    home guard orders charts contents
    database rows predict programs lab deadlock
    resources
    records processes
    wire schedule logs
    stream
    network
    exercises
    __main__"""
INSIDE = {
    "processes": [
        "recorder places model",
        "child",
        "parent events",
        "turns result",
        "runner",
        "__init__",
    ],
    "schedule": ["stepping anomaly", "exploring", "playing", "__init__"],
    "wire": ["endpoint", "file udp tcp", "__init__"],
    "stream": ["pasted", "fates", "sending receiving", "__init__"],
    "rows": ["encoding", "reading", "sorting", "__init__"],
    "exercises": [
        "__init__",
        " ".join(f"lesson_0{n}" for n in range(9)) + " lesson_puzzles lesson_fixes",
    ],
    "charts": ["drawing", "happened waiting", "__init__"],
}


def arrows():
    """Yield (importer, imported) for each import of one module of the package by another."""
    paths = [p for p in (home.root / "streamlib").rglob("*.py") if "tests" not in p.parts]
    parts = {path: path.relative_to(home.root).with_suffix("").parts[1:] for path in paths}
    modules = {".".join(part).removesuffix(".__init__"): part for part in parts.values()}
    for path, importer in parts.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import | ast.ImportFrom):
                above = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
                for imported in (f"{above}{alias.name}" for alias in node.names):
                    name = imported.removeprefix("streamlib.")
                    if imported.startswith("streamlib."):
                        yield importer, modules.get(name) or modules[name.rpartition(".")[0]]


def rank(lines, name):
    [place] = [at for at, line in enumerate(lines) if name in line.split()]
    return place


def test_every_import_goes_down():
    found = list(arrows())
    assert len(found) > 50
    for importer, imported in found:
        lines, at = FLOORS.strip().split("\n"), 0
        if importer[0] == imported[0]:
            lines, at = INSIDE[importer[0]], 1
        assert rank(lines, importer[at]) > rank(lines, imported[at]), (importer, imported)


def test_children_and_senders_load_neither_pandas_nor_numpy_nor_matplotlib():
    code = (
        "import sys\n"
        "from streamlib import __main__, database, logs, network, orders, processes, programs\n"
        "from streamlib import deadlock, records, resources, rows, schedule, stream, wire\n"
        "from streamlib.exercises import lesson_puzzles\n"
        "print([m for m in ('pandas', 'numpy', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=home.root, capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "[]\n", done.stderr
