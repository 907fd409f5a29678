"""templates: recordings become spectra as the engine sees them, files keep them, and every refusal is a sentence."""

import json
import re
import resource
from dataclasses import fields, replace

import numpy as np
import pytest
import reference
import signals
import soundfile

from rtsep import Engine, separate
from rtsep.commands.learn import learn_files
from rtsep.dsp import stft
from rtsep.errors import BadInput, Unavailable
from rtsep.offline import dictionary
from rtsep.offline.beside import completed, unknown_beside
from rtsep.offline.dictionary import BLIND, METHODS, learn, learn_blind, magnitudes
from rtsep.offline.evaluate import si_sdr
from rtsep.offline.many import separate_files
from rtsep.settings import MODES, Settings
from rtsep.templates import KITS, Templates, check_names, harmonic_templates, load, onset_templates

RATE = 16_000
SIZES = Settings().sizes(RATE)
BINS = SIZES.window_size // 2 + 1


def made(parts=("kick", "snare"), seed=1, **changes):
    """Templates of noise, two of each part, at RATE."""
    spectra = np.random.default_rng(seed).random((2 * len(parts), BINS))
    return Templates(
        parts=parts,
        spectra=(spectra / spectra.sum(1, keepdims=True)).astype(np.float32),
        part_of=np.repeat(np.arange(len(parts)), 2),
        sample_rate=RATE,
        window_size=SIZES.window_size,
        synthesis_size=SIZES.synthesis_size,
        **changes,
    )


def band(low, high, seconds=0.5, seed=1, rate=RATE):
    """Noise between `low` and `high` (Hz) alone, (samples, 1)."""
    samples = int(seconds * rate)
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(samples))
    frequencies = np.fft.rfftfreq(samples, 1 / rate)
    noise = np.fft.irfft(spectrum * ((frequencies > low) & (frequencies < high)), samples)
    return (0.1 * noise / noise.std()).astype(np.float32)[:, None]


def inside(templates, part, low, high):
    """The least share of a template of `part` that lies between `low` and `high` (Hz)."""
    own = templates.spectra[templates.part_of == templates.parts.index(part)]
    frequencies = np.arange(own.shape[1]) * templates.sample_rate / templates.window_size
    return own[:, (frequencies > low) & (frequencies < high)].sum(1).min()


# Files


def test_a_file_gives_back_what_was_saved(tmp_path):
    saved = made(splits="percussive", exponent=1.5, sweeps=2, colors=("#000000", "#FFaa00"), source="Zoë's kit")
    saved.save(tmp_path / "new" / "kit.rtsep")
    found = load(tmp_path / "new" / "kit.rtsep")
    for field in fields(Templates):
        assert np.array_equal(getattr(found, field.name), getattr(saved, field.name)), field.name
    assert found.spectra.dtype == np.float32 and found.part_of.dtype == np.int64
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["kit.rtsep"]


def test_a_file_is_an_archive_that_numpy_and_json_can_read(tmp_path):
    made().save(tmp_path / "kit.rtsep")
    with np.load(tmp_path / "kit.rtsep") as archive:
        assert set(archive) == {"header", "spectra", "part_of"}
        header = json.loads(archive["header"].item())
    assert (header["format"], header["parts"], header["sample_rate"]) == (1, ["kick", "snare"], RATE)


def test_pitches_are_kept_in_the_header_and_files_that_know_none_still_load(tmp_path):
    made(pitches=(60, 64, 0, 127)).save(tmp_path / "piano.rtsep")
    assert load(tmp_path / "piano.rtsep").pitches == (60, 64, 0, 127)
    made().save(tmp_path / "kit.rtsep")
    with np.load(tmp_path / "kit.rtsep") as archive:
        arrays = dict(archive)
    header = json.loads(arrays["header"].item())
    assert header.pop("pitches") == []
    np.savez(tmp_path / "old.npz", **arrays | {"header": json.dumps(header)})
    assert load(tmp_path / "old.npz").pitches == ()


@pytest.mark.parametrize(
    "pitches", [(60, 61, 62), (60, 61, 62, 63, 64), (60, 61, 62, 128), (-1, 0, 1, 2), (60.5, 1, 2, 3)]
)
def test_pitches_are_midi_numbers_one_for_each_spectrum(pitches):
    with pytest.raises(BadInput, match=r"there must be a MIDI number for each of 4 spectra\.$"):
        made(pitches=pitches)


def test_each_part_has_a_color_of_its_own():
    assert len(set(made(("a", "b", "c", "d", "e")).colors)) == 5


def test_the_same_templates_make_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        made().save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_file_is_replaced_only_if_that_is_wanted(tmp_path):
    path = tmp_path / "kit.rtsep"
    made(seed=1).save(path)
    with pytest.raises(BadInput, match=r"kit\.rtsep exists already: choose another name, or add --force"):
        made(seed=2).save(path)
    assert np.array_equal(load(path).spectra, made(seed=1).spectra)
    with path.open("rb") as reader:
        before = path.read_bytes()
        made(seed=2).save(path, force=True)
        assert reader.read() == before  # whoever reads it goes on with the old one
    assert np.array_equal(load(path).spectra, made(seed=2).spectra)


def test_a_file_that_is_a_link_stays_one_and_what_it_leads_to_is_replaced(tmp_path):
    link, kit = tmp_path / "kit.rtsep", tmp_path / "dotfiles" / "kit.rtsep"
    kit.parent.mkdir()
    link.symlink_to(kit)
    made(seed=1).save(link)
    with pytest.raises(BadInput, match="exists already"):
        made(seed=2).save(link)
    made(seed=2).save(link, force=True)
    assert link.is_symlink() and np.array_equal(load(kit).spectra, made(seed=2).spectra)


def test_what_cannot_be_written_leaves_no_trace_and_what_was_there(tmp_path):
    path = tmp_path / "kit.rtsep"
    made(seed=1).save(path)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(Unavailable, match=r"cannot write .*kit\.rtsep: File too large\.$"):
            made(seed=2).save(path, force=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert np.array_equal(load(path).spectra, made(seed=1).spectra)
    assert list(tmp_path.iterdir()) == [path]


def archive(tmp_path, header=None, **arrays):
    """A template file with some of its `header` (None removes) or `arrays` changed."""
    made().save(tmp_path / "kit.rtsep", force=True)
    with np.load(tmp_path / "kit.rtsep") as whole:
        content = dict(whole)
    if isinstance(header, dict):
        kept = json.loads(content["header"].item()) | header
        content["header"] = json.dumps({name: value for name, value in kept.items() if value is not None})
    elif header is not None:
        content["header"] = header
    np.savez(tmp_path / "changed.npz", **content | arrays)
    return tmp_path / "changed.npz"


BROKEN = r"is damaged or breaks off: copy it again, or learn the parts afresh\.$"


@pytest.mark.parametrize(
    "header, sentence",
    (
        ({"format": 2}, r"has format 2, and this rtsep reads format 1: learn the parts afresh\.$"),
        ({"format": None}, BROKEN),
        ({"parts": None}, BROKEN),
        ({"parts": 3}, BROKEN),
        ({"tempo": 3}, BROKEN),
        ({"sample_rate": "fast"}, BROKEN),
        ("no JSON", BROKEN),
        ("[]", BROKEN),
        (np.zeros(3), BROKEN),
        ({"sample_rate": 100}, r"cannot be used: the sample rate is 100: it must be 8000 to 192000 Hz\.$"),
        ({"synthesis_size": 0}, r"windows of 768 and 0 samples"),
        ({"window_size": 1024}, r"the spectra are float32 \(4, 385\): they must be float32 \(4, 513\)\.$"),
        ({"splits": "vocals"}, r"unknown branch 'vocals'"),
        ({"splits": "mix", "parts": ("rest", "low")}, r"'rest' is what the other parts leave: name it last"),
        ({"exponent": 0}, r"the exponent is 0: it must lie between 0.25 and 8\.$"),
        ({"sweeps": 0}, r"the number of sweeps is 0: it must be 1 to 20\.$"),
        ({"colors": ["#000000"]}, r"the colors are .*: there must be one for each part, as #e69f00\.$"),
        ({"colors": ["#000000", "red"]}, r"there must be one for each part"),
        ({"parts": ["kick", "melody"]}, r"cannot be used: the name 'melody' is reserved"),
    ),
)
def test_a_file_with_an_impossible_header_is_refused(tmp_path, header, sentence):
    with pytest.raises(BadInput, match=sentence):
        load(archive(tmp_path, header))


@pytest.mark.parametrize(
    "value, sentence",
    (
        (np.nan, r"the spectra hold a negative value or no number: learn them afresh\.$"),
        (-0.1, r"the spectra hold a negative value or no number"),
        (0.1, r"the spectra have rows that do not sum to 1"),
    ),
)
def test_a_file_with_impossible_spectra_is_refused(tmp_path, value, sentence):
    spectra = made().spectra.copy()
    spectra[1, 2] = value
    with pytest.raises(BadInput, match=sentence):
        load(archive(tmp_path, spectra=spectra))


def test_a_file_whose_templates_belong_to_no_part_is_refused(tmp_path):
    for part_of in ([0, 0, 0, 0], [0, 1, 2, 0], [0.0, 0, 1, 1]):
        with pytest.raises(BadInput, match=r"part_of must be int64 and give each of the 2 parts a template\.$"):
            load(archive(tmp_path, part_of=np.array(part_of)))


def test_a_file_that_breaks_off_anywhere_is_refused(tmp_path):
    made().save(tmp_path / "kit.rtsep")
    whole = (tmp_path / "kit.rtsep").read_bytes()
    for length in (2, 100, len(whole) // 2, len(whole) - 1):
        (tmp_path / "part.rtsep").write_bytes(whole[:length])
        with pytest.raises(BadInput, match=BROKEN):
            load(tmp_path / "part.rtsep")


def test_no_spoiled_byte_makes_other_templates_or_an_error_of_another_kind(tmp_path):
    made(splits="percussive").save(tmp_path / "kit.rtsep")
    whole, refused = (tmp_path / "kit.rtsep").read_bytes(), 0
    for place in [*range(0, 700, 3), *range(700, len(whole), 101), *range(len(whole) - 300, len(whole))]:
        (tmp_path / "part.rtsep").write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        try:
            found = load(tmp_path / "part.rtsep")
        except BadInput:
            refused += 1
        else:
            assert np.array_equal(found.spectra, made().spectra) and found.splits == "percussive", place
    assert refused > 200


def test_what_is_no_template_file_is_refused(tmp_path):
    (tmp_path / "song.wav").write_text("RIFF")
    (tmp_path / "empty").touch()
    np.savez(tmp_path / "other.npz", x=1)
    for name in ("song.wav", "empty"):
        with pytest.raises(BadInput, match=rf"{name} is no template file: rtsep learn makes them\.$"):
            load(tmp_path / name)
    with pytest.raises(BadInput, match=BROKEN):
        load(tmp_path / "other.npz")
    with pytest.raises(BadInput, match=r"there is no file .*nothing: make it with rtsep learn\.$"):
        load(tmp_path / "nothing")
    with pytest.raises(BadInput, match=r"cannot read .*: Is a directory\.$"):
        load(tmp_path)


def test_a_file_runs_no_code(tmp_path):
    with pytest.raises(BadInput, match=BROKEN):
        load(archive(tmp_path, spectra=np.array([print], object)))


@pytest.mark.parametrize(
    "name", ("percussive", "melody", "residual", "harmonic", "output", "microphone", "hpss", "mix")
)
def test_names_of_the_engine_are_reserved(name):
    with pytest.raises(BadInput, match=rf"the name '{name}' is reserved: choose another, say my-{name}\.$"):
        check_names(["kick", name])


def test_names_are_short_and_plain_and_differ():
    check_names(["kick", "hi-hat_2", "1", "a" * 24])
    for name in ("", "Kick", "hi hat", "a.b", "ä", "a" * 25, "a/b"):
        with pytest.raises(BadInput, match=f"'{re.escape(name)}' is no name for a part: take 1 to 24 of a to z"):
            check_names([name])
    with pytest.raises(BadInput, match=r"the name 'kick' is taken: give each part a name of its own\.$"):
        check_names(["kick", "snare", "kick"])
    with pytest.raises(BadInput, match="there are no parts"):
        check_names([])


# Another rate or window


def test_templates_that_fit_stay_as_they_are():
    templates = made()
    assert templates.fitted(SIZES, RATE) is templates


@pytest.mark.parametrize("rate, mode", ((44_100, "balanced"), (48_000, "quality"), (22_050, "live")))
def test_fitted_templates_are_near_those_learned_at_the_other_rate(rate, mode):
    notes = {"low": 330.0, "high": 1100.0}
    settings = Settings(mode=mode)

    def learned(rate, settings):
        tones = {name: [signals.tune(rate // 2, rate, (pitch,))] for name, pitch in notes.items()}
        return learn(tones, sample_rate=rate, components=1, settings=settings)

    wanted, source = learned(rate, settings), learned(RATE * 2, Settings())
    fitted = source.fitted(settings.sizes(rate), rate)
    assert fitted.spectra.shape == wanted.spectra.shape and fitted.spectra.dtype == np.float32
    assert np.allclose(fitted.spectra.sum(1), 1, atol=1e-5)
    assert fitted.parts == source.parts and fitted.colors == source.colors
    for own, other in zip(wanted.spectra, fitted.spectra, strict=True):
        assert reference.likeness(other[None], own[None]) > 0.92
    assert reference.likeness(fitted.spectra[:1], wanted.spectra[1:]) < 0.5


def test_what_lies_above_the_frequencies_that_are_known_is_zero():
    sizes = Settings().sizes(44_100)
    fitted = made().fitted(sizes, 44_100)
    frequencies = np.arange(fitted.spectra.shape[1]) * 44_100 / sizes.window_size
    assert (fitted.spectra[:, frequencies > RATE / 2] == 0).all()
    assert (fitted.spectra[:, frequencies < RATE / 2] > 0).all()


def test_windows_that_differ_by_more_than_two_are_refused():
    for synthesis_s, window_ms in ((0.1, 384), (0.005, 16)):
        sentence = f"for windows of 48 ms, and those of the engine last {window_ms} ms: learn them afresh"
        with pytest.raises(BadInput, match=sentence):
            made().fitted(Settings(synthesis_s=synthesis_s).sizes(RATE), RATE)


def test_templates_of_which_nothing_is_left_are_refused():
    spectra = np.zeros((4, BINS), np.float32)
    spectra[:, -3] = 1
    with pytest.raises(BadInput, match=r"'kick' sounds above what 8000 Hz can hold: take a higher sample rate\.$"):
        replace(made(), spectra=spectra).fitted(Settings().sizes(8000), 8000)


# Pitches by rule


@pytest.mark.parametrize("mode", MODES)
def test_a_harmonic_template_is_zero_but_around_its_partials(mode):
    rate, sizes = 44_100, Settings(mode=mode).sizes(44_100)
    templates = harmonic_templates(sizes, rate)
    assert templates.shape == (88, sizes.window_size // 2 + 1) and templates.dtype == np.float32
    assert np.allclose(templates.sum(1), 1, atol=1e-5)
    for midi in (33, 57, 69, 96, 108):
        row, f0 = templates[midi - 21], 440 * 2 ** ((midi - 69) / 12)
        stretch = np.exp(-0.0847 * midi - 5.82) + np.exp(0.0926 * midi - 13.64)
        near = np.zeros(len(row), bool)
        for n in range(1, 21):
            place = n * f0 * (1 + stretch * n * n) ** 0.5 * sizes.window_size / rate
            bins = np.arange(len(row))
            near |= (bins > place * 2 ** (-1 / 48) - 2.01) & (bins < place * 2 ** (1 / 48) + 2.01)
            for detuned in (2 ** (-1 / 48), 1, 2 ** (1 / 48)):
                if place * detuned < len(row) - 1:
                    assert row[round(place * detuned)] > 0, (midi, n)
        assert (row[~near] == 0).all(), midi
        assert np.count_nonzero(row) > 0.3 * np.count_nonzero(near), midi


def test_a_harmonic_template_is_like_a_piano_tone_of_its_pitch():
    rate, sizes = 44_100, Settings(mode="quality").sizes(44_100)
    templates = harmonic_templates(sizes, rate, range(48, 85))
    seconds = np.arange(rate // 4) / rate
    for midi in (50, 60, 69, 80):
        stretch = np.exp(-0.0847 * midi - 5.82) + np.exp(0.0926 * midi - 13.64)
        partials = [n * 440 * 2 ** ((midi - 69) / 12) * (1 + stretch * n * n) ** 0.5 for n in range(1, 15)]
        tone = sum(np.sin(2 * np.pi * pitch * seconds) / n for n, pitch in enumerate(partials, 1))
        frame = magnitudes(tone.astype(np.float32)[:, None], sizes)[30]
        cosines = templates @ frame / np.linalg.norm(templates, axis=1) / np.linalg.norm(frame)
        assert np.argmax(cosines) == midi - 48
        assert cosines.max() > 0.75


def test_an_onset_template_is_broad_and_falls_from_its_fundamental_on():
    sizes = Settings().sizes(44_100)
    templates = onset_templates(sizes, 44_100, range(60, 85))
    bin_hz = 44_100 / sizes.window_size
    assert np.allclose(templates.sum(1), 1, atol=1e-5)
    for midi, row in zip(range(60, 85), templates, strict=True):
        first = 440 * 2 ** ((midi - 69) / 12) / bin_hz
        assert (row[: int(first - 3)] == 0).all() and (row[int(first) :] > 0).all()
        assert (np.diff(row[int(first) + 1 :]) < 0).all()
        assert row[int(4 * first)] == pytest.approx(row[int(2 * first)] / 2, rel=0.1)


def test_pitches_beyond_the_sample_rate_are_refused():
    for rule in (harmonic_templates, onset_templates):
        assert len(rule(Settings().sizes(9000), 9000)) == 88
        with pytest.raises(BadInput, match=r"the pitch 4186 Hz lies above what 8000 Hz can hold: leave it out\.$"):
            rule(Settings().sizes(8000), 8000)


# Frames


@pytest.mark.parametrize("mode", MODES)
def test_frames_are_what_the_engine_sees(mode):
    sizes = Settings(mode=mode).sizes(RATE)
    sound = signals.noise(40 * sizes.hop_size, 2)
    found = magnitudes(sound, sizes)
    slow = np.sqrt((np.abs(reference.spectra(sound.astype(float), sizes)) ** 2).sum(1))
    assert found.shape == slow.shape and np.abs(found - slow).max() < 1e-5 * slow.max()

    state, magnitude = stft.prepare(sizes, 2, 2), np.empty(sizes.window_size // 2 + 1, np.float32)
    dry = np.empty((sizes.hop_size, 2), np.float32)
    for t, row in enumerate(found):
        stft.write(state, 0, sound[t * sizes.hop_size : (t + 1) * sizes.hop_size], dry)
        stft.analyze(state, magnitude)
        assert np.abs(row - magnitude).max() < 1e-5 * slow.max(), t


def test_some_frames_are_those_of_all(monkeypatch):
    sound = signals.noise(1000, 1)
    everything = magnitudes(sound, SIZES)
    assert len(everything) == -(-1000 // SIZES.hop_size)
    monkeypatch.setattr(dictionary, "_BLOCK", 2)
    assert np.array_equal(magnitudes(sound, SIZES), everything)
    assert np.array_equal(magnitudes(sound, SIZES, np.array([3, 0, 5])), everything[[3, 0, 5]])


# Learning


def test_parts_are_learned_from_files_of_any_rate_and_arrays(tmp_path):
    soundfile.write(tmp_path / "low.wav", band(100, 900), RATE)
    soundfile.write(tmp_path / "high.flac", np.repeat(band(4000, 6000, rate=44_100), 2, 1), 44_100)
    templates = learn(
        {"low": [tmp_path / "low.wav", band(1100, 1900)], "high": [str(tmp_path / "high.flac")]},
        components=3,
        settings=Settings(mode="quality"),
        splits="percussive",
        source="noise",
    )
    sizes = Settings(mode="quality").sizes(RATE)
    assert templates.parts == ("low", "high") and templates.part_of.tolist() == [0, 0, 0, 1, 1, 1]
    assert (templates.sample_rate, templates.window_size, templates.synthesis_size) == (RATE, *sizes[:2])
    assert (templates.splits, templates.source) == ("percussive", "noise")
    assert inside(templates, "low", 0, 2000) > 0.95
    assert inside(templates, "high", 3900, 6100) > 0.95


@pytest.mark.parametrize("method", METHODS)
def test_learning_gives_the_same_on_every_run(method):
    examples = {"a": [band(100, 900)], "b": [band(2000, 5000)]}
    first, second = (learn(examples, sample_rate=RATE, method=method) for _ in range(2))
    assert np.array_equal(first.spectra, second.spectra)
    assert first.spectra.shape == (16, BINS)


def test_silence_around_a_sound_teaches_nothing():
    sound, quiet = band(500, 1500), band(4000, 6000, seconds=2, seed=2) * 10 ** (-50 / 20)
    templates = learn({"a": [np.concatenate([quiet, sound, quiet])]}, sample_rate=RATE, method="nmf")
    assert inside(templates, "a", 400, 1600) > 0.9


def test_a_sound_within_40_db_of_the_loudest_is_learned():
    soft = band(4000, 6000, seed=2) * 10 ** (-34 / 20)
    templates = learn({"a": [band(500, 1500), soft]}, sample_rate=RATE, components=2)
    assert (templates.spectra @ (np.arange(BINS) * RATE / SIZES.window_size)).max() > 3500


def test_of_long_recordings_some_frames_are_drawn(monkeypatch):
    seen = []
    monkeypatch.setattr(dictionary, "k_means", lambda frames, count, random: seen.append(frames) or frames[:count])
    monkeypatch.setattr(dictionary, "_MOST_FRAMES", 100)
    learn({"a": [band(100, 7000, 2), band(100, 7000, 1, seed=2)]}, sample_rate=RATE)
    everything = [magnitudes(band(100, 7000, *more), SIZES) for more in ((2,), (1, 2))]
    assert abs(len(seen[0]) - 100) <= 1
    share = np.mean([(everything[0] == frame).all(1).any() for frame in seen[0]])
    assert 0.6 < share < 0.73
    whole = np.concatenate(everything)
    places = [int(np.argmax((whole == frame).all(1))) for frame in seen[0]]
    assert (whole[places] == seen[0]).all() and places == sorted(places)
    assert max(np.diff(places)) < len(whole) / 4


@pytest.mark.parametrize("method", BLIND)
def test_a_mix_is_taken_apart_into_what_sounds_together(method):
    """Each of two drums has a stroke and a longer tone of its own."""
    seconds = np.arange(2 * RATE)[:, None] / RATE
    drums = {"1": (0, 100, 500, 900, 1300), "2": (0.25, 2500, 3500, 4500, 6000)}
    mix = np.zeros((2 * RATE, 1))
    for start, *edges in drums.values():
        since = (seconds - start) % 0.5
        mix += band(*edges[:2], 2) * np.exp(-since / 0.05) + band(*edges[2:], 2, seed=2) * np.exp(-since / 0.01)
    templates = learn_blind(mix.astype(np.float32), sample_rate=RATE, parts=2, components=2, method=method)
    assert templates.parts == ("1", "2") and len(templates.spectra) == 4
    assert inside(templates, "1", 0, 1700) > 0.8
    assert inside(templates, "2", 2200, 6400) > 0.8
    softer = learn_blind(0.01 * mix.astype(np.float32), sample_rate=RATE, parts=2, components=2, method=method)
    assert np.allclose(softer.spectra, templates.spectra, atol=1e-3 if method == "nae-adam" else 1e-4)


def test_those_most_alike_merge():
    activations = np.array([[1, 0, 1, 0.1], [0, 1, 0.1, 1], [1, 0.1, 1, 0], [0.1, 1, 0, 1.0]])
    assert sorted(map(sorted, dictionary._merged(np.corrcoef(activations), 2))) == [[0, 2], [1, 3]]


SHORT = r"too few for .*: give a longer recording, or ask for fewer\.$"


@pytest.mark.parametrize(
    "sound, sentence",
    (
        (np.zeros((0, 1)), r"recording 1 of 'a' is empty or of shape \(0, 1\)"),
        (np.zeros((9, 1, 1)), r"recording 1 of 'a' is empty or of shape \(9, 1, 1\)"),
        (np.zeros((9000, 1)), r"recording 1 of 'a' is silent: record it again, louder\.$"),
        (signals.noise(9000, level=1e-6), r"recording 1 of 'a' is silent"),
        (np.full((9000, 1), np.nan), r"recording 1 of 'a' holds what is no number: record it again\.$"),
        (signals.noise(SIZES.hop_size), SHORT),
        (signals.noise(3 * SIZES.hop_size), r"'a' has 3 frames that sound, " + SHORT),
    ),
)
def test_recordings_that_teach_nothing_are_refused(sound, sentence):
    with pytest.raises(BadInput, match=sentence):
        learn({"a": [sound]}, sample_rate=RATE)


def test_one_frame_is_not_enough_for_one_component_either():
    with pytest.raises(BadInput, match=r"'a' has 1 frames that sound, " + SHORT):
        learn({"a": [signals.noise(SIZES.hop_size)]}, sample_rate=RATE, components=1)
    with pytest.raises(BadInput, match="1 frames sound, " + SHORT):
        learn_blind(signals.noise(SIZES.hop_size), sample_rate=RATE)


def test_a_question_without_an_answer_is_refused(tmp_path):
    sound = {"a": [band(100, 900)]}
    with pytest.raises(BadInput, match="unknown method 'kmeans': did you mean 'k-means'"):
        learn(sound, sample_rate=RATE, method="kmeans")
    with pytest.raises(BadInput, match="sample_rate is missing"):
        learn(sound)
    with pytest.raises(BadInput, match="the name 'melody' is reserved"):
        learn({"melody": [band(100, 900)]}, sample_rate=RATE)
    with pytest.raises(BadInput, match="there is no recording of 'a'"):
        learn({"a": []}, sample_rate=RATE)
    with pytest.raises(BadInput, match="there are no parts"):
        learn({})
    with pytest.raises(BadInput, match="there is no file"):
        learn({"a": [tmp_path / "a.wav"]})
    for components in (0, 65):
        with pytest.raises(BadInput, match=f"{components} components: there may be 1 to 64"):
            learn(sound, sample_rate=RATE, components=components)
        with pytest.raises(BadInput, match=f"{components} parts: there may be 1 to 64"):
            learn_blind(sound["a"][0], sample_rate=RATE, parts=components)


def test_a_clipped_recording_is_told_of_and_a_loud_one_is_not():
    with pytest.warns(UserWarning, match="recording 1 of 'a' is clipped: its templates will be too broad"):
        learn({"a": [np.clip(8 * band(500, 1500), -1, 1)]}, sample_rate=RATE)
    seconds = np.arange(48_000) / 48_000
    bass = np.rint(np.sin(2 * np.pi * 40 * seconds) * 32767) / 32768
    square = np.sign(bass) * 0.5
    for sound in (30 * band(500, 1500), bass, square):
        learn({"a": [sound]}, sample_rate=48_000)


# The command


def test_the_command_learns_named_files(tmp_path, capsys):
    for name, sound in (("low", band(100, 900)), ("lower", band(100, 500)), ("high", band(4000, 6000))):
        soundfile.write(tmp_path / f"{name}.wav", sound, RATE)
    out = tmp_path / "kit.rtsep"
    recordings = [f"kick={tmp_path}/low.wav", f"hat={tmp_path}/high.wav", f"kick={tmp_path}/lower.wav"]
    learn_files(recordings, str(out), settings=Settings(), components=2, method="spa", splits="percussive")
    templates = load(out)
    assert templates.parts == ("kick", "hat") and templates.part_of.tolist() == [0, 0, 1, 1]
    assert (templates.source, templates.splits) == ("low.wav, lower.wav, high.wav, by spa", "percussive")
    assert inside(templates, "kick", 0, 1000) > 0.9
    assert "kit.rtsep: 4 templates of kick, hat, 16000 Hz, 48 ms" in capsys.readouterr().err
    with pytest.raises(BadInput, match="exists already"):
        learn_files(recordings[:1], str(out), settings=Settings())
    learn_files(recordings[:1], str(out), settings=Settings(), sample_rate=8000, force=True)
    assert (load(out).parts, load(out).sample_rate) == (("kick", "rest"), 8000)


def test_the_command_learns_a_part_from_some_seconds_and_what_is_left_from_the_others(tmp_path):
    low, high = band(200, 800), band(3000, 5000)
    recording, out = tmp_path / "song.wav", str(tmp_path / "hat.rtsep")
    soundfile.write(recording, np.concatenate([low, high, low]), RATE)
    seconds = len(low) / RATE
    learn_files([f"hat={recording}@{seconds:g}-0:{2 * seconds:g}"], out, settings=Settings())
    templates = load(out)
    assert templates.parts == ("hat", "rest") and templates.splits == "mix"
    assert inside(templates, "hat", 2800 / 2**0.5, 5200 * 2**0.5) > 0.9 and np.bincount(templates.part_of)[0] % 8 == 0
    rest = templates.spectra[templates.part_of == 1]
    assert np.ptp(rest[0]) == 0 and 2 < len(rest) <= 16
    hertz = np.fft.rfftfreq(templates.window_size, 1 / RATE)
    assert rest[1:, (hertz > 100) & (hertz < 900)].sum(1).min() > 0.8
    learn_files([f"hat={recording}"], out, settings=Settings(), force=True)
    assert np.bincount(load(out).part_of).tolist() == [8, 1]
    learn_files([f"hat={recording}"], out, settings=Settings(), splits="percussive", force=True)
    assert load(out).parts == ("hat",)
    for times, sentence in (("1-99", "lasts"), ("1-1", "two moments"), ("1:2:x-3", "there is no|cannot")):
        with pytest.raises(BadInput, match=sentence):
            learn_files([f"hat={recording}@{times}"], out, settings=Settings(), force=True)
    (tmp_path / "odd@1-2").write_bytes(recording.read_bytes())
    learn_files([f"hat={tmp_path / 'odd@1-2'}"], out, settings=Settings(), splits="percussive", force=True)


def test_the_command_takes_a_mix_apart(tmp_path):
    soundfile.write(tmp_path / "mix.wav", band(100, 7000), RATE)
    learn_files([str(tmp_path / "mix.wav")], str(tmp_path / "a"), settings=Settings(), parts=3, components=2)
    made = load(tmp_path / "a")
    assert made.parts == ("1", "2", "3") and np.bincount(made.part_of).sum() == 6
    assert made.source == "mix.wav, taken apart blindly by nmf"
    learn_files([str(tmp_path / "mix.wav")], str(tmp_path / "c"), settings=Settings(), parts=3, method="spa")
    made = load(tmp_path / "c")
    assert made.part_of.tolist() == [0, 1, 2] and made.source == "mix.wav, taken apart blindly by spa"
    with pytest.raises(BadInput, match=r"2 recordings to be taken apart: name one mix\.$"):
        learn_files(["a.wav", "b.wav"], str(tmp_path / "b"), settings=Settings(), parts=3)


def test_the_command_wants_a_name_for_each_recording(tmp_path):
    for recording in ("kick.wav", "kick="):
        with pytest.raises(BadInput, match=rf"'{recording}' names no part: write kick="):
            learn_files([recording], str(tmp_path / "a"), settings=Settings())


@pytest.mark.parametrize(
    "more, sentence",
    (
        (dict(parts=3, method="k-means"), r"^k-means finds no activations, .*: choose another method, as nmf\.$"),
        (dict(parts=3, method="nonsense"), r"unknown method 'nonsense'"),
        (dict(method="kmeans"), r"did you mean 'k-means'"),
        (dict(method="nmfd"), r"^the templates of nmfd last some frames, and those of the engine one: choose another"),
        (dict(scores=["a.mid"], method="nmf"), r"method is nmf, but pitches are learned by their score: leave"),
        (dict(scores=["a.mid"], method="nonsense"), r"unknown method 'nonsense'"),
        (dict(scores=["a.mid"], components=4), r"4 components, but of each pitch there is one: leave --components out"),
        (dict(method="nonsense"), r"unknown method 'nonsense'"),
    ),
)
def test_what_does_not_apply_to_a_way_of_learning_is_refused(tmp_path, more, sentence):
    soundfile.write(tmp_path / "a.wav", band(100, 7000), RATE)
    recording = str(tmp_path / "a.wav") if "parts" in more else f"a={tmp_path / 'a.wav'}"
    with pytest.raises(BadInput, match=sentence):
        learn_files([recording], str(tmp_path / "out"), settings=Settings(), **more)
    assert not (tmp_path / "out").exists()


def test_a_mix_is_taken_apart_by_the_method_that_is_named(tmp_path):
    soundfile.write(tmp_path / "mix.wav", np.concatenate([band(100, 2000), band(3000, 7000)]), RATE)
    for name, method in (("a", None), ("b", "nmf"), ("c", "xray")):
        mix, out = str(tmp_path / "mix.wav"), str(tmp_path / name)
        learn_files([mix], out, settings=Settings(), parts=2, components=2, method=method)
    a, b, c = (load(tmp_path / name).spectra for name in "abc")
    assert np.array_equal(a, b) and not np.allclose(a, c, atol=1e-3)


# What sounds beside the parts


def strokes(low, high, period_s, seed):
    """Five seconds of strokes in a band of noise."""
    since = np.arange(5 * RATE) / RATE % period_s
    return (band(low, high, 5, seed=seed) * np.exp(-since / 0.06)[:, np.newaxis]).astype(np.float32)


DRUMS = {"kick": (60, 300, 0.5), "snare": (700, 2500, 0.37), "hat": (3500, 7000, 0.23)}


@pytest.fixture
def drums(tmp_path):
    """Drums, each in a file of its own, and all together in mix.wav."""
    made = {name: strokes(*shape, seed) for seed, (name, shape) in enumerate(DRUMS.items(), 1)}
    for name, sound in (*made.items(), ("mix", sum(made.values()))):
        soundfile.write(tmp_path / f"{name}.wav", sound, RATE, subtype="FLOAT")
    return made


def learned(folder, *names, **more):
    learn_files([f"{name}={folder / name}.wav" for name in names], str(folder / "kit"), settings=Settings(), **more)
    return load(folder / "kit")


def separated(folder, templates, mode="balanced"):
    """The stems of mix.wav, and what was told."""
    settings = Settings(mode, templates=templates)
    (report,) = separate_files([folder / "mix.wav"], folder / "out", settings=settings, force=True)
    assert report.error is None
    paths = [path for path in report.written if path.suffix == ".wav"]
    return {path.stem: soundfile.read(path, dtype="float32", always_2d=True)[0] for path in paths}, report.warnings


def test_of_a_part_that_was_recorded_alone_what_sounds_beside_it_is_learned_from_the_file(drums, tmp_path, capsys):
    """It used to be the mix."""
    kit = learned(tmp_path, "snare")
    told = capsys.readouterr().err
    assert "nothing is known of what may sound beside snare" in told and "rest=FILE" in told
    stems, warnings = separated(tmp_path, kit)
    (warning,) = warnings
    assert f"what sounds beside snare was learned from {tmp_path / 'mix.wav'} itself" in warning
    mix = sum(drums.values())
    np.testing.assert_allclose(sum(stems.values()), mix, atol=1e-6)
    assert si_sdr(drums["snare"], stems["snare"]) > si_sdr(drums["snare"], mix) + 10
    array = separate(mix, sample_rate=RATE, settings=Settings("balanced", templates=kit))
    np.testing.assert_allclose(array["snare"], stems["snare"], atol=1e-4)


def test_where_all_that_sounds_is_known_nothing_is_learned_beside_it(drums, tmp_path):
    kit = learned(tmp_path, *DRUMS, splits="mix")
    assert kit.parts == (*DRUMS, "rest") and kit.guesses_rest
    settings = Settings("balanced", templates=kit)
    assert completed(settings, sum(drums.values()), RATE) is settings
    for silent in (np.zeros((RATE, 1), np.float32), np.zeros((0, 1), np.float32), np.full((RATE, 1), np.nan)):
        assert completed(settings, silent, RATE) is settings
    stems, warnings = separated(tmp_path, kit)
    assert warnings == () and all(si_sdr(drums[name], stems[name]) > 10 for name in DRUMS)


@pytest.mark.parametrize("missing", DRUMS)
def test_a_drum_that_was_not_in_the_sound_check_goes_to_no_other(drums, tmp_path, missing):
    kit = learned(tmp_path, *(name for name in DRUMS if name != missing), splits="mix")
    stems, _ = separated(tmp_path, kit)
    for name in kit.parts[:-1]:
        assert si_sdr(drums[name], stems[name]) > 6.5, name
    left = sum(stems[name] for name in stems if name not in kit.parts)
    assert si_sdr(drums[missing], left) > 4


def test_a_recording_of_what_sounds_beside_a_part_may_be_named(drums, tmp_path, capsys):
    soundfile.write(tmp_path / "rest.wav", drums["kick"] + drums["hat"], RATE, subtype="FLOAT")
    kit = learned(tmp_path, "rest", "snare")
    assert kit.parts == ("snare", "rest") and kit.splits == "mix" and not kit.guesses_rest
    assert "nothing is known" not in capsys.readouterr().err
    stems, warnings = separated(tmp_path, kit)
    assert warnings == () and si_sdr(drums["snare"], stems["snare"]) > 15
    with pytest.raises(BadInput, match="rest is what is left of the mix, and harmony is to be split"):
        learned(tmp_path, "rest", "snare", splits="harmony", force=True)


def test_templates_of_a_stem_get_a_rest_when_they_are_to_split_the_mix(drums, tmp_path):
    kit = learned(tmp_path, "kick", "hat")
    assert kit.parts == ("kick", "hat") and not kit.guesses_rest
    wide = kit.with_rest()
    assert wide.parts == ("kick", "hat", "rest") and wide.splits == "mix" and wide.guesses_rest
    assert wide.with_rest().parts == wide.parts
    settings = Settings(templates=wide)
    assert settings.ahead and unknown_beside(settings).startswith(
        "nothing is known of what may sound beside kick, hat,"
    )
    assert unknown_beside(Settings(templates=kit)) is None and unknown_beside(Settings()) is None


# The shipped kit


@pytest.mark.parametrize("kit", KITS)
def test_kits_and_files_go_by_name_in_settings(kit, tmp_path):
    settings = Settings(templates=kit)
    assert settings.parts == load(KITS[kit]).parts and Engine(settings).stems == settings.stems
    load(KITS[kit]).save(tmp_path / "own")
    for path in (tmp_path / "own", str(tmp_path / "own")):
        assert Settings("quality", templates=path).parts == settings.parts


@pytest.mark.parametrize(
    "name, sentence",
    (
        ("drum", "unknown kit 'drum': did you mean 'drums'"),
        ("none.rtsep", "there is no file none.rtsep: make it with rtsep learn"),
        (3, "templates are 3: give Templates, the name of a kit, or a path"),
        (["drums"], r"templates are \['drums'\]: give"),
    ),
)
def test_what_is_no_kit_and_no_file_is_refused_by_settings(name, sentence):
    with pytest.raises(BadInput, match=sentence):
        Settings(templates=name)


def test_the_kit_that_comes_along_is_one_of_drums():
    kit = load(KITS["drums"])
    assert kit.parts == ("kick", "snare", "hihat", "toms", "cymbals") and kit.splits == "percussive"
    assert "FluidR3" in kit.source and "MIT licence" in kit.source
    assert KITS["drums"].stat().st_size < 300_000
    assert kit.fitted(Settings().sizes(48_000), 48_000) is kit
    pitch = np.array([(kit.spectra[kit.part_of == p] @ np.arange(kit.spectra.shape[1])).mean() for p in range(5)])
    assert list(np.argsort(pitch[:3])) == [0, 1, 2] and pitch[3] < pitch[1] and pitch[4] > pitch[1]


def test_the_kit_fits_every_mode_that_follows_a_melody():
    for mode in ("live", "balanced", "quality"):
        for rate in (44_100, 48_000, 96_000):
            sizes = Settings(mode=mode).sizes(rate)
            assert load(KITS["drums"]).fitted(sizes, rate).spectra.shape == (5, sizes.window_size // 2 + 1)
