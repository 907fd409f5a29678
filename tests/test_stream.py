"""The compiled callback and the stream around it, on the virtual device."""

import ctypes
import os
import threading
import time

import numpy as np
import pytest
import soundfile
from signals import music, noise

from rtsep import STEMS, BadInput, Engine, Settings, library, open_stream
from rtsep.live import callback
from rtsep.live.player import Player
from rtsep.live.stream import Stream

RATE = 48_000


def played(mode="balanced", sound=None, **options):
    """A stream that has played `sound` on the virtual device, and what its ring recorded, by column of the mix."""
    engine = Engine(Settings(mode))
    stream = Stream(engine, "virtual", sample_rate=RATE, source=sound, record=True, **options)
    stream.start()
    while not stream.finished:
        time.sleep(0.01)
    stream.close()
    return stream, stream.state.ring[: int(stream.state.written[0])]


def through_pointer(stream, inputs, frames, flags=0):
    """What the C function that PortAudio gets makes of `inputs`, called as PortAudio calls it."""
    kind = ctypes.CFUNCTYPE(
        ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_ulong, ctypes.c_void_p, ctypes.c_ulong, ctypes.c_void_p
    )
    outputs = np.full((frames, int(stream.state.channels[1])), np.nan, np.float32)
    result = kind(library.address("rtsep_portaudio"))(
        inputs.ctypes.data, outputs.ctypes.data, frames, None, flags, stream._image.address
    )
    assert result == 0
    return outputs


def test_the_callback_beside_a_busy_python_thread_equals_the_engine_bit_for_bit():
    sound = music(48000, RATE, 2)
    stop = threading.Event()

    def burn():
        while not stop.is_set():
            sorted(range(1000))

    threading.Thread(target=burn, daemon=True).start()
    try:
        _stream, ring = played(sound=sound, block_size=96)
    finally:
        stop.set()
    engine = Engine()
    engine.prepare(sample_rate=RATE, channels=2, max_block=len(ring))
    padded = np.zeros((len(ring), 2), np.float32)
    padded[: len(sound)] = sound
    stems = engine.process_stems(padded)
    np.testing.assert_array_equal(ring[:, :2], padded)
    for index, stem in enumerate(STEMS, 2):
        np.testing.assert_array_equal(ring[:, 2 * index : 2 * index + 2], stems[stem])


def test_the_output_fades_in_and_then_is_the_delayed_source():
    sound = music(48000, RATE, 2)
    stream, ring = played(sound=sound)
    late, faded = stream.engine.latency, int(0.06 * RATE)
    np.testing.assert_array_equal(ring[faded : late + len(sound), 2:4], sound[faded - late :])
    ramp = np.linspace(0, 1, int(0.05 * RATE), dtype=np.float32)[late:, np.newaxis]
    np.testing.assert_allclose(ring[late : late + len(ramp), 2:4], sound[: len(ramp)] * ramp, atol=1e-3)


def test_fading_out_ends_in_silence_without_a_jump():
    tone = np.sin(2 * np.pi * 100 * np.arange(3 * RATE) / RATE).astype(np.float32)[:, np.newaxis] / 2
    stream = Stream(Engine(), "virtual", sample_rate=RATE, source=tone, record=True)
    stream.start()
    time.sleep(0.3)
    stream.fade_out()
    stream.close()
    heard = stream.state.ring[: int(stream.state.written[0]), 1]
    assert heard[-1] == 0
    assert np.abs(np.diff(heard)).max() <= np.abs(np.diff(tone[:, 0])).max() * 1.05


def test_blocks_of_any_size_and_longer_than_a_piece_give_the_same_sound():
    sound = music(24000, RATE, 2)
    heard = []
    for sizes in ([128], [1, 37, 1000, 4096]):
        stream = Stream(Engine(), "virtual", sample_rate=RATE)
        parts, done = [], 0
        while done < len(sound):
            count = min(sizes[len(parts) % len(sizes)], len(sound) - done)
            parts.append(through_pointer(stream, sound[done : done + count].copy(), count))
            done += count
        heard.append(np.concatenate(parts))
    np.testing.assert_array_equal(*heard)


def test_the_python_callback_equals_the_compiled_one():
    sound = music(14400, RATE, 2)
    compiled, plain = (Stream(Engine(), "virtual", sample_rate=RATE) for _ in range(2))
    for start in range(0, len(sound) - 64, 64):
        block, output = sound[start : start + 64].copy(), np.zeros((64, 2), np.float32)
        plain.callback(block, output, 64, None, None)
        np.testing.assert_array_equal(through_pointer(compiled, block, 64), output)


def test_what_a_device_tells_of_lost_sound_is_counted():
    stream = Stream(Engine(), "virtual", sample_rate=RATE)
    silence = np.zeros((64, 2), np.float32)
    for flags in (0, 4, 2, 16, 0):  # 16 is no loss: the device primes its buffers
        through_pointer(stream, silence, 64, flags)
    assert stream.stats()[:3] == (5, 320, 2)


def test_the_measurements_are_those_of_the_calls():
    stream, _ = played(sound=music(24000, RATE, 2), block_size=480)
    stats = stream.stats()
    assert stats.samples == 480 * stats.blocks == int(stream.state.written[0])
    assert 0 < stats.load_median <= stats.load_p999 <= stats.load_worst
    assert stats.worst_block_us == pytest.approx(stats.load_worst * 0.01 * 1e6)
    assert stats.latency_ms == stats.engine_latency_ms == pytest.approx(512 / 48)
    assert int(stream.state.load.sum()) == stats.blocks


def test_the_limiter_holds_a_live_stream_at_its_ceiling():
    with open_stream(Engine(), "virtual", sample_rate=RATE, source=music(14400, RATE, 2) * 20) as stream:
        ceiling = 0.0
        while not stream.finished:
            ceiling = max(ceiling, float(stream.engine.meters.output[0]))
            time.sleep(0.005)
    assert 0.85 < ceiling <= np.float32(10 ** (-1 / 20))


def test_what_is_not_finite_never_comes_out():
    sound = music(14400, RATE, 2)
    sound[3000:3100] = np.nan
    sound[5000] = np.inf
    _, ring = played(sound=sound)
    assert np.isfinite(ring[:, 2:]).all()
    assert np.abs(ring[-4000:, 2:]).max() > 0


def test_each_stem_has_output_channels_of_its_own_and_they_add_up_to_the_mix():
    stream = Stream(Engine(), "virtual", sample_rate=RATE, stems_out=True)
    stream.state.fade[0] = 1
    sound = np.round(music(14400, RATE, 2) * 2**23) / np.float32(2**23)  # 24 bits, as a sound card delivers
    heard = through_pointer(stream, sound, len(sound))
    assert heard.shape[1] == 2 * (1 + len(STEMS))
    stems = [heard[:, 2 * index : 2 * index + 2] for index in range(1, 1 + len(STEMS))]
    np.testing.assert_array_equal(sum(stems), heard[:, :2])
    assert np.abs(stems[0]).max() > 0.01


def test_a_mono_stream_plays_on_both_channels():
    stream = Stream(Engine(), "virtual", sample_rate=RATE, channels=1)
    stream.state.fade[0] = 1
    heard = through_pointer(stream, music(9600, RATE, 1), 9600)
    np.testing.assert_array_equal(heard[:, 0], heard[:, 1])
    assert np.abs(heard).max() > 0


def test_a_looped_source_starts_again():
    sound = music(4800, RATE, 2)
    stream = Stream(Engine(), "virtual", sample_rate=RATE, source=sound, loop=True, record=True)
    through_pointer(stream, np.zeros((1, 2), np.float32), 3 * len(sound))
    np.testing.assert_array_equal(stream.state.ring[: 3 * len(sound), :2], np.tile(sound, (3, 1)))
    assert not stream.finished
    stream.close()


def test_a_sound_file_is_played_as_it_is_and_the_stream_ends_when_all_of_it_was_heard(tmp_path):
    sound = music(24000, RATE, 2)
    soundfile.write(tmp_path / "song.wav", sound, RATE, subtype="FLOAT")
    stream, ring = played(sound=tmp_path / "song.wav")
    assert stream.engine.latency + len(sound) <= len(ring)
    np.testing.assert_array_equal(ring[: len(sound), :2], sound)
    assert stream.player.finished and not stream.player._thread.is_alive()


def test_a_player_can_be_moved_while_the_stream_runs_and_outlives_it():
    player = Player(music(4 * RATE, RATE, 2), RATE)
    with open_stream(Engine(), "virtual", source=player) as stream:
        assert stream.player is player and stream.sample_rate == RATE
        player.seek(3)
        while player.state.position[0] < 3.1 * RATE:  # the jump has faded in
            time.sleep(0.01)
        player.pause()
        while player.state.gain[0] > 0 and not player.finished:
            time.sleep(0.01)
        at = player.position
        time.sleep(0.1)
        assert player.position == at
    assert player._thread.is_alive()
    player.close()


SINGER = np.linspace(-0.5, 0.5, 9600, dtype=np.float32)[:, np.newaxis]


def test_a_singer_from_a_file_is_mixed_down_and_kept_beside_the_song(tmp_path):
    sound = music(9600, RATE, 2)
    soundfile.write(tmp_path / "singer.wav", np.repeat(SINGER, 2, 1), RATE, subtype="FLOAT")
    for microphone in (tmp_path / "singer.wav", SINGER, Player(SINGER, RATE)):
        stream, ring = played(sound=sound, microphone=microphone)
        assert ring.shape[1] == 2 * (2 + len(STEMS)) + 1
        np.testing.assert_array_equal(ring[: len(sound), :2], sound)
        np.testing.assert_array_equal(ring[: len(sound), -1:], SINGER)
        heard = stream.take_microphone()
        np.testing.assert_array_equal(heard[: len(SINGER)], SINGER[:, 0])
        assert len(heard) == len(ring) and len(stream.take_microphone()) == 0
    microphone.close()


def test_the_singer_is_heard_in_the_output_without_delay_and_the_engine_knows_the_place_in_the_song():
    player = Player(music(4 * RATE, RATE, 2), RATE)
    player.pause()
    stream = Stream(Engine(), "virtual", sample_rate=RATE, source=player, microphone=True)
    stream.state.fade[0] = 1
    stream.engine.parameters["microphone.gain_db"] = 0
    stream.engine.parameters["microphone.mute"] = "off"
    given = noise(4096, 1)
    heard = through_pointer(stream, given, len(given))
    assert np.corrcoef(heard[2048:, 0], given[2048:, 0])[0, 1] > 0.7
    assert stream.state.song.position[0] == 0
    player.seek(2)
    while player.state.wanted[0] == player.state.current[0]:
        time.sleep(0.01)
    player.play()
    through_pointer(stream, given, 1024)
    through_pointer(stream, given, 1000)
    assert stream.state.song.position[0] == 2 * RATE + 2024
    assert stream.engine.state.position[0] == 2 * RATE + 2024
    player.close()


@pytest.mark.parametrize(
    "options, inputs, song, microphone",
    [
        (dict(), 2, (0, 1), None),
        (dict(microphone=True), 3, (0, 1), 2),
        (dict(microphone=True, channels=1), 2, (0,), 1),
        (dict(microphone=True, microphone_channel=5), 5, (0, 1), 4),
        (dict(microphone=True, microphone_channel=2), 2, (0, 1), 1),
        (dict(microphone=True, source=music(9600, RATE, 2)), 1, None, 0),
        (dict(microphone=True, microphone_channel=3, source=music(9600, RATE, 2)), 3, None, 2),
        (dict(microphone=SINGER), 2, (0, 1), None),
        (dict(microphone=SINGER, source=music(9600, RATE, 2)), 0, None, None),
    ],
)
def test_song_and_microphone_come_from_their_inputs(options, inputs, song, microphone):
    stream = Stream(Engine(), "virtual", sample_rate=RATE, record=True, **options)
    assert stream.state.channels[0] == inputs
    given = noise(4096, inputs)
    through_pointer(stream, given, len(given))
    ring = stream.state.ring[: len(given)]
    mixed = options["source"][: len(given)] if "source" in options else given[:, song]
    np.testing.assert_array_equal(ring[:, : mixed.shape[1]], mixed)
    heard = stream.take_microphone()
    if "microphone" in options:
        expected = SINGER[: len(given), 0] if microphone is None else given[:, microphone]
        np.testing.assert_array_equal(ring[:, -1], expected)
        np.testing.assert_array_equal(heard, expected)
    else:
        assert ring.shape[1] == 2 * (2 + len(STEMS)) and len(heard) == 0
    stream.close()


def test_whoever_listens_to_the_microphone_too_rarely_gets_silence_for_all_but_the_newest_of_it():
    stream = Stream(Engine(), "virtual", sample_rate=RATE, microphone=True)
    given = np.zeros((2 * RATE, 3), np.float32)
    given[:, 2] = np.arange(len(given))
    through_pointer(stream, given[:100], 100)
    assert np.array_equal(stream.take_microphone(), np.arange(100))
    through_pointer(stream, given[100:].copy(), len(given) - 100)
    heard = stream.take_microphone()
    newest = RATE - callback.PIECE
    assert len(heard) == len(given) - 100 and not heard[:-newest].any()
    np.testing.assert_array_equal(heard[-newest:], np.arange(len(given))[-newest:])


def test_a_recording_holds_the_singer_in_time_with_what_was_heard(tmp_path):
    beats = np.zeros((RATE, 1), np.float32)
    beats[RATE // 4 :: RATE // 4] = 0.5
    late = Engine()
    late.prepare(sample_rate=RATE, channels=1)
    sung = np.roll(beats, late.latency, 0)  # with what the singer hears, which is late by the engine's latency
    with open_stream(Engine(), "virtual", source=beats, microphone=sung, record=tmp_path) as stream:
        while not stream.finished:
            time.sleep(0.01)
    files = {path.stem: soundfile.read(path, dtype="float32")[0] for path in tmp_path.iterdir()}
    assert set(files) == {"input", "output", "microphone", *STEMS}
    assert len({len(file) for file in files.values()}) == 1
    np.testing.assert_array_equal(files["microphone"][: len(beats)], beats[:, 0])
    np.testing.assert_array_equal(files["input"][: len(beats)], beats[:, 0])


@pytest.mark.parametrize(
    "options, sentence",
    [
        (dict(block_size=-1), "block size is -1"),
        (dict(device=("virtual", "speakers")), "both input and output"),
        (dict(channels=9), "9 channels"),
        (dict(sample_rate=4000), "sample rate is 4000"),
        (dict(source=np.zeros((9, 1), np.float32), channels=2), "source has 1 channels"),
        (dict(source=np.zeros((9, 9), np.float32)), "1 to 8 channels"),
        (dict(source="nowhere.wav"), "no file nowhere.wav"),
        (dict(microphone="nowhere.wav"), "no file nowhere.wav"),
        (dict(microphone=True, microphone_channel=0), "channel is 0"),
    ],
)
def test_what_cannot_be_streamed_is_refused_with_a_sentence(options, sentence):
    options = dict(device="virtual") | options
    with pytest.raises(BadInput, match=sentence):
        Stream(Engine(), **options)


def test_a_player_that_does_not_fit_the_stream_is_refused_with_a_sentence():
    player = Player(np.zeros((9, 2), np.float32), RATE)
    with pytest.raises(BadInput, match="made for 48000 Hz, the stream for 44100"):
        Stream(Engine(), "virtual", sample_rate=44100, source=player)
    with pytest.raises(BadInput, match="mono=True"):
        Stream(Engine(), "virtual", source=player, microphone=player)
    player.close()


@pytest.mark.skipif(not hasattr(os, "SCHED_RR"), reason="this system has no real-time priorities of POSIX")
def test_the_audio_thread_has_real_time_priority_where_the_system_allows_it():
    found = {}

    def allowed():
        try:
            os.sched_setscheduler(threading.get_native_id(), os.SCHED_RR, os.sched_param(1))
            found["policy"] = os.SCHED_RR
        except OSError:
            found["policy"] = os.SCHED_OTHER

    attempt = threading.Thread(target=allowed)
    attempt.start()
    attempt.join()
    with open_stream(Engine(), "virtual") as stream:
        thread = int(stream.state.thread[0])
        assert thread not in (0, threading.get_native_id())
        assert os.sched_getscheduler(thread) == found["policy"]
        assert os.sched_getscheduler(threading.get_native_id()) == os.SCHED_OTHER


def test_an_error_in_the_program_around_a_stream_fades_it_out_too():
    tone = np.full((RATE, 1), 0.5, np.float32)
    with pytest.raises(KeyError), open_stream(Engine(), "virtual", source=tone) as stream:
        time.sleep(0.2)
        raise KeyError
    assert stream.state.fade[0] == 0 and not stream.active


@pytest.mark.parametrize("nothing", (None, False, ""))
def test_no_folder_to_record_to_means_no_recording(nothing):
    with open_stream(Engine(), "virtual", record=nothing) as stream:
        assert stream.recorder is None


def test_a_recording_that_is_refused_leaves_no_song_open(tmp_path, monkeypatch):
    monkeypatch.setattr("rtsep.live.stream.warm_up", lambda stages: None)  # which has a stream of its own
    closed, close = [], Stream.close
    monkeypatch.setattr(Stream, "close", lambda self: closed.append(close(self)))
    (tmp_path / "file").write_text("")
    with (
        pytest.raises((BadInput, OSError)),
        open_stream(Engine(), "virtual", source=np.zeros((100, 1), np.float32), record=tmp_path / "file"),
    ):
        pass
    assert len(closed) == 1
