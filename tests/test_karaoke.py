"""Karaoke: what keys do, what is judged when, and the whole program on the virtual device and on a sound server."""

import math
import os
import re
import signal
import subprocess
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from signals import Sound, constant, noise, tune
from studio import PERIOD, RATE, Client, server

from rtsep import STEMS, Engine, Settings, Unavailable
from rtsep.__main__ import main
from rtsep.commands import karaoke as command
from rtsep.library import warm_up
from rtsep.live import devices
from rtsep.live.evening import Karaoke
from rtsep.live.singing import Singing
from rtsep.live.stream import Stream
from rtsep.offline.files import song

TICK = RATE // 10
PITCHES = np.array((262, 330, 294, 392, 349, 262, 440))


@pytest.fixture(scope="module", autouse=True)
def _compiled():
    warm_up()


class Evening:
    """A `Karaoke` on a device of its own, which is called by hand: songs and singers are what the test gives it."""

    def __init__(self, device_ms: float = 0, singer: bool = True, mode: str = "live", **options: bool) -> None:
        engine = Engine(Settings(mode))
        engine.parameters.update({"melody.gain_db": -18, "limiter": "on"})
        self.stream = Stream(engine, "virtual", sample_rate=RATE, channels=1, microphone=True if singer else None)
        self.stream._device_latency_ms = device_ms
        self.karaoke = Karaoke(self.stream, "a song", singer=singer, **options)
        self.late = round(self.stream.stats().latency_ms * RATE / 1e3)

    def hear(self, song: Sound, microphone: Sound, tick: int = TICK) -> None:
        """Both (samples, 1) come in at the device; the control thread listens each `tick` samples."""
        inputs = np.concatenate([song, microphone], axis=1)[:, : int(self.stream.state.channels[0])]
        for start in range(0, len(inputs), tick):
            block = inputs[start : start + tick].copy()
            self.stream.callback(block, np.zeros((len(block), 2), np.float32), len(block), None, None)
            self.karaoke.listen()

    def sing(self, seconds: float = 3, cents: float = 0, tick: int = TICK, quiet: float = 0) -> float | None:
        """A song and a singer who is in time with what is heard, and `cents` too high; the score.

        The singer is silent for the last `quiet` seconds.
        """
        samples = round(seconds * RATE)
        song = tune(samples, RATE, PITCHES, 0.4)
        voice = tune(samples, RATE, PITCHES * 2 ** (cents / 1200), 0.4)
        voice[samples - round(quiet * RATE) :] = 0
        end = silence(self.late / RATE + 0.5)
        self.hear(np.concatenate([song, end]), np.concatenate([end[: self.late], voice, end[self.late :]]), tick)
        return self.karaoke.singing.score

    @property
    def guide_db(self) -> float:
        """The lead's level as it is heard."""
        parameters = self.stream.engine.parameters
        return -math.inf if parameters["melody.duck"].value else parameters["melody.gain_db"].value


def silence(seconds: float) -> Sound:
    return constant(round(seconds * RATE), 0)


@pytest.mark.parametrize("device_ms", [0, 53, 300])
def test_a_singer_in_time_with_what_is_heard_has_full_marks_however_late_the_device(device_ms):
    assert Evening(device_ms).sing() > 97


def test_a_device_whose_delay_is_not_told_costs_marks():
    evening = Evening(300)
    evening.stream._device_latency_ms = 0
    assert evening.sing() < 70


def test_a_quarter_tone_flat_is_marked_down_and_a_semitone_is_wrong():
    assert 60 < Evening().sing(cents=-50) < 72
    assert Evening().sing(cents=-100) < 10


@pytest.mark.parametrize("cents, score", [(0, 100), (15, 100), (-15, 100), (30, 93), (60, 53)])
def test_what_is_told_at_the_end_is_what_was_sung(cents, score):
    evening = Evening(53)
    assert evening.sing(4, cents=cents) == pytest.approx(score, abs=4)
    assert evening.karaoke.singing.bias_cents == pytest.approx(cents, abs=3)


@pytest.mark.parametrize("mode", ["live", "quality"])
def test_both_pitches_are_noted_at_the_moment_of_the_song_that_they_belong_to(mode):
    evening = Evening(100, mode=mode)
    evening.sing(2)
    singing = evening.karaoke.singing
    for heard in (singing.song_hz, singing.singer_hz):
        for note in range(5):
            since = np.array(singing.times) - 0.4 * note
            # All but the edges, where two notes are heard at once.
            np.testing.assert_allclose(np.array(heard)[(since > 0.07) & (since < 0.37)], PITCHES[note], rtol=0.01)


@pytest.mark.parametrize("key", [3, -12])
def test_the_singer_is_to_sing_in_the_key_that_is_heard(key):
    evening = Evening()
    evening.stream.engine.parameters["key.semitones"] = key
    assert evening.sing(cents=100 * key) > 97
    if key % 12:
        assert evening.sing() < 60


def test_while_the_song_is_silent_nothing_is_judged():
    evening = Evening()
    before = evening.sing()
    judged = evening.karaoke.singing._lead_s
    evening.hear(silence(3), tune(3 * RATE, RATE, (500,)))
    evening.hear(silence(3), silence(3))
    assert evening.karaoke.singing._lead_s < judged + 0.1 and evening.karaoke.singing.score == pytest.approx(before, 2)
    assert evening.sing() > 96


@pytest.mark.parametrize("stall_s", [1.5, 10])
def test_a_control_thread_that_stalls_loses_sound_but_not_its_time_and_nobody_is_judged_by_it(stall_s):
    evening = Evening(53)
    evening.sing()
    samples = round(stall_s * RATE)
    song = tune(samples, RATE, (330,))
    evening.hear(song, song, tick=samples)
    assert evening.sing() > 95
    heard, taken = evening.karaoke._listener.state.position[0], evening.stream.state.microphone_written[0]
    assert heard == taken == evening.stream.stats().samples
    assert evening.karaoke._next_s > taken / RATE - 0.3


def test_the_guide_rests_while_the_singer_is_on_pitch_and_returns_when_lost():
    evening = Evening()
    assert evening.guide_db == -18
    evening.sing(2)
    assert evening.guide_db == -math.inf and evening.karaoke.values().ducked
    evening.sing(2, quiet=1.2)
    assert evening.guide_db == -18 and not evening.karaoke.values().ducked
    evening.sing(2)
    evening.karaoke.press("d")
    evening.karaoke.listen()
    assert evening.guide_db == -18 and not evening.karaoke.values().duck


def test_without_duck_or_a_singer_the_guide_stays():
    for evening, score in ((Evening(duck=False), pytest.approx(99, abs=2)), (Evening(singer=False), None)):
        evening.sing(2)
        assert evening.guide_db == -18 and not evening.karaoke.values().ducked
        assert evening.karaoke.values().score == score


def test_the_guide_moves_by_3_db_from_silence_to_the_top_even_while_it_rests():
    evening = Evening()
    evening.sing(2)
    heard = []
    for key, times in (("up", 2), ("down", 16), ("up", 1), ("up", 30)):
        for _ in range(times):
            evening.karaoke.press(key)
        evening.karaoke.listen()
        heard.append(evening.karaoke.values().guide_db)
        assert evening.guide_db == -math.inf
    assert heard == [-12, -math.inf, -57, 12]
    evening.karaoke.press("d")
    evening.karaoke.listen()
    assert evening.guide_db == 12


def test_keys_change_key_and_microphone_and_end_the_evening():
    evening = Evening()
    for key, times, expected in (("+", 2, 2), ("-", 5, -3), ("=", 4, 1), ("+", 20, 12), ("-", 30, -12)):
        assert all(evening.karaoke.press(key) for _ in range(times))
        assert evening.karaoke.values().key_semitones == expected
        assert evening.stream.engine.parameters["key.semitones"].value == expected
    assert evening.karaoke.press("m") and evening.karaoke.values().muted
    assert evening.karaoke.press("m") and not evening.karaoke.values().muted
    assert all(evening.karaoke.press(key) for key in ("space", "left", "right", "home", "l", "x"))  # there is no player
    assert not evening.karaoke.press("q") and not evening.karaoke.press("escape")


@pytest.fixture
def player():
    """Those of a song of 20 s: the evening, and the player, which nobody hears."""

    def made(**options):
        stream = Stream(Engine(), "virtual", sample_rate=RATE, source=noise(20 * RATE), **options)
        opened.append(stream)
        return Karaoke(stream, "noise", singer=False, **options), stream.player

    opened = []
    yield made
    for stream in opened:
        stream.close()


def test_keys_pause_and_seek(player):
    evening, song = player()
    assert evening.values().playing and evening.values().length_s == 20
    evening.press("space")
    assert not song.playing and not evening.values().playing
    evening.press("space")
    assert song.playing
    places = []
    for key in ("right", "right", "left", "left", "left", "right", "home", "right", "right", "right", "right", "right"):
        evening.press(key)
        places.append(evening.values().position_s)
    assert places == [5, 10, 5, 0, 0, 5, 0, 5, 10, 15, 20, 20]


@pytest.mark.parametrize("loop", [False, True])
def test_one_key_sets_the_start_of_a_loop_its_end_and_takes_it_away(player, loop):
    evening, song = player(loop=loop)
    whole = song._loop
    song.seek(3)
    evening.press("l")
    assert evening.values().loop == (3, None) and song._loop == whole
    song.seek(7)
    evening.press("l")
    assert evening.values().loop == (3, 7) and song._loop == (3 * RATE, 7 * RATE)
    evening.press("l")
    assert evening.values().loop is None and (song._loop is not None) == loop
    assert not loop or (song._loop[0] == 0 and song._loop[1] >= 20 * RATE)


def test_a_loop_that_ends_before_it_begins_is_refused_in_the_view(player):
    evening, song = player()
    song.seek(7)
    evening.press("l")
    song.seek(3)
    evening.press("l")
    assert evening.values().loop is None and song._loop is None
    assert "its end must lie behind its start" in evening.values().message


def test_the_view_holds_what_was_measured():
    evening = Evening()
    evening.sing(8)
    values = evening.karaoke.values()
    assert values.song == "a song" and values.score > 97 and values.position_s == pytest.approx(8.5, abs=0.05)
    assert len(values.times) == len(values.song_hz) == len(values.singer_hz) == 300
    assert values.now_s == pytest.approx(values.times[-1] + 0.02) and values.now_s == pytest.approx(8.4, abs=0.15)
    assert not values.gate_open and not values.limiting
    loud = tune(TICK, RATE, (300,)) * 8
    evening.stream.state.fade[0] = 1
    evening.hear(loud, loud)
    values = evening.karaoke.values()
    assert values.gate_open and values.limiting
    assert values.microphone_db == pytest.approx(20 * math.log10(np.abs(loud).max()), abs=1)
    assert -3 < values.output_db <= -0.99


def test_a_howl_is_said_for_three_seconds(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("rtsep.live.evening.time", SimpleNamespace(monotonic=lambda: now[0]))
    evening = Evening()
    evening.sing(1)
    assert evening.karaoke.values().message == ""
    howl = np.sin(2 * np.pi * 1000 * np.arange(RATE // 2) / RATE).astype(np.float32)[:, np.newaxis] / 2
    evening.hear(silence(0.5), howl)
    now[0] += 2.9
    assert "howls at 1000 Hz" in evening.karaoke.values().message
    now[0] += 0.2
    assert evening.karaoke.values().message == ""


@pytest.fixture
def karaoke(monkeypatch, capsys, tmp_path):
    """Runs the command in a folder of its own; its exit code, and what it printed and told."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)  # the command sets its own
    before = signal.getsignal(signal.SIGTERM)

    def run(*arguments):
        code = main(["karaoke", *map(str, arguments)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    yield run
    signal.signal(signal.SIGTERM, before)


def test_the_bundled_song_is_sung_by_its_own_lead_on_the_virtual_device_and_drawn(karaoke, tmp_path):
    given = ["-o", "virtual", "--seconds", "5", "--picture", "k.png", "--record", "r"]
    code, printed, told = karaoke(*given)
    assert code == 0, told
    assert "lead stands in" in told and "no delay of ours" in told
    assert re.search(r"blocks +\d+ .*\nload .*\nlatency +53\.3 ms.*\nscore .*\nlead .*\nk\.png\n", printed, re.DOTALL)
    assert (tmp_path / "k.png").read_bytes().startswith(b"\x89PNG")
    files = {path.stem: soundfile.read(path, dtype="float32")[0] for path in (tmp_path / "r").iterdir()}
    assert set(files) == {"input", "output", "microphone", *STEMS}
    lead = song(RATE)["lead"].mean(1, np.float32)[: len(files["microphone"])]
    np.testing.assert_array_equal(files["microphone"], lead)  # in time with what is heard


def test_what_the_command_line_says_reaches_engine_and_evening(karaoke, monkeypatch):
    seen = {}

    def made(stream, song, **options):
        names = "melody.gain_db", "key.semitones", "percussive.mute", "limiter"
        seen.update(options, song=song, values=[stream.engine.parameters[name].value for name in names])
        seen.update(loop=stream.player._loop is not None, transpose=stream.engine.settings.transpose)
        seen.update(score=len(stream.engine.state.melody.score))
        return Karaoke(stream, song, **options)

    monkeypatch.setattr(command, "Karaoke", made)
    soundfile.write("a song.wav", tune(RATE // 4, RATE), RATE)
    given = ["a song.wav", "-o", "virtual", "--seconds", "0.1", "--set", "percussive.mute=on"]
    assert karaoke(*given, "--mic", "none", "--no-duck", "--loop", "--key=-3", "--guide", "-9")[0] == 0
    assert seen == dict(
        song="a song.wav", singer=False, duck=False, loop=True, transpose=True, values=[-9, -3, 1, 1], score=0
    )
    Path("score.csv").write_text("onset_s,duration_s,midi\n0,1,60\n")
    assert karaoke(*given, "--mic", "a song.wav", "--set", "melody.gain_db=-4", "--score", "score.csv")[0] == 0
    assert seen["score"] > 100
    assert seen["values"] == [-4, 0, 1, 1] and seen["singer"] and seen["duck"] and not seen["loop"]
    assert karaoke(*given, "--preset", "no-drums", "--guide", "-9")[0] == 0 and seen["values"][0] == -9
    assert not seen["singer"]


@pytest.mark.parametrize(
    "song, told",
    [
        ("mono.wav", ""),
        ("eight.wav", ""),
        ("low.wav", ""),
        ("short.wav", ""),
        ("silence.wav", ""),
        ("broken.flac", "broken.flac ends early"),
    ],
)
def test_any_song_plays_to_its_end(karaoke, song, told):
    voice = tune(3 * RATE // 2, RATE, (330, 440), 0.5)
    soundfile.write("mono.wav", voice, RATE)
    soundfile.write("eight.wav", np.repeat(voice, 8, 1) / 2, RATE)
    soundfile.write("low.wav", tune(24_000, 16_000, (330, 440), 0.5), 16_000)
    soundfile.write("short.wav", voice[: RATE // 10], RATE)
    soundfile.write("silence.wav", np.zeros((RATE // 2, 2)), RATE)
    soundfile.write("whole.flac", np.concatenate([voice, noise(RATE)]), RATE)
    with open("whole.flac", "rb") as whole, open("broken.flac", "wb") as broken:
        broken.write(whole.read()[: os.path.getsize("whole.flac") // 2])
    code, printed, said = karaoke(song, "-o", "virtual", "--mic", "mono.wav")
    assert code == 0 and told in said, said
    assert ("score    none" in printed) == (song in ("short.wav", "silence.wav"))


@pytest.mark.parametrize(
    "arguments, code, words",
    [
        (["nosuch.wav"], 2, ["no file nosuch.wav", "such.wav"]),
        (["nosuch"], 2, ["no file nosuch"]),
        (["words.wav"], 2, ["words.wav", "no sound file"]),
        (["folder"], 2, ["folder is a folder"]),
        (["--mic", "nosuch.wav"], 2, ["no file nosuch.wav"]),
        (["--mic", "nobody"], 2, ["no file nobody"]),
        (["--mic-channel", "0"], 2, ["channel is 0", "count from 1"]),
        (["--score", "nosuch.mid"], 2, ["no file nosuch.mid"]),
        (["--score", "words.wav"], 2, ["words.wav is no score"]),
        (["--key", "13"], 2, ["key.semitones is", "13", "12 semitones"]),
        (["--guide", "loud"], 2, ["melody.gain_db is 'loud'", "12 dB"]),
        (["--mode", "qualty"], 2, ["unknown mode 'qualty'", "'quality'"]),
        (["--picture", "nofolder/k.png"], 2, ["no folder nofolder"]),
        (["--picture", "k.pdf"], 2, ["k.pdf", "ends in .png"]),
        (["--picture", "taken.png"], 2, ["taken.png exists", "--force"]),
        (["--record", "taken"], 2, ["input.wav exists", "--force"]),
        (["-b", "-3"], 2, ["block size is -3"]),
    ],
)
def test_what_cannot_be_is_refused_with_a_sentence_before_any_sound(karaoke, tmp_path, arguments, code, words):
    (tmp_path / "folder").mkdir()
    (tmp_path / "taken").mkdir()
    for name in ("such.wav", "words.wav", "taken.png", "taken/input.wav"):
        (tmp_path / name).write_text("words")
    before = sorted(tmp_path.rglob("*"))
    found, printed, told = karaoke(*arguments, "-o", "virtual")
    assert found == code and printed == ""
    sentence = told.splitlines()[-1]
    assert sentence.startswith("rtsep: ") and [word for word in words if word not in sentence] == [], sentence
    assert "mode" not in told or "unknown mode" in told
    assert sorted(tmp_path.rglob("*")) == before


def test_a_picture_that_cannot_be_drawn_is_refused_at_once_and_one_that_cannot_be_written_at_the_end(
    karaoke, monkeypatch, tmp_path
):
    def fail(*_):
        raise OSError(28, "No space left on device")

    given = ["-o", "virtual", "--seconds", "0.1", "--picture", "k.png"]
    with monkeypatch.context() as patch:
        patch.setattr(Singing, "picture", fail)
        code, printed, told = karaoke(*given)
        assert code == 3 and "blocks" in printed and told.endswith("cannot write k.png: No space left on device.\n")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    code, printed, told = karaoke(*given)
    assert code == 3 and printed == "" and "pip install 'rtsep[plot]'" in told
    assert list(tmp_path.iterdir()) == []


def test_a_score_that_fits_another_song_is_remarked_upon(karaoke, tmp_path):
    soundfile.write("song.wav", tune(RATE // 4, RATE), RATE)
    (tmp_path / "score.csv").write_text("onset_s,duration_s,midi\n500,1,60\n")
    code, _printed, told = karaoke("song.wav", "-o", "virtual", "--mic", "none", "--score", "score.csv")
    assert code == 0 and "is it the score of this song?" in told


LINE = devices.Device(1, "Line", "ALSA", 2, 2, 48_000.0)
USB = devices.Device(2, "USB", "ALSA", 1, 2, 48_000.0)


@pytest.fixture
def cards(monkeypatch):
    """Sound cards to be found; those who would open one are told apart by what they ask for."""

    def find(name, kind):
        if name is None or name in ("Line", "Li"):
            return LINE
        if name == "USB":
            return USB
        raise Unavailable(f"no {kind} device is called {name!r}.")

    class Opened(Exception):
        pass

    def opening(engine, device, **options):
        raise Opened(device, options["source"], options["microphone"], options["microphone_channel"])

    monkeypatch.setattr(devices, "find", find)
    monkeypatch.setattr(command, "open_stream", opening)
    return Opened


@pytest.mark.parametrize(
    "arguments, opened",
    [
        (["song.wav"], ((None, None), "song.wav", True, None)),
        (["song.wav", "-o", "USB"], ((None, "USB"), "song.wav", True, None)),
        (["song.wav", "--mic", "USB", "--mic-channel", "2"], (("USB", None), "song.wav", True, 2)),
        (["song.wav", "--mic", "song.wav"], ((None, None), "song.wav", "song.wav", None)),
        (["song.wav", "--mic", "none"], ((None, None), "song.wav", None, None)),
        (["Line"], (("Line", None), None, None, None)),
        (["Line", "--mic", "Line"], (("Line", None), None, True, None)),
        (["Line", "--mic", "Li"], (("Line", None), None, True, None)),
        (["Line", "--mic-channel", "2"], (("Line", None), None, True, 2)),
        (["Line", "--mic", "song.wav"], (("Line", None), None, "song.wav", None)),
    ],
)
def test_song_and_microphone_may_be_files_or_inputs(karaoke, cards, arguments, opened):
    soundfile.write("song.wav", tune(RATE // 4, RATE), RATE)
    with pytest.raises(cards) as given:
        karaoke(*arguments)
    assert given.value.args == opened


@pytest.mark.parametrize(
    "arguments, code, words",
    [
        (["Line", "--mic", "USB"], 2, ["'Line'", "'USB'", "two clocks", "--mic-channel"]),
        (["Line", "--mic", "ULB"], 3, ["no input device is called 'ULB'"]),
        (["Lime"], 3, ["no input device is called 'Lime'"]),
        (["song.wav", "-o", "Lime"], 3, ["no output device is called 'Lime'"]),
    ],
)
def test_devices_that_do_not_exist_or_go_together_are_refused(karaoke, cards, arguments, code, words):
    soundfile.write("song.wav", tune(RATE // 4, RATE), RATE)
    found, _printed, told = karaoke(*arguments)
    assert found == code and [word for word in words if word not in told] == [], told


def test_without_any_input_device_nobody_sings_and_the_song_plays(karaoke, cards, monkeypatch):
    def find(name, kind):
        if kind == "output":
            return LINE
        raise Unavailable("no sound device for input was found: plug one in.")

    monkeypatch.setattr(devices, "find", find)
    soundfile.write("song.wav", tune(RATE // 4, RATE), RATE)
    with pytest.raises(cards) as given:
        karaoke("song.wav")
    assert given.value.args[2] is None


@pytest.mark.parametrize("key", ["q", "Ctrl-C"])
def test_in_a_terminal_a_key_ends_the_evening_and_the_score_is_printed(key):
    pty = pytest.importorskip("pty", reason="pseudo terminals are a matter of POSIX")
    person, program = pty.openpty()
    command = [sys.executable, "-m", "rtsep", "karaoke", "-o", "virtual", "--seconds", "60"]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80", "LINES": "24"}
    process = subprocess.Popen(command, stdin=program, stdout=program, stderr=program, env=environment)
    os.close(program)
    seen = ""
    try:
        while "left/right seek" not in seen:
            seen += os.read(person, 4096).decode(errors="ignore")
        if key == "q":
            os.write(person, b"q")
        else:
            process.send_signal(signal.SIGINT)
        while "score " not in seen.partition("blocks ")[2]:
            seen += os.read(person, 4096).decode(errors="ignore")
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
        os.close(person)
    assert "the bundled song" in seen and "Traceback" not in seen


SUNG_S, LEAD_IN_S, END_S = 4.0, 0.5, 0.8


class Singer(Client):
    """A client that sings from the moment at which it hears something."""

    def _process(self, frames: int) -> None:
        self.playing = self.playing or any(port.get_array().any() for port in self._inputs)
        super()._process(frames)


def partials(f0: np.ndarray, numbers: range) -> Sound:
    """A voice whose pitch is `f0` (samples,) in Hz, fading in and out, as (samples, 1)."""
    turns = np.cumsum(f0) / RATE
    envelope = np.minimum(1, np.minimum(np.arange(len(f0)), np.arange(len(f0))[::-1]) / 480)
    return (0.1 * envelope * sum(np.sin(2 * np.pi * n * turns) / n for n in numbers)).astype(np.float32)[:, np.newaxis]


def test_on_a_sound_server_the_singer_is_heard_at_once_and_takes_the_place_of_the_lead(tmp_path):
    """The singer is an octave above the lead, so that the lead's first partial is its own, and ends with a hiss."""
    seconds = np.arange(round(SUNG_S * RATE)) / RATE
    f0 = 262 * 2 ** (5 / 12 * np.sin(2 * np.pi * seconds / SUNG_S))  # gliding, up to a fourth up and down
    lead, hiss = partials(f0, range(1, 9)), noise(RATE // 5)
    song = np.concatenate([silence(LEAD_IN_S), lead, silence(END_S)])
    voice = np.concatenate([partials(2 * f0, range(1, 7)), silence(0.3), hiss])
    soundfile.write(tmp_path / "song.wav", song, RATE, subtype="FLOAT")
    given = f"{tmp_path / 'song.wav'} -o studio --mic studio --seconds 20 --record {tmp_path / 'r'}"
    plain = "--set microphone.reverb_db=-inf --set microphone.high_pass_hz=20"
    command = [sys.executable, "-m", "rtsep", "karaoke", *given.split(), *plain.split()]
    with server():
        client = Singer(voice, 2, SUNG_S + END_S)
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        finally:
            client.close()
    assert done.returncode == 0, done.stderr
    # A loop of cables takes one period; ours is none.
    assert lag(client.heard[len(voice) - len(hiss) :, 0], hiss[:, 0]) == PERIOD
    files = {path.stem: soundfile.read(path, dtype="float32")[0] for path in (tmp_path / "r").iterdir()}
    hissed = int(np.flatnonzero(files["microphone"])[-1]) + 1 - len(hiss)
    np.testing.assert_array_equal(files["microphone"][hissed : hissed + len(hiss)], hiss[:, 0])
    assert lag(files["output"][hissed - 480 :], hiss[:, 0]) == 480
    # What is left of the lead's first partial from a second on, when it has been judged.
    sung = slice(round((LEAD_IN_S + 1) * RATE), round((LEAD_IN_S + SUNG_S) * RATE))
    partial = np.exp(2j * np.pi * np.cumsum(f0) / RATE)[RATE:]
    before, after = (abs(np.vdot(partial, files[name][sung])) for name in ("input", "output"))
    assert after < 0.4 * before
    score = re.search(r"score +(\d+) of 100", done.stdout)
    assert score and int(score[1]) >= 90, done.stdout
    latency = float(re.search(r"latency +(\d+\.\d) ms", done.stdout)[1])
    assert 53.3 <= latency < 53.3 + 10e3 * PERIOD / RATE
    print(done.stdout, after / before)


def lag(sound: np.ndarray, wanted: np.ndarray) -> int:
    """How many samples into `sound` what is `wanted` is most like it."""
    return int(np.argmax(np.correlate(sound[: len(wanted) + 2000], wanted, "valid")))
