"""render: the engine over arrays, files and pipes. Aligned, complete, in constant memory, all or nothing."""

import itertools
import os
import resource
import signal
import subprocess
import sys
import threading
import tracemalloc

import numpy as np
import pytest
import signals
import soundfile

from rtsep.engine import Engine
from rtsep.errors import BadInput, Unavailable
from rtsep.offline.render import separate, separate_files
from rtsep.settings import MODES, STEMS, Settings

RATE = 16000
CHANGES = {"percussive.gain_db": -12, "residual.mute": "on", "hpss.separation": 2}
EVERY_MODE = pytest.mark.parametrize("mode", MODES)


def sound_file(path, seconds=0.5, channels=2, seed=1):
    """A WAV of music whose values are 24-bit samples; returns its path and its sound."""
    sound = np.rint(signals.music(int(seconds * RATE), RATE, channels, seed) * 2**23).astype(np.float32) / 2**23
    soundfile.write(path, sound, RATE, "FLOAT")
    return path, sound


def tree(folder):
    """All files below `folder`, and the folders that are empty."""
    return sorted(
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() or (path.is_dir() and not any(path.iterdir()))
    )


def load(path):
    return soundfile.read(path, dtype="float32", always_2d=True)[0]


# Arrays


@EVERY_MODE
@pytest.mark.parametrize("samples", (1, 4095, 4096, 12_345))
def test_the_stems_are_the_engine_s_with_its_latency_taken_off(mode, samples):
    sound = signals.music(samples, RATE, 2)
    results = separate(sound, sample_rate=RATE, mode=mode, parameters=CHANGES, mix=True)
    engine = Engine(Settings(mode=mode))
    engine.prepare(sample_rate=RATE, channels=2, max_block=100_000)
    for id, value in CHANGES.items():
        engine.parameters[id] = value
    fed = np.concatenate([sound, np.zeros((engine.latency, 2), np.float32)])
    truth = engine.process_stems(fed)
    engine.reset()
    truth["mix"] = engine.process(fed)
    assert list(results) == [*STEMS, "mix"]
    for name, result in results.items():
        assert (result.shape, result.dtype) == ((samples, 2), np.float32)
        assert np.array_equal(result, truth[name][engine.latency :]), name


@EVERY_MODE
def test_the_stems_of_24_bit_sound_add_up_to_it_to_the_last_bit(mode):
    sound = signals.noise_24_bit(20_000, 2)
    results = separate(sound, sample_rate=44100, mode=mode)
    assert np.array_equal(sum(results.values()), sound)
    assert all(np.abs(result).max() > 0.01 for stem, result in results.items() if stem != "residual")


def test_faders_at_unity_leave_the_sound_as_it_is_and_closed_ones_nothing():
    sound = signals.music(10_000, RATE, 2)
    assert np.array_equal(separate(sound, sample_rate=RATE, stems=[], mix=True)["mix"], sound)
    closed = {f"{stem}.gain_db": -np.inf for stem in STEMS}
    assert not separate(sound, sample_rate=RATE, stems=[], mix=True, parameters=closed)["mix"].any()


def test_offline_equals_librosa_on_inner_frames():
    import librosa

    sound = signals.music(2 * 44100, 44100)[:, 0]
    results = separate(sound, sample_rate=44100)
    harmonic, percussive = librosa.decompose.hpss(librosa.stft(sound, n_fft=2048, hop_length=512, center=True))
    # Beyond the edges librosa mirrors the frames and the engine hears silence: half a median of frames.
    inner = slice(16 * 512, -(16 + 4) * 512)
    for stem, spectra in (("harmonic", harmonic), ("percussive", percussive)):
        theirs = librosa.istft(spectra, hop_length=512, length=len(sound))
        assert np.abs(theirs[inner]).max() > 0.05
        np.testing.assert_allclose(results[stem][inner], theirs[inner], atol=1e-4, err_msg=stem)


def test_one_axis_in_is_one_axis_out():
    sound = signals.music(5000, RATE)
    flat = separate(sound[:, 0], sample_rate=RATE)
    assert flat["harmonic"].shape == (5000,)
    assert np.array_equal(flat["harmonic"], separate(sound, sample_rate=RATE)["harmonic"][:, 0])


@pytest.mark.parametrize("shape", ((0,), (0, 2)))
def test_no_sound_has_empty_stems(shape):
    assert {result.shape for result in separate(np.zeros(shape), sample_rate=RATE).values()} == {shape}


def test_the_input_is_never_written_and_may_be_of_any_layout_and_width():
    sound = signals.music(9000, RATE, 2)
    truth = separate(sound, sample_rate=RATE)
    sound.flags.writeable = False
    for given in (sound, np.asfortranarray(sound), sound.astype(float), sound.tolist()):
        results = separate(given, sample_rate=RATE)
        assert all(np.array_equal(results[stem], truth[stem]) for stem in STEMS)


def test_what_is_no_number_becomes_silence():
    sound = signals.music(20_000, RATE)
    clean = sound.copy()
    sound[5000], sound[6000] = np.nan, np.inf
    clean[5000] = clean[6000] = 0
    results, truth = separate(sound, sample_rate=RATE), separate(clean, sample_rate=RATE)
    assert all(np.array_equal(results[stem], truth[stem]) for stem in STEMS)


def test_stems_come_in_the_order_they_are_named_each_once():
    assert list(separate(np.zeros(9), sample_rate=RATE, stems=["residual", "harmonic", "residual"])) == [
        "residual",
        "harmonic",
    ]


def test_settings_take_the_place_of_the_mode():
    sound = signals.music(9000, RATE)
    ours = separate(sound, sample_rate=RATE, settings=Settings(mode="live"))
    assert np.array_equal(ours["harmonic"], separate(sound, sample_rate=RATE, mode="live")["harmonic"])
    assert not np.array_equal(ours["harmonic"], separate(sound, sample_rate=RATE)["harmonic"])


@pytest.mark.parametrize(
    "sound, options, sentence",
    (
        (np.zeros(9), {}, "an array needs its sample rate"),
        ("a.wav", dict(sample_rate=RATE), "a file has its own sample rate"),
        ("a.wav", {}, "there is no file a.wav"),
        (np.zeros(9), dict(sample_rate=1), "the sample rate is 1 Hz"),
        (np.zeros((2, 900)), dict(sample_rate=RATE), r"\(2, 900\).*\(samples, channels\), with at most 8"),
        (np.zeros((9, 0)), dict(sample_rate=RATE), "0 channels"),
        (np.zeros((9, 2, 2)), dict(sample_rate=RATE), r"\(9, 2, 2\)"),
        (np.zeros(9, np.int16), dict(sample_rate=RATE), "int16: it must hold floats"),
        (np.zeros(9), dict(sample_rate=RATE, mode="ofline"), "unknown mode 'ofline': did you mean 'offline'"),
        (np.zeros(9), dict(sample_rate=RATE, stems=["drums"]), "unknown stem 'drums'.*percussive, harmonic"),
        (np.zeros(9), dict(sample_rate=RATE, parameters={"hpss": 1}), "unknown parameter 'hpss'"),
        (np.zeros(9), dict(sample_rate=RATE, parameters={"hpss.separation": 99}), "hpss.separation is 99"),
    ),
)
def test_what_makes_no_sense_is_refused_with_a_sentence(sound, options, sentence):
    with pytest.raises(BadInput, match=sentence):
        separate(sound, **options)


# Files


@pytest.mark.parametrize("format", ("wav", "flac"))
def test_files_hold_what_arrays_give(tmp_path, format):
    path, sound = sound_file(tmp_path / "a.b.wav", seconds=1.3)
    settings, changes = Settings(mode="balanced"), {"harmonic.gain_db": -100}
    truth = separate(sound, sample_rate=RATE, settings=settings, parameters=changes, mix=True)
    out = tmp_path / "out"
    (report,) = separate_files([path], out, settings=settings, parameters=changes, mix=True, format=format)
    assert report.written == tuple(out / "a.b" / f"{name}.{format}" for name in (*STEMS, "mix"))
    assert (report.source, report.warnings, report.error) == (str(path), (), None)
    assert tree(out) == sorted(f"a.b/{name}.{format}" for name in (*STEMS, "mix"))
    for place in report.written:
        np.testing.assert_allclose(load(place), truth[place.stem], rtol=0, atol=0 if format == "wav" else 2**-24)
        assert soundfile.info(place).samplerate == RATE
    assert np.array_equal(sum(load(place) for place in report.written[:3]), sound)
    assert np.array_equal(separate(path, settings=settings)["harmonic"], truth["harmonic"])


def test_several_at_a_time_give_the_same_as_one_after_the_other(tmp_path):
    paths = [sound_file(tmp_path / f"{name}.wav", seed=seed)[0] for seed, name in enumerate("abcd")]
    one = separate_files(paths, tmp_path / "one", stems=["percussive"])
    two = separate_files(paths, tmp_path / "two", stems=["percussive"], jobs=2)
    assert [report.source for report in two] == [str(path) for path in paths]
    for first, second in zip(one, two, strict=True):
        assert first.written[0].read_bytes() == second.written[0].read_bytes()


def test_progress_is_told_up_to_the_end(tmp_path):
    path, _ = sound_file(tmp_path / "a.wav", seconds=2)
    told = []
    separate_files([path], tmp_path / "out", progress=lambda *now: told.append(now))
    assert {(source, length) for source, _, length in told} == {(str(path), 2 * RATE)}
    done = [done for _, done, _ in told]
    assert done == sorted(done)
    assert len(done) > 4
    assert done[-1] == 2 * RATE


def test_one_that_fails_leaves_nothing_and_the_others_go_on(tmp_path):
    good, _ = sound_file(tmp_path / "good.wav")
    other, _ = sound_file(tmp_path / "other.wav")
    bad = tmp_path / "bad.flac"
    soundfile.write(bad, signals.noise(RATE), RATE)
    os.truncate(bad, 200)  # can be opened, but nothing can be read
    for jobs in (1, 2):
        out = tmp_path / str(jobs)
        reports = separate_files([good, bad, tmp_path / "none.wav", other], out, jobs=jobs, stems=["harmonic"])
        assert [type(report.error) for report in reports] == [type(None), BadInput, BadInput, type(None)]
        assert "bad.flac is damaged" in str(reports[1].error)
        assert "there is no file" in str(reports[2].error)
        assert [report.written != () for report in reports] == [True, False, False, True]
        assert tree(out) == ["good/harmonic.wav", "other/harmonic.wav"]


def test_a_disk_that_fills_up_leaves_nothing_of_a_source(tmp_path):
    path, _ = sound_file(tmp_path / "a.wav", seconds=2)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        (report,) = separate_files([path], tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert isinstance(report.error, Unavailable)
    assert tree(tmp_path / "out") == []


@pytest.mark.parametrize("stem", STEMS)
def test_no_file_gets_its_name_before_all_of_its_source_are_whole(tmp_path, monkeypatch, stem):
    from rtsep.offline.files import Writer

    finish = Writer.finish

    def failing(writer):
        finish(writer)
        if writer.path.stem == stem:
            raise Unavailable("the disk is gone.")

    monkeypatch.setattr(Writer, "finish", failing)
    path, _ = sound_file(tmp_path / "a.wav")
    (report,) = separate_files([path], tmp_path / "out")
    assert isinstance(report.error, Unavailable)
    assert tree(tmp_path / "out") == []


def test_warnings_name_what_broke_off_and_what_was_clipped(tmp_path):
    path, _ = sound_file(tmp_path / "a.wav", seconds=1)
    os.truncate(path, path.stat().st_size // 2)
    (report,) = separate_files([path], tmp_path / "out", parameters={"output.gain_db": 12}, mix=True, format="flac")
    assert [report.error, len(report.written), len(report.warnings)] == [None, 4, 2]
    assert "a.wav ends early" in report.warnings[0]
    assert "mix.flac" in report.warnings[1]
    assert "clipped" in report.warnings[1]


def never(*_):
    pytest.fail("work has begun")


def test_what_is_there_is_refused_before_any_work_begins(tmp_path):
    first, second = (sound_file(tmp_path / f"{name}.wav")[0] for name in "ab")
    out = tmp_path / "out"
    (out / "b").mkdir(parents=True)
    (out / "b" / "harmonic.wav").write_text("precious")
    with pytest.raises(BadInput, match=r"out/b/harmonic\.wav exists already: .*--force"):
        separate_files([first, second], out, progress=never)
    assert tree(out) == ["b/harmonic.wav"]
    separate_files([first, second], out, stems=["percussive"])
    with pytest.raises(BadInput, match=r"out/a/percussive\.wav \(and 2 more\) exists already"):
        separate_files([first, second], out, progress=never)
    assert (out / "b" / "harmonic.wav").read_text() == "precious"
    separate_files([first, second], out, force=True)
    assert len(load(out / "b" / "harmonic.wav")) == RATE // 2


def test_two_sources_of_one_name_are_refused(tmp_path):
    (tmp_path / "more").mkdir()
    first, _ = sound_file(tmp_path / "song.wav")
    second, _ = sound_file(tmp_path / "more" / "Song.wav")  # one folder on Windows and macOS
    for sources in ((first, second), (first, first)):
        with pytest.raises(BadInput, match=r"would both go to .*out.(song|Song): "):
            separate_files(sources, tmp_path / "out", progress=never)


def test_a_source_is_never_replaced(tmp_path):
    (tmp_path / "harmonic").mkdir()
    path, sound = sound_file(tmp_path / "harmonic" / "harmonic.wav")
    with pytest.raises(BadInput, match=r"harmonic\.wav is one of the sources"):
        separate_files([path], tmp_path, force=True, progress=never)
    assert np.array_equal(load(path), sound)


@pytest.mark.parametrize(
    "options, sentence",
    (
        (dict(stems=["drums"]), "unknown stem 'drums'"),
        (dict(stems=[]), "nothing to write"),
        (dict(format="mp3"), "unknown format 'mp3'.*wav, flac"),
        (dict(jobs=0), "0 jobs"),
        (dict(parameters={"gain": 1}), "unknown parameter 'gain'"),
        (dict(folder="-"), "standard output takes one sound of one source"),
        (dict(sources=["-"]), "-r RATE -c CHANNELS"),
    ),
)
def test_files_are_not_begun_when_something_makes_no_sense(tmp_path, options, sentence):
    path, _ = sound_file(tmp_path / "a.wav")
    with pytest.raises(BadInput, match=sentence):
        separate_files(**{"sources": [path], "folder": tmp_path / "out", "progress": never, **options})
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("jobs", (1, 2))
def test_an_interrupt_ends_all_work_and_leaves_no_half_files(tmp_path, jobs):
    paths = [tmp_path / f"{name}.wav" for name in "abc"]
    for path in paths:
        soundfile.write(path, signals.noise(20 * RATE), RATE)
    told = []

    def interrupt(source, done, length):
        told.append(done)
        if len(told) == 10:
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        separate_files(paths, tmp_path / "out", jobs=jobs, progress=interrupt)
    assert len(told) < 3 * 20 * RATE / 4096 / 2
    assert tree(tmp_path / "out") == []


def test_memory_does_not_grow_with_the_file(tmp_path):
    peaks = []
    for name, seconds in (("warm", 1), ("short", 30), ("long", 300)):
        with soundfile.SoundFile(tmp_path / f"{name}.wav", "w", 8000, 1, "FLOAT") as file:
            for second in range(seconds):
                file.write(signals.noise(8000, seed=second))
        tracemalloc.start()
        (report,) = separate_files([tmp_path / f"{name}.wav"], tmp_path / "out", settings=Settings("live"))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert report.error is None
    one_sound_of_the_long_file = 300 * 8000 * 4
    assert peaks[2] < 1.1 * peaks[1]
    assert peaks[2] < one_sound_of_the_long_file / 8


# Pipes

PROGRAM = """
import sys
from rtsep.offline.render import separate_files
reports = separate_files(sys.argv[1:2], sys.argv[2], stems=sys.argv[3:] or None, mix=not sys.argv[3:],
                         sample_rate=16000, channels=2)
print([str(report.error) for report in reports], [str(path) for path in reports[0].written], file=sys.stderr)
"""


def piped(*words, **options):
    """The program above, with standard streams buffered as they are by default."""
    surroundings = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    command = [sys.executable, "-c", PROGRAM, *map(str, words)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, env=surroundings, **options)


def test_raw_sound_goes_through_pipes(tmp_path):
    sound = signals.music(20_000, RATE, 2)
    truth = separate(sound, sample_rate=RATE)
    with piped("-", "-", "percussive", stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        got, said = process.communicate(sound.astype("<f4").tobytes())
    assert (process.returncode, said) == (0, b"['None'] []\n")
    assert np.array_equal(np.frombuffer(got, "<f4").reshape(-1, 2), truth["percussive"])


def test_raw_sound_becomes_files_named_stdin(tmp_path, monkeypatch):
    sound = signals.music(20_000, RATE, 2)
    (tmp_path / "raw").write_bytes(sound.astype("<f4").tobytes())
    with (tmp_path / "raw").open() as raw:
        monkeypatch.setattr(sys, "stdin", raw)
        told = []
        separate_files(["-"], tmp_path / "out", sample_rate=RATE, channels=2, progress=lambda *now: told.append(now))
    assert told[-1] == ("-", 20_000, None)
    assert np.array_equal(load(tmp_path / "out/stdin/harmonic.wav"), separate(sound, sample_rate=RATE)["harmonic"])


def test_a_pipe_is_served_while_sound_comes_in_and_a_broken_one_ends_quietly():
    with piped("-", "-", stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        for number in itertools.count():  # sound without end
            try:
                os.write(process.stdin.fileno(), signals.noise(4096, 2, seed=number).tobytes())
            except BrokenPipeError:
                break
            if number == 1:
                assert len(process.stdout.read(4 * 2 * 4096)) == 4 * 2 * 4096
                process.stdout.close()
            assert number < 1000
        said = process.stderr.read()
    assert (process.returncode, said) == (0, b"['None'] []\n")


def test_a_pipe_that_nobody_ever_read_ends_quietly_too():
    with piped("-", "-", stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.close()
        _, said = process.communicate(signals.noise(500, 2).tobytes())  # so short that it stays in Python's buffer
    assert (process.returncode, said) == (0, b"['None'] []\n")
