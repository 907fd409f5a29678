"""files: what can be read is read, what is written is whole, and every refusal is a sentence."""

import contextlib
import io
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import signals
import soundfile
import soxr

from rtsep import disk
from rtsep.errors import BadInput, Unavailable
from rtsep.offline import decoders, files, mpeg
from rtsep.offline.evaluate import si_sdr
from rtsep.offline.files import RawReader, Reader, load
from rtsep.offline.writer import RawWriter, Writer

RATE = 48000


def read(path):
    """The sound in `path` and the reader's warning."""
    with Reader(path) as reader:
        return np.concatenate(list(reader.blocks(1000))), reader.warning


def cut(path, part):
    """Break the file off after a `part` of its bytes."""
    os.truncate(path, int(path.stat().st_size * part))
    return path


@pytest.fixture
def small_disk():
    """No file can grow beyond 100 kB, as if the disk were full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


# Reading


@pytest.mark.parametrize("name, subtype", (("a.wav", "FLOAT"), ("a.wav", "PCM_24"), ("a.flac", "PCM_24")))
def test_blocks_are_the_file_to_the_last_bit(tmp_path, name, subtype):
    sound = signals.noise_24_bit(10_000, 3)
    soundfile.write(tmp_path / name, sound, RATE, subtype)
    with Reader(tmp_path / name) as reader:
        assert (reader.sample_rate, reader.channels, reader.length) == (RATE, 3, 10_000)
        blocks = list(reader.blocks(4096))
        assert [len(block) for block in blocks] == [4096, 4096, 1808]
        assert reader.warning is None
    assert np.array_equal(np.concatenate(blocks), sound)
    assert blocks[0].dtype == np.float32


def test_lossy_files_are_read_as_soundfile_reads_them(tmp_path):
    for name in ("a.ogg", "a.mp3"):
        soundfile.write(tmp_path / name, signals.noise(20_000, 2), RATE)
        sound, warning = read(tmp_path / name)
        assert warning is None, name
        assert np.array_equal(sound, soundfile.read(tmp_path / name, dtype="float32")[0]), name


@pytest.mark.parametrize("name", ("a.wav", "a.flac", "a.ogg", "a.mp3"))
def test_a_file_can_be_read_from_any_place_on_and_again(tmp_path, name):
    soundfile.write(tmp_path / name, signals.noise(50_000, 2), RATE)
    whole, _ = read(tmp_path / name)
    with Reader(tmp_path / name) as reader:
        for start in (0, 1, 4095, 30_001, 12_345, len(whole) - 1, 0):
            got = np.concatenate(list(reader.blocks(4096, start)))
            assert np.array_equal(got, whole[start:]), start
        assert reader.warning is None


def test_what_is_no_number_is_let_through(tmp_path):
    sound = np.array([[0.5], [np.nan], [np.inf]], np.float32)
    soundfile.write(tmp_path / "a.wav", sound, RATE, "FLOAT")
    assert np.array_equal(read(tmp_path / "a.wav")[0], sound, equal_nan=True)


def test_a_missing_file_is_refused_with_the_nearest_name(tmp_path):
    (tmp_path / "melody.wav").touch()
    with pytest.raises(BadInput, match=r"there is no file .*melodie\.wav; did you mean .*melody\.wav\?"):
        Reader(tmp_path / "melodie.wav")
    with pytest.raises(BadInput, match=r"there is no file .*xyz\.$"):
        Reader(tmp_path / "xyz")
    with pytest.raises(BadInput, match=r"there is no file .*a\.wav\.$"):
        Reader(tmp_path / "no folder" / "a.wav")


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(BadInput, match="is a folder"):
        Reader(tmp_path)


@pytest.mark.parametrize("name", ("a.txt", "a.wav", "a.raw"))
def test_what_is_no_sound_is_refused(tmp_path, name):
    (tmp_path / name).write_text("all work and no play\n" * 100)
    with pytest.raises(BadInput, match="no sound file that can be read: convert"):
        Reader(tmp_path / name)


def test_what_holds_no_sound_is_refused(tmp_path):
    (tmp_path / "a.wav").touch()
    with pytest.raises(BadInput, match=r"a\.wav is empty"):
        Reader(tmp_path / "a.wav")
    soundfile.write(tmp_path / "b.wav", np.zeros((0, 2)), RATE)
    with pytest.raises(BadInput, match=r"b\.wav holds no sound"):
        Reader(tmp_path / "b.wav")


@pytest.mark.parametrize(
    "rate, channels, sentence",
    ((4000, 1, "4000 Hz: it must lie between 8000 and 192000"), (384000, 1, "384000 Hz"), (RATE, 9, "has 9 channels")),
)
def test_what_no_engine_takes_is_refused(tmp_path, rate, channels, sentence):
    soundfile.write(tmp_path / "a.wav", np.zeros((100, channels)), rate)
    with pytest.raises(BadInput, match=sentence):
        Reader(tmp_path / "a.wav")


@pytest.mark.parametrize("name, subtype", (("a.wav", "FLOAT"), ("a.aiff", "PCM_24"), ("a.flac", "PCM_24")))
def test_a_file_that_breaks_off_is_read_as_far_as_it_goes(tmp_path, name, subtype):
    sound = signals.noise_24_bit(RATE, 2)
    soundfile.write(tmp_path / name, sound, RATE, subtype)
    got, warning = read(cut(tmp_path / name, 0.5))
    assert 0.4 * RATE < len(got) <= 0.5 * RATE
    assert np.array_equal(got, sound[: len(got)])
    assert warning.endswith(f"{name} ends early, after {len(got) / RATE:.2f} s: the rest is missing or damaged.")
    with Reader(tmp_path / name) as reader:  # and says so too where reading begins in what is missing
        assert sum(len(block) for block in reader.blocks(start=40_000)) == 0
        assert "ends early" in reader.warning


def test_an_ogg_that_breaks_off_has_a_warning(tmp_path):
    soundfile.write(tmp_path / "a.ogg", signals.noise(3 * RATE, 2), RATE)
    whole, warning = read(tmp_path / "a.ogg")
    assert warning is None
    got, warning = read(cut(tmp_path / "a.ogg", 0.7))
    assert 0 < len(got) < len(whole)
    assert "ends early" in warning


@pytest.mark.parametrize("name", ("a.flac", "a.ogg"))
def test_a_stump_of_which_nothing_can_be_read_is_refused(tmp_path, name):
    soundfile.write(tmp_path / name, signals.noise(RATE), RATE)
    cut(tmp_path / name, 0.01)
    with pytest.raises(BadInput, match=r"nothing of it can be read|no sound file that can be read"):
        read(tmp_path / name)


@pytest.mark.parametrize("promise", (0xFFFFFFFF, 0x7FFFF000))
def test_a_stream_that_promises_no_length_has_not_broken_off(tmp_path, promise):
    soundfile.write(tmp_path / "a.wav", signals.noise(1000), RATE, "FLOAT")
    data = bytearray((tmp_path / "a.wav").read_bytes())
    place = data.index(b"data") + 4
    data[place : place + 4] = promise.to_bytes(4, "little")
    (tmp_path / "a.wav").write_bytes(data)
    sound, warning = read(tmp_path / "a.wav")
    assert (len(sound), warning) == (1000, None)


def test_a_flac_of_unknown_length_is_read_to_its_end(tmp_path):
    soundfile.write(tmp_path / "a.flac", signals.noise(10_000), RATE)
    data = bytearray((tmp_path / "a.flac").read_bytes())
    data[21] &= 0xF0  # the 36 bits of STREAMINFO that say how many samples there are
    data[22:26] = bytes(4)
    (tmp_path / "a.flac").write_bytes(data)
    with Reader(tmp_path / "a.flac") as reader:
        assert reader.length is None
        assert sum(len(block) for block in reader.blocks()) == 10_000
        assert reader.warning is None


# Lengths that are guessed, promised or never written: all of the sound is read, or it is told what is missing


def mp3(path, seconds, *, loud_from=0.0, header=True):
    """An MP3 of a variable bitrate whose first and last second have other bitrates; `header`: with its length."""
    sound = 0.001 * signals.noise(int(seconds * RATE), 2)
    sound[int(loud_from * RATE) :][:RATE] *= 500
    soundfile.write(path, sound, RATE)
    data = path.read_bytes()
    found = mpeg.frames(data)
    if not header:
        path.write_bytes(data[mpeg._frame(data, 0).size :])
        assert mpeg.frames(path.read_bytes()).promised == 0
    return found.samples


@pytest.mark.parametrize("loud_from", (0, 4))
def test_an_mp3_that_does_not_tell_its_length_is_read_to_its_end_and_no_further(tmp_path, loud_from):
    samples = mp3(tmp_path / "a.mp3", 5, loud_from=loud_from, header=False)
    assert abs(soundfile.info(tmp_path / "a.mp3").frames - samples) > RATE  # what a decoder takes it for
    with Reader(tmp_path / "a.mp3") as reader:
        assert abs(reader.length - samples) < 0.02 * RATE
        whole = np.concatenate(list(reader.blocks()))
        assert (len(whole), reader.warning) == (reader.length, None)
        assert np.array_equal(np.concatenate(list(reader.blocks(1000, 123_456))), whole[123_456:])
    level = np.sqrt((whole[int((loud_from + 0.2) * RATE) :][: RATE // 2] ** 2).mean())
    assert level == pytest.approx(0.05, rel=0.15)


@pytest.mark.parametrize("name, subtype", (("a.mp3", None), ("a.ogg", "VORBIS"), ("a.flac", None), ("a.wav", None)))
def test_several_streams_joined_to_one_file_are_all_read(tmp_path, name, subtype):
    parts = [signals.noise(samples, 2, seed=samples) for samples in (30_000, 50_000, 20_000)]
    data = b""
    for part in parts:
        soundfile.write(tmp_path / name, part, RATE, subtype)
        data += (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data)
    sound, warning = read(tmp_path / name)
    assert warning is None
    assert len(sound) == pytest.approx(100_000, abs=6000 if name == "a.mp3" else 0)  # its encoder adds some silence
    if name in ("a.flac", "a.wav"):
        np.testing.assert_allclose(sound, np.concatenate(parts), atol=1e-4)
    with Reader(tmp_path / name) as reader:
        for start in (29_999, 30_000, 60_000, 90_000):
            assert np.array_equal(np.concatenate(list(reader.blocks(4096, start))), sound[start:])


def test_a_further_stream_of_another_kind_is_told_of(tmp_path):
    for name, channels in (("a.wav", 1), ("b.wav", 2)):
        soundfile.write(tmp_path / name, signals.noise(1000, channels), RATE)
    (tmp_path / "a.wav").write_bytes((tmp_path / "a.wav").read_bytes() + (tmp_path / "b.wav").read_bytes())
    sound, warning = read(tmp_path / "a.wav")
    assert len(sound) == 1000
    assert warning.endswith("a.wav: another sound follows, of 48000 Hz and 2 channels; it is left out.")


@pytest.mark.parametrize("name", ("a.mp3", "b.mp3", "a.flac", "a.ogg"))
@pytest.mark.parametrize("kind", ("zeros", "noise", "gap"))
def test_behind_damage_the_sound_goes_on_and_what_is_missing_is_told(tmp_path, name, kind):
    path = tmp_path / name
    if name == "b.mp3":
        mp3(path, 6, header=False)
    else:
        soundfile.write(path, signals.noise(6 * RATE, 2), RATE)
    data = bytearray(path.read_bytes())
    middle, count = len(data) // 2, 3000
    noise = np.random.default_rng(1).bytes(count)
    data[middle : middle + count] = {"zeros": bytes(count), "noise": noise, "gap": b""}[kind]
    path.write_bytes(data)
    sound, warning = read(path)
    assert 4.5 * RATE < len(sound) <= 6.1 * RATE
    assert re.search(
        "is damaged at [23].* s: some sound is missing there|is damaged( or ends early)?: .* of its 6.00 s are missing",
        warning,
    )
    with Reader(path) as reader:  # also where reading begins before it
        assert sum(len(block) for block in reader.blocks(start=RATE)) > 3.5 * RATE


def test_titles_before_between_and_behind_the_frames_of_an_mp3_are_no_damage(tmp_path):
    picture = b"\xff\xfb\x90\x64" * 1000  # what looks like frames
    size = len(picture)
    title = b"ID3\4\0\0" + bytes(size >> shift & 127 for shift in (21, 14, 7, 0)) + picture
    mp3(tmp_path / "a.mp3", 2)
    data = (tmp_path / "a.mp3").read_bytes()
    (tmp_path / "a.mp3").write_bytes(title + data + title + data + b"TAG" + bytes(125))
    sound, warning = read(tmp_path / "a.mp3")
    assert warning is None
    assert len(sound) == pytest.approx(4 * RATE, abs=6000)


@pytest.mark.parametrize("bytes_lost", (0, 1, 3, 999))
def test_any_bytes_are_taken_apart_into_frames_or_none(bytes_lost):
    random = np.random.default_rng(bytes_lost)
    assert mpeg.frames(random.bytes(50_000)) is None
    assert mpeg.frames(b"\xff" * 5000) is None
    assert mpeg.frames(b"ID3"[:bytes_lost]) is None


@pytest.mark.parametrize(
    "format, subtype", (("WAV", "PCM_16"), ("RF64", "FLOAT"), ("AIFF", "PCM_24"), ("AU", "PCM_16"))
)
def test_a_file_whose_header_was_never_finished_is_read_to_its_end(tmp_path, format, subtype):
    sound = signals.noise(9000, 2)
    path = tmp_path / "a.sound"
    with soundfile.SoundFile(path, "w", RATE, 2, subtype, None, format) as file:
        file.write(sound[:4500])
        file.write(sound[4500:])
        file.flush()
        data = bytearray(path.read_bytes())  # as if it were killed here
    if format == "WAV":
        data[4:8] = bytes(4)
        assert data[36:44] == b"data" + bytes(4)
    path.write_bytes(data)
    with Reader(path) as reader:
        got = np.concatenate(list(reader.blocks()))
        assert reader.length == len(got) == 9000
        assert reader.warning.endswith("a.sound was never finished: what follows its header is read to the end.")
        np.testing.assert_allclose(got, sound, atol=1e-4)
        assert np.array_equal(np.concatenate(list(reader.blocks(start=1234))), got[1234:])


def test_long_titles_before_a_sound_that_was_never_finished_are_no_sound(tmp_path):
    soundfile.write(tmp_path / "a.wav", signals.noise(1000), RATE)
    data = (tmp_path / "a.wav").read_bytes()
    place, count = data.index(b"data"), 100_000
    titles = b"JUNK" + count.to_bytes(4, "little") + bytes(count)
    (tmp_path / "a.wav").write_bytes(
        data[:4] + bytes(4) + data[8:place] + titles + b"data" + bytes(4) + data[place + 8 :]
    )
    assert len(read(tmp_path / "a.wav")[0]) == 1000


def test_titles_behind_no_sound_are_no_sound(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros((0, 2)), RATE)
    with (tmp_path / "a.wav").open("ab") as file:
        file.write(b"LIST" + (4).to_bytes(4, "little") + b"INFO")
    with pytest.raises(BadInput, match="holds no sound"):
        Reader(tmp_path / "a.wav")


# What ffmpeg reads


def by_ffmpeg(path, *options, seconds=2.0):
    """The file `path`, encoded by ffmpeg from a sound that is returned; the test skips where it is missing."""
    program = decoders.ffmpeg()
    if program is None:
        pytest.skip("there is no ffmpeg (Debian: apt install ffmpeg, or pip install imageio-ffmpeg)")
    sound = signals.song(int(seconds * RATE), RATE, 2)
    soundfile.write(path.with_suffix(".wav"), sound, RATE)
    command = [program, "-v", "error", "-y", "-i", path.with_suffix(".wav"), *options, path]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    path.with_suffix(".wav").unlink()
    return sound


@pytest.mark.parametrize("name", ("a.m4a", "-a.m4a", "a: b.mkv", "a.aac"))
def test_what_libsndfile_cannot_read_ffmpeg_can(tmp_path, name):
    sound = by_ffmpeg(tmp_path / name)
    with Reader(tmp_path / name) as reader:
        assert (reader.sample_rate, reader.channels) == (RATE, 2)
        assert reader.length is None or abs(reader.length - len(sound)) < 0.1 * RATE
        got = np.concatenate(list(reader.blocks(1000)))
        assert reader.warning is None
        assert np.array_equal(np.concatenate(list(reader.blocks(4096, 54_321))), got[54_321:])
        next(reader.blocks())  # and is left alone before its end
    late = min(range(0, 4000, 16), key=lambda late: np.abs(got[late:][:RATE] - sound[:RATE]).mean())
    assert np.abs(got[late:][:RATE] - sound[:RATE]).mean() < 0.2 * np.abs(sound).mean()


def test_what_ffmpeg_reads_may_be_left_and_begun_anew(tmp_path):
    by_ffmpeg(tmp_path / "a.m4a")
    with Reader(tmp_path / "a.m4a") as reader:
        first, second = reader.blocks(), reader.blocks()
        begin = next(first)
        assert np.array_equal(next(second), begin)
        assert sum(len(block) for block in second) > RATE
        list(first)  # ends, wherever
    assert reader.warning is None


def test_what_ffmpeg_cannot_read_to_its_end_has_a_warning(tmp_path):
    by_ffmpeg(tmp_path / "a.m4a", "-movflags", "+faststart", seconds=5)
    sound, warning = read(cut(tmp_path / "a.m4a", 0.6))
    assert 1.5 * RATE < len(sound) < 4 * RATE
    assert "a.m4a is damaged: " in warning


def test_where_there_is_no_ffmpeg_the_sentence_says_what_would_read_the_file(tmp_path, monkeypatch):
    by_ffmpeg(tmp_path / "a.m4a")
    monkeypatch.setattr(files, "ffmpeg", lambda: None)
    monkeypatch.setattr(decoders, "ffmpeg", lambda: None)
    with pytest.raises(BadInput, match=r"convert it to WAV or FLAC first\. M4A, AAC and video .* ffmpeg is installed"):
        Reader(tmp_path / "a.m4a")


# Whole files, the song


def test_a_loaded_file_is_resampled_when_another_rate_is_asked_for(tmp_path):
    seconds = np.arange(RATE) / RATE
    soundfile.write(tmp_path / "a.wav", np.sin(2 * np.pi * 1000 * seconds), RATE, "FLOAT")
    sound, rate = load(tmp_path / "a.wav")
    assert (sound.shape, sound.dtype, rate) == ((RATE, 1), np.float32, RATE)
    sound, rate = load(tmp_path / "a.wav", 44100)
    assert (sound.shape, sound.dtype, rate) == ((44100, 1), np.float32, 44100)
    truth = np.sin(2 * np.pi * 1000 * np.arange(44100) / 44100)
    np.testing.assert_allclose(sound[1000:-1000, 0], truth[1000:-1000], atol=1e-4)


def test_loading_a_file_that_breaks_off_warns(tmp_path):
    soundfile.write(tmp_path / "a.wav", signals.noise(1000), RATE, "FLOAT")
    with pytest.warns(UserWarning, match="ends early"):
        load(cut(tmp_path / "a.wav", 0.5))


@pytest.mark.parametrize("rate", (48000, 44100))
def test_the_song_is_four_stereo_stems_of_one_length(rate):
    stems = files.song(rate)
    assert tuple(stems) == ("lead", "chords", "bass", "drums")
    shapes = {sound.shape for sound in stems.values()}
    assert len(shapes) == 1
    samples, channels = shapes.pop()
    assert channels == 2
    assert 20 * rate < samples < 40 * rate
    assert all(np.abs(sound).max() > 0.05 for sound in stems.values())


# Writing


@pytest.mark.parametrize("suffix, subtype", (("wav", "FLOAT"), ("flac", "PCM_24")))
def test_what_was_written_is_read_again_to_the_last_bit(tmp_path, suffix, subtype):
    path, sound = tmp_path / "new folder" / f"a.{suffix}", signals.noise_24_bit(10_000, 2)
    with Writer(path, RATE, 2) as writer:
        for start in range(0, 10_000, 3000):
            writer.write(sound[start : start + 3000])
        writer.write(sound[:0])
        assert not path.exists()
        assert writer.samples == 10_000
    assert np.array_equal(read(path)[0], sound)
    assert soundfile.info(path).subtype == subtype
    assert writer.warning is None
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize("suffix, bits", (("wav", 24), ("wav", 16), ("flac", 16)))
def test_samples_of_so_many_bits_are_the_nearest(tmp_path, suffix, bits):
    sound = signals.noise(10_000, 2)
    with Writer(tmp_path / f"a.{suffix}", RATE, 2, bits=bits) as writer:
        writer.write(sound)
    assert soundfile.info(writer.path).subtype == f"PCM_{bits}"
    np.testing.assert_allclose(read(writer.path)[0], sound, atol=0.51 / 2 ** (bits - 1))


@pytest.mark.parametrize("rate", (44100, 48000, 22050, 96000))
@pytest.mark.parametrize("format", ("mp3", "ogg", "opus"))
def test_lossy_formats_hold_a_sound_of_any_rate_in_its_length_and_place(tmp_path, format, rate):
    sound = signals.song(3 * rate, rate, 2)
    path = tmp_path / f"a.{format}"
    with Writer(path, rate, 2) as writer:
        for start in range(0, len(sound), 4096):
            writer.write(sound[start : start + 4096])
        assert not path.exists()
    assert (writer.samples, writer.warning, os.listdir(tmp_path)) == (len(sound), None, [path.name])
    got, warning = read(path)
    with Reader(path) as reader:
        held = reader.sample_rate
    assert warning is None
    others = {"mp3": {96000: 48000}, "ogg": {}, "opus": {22050: 24000, 44100: 48000, 96000: 48000}}
    assert held == others[format].get(rate, rate)
    assert len(got) / held == pytest.approx(3, abs=0.001)
    again = soxr.resample(got, held, rate)[: len(sound)]
    assert si_sdr(sound[: len(again)], again) > 8  # at another place it would be below zero


@pytest.mark.parametrize("format", ("mp3", "ogg", "opus"))
def test_no_sound_at_all_is_written_in_every_format(tmp_path, format):
    with Writer(tmp_path / f"a.{format}", 44100, 1):
        pass
    assert (tmp_path / f"a.{format}").exists()


def test_wav_holds_what_lies_beyond_full_scale_and_flac_says_what_it_clipped(tmp_path):
    sound = np.array([[0.5], [-1], [1.5], [-3]], np.float32)
    for suffix in ("wav", "flac"):
        with Writer(tmp_path / f"a.{suffix}", RATE, 1) as writer:
            writer.write(sound)
            writer.write(sound)
        if suffix == "wav":
            assert writer.warning is None
            assert np.array_equal(read(writer.path)[0][:4], sound)
        else:
            assert "a.flac: 4 samples beyond full scale were clipped; wav" in writer.warning
            np.testing.assert_allclose(read(writer.path)[0][:4], sound.clip(-1, 1), atol=2**-23)


def test_a_short_wav_is_a_plain_one_and_one_beyond_4_gb_is_valid(tmp_path):
    sound = signals.noise(1000, 2)
    with Writer(tmp_path / "short.wav", RATE, 2) as writer:
        writer.write(sound)
    assert (tmp_path / "short.wav").read_bytes()[:4] == b"RIFF"
    for recording in (False, True):
        path = tmp_path / f"long {recording}.wav"
        with Writer(path, RATE, 2, recording=recording) as writer:
            writer.write(sound)
            writer._file.seek(600_000_000)  # a hole, which takes no place on the disk
            writer.write(sound)
            writer.samples = 600_001_000
        with path.open("rb") as file:
            assert file.read(4) == b"RF64"
        assert soundfile.info(path).frames == 600_001_000
        assert np.array_equal(soundfile.read(path, 1000, 600_000_000, dtype="float32")[0], sound)
        path.unlink()


def test_nothing_is_replaced_without_force(tmp_path):
    path = tmp_path / "a.wav"
    path.write_text("precious")
    for recording in (False, True):
        with pytest.raises(BadInput, match=r"a\.wav exists already: .*--force"):
            Writer(path, RATE, 1, recording=recording)
        assert path.read_text() == "precious"
    for recording in (False, True):
        with Writer(path, RATE, 1, force=True, recording=recording) as writer:
            writer.write(np.ones(7 + recording, np.float32))
        assert len(read(path)[0]) == 7 + recording


def test_what_appears_while_a_file_is_written_stays(tmp_path):
    path = tmp_path / "a.wav"
    with pytest.raises(Unavailable, match=r"cannot write .*a\.wav: File exists"), Writer(path, RATE, 1):
        path.write_text("precious")
    assert (os.listdir(tmp_path), path.read_text()) == (["a.wav"], "precious")


def test_an_error_leaves_no_file_and_no_trace_and_what_was_there_stays(tmp_path):
    path = tmp_path / "a.wav"
    path.write_text("precious")
    for error in (RuntimeError, KeyboardInterrupt):
        with pytest.raises(error), Writer(path, RATE, 1, force=True) as writer:
            writer.write(np.ones(100_000, np.float32))
            raise error
    assert os.listdir(tmp_path) == ["a.wav"]
    assert path.read_text() == "precious"


def test_other_formats_are_refused(tmp_path):
    with pytest.raises(BadInput, match=r"unknown format 'mp2': did you mean 'mp3'"):
        Writer(tmp_path / "a.mp2", RATE, 1)
    for name, options, sentence in (
        ("a.mp3", dict(channels=3), "mp3 holds 2 channels at most, not 3; use wav"),
        ("a.wav", dict(channels=1, bits=20), "20 bits: wav has samples of 32, 24, 16 bits"),
        ("a.flac", dict(channels=1, bits=32), "32 bits: flac has samples of 24, 16 bits"),
        ("a.ogg", dict(channels=1, bits=16), "16 bits: the samples of ogg have no bits"),
    ):
        with pytest.raises(BadInput, match=sentence):
            Writer(tmp_path / name, RATE, **options)
    with pytest.raises(BadInput, match="recordings are WAV"):
        Writer(tmp_path / "a.flac", RATE, 1, recording=True)
    with pytest.raises(BadInput, match="FLAC cannot hold 65537 Hz"):
        Writer(tmp_path / "a.flac", 65537, 1)
    assert os.listdir(tmp_path) == []


def test_flac_holds_all_other_rates_and_channels_of_an_engine(tmp_path):
    for rate, channels in ((8000, 1), (11025, 8), (65535, 2), (88200, 2), (192000, 8)):
        with Writer(tmp_path / "a.flac", rate, channels, force=True) as writer:
            writer.write(np.zeros((100, channels), np.float32))
        with Reader(writer.path) as reader:
            assert (reader.sample_rate, reader.channels) == (rate, channels)


def test_a_place_that_cannot_be_written_to_is_told_in_a_sentence(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(Unavailable, match=r"cannot write .*a\.wav: (Not a directory|File exists)"):
        Writer(tmp_path / "file" / "a.wav", RATE, 1)
    with pytest.raises(Unavailable, match="cannot write /proc"):
        Writer("/proc/a.wav", RATE, 1)


@pytest.mark.parametrize("suffix", ("wav", "flac", "mp3", "ogg", "opus"))
def test_a_full_disk_is_told_and_leaves_nothing(tmp_path, small_disk, suffix):
    with (
        pytest.raises(Unavailable, match=rf"cannot write .*a\.{suffix}: the disk takes no more"),
        Writer(tmp_path / f"a.{suffix}", RATE, 2) as writer,
    ):
        for _ in range(200):
            writer.write(signals.noise(4096, 2))
    assert os.listdir(tmp_path) == []


def test_a_disk_that_is_full_at_the_very_end_of_a_flac_is_told_too(tmp_path, small_disk):
    with pytest.raises(Unavailable, match="takes no more"), Writer(tmp_path / "a.flac", RATE, 2) as writer:
        writer.write(signals.noise(4096 + 4000, 2))  # a whole frame, and one that waits for its last samples
        full = writer._place.stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (full, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    assert os.listdir(tmp_path) == []


def test_a_recording_on_a_full_disk_keeps_what_it_has(tmp_path, small_disk):
    sound = signals.noise(4096, 2)
    with pytest.raises(Unavailable), Writer(tmp_path / "a.wav", RATE, 2, recording=True) as writer:
        for _ in range(100):
            writer.write(sound)
    got = read(tmp_path / "a.wav")[0]
    assert len(got) > 8192
    assert np.array_equal(got[:8192], np.concatenate([sound, sound]))


def test_a_recording_outlives_a_killed_process(tmp_path):
    path = tmp_path / "a.wav"
    program = f"""
import sys, time, numpy as np
from rtsep.offline.writer import Writer
writer = Writer({str(path)!r}, {RATE}, 2, recording=True)
for number in range(10):
    writer.write(np.full((1000, 2), number / 16, np.float32))
print("written", flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "written\n"
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    sound, warning = read(path)
    assert warning is None
    assert np.array_equal(sound, np.repeat(np.arange(10) / 16, 1000)[:, None].repeat(2, 1))
    if shutil.which("ffprobe"):
        said = subprocess.run(["ffprobe", "-v", "warning", path], capture_output=True, text=True)
        assert (said.returncode, said.stderr) == (0, "")


def test_what_a_killed_run_has_left_is_removed_and_what_another_writes_is_not(tmp_path):
    program = f"""
import os, sys, time
from pathlib import Path
from rtsep import disk
disk.begin(Path({str(tmp_path / "a.wav")!r}))
print("begun", flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        process.stdout.readline()
        (left,) = tmp_path.glob(".rtsep-*.part")
        os.utime(left, (1, 1))
        for killed in (False, True):
            if killed:
                process.kill()
                process.wait()
            with Writer(tmp_path / f"{killed}.wav", RATE, 1) as writer:
                os.utime(writer._place, (1, 1))
                disk.write(tmp_path / f"{killed}.csv", b"")
                assert writer._place.exists()
            assert left.exists() != killed
    assert sorted(os.listdir(tmp_path)) == ["False.csv", "False.wav", "True.csv", "True.wav"]


def test_names_of_any_bytes_and_any_length_are_written_and_read_or_refused_with_a_sentence(tmp_path):
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe [/x] {}"))
    for suffix in ("wav", "flac", "mp3"):
        path = folder / ("\udcff" + "x" * (253 - len(suffix)) + f".{suffix}")
        with Writer(path, RATE, 1) as writer:
            writer.write(signals.noise(9000))
        assert len(load(path)[0]) == 9000
    for kind in (lambda path: Writer(path, RATE, 1), lambda path: disk.write(path, b"")):
        for path in (tmp_path / ("x" * 300 + ".wav"), tmp_path / ("x" * 300) / "a.wav"):
            with pytest.raises(Unavailable, match="File name too long"):
                kind(path)
    with pytest.raises(BadInput, match="File name too long"):
        Reader("x" * 300)


# Texts


def test_a_text_appears_whole_in_the_place_of_another_and_in_a_new_folder(tmp_path):
    path = tmp_path / "new folder" / "f0.csv"
    for text in ("time_s,f0_hz\n0.00,440.00\n", "shorter\n"):
        disk.write(path, text.encode())
        assert path.read_text() == text
        assert os.listdir(path.parent) == ["f0.csv"]


def test_a_text_that_cannot_be_written_is_told_and_leaves_what_was_there(tmp_path, small_disk):
    path = tmp_path / "f0.csv"
    path.write_text("precious")
    with pytest.raises(Unavailable, match=r"cannot write .*f0\.csv: "):
        disk.write(path, b"0.00,440.00,1.000\n" * 10_000)
    assert (os.listdir(tmp_path), path.read_text()) == (["f0.csv"], "precious")
    with pytest.raises(Unavailable, match="cannot write"):
        disk.write(path / "f0.csv", b"")


@pytest.fixture
def linked(tmp_path):
    """A link of that name, and the file elsewhere that it leads to."""

    def make(name, *steps, there=True):
        target = tmp_path / "dotfiles" / "target"
        target.parent.mkdir(exist_ok=True)
        if there:
            target.write_bytes(b"old")
        end = target
        for step in (*steps, name):
            (tmp_path / step).symlink_to(os.path.relpath(end, tmp_path))
            end = tmp_path / step
        return end, target

    return make


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
@pytest.mark.parametrize("steps", [(), ("one", "two")])
@pytest.mark.parametrize("there", [True, False])
def test_a_link_stays_a_link_and_what_it_leads_to_is_written(linked, tmp_path, steps, there):
    link, target = linked("link", *steps, there=there)
    disk.write(link, b"new")
    assert link.is_symlink() and not target.is_symlink() and target.read_bytes() == b"new"
    assert all((tmp_path / step).is_symlink() for step in steps) and os.listdir(target.parent) == ["target"]
    disk.update(link, lambda before: before + b"er")
    assert link.is_symlink() and target.read_bytes() == b"newer"


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
def test_a_link_to_another_disk_or_through_a_linked_folder_stays(tmp_path, monkeypatch):
    other = tmp_path / "other disk"
    other.mkdir()
    (tmp_path / "folder").symlink_to(other)
    (tmp_path / "link").symlink_to(other / "new folder" / "target")
    replace = os.replace

    def on_one_disk(source, target):
        assert os.path.dirname(source) == os.path.dirname(target), "disks do not exchange files"
        replace(source, target)

    monkeypatch.setattr(os, "replace", on_one_disk)
    disk.write(tmp_path / "link", b"1")
    disk.write(tmp_path / "folder" / "file", b"2")
    assert (other / "new folder" / "target").read_bytes() == b"1" and (other / "file").read_bytes() == b"2"
    assert (tmp_path / "link").is_symlink() and (tmp_path / "folder").is_symlink()


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
def test_links_in_a_circle_are_told_of_and_stay(tmp_path):
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    for use in (lambda: disk.write(tmp_path / "a", b"new"), lambda: disk.read(tmp_path / "a")):
        with pytest.raises(Unavailable, match=r"cannot (read|write) .*/a: Too many levels of symbolic links\."):
            use()
    assert (tmp_path / "a").is_symlink() and (tmp_path / "b").is_symlink()


@pytest.mark.skipif(sys.platform == "win32", reason="there are others there")
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664])
def test_permissions_stay(linked, mode):
    link, target = linked("link")
    target.chmod(mode)
    disk.write(link, b"new")
    assert target.stat().st_mode & 0o777 == mode


def test_what_is_no_file_is_not_replaced_by_one(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(Unavailable, match="cannot write"):
        disk.write(tmp_path / "folder", b"new")
    assert os.listdir(tmp_path) == ["folder"] and not os.listdir(tmp_path / "folder")
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    disk.write(tmp_path / "pipe", b"new")
    assert os.read(reader, 9) == b"new" and (tmp_path / "pipe").is_fifo()
    os.close(reader)


def test_what_another_program_writes_meanwhile_is_seen_and_not_replaced(tmp_path):
    path, seen = tmp_path / "file", []

    def change(before):
        if not seen:  # another program is quicker
            path.write_bytes(b"theirs")
        seen.append(before)
        return (before or b"") + b" and ours"

    disk.update(path, change)
    assert seen == [None, b"theirs"] and path.read_bytes() == b"theirs and ours"
    assert os.listdir(tmp_path) == ["file"]


ADDING = """
import sys
from pathlib import Path
from rtsep import disk
for _ in range(100):
    disk.update(Path(sys.argv[1]), lambda before: (before or b"") + b"x")
"""


def test_programs_that_change_a_file_at_the_same_time_lose_nothing_of_each_others(tmp_path):
    path = tmp_path / "file"
    programs = [subprocess.Popen([sys.executable, "-c", ADDING, path]) for _ in range(3)]
    assert [program.wait(60) for program in programs] == [0, 0, 0]
    assert path.read_bytes() == b"x" * 300 and os.listdir(path.parent) == ["file"]


def test_a_file_in_which_nothing_changes_is_not_written(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"same")
    before = path.stat()
    disk.update(path, lambda content: content)
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


# Pipes


def test_raw_sound_comes_and_goes_to_the_last_bit():
    sound = signals.noise(10_000, 2)
    stream = io.BytesIO()
    with RawWriter(stream) as writer:
        writer.write(sound[:7000])
        writer.write(np.asfortranarray(sound[7000:]))
    assert stream.getvalue() == sound.astype("<f4").tobytes()
    stream.seek(0)
    with RawReader(stream, RATE, 2) as reader:
        blocks = list(reader.blocks(4096))
    assert [len(block) for block in blocks] == [4096, 4096, 1808]
    assert np.array_equal(np.concatenate(blocks), sound)
    assert reader.warning is None


def test_raw_sound_that_ends_within_a_sample_has_a_warning():
    reader = RawReader(io.BytesIO(bytes(8 * 10 + 3)), RATE, 2)
    assert sum(len(block) for block in reader.blocks()) == 10
    assert "ended within a sample: is it float32 of 2 channels?" in reader.warning


@pytest.mark.parametrize("data", (b"", b"123"))
def test_a_pipe_without_sound_is_refused(data):
    with pytest.raises(BadInput, match="no sound came through the pipe"):
        list(RawReader(io.BytesIO(data), RATE, 1).blocks())


def test_a_terminal_is_no_pipe():
    class Terminal(io.BytesIO):
        def isatty(self):
            return True

    for kind in (lambda: RawReader(Terminal(), RATE, 1), lambda: RawWriter(Terminal())):
        with pytest.raises(BadInput, match=r"not (from|to) a terminal"):
            kind()


def test_a_full_disk_behind_standard_output_is_told():
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    with contextlib.suppress(OSError), full.open("wb") as stream, pytest.raises(Unavailable, match="No space left"):
        RawWriter(stream).write(np.zeros((100_000, 1), np.float32))
