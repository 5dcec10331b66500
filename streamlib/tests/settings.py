"""How the tests run, a pytest plugin (see pyproject.toml): lessons ten times as fast, nothing
asked of a learner, and outputs in a temporary folder: one for each worker of pytest-xdist.

That folder is in memory where there is room: at a tenth of the time, a slow disk would cost rows
that it costs no learner. Of the notebooks, the lab's own version runs, see `shipped`, unless one is
named: `pytest notebooks/01_concurrent_processes.ipynb` runs what the learner has made of it.
"""

import itertools
import os
import shutil
import socket
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest

MEMORY = Path("/dev/shm")
ROOM_BYTES = 256_000_000
# Ports for kernels, other ones in each process. A kernel binds its five some time after they were
# chosen; systems never give ports below 32768 to sockets that ask for any, as many tests do.
PORTS = itertools.cycle(range(20_000 + 100 * (os.getpid() % 120), 32_000))


def has_room(folder: Path) -> bool:
    """Say whether one may write to the folder, and at least 256 MB of it are free."""
    try:
        writable = os.access(folder, os.W_OK | os.X_OK)
        return writable and shutil.disk_usage(folder).free >= ROOM_BYTES
    except OSError:
        return False


def free_port(_cache: object, ip: str) -> int:
    """Return the next port for a kernel that nobody has."""
    for port in PORTS:
        with suppress(OSError), socket.socket() as tried:
            tried.bind((ip, port))
            return port


_folder = tempfile.mkdtemp(prefix="streamlib-", dir=MEMORY if has_room(MEMORY) else None)
os.environ["STREAMLIB_OUTPUTS"] = _folder
os.environ.setdefault("STREAMLIB_SCALE", "0.1")
os.environ.setdefault("STREAMLIB_PREDICT", "skip")


def pytest_configure(config):
    """Let the notebooks' kernels find streamlib, free ports, and matplotlib's list of fonts."""
    import matplotlib.font_manager  # noqa: F401 - making the list takes long, and it says so
    from jupyter_client.connect import LocalPortCache

    from streamlib import lab  # only now: what it imports reads STREAMLIB_OUTPUTS

    lab.write_path_file()
    LocalPortCache.find_available_port = free_port
    if not hasattr(config, "workerinput"):  # the workers of xdist are given names in any case
        named = config.args_source is pytest.Config.ArgsSource.ARGS
        os.environ["STREAMLIB_NAMED"] = "yes" if named else ""


def pytest_report_header():
    """Name the files of which the lab's own version is tested."""
    from streamlib.tests import shipped

    changed = shipped.differing()
    if changed and not os.environ["STREAMLIB_NAMED"]:
        return f"not as the lab ships them, so the lab's version is tested: {', '.join(changed)}"


@pytest.hookimpl(wrapper=True)
def pytest_collect_file(file_path, parent):
    """Let nbval run the lab's version of each notebook, and none that a learner has added."""
    found = yield
    from streamlib import home
    from streamlib.tests import shipped

    path = file_path.resolve()
    if not (found and path.suffix == ".ipynb" and path.is_relative_to(home.root)):
        return found
    name = path.relative_to(home.root).as_posix()
    as_shipped = name in shipped.names() and name not in shipped.differing()
    if as_shipped or os.environ["STREAMLIB_NAMED"]:
        return found
    return [Changed.from_parent(parent, path=file_path, like=found)]


class Changed(pytest.File):
    """A notebook that is not as the lab ships it."""

    def __init__(self, *, like, **options):
        super().__init__(**options)
        self.like = like

    def collect(self):
        """Yield the lab's version of it."""
        from streamlib.tests import shipped

        name = self.nodeid
        if name not in shipped.names():
            pytest.skip(f"{name} is not of the lab: to run it, name it after pytest.")
        copy = Path(_folder, "shipped", self.path.name)
        copy.parent.mkdir(exist_ok=True)
        copy.write_text(shipped.text(name), encoding="utf-8")
        for one in self.like:
            yield type(one).from_parent(self, path=copy, nodeid=name)


def pytest_unconfigure(config):
    """Remove the folder when all tests are over."""
    shutil.rmtree(_folder, ignore_errors=True)
