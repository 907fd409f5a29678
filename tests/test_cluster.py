"""Libraries: files over any executor and over Dask, what is done is known, and what dies takes nothing along."""

import multiprocessing
import os
import re
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import CancelledError, Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import signals
import soundfile

from rtsep.errors import BadInput, Unavailable
from rtsep.networks import OURS
from rtsep.offline.many import Report, separate_files, spread
from rtsep.offline.resume import Record, fingerprint
from rtsep.settings import STEMS, Settings
from rtsep.templates import named

RATE = 16000
LIVE = dict(settings=Settings("live"), stems=["melody", "percussive"])
NAMES = ("f0.csv", "melody.wav", "percussive.wav")


def sound_file(path, seconds=0.3, seed=1):
    soundfile.write(path, signals.song(int(seconds * RATE), RATE, 2, seed), RATE, "FLOAT")
    return path


@pytest.fixture
def sources(tmp_path):
    (tmp_path / "in").mkdir()
    return [sound_file(tmp_path / "in" / f"{name}.wav", seed=seed) for seed, name in enumerate("abcde", 1)]


def contents(folder):
    """What is in the files below `folder`, but for the records."""
    files = (path for path in folder.rglob("*") if path.is_file() and ".rtsep" not in path.parts)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def times(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*.*") if path.is_file()}


def processes(count):
    return ProcessPoolExecutor(count, multiprocessing.get_context("spawn"))


# Executors


def test_executors_give_what_one_after_the_other_gives(tmp_path, sources, monkeypatch):
    bad = tmp_path / "in" / "c.wav"
    bad.write_bytes(b"RIFF")
    separate_files(sources, tmp_path / "one", **LIVE)
    monkeypatch.chdir(tmp_path)
    names = [os.path.relpath(source, tmp_path) for source in sources]
    for number, pool in enumerate((ThreadPoolExecutor(2), processes(2))):
        with pool:
            pool.submit(os.chdir, "/").result()  # a worker need not be where we are
            os.chdir(tmp_path)
            told = []
            reports = separate_files(names, f"out{number}", executor=pool, jobs=3, report=told.append, **LIVE)
        assert [report.source for report in reports] == names and sorted(told) == sorted(reports)
        assert ["c.wav is no sound file" in str(report.error) for report in reports] == [
            name[3] == "c" for name in names
        ]
        assert contents(tmp_path / f"out{number}") == contents(tmp_path / "one")


def stub(source, outputs):
    return Report(source, (), (), None)


class Counting(ThreadPoolExecutor):
    """Knows how many were on their way at most."""

    def __init__(self, workers):
        super().__init__(workers)
        self.now, self.most, self.lock = 0, 0, threading.Lock()

    def submit(self, fn, /, *arguments):
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        future = super().submit(fn, *arguments)
        future.add_done_callback(self.ended)
        return future

    def ended(self, future):
        with self.lock:
            self.now -= 1


def test_no_more_files_are_handed_out_than_asked_for_and_no_fewer():
    plan = {str(number): {} for number in range(100)}
    barrier = threading.Barrier(3, timeout=30)

    def work(source, outputs):
        if int(source) < 99:
            barrier.wait()  # breaks if there are never three at work
        return stub(source, outputs)

    with Counting(8) as pool:
        reports = spread(pool, work, plan, 3)
    assert pool.most == 3
    assert [report.source for report in reports] == list(plan)


def test_workers_that_come_are_given_more():
    plan, allowed = {str(number): {} for number in range(20)}, [1]
    with Counting(8) as pool:
        spread(pool, stub, plan, lambda: allowed[0], lambda report: allowed.__setitem__(0, 1 + len(plan) // 5))
    assert 1 < pool.most <= 5


def failing(source, outputs):
    if source == "2":
        raise ValueError("nobody foresaw this")
    return stub(source, outputs)


def dying(source, outputs):
    time.sleep(0.1)
    if source == "2":
        os._exit(9)
    return stub(source, outputs)


def test_what_nobody_foresaw_fails_one_file_alone():
    for pool in (ThreadPoolExecutor(2), processes(1)):
        with pool:
            reports = spread(pool, failing, {str(number): {} for number in range(5)}, 2)
        assert [report.error is None for report in reports] == [True, True, False, True, True]
        assert str(reports[2].error) == "2 was given up: ValueError: nobody foresaw this"
        assert isinstance(reports[2].error.__cause__, ValueError)


def test_an_executor_that_is_broken_ends_the_work_with_a_sentence():
    told = []
    with processes(1) as pool, pytest.raises(Unavailable, match="there are no workers any more"):
        spread(pool, dying, {str(number): {} for number in range(50)}, 2, told.append)
    assert [report.source for report in told[:2]] == ["0", "1"]
    assert "2 was given up" in "".join(str(report.error) for report in told[2:])


class Forgetful(ThreadPoolExecutor):
    """Cancels what it is given."""

    def submit(self, fn, /, *arguments):
        future = Future()
        future.cancel()
        future.set_running_or_notify_cancel()
        return future


def test_an_executor_that_cancels_by_itself_is_no_file_s_fault():
    with Forgetful(1) as pool, pytest.raises(Unavailable, match="what was asked of them is given up"):
        spread(pool, stub, {"a": {}, "b": {}}, 1)


def test_an_interrupt_cancels_what_has_not_begun_and_reports_what_is_done():
    begun, told = [], []

    def work(source, outputs):
        begun.append(source)
        time.sleep(0.2 if source != "0" else 0)
        return stub(source, outputs)

    def report(report):
        told.append(report.source)
        if len(told) == 1:
            raise KeyboardInterrupt

    with ThreadPoolExecutor(2) as pool, pytest.raises(KeyboardInterrupt):
        spread(pool, work, {str(number): {} for number in range(50)}, 8, report)
    assert sorted(begun) == sorted(told)
    assert 1 < len(begun) < 5


def test_progress_may_end_the_work_on_a_source(tmp_path, sources):
    def progress(source, done, length):
        if "b.wav" in source:
            raise CancelledError

    with ThreadPoolExecutor(1) as pool:
        reports = separate_files(sources, tmp_path / "out", executor=pool, progress=progress, **LIVE)
    assert [report.error is None for report in reports] == [True, False, True, True, True]
    assert not (tmp_path / "out" / "b").exists()


@pytest.mark.parametrize("how", (dict(executor=ThreadPoolExecutor(1)), dict(resume=True)))
def test_pipes_stay_in_this_process(tmp_path, sources, how):
    for names, folder in ((["-"], tmp_path), (sources[:1], "-")):
        with pytest.raises(BadInput, match="- is a pipe"):
            separate_files(names, folder, stems=["melody"], sample_rate=RATE, channels=2, **how)


# What is done


def test_a_second_run_does_what_is_missing_or_changed_and_nothing_else(tmp_path, sources):
    out, options = tmp_path / "out", dict(**LIVE, resume=True)
    assert not any(report.kept for report in separate_files(sources, out, **options))
    before = times(out)
    for source in sources:
        source.touch()
    assert all(report.kept and report.error is None for report in separate_files(sources, out, **options))
    assert times(out) == before

    sound_file(sources[0], seed=9)
    (out / "b" / "melody.wav").unlink()
    sources.append(sound_file(tmp_path / "in" / "new.wav", seed=6))
    reports = separate_files(sources, out, **options)
    assert [report.kept for report in reports] == [False, False, True, True, True, False]
    assert all(report.error is None for report in reports)
    after = times(out)
    assert {
        path.parent.name for path in before if "c" < path.parent.name < "f" and after[path] != before[path]
    } == set()
    separate_files(sources, tmp_path / "truth", **LIVE)
    assert contents(out) == contents(tmp_path / "truth")


def test_other_settings_make_all_of_it_again_in_place_of_the_old(tmp_path, sources):
    out = tmp_path / "out"
    separate_files(sources, out, **LIVE, resume=True)
    other = dict(**LIVE, parameters={"hpss.separation": 3})
    reports = separate_files(sources, out, **other, resume=True)
    assert [(report.kept, report.error) for report in reports] == [(False, None)] * 5
    separate_files(sources, tmp_path / "truth", **other)
    assert contents(out) == contents(tmp_path / "truth")
    assert not any(report.kept for report in separate_files(sources, out, **LIVE, resume=True, force=True))
    assert all(report.kept for report in separate_files(sources, out, **LIVE, resume=True))


def test_what_others_wrote_is_refused_with_resume_too(tmp_path, sources):
    out = tmp_path / "out"
    separate_files(sources[:1], out, **LIVE, resume=True)
    (out / "b").mkdir()
    (out / "b" / "melody.wav").write_text("precious")
    with pytest.raises(BadInput, match=r"out/b/melody\.wav exists already"):
        separate_files(sources, out, **LIVE, resume=True)
    with pytest.raises(BadInput, match=r"out/a/melody\.wav \(and 2 more\) exists already"):
        separate_files(sources[:1], out, **LIVE)
    (record,) = (out / ".rtsep").rglob("*.json")
    record.write_text("{")
    with pytest.raises(BadInput, match=r"out/a/melody\.wav \(and 2 more\) exists already"):
        separate_files(sources[:1], out, **LIVE, resume=True)
    assert (out / "b" / "melody.wav").read_text() == "precious"


def test_sources_that_share_a_folder_have_records_of_their_own(tmp_path, sources):
    options = dict(**LIVE, filename="{track} {stem}.{ext}", resume=True)
    separate_files(sources, tmp_path / "out", **options)
    sound_file(sources[3], seed=9)
    reports = separate_files(sources, tmp_path / "out", **options)
    assert [report.kept for report in reports] == [True, True, True, False, True]


KILLED = """
import os, sys
from rtsep import disk
from rtsep.offline.many import separate_files
from rtsep.settings import Settings
finish, named = disk.finish, []
def dying(*arguments):
    if len(named) == int(sys.argv[3]):
        os._exit(9)
    named.append(arguments)
    finish(*arguments)
disk.finish = dying
separate_files([sys.argv[1]], sys.argv[2], settings=Settings("live"), stems=["melody", "percussive"], resume=True)
"""


@pytest.mark.parametrize("named_before", (0, 1))
def test_one_that_was_killed_while_its_files_got_their_names_is_done_again(tmp_path, sources, named_before):
    out = tmp_path / "out"
    killed = subprocess.run([sys.executable, "-c", KILLED, sources[0], out, str(named_before)])
    assert killed.returncode == 9
    assert len(list(out.rglob("*.wav"))) == named_before
    (report,) = separate_files(sources[:1], out, **LIVE, resume=True)
    assert (report.kept, report.error) == (False, None)
    separate_files(sources[:1], tmp_path / "truth", **LIVE)
    whole = {name: content for name, content in contents(out).items() if not name.endswith(".part")}
    assert whole == contents(tmp_path / "truth")


def test_one_that_was_killed_before_its_record_was_whole_is_not_taken_for_done(tmp_path, sources):
    out = tmp_path / "out"
    separate_files(sources[:1], out, **LIVE, resume=True)
    (record,) = (out / ".rtsep").rglob("*.json")
    record.write_text(record.read_text().replace("true", "false"))
    assert [report.kept for report in separate_files(sources[:1], out, **LIVE, resume=True)] == [False]


def test_a_record_is_for_the_names_it_holds_whatever_their_letters(tmp_path):
    outputs = [tmp_path / os.fsdecode(b"\xff [x]") / "melody.wav"]
    record = Record(tmp_path, os.fsdecode(b"\xff [x]/"))
    assert record.files() == set() and not record.holds("1", outputs)
    record.write("1", outputs, whole=True)
    assert record.files() == set(outputs) and not record.holds("1", outputs)
    outputs[0].parent.mkdir()
    outputs[0].touch()
    assert record.holds("1", outputs) and not record.holds("2", outputs)
    assert Record(tmp_path, "other/").files() == set()


def test_a_fingerprint_tells_apart_all_that_outputs_are_made_of_and_is_the_same_in_every_process(tmp_path, sources):
    drums = named("drums")
    spectra = drums.spectra.copy()
    spectra[0, :2] = spectra[0, 1::-1]
    networks = tmp_path / "own.npz"
    networks.write_bytes(OURS.read_bytes())
    region = np.ones((3, 2), np.float32)
    made = [
        (sources[0], Settings()),
        (sources[1], Settings()),
        (sources[0], Settings("live")),
        (sources[0], Settings(transpose=True)),
        (sources[0], Settings(networks=str(networks))),
        (sources[0], Settings(templates=drums)),
        (sources[0], Settings(templates=replace(drums, spectra=spectra))),
        (sources[0], Settings(), [("hpss.separation", 2)], ("melody",), "wav", None, None),
        (sources[0], Settings(), [("hpss.separation", 3)], ("melody",), "wav", None, None),
        (sources[0], Settings(), [("hpss.separation", 2)], ("melody",), "wav", 16, None),
        (sources[0], Settings(), [("hpss.separation", 2)], ("melody",), "wav", None, region),
        (sources[0], Settings(), [("hpss.separation", 2)], ("melody",), "wav", None, 2 * region),
    ]
    prints = [fingerprint(*each) for each in made]
    assert len(set(prints)) == len(made)
    with processes(1) as pool:
        assert [pool.submit(fingerprint, *each).result() for each in made] == prints
    networks.write_bytes(OURS.read_bytes() + b" ")
    assert fingerprint(*made[4]) not in prints


# The command


def rtsep(*words, cwd, **options):
    command = [sys.executable, "-W", "error", "-m", "rtsep", "separate", *map(str, words)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300, **options)


def test_the_command_resumes_and_names_what_it_wrote_alone(tmp_path, sources):
    words = "in", "--mode", "live", "--stems", "melody", "--resume"
    assert len(rtsep(*words, cwd=tmp_path).stdout.splitlines()) == 10
    sound_file(sources[2], seed=9)
    (tmp_path / "in" / "d.wav").write_bytes(b"RIFF")
    again = rtsep(*words, "-j", "2", cwd=tmp_path)
    assert again.stdout.split() == [f"stems/c/{name}" for name in ("melody.wav", "f0.csv")]
    assert again.returncode == 2
    told = again.stderr.splitlines()
    assert told[0] == "rtsep: 3 of 5 files were done before."
    assert told[1] == "rtsep: 1 of 5 files failed:" and "in/d.wav is no sound file" in told[2]


def test_a_cluster_without_dask_tells_what_to_install(tmp_path, sources):
    (tmp_path / "distributed.py").write_text("raise ImportError")
    surroundings = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    result = rtsep("in", "--cluster", "local", cwd=tmp_path, env=surroundings)
    assert (result.returncode, result.stdout) == (3, "")
    assert result.stderr == "rtsep: a cluster takes Dask: pip install 'rtsep[cluster]'.\n"


@pytest.mark.parametrize(
    "words, sentence",
    (
        (["--cluster", "local:0"], "local:0: write local:4"),
        (["--cluster", "local:many"], "local:many: write local:4"),
        (["--cluster", "here"], "here is no cluster: write local, or the address"),
        (["--cluster", "none.json"], "none.json is no cluster"),
        (["--cluster", "local", "-j", "2"], "-j 2 is for this process alone"),
        (["--cluster", "local", "--by", "hand", "--score", "x.mid"], "leave --resume and --cluster out"),
    ),
)
def test_a_cluster_that_makes_no_sense_is_refused(tmp_path, sources, words, sentence):
    pytest.importorskip("distributed")
    result = rtsep(sources[0], *words, cwd=tmp_path)
    assert result.returncode == 2 and sentence in result.stderr and "Traceback" not in result.stderr
    assert not (tmp_path / "stems").exists()


# Dask


@pytest.fixture
def library(tmp_path):
    """A folder of sound files, the fourth of which is broken."""
    pytest.importorskip("distributed")
    (tmp_path / "in").mkdir()
    for number in range(24):
        sound_file(tmp_path / "in" / f"{number:02}.wav", seconds=4, seed=number)
    (tmp_path / "in" / "03.wav").write_bytes(b"RIFF")
    return tmp_path


def started(library, *words):
    command = [sys.executable, "-W", "error", "-m", "rtsep", "separate", "in", "--mode", "live", *words]
    process = subprocess.Popen(
        command, cwd=library, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    deadline = time.monotonic() + 120
    while not any('"whole": true' in record.read_text() for record in (library / "stems").rglob("*.json")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    return process


def workers_of(process):
    """The worker processes of a command, and all that it started, by number."""
    import psutil

    children = psutil.Process(process.pid).children(recursive=True)
    return [child for child in children if "spawn_main" in " ".join(child.cmdline())], children


def all_ended(children):
    """Whether they end within seconds of the command; who is dead already may not have been buried."""
    import psutil

    _, left = psutil.wait_procs(children, timeout=5)
    return all(child.status() == psutil.STATUS_ZOMBIE for child in left)


@pytest.mark.slow
def test_a_worker_that_is_killed_loses_nothing(library):
    process = started(library, "--cluster", "local:2")
    workers, _ = workers_of(process)
    assert len(workers) == 2
    workers[0].kill()
    printed, told = process.communicate(timeout=300)
    assert process.returncode == 2
    assert re.search(r"1 of 24 files failed:\nrtsep: \S+/in/03\.wav is no sound file", told), told
    assert "Traceback" not in told and "distributed" not in told
    assert len(printed.splitlines()) == len(set(printed.splitlines())) == 23 * (len(STEMS) + 1)
    alone = rtsep("in", "--mode", "live", "-o", "alone", cwd=library)
    assert alone.returncode == 2
    done = {name: content for name, content in contents(library / "stems").items() if not name.endswith(".part")}
    assert done == contents(library / "alone")
    again = rtsep("in", "--mode", "live", "--cluster", "local:1", cwd=library)
    assert again.stdout == "" and "23 of 24 files were done before" in again.stderr


@pytest.mark.slow
def test_a_file_that_kills_workers_is_given_up_and_no_other():
    pytest.importorskip("distributed")
    from rtsep.offline.cluster import connected

    with connected("local:2") as cluster:
        assert cluster.dashboard.startswith("http://127.0.0.1:")
        reports = spread(cluster.executor, dying, {str(number): {} for number in range(20)}, cluster.jobs)
    (failed,) = [report for report in reports if report.error]
    assert str(failed.error).startswith("2 was given up: KilledWorker")


@pytest.mark.slow
@pytest.mark.parametrize("whole_group", (True, False))
def test_ctrl_c_ends_the_workers_and_leaves_nothing_unfinished(library, whole_group):
    long = [library / "in" / f"{number:02}.wav" for number in (1, 2)]
    for path in long:
        soundfile.write(path, np.zeros(1200 * RATE, np.int16), RATE)
    process = started(library, "--cluster", "local:2")
    _, children = workers_of(process)
    if whole_group:  # as a terminal does
        os.killpg(process.pid, signal.SIGINT)
    else:
        process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in told, told
    assert re.search(r"interrupted: \d+ of 24 done, and the same command goes on with the rest", told)
    assert all_ended(children)
    names = {path.name for path in (library / "stems").rglob("*") if path.is_file() and path.suffix != ".json"}
    assert names == {*(f"{stem}.wav" for stem in STEMS), "f0.csv"}
    for path in long:
        sound_file(path)
    again = rtsep("in", "--mode", "live", "--cluster", "local:2", cwd=library)
    assert re.search(r"[1-9]\d? of 24 files were done before", again.stderr)
    alone = rtsep("in", "--mode", "live", "-o", "alone", cwd=library)
    assert alone.returncode == again.returncode == 2
    assert contents(library / "stems") == contents(library / "alone")


@pytest.mark.slow
def test_workers_of_a_scheduler_are_used_and_left_as_they_were(library):
    distributed = pytest.importorskip("distributed")
    from rtsep.offline.cluster import connected

    options = dict(n_workers=1, threads_per_worker=2, dashboard_address=None)
    with distributed.LocalCluster(**options) as there, distributed.Client(there, set_as_default=False) as client:
        told = []
        with connected(there.scheduler_address) as cluster:
            assert (cluster.threads(), cluster.jobs()) == (2, 2)
            with pytest.raises(Unavailable, match=r"a worker cannot separate: tcp://\S+ has no folder /not/there"):
                cluster.prepare(["/not/there"])
            cluster.prepare([str(library)])
            sources = sorted((library / "in").iterdir())[:3]
            progress = cluster.watched(lambda *now: told.append(now))
            how = dict(executor=cluster.executor, jobs=cluster.jobs, progress=progress)
            reports = separate_files(sources, library / "out", **how, **LIVE)
        assert [report.error for report in reports] == [None] * 3
        assert {source for source, _, _ in told} <= set(map(str, sources)) and told
        assert all(0 <= done <= length == 4 * RATE for _, done, length in told)
        (plugins,) = client.run(lambda dask_worker: list(dask_worker.plugins)).values()
        assert not any("rtsep" in name for name in plugins)
