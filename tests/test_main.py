"""The command line as people meet it: what it prints, what it writes, and how it refuses."""

import ctypes.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from signals import music

from rtsep import STEMS, separate
from rtsep.live.stream import warm_up

RATE = 48_000


def rtsep(*arguments, **options):
    command = [sys.executable, "-m", "rtsep", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, **options)


def assert_refused(result, code, *words):
    """Ended with `code` and one sentence on standard error that holds all `words`."""
    assert result.returncode == code, result.stderr
    assert "Traceback" not in result.stderr
    sentence = [line for line in result.stderr.splitlines() if line.startswith("rtsep")][-1]
    for word in words:
        assert word in sentence, sentence


@pytest.fixture(scope="module", autouse=True)
def _compiled():
    warm_up()


@pytest.fixture
def song(tmp_path):
    path = tmp_path / "a song.wav"
    soundfile.write(path, music(RATE, RATE, 2), RATE, subtype="PCM_24")
    return path


def test_help_answers_without_loading_what_makes_sound():
    code = "import sys\nfrom rtsep.__main__ import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
    code += "print([name for name in ('numpy', 'numba', 'sounddevice', 'rich') if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.rstrip().endswith("[]")
    for command in ("demo", "live", "karaoke", "separate", "devices", "doctor"):
        assert command in result.stdout


def test_the_demo_writes_what_it_promises(tmp_path):
    for folder in ("rtsep-demo", "rtsep-demo-2"):  # a second run leaves the first alone
        result = rtsep("demo", "-o", "virtual", "--seconds", "2", cwd=tmp_path)
        assert result.returncode == 0, result.stderr
        names = {path.name for path in (tmp_path / folder).iterdir()}
        files = {path.stem: soundfile.read(path, dtype="float32")[0] for path in (tmp_path / folder).glob("*.wav")}
        np.testing.assert_array_equal(files["without-drums"], files["input"] - files["percussive"])
        assert names == {f"{name}.wav" for name in ("input", "output", "without-drums", *STEMS)} | {"spectrograms.png"}
    assert re.search(r"latency +10\.7 ms, of which the engine 10\.7 ms \(512 samples\)", result.stdout)
    assert re.search(r"percussive +-?\d+\.\d +-?\d+\.\d", result.stdout)
    assert "largest difference 0\n" in result.stdout


def test_live_plays_the_bundled_song_on_the_virtual_device_and_records_it(tmp_path):
    arguments = ["-o", "virtual", "--seconds", "1.5", "--record", tmp_path / "take"]
    result = rtsep("live", *arguments, "--mode", "live", "--set", "percussive.mute=on")
    assert result.returncode == 0, result.stderr
    assert re.search(r"blocks +\d+ .*\nload .*\nlatency +5\.3 ms", result.stdout)
    take = {path.stem: soundfile.read(path)[0] for path in (tmp_path / "take").iterdir()}
    assert np.abs(take["input"]).max() > 0.05
    late = RATE // 2
    left = take["melody"] + take["harmony"] + take["residual"]
    np.testing.assert_allclose(take["output"][late:RATE], left[late:RATE], atol=1e-6)


def test_live_plays_a_file(song):
    result = rtsep("live", "-i", song, "-o", "virtual")
    assert result.returncode == 0, result.stderr
    samples = int(re.search(r"\((\d+\.\d) s\)", result.stdout)[1].replace(".", "")) * RATE // 10
    assert samples >= RATE


def test_separate_writes_stems_that_add_up_to_the_file(song, tmp_path):
    result = rtsep("separate", song, "-o", tmp_path / "out", "--mode", "quality", "--mix", "--set", "bypass=on")
    assert result.returncode == 0, result.stderr
    written = {path.name: path for path in (tmp_path / "out" / "a song").iterdir()}
    assert set(written) == {f"{name}.wav" for name in (*STEMS, "mix")} | {"f0.csv"}
    files = {path.stem: soundfile.read(path, dtype="float32")[0] for path in written.values() if path.suffix == ".wav"}
    original = soundfile.read(song, dtype="float32")[0]
    np.testing.assert_array_equal(sum(files[stem] for stem in STEMS), original)
    np.testing.assert_array_equal(files["mix"], original)
    assert sorted(result.stdout.splitlines()) == sorted(str(path) for path in written.values())


def test_separate_writes_a_group_when_asked(song, tmp_path):
    result = rtsep("separate", song, "-o", tmp_path, "--mode", "live", "--stems", "accompaniment,melody")
    assert result.returncode == 0, result.stderr
    files = [soundfile.read(path, dtype="float32")[0] for path in sorted((tmp_path / "a song").glob("*.wav"))]
    assert len(files) == 2
    np.testing.assert_array_equal(sum(files), soundfile.read(song, dtype="float32")[0])


def test_separate_is_at_its_best_by_default_and_presets_and_a_score_come_along(song, tmp_path):
    (tmp_path / "score.csv").write_text("onset_s,offset_s,pitch_hz\n0,1,330\n")
    options = ["--preset", "lead-only", "--mix", "--stems", "melody", "--score", tmp_path / "score.csv"]
    result = rtsep("separate", song, "-o", tmp_path, *options)
    assert result.returncode == 0, result.stderr
    sound, rate = soundfile.read(song, dtype="float32")
    for score in (tmp_path / "score.csv", None):
        truth = separate(sound, sample_rate=rate, mode="quality", score=score)["melody"]
        for name in ("melody", "mix"):
            written = soundfile.read(tmp_path / "a song" / f"{name}.wav", dtype="float32")[0]
            assert np.allclose(written, truth, atol=1e-6) == (score is not None)


def test_separate_passes_raw_sound_through_a_pipe():
    sound = music(RATE // 2, RATE, 1)
    command = [sys.executable, "-m", "rtsep", "separate", "-", "-o", "-", "-r", str(RATE), "-c", "1", "--mix"]
    result = subprocess.run(command, input=sound.tobytes(), capture_output=True, timeout=120)
    assert result.returncode == 0, result.stderr
    np.testing.assert_array_equal(np.frombuffer(result.stdout, np.float32), sound[:, 0])


def test_the_doctor_finds_the_null_test_exact_and_speaks_json():
    doctor = json.loads(rtsep("doctor", "--json").stdout)
    assert {mode["null"] for mode in doctor["modes"].values()} == {"exact"}
    assert {"python", "packages", "portaudio", "devices", "midi library", "cache folder", "risks"} <= set(doctor)


def test_devices_are_listed_for_people_and_as_json():
    if ctypes.util.find_library("portaudio") is None:
        pytest.skip("PortAudio is not installed (Debian: apt install libportaudio2)")
    listed = json.loads(rtsep("devices", "--json").stdout)
    text = rtsep("devices").stdout
    assert all(device["name"] in text for device in listed) and "virtual" in text


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--mode", "qualty"], ["unknown mode 'qualty'", "'quality'"]),
        (["--set", "percusive.mute=on"], ["unknown parameter", "'percussive.mute'"]),
        (["--set", "percussive.gain_db=20"], ["percussive.gain_db is", "20", "12 dB"]),
        (["--set", "percussive.gain_db=nan"], ["percussive.gain_db is", "nan"]),
        (["--set", "percussive.gain_db=loud"], ["percussive.gain_db is 'loud'", "12 dB"]),
        (["--set", "bypass"], ["ID=VALUE"]),
        (["--set", "key.semitones=13"], ["key.semitones is", "13", "12 semitones"]),
        (["--preset", "karoke"], ["unknown preset 'karoke'", "'karaoke'"]),
    ],
)
@pytest.mark.parametrize("command", ["demo", "live", "karaoke", "separate"])
def test_settings_that_make_no_sense_are_refused_by_every_command(command, arguments, words, tmp_path):
    rest = ["none.wav", "-o", "out"] if command == "separate" else []
    assert_refused(rtsep(command, *rest, *arguments, cwd=tmp_path), 2, *words)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments, code, words",
    [
        (["separate", "non.wav", "-o", "out"], 2, ["no file non.wav", "none.wav"]),
        (["separate", "none.wav", "-o", "out"], 2, ["none.wav", "no sound file"]),
        (["separate", "empty.wav", "-o", "out"], 2, ["empty.wav is empty"]),
        (["separate", "nine.wav", "-o", "out"], 2, ["9 channels", "1 to 8"]),
        (["separate", "good.wav", "-o", "out", "--stems", "drums"], 2, ["unknown stem 'drums'", "percussive"]),
        (["separate", "good.wav", "-o", "out", "--format", "mp3"], 2, ["unknown format 'mp3'", "wav, flac"]),
        (["separate", "good.wav", "-o", "done"], 2, ["exist", "--force"]),
        (["separate", "good.wav", "-o", "none.wav"], 3, ["cannot write", "none.wav"]),
        (["separate", "good.wav", "-o", "/dev/full/out"], 3, ["cannot write"]),
        (["separate", "-", "-o", "out"], 2, ["-r RATE"]),
        (["live", "-i", "good.wav", "-o", "virtual", "--record", "done/good"], 2, ["exists", "--force"]),
        (["live", "-i", "virtual", "-o", "virtual", "-b", "-3"], 2, ["block size is -3"]),
        (["live", "-i", "virtual", "-o", "virtual", "-r", "1000"], 2, ["sample rate is 1000"]),
    ],
)
def test_what_cannot_be_read_or_written_is_refused_with_a_sentence(arguments, code, words, tmp_path):
    (tmp_path / "none.wav").write_text("words")
    (tmp_path / "empty.wav").touch()
    soundfile.write(tmp_path / "nine.wav", np.zeros((99, 9)), RATE)
    soundfile.write(tmp_path / "good.wav", np.zeros((99, 2)), RATE)
    (tmp_path / "done" / "good").mkdir(parents=True)
    for name in ("input", "percussive"):
        (tmp_path / "done" / "good" / f"{name}.wav").touch()
    before = sorted(tmp_path.rglob("*"))
    assert_refused(rtsep(*arguments, cwd=tmp_path), code, *words)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("option", [["--seconds", "nan"], ["--seconds", "-1"], ["-b", "some"]])
def test_what_is_no_number_is_refused_as_usage(option):
    result = rtsep("live", *option)
    assert result.returncode == 2 and "error: argument" in result.stderr


def test_without_portaudio_the_sentence_names_the_package(tmp_path):
    """PortAudio is hidden by a module that fails to load as sounddevice does without the library."""
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    assert_refused(rtsep("live", env=environment), 3, "PortAudio", "libportaudio2", "-o virtual")
    assert_refused(rtsep("devices", env=environment), 3, "libportaudio2")
    assert rtsep("live", "-i", "virtual", "-o", "virtual", "--seconds", "0.2", env=environment).returncode == 0
    assert json.loads(rtsep("doctor", "--json", env=environment).stdout)["devices"] == []


def test_without_a_device_the_sentence_offers_the_built_in_one():
    environment = {**os.environ, "JACK_DEFAULT_SERVER": "nowhere", "HOME": "/nonexistent"}
    result = rtsep("live", "--seconds", "0.1", env=environment)
    if result.returncode == 0 or "no sound device" not in result.stderr:
        pytest.skip("this machine has a sound device")
    assert_refused(result, 3, "no sound device", "-o virtual")


def test_the_package_names_its_version_everywhere_alike():
    text = (Path(__file__).parent.parent / "pyproject.toml").read_text()
    version = re.search(r'^version = "(.*)"', text, re.MULTILINE)[1]
    assert rtsep("--version").stdout == f"rtsep {version}\n"
