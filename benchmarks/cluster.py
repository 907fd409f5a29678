"""What workers of Dask lose, take and cost: `separate_files` over a cluster on this machine.

    python benchmarks/cluster.py [--files 200] [--seconds 3] [--mode quality] [--workers 4] [--tasks 10000]

Excerpts of the bundled song, one of them broken, are separated by workers, one of which is killed (kill -9) when half
is done; then one after the other in a process of its own, to compare. After that workers of other numbers do the same,
each telling how long it took over a file: the rest of their time they waited. Last, tasks that do nothing.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

import psutil
import soundfile
from table import show, song

from rtsep.offline.cluster import connected
from rtsep.offline.many import Report, separate_files, spread
from rtsep.settings import Settings

RATE, STEP_S = 44_100, 0.2


def stub(source, outputs):
    return Report(source, (), (), None)


class Clocked:
    """Separates a file, and reports as its warning how many seconds it took."""

    def __init__(self, folder, mode):
        self.folder, self.mode = folder, mode

    def __call__(self, source, outputs):
        start = time.monotonic()
        (report,) = separate_files([source], self.folder, settings=Settings(self.mode), resume=True)
        return report._replace(warnings=(str(time.monotonic() - start),))


def worker_processes():
    children = psutil.Process().children(recursive=True)
    return [
        child for child in children if child.status() != psutil.STATUS_ZOMBIE and "spawn_main" in child.cmdline()[-2]
    ]


class Watched(threading.Thread):
    """The most memory that any worker held, MB."""

    def __init__(self):
        super().__init__(daemon=True)
        self.most, self.end = 0.0, threading.Event()

    def run(self):
        while not self.end.wait(STEP_S):
            for worker in worker_processes():
                with suppress(psutil.Error):  # it may just have been killed
                    self.most = max(self.most, worker.memory_info().rss / 1e6)


def excerpts(folder, count, seconds):
    """Files that all differ, of which the last is broken."""
    whole = song(seconds=seconds + count / 10)
    paths = [folder / f"{number:04}.wav" for number in range(count)]
    for number, path in enumerate(paths):
        start = number * RATE // 10
        soundfile.write(path, whole[start : start + int(seconds * RATE)], RATE, "PCM_16")
    paths[-1].write_bytes(b"RIFF")
    return paths


def contents(folder):
    files = (path for path in folder.rglob("*") if path.suffix in (".wav", ".csv"))
    return {path.relative_to(folder): path.read_bytes() for path in files}


def killed(folder, paths, mode, workers):
    """Rows about a run in which a worker is killed half way."""
    told = []

    def report(report):
        told.append(report)
        if len(told) == len(paths) // 2:
            worker_processes()[0].kill()

    with connected(f"local:{workers}") as cluster:
        cluster.prepare([folder])
        watched = Watched()
        watched.start()
        start = time.monotonic()
        how = dict(executor=cluster.executor, jobs=cluster.jobs, progress=cluster.watched(lambda *_: None))
        separate_files(paths, folder / "killed", settings=Settings(mode), resume=True, report=report, **how)
        took = time.monotonic() - start
        watched.end.set()
        start = time.monotonic()
        again = separate_files(paths, folder / "killed", settings=Settings(mode), resume=True, **how)
        resumed = time.monotonic() - start
    command = [sys.executable, "-m", "rtsep", "separate", *paths, "--mode", mode, "-o", folder / "alone", "-j", "1"]
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    done, truth = contents(folder / "killed"), contents(folder / "alone")
    yield "files; of them broken", f"{len(paths)}; 1"
    yield (
        "reported as done; as failed",
        f"{sum(not each.error for each in told)}; {sum(bool(each.error) for each in told)}",
    )
    yield "reported twice", len(told) - len({each.source for each in told})
    yield "stems and tables; not equal to those of -j 1", f"{len(done)}; {sum(done.get(p) != truth[p] for p in truth)}"
    yield "most memory of a worker, MB", f"{watched.most:.0f}"
    yield "seconds", f"{took:.1f}"
    yield "seconds of a second run, which finds all done", f"{resumed:.1f} ({sum(each.kept for each in again)} kept)"


def scaled(folder, paths, mode, numbers):
    """Rows about how much of their time workers of each number were at work."""
    for workers in numbers:
        with connected(f"local:{workers}") as cluster:
            cluster.prepare([folder])
            spread(
                cluster.executor, Clocked(folder / f"warm {workers}", mode), {str(path): {} for path in paths[:8]}, 8
            )
            plan = {str(path): {} for path in paths[:-1]}
            start = time.monotonic()
            reports = spread(cluster.executor, Clocked(folder / str(workers), mode), plan, cluster.jobs)
            took = time.monotonic() - start
        busy = sum(float(report.warnings[0]) for report in reports)
        yield [workers, f"{len(plan) / took:.2f}", f"{1e3 * busy / len(plan):.0f}", f"{busy / took / workers:.3f}"]


def rate(workers, tasks):
    """Tasks that do nothing, a second."""
    with connected(f"local:{workers}") as cluster:
        spread(cluster.executor, stub, {str(number): {} for number in range(100)}, cluster.jobs)
        start = time.monotonic()
        spread(cluster.executor, stub, {str(number): {} for number in range(tasks)}, cluster.jobs)
        return tasks / (time.monotonic() - start)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=3, help="of each file")
    parser.add_argument("--mode", default="quality")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--tasks", type=int, default=10_000, help="that do nothing")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        paths = excerpts(folder, options.files, options.seconds)
        rows = [list(row) for row in killed(folder, paths, options.mode, options.workers)]
        show(f"{options.workers} workers, one killed half way", ["what", "measured"], rows)
        numbers = dict.fromkeys((1, os.cpu_count() or 1, options.workers))
        header = ["workers", "files a second", "ms a file", "time at work"]
        show(f"On {os.cpu_count()} cores", header, [*scaled(folder, paths, options.mode, numbers)])
    told = f"{rate(options.workers, options.tasks):.0f}"
    show(f"{options.tasks} tasks that do nothing", ["workers", "tasks a second"], [[options.workers, told]])


if __name__ == "__main__":
    main()
