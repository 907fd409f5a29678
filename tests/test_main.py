"""The command line as people meet it: what it prints, what it writes, and how it refuses."""

import contextlib
import ctypes.util
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from signals import music

from rtsep import STEMS, separate
from rtsep.commands import COMMANDS
from rtsep.library import warm_up
from rtsep.offline.evaluate import si_sdr
from rtsep.offline.score import notes_of
from rtsep.parameters import PARAMETERS

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
    for command in ("demo", "live", "karaoke", "separate", "learn", "midi", "preset", "devices", "doctor"):
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


def test_separate_takes_a_folder_and_the_stems_of_other_tools_and_writes_what_is_asked_for(song, tmp_path):
    album = tmp_path / "an album"
    album.mkdir()
    song.rename(album / "01.wav")
    stems = "--stems", "vocals,drums,bass,other"
    result = rtsep("separate", album, *stems, "--mode", "live", "--format", "mp3", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "vocals as melody, drums as percussive, bass and other as harmony." in result.stderr
    written = {path.name for path in (tmp_path / "stems" / "01").iterdir()}
    assert written == {"melody.mp3", "percussive.mp3", "harmony.mp3", "f0.csv"}
    pattern = "{folder} {track}-{stem}.{ext}"
    options = "--format", "flac", "--bits", "16", "--stems", "harmonic", "--filename", pattern, "-o", "out"
    assert rtsep("separate", album, *options, cwd=tmp_path).returncode == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"an album 01-harmonic.flac", "an album 01-f0.csv"}
    assert soundfile.info(tmp_path / "out" / "an album 01-harmonic.flac").subtype == "PCM_16"


def test_a_name_that_is_no_text_is_one_of_a_batch_and_output_that_is_no_utf_8_is_written_all_the_same(song, tmp_path):
    names = [b"\xff\xfe.wav", "\u30ad\u30ba\u30ca [x].wav".encode(), b"none.wav"]
    for name in names[:2]:
        (tmp_path / os.fsdecode(name)).write_bytes(song.read_bytes())
    command = [sys.executable, "-m", "rtsep", "separate", *names, "--mode", "live", "--stems", "melody"]
    for encoding, ending in (("utf-8", names[0][:-4] + b"/melody.wav\n"), ("cp1252", b"\\u30ca [x]/melody.wav\n")):
        environment = {**os.environ, "PYTHONIOENCODING": encoding}
        result = subprocess.run([*command, "-o", encoding], capture_output=True, cwd=tmp_path, env=environment)
        assert result.returncode == 2 and b"no file none.wav" in result.stderr and b"Traceback" not in result.stderr
        assert ending in result.stdout
        assert len(list((tmp_path / encoding).rglob("melody.wav"))) == 2


@pytest.mark.parametrize("jobs", ("1", "2"))
def test_ctrl_c_tells_what_is_done_and_what_is_not(song, tmp_path, jobs):
    long = tmp_path / "long.wav"
    with soundfile.SoundFile(long, "w", RATE, 2, "PCM_16") as file:
        for _ in range(60):
            file.write(np.zeros((10 * RATE, 2)))
    for number in range(4):
        (tmp_path / f"{number}.wav").symlink_to(long)
    names = [song.name, *(f"{number}.wav" for number in range(4))]
    command = [sys.executable, "-m", "rtsep", "separate", *names, "-j", jobs]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path) as process:
        while not (tmp_path / "stems" / "a song" / "residual.wav").exists():
            assert process.poll() is None
            time.sleep(0.05)
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        printed, told = process.communicate()
    assert process.returncode == 130
    assert "interrupted: 1 done, nothing is written of 0.wav, 1.wav, 2.wav and 1 more." in told
    assert "Traceback" not in told and len(printed.splitlines()) == len(STEMS) + 1
    assert [path.name for path in (tmp_path / "stems").iterdir()] == ["a song"]


def test_names_are_shown_as_they_are_in_a_terminal(tmp_path):
    pty = pytest.importorskip("pty")
    name = "Song [live] [/x.wav"
    (tmp_path / name).parent.mkdir()
    soundfile.write(tmp_path / name, music(4 * RATE, RATE, 2), RATE)
    child, screen = pty.fork()
    if child == 0:
        os.chdir(tmp_path)
        os.environ.update(TERM="xterm", COLUMNS="120")
        os.execv(sys.executable, [sys.executable, "-m", "rtsep", "separate", name])
    shown = b""
    with contextlib.suppress(OSError):  # the end
        while data := os.read(screen, 65536):
            shown += data
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert name.encode() in shown


@pytest.mark.parametrize("without", ("2>&1 | head -n 1", "2>/dev/full", "2>&-", "2>&- >&- <&-"))
def test_the_sound_goes_on_where_nobody_reads_the_messages(tmp_path, without):
    command = f"{sys.executable} -m rtsep live -i virtual -o virtual --no-midi --seconds 1.5 --record take {without}"
    subprocess.run(command, shell=True, cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, timeout=120)
    assert {path.name for path in (tmp_path / "take").iterdir()} == {
        f"{name}.wav" for name in ("input", "output", *STEMS)
    }
    sounds = [soundfile.read(path)[0] for path in (tmp_path / "take").iterdir()]  # and nothing is written into them
    assert all(len(sound) > 1.2 * RATE and np.abs(sound).max() <= 1 for sound in sounds)


@pytest.mark.parametrize(
    "arguments", (["preset", "list"], ["live", "-i", "virtual", "-o", "virtual", "--seconds", "0.2"])
)
def test_text_that_finds_no_room_is_told(arguments, config):
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    command = [sys.executable, "-m", "rtsep", *arguments]
    for unbuffered in ("", "1"):
        environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
        with open("/dev/full", "w") as full:
            result = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, env=environment)
        assert_refused(result, 3, "cannot write standard output: No space left")


def test_a_folder_that_is_gone_is_told(song, tmp_path):
    gone = tmp_path / "gone"
    command = f"cd '{gone}' && rmdir '{gone}' && {sys.executable} -m rtsep"
    for arguments in (f"separate '{song}'", "live -o virtual --record take --seconds 1"):
        gone.mkdir()
        result = subprocess.run(f"{command} {arguments}", shell=True, capture_output=True, text=True, timeout=120)
        assert result.returncode == 3 and result.stderr.startswith("rtsep: ") and "Traceback" not in result.stderr


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["a song.wav"], ["rtsep live 'a song.wav' plays", "rtsep separate 'a song.wav' writes"]),
        (["seperate", "a song.wav", "-j", "2"], ["did you mean rtsep separate 'a song.wav' -j 2?"]),
        (["xyzzy"], ["unknown command 'xyzzy'", "rtsep --help"]),
    ],
)
def test_a_line_that_begins_with_no_command_is_answered_with_one_that_does(arguments, words, song):
    assert_refused(rtsep(*arguments, cwd=song.parent), 2, *words)


def test_a_wrong_choice_is_answered_with_the_nearest():
    result = rtsep("midi", "lst")
    assert result.returncode == 2 and "'lst': did you mean 'list'?" in result.stderr


def test_live_plays_what_is_named_first_and_values_may_stand_apart_or_be_infinite(song, config):
    options = "-o", "virtual", "--seconds", "0.2"
    assert rtsep("live", song, *options, "--set", "melody.gain_db = -7").returncode == 0
    kept = (config / "sessions" / "live.toml").read_text()
    assert '"melody.gain_db" = -7.0' in kept and f'input = "{song}"' in kept
    assert rtsep("karaoke", *options, "--mic", "none", "--guide", "-inf").returncode == 0
    assert '"melody.gain_db" = -inf' in (config / "sessions" / "karaoke.toml").read_text()


def test_a_recording_that_is_refused_leaves_nothing_behind_not_even_words(song, tmp_path):
    soundfile.write(song, soundfile.read(song)[0], 44_100)  # resampled while it plays
    (tmp_path / "take").mkdir()
    (tmp_path / "take" / "melody.wav").touch()
    result = rtsep("live", song, "-o", "virtual", "--record", tmp_path / "take")
    assert_refused(result, 2, "melody.wav exists already")
    assert "leaked" not in result.stderr


def test_separate_passes_raw_sound_through_a_pipe(tmp_path):
    sound = music(RATE // 2, RATE, 1)
    command = [sys.executable, "-m", "rtsep", "separate", "-", "-o", "-", "-r", str(RATE), "-c", "1", "--mix"]
    result = subprocess.run(command, input=sound.tobytes(), capture_output=True, timeout=120, cwd=tmp_path)
    assert result.returncode == 0 and list(tmp_path.iterdir()) == [], result.stderr
    np.testing.assert_array_equal(np.frombuffer(result.stdout, np.float32), sound[:, 0])


def test_the_doctor_finds_the_null_test_exact_and_speaks_json():
    doctor = json.loads(rtsep("doctor", "--json").stdout)
    assert {mode["null"] for mode in doctor["modes"].values()} == {"exact"}
    assert {"python", "packages", "portaudio", "devices", "folders", "risks"} <= set(doctor)
    assert {"midi library", "midi ports"} <= set(doctor)


def test_devices_are_listed_for_people_and_as_json():
    if ctypes.util.find_library("portaudio") is None:
        pytest.skip("PortAudio is not installed (Debian: apt install libportaudio2)")
    listed = json.loads(rtsep("devices", "--json").stdout)
    text = rtsep("devices").stdout
    assert all(device["name"] in text for device in listed) and "virtual" in text


@pytest.fixture
def kit(tmp_path):
    """Recordings of two drums, and the two together."""
    random, time_s = np.random.default_rng(1), np.arange(RATE) / RATE
    hits = {
        "kick": np.sin(2 * np.pi * 60 * time_s) * np.exp(-time_s / 0.05),
        "hat": np.diff(random.standard_normal(RATE), 2, prepend=[0, 0]) * np.exp(-time_s / 0.02) / 8,
    }
    for name, hit in hits.items():
        soundfile.write(tmp_path / f"{name}.wav", hit, RATE, subtype="FLOAT")
    both = hits["kick"] + np.roll(hits["hat"], RATE // 2)
    soundfile.write(tmp_path / "both.wav", 0.3 * both, RATE, subtype="FLOAT")
    return hits | {"both": both}


def test_parts_are_learned_from_recordings_and_split_files_and_what_is_heard_live(kit, config, tmp_path):
    learned = rtsep("learn", "kick=kick.wav", "hat=hat.wav", "-o", "kit.rtsep", cwd=tmp_path)
    assert learned.returncode == 0 and "16 templates of kick, hat" in learned.stderr, learned.stderr
    assert_refused(rtsep("learn", "a=kick.wav", "-o", "kit.rtsep", cwd=tmp_path), 2, "kit.rtsep", "--force")
    result = rtsep("separate", "both.wav", "--templates", "kit.rtsep", "-o", "out", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    stems = {path.stem: soundfile.read(path)[0] for path in (tmp_path / "out" / "both").glob("*.wav")}
    assert set(stems) == {"kick", "hat", "melody", "harmony", "residual"}
    first, second = slice(0, RATE // 4), slice(RATE // 2, 3 * RATE // 4)
    for name, there, away in (("kick", first, second), ("hat", second, first)):
        assert (stems[name][there] ** 2).sum() > 100 * (stems[name][away] ** 2).sum(), name
    live = "live", "-i", "both.wav", "-o", "virtual", "--templates", "kit.rtsep", "--set", "kick.gain_db=-12"
    result = rtsep(*live, "--record", "take", cwd=tmp_path)
    assert result.returncode == 0 and (tmp_path / "take" / "hat.wav").exists(), result.stderr
    assert '"kick.gain_db" = -12.0' in (config / "sessions" / "live.toml").read_text()
    again = rtsep("live", "--resume", "--seconds", "0.3", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert rtsep("preset", "save", "soft kick").returncode == 0
    plain = rtsep("live", "-i", "virtual", "-o", "virtual", "--preset", "soft kick", "--seconds", "0.2")
    assert plain.returncode == 0, plain.stderr
    assert rtsep("midi", "bind", "kick.gain_db", "cc 9", "--port", "A Box").returncode == 0
    assert_refused(rtsep("live", "-o", "virtual", "--set", "kick.mute=on"), 2, "unknown parameter 'kick.mute'")


def test_the_parts_of_a_mix_are_found_blindly_and_the_kit_that_comes_along_splits_drums(kit, config, tmp_path):
    blind = rtsep("learn", "both.wav", "--parts", "2", "--components", "2", "-o", "blind.rtsep", cwd=tmp_path)
    assert blind.returncode == 0 and "4 templates of 1, 2" in blind.stderr, blind.stderr
    result = rtsep(
        "separate", "both.wav", "--templates", "drums", "--stems", "kick,percussive", "-o", "out", cwd=tmp_path
    )
    assert result.returncode == 0, result.stderr
    assert {path.name for path in (tmp_path / "out" / "both").iterdir()} == {"kick.wav", "percussive.wav", "f0.csv"}


def test_pitches_are_learned_from_a_piece_and_its_score_and_notes_are_written(config, tmp_path):
    time_s = np.arange(2 * RATE) / RATE
    tone = sum(np.sin(2 * np.pi * 261.63 * n * time_s) / n**2 for n in range(1, 6)) * (time_s > 0.5) * (time_s < 1.5)
    soundfile.write(tmp_path / "piece.wav", 0.3 * tone, RATE, subtype="FLOAT")
    (tmp_path / "piece.csv").write_text("onset_s,duration_s,midi\n0.5,1.0,60\n")
    learned = rtsep(
        "learn", "own=piece.wav", "--score", "piece.csv", "--split-at", "D4", "-o", "own.rtsep", cwd=tmp_path
    )
    assert learned.returncode == 0 and "88 templates of own-lower, own-upper" in learned.stderr, learned.stderr
    for templates, stems in (("own.rtsep", {"own-lower", "own-upper"}), ("piano", {"lower", "upper"})):
        result = rtsep(
            "separate", "piece.wav", "--templates", templates, "--midi-out", "-o", templates[:3], cwd=tmp_path
        )
        assert result.returncode == 0, result.stderr
        folder = tmp_path / templates[:3] / "piece"
        assert {path.stem for path in folder.glob("*.wav")} == {*stems, "residual"}
        assert (folder / "notes.svg").read_text().startswith("<svg")
        assert any(note.pitch == 60 and abs(note.onset_s - 0.5) < 0.02 for note in notes_of(folder / "notes.mid"))
    live = rtsep(
        "live", "-i", "piece.wav", "-o", "virtual", "--templates", "piano", "--set", "lower.gain_db=-12", cwd=tmp_path
    )
    assert live.returncode == 0, live.stderr


def test_a_stem_may_be_named_that_is_learned_while_it_sounds(config, tmp_path):
    live = "live", "-i", "virtual", "-o", "virtual", "--learn", "organ", "--learn", "hum", "--seconds", "1"
    result = rtsep(*live, "--set", "organ.learn=on", "--set", "hum.gain_db=-inf", "--record", tmp_path / "take")
    assert result.returncode == 0 and "Traceback" not in result.stderr, result.stderr
    assert {path.stem for path in (tmp_path / "take").iterdir()} == {"input", "output", "organ", "hum", *STEMS}
    kept = (config / "sessions" / "live.toml").read_text()
    assert '"hum.gain_db" = -inf' in kept and "organ.learn" not in kept


def test_the_noise_of_the_room_is_a_stem_that_starts_at_silence(config, tmp_path):
    live = "live", "-i", "virtual", "-o", "virtual", "--room", "--seconds", "1", "--preset", "drums-down"
    result = rtsep(*live, "--set", "room.learn=on", "--record", tmp_path / "take")
    assert result.returncode == 0 and "Traceback" not in result.stderr, result.stderr
    assert {path.stem for path in (tmp_path / "take").iterdir()} == {"input", "output", "room", *STEMS}
    session = config / "sessions" / "live.toml"
    assert '"room.gain_db" = -inf' in session.read_text() and "room.learn" not in session.read_text()
    assert rtsep(*live[:-2], "--set", "room.gain_db=-20").returncode == 0
    assert rtsep(*live[:-2], "--resume").returncode == 0 and '"room.gain_db" = -20' in session.read_text()
    assert rtsep(*live[:5], *live[6:-2], "--resume").returncode == 0
    assert_refused(rtsep(*live[:5], "--set", "room.learn=on"), 2, "unknown parameter 'room.learn'")


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["learn", "kick=kick.wav", "hat.wav", "-o", "x.rtsep"], ["hat.wav", "kick=hat.wav"]),
        (["learn", "melody=kick.wav", "-o", "x.rtsep"], ["'melody' is reserved"]),
        (["learn", "kick=none.wav", "-o", "x.rtsep"], ["no file none.wav"]),
        (["learn", "kick=silence.wav", "-o", "x.rtsep"], ["silen"]),
        (["learn", "kick=kick.wav", "--method", "magic", "-o", "x.rtsep"], ["unknown method 'magic'"]),
        (["learn", "kick=kick.wav", "--splits", "drums", "-o", "x.rtsep"], ["'drums'", "percussive"]),
        (["learn", "piano=kick.wav", "--score", "none.mid", "-o", "x.rtsep"], ["no file none.mid"]),
        (["learn", "piano=kick.wav", "--split-at", "C4", "-o", "x.rtsep"], ["split_at", "name a score"]),
        (["separate", "kick.wav", "--midi-out", "-o", "out"], ["templates that have pitches"]),
        (["separate", "kick.wav", "--midi-out", "--templates", "drums", "-o", "out"], ["templates that have pitches"]),
        (["live", "--templates", "none.rtsep", "-o", "virtual"], ["none.rtsep"]),
        (["live", "--templates", "kick.wav", "-o", "virtual"], ["kick.wav"]),
        (["separate", "kick.wav", "--by", "hand", "-o", "out"], ["--score"]),
        (["live", "-o", "virtual", "--splits", "mix"], ["--templates"]),
        (["live", "-o", "virtual", "--learn", "melody"], ["'melody' is reserved"]),
        (["live", "-o", "virtual", "--learn", "organ", "--templates", "drums"], ["leave one of them out"]),
    ],
)
def test_what_cannot_be_learned_is_refused_with_a_sentence(arguments, words, kit, tmp_path):
    soundfile.write(tmp_path / "silence.wav", np.zeros(RATE), RATE)
    assert_refused(rtsep(*arguments, cwd=tmp_path), 2, *words)
    assert not (tmp_path / "x.rtsep").exists()


def test_a_piece_is_parted_by_its_score_into_hands_that_add_up(tmp_path):
    time_s, score = np.arange(2 * RATE) / RATE, ["onset_s,duration_s,midi"]
    hands = {"lower": np.zeros(2 * RATE), "upper": np.zeros(2 * RATE)}
    for pitch, onset_s in ((48, 0.1), (72, 0.1), (76, 0.4), (52, 0.6), (79, 0.9), (55, 1.1)):
        age = np.maximum(time_s - onset_s, 0)
        f0 = 440 * 2 ** ((pitch - 69) / 12)
        tone = sum(np.sin(2 * np.pi * f0 * n * age) / n for n in range(1, 8)) * np.exp(-age / 0.4)
        hands["lower" if pitch < 60 else "upper"] += 0.1 * tone * (time_s >= onset_s) * (time_s < onset_s + 0.5)
        score.append(f"{onset_s},0.5,{pitch}")
    (tmp_path / "piece.csv").write_text("\n".join(score))
    soundfile.write(tmp_path / "piece.wav", sum(hands.values()), RATE, subtype="FLOAT")
    arguments = "separate", "piece.wav", "--score", "piece.csv", "--by", "hand", "--split-at", "C4", "-o", "out"
    result = rtsep(*arguments, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    stems = {path.stem: soundfile.read(path)[0] for path in (tmp_path / "out" / "piece").iterdir()}
    assert set(stems) == {"lower", "upper", "residual"}
    np.testing.assert_allclose(sum(stems.values()), sum(hands.values()), atol=1e-6)
    for name, true in hands.items():
        assert si_sdr(true, stems[name]) > si_sdr(true, sum(hands.values())) + 8, name
    assert_refused(rtsep(*arguments, cwd=tmp_path), 2, "exists already", "--force")
    assert_refused(rtsep(*arguments[:5], "thumb", "-o", "other", cwd=tmp_path), 2, "'thumb'")


@pytest.fixture
def config(tmp_path, monkeypatch):
    """The folder of presets, sessions and controllers."""
    monkeypatch.setenv("RTSEP_CONFIG", str(tmp_path / "config"))
    return tmp_path / "config"


def test_presets_are_kept_shown_passed_on_and_deleted(config, tmp_path):
    levels = "--set", "percussive.gain_db=-6", "--set", "melody.mute=on"
    assert rtsep("preset", "save", "mine", *levels, "--program", "9").returncode == 0
    listed = rtsep("preset", "list").stdout
    assert re.search(r"karaoke +1 +shipped\n", listed) and re.search(r"mine +9 +yours\n", listed)
    assert rtsep("preset", "show", "mine").stdout == "percussive.gain_db = -6.0 dB\nmelody.mute = on\n"
    assert "percussive.gain_db = -12.0 dB" in rtsep("preset", "show", "drums-down").stdout
    assert rtsep("preset", "export", "mine", tmp_path / "mine.toml").returncode == 0
    assert rtsep("preset", "export", "mine", "-").stdout == (tmp_path / "mine.toml").read_text()
    assert "[parameters]" in rtsep("preset", "export", "karaoke", "-").stdout
    assert rtsep("preset", "delete", "mine").returncode == 0
    assert_refused(rtsep("preset", "show", "mine"), 2, "unknown preset 'mine'")
    assert rtsep("preset", "import", tmp_path / "mine.toml", "--name", "yours").returncode == 0
    result = rtsep("live", "-i", "virtual", "-o", "virtual", "--preset", "yours", "--seconds", "0.2")
    assert result.returncode == 0 and '"percussive.gain_db" = -6.0' in (config / "sessions" / "live.toml").read_text()
    assert rtsep("preset", "save", "of the session").returncode == 0  # that of the last run
    assert "percussive.gain_db = -6.0 dB" in rtsep("preset", "show", "of the session").stdout


def test_the_last_time_comes_back_unless_the_command_says_otherwise(config):
    first = ["live", "-i", "virtual", "-o", "virtual", "--mode", "live", "-b", "64", "--set", "melody.gain_db=-9"]
    assert rtsep(*first, "--seconds", "0.2").returncode == 0
    again = rtsep("live", "--resume", "--seconds", "0.2", "--set", "limiter.ceiling_db=-2")
    assert "mode live on 'virtual'" in again.stderr and "blocks of 64" in again.stderr
    session = config / "sessions" / "live.toml"
    assert '"melody.gain_db" = -9.0' in session.read_text() and '"limiter.ceiling_db" = -2.0' in session.read_text()
    other = rtsep("live", "--resume", "--seconds", "0.2", "--mode", "quality", "--preset", "lead-only")
    assert "mode quality on 'virtual'" in other.stderr and '"melody.gain_db" = 0.0' in session.read_text()
    sung = ["karaoke", "-o", "virtual", "--mic", "none", "--seconds", "0.2"]
    assert rtsep(*sung, "--guide", "-7", "--key", "3").returncode == 0
    assert rtsep("karaoke", "--resume", "--seconds", "0.2", "--key", "1").returncode == 0
    kept = (config / "sessions" / "karaoke.toml").read_text()
    assert '"melody.gain_db" = -7.0' in kept and '"key.semitones" = 1.0' in kept


def test_controls_are_bound_by_hand_shown_and_forgotten(config):
    at = "--port", "A Box"
    bind = "melody.gain_db", "cc 7", "--channel", "3", "--low=-24", "--high", "0", "--invert", "--takeover", "jump"
    assert rtsep("midi", "bind", *bind, *at).returncode == 0
    assert rtsep("midi", "bind", "bypass", "note 40", "--kind", "toggle", *at).returncode == 0
    shown = rtsep("midi", "map", *at)
    assert re.search(r"cc 7 on channel 3.*melody\.gain_db.*-24\.0 dB.*0\.0 dB", shown.stdout), shown.stdout
    assert "note 40" in shown.stdout and "do not go back to A Box" in shown.stderr
    assert "melody.gain_db has 2 controls: cc 2, cc 7 on channel 3." in shown.stderr
    assert "do not go back" not in rtsep("midi", "map", "--port", "nanoKONTROL2").stderr
    assert rtsep("midi", "bind", "harmony", "cc 9", *at).returncode == 0
    assert "cc 9: harmony.gain_db" in rtsep("midi", "map", "--port", "a bo").stdout
    assert rtsep("midi", "feedback", "on", *at).returncode == 0
    assert rtsep("midi", "forget", "melody.gain_db", *at).returncode == 0
    shown = rtsep("midi", "map", *at)
    assert "melody.gain_db" not in shown.stdout and "do not go back" not in shown.stderr
    assert_refused(rtsep("midi", "forget", "melody.gain_db", *at), 2, "nothing on A Box moves melody.gain_db")


def test_a_session_or_a_controller_that_cannot_be_understood_is_told_of_and_left_alone(config):
    session, box = config / "sessions" / "live.toml", config / "controllers" / "A Box.toml"
    for path, text in ((session, "format = 2\n"), (box, "format = 1\n[[binding]]\ncontrol = 'knob'\n")):
        path.parent.mkdir(parents=True)
        path.write_text(text)
    assert_refused(rtsep("live", "--resume"), 2, str(session), "newer rtsep")
    assert_refused(rtsep("preset", "save", "mine"), 2, str(session), "newer rtsep")
    result = rtsep("live", "-i", "virtual", "-o", "virtual", "--seconds", "0.2")
    assert result.returncode == 0 and "the session is not kept" in result.stderr
    assert_refused(rtsep("midi", "map", "--port", "A Box"), 2, str(box), "binding 1")
    assert session.read_text() == "format = 2\n" and "'knob'" in box.read_text()


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["preset", "show", "drums-dwn"], ["unknown preset 'drums-dwn'", "'drums-down'"]),
        (["preset", "save", "karaoke", "--set", "bypass=on"], ["'karaoke' comes with rtsep"]),
        (["preset", "save", "a/b", "--set", "bypass=on"], ["'a/b'", "letters"]),
        (["preset", "save", "mine", "--set", "bypas=on"], ["unknown parameter 'bypas'", "'bypass'"]),
        (["preset", "save", "mine", "--set", "bypass=on", "--program", "129"], ["129", "1 to 128"]),
        (["preset", "save", "mine"], ["nothing to resume yet", "rtsep live"]),
        (["preset", "delete", "karaoke"], ["'karaoke' comes with rtsep"]),
        (["preset", "import", "none.toml"], ["no file none.toml"]),
        (["live", "--resume"], ["nothing to resume yet", "rtsep live"]),
        (["karaoke", "--resume"], ["nothing to resume yet", "rtsep karaoke"]),
        (["midi", "bind", "percusive.mute", "cc 7", "--port", "X"], ["unknown parameter", "'percussive.mute'"]),
        (["midi", "bind", "bypass", "knob 7", "--port", "X"], ["'knob 7'", "'cc 7'"]),
        (["midi", "bind", "bypass", "cc 7", "--port", "X", "--kind", "toogle"], ["unknown kind 'toogle'", "'toggle'"]),
        (["midi", "bind", "bypass", "cc 7", "--port", "X", "--channel", "17"], ["channel is 17", "16"]),
        (["midi", "bind", "melody.gain_db", "cc 7", "--port", "X", "--low", "20"], ["melody.gain_db is", "20"]),
        (["midi", "learn", "bypas"], ["unknown parameter 'bypas'", "'bypass'"]),
        (["midi", "learn", "kick"], ["unknown parameter 'kick'", "kick.gain_db"]),
        (["midi", "forget", "bypass", "--port", "Nosuch"], ["no controller", "'Nosuch'", "rtsep midi list"]),
        (["midi", "map", "--port", "Nosuch"], ["no controller", "'Nosuch'"]),
        (["midi", "feedback", "on", "--port", "Nosuch"], ["no controller", "'Nosuch'"]),
        (["midi", "monitor", "--channel", "0"], ["channel is 0", "16"]),
        (["live", "-i", "virtual", "-o", "virtual", "--midi-channel", "0"], ["channel is 0", "16"]),
        (["karaoke", "-o", "virtual", "--midi-channel", "17"], ["channel is 17", "16"]),
    ],
)
def test_what_no_hand_could_do_is_refused_with_a_sentence(arguments, words, config):
    assert_refused(rtsep(*arguments), 2, *words)
    assert not config.exists()


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
        (["separate", "good.wav", "-o", "out", "--stems", "mlody"], 2, ["unknown stem 'mlody'", "'melody'"]),
        (["separate", "good.wav", "-o", "out", "--format", "mp2"], 2, ["unknown format 'mp2'", "'mp3'"]),
        (["separate", "good.wav", "-o", "out", "--bits", "8"], 2, ["8 bits", "32, 24, 16"]),
        (["separate", "done", "-o", "out"], 2, ["done is a folder: name a sound file"]),
        (["separate", "good.wav", "-o", "x" * 300], 3, ["cannot write", "File name too long"]),
        (["live", "x" * 300 + ".wav", "-o", "virtual"], 2, ["cannot read", "File name too long"]),
        (["live", "goood.wav", "-o", "virtual"], 2, ["no file goood.wav", "good.wav?"]),
        (["live", "good.wav", "-i", "none.wav", "-o", "virtual"], 2, ["good.wav", "none.wav", "name one"]),
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


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["live", "--set", "key.semitones=5"], ["key.semitones does nothing", "rtsep karaoke"]),
        (["demo", "--set", "microphone.reverb_db=0"], ["microphone.reverb_db does nothing", "rtsep karaoke"]),
        (["karaoke", "--mic", "none", "--set", "microphone.mute=on"], ["microphone.mute does nothing", "--mic none"]),
        (["live", "--set", "templates.sparsity=1"], ["templates.sparsity does nothing", "--templates"]),
        (
            ["separate", "a.wav", "-o", "out", "--set", "key.semitones=5"],
            ["key.semitones does nothing", "rtsep karaoke"],
        ),
        (["separate", "a.wav", "-o", "out", "--set", "melody.gain_db=-6"], ["melody.gain_db moves the mix", "--mix"]),
        (
            ["separate", "a.wav", "-o", "out", "--mode", "offline", "--set", "melody.low_hz=90"],
            ["melody.low_hz does nothing", "mode offline"],
        ),
        (["live", "--templates", "piano", "--set", "hpss.bias=3"], ["hpss.bias does nothing", "--splits"]),
        (["live", "--learn", "organ", "--templates", "drums"], ["leave one of them out"]),
    ],
)
def test_what_would_do_nothing_is_refused_with_where_it_works(arguments, words, tmp_path):
    assert_refused(rtsep(*arguments, cwd=tmp_path), 2, *words)
    assert list(tmp_path.iterdir()) == []


def test_what_does_nothing_yet_is_told_of(song, tmp_path):
    options = "--set", "hpss.separation=2", "--preset", "lead-only"
    result = rtsep("separate", song, "-o", tmp_path, "--mode", "live", *options)
    assert result.returncode == 0 and "hpss.separation does nothing with learned masks" in result.stderr
    assert "the preset lead-only moves the mix alone" in result.stderr and "add --mix" in result.stderr


def test_which_output_is_which_stem_is_told_at_the_start_and_in_the_help():
    live = "live", "-i", "virtual", "-o", "virtual", "--seconds", "0.2", "--plain"
    told = rtsep(*live, "--stems-out").stderr
    places = "outputs 1-2 mix, 3-4 percussive, 5-6 melody, 7-8 harmony, 9-10 residual; the stems are those before their"
    assert f"{places} faders" in told and "outputs 1-2" not in rtsep(*live).stderr
    assert "before its fader" in " ".join(rtsep("live", "--help").stdout.split())


def test_what_is_to_be_learned_now_takes_the_place_of_the_templates_of_the_last_time(config):
    live = "live", "-i", "virtual", "-o", "virtual", "--seconds", "0.2"
    assert rtsep(*live, "--templates", "drums").returncode == 0
    again = rtsep("live", "--resume", "--seconds", "0.2", "--learn", "organ")
    assert again.returncode == 0, again.stderr
    assert '"organ.gain_db"' in (config / "sessions" / "live.toml").read_text()


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


def test_each_parameter_says_what_one_hears():
    for line in (["--help-parameters"], ["live", "--help-parameters"]):
        result = rtsep(*line)
        assert result.returncode == 0 and result.stderr == ""
        for id, parameter in PARAMETERS.items():
            assert f"\n{id}  " in result.stdout
            assert parameter.effect.endswith(".") and f"    {parameter.effect}\n" in result.stdout


def test_what_is_listed_can_be_had_as_json(config):
    presets = json.loads(rtsep("preset", "list", "--json").stdout)
    assert {"name": "karaoke", "program": 1, "bank": 0, "shipped": True} in presets
    assert json.loads(rtsep("preset", "show", "karaoke", "--json").stdout)["melody.gain_db"] == -18
    rtsep("midi", "bind", "melody", "cc 7", "--port", "Mine")
    shown = json.loads(rtsep("midi", "map", "--port", "Mine", "--json").stdout)
    assert ("cc 7", "melody.gain_db") in {(each["control"], each["parameter"]) for each in shown["binding"]}


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_a_command_fits_a_screen(command):
    result = subprocess.run(
        [sys.executable, "-m", "rtsep", command, "--help"],
        capture_output=True,
        text=True,
        env=os.environ | {"COLUMNS": "100"},
    )
    assert len(result.stdout.splitlines()) <= 45
