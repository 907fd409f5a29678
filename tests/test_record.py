"""Recording a stream: whole, aligned, and valid whatever happens."""

import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile
from signals import music

from rtsep import STEMS, BadInput, Engine, Settings, Unavailable, open_stream
from rtsep.live.record import Recorder
from rtsep.live.stream import Stream
from rtsep.offline.writer import Writer

RATE = 48_000


def read(folder):
    return {path.stem: soundfile.read(path, dtype="float32", always_2d=True)[0] for path in folder.iterdir()}


def test_a_recording_is_aligned_and_its_stems_add_up_to_the_input_to_the_last_bit(tmp_path):
    sound = np.round(music(48000, RATE, 2) * 2**23) / np.float32(2**23)  # as a sound card delivers: 24 bits
    engine = Engine(Settings("live"))
    engine.parameters["percussive.gain_db"] = -6
    with open_stream(engine, "virtual", sample_rate=RATE, source=sound, record=tmp_path / "take") as stream:
        while not stream.finished:
            time.sleep(0.01)
    files = read(tmp_path / "take")
    assert set(files) == {"input", "output", *STEMS}
    assert len({len(file) for file in files.values()}) == 1
    np.testing.assert_array_equal(files["input"][: len(sound)], sound)
    np.testing.assert_array_equal(sum(files[stem] for stem in STEMS), files["input"])
    faded = files["input"] + (np.float32(10 ** (-6 / 20)) - 1) * files["percussive"]
    late = int(0.06 * RATE)
    np.testing.assert_allclose(files["output"][late : -RATE // 10], faded[late : -RATE // 10], atol=1e-6)


def test_a_reader_that_was_lapped_leaves_a_gap_of_silence_and_counts_it(tmp_path):
    sound = music(50_000, RATE, 2)  # never at the same place of the ring again
    stream = Stream(Engine(), "virtual", sample_rate=RATE, source=sound, loop=True, record=True)
    recorder = Recorder(
        stream.state, tmp_path, stems=stream.engine.stems, sample_rate=RATE, latency=stream.engine.latency
    )
    recorder._stopped.set()
    recorder._thread.join()  # the disk stalls
    silence, output = np.zeros((1024, 0), np.float32), np.zeros((1024, 2), np.float32)
    rounds = 10 * RATE // 1024
    for _ in range(rounds):
        stream.callback(silence, output, 1024, None, None)
    recorder._empty()
    for file in recorder._files:
        file.close()
    files = read(tmp_path)
    assert recorder.lost > 0
    assert len(files["input"]) == rounds * 1024 - stream.engine.latency
    whole = np.tile(sound, (11, 1))[: len(files["input"])]
    silent = (files["input"] == 0).all(1)
    np.testing.assert_array_equal(files["input"][~silent], whole[~silent])
    assert recorder.lost <= silent.sum() + stream.engine.latency <= recorder.lost + 1000


def test_a_recording_does_not_replace_another_unless_it_is_forced(tmp_path):
    (tmp_path / "percussive.wav").write_bytes(b"a take")
    with pytest.raises(BadInput, match="--force"), open_stream(Engine(), "virtual", record=tmp_path):
        pass
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"percussive.wav": b"a take"}
    with open_stream(Engine(), "virtual", record=tmp_path, force=True):
        time.sleep(0.1)
    assert set(read(tmp_path)) == {"input", "output", *STEMS}


def test_a_recording_whose_program_is_killed_can_be_read(tmp_path):
    code = (
        "import time; from rtsep import Engine, open_stream\n"
        f"with open_stream(Engine(), 'virtual', record={str(tmp_path)!r}): print('go', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        time.sleep(0.6)
        process.send_signal(signal.SIGKILL)
    files = read(tmp_path)
    assert set(files) == {"input", "output", *STEMS}
    assert min(len(file) for file in files.values()) > 0.1 * RATE


def test_a_disk_that_fails_ends_the_recording_but_not_the_sound(tmp_path, monkeypatch):
    written = []

    def fail(writer, block):
        written.append(len(block))
        if len(written) > 20:
            raise Unavailable("the disk takes no more.")
        whole(writer, block)

    whole = Writer.write
    monkeypatch.setattr(Writer, "write", fail)
    with open_stream(Engine(), "virtual", record=tmp_path) as stream:
        time.sleep(0.6)
        before = stream.stats().blocks
        time.sleep(0.2)
        assert stream.recorder.error.endswith("has stopped: the disk takes no more.")
        assert stream.stats().blocks > before
    assert sum(len(file) for file in read(tmp_path).values()) == sum(written[:20])
