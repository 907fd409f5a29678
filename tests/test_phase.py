"""phase: sound from magnitudes, against librosa and against the papers written out in NumPy."""

import librosa
import numpy as np
import pytest
from signals import music, noise, tune

from rtsep import reconstruct, si_sdr
from rtsep.errors import BadInput
from rtsep.offline.phase import METHODS, rtisi_la, spectral_convergence
from rtsep.offline.spectra import stft

RATE = 16_000
SIZES = {"n_fft": 1024, "hop_length": 256}


@pytest.fixture(scope="module")
def sound():
    return music(RATE, RATE)[:, 0].astype(np.float64)


@pytest.fixture(scope="module")
def magnitudes(sound):
    return np.abs(librosa.stft(sound, **SIZES))


def convergence(magnitudes, sound):
    """By librosa's transform, dB."""
    again = np.abs(librosa.stft(sound, **SIZES))
    return 20 * np.log10(np.linalg.norm(again - magnitudes) / np.linalg.norm(magnitudes))


@pytest.mark.parametrize("method, momentum", [("griffin-lim", 0), ("fast-griffin-lim", 0.99)])
def test_griffin_and_lim_as_librosa_has_it(magnitudes, sound, method, momentum):
    options = {"n_iter": 20, "init": None, "length": len(sound), "momentum": momentum, **SIZES}
    truth = librosa.griffinlim(magnitudes, **options)
    ones = np.ones(magnitudes.shape)
    found = reconstruct(magnitudes, hop_size=256, length=len(sound), method=method, rounds=20, start=ones)
    assert si_sdr(truth, found) > 60  # librosa adds a little to what it divides by, and rounds spread it


def test_each_round_comes_nearer_and_momentum_farther(magnitudes):
    def found(rounds, method="griffin-lim"):
        return convergence(magnitudes, reconstruct(magnitudes, hop_size=256, method=method, rounds=rounds))

    distances = [found(rounds) for rounds in (0, 1, 2, 4, 8, 16, 32)]
    assert distances == sorted(distances, reverse=True) and distances[0] > distances[-1] + 8
    assert found(50, "fast-griffin-lim") < found(50) - 2


def test_the_true_phases_give_the_sound(magnitudes, sound):
    true = librosa.stft(sound, **SIZES)
    for start in (true, true / 7):
        found = reconstruct(magnitudes, hop_size=256, length=len(sound), rounds=0, start=start)
        np.testing.assert_allclose(found, sound, atol=1e-9)


def test_misi_as_in_the_paper(sound):
    stems = np.stack([sound, tune(RATE, RATE, (330, 392))[:, 0]])
    mixture = stems.sum(0)

    def phases(spectra):
        return np.exp(1j * np.angle(spectra))

    magnitudes = np.abs([librosa.stft(stem, **SIZES) for stem in stems])
    guess = magnitudes * phases(librosa.stft(mixture, **SIZES))
    for _ in range(10):
        heard = [librosa.istft(each, hop_length=256, length=RATE) for each in guess]
        share = (mixture - sum(heard)) / 2
        guess = [m * phases(librosa.stft(y + share, **SIZES)) for m, y in zip(magnitudes, heard, strict=True)]
    heard = [librosa.istft(each, hop_length=256, length=RATE) for each in guess]
    truth = np.stack(heard) + (mixture - sum(heard)) / 2
    options = {"hop_size": 256, "method": "misi", "mixture": mixture}
    found = reconstruct(magnitudes, rounds=10, **options)
    np.testing.assert_allclose(found, truth, atol=1e-4)
    np.testing.assert_allclose(found.sum(0), mixture, atol=1e-12)
    few = reconstruct(magnitudes, rounds=0, **options)
    assert all(si_sdr(stem, better) > si_sdr(stem, f) + 5 for stem, better, f in zip(stems, found, few, strict=True))


def slowly(magnitudes, hop, look_ahead, rounds):
    """RTISI-LA over a whole sound, frame by frame, with the momentum of the fast Griffin-Lim algorithm."""
    frames, bins = magnitudes.shape
    size = 2 * (bins - 1)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)
    spectra = np.zeros(magnitudes.shape, complex)

    def heard(known, wanted):
        total, weights = np.zeros((2, frames * hop + 2 * size))
        for t in range(known):
            total[t * hop : t * hop + size] += np.fft.irfft(spectra[t]) * window
            weights[t * hop : t * hop + size] += window**2
        total = total / np.maximum(weights, 1e-3)
        return np.array([np.fft.rfft(total[t * hop : t * hop + size] * window) for t in wanted]), total

    def unit(values):
        return np.where(np.abs(values) > 0, np.exp(1j * np.angle(values)), 1)

    for newest in range(frames + look_ahead):
        if newest < frames:
            spectra[newest] = magnitudes[newest] * unit(heard(newest, [newest])[0][0])
        moving = range(max(newest - look_ahead, 0), min(newest + 1, frames))
        before = None
        for _ in range(rounds):
            now, _ = heard(moving.stop, moving)
            further = now if before is None else now + 0.99 * (now - before)
            spectra[moving.start : moving.stop] = magnitudes[moving.start : moving.stop] * unit(further)
            before = now
    return heard(frames, [0])[1][size // 2 :][: (frames - 1) * hop]


@pytest.mark.parametrize("hop, look_ahead", [(256, 3), (256, 0), (300, 2)])
def test_a_stream_as_written_out_slowly(sound, hop, look_ahead):
    magnitudes = np.abs(stft(sound[:3000], 1024, hop)).T  # in a longer one errors of rounding grow
    pieces = [*rtisi_la(magnitudes, hop_size=hop, look_ahead=look_ahead, rounds=3)]
    found = np.concatenate(pieces)[512:][: (len(magnitudes) - 1) * hop]
    np.testing.assert_allclose(found, slowly(magnitudes, hop, look_ahead, 3), atol=1e-6)


@pytest.mark.parametrize(
    "make", [music, tune, lambda samples, rate: music(samples, rate, seed=3) + tune(samples, rate, (262, 330), 0.25)]
)
def test_a_stream_is_within_two_decibels_of_fifty_rounds_over_the_whole(make):
    magnitudes = np.abs(librosa.stft(make(2 * RATE, RATE)[:, 0], **SIZES))
    found = np.concatenate([*rtisi_la(magnitudes.T, hop_size=256)])[512:][: 2 * RATE]
    whole = librosa.griffinlim(magnitudes, n_iter=50, momentum=0, random_state=1, length=2 * RATE, **SIZES)
    assert convergence(magnitudes, found) < convergence(magnitudes, whole) + 2


def test_a_stream_is_late_by_what_it_looks_ahead_and_does_not_wait_for_the_end(magnitudes):
    taken = []

    def frames():
        for number, frame in enumerate(magnitudes.T):
            taken.append(number)
            yield frame

    stream = rtisi_la(frames(), hop_size=256, look_ahead=2, rounds=1)
    for number in range(5):
        assert next(stream).shape == (256,) and taken[-1] == number + 2
    assert len([*stream]) + 5 == magnitudes.shape[1] + 3  # and the rest of the last window
    assert [*rtisi_la([])] == []


def test_channels_are_reconstructed_side_by_side(sound):
    both = np.stack([sound, noise(RATE)[:, 0]])
    magnitudes = np.abs(stft(both, 1024, 256))
    for options in ({"start": np.ones(magnitudes.shape)}, {"method": "rtisi-la"}):
        options |= {"hop_size": 256, "rounds": 3}
        found = reconstruct(magnitudes, **options)
        assert found.shape == (2, RATE // 256 * 256)
        alone = reconstruct(magnitudes[1], **{name: v[1] if name == "start" else v for name, v in options.items()})
        np.testing.assert_allclose(found[1], alone, atol=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_silence_stays_silent_and_single_precision_single(method):
    magnitudes = np.zeros((2, 513, 9), np.float32)
    mixture = np.zeros(2048) if method == "misi" else None
    found = reconstruct(magnitudes, hop_size=256, method=method, mixture=mixture)
    np.testing.assert_array_equal(found, np.zeros((2, 2048), np.float32))
    assert found.dtype == np.float32


def test_spectral_convergence_is_the_distance_of_magnitudes(magnitudes, sound):
    other = sound + 0.01 * noise(RATE)[:, 0]
    assert spectral_convergence(magnitudes, other, 256) == pytest.approx(convergence(magnitudes, other))
    assert spectral_convergence(magnitudes, sound, 256) < -250


GOOD = np.ones((513, 5))


@pytest.mark.parametrize(
    "magnitudes, options, words",
    [
        (GOOD, {"method": "griffin"}, "unknown method 'griffin'"),
        (-GOOD, {}, "the lowest of the magnitudes is -1"),
        (GOOD * 1j, {}, "complex128"),
        (GOOD * np.nan, {}, "no number"),
        (GOOD[:, 0], {}, "shape (513,)"),
        (GOOD, {"hop_size": 600}, "hop_size is 600"),
        (GOOD, {"hop_size": 256, "length": 1280}, "1280 samples have 6 frames each 256 samples, and the magnitudes 5"),
        (GOOD, {"rounds": -1}, "rounds is -1"),
        (GOOD, {"method": "misi"}, "needs the mixture"),
        (GOOD, {"mixture": np.ones(1024)}, "no other takes it"),
        (GOOD, {"method": "misi", "mixture": np.ones(1024)}, "(stems, bins, frames)"),
        (GOOD[None], {"method": "misi", "mixture": np.ones(900), "hop_size": 256}, "900 samples have 4 frames"),
        (GOOD[None], {"method": "misi", "mixture": np.ones(1024), "hop_size": 256, "length": 1025}, "leave it out"),
        (GOOD, {"method": "rtisi-la", "start": GOOD}, "takes no start"),
        (GOOD, {"start": GOOD[:, :4]}, "start is of shape (513, 4)"),
    ],
)
def test_bad_input_gets_a_sentence(magnitudes, options, words):
    with pytest.raises(BadInput) as error:
        reconstruct(magnitudes, **options)
    assert words in str(error.value)


def test_a_stream_refuses_bad_input():
    with pytest.raises(BadInput, match="look_ahead is -1"):
        next(rtisi_la(GOOD.T, look_ahead=-1))
    with pytest.raises(BadInput, match="below 0"):
        next(rtisi_la(-GOOD.T))
