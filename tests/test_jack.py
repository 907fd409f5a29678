"""The real program on a real sound server: PortAudio, JACK, and another client at both ends of the cable."""

import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile
from signals import music
from studio import PERIOD, RATE, Client, rtsep, server

from rtsep import STEMS, Engine, Settings, separate
from rtsep.library import warm_up


@pytest.fixture
def jackd():
    warm_up()
    with server() as process:
        yield process


def through(arguments, sound, inputs):
    """What comes back of `sound` through `rtsep live` in a loop of JACK's cables, and how the program ended."""
    client = Client(sound, inputs, len(sound) / RATE + 0.5)
    try:
        with rtsep("-i", "studio", "-o", "studio", *arguments) as process:
            heard = client.play()
            process.send_signal(signal.SIGINT)
            output, _ = process.communicate(timeout=20)
            return heard, output, process.returncode
    finally:
        client.close()


def rendered(sound, mode, **options):
    """`separate` of `sound` for each place between two looks at the melody, where it may begin: the stream runs on."""
    engine = Engine(Settings(mode))
    engine.prepare(sample_rate=RATE, channels=1)
    for early in range(0, engine.sizes.hop_size * int(engine.state.melody.salience.peaks.stride[0]), PERIOD):
        padded = np.concatenate([np.zeros((early, sound.shape[1]), np.float32), sound])
        sounds = separate(padded, sample_rate=RATE, mode=mode, **options)
        yield np.concatenate([part[early:] for part in sounds.values()], axis=1)


def assert_comes_back(arguments, expected, sound, inputs=2):
    """One of `expected` comes back, late by what the engine states and the period that a loop of cables takes."""
    heard, output, code = through(arguments, sound, inputs)
    assert code == 0
    late = int(re.search(r"\((\d+) samples\)", output)[1]) + PERIOD
    heard = heard[late : late + len(sound)]
    errors = [np.abs(heard - wanted[: len(heard)]).max() for wanted in expected]
    assert 0 in errors, f"largest differences {errors}"


@pytest.mark.parametrize("mode", ["live", "balanced", "quality"])
def test_a_song_comes_back_as_the_offline_render_of_the_same_mode(jackd, mode):
    sound = music(2 * RATE, RATE, 2)
    parameters = {"percussive.mute": "on", "harmonic.gain_db": -3, "limiter": "on"}
    expected = rendered(sound, mode, stems=[], parameters=parameters, mix=True)
    arguments = ["--mode", mode, "--set", "percussive.mute=on", "--set", "harmonic.gain_db=-3"]
    assert_comes_back(arguments, expected, sound)


def test_each_stem_comes_out_on_ports_of_its_own(jackd):
    sound = music(2 * RATE, RATE, 2)
    expected = (np.concatenate([sound, stems], axis=1) for stems in rendered(sound, "balanced"))
    assert_comes_back(["--stems-out"], expected, sound, inputs=2 * (1 + len(STEMS)))


def test_an_interrupt_fades_out_closes_the_recording_and_prints_a_summary(jackd, tmp_path):
    sound = music(2 * RATE, RATE, 2)
    _heard, output, code = through(["--record", str(tmp_path / "take")], sound, 2)
    assert code == 0
    assert re.search(r"blocks +\d+ .*xruns \d+\nload +median .* worst block \d+ us\nlatency +\d", output)
    files = {path.stem: soundfile.read(path)[0] for path in (tmp_path / "take").iterdir()}
    assert set(files) == {"input", "output", *STEMS}
    assert len({len(file) for file in files.values()}) == 1 and len(files["input"]) > RATE
    assert np.abs(files["output"][-1]).max() < 0.01


def test_jack_sees_the_program_under_its_name(jackd):
    client = Client(np.zeros((1, 1), np.float32), 1, 0)
    try:
        with rtsep("--seconds", "20"):
            assert {"rtsep:in_0", "rtsep:out_1"} <= set(client.ports())
    finally:
        client.close()


def test_when_the_server_dies_the_program_says_so_and_the_recording_is_whole(jackd, tmp_path):
    with rtsep("--record", str(tmp_path), "--seconds", "60") as process:
        time.sleep(1)
        jackd.kill()
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 3
    assert "JACK server has gone" in errors
    files = [soundfile.info(path).frames for path in tmp_path.iterdir()]
    assert len(files) == 2 + len(STEMS) and len(set(files)) == 1 and files[0] > RATE / 2


def test_the_microphone_is_the_input_after_those_of_the_song(jackd, tmp_path):
    sound = music(RATE, RATE, 3)
    sound[0] = 1
    client = Client(sound, 2, 1.5)
    code = (
        "from rtsep import Engine, open_stream\n"
        f"with open_stream(Engine(), 'studio', microphone=True, record={str(tmp_path)!r}): print(flush=True); input()"
    )
    try:
        with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            process.stdout.readline()
            time.sleep(0.3)
            client.play()
            process.communicate(b"\n", timeout=20)
    finally:
        client.close()
    assert process.returncode == 0
    heard = {name: soundfile.read(tmp_path / f"{name}.wav", dtype="float32")[0] for name in ("input", "microphone")}
    late = Settings().sizes(RATE).synthesis_size
    start = int(np.flatnonzero(heard["input"][:, 0])[0])
    np.testing.assert_array_equal(heard["input"][start : start + RATE], sound[:, :2])
    np.testing.assert_array_equal(heard["microphone"][start - late : start - late + RATE], sound[:, 2])


def test_the_python_callback_drives_a_real_device_too(jackd):
    from rtsep import open_stream

    with open_stream(Engine(), sample_rate=RATE, compiled=False) as stream:
        time.sleep(0.5)
    stats = stream.stats()
    assert stats.blocks > 50 and stats.samples == stats.blocks * PERIOD
