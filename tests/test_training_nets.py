"""Training: mixes are what they say, the nets that learn are those of the kernels, and one command does it all."""

import json
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import reference
import soundfile
import torch

from rtsep import networks
from rtsep.dsp import pitchnet
from rtsep.dsp.learned import REACH
from rtsep.errors import BadInput
from rtsep.training import course, hearing, masks, material, mixes, pitch, songs
from rtsep.training.effects import RATE
from rtsep.training.tunes import FRAME_S

SAMPLES, FRAMES = round(material.SECONDS * RATE), round(material.SECONDS / FRAME_S)
TIME = np.arange(SAMPLES)[:, np.newaxis] / RATE

EITHER_MODE = pytest.mark.parametrize("mode", course.MODES)


def rng(seed=1):
    return np.random.default_rng(seed)


def tone(*hertz):
    """Some harmonics of each, (samples, 2)."""
    sound = sum(np.sin(2 * np.pi * h * hz * TIME) / h for hz in hertz for h in range(1, 5))
    return np.repeat(0.05 * sound, 2, axis=1).astype(np.float32)


def beats(seed):
    """Bursts of noise, two a second, (samples, 2)."""
    return (0.3 * rng(seed).standard_normal((SAMPLES, 2)) * np.exp(-30 * (TIME % 0.5))).astype(np.float32)


def item(folder, voice_hz=0.0, lead_hz=0.0, drums=False, backing=False):
    """An item of steady tones, as `material` would write it."""
    stems = {"voice": tone(voice_hz)} if voice_hz else {}
    stems |= {"lead": tone(lead_hz)} if lead_hz else {}
    stems |= {"drums": beats(0)} if drums else {}
    stems |= {"backing": tone(150, 151)} if backing else {}
    f0 = {"f0": np.full(FRAMES, voice_hz, np.float32), "lead_f0": np.full(FRAMES, lead_hz, np.float32)}
    material.write(folder, stems, f0, {"seed": 1})
    return folder


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A folder with two minutes of material, so that nothing has to be rendered."""
    folder = tmp_path_factory.mktemp("training")
    for number in range(8):
        voice, lead = (200.0 + 37 * number, 0.0) if number % 3 else (0.0, 410.0)
        item(folder / "material" / f"{number:05}", voice, lead, drums=True, backing=number != 4)
    return folder


@pytest.fixture(scope="module")
def items(root):
    return sorted((root / "material").iterdir())


def loudest_hz(sound):
    """The frequency of the highest peak of a sound (samples,)."""
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound)), 1 << 21))
    return spectrum.argmax() * RATE / (1 << 21)


def test_a_mix_has_the_pitch_that_it_says_however_fast_it_is(tmp_path):
    alone = item(tmp_path / "1", voice_hz=300.0)
    ratios = set()
    for seed in range(12):
        mix = mixes.led(rng(seed), [alone])
        assert mix.sound.shape == (14 * RATE, 1) and mix.f0.shape == mix.lead_f0.shape == (1400,)
        assert not mix.lead_f0.any() and np.ptp(mix.f0[:1200][mix.f0[:1200] > 0]) < 0.1
        assert loudest_hz(mix.sound[: 11 * RATE, 0]) == pytest.approx(mix.f0[0], rel=1e-3)
        ratios.add(round(float(mix.f0[0]) / 300, 3))
        over = np.flatnonzero(mix.f0 == 0) * FRAME_S  # a faster song ends sooner
        assert over.size == 0 or over[0] == pytest.approx(15 * 300 / mix.f0[0], abs=0.05)
    assert len(ratios) > 10 and max(ratios) <= 2 ** (3.5 / 12) and min(ratios) >= 2 ** (-9 / 12)


def test_the_voice_of_one_is_laid_over_the_band_of_another(tmp_path):
    both = [item(tmp_path / "1", voice_hz=300.0), item(tmp_path / "2", lead_hz=800.0, backing=True)]
    led = [mixes.led(rng(seed), both) for seed in range(40)]
    crossed = [mix for mix in led if mix.f0.any() and mix.lead_f0.any()]
    assert 5 < len(crossed) < 30 and len({mix.f0[0] / mix.lead_f0[0] for mix in crossed}) == len(crossed)


def test_the_stems_of_a_mix_are_of_the_levels_that_are_promised(items):
    without, limited, differences = 0, 0, []
    for seed in range(24):
        mix = mixes.parted(rng(seed), items[1], items)
        percussive, melody, harmony = np.sqrt((mix.stems.astype(float) ** 2).mean((1, 2)))
        whole = np.sqrt((mix.stems.sum(0) ** 2).mean())
        assert whole * 1.0001 >= 0.1 * 10 ** (-8 / 20) and whole <= 0.1001 * 10 ** (8 / 20)
        assert mix.stems.shape == (3, SAMPLES, 2) and mix.f0[0] == 237 and melody > 0 and harmony > 0
        power = np.abs(np.fft.rfft(mix.stems[0, :, 0])) ** 2
        if percussive == 0:
            without += 1
        elif power[-SAMPLES // 16 :].sum() < 1e-3 * power.sum():  # nothing from 19.3 kHz on
            limited += 1
        else:
            differences.append(20 * np.log10(percussive / np.hypot(melody, harmony)))
    assert -14 < min(differences) < -7 and 0 < max(differences) < 6
    assert 1 <= without <= 5 and 4 <= limited <= 16


def test_an_item_without_voice_has_its_lead_as_melody_and_drums_alone_stay(items, tmp_path):
    assert mixes.parted(rng(), items[3], items).f0[0] == 410
    drums = mixes.parted(rng(), item(tmp_path / "1", drums=True), items)
    assert drums.stems[0].any() and not drums.stems[1:].any() and not drums.f0.any()


def test_a_tracker_is_mistaken_as_often_and_in_the_ways_that_it_should_be():
    f0 = np.where(np.arange(200_000) % 1000 < 800, 200, 0).astype(np.float32)
    np.testing.assert_array_equal(mixes.mistaken(rng(), f0, 0), f0)
    found = mixes.mistaken(rng(), f0, 0.4)
    assert f0[0] == 200  # untouched
    sung, rest = found[f0 > 0], found[f0 == 0]
    assert np.mean(sung == 0) == pytest.approx(0.4 * 0.3, abs=0.03)
    assert np.mean(np.isin(sung, (100, 300, 400))) == pytest.approx(0.4 * 0.25, abs=0.03)
    assert np.mean(rest > 0) == pytest.approx(0.4 * 0.15, abs=0.04)
    assert found[found > 0].min() >= 90 and found.max() <= 900


def test_a_pitch_between_two_frames_lies_between_them_unless_one_leaps_or_rests():
    f0 = np.array([100, 104, 208, 0, 300], np.float32)
    found = mixes.at(np.array([-0.01, 0.005, 0.014, 0.016, 0.024, 0.026, 0.036, 0.09]), f0)
    np.testing.assert_allclose(found, [100, np.sqrt(100 * 104), 104, 208, 208, 0, 300, 300], rtol=1e-5)


@EITHER_MODE
def test_frames_are_those_of_the_engine(mode):
    sound, sizes = rng().standard_normal((RATE // 4, 2)).astype(np.float32), hearing.sizes_of(mode)
    truth = reference.spectra(sound.astype(float), sizes)
    found = hearing.spectra(sound, sizes.hop_size * np.arange(1, len(truth) + 1), sizes)
    np.testing.assert_allclose(found, truth, atol=1e-3)


def trained(seed=0):
    """Nets with random weights, means and spreads."""
    torch.manual_seed(seed)
    net, memory = pitch.Net(), pitch.Memory()
    parts = {mode: masks.Net(features, 8, 12, 4) for mode, features in course.MODES.items()}
    for each in (memory, *parts.values()):
        each.mean[:] = torch.randn_like(each.mean)
        each.spread[:] = 0.5 + torch.rand_like(each.spread)
    return net, memory, parts


def test_the_net_of_pitch_is_that_of_the_kernel(items):
    net, memory, _ = trained()
    state, frames, _ = pitch._listen(mixes.led(rng(2), items), pitch.network(net, memory))
    maps, heard, likelihood, voices = [], [], np.zeros((200, pitchnet.PITCHES), np.float32), []
    for frame, row in zip(frames[:200], likelihood, strict=True):
        voices.append(pitchnet.process(state, frame, 1, row))
        maps.append(state.maps[:, pitchnet.MARGIN : pitchnet.MARGIN + pitchnet.PLACES].copy())
        heard.append(state.heard.copy())
    with torch.no_grad():
        logits = net(torch.from_numpy(np.array(maps)))
        expected = torch.sigmoid(memory(torch.from_numpy(np.array(heard))[None]))[0, :, 1]
    np.testing.assert_allclose(likelihood, torch.softmax(logits[:, 1, :-1], 1), atol=1e-4)
    silence = logits[:, :, -1] - torch.logsumexp(logits[:, :, :-1], 2)
    np.testing.assert_allclose(np.array(heard)[:, -2:], silence, atol=1e-4)
    assert np.ptp(voices) > 1e-3
    np.testing.assert_allclose(voices, expected, atol=1e-4)


def test_the_recurrent_layer_is_told_the_same_of_short_and_long_windows_on_average(items):
    net, memory, _ = trained()
    mix = mixes.led(rng(2), items)
    memory.drift[:] = torch.from_numpy(pitch.drift(mix, pitch.network(net, memory)))
    network = pitch.network(net, memory)
    short, long = (
        np.append(pitch.remembered(mix, network, rate)[0].mean(0), 1) @ pitch._listen(mix, network, rate)[0].enter
        for rate in (48000, 32000)
    )
    assert np.abs(network.drift).max() > 0.1
    np.testing.assert_allclose(short, long, atol=1e-3)


@EITHER_MODE
def test_the_net_of_masks_is_that_of_the_kernel(items, tmp_path, mode):
    net, memory, parts = trained()
    mix = mixes.parted(rng(2), items[1], items)
    both = (each.network() for each in parts.values())
    networks.save(tmp_path / "networks.npz", networks.Networks(pitch.network(net, memory), *both))
    state = masks._listening(tmp_path / "networks.npz", mode, mix.f0)
    sound, hop = mix.stems.sum(0)[: RATE // 2], len(state.dry)
    sound = np.ascontiguousarray(sound[: len(sound) // hop * hop])
    masks._process(state, sound[:-hop])
    state.learned.masked[0] = -1  # so that no part of the last frame is held
    masks._process(state, sound[-hop:])
    with torch.no_grad():
        heard = state.learned.features[None, :, REACH : REACH + len(state.learned.place)]
        expected = parts[mode](torch.from_numpy(heard.copy()))[0]
    assert np.ptp(state.whole, axis=1).min() > 1e-3
    np.testing.assert_allclose(state.whole[:, state.learned.edges[:-1]], expected, atol=1e-4)


def test_what_is_heard_of_a_mix_does_not_hang_on_the_weights(items):
    mix = mixes.led(rng(2), items)
    first, second = (pitch.hear(rng(3), mix) for _ in range(2))
    np.testing.assert_array_equal(first.maps, second.maps)
    assert first.maps.shape == (len(first.f0), pitchnet.MAPS, pitchnet.PLACES) and len(first.f0) in (239, 240)
    assert first.maps.max() > 250 and first.f0.shape[1] == 2


@EITHER_MODE
def test_wanted_masks_are_phase_sensitive_and_magnitudes_those_of_the_mix(items, mode):
    mix = mixes.parted(rng(4), items[1], items)
    mix = mix._replace(stems=np.stack([0.5 * mix.stems[2], -0.25 * mix.stems[2], 0.75 * mix.stems[2]]))
    heard, features = masks.hear(rng(), mix, mix.f0, networks.OURS, mode), course.MODES[mode]
    assert heard.dtype == np.float16 and heard.shape[1] == features + 3
    loud = heard[:, -1] > 0.1
    np.testing.assert_allclose(heard[:, features][loud], 0.5, atol=2e-3)
    np.testing.assert_allclose(heard[:, features + 1][loud], -0.25, atol=2e-3)
    assert (heard[:, -1].astype(float) ** 2).mean() == pytest.approx(1, abs=0.01)


def test_the_loss_of_masks_is_the_mean_logarithm_of_the_error_of_each_mix():
    shares, truth = rng(1).random((2 * masks.FRAMES, 3, 5)), rng(2).random((2 * masks.FRAMES, 3, 5))
    expected = 0.0
    for mix in (slice(0, masks.FRAMES), slice(masks.FRAMES, None)):
        wrong, weight = shares[mix, :2] - truth[mix, :2], truth[mix, 2]
        for error, part in ((wrong[:, 0], 1), (wrong[:, 1], 1), (wrong.sum(1), 0.5)):
            for exponent, share in ((2, 1), (1, 0.5)):
                power = (weight**exponent * error**2).sum() / (weight**exponent).sum()
                expected += part * share * np.log(power + 1e-3) / 2
    assert masks.loss(torch.from_numpy(shares), torch.from_numpy(truth)).item() == pytest.approx(expected, rel=1e-4)


def test_the_loss_of_pitch_is_least_where_the_truth_is_said():
    f0 = torch.tensor([[220.0, 0.0], [55.0, 1760.0]])
    said = torch.full((2, 2, pitchnet.PITCHES + 1), -30.0)
    for frame, head, place in ((0, 0, 120), (0, 1, pitchnet.PITCHES), (1, 0, 0), (1, 1, 300)):
        around = torch.arange(pitchnet.PITCHES) - place
        said[frame, head, :-1] = -0.5 * (around / 1.2) ** 2 if place < pitchnet.PITCHES else -30.0
        said[frame, head, -1] = 0.0 if place == pitchnet.PITCHES else -30.0
    least = pitch.loss(said, f0).item()
    assert least < 1.6  # what a blurred truth leaves
    for frame, head, place in ((0, 0, 126), (0, 1, 100), (1, 0, 6), (1, 1, 294)):
        wrong = said.clone()
        wrong[frame, head] = -30
        wrong[frame, head, place] = 0
        assert pitch.loss(wrong, f0).item() > least + 1


def test_scores_count_pitches_octaves_and_voices(monkeypatch, items):
    def says(state, frame, head, likelihood):
        likelihood[:] = 0
        likelihood[{0: 120, 1: 180}[head]] = 1  # 220 and 440 Hz, which is near enough and an octave off
        return 0.9 if head else 0.1

    monkeypatch.setattr(pitch.pitchnet, "process", says)
    f0 = np.concatenate([np.full(700, 222), np.zeros(700)]).astype(np.float32)
    mix = mixes.Led(np.zeros((14 * RATE, 1), np.float32), f0, np.full(1400, 222, np.float32))
    net, memory, _ = trained()
    voice, lead = pitch.score(mix, pitch.network(net, memory))
    assert voice[0] == voice[1] == voice[2] == pytest.approx(voice[3] / 2, abs=5) and voice[4] == voice[3] - voice[0]
    assert lead[0] == lead[2] == lead[3] == lead[4] and lead[1] == 0
    found = pitch.summary([np.array([voice, lead])] * 2)
    assert found["pitch of any lead, %"] == {"raw pitch": 0.0, "raw chroma": 100.0, "voicing": 100.0}


def arrays(path):
    with np.load(path) as archive:
        return {name: archive[name] for name in archive.files if name != "header"}


def command(*arguments):
    whole = [sys.executable, "-m", "rtsep.training", *map(str, arguments)]
    return subprocess.run(whole, capture_output=True, text=True)


@pytest.mark.slow
def test_one_command_makes_a_file_that_the_engine_takes_and_the_same_again(root):
    tiny = (root, "--minutes", 2, "--effort", 0.002, "--jobs", 1)
    result = command(*tiny)
    assert result.returncode == 0, result.stderr
    path = root / "networks.npz"
    assert result.stdout.endswith(f"{path}\n") and "2 mixes with known pitch: 0." in result.stdout
    networks.load(path)
    with np.load(path) as archive:
        header = json.loads(archive["header"].item())
    assert header["seed"] == 1 and {"recipe", "data", "effort"} <= set(header)
    assert set(header["scores"]) == {
        "pitch of voice, %",
        "pitch of any lead, %",
        "SI-SDR, balanced, dB",
        "SI-SDR, quality, dB",
    }
    first, mixed = arrays(path), {file: file.read_bytes() for file in (root / "led").iterdir()}
    mixed |= {file: file.read_bytes() for file in root.glob("parted-*/*")}
    for file in [*root.glob("*.pt"), path, *list(mixed)[::2]]:
        file.unlink()
    assert command(*tiny).returncode == 0
    for name, array in arrays(path).items():
        np.testing.assert_array_equal(array, first[name])
    assert all(file.read_bytes() == content for file, content in mixed.items() if file.suffix == ".npy")
    other = command(root, "--minutes", 2, "--effort", 0.003)
    assert other.returncode == 2 and "was begun with" in other.stderr and other.stderr.count("\n") == 1


def test_bad_arguments_are_refused_with_a_sentence(tmp_path):
    for arguments in ({"minutes": 1}, {"effort": 0}, {"effort": float("nan")}, {"jobs": 0}):
        with pytest.raises(BadInput, match="at least 2, more than 0, at least 1"):
            course.run(tmp_path / "new", **arguments)
    assert not (tmp_path / "new").exists()


def test_own_songs_are_cut_into_items(monkeypatch, tmp_path):
    def dio(sound, rate, low, high, frame_period):
        assert rate == RATE and frame_period == 10
        times = np.arange(0, len(sound) / rate + 1e-9, 0.01)
        return np.full(len(times), 200.0), times

    monkeypatch.setitem(
        sys.modules, "pyworld", SimpleNamespace(dio=dio, stonemask=lambda sound, f0, times, rate: f0 + 1)
    )
    song = tmp_path / "mine" / "aria"
    song.mkdir(parents=True)
    voice = 0.5 * np.sin(2 * np.pi * 201 * np.arange(31 * 22050) / 22050)
    voice[20 * 22050 :] = 0
    soundfile.write(song / "voice.wav", voice, 22050)
    soundfile.write(song / "drums.flac", beats(1)[: 9 * RATE], RATE)
    first, second = songs.cut(tmp_path / "mine", tmp_path / "items")
    assert [path.name for path in (first, second)] == ["mine-aria-000", "mine-aria-001"]
    sound, rate = soundfile.read(first / "voice.flac")
    assert rate == RATE and sound.shape == (SAMPLES, 2)
    assert loudest_hz(sound[:, 0]) == pytest.approx(201, abs=0.1)
    assert (first / "drums.flac").exists() and not (second / "drums.flac").exists()
    assert soundfile.info(first / "drums.flac").frames == SAMPLES
    f0 = np.load(second / "f0.npy")
    assert f0.shape == (FRAMES,) and not f0[510:].any() and np.all(f0[10:490] == 201)
    assert not np.load(first / "lead_f0.npy").any()
    kept = first.stat().st_mtime_ns
    assert songs.cut(tmp_path / "mine", tmp_path / "items") == [first, second] and first.stat().st_mtime_ns == kept


def test_songs_that_cannot_be_used_are_refused_with_a_sentence(tmp_path):
    with pytest.raises(BadInput, match="holds no songs"):
        songs.cut(tmp_path, tmp_path / "items")
    song = tmp_path / "song"
    song.mkdir()
    (song / "voice.wav").write_bytes(b"no sound")
    with pytest.raises(BadInput, match="no sound file"):
        songs.cut(tmp_path, tmp_path / "items")
    soundfile.write(song / "voice.wav", np.zeros(RATE), RATE)
    with pytest.raises(BadInput, match="not 15 seconds"):
        songs.cut(tmp_path, tmp_path / "items")
    (song / "voice.wav").unlink()
    soundfile.write(song / "backing.wav", beats(1), RATE)
    with pytest.raises(BadInput, match="no voice and no lead"):
        songs.cut(tmp_path, tmp_path / "items")
