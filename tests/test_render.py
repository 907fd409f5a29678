"""render: the engine over arrays, files and pipes. Aligned, complete, in constant memory, all or nothing."""

import itertools
import os
import re
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
from rtsep.offline import score as scores
from rtsep.offline.many import separate_files
from rtsep.offline.render import follow, separate
from rtsep.settings import GROUPS, MODES, STEMS, Settings

RATE = 16000
CHANGES = {"percussive.gain_db": -12, "harmonic.gain_db": 3, "residual.mute": "on", "hpss.separation": 2}
EVERY_MODE = pytest.mark.parametrize("mode", MODES)
FOLLOWING = pytest.mark.parametrize("mode", [mode for mode in MODES if Settings(mode=mode).melody])


def sound_file(path, seconds=0.5, channels=2, seed=1):
    """A WAV of a song whose values are 24-bit samples; returns its path and its sound."""
    sound = signals.song(int(seconds * RATE), RATE, channels, seed)
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
@pytest.mark.parametrize("transpose", (False, True))
@pytest.mark.parametrize("samples", (1, 900, 4095, 4096, 12_345))
def test_the_stems_and_groups_are_the_engine_s_with_its_latency_taken_off(mode, transpose, samples):
    sound = signals.song(samples, RATE, 2)
    settings, changes = Settings(mode=mode, transpose=transpose), CHANGES | ({"key.semitones": 4} if transpose else {})
    names = (*STEMS, *GROUPS)
    options = dict(sample_rate=RATE, settings=settings, parameters=changes)
    results = separate(sound, stems=names, mix=True, **options)
    engine = Engine(settings)
    engine.prepare(sample_rate=RATE, channels=2, max_block=100_000)
    engine.parameters.update(changes)
    fed = np.concatenate([sound, np.zeros((engine.latency, 2), np.float32)])
    stems = engine.process_stems(fed)
    truth = {name: stem[engine.stem_latency :][:samples] for name, stem in stems.items()}
    engine.reset()
    truth["mix"] = engine.process(fed)[engine.latency :]
    assert list(results) == [*names, "mix"]
    for name, result in results.items():
        assert (result.shape, result.dtype) == ((samples, 2), np.float32)
        if name in GROUPS:
            np.testing.assert_allclose(result, sum(truth[member] for member in GROUPS[name]), atol=1e-7)
        else:
            assert np.array_equal(result, truth[name]), name
    for name in names:
        assert np.array_equal(separate(sound, stems=[name], **options)[name], results[name])


@EVERY_MODE
def test_the_stems_of_24_bit_sound_add_up_to_it_to_the_last_bit(mode):
    leaves = ["percussive", "harmonic", "residual"] if mode == "offline" else [*STEMS]
    for sound in (signals.song(20_000, 44100, 2), signals.noise_24_bit(20_000, 2)):
        results = separate(sound, sample_rate=44100, mode=mode)
        assert list(results) == leaves
        for order in itertools.permutations(results.values()):
            assert np.array_equal(sum(order), sound)
        groups = separate(sound, sample_rate=44100, mode=mode, stems=["melody", "accompaniment"])
        assert np.array_equal(sum(groups.values()), sound)
        loud = [stem for stem in leaves if stem != "residual" and np.abs(results[stem]).max() > 0.01]
    assert {*leaves} - {"residual", "melody"} <= {*loud}


def test_what_is_left_without_a_melody_is_its_stem_s_silence_and_the_group_is_the_harmony():
    sound = signals.song(9000, RATE, 2)
    settings = Settings(mode="quality", melody=False)
    results = separate(sound, sample_rate=RATE, settings=settings, stems=["melody", "harmony", "harmonic"])
    assert not results["melody"].any() and np.array_equal(results["harmony"], results["harmonic"])
    assert list(separate(sound, sample_rate=RATE, settings=settings)) == ["percussive", "harmonic", "residual"]


def test_a_mix_in_another_key_stays_aligned_and_at_the_old_one_is_the_sound_itself():
    sound = signals.song(20_000, RATE, 2)
    settings = Settings(transpose=True)
    same = separate(sound, sample_rate=RATE, settings=settings, mix=True)
    assert np.array_equal(same.pop("mix"), sound) and np.array_equal(sum(same.values()), sound)
    click = signals.impulse(20_000, 7000)
    options = dict(sample_rate=RATE, settings=settings, parameters={"key.semitones": 5}, mix=True)
    results = separate(click, stems=["percussive"], **options)
    assert np.argmax(np.abs(results["percussive"])) == 7000
    assert abs(np.argmax(np.abs(results["mix"])) - 7000) < 0.002 * RATE


def test_faders_at_unity_leave_the_sound_as_it_is_and_closed_ones_nothing():
    sound = signals.music(10_000, RATE, 2)
    assert np.array_equal(separate(sound, sample_rate=RATE, stems=[], mix=True)["mix"], sound)
    for faders in (STEMS, GROUPS):
        closed = {f"{fader}.gain_db": -np.inf for fader in faders}
        assert not separate(sound, sample_rate=RATE, stems=[], mix=True, parameters=closed)["mix"].any()


def test_offline_equals_librosa_on_inner_frames():
    import librosa

    sound = signals.music(2 * 44100, 44100)[:, 0]
    results = separate(sound, sample_rate=44100, mode="offline")
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
    assert flat["harmony"].shape == (5000,)
    assert np.array_equal(flat["harmony"], separate(sound, sample_rate=RATE)["harmony"][:, 0])


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
    named = ["residual", "harmonic", "residual", "melody"]
    assert list(separate(np.zeros(9), sample_rate=RATE, stems=named)) == ["residual", "harmonic", "melody"]


def test_settings_take_the_place_of_the_mode():
    sound = signals.music(9000, RATE)
    ours = separate(sound, sample_rate=RATE, settings=Settings(mode="live"))
    assert np.array_equal(ours["harmony"], separate(sound, sample_rate=RATE, mode="live")["harmony"])
    default = separate(sound, sample_rate=RATE)["harmony"]
    assert not np.array_equal(ours["harmony"], default)
    assert np.array_equal(default, separate(sound, sample_rate=RATE, mode="quality")["harmony"])


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
        (np.zeros(9), dict(sample_rate=RATE, stems=["drums"]), "unknown stem 'drums': did you mean 'percussive'"),
        (np.zeros(9), dict(sample_rate=RATE, parameters={"hpss": 1}), "unknown parameter 'hpss'"),
        (np.zeros(9), dict(sample_rate=RATE, parameters={"hpss.separation": 99}), "hpss.separation is 99"),
        (np.zeros(9), dict(sample_rate=RATE, score=np.ones(9)), r"a score of shape \(9,\)"),
        (np.zeros(9), dict(sample_rate=RATE, score="a.mid"), r"there is no file a\.mid"),
    ),
)
def test_what_makes_no_sense_is_refused_with_a_sentence(sound, options, sentence):
    with pytest.raises(BadInput, match=sentence):
        separate(sound, **options)
    if "stems" not in options:
        with pytest.raises(BadInput, match=sentence):
            follow(sound, **options)


# The melody


def live_melody(sound, mode, block=777):
    """What the meters of an engine say, as (time_s, f0_hz, confidence) of each frame of `sound`.

    What leads up to a melody that is then believed belongs to it.
    """
    engine = Engine(Settings(mode=mode))
    engine.prepare(sample_rate=RATE, channels=sound.shape[1])
    padded = np.concatenate([sound, np.zeros((engine.latency, sound.shape[1]), np.float32)])
    told = []
    for start in range(0, len(padded), block):
        before = int(engine.meters.frames[0])
        engine.process(padded[start : start + block])
        frames = range(before, int(engine.meters.frames[0]))
        told += [[engine.melody_time(n), *engine.meters.melody[n % len(engine.meters.melody)]] for n in frames]
    sung = [f0 > 0 for _, f0, _ in told]
    for number, row in enumerate(told):
        if row[1] < 0:
            row[1] = -row[1] if any(sung[number : number + engine.melody_onset + 1]) else 0
    return np.array(told)


@FOLLOWING
@pytest.mark.parametrize("seconds", (0.005, 0.29, 4.0))
def test_what_is_followed_is_what_the_engine_s_meters_say_live_every_10_ms(mode, seconds):
    sound = signals.song(round(seconds * RATE), RATE, 2)
    melody = follow(sound, sample_rate=RATE, mode=mode)
    np.testing.assert_allclose(melody.time_s, np.arange(round(seconds * 100 - 0.49)) / 100, atol=1e-9)
    time_s, f0_hz, confidence = live_melody(sound, mode).T
    hop_s = Settings(mode=mode).sizes(RATE).hop_size / RATE
    for now, f0, sure in zip(*melody, strict=True):
        near = np.abs(time_s - now) <= hop_s / 2 + 1e-9  # two where it lies in the middle
        # The last moments of a sound would be told after its end.
        assert (f0, sure) in (zip(f0_hz[near], confidence[near], strict=True) if near.any() else [(0, 0)])
        assert near.any() or now > seconds - 0.03
    assert seconds < 1 or np.mean(melody.f0_hz > 0) > 0.3


@FOLLOWING
@pytest.mark.parametrize("rate", (16000, 44100, 48000))
def test_the_grid_is_right_in_time_where_a_voice_steps_begins_and_ends(mode, rate):
    sound = np.zeros((2 * rate, 1), np.float32)
    sound[rate // 2 : -rate // 2] = signals.tune(rate, rate, (220, 330), 0.5)
    melody = follow(sound, sample_rate=rate, mode=mode)
    sounding = melody.time_s[melody.f0_hz > 0]
    step = melody.time_s[np.flatnonzero(melody.f0_hz > 290)[0]]
    # Without a look ahead a path leaps only when it pays.
    assert sounding[0] == pytest.approx(0.5, abs=0.03)
    assert step == pytest.approx(1.0, abs=0.02 if mode == "quality" else 0.06)
    assert sounding[-1] == pytest.approx(1.5, abs=0.06)
    for start, end, pitch in ((0.6, 0.95, 220), (1.1, 1.45, 330)):
        here = melody.f0_hz[(melody.time_s > start) & (melody.time_s < end)]
        np.testing.assert_allclose(here, pitch, rtol=0.01)
    assert np.all(melody.confidence[(melody.time_s > 0.6) & (melody.time_s < 0.95)] > 0.5)


def test_the_melody_of_no_sound_has_no_rows():
    assert [column.shape for column in follow(np.zeros((0, 2)), sample_rate=RATE)] == [(0,)] * 3


@FOLLOWING
def test_a_score_says_where_a_melody_is_looked_for(mode, tmp_path):
    sound = signals.tune(2 * RATE, RATE, (250,)) + signals.tune(2 * RATE, RATE, (411,))
    (tmp_path / "score.csv").write_text("onset_s,offset_s,pitch_hz\n0.1,0.6,250\n1.2,1.8,411\n")
    loaded = scores.load(tmp_path / "score.csv")
    by_array = follow(sound, sample_rate=RATE, mode=mode, score=loaded)
    by_path = follow(sound, sample_rate=RATE, mode=mode, score=tmp_path / "score.csv")
    assert all(np.array_equal(one, other) for one, other in zip(by_array, by_path, strict=True))
    for start, end, pitch in ((0.2, 0.6, 250), (0.85, 1.0, 0), (1.3, 1.8, 411)):
        here = by_array.f0_hz[(by_array.time_s > start) & (by_array.time_s < end)]
        np.testing.assert_allclose(here, pitch, rtol=0.012)
    options = dict(sample_rate=RATE, mode=mode)
    silent = separate(sound, score=np.zeros((200, 2)), **options)
    assert not silent["melody"].any() and separate(sound, score=loaded, **options)["melody"].any()
    assert np.array_equal(
        separate(sound, score=loaded, **options)["melody"],
        separate(sound, score=str(tmp_path / "score.csv"), **options)["melody"],
    )


# Files


@pytest.mark.parametrize("format", ("wav", "flac"))
def test_files_hold_what_arrays_give(tmp_path, format):
    path, sound = sound_file(tmp_path / "a.b.wav", seconds=1.3)
    settings, changes = Settings(mode="balanced", transpose=True), {"harmonic.gain_db": -100, "key.semitones": 2}
    names = (*STEMS, "accompaniment", "mix")
    options = dict(settings=settings, parameters=changes, mix=True, stems=names[:-1])
    truth = separate(sound, sample_rate=RATE, **options)
    out = tmp_path / "out"
    (report,) = separate_files([path], out, **options, format=format)
    assert report.written == tuple(out / "a.b" / name for name in (*(f"{name}.{format}" for name in names), "f0.csv"))
    assert (report.source, report.warnings, report.error) == (str(path), (), None)
    assert tree(out) == sorted(str(place.relative_to(out)) for place in report.written)
    for place in report.written[:-1]:
        np.testing.assert_allclose(load(place), truth[place.stem], rtol=0, atol=0 if format == "wav" else 2**-24)
        assert soundfile.info(place).samplerate == RATE
    assert np.array_equal(sum(load(place) for place in report.written[: len(STEMS)]), sound)
    assert np.array_equal(separate(path, settings=settings)["harmony"], truth["harmony"])


@FOLLOWING
def test_the_table_of_the_melody_holds_what_is_followed_and_is_a_score_itself(tmp_path, mode):
    path, sound = sound_file(tmp_path / "a.wav", seconds=1.234)
    (report,) = separate_files([path], tmp_path, settings=Settings(mode=mode), stems=["percussive"])
    table = report.written[-1]
    assert table == tmp_path / "a" / "f0.csv"
    header, *lines = table.read_text().splitlines()
    assert header == "time_s,f0_hz,confidence"
    assert all(re.fullmatch(r"\d+\.\d\d,\d+\.\d\d,[01]\.\d{3}", line) for line in lines)
    melody = follow(sound, sample_rate=RATE, mode=mode)
    np.testing.assert_allclose(np.loadtxt(lines, delimiter=","), np.stack(melody, 1), atol=0.0051)
    regions = scores.load(table)
    sung = np.flatnonzero(melody.f0_hz)
    assert len(sung) > 20
    assert np.all((regions[sung, 0] < melody.f0_hz[sung]) & (melody.f0_hz[sung] < regions[sung, 1]))


def test_where_no_melody_is_looked_for_there_is_no_table(tmp_path):
    path, _ = sound_file(tmp_path / "a.wav")
    separate_files([path], tmp_path / "out", settings=Settings(mode="offline"))
    assert tree(tmp_path / "out") == ["a/harmonic.wav", "a/percussive.wav", "a/residual.wav"]


def test_a_score_for_files_is_loaded_belongs_to_one_and_may_not_fit(tmp_path):
    path, sound = sound_file(tmp_path / "a.wav", seconds=1)
    other, _ = sound_file(tmp_path / "b.wav")
    score = tmp_path / "score.csv"
    score.write_text("onset_s,offset_s,pitch_hz\n0,0.3,330\n")
    with pytest.raises(BadInput, match="a score belongs to one song: separate the others without it"):
        separate_files([path, other], tmp_path / "out", score=score, progress=never)
    with pytest.raises(BadInput, match=r"there is no file .*none\.csv"):
        separate_files([path], tmp_path / "out", score=tmp_path / "none.csv", progress=never)
    assert not (tmp_path / "out").exists()
    (report,) = separate_files([path], tmp_path / "out", score=score)
    assert (report.error, report.warnings) == (None, ())
    truth = separate(sound, sample_rate=RATE, score=score)["melody"]
    assert truth.any() and np.array_equal(load(tmp_path / "out/a/melody.wav"), truth)
    score.write_text("onset_s,offset_s,pitch_hz\n9,12,330\n")
    (report,) = separate_files([path], tmp_path / "out", score=score, force=True)
    assert report.error is None and "is it the score of this song?" in report.warnings[0]
    assert not load(tmp_path / "out/a/melody.wav").any()


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
        assert tree(out) == ["good/f0.csv", "good/harmonic.wav", "other/f0.csv", "other/harmonic.wav"]


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
    from rtsep.offline.writer import Writer

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


def test_a_table_that_cannot_be_written_leaves_nothing_of_its_source(tmp_path, monkeypatch):
    def failing(path, text):
        raise Unavailable("the disk is gone.")

    path, _ = sound_file(tmp_path / "a.wav")
    separate_files([path], tmp_path / "before")
    old = {place: place.read_bytes() for place in (tmp_path / "before" / "a").iterdir()}
    monkeypatch.setattr("rtsep.disk.write", failing)
    for out in ("out", "before"):
        changes = {"hpss.separation": 3}
        (report,) = separate_files([path], tmp_path / out, force=True, parameters=changes)
        assert isinstance(report.error, Unavailable) and report.written == ()
    assert tree(tmp_path / "out") == []
    assert {place: place.read_bytes() for place in (tmp_path / "before" / "a").iterdir()} == old


def test_warnings_name_what_broke_off_and_what_was_clipped(tmp_path):
    path, _ = sound_file(tmp_path / "a.wav", seconds=1)
    os.truncate(path, path.stat().st_size // 2)
    (report,) = separate_files([path], tmp_path / "out", parameters={"output.gain_db": 12}, mix=True, format="flac")
    assert [report.error, len(report.written), len(report.warnings)] == [None, len(STEMS) + 2, 2]
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
        separate_files([first, second], out, stems=["harmonic"], progress=never)
    assert tree(out) == ["b/harmonic.wav"]
    separate_files([first, second], out, stems=["percussive"])
    with pytest.raises(BadInput, match=r"out/a/percussive\.wav \(and 4 more\) exists already"):
        separate_files([first, second], out, stems=[*STEMS, "harmonic"], progress=never)
    (out / "b" / "f0.csv").write_text("precious")
    with pytest.raises(BadInput, match=r"out/b/f0\.csv exists already: .*--force"):
        separate_files([second], out, stems=["residual"], progress=never)
    assert (out / "b" / "harmonic.wav").read_text() == (out / "b" / "f0.csv").read_text() == "precious"
    separate_files([first, second], out, stems=["harmonic"], force=True)
    assert len(load(out / "b" / "harmonic.wav")) == RATE // 2
    assert len((out / "b" / "f0.csv").read_text().splitlines()) == 51


def test_two_sources_of_one_name_are_refused(tmp_path):
    (tmp_path / "more").mkdir()
    first, _ = sound_file(tmp_path / "song.wav")
    second, _ = sound_file(tmp_path / "more" / "Song.wav")  # one folder on Windows and macOS
    for sources in ((first, second), (first, first)):
        with pytest.raises(BadInput, match=r"would both go to .*out.(song|Song): "):
            separate_files(sources, tmp_path / "out", progress=never)


def test_a_pattern_keeps_two_sources_of_one_name_apart(tmp_path):
    for album in "ab":
        (tmp_path / album).mkdir()
        sound_file(tmp_path / album / "01.wav", 0.1)
    sources = [tmp_path / "a" / "01.wav", tmp_path / "b" / "01.wav"]
    with pytest.raises(BadInput, match=r"--filename '\{folder\}/\{track\}/\{stem\}.\{ext\}'"):
        separate_files(sources, tmp_path / "out", progress=never)
    options = dict(settings=Settings("live"), stems=["melody"])
    separate_files(sources, tmp_path / "out", filename="{folder}/{track} ({trackext}) {stem}.{ext}", **options)
    assert tree(tmp_path / "out") == [f"{album}/01 (wav) {name}" for album in "ab" for name in ("f0.csv", "melody.wav")]


def test_no_name_of_a_source_leads_out_of_the_folder(tmp_path):
    for name in ("...wav", "..wav", "{stem}.wav", "\udcff [x].wav"):
        out = tmp_path / f"of {name}" / "out"
        path = sound_file(tmp_path / "a.wav", 0.1)[0].rename(tmp_path / name)
        (report,) = separate_files([path], out, settings=Settings("live"), stems=["melody"])
        assert report.error is None
        assert [path.name for path in out.parent.iterdir()] == ["out"]
        assert {path.parent.parent for path in report.written} == {out}


def test_a_folder_stands_for_the_sound_files_in_it(tmp_path):
    (tmp_path / "in" / "deeper").mkdir(parents=True)
    for name in ("b.wav", "a.FLAC", ".hidden.wav", "deeper/c.wav"):
        soundfile.write(tmp_path / "in" / name, np.zeros((100, 1)), RATE, format=name[-4:].strip(".").upper())
    (tmp_path / "in" / "cover.jpg").touch()
    options = dict(settings=Settings("live"), stems=["melody"])
    reports = separate_files([tmp_path / "in"], tmp_path / "out", **options)
    assert [os.path.basename(report.source) for report in reports] == ["a.FLAC", "b.wav"]
    (tmp_path / "empty").mkdir()
    reports = separate_files([tmp_path / "empty", tmp_path / "in" / "b.wav"], tmp_path / "out", **options, force=True)
    assert "empty is a folder: name a sound file in it" in str(reports[0].error) and reports[1].error is None


def test_each_source_is_told_of_when_it_is_done(tmp_path):
    paths = [sound_file(tmp_path / f"{name}.wav", 0.1)[0] for name in "ab"]
    told = []
    reports = separate_files(paths, tmp_path / "out", settings=Settings("live"), report=told.append)
    assert told == reports


def test_a_source_whose_disk_fails_does_not_end_the_others(tmp_path, monkeypatch):
    from rtsep.offline.files import Reader

    whole = Reader.blocks

    def failing(reader, *arguments):
        if reader.path.name == "b.wav":
            raise OSError(5, "Input/output error")
        return whole(reader, *arguments)

    monkeypatch.setattr(Reader, "blocks", failing)
    paths = [sound_file(tmp_path / f"{name}.wav", 0.1)[0] for name in "abc"]
    reports = separate_files(paths, tmp_path / "out", settings=Settings("live"))
    assert [report.error is None for report in reports] == [True, False, True]
    assert "b.wav: Input/output error" in str(reports[1].error)


def test_a_source_is_never_replaced(tmp_path):
    (tmp_path / "harmonic").mkdir()
    path, sound = sound_file(tmp_path / "harmonic" / "harmonic.wav")
    with pytest.raises(BadInput, match=r"harmonic\.wav is one of the sources"):
        separate_files([path], tmp_path, stems=["harmonic"], force=True, progress=never)
    assert np.array_equal(load(path), sound)


@pytest.mark.parametrize(
    "options, sentence",
    (
        (dict(stems=["drums"]), "unknown stem 'drums'"),
        (dict(stems=[]), "nothing to write"),
        (dict(format="mp2"), "unknown format 'mp2': did you mean 'mp3'"),
        (dict(bits=8), "8 bits: wav has samples of 32, 24, 16 bits"),
        (dict(filename="{track}/{stm}.wav"), "unknown field 'stm': did you mean 'stem'"),
        (dict(filename="{track}.wav"), "all stems would be called .*a.wav: put {stem} into"),
        (dict(filename="../{stem}.wav"), "stays within the output folder"),
        (dict(filename="/tmp/{stem}.wav"), "stays within the output folder"),
        (dict(jobs=0), "0 jobs"),
        (dict(parameters={"gain": 1}), "unknown parameter 'gain'"),
        (dict(folder="-"), "standard output takes one sound of one source"),
        (dict(sources=["-"]), "-r RATE -c CHANNELS"),
    ),
)
def test_files_are_not_begun_when_something_makes_no_sense(tmp_path, options, sentence):
    path, _ = sound_file(tmp_path / "a.wav")
    with pytest.raises(BadInput, match=sentence):
        separate_files(**{"sources": [path], "folder": tmp_path / "out", "begin": never, **options})
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


@pytest.mark.slow
@pytest.mark.parametrize("melody", (False, True))
def test_memory_does_not_grow_with_the_file_but_for_its_melody(tmp_path, melody):
    peaks, settings = [], Settings("live", melody=melody)
    for name, seconds in (("warm", 1), ("short", 30), ("long", 300)):
        with soundfile.SoundFile(tmp_path / f"{name}.wav", "w", 8000, 1, "FLOAT") as file:
            for second in range(seconds):
                file.write(signals.noise(8000, seed=second))
        tracemalloc.start()
        (report,) = separate_files([tmp_path / f"{name}.wav"], tmp_path / "out", settings=settings)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert report.error is None
    one_sound_of_the_long_file = 300 * 8000 * 4
    if melody:
        assert peaks[2] < one_sound_of_the_long_file
    else:  # garbage that waits for its collection is no part of the sound
        assert peaks[2] - peaks[1] < one_sound_of_the_long_file / 32
        assert peaks[2] < one_sound_of_the_long_file / 8


# Pipes

PROGRAM = """
import sys
from rtsep.offline.many import separate_files
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
    assert np.array_equal(load(tmp_path / "out/stdin/harmony.wav"), separate(sound, sample_rate=RATE)["harmony"])
    melody = follow(sound, sample_rate=RATE)
    table = np.loadtxt(tmp_path / "out/stdin/f0.csv", delimiter=",", skiprows=1)
    np.testing.assert_allclose(table, np.stack(melody, 1), atol=0.0051)


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


def test_a_mode_without_a_melody_has_none_to_follow():
    with pytest.raises(BadInput, match="the mode offline follows no melody"):
        follow(np.zeros(1000), sample_rate=16000, mode="offline")
