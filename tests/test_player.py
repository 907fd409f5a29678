"""The player: a song that is read ahead is heard whole, exact to the sample, and without clicks."""

import os
import threading
import time
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from signals import constant, music, noise

from rtsep import BadInput
from rtsep.live import player
from rtsep.live.player import Player

RATE = 8000
BLOCK = 50
FADE = RATE // 100


@pytest.fixture
def opened():
    """`Player`, whose players are closed when the test is over."""
    players = []

    def make(*arguments, **options):
        players.append(Player(*arguments, **options))
        return players[-1]

    yield make
    for each in players:
        each.close()


def until(condition):
    """Wait for the thread that reads ahead; a test that waits in vain fails."""
    patience = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < patience, "it never came true"
        time.sleep(0.001)


def heard(song, samples, block=BLOCK):
    """What the audio thread hears: `samples` in blocks, each of them when it is ready, for we are faster than music."""
    state, sound = song.state, np.full((samples, song.channels), np.nan, np.float32)

    def ready():
        bank = state.current[0]
        leaving = bank != state.wanted[0]
        enough = state.written[bank] - state.taken[bank] >= block + song.sample_rate // 50  # it may have to fade
        return leaving or enough or state.end[bank] >= 0

    for start in range(0, samples, block):
        until(ready)
        player.read(state, sound[start : start + block])
    return sound


def served(song):
    """Wait until the thread that reads ahead has done what it was asked for, and only the audio thread is to come."""
    until(lambda: not song._asked and song.state.wanted[0] != song.state.current[0])


def settled(song):
    """The same, and let the audio thread go there; what is heard on the way."""
    served(song)
    sound = heard(song, song.sample_rate // 30)
    until(lambda: song._goal is None)
    return sound


def jumped(song, place, samples):
    """What is heard from `place` on after a jump there while the song was paused."""
    song.pause()
    heard(song, song.sample_rate // 50)
    song.seek(place / song.sample_rate)
    settled(song)
    assert song.state.position[0] == place
    song.play()
    return heard(song, samples)


def faded(whole, place, samples, rate):
    """What a player makes of that."""
    return whole[place : place + samples] * np.minimum(np.arange(1, samples + 1) / (rate * 0.01), 1)[:, None]


def arrived(song):
    """Hear on until the last jump is done."""
    until(lambda: not (heard(song, BLOCK) is None or song._goal is not None))


def ramp(samples, channels=1):
    """A sound in which every sample tells its place."""
    return np.repeat(np.arange(1, samples + 1, dtype=np.float32)[:, None], channels, 1)


def jumps(sound):
    return np.abs(np.diff(sound, axis=0)).max()


def sine(seconds, hertz=50, rate=RATE):
    return (0.5 * np.cos(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)[:, None]


@pytest.mark.parametrize("block", (1, 64, 479))
def test_an_array_longer_than_the_ring_is_heard_to_the_last_bit_and_then_silence(opened, block):
    sound = noise(6 * RATE, 2)
    song = opened(sound, RATE)
    np.testing.assert_array_equal(heard(song, 7 * RATE, block)[: len(sound)], sound)
    assert song.position == song.length == 6 and song.finished and not song.playing
    assert not heard(song, 100).any() and song.state.starved[0] == 0


@pytest.mark.parametrize("format, channels", [*product(("wav", "flac", "ogg"), (1, 2, 8)), *product(("mp3",), (1, 2))])
def test_files_of_all_formats_are_heard_as_they_are(opened, tmp_path, format, channels):
    path = tmp_path / f"song.{format}"
    soundfile.write(path, music(5 * RATE, RATE, channels), RATE)
    whole, _ = soundfile.read(path, dtype="float32", always_2d=True)
    song = opened(path, RATE)
    assert song.channels == channels and song.length == len(whole) / RATE
    sound = heard(song, len(whole) + 100)
    np.testing.assert_array_equal(sound[: len(whole)], whole)
    assert song.finished and song.warning is None


@pytest.mark.parametrize("rates", [(44100, 48000), (48000, 44100), (8000, 48000), (44100, 11025), (44100, 47999)])
def test_another_rate_is_resampled_as_the_whole_file_would_be(opened, tmp_path, rates):
    given, wanted = rates
    path = tmp_path / "song.wav"
    soundfile.write(path, music(3 * given, given, 2), given, subtype="FLOAT")
    truth = soxr.resample(soundfile.read(path, dtype="float32")[0], given, wanted)
    song = opened(path, wanted)
    assert song.length == 3
    np.testing.assert_allclose(heard(song, len(truth), 1000), truth, atol=1e-5)
    for seconds in (1.2345, 0.05, 0, 2.5):
        at = round(seconds * wanted)
        np.testing.assert_allclose(jumped(song, at, wanted // 4), faded(truth, at, wanted // 4, wanted), atol=2e-5)


def test_a_song_can_be_mixed_down_to_one_channel(opened, tmp_path):
    sound = music(RATE, RATE, 3)
    soundfile.write(tmp_path / "song.wav", sound, RATE, subtype="FLOAT")
    for source in (sound, tmp_path / "song.wav"):
        song = opened(source, RATE, mono=True)
        assert song.channels == 1
        np.testing.assert_allclose(heard(song, RATE), sound.mean(1, keepdims=True), atol=1e-7)


@pytest.mark.parametrize("format", ("wav", "flac", "ogg", "mp3"))
def test_jumps_in_files_are_exact_to_the_sample(opened, tmp_path, format):
    path = tmp_path / f"song.{format}"
    # Hits make Vorbis change its blocks, which is where jumps by the library go wrong.
    soundfile.write(path, music(6 * 44100, 44100, 2), 44100)
    whole, _ = soundfile.read(path, dtype="float32", always_2d=True)
    song = opened(path, 44100)
    random = np.random.default_rng(1)
    for place in (0, 1, 700, *random.integers(0, 5 * 44100, 30)):
        sound, truth = jumped(song, place, 1000), faded(whole, place, 1000, 44100)
        np.testing.assert_allclose(sound, truth, atol=1e-5)
        np.testing.assert_array_equal(sound[442:], truth[442:])
    jumped(song, len(whole) - 10, 500)
    assert song.finished and song.warning is None


def test_a_loop_of_the_whole_song_has_no_seam(opened, tmp_path):
    sound = noise(RATE + 77, 2)
    soundfile.write(tmp_path / "song.wav", sound, RATE, subtype="FLOAT")
    for source in (sound, tmp_path / "song.wav"):
        song = opened(source, RATE, loop=True)
        np.testing.assert_array_equal(heard(song, 7 * len(sound), 1), np.tile(sound, (7, 1)))
        assert not song.finished and song.state.position[0] == 0


def test_a_loop_from_one_place_to_another_has_no_seam(opened, tmp_path):
    sound, start, stop = noise(6 * RATE), int(1.5 * RATE), int(2.25 * RATE)
    soundfile.write(tmp_path / "song.wav", sound, RATE, subtype="FLOAT")
    for source in (sound, tmp_path / "song.wav"):
        song = opened(source, RATE)
        song.set_loop(1.5, 2.25)
        served(song)
        expected = np.concatenate([sound[:stop], np.tile(sound[start:stop], (9, 1))])
        np.testing.assert_array_equal(heard(song, len(expected)), expected)


def test_a_loop_that_is_set_just_before_its_end_is_in_time(opened):
    sound = ramp(6 * RATE)
    song = opened(sound, RATE)
    heard(song, RATE)
    song.set_loop(0.5, 1.1)
    served(song)
    expected = np.concatenate([sound[RATE : int(1.1 * RATE)], np.tile(sound[RATE // 2 : int(1.1 * RATE)], (3, 1))])
    np.testing.assert_array_equal(heard(song, len(expected)), expected)


def test_what_lies_behind_a_new_loop_jumps_to_its_start(opened):
    song = opened(ramp(6 * RATE), RATE)
    heard(song, 3 * RATE)
    song.set_loop(0.5, 1.5)
    sound = settled(song)
    assert np.all(sound[-10:, 0] == np.arange(10) + sound[-10, 0]) and RATE // 2 < sound[-1] < RATE


def test_without_its_loop_the_song_goes_on_to_its_end_without_a_seam(opened):
    song = opened(ramp(6 * RATE), RATE)
    song.set_loop(1.5, 2.25)
    served(song)
    heard(song, 4 * RATE + 50)
    song.set_loop(None)
    served(song)
    sound = heard(song, 6 * RATE)[:, 0]
    steps = np.diff(sound[: np.argmin(sound)])
    assert sound.max() == 6 * RATE and song.finished
    assert np.all(steps[RATE + BLOCK :] == 1) and set(steps) <= {1, 1 - 6000}


def test_a_loop_can_be_set_and_left_while_the_song_is_paused(opened):
    song = opened(ramp(6 * RATE), RATE)
    heard(song, RATE)
    song.pause()
    heard(song, 2 * FADE)
    at = int(song.state.position[0])
    for loop in ((0.1, 1.2), (None,), (0.5, 1.5)):
        song.set_loop(*loop)
        assert not settled(song).any() and song.state.position[0] == at
    song.play()
    np.testing.assert_array_equal(heard(song, 400)[100:, 0], at + 101 + np.arange(300))


def test_a_song_pauses_with_a_fade_and_goes_on_at_the_very_next_sample(opened):
    song = opened(constant(RATE, 1.0), RATE)
    sound = np.concatenate(
        [heard(song, 100), *[heard(song, 200) for action in (song.pause, song.play) if not action()]]
    )
    np.testing.assert_allclose(sound[100 : 100 + FADE, 0], 1 - np.arange(1, FADE + 1) / FADE, atol=1e-5)
    assert not sound[100 + FADE + 1 : 300].any()
    np.testing.assert_allclose(sound[300 : 300 + FADE, 0], np.arange(1, FADE + 1) / FADE, atol=1e-5)
    assert np.all(sound[300 + FADE + 1 :] == 1)

    song = opened(ramp(RATE), RATE)
    heard(song, 100)
    song.pause()
    assert not song.playing
    heard(song, 200)
    at = int(song.state.position[0])
    assert 100 + FADE - 1 <= at <= 100 + FADE and song.position == at / RATE
    heard(song, 500)
    song.play()
    assert song.playing
    np.testing.assert_array_equal(heard(song, 300)[100:, 0], at + 101 + np.arange(200))


def test_what_is_paused_before_it_begins_is_silent_and_has_lost_nothing(opened):
    song = opened(ramp(RATE), RATE)
    song.pause()
    assert not heard(song, 500).any() and song.position == 0
    song.play()
    np.testing.assert_array_equal(heard(song, 300)[FADE + 1 :, 0], np.arange(FADE + 2, 301))


def test_a_song_can_begin_anywhere(opened):
    song = opened(ramp(6 * RATE), RATE)
    song.seek(3)
    assert song.position == 3
    served(song)
    np.testing.assert_array_equal(heard(song, 300)[100:, 0], 3 * RATE + 100 + np.arange(200))


def test_a_hundred_jumps_pauses_and_loops_make_no_click(opened):
    sound = sine(10)
    song, random = opened(sound, RATE), np.random.default_rng(1)
    parts = []
    for number in range(100):
        if number % 7 == 3:
            (song.pause if song.playing else song.play)()
        if number % 5 == 1:
            start = 0.02 * int(random.integers(0, 450))
            song.set_loop(start, start + 0.5)  # whole periods: without a jump of their own
        song.seek(random.uniform(-1, 9.9))
        while number % 3 and song._asked:
            parts.append(heard(song, 10, 10))
        parts.append(heard(song, int(random.integers(1, 2000)), 10))
    whole = np.concatenate(parts)
    assert song.state.starved[0] == 0
    assert jumps(whole) < 1.5 * (jumps(sound) + 0.5 / FADE) and np.abs(whole).max() == 0.5


def test_of_jumps_in_quick_succession_the_last_one_counts(opened):
    song = opened(ramp(6 * RATE), RATE)
    heard(song, 100)
    for seconds in np.linspace(1, 4, 50):
        song.seek(seconds)
    assert song.position == 4
    arrived(song)
    assert 4 <= song.position < 4.5
    np.testing.assert_array_equal(np.diff(heard(song, 200), axis=0), 1)


def test_jumps_from_many_threads_end_at_one_of_their_places(opened):
    song = opened(ramp(6 * RATE), RATE)
    threads = [threading.Thread(target=lambda at=at: [song.seek(at) for _ in range(50)]) for at in (1, 2, 3, 4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        heard(song, BLOCK)
    arrived(song)
    assert min(song.position - at for at in (1, 2, 3, 4) if song.position >= at) < 0.5
    np.testing.assert_array_equal(np.diff(heard(song, 200), axis=0), 1)


def test_a_jump_before_the_song_goes_to_its_start_and_one_beyond_it_ends_it(opened, tmp_path):
    sound = ramp(2 * RATE)
    soundfile.write(tmp_path / "song.ogg", noise(2 * RATE), RATE)
    for source in (sound, tmp_path / "song.ogg"):
        song = opened(source, RATE)
        heard(song, RATE)
        song.seek(99)
        settled(song)
        assert not heard(song, 100).any()
        assert song.finished and song.position == song.length == 2
        song.seek(-3)
        assert not song.finished
        settled(song)
        assert not song.finished and 0 < song.position < 0.05


def test_a_jump_does_not_wait_for_a_loop_that_is_on_its_way(opened):
    song = opened(ramp(6 * RATE), RATE)
    heard(song, RATE)
    song.set_loop(0, 5)
    served(song)
    song.pause()
    heard(song, 2 * FADE)
    song.seek(4)
    arrived(song)
    assert song.state.position[0] == 4 * RATE


def test_a_jump_is_not_forgotten_when_a_loop_is_set_while_it_is_prepared(opened, monkeypatch):
    song = opened(ramp(6 * RATE), RATE)
    heard(song, RATE)
    begun, release, read = threading.Event(), threading.Event(), Player._read

    def slow(player, place):
        begun.set()
        release.wait(20)
        for block in read(player, place):
            yield from np.array_split(block, 8)

    monkeypatch.setattr(Player, "_read", slow)
    song.seek(4)
    assert begun.wait(20)
    song.set_loop(0, 5)
    release.set()
    arrived(song)
    assert 4 <= song.position < 4.5


def test_a_song_goes_on_after_its_end_when_it_is_sent_back(opened):
    song = opened(ramp(RATE), RATE)
    heard(song, 2 * RATE)
    assert song.finished
    song.seek(0.5)
    settled(song)
    np.testing.assert_array_equal(np.diff(heard(song, 200), axis=0), 1)


@pytest.mark.parametrize("format", ("wav", "flac", "ogg"))
def test_a_file_that_breaks_off_plays_as_far_as_it_goes_and_says_so(opened, tmp_path, format):
    path = tmp_path / f"song.{format}"
    soundfile.write(path, music(8 * RATE, RATE, 1), RATE)
    whole, _ = soundfile.read(path, dtype="float32", always_2d=True)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    for seconds in (0, 2):
        song = opened(path, RATE)
        if seconds:
            song.seek(seconds)
            settled(song)
        at, sound = int(song.state.position[0]), heard(song, 8 * RATE)
        assert song.finished and RATE < np.flatnonzero(sound)[-1] < 6.5 * RATE
        np.testing.assert_array_equal(sound[: 2 * RATE], whole[at : at + 2 * RATE])
        if format != "ogg":  # which may be cut anywhere
            assert "ends early, after" in song.warning and str(path) in song.warning
    song.seek(7.5)
    settled(song)
    assert not heard(song, 100).any() and song.finished


def test_where_nothing_is_ready_there_is_silence_which_is_counted_and_then_fades(tmp_path):
    state, sound = player.prepare(RATE, 1, 1000), np.full((300, 1), np.nan, np.float32)
    player.write(state, 0, 0, ramp(200))
    player.read(state, sound)
    np.testing.assert_array_equal(sound[:, 0], [*range(1, 201), *[0] * 100])
    assert state.starved[0] == 100 and state.position[0] == 200
    player.write(state, 0, 200, ramp(300) + 200)
    player.read(state, sound)
    np.testing.assert_allclose(sound[:FADE, 0], np.arange(201, 201 + FADE) * np.arange(1, FADE + 1) / FADE, rtol=1e-4)
    np.testing.assert_array_equal(sound[FADE + 1 :, 0], np.arange(202 + FADE, 501))
    assert state.starved[0] == 100


def test_no_song_is_silence():
    sound = noise(10, 2)
    player.read(player.empty(2), sound)
    assert not sound.any()


def test_a_closed_player_leaves_no_thread_and_no_open_file(tmp_path):
    soundfile.write(tmp_path / "song.wav", noise(RATE), RATE)
    song = Player(tmp_path / "song.wav", RATE)
    song.close()
    song.close()
    assert not song._thread.is_alive()
    if Path("/proc/self/fd").exists():
        assert str(tmp_path / "song.wav") not in {os.path.realpath(place) for place in Path("/proc/self/fd").iterdir()}


@pytest.mark.parametrize(
    "source, sentence",
    [
        (np.zeros(9, np.float32), r"shape \(9,\)"),
        (np.zeros((9, 9), np.float32), "1 to 8 channels"),
        (np.zeros((0, 2), np.float32), r"shape \(0, 2\)"),
        ("nowhere.wav", "no file nowhere.wav"),
    ],
)
def test_what_is_no_song_is_refused_with_a_sentence(source, sentence):
    with pytest.raises(BadInput, match=sentence):
        Player(source, RATE)


def test_places_that_make_no_sense_are_refused_with_a_sentence(opened):
    song = opened(noise(2 * RATE), RATE)
    for loop in ((1.5, 1.0), (1.0, 1.01), (3, 4), (-1, 1), (float("nan"), 1), (1.99,)):
        with pytest.raises(BadInput, match=r"within the song's 2\.00 s"):
            song.set_loop(*loop)
    with pytest.raises(BadInput, match="nan"):
        song.seek(float("nan"))
