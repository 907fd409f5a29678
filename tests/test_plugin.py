"""Plugins in hosts that are not ours, and in a CLAP host of our own: the same sound as the engine's."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from clap_host import MODULATION, NOTE_OFF, NOTE_ON, VALUE, Loaded
from hypothesis import given, settings
from hypothesis import strategies as st
from signals import music, tune

from rtsep import Engine, Settings, plugin
from rtsep.errors import BadInput, Unavailable
from rtsep.live.presets import preset
from rtsep.plugin import header

RATE = 48_000
KARAOKE = preset("karaoke").values

pytestmark = pytest.mark.skipif(
    shutil.which("cc") is None, reason="a C compiler is not installed (Debian: apt install gcc)"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The karaoke preset in every format, and `live` with a bus for each stem as CLAP."""
    folder = tmp_path_factory.mktemp("plugins")
    plugin.write(folder, "karaoke", Settings(), KARAOKE)
    plugin.write(folder, "stems", Settings("live"), {}, formats=["clap"], stems_out=True)
    keys = Settings(templates="piano")
    plugin.write(folder, "piano", keys, {}, formats=["clap"], rendering=Settings("quality", templates="piano"))
    return folder


@pytest.fixture
def load(folder):
    loaded = []

    def loading(name):
        loaded.append(Loaded(folder / f"rtsep-{name}.clap"))
        return loaded[-1]

    yield loading
    for each in loaded:
        each.destroy()


def engine_of(settings=None, values=KARAOKE, rate=RATE, channels=2):
    engine = Engine(settings or Settings())
    engine.parameters.update(values)
    engine.prepare(sample_rate=rate, channels=channels)
    return engine


def through(engine, sound, size=1024):
    return np.concatenate([engine.process(sound[i : i + size]) for i in range(0, len(sound), size)])


def number(id):
    return list(Engine().parameters).index(id)


@pytest.mark.parametrize("rate", plugin.RATES)
@pytest.mark.parametrize("chosen", ["ladspa=file={folder}/rtsep-karaoke-ladspa.so:plugin=rtsep_karaoke",
                                    "lv2=p=urn\\\\:rtsep\\\\:karaoke"], ids=["ladspa", "lv2"])  # fmt: skip
def test_ffmpeg_plays_what_the_engine_plays(folder, tmp_path, chosen, rate):
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        pytest.skip("ffmpeg is not installed (Debian: apt install ffmpeg)")
    sound = music(rate, rate, 2)
    soundfile.write(tmp_path / "in.wav", sound, rate, subtype="FLOAT")
    bundles = tmp_path / "lv2"
    bundles.mkdir()
    (bundles / "karaoke.lv2").symlink_to(folder / "rtsep-karaoke.lv2")
    done = subprocess.run(
        [ffmpeg, "-v", "error", "-i", "in.wav", "-af", chosen.format(folder=folder), "-c:a", "pcm_f32le", "out.wav"],
        cwd=tmp_path,
        env={"PATH": "/nowhere", "LV2_PATH": str(bundles)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and done.stderr == "", done.stderr
    heard = soundfile.read(tmp_path / "out.wav", dtype="float32")[0]
    np.testing.assert_allclose(heard[: len(sound)], through(engine_of(rate=rate), sound), atol=1e-6)


def test_the_lines_of_the_readme_play_a_song_as_karaoke(tmp_path):
    if shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg is not installed (Debian: apt install ffmpeg)")
    readme = (Path(__file__).parent.parent / "README.md").read_text()
    lines = re.search(r"for instance in ffmpeg:\n\n((?:    .*\n)+)", readme)[1]
    sound = music(RATE, RATE, 2)
    soundfile.write(tmp_path / "song.wav", sound, RATE, subtype="PCM_24")
    script = f"set -e\n{lines}".replace(".venv/bin/rtsep", f"{sys.executable} -m rtsep")
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, done.stderr
    heard = soundfile.read(tmp_path / "karaoke.wav", dtype="float32")[0]
    np.testing.assert_allclose(heard[:RATE], through(engine_of(), sound), atol=2**-15)  # 16 bits


def test_a_host_hears_what_the_engine_plays_whatever_its_blocks(load):
    sound, sizes = music(2 * RATE, RATE, 2), np.random.default_rng(0).integers(1, 2500, 1000)
    loaded = load("karaoke")
    assert loaded.latency == 0  # nobody knows yet
    assert loaded.activate(RATE)
    engine = engine_of()
    assert loaded.latency == engine.latency
    heard, at = [], 0
    for size in sizes:
        block = sound[at : at + size]
        if len(block):
            heard.append(loaded.run(block, in_place=size % 2 == 0)[0][0])
        at += size
    np.testing.assert_allclose(np.concatenate(heard), through(engine, sound), atol=1e-6)


def test_parameters_move_at_their_sample_and_modulation_comes_on_top(load):
    sound, gain = music(RATE, RATE, 2), number("percussive.gain_db")
    loaded, engine = load("karaoke"), engine_of()
    loaded.activate(RATE)
    heard = [loaded.run(sound[:2000], [(700, VALUE, gain, -12), (1500, MODULATION, gain, -100)])[0][0]]
    heard.append(loaded.run(sound[2000:4000], [(0, MODULATION, gain, 0), (1999, VALUE, gain, 99)])[0][0])
    heard.append(loaded.run(sound[4000:])[0][0])
    truth = []
    for start, end, value in ((0, 700, 0), (700, 1500, -12), (1500, 2000, "-inf"), (2000, 3999, -12), (3999, RATE, 12)):
        engine.parameters["percussive.gain_db"] = value
        truth.append(through(engine, sound[start:end]))
    np.testing.assert_allclose(np.concatenate(heard), np.concatenate(truth), atol=1e-6)
    assert loaded.value(gain) == 12


def test_each_stem_has_a_bus(load):
    sound, loaded = music(RATE, RATE, 2), load("stems")
    assert loaded.ports(True) == [("input", 2)]
    assert [name for name, _ in loaded.ports(False)] == ["mix", *Engine().stems]
    loaded.activate(RATE)
    buses, _ = loaded.run(sound)
    engine = engine_of(Settings("live"), {})
    engine.prepare(sample_rate=RATE, channels=2, max_block=RATE)
    for bus, stem in zip(buses[1:], engine.process_stems(sound).values(), strict=True):
        np.testing.assert_allclose(bus, stem, atol=1e-6)
    delayed = np.pad(sound, ((engine.latency, 0), (0, 0)))[:RATE]
    np.testing.assert_allclose(buses[1:].sum(0), delayed, atol=1e-6)


def test_a_host_is_told_what_the_parameters_are(load):
    loaded, table = load("karaoke"), Engine().parameters
    told = loaded.parameters()
    for id, info in told.items():
        name = list(table)[id]
        assert (info.low, info.high) == (table[name].info.low, table[name].info.high)
        assert info.default == loaded.value(id) == KARAOKE.get(name, table[name].value)
        for value in (info.low, info.default, info.high):
            text = loaded.text(id, value)
            assert text == table[name].info.format(value)
            assert loaded.read(id, text) == pytest.approx(value, abs=0.05)
    assert {list(table)[id].split(".")[0] for id in told} == {"percussive", "melody", "harmony", "residual", "harmonic",
        "accompaniment", "output", "bypass", "limiter", "masks", "hpss"}  # fmt: skip
    assert loaded.read(number("percussive.mute"), "nonsense") is None


def test_a_state_comes_back_also_from_another_version(load):
    loaded, other = load("karaoke"), load("karaoke")
    gain, mute = number("melody.gain_db"), number("percussive.mute")
    loaded.activate(RATE)
    loaded.run(np.zeros((64, 2), np.float32), [(0, VALUE, gain, -7.25), (0, VALUE, mute, 1)])
    kept = loaded.save()
    assert other.load(kept) and other.value(gain) == -7.25 and other.value(mute) == 1
    assert other.rescans == 1
    newer = b"rtsep 2\nsomething.new 5\nmelody.gain_db -3000000\nnonsense\n"
    assert other.load(newer) and other.value(gain) == -3 and other.value(mute) == 0
    for bad in (b"", b"words", b"\0" * 100_000):
        assert not other.load(bad) and other.value(gain) == -3


def test_the_melody_comes_out_as_notes(load):
    sung = np.repeat(tune(3 * RATE, RATE, (220, 261.6, 329.6)), 2, 1).astype(np.float32)
    loaded = load("karaoke")
    loaded.activate(RATE)
    notes = []
    for start in range(0, len(sung), 256):
        notes += loaded.run(sung[start : start + 256])[1]
    on = [key for kind, key, *_ in notes if kind == NOTE_ON]
    assert list(dict.fromkeys(on)) == [57, 60, 64] and {port for *_, port, _ in notes} == {0}
    sounding = None
    for kind, key, *_ in notes:  # one at a time, each ended
        assert (kind == NOTE_OFF) == (sounding is not None) and (kind == NOTE_ON or key == sounding)
        sounding = key if kind == NOTE_ON else None


def struck(pitches, seconds):
    """A string for each pitch, struck one after the other."""
    time, sound = np.arange(round(seconds * RATE)) / RATE, []
    for pitch in pitches:
        f0 = 440 * 2 ** ((pitch - 69) / 12)
        partials = sum(np.sin(2 * np.pi * n * f0 * time) / n**1.5 for n in range(1, 12))
        sound.append(0.2 * partials * np.exp(-3 * time))
    return np.repeat(np.concatenate(sound)[:, None], 2, 1).astype(np.float32)


@pytest.mark.parametrize("size", [64, 1000])
def test_the_keys_of_templates_come_out_as_notes(load, size):
    """Each once, soon after it is struck, on the channel of its part; the next string damps it."""
    pitches, seconds = [48, 60, 64, 67, 72], 0.6
    sound = np.pad(struck(pitches, seconds), ((RATE // 2, RATE), (0, 0)))
    loaded = load("piano")
    loaded.activate(RATE)
    notes = []
    for start in range(0, len(sound), size):
        for kind, key, at, port, channel in loaded.run(sound[start : start + size])[1]:
            notes += [(kind, key, (start + at) / RATE, channel)] if port == 1 else []
    on = [(key, at) for kind, key, at, _ in notes if kind == NOTE_ON]
    assert [key for key, _ in on] == pitches
    late = np.array([at for _, at in on]) - 0.5 - seconds * np.arange(len(pitches))
    assert (late > 0.03).all() and (late < 0.12).all(), late
    assert sorted(key for kind, key, *_ in notes if kind == NOTE_OFF) == pitches
    assert [channel for kind, _, _, channel in notes if kind == NOTE_ON] == [0, 1, 1, 1, 1]


def test_where_a_host_renders_another_mode_serves(load):
    loaded = load("piano")
    loaded.activate(RATE)
    live = loaded.latency
    assert loaded.render(True) and loaded.restarts == 1  # its latency changes
    loaded.deactivate()
    loaded.activate(RATE)
    assert loaded.latency > live
    sound = music(RATE, RATE, 2)
    made = np.concatenate([loaded.run(sound[i : i + 1024])[0][0] for i in range(0, RATE, 1024)])
    engine = engine_of(Settings("quality", templates="piano"), {})
    np.testing.assert_allclose(made, through(engine, sound), atol=1e-6)
    assert loaded.render(False) and loaded.restarts == 2
    other = load("karaoke")  # has one mode
    other.activate(RATE)
    assert other.render(True) and other.restarts == 0


def test_a_rate_without_an_image_is_refused_and_another_may_follow(load, capfd):
    loaded = load("karaoke")
    assert not loaded.activate(22_050)
    assert (
        "the sample rate is 22050 Hz, and this plugin is made for 44100, 48000, 88200 and 96000."
        in capfd.readouterr().err
    )
    for rate in (44_100, 96_000):
        assert loaded.activate(rate)
        sound = music(4000, rate, 2)
        np.testing.assert_allclose(loaded.run(sound)[0][0], through(engine_of(rate=rate), sound), atol=1e-6)
        loaded.deactivate()


def test_instances_do_not_hear_each_other(load):
    many, sounds = [load("karaoke") for _ in range(16)], [np.roll(music(8000, RATE, 2), 500 * i, 0) for i in range(16)]
    for each in many:
        each.activate(RATE)
    heard = [[each.run(sound[at : at + 1000])[0][0] for each, sound in zip(many, sounds, strict=True)]
             for at in range(0, 8000, 1000)]  # fmt: skip
    for i, sound in enumerate(sounds):
        np.testing.assert_allclose(np.concatenate([row[i] for row in heard]), through(engine_of(), sound), atol=1e-6)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.one_of(
    st.tuples(st.just("run"), st.integers(0, 3000), st.floats(width=32), st.integers(0, 40), st.floats()),
    st.sampled_from(["activate", "deactivate", "reset", "save", "load", "odd rate"]),
), max_size=20))  # fmt: skip
def test_nothing_that_a_host_does_makes_it_fail(folder, calls):
    loaded, active = Loaded(folder / "rtsep-karaoke.clap"), False
    noise = np.random.default_rng(0).standard_normal((3000, 2)).astype(np.float32)
    for call in calls:
        if call in ("activate", "odd rate") and not active:
            active = loaded.activate(RATE if call == "activate" else 12_345)
        elif call == "deactivate" and active:
            loaded.deactivate()
            active = False
        elif call == "reset":
            loaded.plugin.reset(loaded.place)
        elif call == "load":
            loaded.load(loaded.save())
        elif active and call[0] == "run":
            _, samples, value, id, moved = call
            sound = noise[:samples].copy()
            sound[::7] = value
            buses, _ = loaded.run(sound, [(samples // 2, VALUE, id, moved), (samples, MODULATION, id, moved)])
            if np.abs(value) < 1e6 or not np.isfinite(value):
                assert np.isfinite(buses).all()
    loaded.destroy()


def test_the_library_needs_nothing_but_libc_and_libm(folder):
    if shutil.which("nm") is None or not sys.platform.startswith("linux"):
        pytest.skip("nm is not installed (Debian: apt install binutils)")
    table = subprocess.run(
        ["nm", "-D", folder / "rtsep-karaoke.clap"], capture_output=True, text=True, check=True
    ).stdout
    assert set(re.findall(r" [TD] (\w+)", table)) == {"clap_entry", "ladspa_descriptor", "lv2_descriptor"}
    wanted = subprocess.run(["ldd", folder / "rtsep-karaoke.clap"], capture_output=True, text=True, check=True).stdout
    assert set(re.findall(r"(lib\w+|linux-vdso)\.so", wanted)) <= {"libm", "libc", "linux-vdso"}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["--format", "vst"], "unknown format 'vst'"),
        (["--target", "amiga"], "unknown target 'amiga'"),
        (["-c", "5"], "5 channels: a plugin has 1 or 2."),
        (["--name", "a/b"], "a name has letters"),
        ([], "exists already: choose another folder, or add --force"),
    ],
)
def test_what_cannot_be_is_a_sentence(tmp_path, given, words):
    (tmp_path / "rtsep-balanced.clap").touch()
    line = [sys.executable, "-m", "rtsep", "export", "plugin", tmp_path, *given]
    done = subprocess.run(line, capture_output=True, text=True)
    assert done.returncode == 2 and words in done.stderr and "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["rtsep-balanced.clap"]


def test_what_the_compiler_says_is_told(tmp_path, monkeypatch):
    (tmp_path / "cc").write_text("#!/bin/sh\necho no space left for the linker >&2\nexit 1\n")
    (tmp_path / "cc").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(Unavailable, match=r"plugin\.so cannot be linked: no space left for the linker"):
        plugin.write(tmp_path / "out", "x", Settings(), {})


def test_symbols_are_of_c_and_no_two_alike():
    given = ["hi-hat", "hi_hat", "1", "hi_hat_2", "percussive.gain_db"]
    assert header.symbols(given) == ["hi_hat", "hi_hat_2", "_1", "hi_hat_2_2", "percussive_gain_db"]


def test_without_a_compiler_it_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unavailable, match="takes a C compiler, and there is no cc here"):
        plugin.write(tmp_path / "out", "x", Settings(), {})
    with pytest.raises(BadInput, match="unknown format"):
        plugin.write(tmp_path / "out", "x", Settings(), {}, formats=["vst"])
    assert os.listdir(tmp_path) == []
