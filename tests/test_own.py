"""Stages of one's own: in arrays and in a stream, changed while it sounds, and refused if they are not fit for it."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from signals import music

from rtsep import BadInput, Engine, Settings, analyze, open_stream, separate
from rtsep.library import build, target
from rtsep.own import bound

RATE = 48_000
HALVER = """
import numpy as np
import rtsep


def prepare(sample_rate, hop_size, bins):
    return np.array([0.5, 0, bins], np.float32)  # a gain, frames so far, and bins


@rtsep.kernel
def reset(state):
    state[1] = 0


@rtsep.kernel
def process(state, magnitude, masks):
    state[1] += 1
    for s in range(masks.shape[0]):
        for k in range(masks.shape[1]):
            masks[s, k] *= state[0]
"""
ADDER = HALVER.replace("np.array([0.5, 0, bins], np.float32)", "np.zeros(2, np.float32)").replace(
    "masks[s, k] *= state[0]", "masks[s, k] = magnitude[k] * 0 + 0.25"
)


@pytest.fixture(scope="module")
def stages(tmp_path_factory):
    """Paths of a stage that halves all masks, and of one that makes them all a quarter."""
    folder = tmp_path_factory.mktemp("stages")
    paths = folder / "halver.py", folder / "adder.py"
    for path, text in zip(paths, (HALVER, ADDER), strict=True):
        path.write_text(text)
    return paths


def test_a_stage_changes_the_stems_and_they_still_add_up(stages):
    sound = music(RATE, RATE, 2)
    plain = separate(sound, RATE, mode="balanced")
    halved = separate(sound, RATE, settings=Settings("balanced", stages=stages[:1]))
    for stem in ("percussive", "melody", "harmony"):
        np.testing.assert_allclose(halved[stem], plain[stem] / 2, atol=1e-6)
    np.testing.assert_allclose(sum(halved.values()), sound, atol=1e-6)
    masks = analyze(sound, RATE, settings=Settings("balanced", stages=stages[:1])).masks
    np.testing.assert_allclose(masks.sum(1), 1, atol=1e-5)


def test_the_command_line_takes_a_stage(stages, tmp_path):
    sound = music(RATE, RATE, 2)
    soundfile.write(tmp_path / "song.wav", sound, RATE, subtype="FLOAT")
    line = [sys.executable, "-m", "rtsep", "separate", tmp_path / "song.wav", "--mode", "balanced"]
    line += ["--stems", "percussive", "--bits", "32", "-o", tmp_path, "--stage"]
    done = subprocess.run([*line, stages[0]], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    written, _ = soundfile.read(tmp_path / "song" / "percussive.wav", dtype="float32")
    halved = separate(sound, RATE, settings=Settings("balanced", stages=stages[:1]))
    np.testing.assert_allclose(written, halved["percussive"], atol=1e-6)
    done = subprocess.run([*line, tmp_path / "nothing.py"], capture_output=True, text=True)
    assert done.returncode == 2 and "is no file of Python: give a module, or the path of one." in done.stderr


@pytest.mark.slow
def test_stages_come_in_their_order_and_forget(stages):
    engine = Engine(Settings("live", stages=stages[::-1]))  # a quarter, and half of it
    engine.prepare(sample_rate=RATE, channels=1)
    sound = music(4000, RATE, 1)
    first = engine.process_stems(sound)
    delayed = np.pad(sound, ((engine.latency, 0), (0, 0)))[:4000]
    inside = slice(2000, None)
    np.testing.assert_allclose(first["percussive"][inside], delayed[inside] / 8, atol=1e-5)
    frames = engine.stage_states[1][1]
    assert frames == 4000 // engine.sizes.hop_size
    engine.reset()
    assert engine.stage_states[1][1] == 0
    np.testing.assert_array_equal(engine.process_stems(sound)["percussive"], first["percussive"])


def test_a_stage_runs_in_a_stream_and_its_numbers_may_be_changed(stages):
    engine = Engine(Settings("live", stages=stages[:1]))
    engine.parameters["residual.mute"] = 1
    with open_stream(engine, "virtual", source=music(2 * RATE, RATE, 2), loop=True) as stream:
        time.sleep(1)
        loud = float(engine.meters.output[0])
        engine.stage_states[0][0] = 0  # all goes to the residual, which is muted
        time.sleep(1)
        assert loud > 0.01 and engine.meters.output[0] < loud / 10
        assert engine.stage_states[0][1] > 100 and stream.active


@pytest.mark.slow
def test_engines_with_and_without_a_stage_live_beside_each_other(stages):
    import pickle

    sound = music(2000, RATE, 1)
    plain, staged = Engine(Settings("live")), Engine(Settings("live", stages=stages[1:]))
    copied = pickle.loads(pickle.dumps(staged))
    for engine in (plain, staged, copied):
        engine.prepare(sample_rate=RATE, channels=1)
    stems = [engine.process_stems(sound)["percussive"] for engine in (plain, staged, copied, plain)]
    assert np.abs(stems[0] - stems[1]).max() > 1e-3
    np.testing.assert_array_equal(stems[1], stems[2])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("state[1] += 1", "state[1] += np.zeros(3)[0]"), "a kernel cannot be compiled, numba says why above"),
        (("state[1] += 1", "raise ValueError"), "neither raise, allocate nor call Python; look at .*process"),
        (("state[1] += 1", "state[nonsense] += 1"), "a kernel cannot be compiled, numba says why above"),
    ],
)
def test_a_stage_that_is_not_fit_for_the_audio_thread_is_refused(tmp_path, change, words, capfd):
    path = tmp_path / "bad.py"
    path.write_text(HALVER.replace(*change))
    with pytest.raises(BadInput, match=words):
        build(tmp_path, target(), (str(path),))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("def prepare", "def other"), "has no prepare: it needs prepare, reset, process"),
        (("@rtsep.kernel\ndef process", "def process"), "process of the stage .* is no kernel: write"),
        (("np.array([0.5, 0, bins], np.float32)", "[0.5]"), "must return a float32 array of one dimension"),
    ],
)  # fmt: skip
def test_what_is_no_stage_is_a_sentence(tmp_path, change, words):
    path = tmp_path / "bad.py"
    path.write_text(HALVER.replace(*change))
    with pytest.raises(BadInput, match=words):
        Engine(Settings("live", stages=(path,))).prepare(sample_rate=RATE, channels=1)
    with pytest.raises(BadInput, match="is no file of Python"):
        Settings(stages=(tmp_path / "nothing.py",))


@pytest.mark.slow
def test_the_example_takes_hiss_away_and_leaves_the_song():
    program = Path(__file__).parent.parent / "examples" / "spectral_gate.py"
    told = subprocess.run([sys.executable, program], capture_output=True, text=True, check=True).stdout
    song, hiss = (float(line.split()[1]) for line in told.splitlines())
    assert song > -0.2 and hiss < -20


def test_masks_stay_within_bounds():
    masks = np.array([[0.5, 2, -1, np.nan, 0.8], [0.25, 0, 0.5, 1, 0.8]], np.float32)
    bound(masks)
    np.testing.assert_allclose(masks, [[0.5, 1, 0, 0, 0.5], [0.25, 0, 0.5, 1, 0.5]])
