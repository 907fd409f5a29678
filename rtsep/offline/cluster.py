"""Workers of Dask, on this machine or on many, as an executor for `separate_files`.

Rocklin, "Dask: parallel computation with blocked algorithms and task scheduling", SciPy 2015. A worker that dies takes
nothing along: the scheduler gives what it was at to another, and what several died over fails. No worker is given more
files than it has threads, or those that wait there would be blamed too. At each block a worker looks whether its file
is still wanted, so that all end soon after the command did.
"""

import logging
import os
import secrets
import signal
import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import CancelledError, Executor
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing import resource_tracker
from typing import Any

from .. import __version__
from ..errors import BadInput, Unavailable
from ..library import warm_up
from .many import Progress

try:
    import distributed
    from dask.system import CPU_COUNT
    from distributed.utils import silence_logging_cmgr
except ImportError as error:
    raise Unavailable("a cluster takes Dask: pip install 'rtsep[cluster]'.") from error

LOCAL = "local"
"""In place of an address: workers on this machine, a process each; local:4 for four of them."""

_CONNECT_S = 10.0
_COUNTED_S = 1.0  # the number of workers is asked for this often
_EVERY_S = 0.5  # progress is told this often


class Cluster:
    """Workers that are connected.

    Attributes
    ----------
    executor : of `concurrent.futures`, for `separate_files`
    dashboard : the address of a page that shows what the workers do; it takes bokeh
    """

    def __init__(self, client: Any) -> None:
        self.executor: Executor = client.get_executor(pure=False)
        self.dashboard: str = client.dashboard_link
        self._client, self._prepared = client, False
        self._threads, self._counted = 0, -_COUNTED_S
        self._name = f"rtsep-{secrets.token_hex(8)}"

    def threads(self) -> int:
        """How many files the workers that are there now can work on at a time."""
        if time.monotonic() > self._counted + _COUNTED_S:
            self._threads, self._counted = sum(self._client.nthreads().values()), time.monotonic()
        return self._threads

    def jobs(self) -> int:
        """How many files may be on their way at a time: `threads`, or one that waits for the first worker."""
        return max(self.threads(), 1)

    def prepare(self, folders: Iterable[str]) -> None:
        """Make workers ready, those too that come later: each loads the engine, or builds it.

        Raises
        ------
        Unavailable : if a worker has another version of rtsep, cannot load the engine, or has not all of `folders`.
        """
        self._prepared = True
        try:
            self._client.register_plugin(_Ready(folders), self._name)
        except Exception as error:  # whatever is wrong there
            raise Unavailable(f"a worker cannot separate: {error}") from error

    def watched(self, progress: Progress) -> Progress:
        """What tells `progress` from where the workers are."""

        def told(event: tuple[float, tuple[bytes, int, int | None]]) -> None:
            source, done, length = event[1]
            progress(os.fsdecode(source), done, length)

        self._client.subscribe_topic(self._name, told)
        return _Watch(self._name)

    def close(self) -> None:
        """Leave the workers as they were, if they are there."""
        if self._prepared:
            with suppress(Exception):  # the scheduler may be gone
                self._client.unregister_worker_plugin(self._name)


@contextmanager
def connected(address: str) -> Iterator[Cluster]:
    """The workers at `address`: LOCAL, LOCAL:N, that of a scheduler of Dask, or the .json file that it wrote.

    Those of this machine end with the context.

    Raises
    ------
    BadInput : for what is neither.
    Unavailable : if no scheduler answers.
    """
    place, _, number = address.rpartition(":")
    local = LOCAL in (place, address)
    if local and place and not (number.isdecimal() and int(number)):
        raise BadInput(f"{address}: write {LOCAL}:4 for four workers on this machine.")
    if not local and not number.isdecimal() and not os.path.isfile(address):
        raise BadInput(f"{address} is no cluster: write {LOCAL}, or the address of a scheduler as in tcp://host:8786.")
    with ExitStack() as stack:
        stack.enter_context(silence_logging_cmgr(logging.CRITICAL))  # what it tells is told here in sentences
        if local:
            workers = int(number) if place else CPU_COUNT
            more = {"dashboard_address": "127.0.0.1:0", "silence_logs": logging.CRITICAL}
            with _interrupts_here_alone():
                cluster = distributed.LocalCluster(n_workers=workers, threads_per_worker=1, **more)
                there = {"address": stack.enter_context(cluster)}
        else:
            there = {"address" if number.isdecimal() else "scheduler_file": address}
        try:
            client = stack.enter_context(distributed.Client(**there, timeout=_CONNECT_S, set_as_default=False))
        except OSError as error:
            raise Unavailable(f"no scheduler of Dask answers at {address}: {error}.") from error
        connection = Cluster(client)
        stack.callback(connection.close)
        yield connection


@contextmanager
def _interrupts_here_alone() -> Iterator[None]:
    """Keep Ctrl-C, and a terminal that closes, from processes that are started in here, and by threads of here.

    A terminal tells all of its processes, and it is for the command, which ends its workers in order.
    """
    if sys.platform == "win32":
        yield
        return
    kept = {signal.SIGINT, signal.SIGHUP}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, kept)
    try:
        resource_tracker.ensure_running()  # it lets Ctrl-C through again, and later would do so where nobody looks
        signal.pthread_sigmask(signal.SIG_BLOCK, kept)
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Ready(distributed.WorkerPlugin):  # type: ignore[misc]
    """Sees to it that a worker can do what it will be asked for."""

    def __init__(self, folders: Iterable[str]) -> None:
        self._folders, self._version = sorted(folders), __version__

    def setup(self, worker: Any) -> None:
        if self._version != __version__:
            raise Unavailable(f"{worker.address} has rtsep {__version__}, and here is {self._version}.")
        for folder in self._folders:
            if not os.path.isdir(folder):
                raise Unavailable(f"{worker.address} has no folder {folder}: sources and outputs must be shared.")
        warm_up()


class _Watch:
    """Tells from a worker how far a source is, and ends the work on what nobody waits for any more."""

    def __init__(self, topic: str) -> None:
        self._topic, self._told = topic, 0.0

    def __call__(self, source: str, done: int, length: int | None) -> None:
        worker = distributed.get_worker()
        task = worker.state.tasks.get(worker.get_current_task())
        if task is None or task.state not in ("executing", "long-running"):
            raise CancelledError
        now = time.monotonic()
        if now - self._told > _EVERY_S:
            self._told = now
            worker.log_event(self._topic, (os.fsencode(source), done, length))
