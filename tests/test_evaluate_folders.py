"""Whole sets of stems against the true ones: matching, BSS Eval, oracle masks, and the command."""

import json
import math
import sys

import librosa
import mir_eval
import numpy as np
import pytest
import soundfile
from signals import music, noise, tune

from rtsep import evaluate
from rtsep.__main__ import main
from rtsep.errors import BadInput, Unavailable
from rtsep.offline import oracles
from rtsep.offline.bss_eval import bss_eval
from rtsep.offline.evaluate import snr
from rtsep.offline.oracles import oracle
from rtsep.offline.spectra import inconsistency, istft, stft

RATE = 16_000


@pytest.fixture(scope="module")
def stems():
    return {
        "drums": noise(RATE, 2),
        "lead": np.repeat(tune(RATE, RATE, (330, 392), 0.4), 2, 1),
        "band": music(RATE, RATE, 2),
    }


@pytest.fixture
def folders(stems, tmp_path):
    """True stems, and worse ones under other names, in two folders; beside them their mixture."""
    for folder, others in (("true", 0.0), ("estimates", 0.1)):
        (tmp_path / folder).mkdir()
        mix = sum(stems.values())
        for name, sound in stems.items():
            called = name if folder == "true" else {"drums": "a", "lead": "b", "band": "c"}[name]
            write(tmp_path / folder / f"{called}.wav", sound + others * (mix - sound))
    write(tmp_path / "mix.wav", mix)
    return tmp_path


def write(path, sound, rate=RATE):
    soundfile.write(path, sound, rate, subtype="FLOAT")


def blurred(sounds, channels):
    """`sounds` with something of the others, an echo and noise, (sources, samples, channels)."""
    sounds = np.stack([sound[:, :channels] for sound in sounds])
    echo = np.roll(sounds, 40, 1)
    return sounds + 0.3 * echo + 0.2 * sounds[::-1] + 0.05 * noise(sounds[0].size, seed=5).reshape(sounds[0].shape)


@pytest.mark.filterwarnings("ignore:mir_eval.separation")
def test_bss_eval_of_mono_is_that_of_mir_eval(stems):
    true = np.stack([sound[:, :1] for sound in stems.values()])
    estimates = blurred(stems.values(), 1)
    sdr, sir, sar, _ = mir_eval.separation.bss_eval_sources(true[..., 0], estimates[..., 0], False)
    np.testing.assert_allclose(np.transpose(bss_eval(true, estimates)), [sdr, sir, sar], atol=1e-3)


@pytest.mark.filterwarnings("ignore:mir_eval.separation")
def test_bss_eval_of_stereo_is_that_of_images_in_mir_eval():
    true = np.stack([noise(RATE, 2, seed=seed) for seed in (1, 2)])
    estimates = blurred(true, 2)
    sdr, _, sir, sar, _ = mir_eval.separation.bss_eval_images(true, estimates, False)
    found = np.transpose(bss_eval(true, estimates))
    np.testing.assert_allclose(found[1:], [sir, sar], atol=1e-3)
    np.testing.assert_allclose([snr(*both) for both in zip(true, estimates, strict=True)], sdr, atol=1e-3)


def test_bss_eval_knows_stems_that_nobody_estimated():
    true = [noise(RATE, 1, seed=seed) for seed in (1, 2)]
    ((_, sir, sar),) = bss_eval(true, [true[0] + 0.1 * true[1]])
    assert sir == pytest.approx(20, abs=0.5) and sar > 60


def test_bss_eval_takes_a_mono_stem_on_two_channels():
    true = [np.repeat(noise(RATE, 1, seed=seed), 2, 1) for seed in (1, 2)]
    ((sdr, *_),) = bss_eval(true, [true[0] + noise(RATE, 2, 0.01, seed=3)])
    assert sdr == pytest.approx(20, abs=0.5)


def test_known_numbers():
    ((_, _, measures, _),) = evaluate({"x": np.array([1.0, 2.0, 2.0])}, {"x": np.array([1.0, 2.0, 2.3])}).scores
    assert measures.snr == pytest.approx(20)  # 3 against 0.3
    assert measures.snr_amplitude == pytest.approx(10)  # 10 log10 of ten times the amplitude
    assert measures.sdr is None


def test_names_come_first_and_what_is_left_is_assigned_as_a_whole(stems):
    true = {name.title(): sound for name, sound in stems.items()}
    guesses = {"LEAD": stems["band"], "x": 0.9 * stems["drums"] + 0.5 * stems["band"], "y": stems["drums"]}
    found = {score.truth: score.estimate for score in evaluate(true, guesses).scores}
    assert found == {"Drums": "y", "Lead": "LEAD", "Band": "x"}
    found = {score.truth: score.estimate for score in evaluate(true, guesses, matching="one-to-one").scores}
    assert found == {"Drums": "y", "Lead": "x", "Band": "LEAD"}


def test_two_may_share_the_best(stems):
    both = {"both": stems["drums"] + stems["lead"], "band": stems["band"]}
    found = evaluate(stems, both, matching="best")
    assert [score.estimate for score in found.scores] == ["both", "both", "band"]
    found = evaluate(stems, both | {"silence": np.zeros((RATE, 2))})
    assert {score.estimate for score in found.scores} == {"both", "band", "silence"} and found.unused == ()


def test_what_has_no_partner_is_named_and_out_of_the_mean(stems):
    found = evaluate(stems, {"lead": 1.1 * stems["lead"]})
    assert [score.estimate for score in found.scores] == [None, "lead", None]
    assert math.isnan(found.scores[0].measures.snr)
    assert found.mean.snr == pytest.approx(20)
    found = evaluate({"lead": stems["lead"]}, stems)
    assert found.unused == ("drums", "band")


def test_arrays_without_names_are_counted(stems):
    sounds = np.stack([*stems.values()])
    found = evaluate(sounds, 2 * sounds[::-1], matching="one-to-one")
    assert [(score.truth, score.estimate) for score in found.scores] == [("1", "3"), ("2", "2"), ("3", "1")]
    assert found.mean.snr == pytest.approx(0) and found.mean.si_sdr == math.inf


def test_a_silent_truth_is_told_and_has_no_figures(stems):
    true = stems | {"drums": np.zeros((RATE, 2))}
    with pytest.warns(UserWarning, match="'drums' is silent"):
        found = evaluate(true, stems, bss_eval=True)
    assert math.isnan(found.scores[0].measures.si_sdr) and found.scores[0].measures.sdr is None
    assert found.mean.snr == math.inf


def test_a_silent_estimate_has_nothing(stems):
    measures = evaluate({"x": stems["lead"]}, {"x": np.zeros((RATE, 2))}, bss_eval=True).scores[0].measures
    assert measures.snr == pytest.approx(0) and measures.si_sdr == -math.inf and math.isnan(measures.sdr)


@pytest.mark.parametrize("late", (1105, -30))
def test_a_shift_is_told(stems, late):
    word = f"{abs(late)} samples {'late' if late > 0 else 'early'}"
    with pytest.warns(UserWarning, match=word):
        evaluate({"x": stems["drums"]}, {"x": np.roll(stems["drums"], late, 0)})


def test_mono_is_spread_and_lengths_are_cut_with_a_word(stems):
    lead = stems["lead"]
    with pytest.warns(
        UserWarning, match="as long as the estimate 'x': compared are the first 15000 of up to 16000 samples"
    ):
        found = evaluate({"x": lead}, {"x": lead[:15000, 0]})
    assert found.mean.snr == math.inf


def test_oracle_masks_against_their_formulas(stems):
    mix = sum(stems.values())
    whole = librosa.stft(mix.T, n_fft=2048)
    parts = np.stack([librosa.stft(sound.T, n_fft=2048) for sound in stems.values()])
    masks = {
        "ratio mask": np.abs(parts) ** 2 / (np.abs(parts) ** 2).sum(0),
        "binary mask": np.abs(parts) == np.abs(parts).max(0),
        "phase-sensitive mask": np.clip(np.abs(parts / whole) * np.cos(np.angle(parts) - np.angle(whole)), 0, 1),
    }
    for kind, each in masks.items():
        for found, mask in zip(oracle(kind, [*stems.values()], mix), each, strict=True):
            np.testing.assert_allclose(found, librosa.istft(mask * whole, n_fft=2048, length=RATE).T, atol=2e-4)


def test_oracle_masks_of_pieces_are_those_of_the_whole(stems, monkeypatch):
    whole = oracle("ratio mask", [*stems.values()], sum(stems.values()))
    monkeypatch.setattr(oracles, "_PIECE", 3 * 512)
    np.testing.assert_allclose(oracle("ratio mask", [*stems.values()], sum(stems.values())), whole, atol=1e-6)


def test_what_a_mixture_has_beside_the_stems_is_left_out_by_masks(stems):
    more = {name: stems[name] for name in ("drums", "lead")}
    found = evaluate(more, more, mixture=sum(stems.values())).others_mean
    all = evaluate(stems, stems, mixture=sum(stems.values()))
    same = np.mean([score.others["ratio mask"].si_sdr for score in all.scores[:2]])
    assert found["mixture"].si_sdr + 5 < found["ratio mask"].si_sdr == pytest.approx(same, abs=0.01)


def test_transforms_are_librosas(stems):
    lead = stems["lead"][:, 0]
    for window, hop in ((2048, 512), (1000, 300)):
        spectra = stft(lead, window, hop)
        np.testing.assert_allclose(spectra, librosa.stft(lead, n_fft=window, hop_length=hop), atol=1e-4)
        modified = spectra * np.random.default_rng(1).uniform(size=spectra.shape)
        truth = librosa.istft(modified, n_fft=window, hop_length=hop, length=RATE)
        np.testing.assert_allclose(istft(modified, hop, RATE), truth, atol=1e-5)


def test_what_nobody_modified_is_consistent(stems):
    spectra = stft(stems["drums"].T.astype(np.float64))
    assert inconsistency(spectra) < -280
    random = np.random.default_rng(1).uniform(-np.pi, np.pi, spectra.shape)
    modified = np.abs(spectra) * np.exp(1j * random)
    again = np.stack([librosa.stft(librosa.istft(each, length=RATE)) for each in modified])
    truth = 10 * np.log10(np.sum(np.abs(again - modified) ** 2) / np.sum(np.abs(modified) ** 2))
    assert inconsistency(modified) == pytest.approx(truth, abs=0.1)
    for wrong, word in ((spectra[0, 0], "shape"), (np.zeros((2, 2)), "shape")):
        with pytest.raises(BadInput, match=word):
            inconsistency(wrong)
    with pytest.raises(BadInput, match="hop_size is 2000"):
        inconsistency(spectra, 2000)


@pytest.mark.parametrize(
    "truth, estimates, options, words",
    [
        ({}, {"x": np.ones(9)}, {}, "0 true stems"),
        ({"x": np.ones(9)}, {"x": np.ones(9)}, {"matching": "name"}, "unknown matching 'name'"),
        ({"x": np.ones(9, int)}, {"x": np.ones(9)}, {}, "true stem 'x' is an array of int64"),
        ({"x": np.ones(9)}, {"x": np.full(9, np.nan)}, {}, "estimate 'x' holds what is no number"),
        ({"x": np.ones((9, 2))}, {"x": np.ones((9, 3))}, {}, "'x' has 2 channels and others 3"),
        ({"x": np.ones(9)}, {"x": np.ones(0)}, {}, "estimate 'x' is an array of float64 (0,)"),
    ],
)
def test_bad_input_gets_a_sentence(truth, estimates, options, words):
    with pytest.raises(BadInput) as error:
        evaluate(truth, estimates, **options)
    assert words in str(error.value)


def test_without_scipy_names_still_match(stems, monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    assert evaluate(stems, stems).mean.snr == math.inf
    assert evaluate(stems, [*stems.values()], matching="best").mean.snr == math.inf
    with pytest.raises(Unavailable, match=r"rtsep\[evaluate\]"):
        evaluate(stems, [*stems.values()])


def test_the_command_prints_tables(folders, capsys):
    assert main(["evaluate", f"{folders}/true", f"{folders}/estimates", "--mixture", f"{folders}/mix.wav"]) == 0
    first, second = capsys.readouterr().out.split("\n\n")
    assert first.splitlines()[0].split() == ["stem", "estimate", "SNR", "SNR/2", "SI-SDR"]
    assert [line.split()[:2] for line in first.splitlines()[1:4]] == [["band", "c"], ["drums", "a"], ["lead", "b"]]
    assert len({len(line) for line in first.splitlines()}) == 1
    means = [float(word) for word in second.splitlines()[-1].split()[1:]]
    assert means[1] < means[2] < means[0]  # the mixture, the ratio mask, a tenth of the others


@pytest.mark.filterwarnings("default")
def test_the_command_prints_json(folders, capsys):
    write(folders / "estimates" / "d.wav", np.zeros((RATE, 2)))
    write(folders / "true" / "a silent one.wav", np.zeros((RATE, 2)))
    options = ["--json", "--bss-eval", "--matching", "best"]
    assert main(["evaluate", f"{folders}/true", f"{folders}/estimates", *options]) == 0
    printed = capsys.readouterr()
    found = json.loads(printed.out, parse_constant=pytest.fail)
    assert found["unused"] == ["d"] and found["scores"][0]["snr"] is None
    assert found["scores"][1]["sir"] == pytest.approx(found["scores"][1]["sdr"], abs=1)
    assert "rtsep: the true stem 'a silent one' is silent" in printed.err


def test_the_mixture_among_the_stems_is_none_of_them(folders, capsys):
    (folders / "mix.wav").rename(folders / "true" / "mixture.wav")
    mix = f"{folders}/true/mixture.wav"
    assert main(["evaluate", f"{folders}/true", f"{folders}/estimates", "--mixture", mix, "--json"]) == 0
    assert [score["truth"] for score in json.loads(capsys.readouterr().out)["scores"]] == ["band", "drums", "lead"]


@pytest.mark.filterwarnings("default")
def test_other_rates_are_resampled_with_a_word(stems, tmp_path, capsys):
    lead = stems["lead"]
    write(tmp_path / "true.wav", lead)
    write(tmp_path / "other.wav", librosa.resample(lead.T, orig_sr=RATE, target_sr=2 * RATE).T, 2 * RATE)
    assert main(["evaluate", f"{tmp_path}/true.wav", f"{tmp_path}/other.wav", "--json"]) == 0
    printed = capsys.readouterr()
    assert "the estimate 'other' has 32000 Hz, and is resampled to the 16000 Hz" in printed.err
    assert json.loads(printed.out)["mean"]["si_sdr"] > 30


def test_the_picture_is_written_whole_and_never_over_another(folders, capsys):
    command = ["evaluate", f"{folders}/true", f"{folders}/estimates", "--picture", f"{folders}/bars.png"]
    assert main([*command, "--mixture", f"{folders}/mix.wav"]) == 0
    assert (folders / "bars.png").read_bytes().startswith(b"\x89PNG")
    assert main(command) == 2
    assert "bars.png exists already" in capsys.readouterr().err
    (folders / "estimates" / "a.wav").unlink()
    assert main([*command, "--force"]) == 0


def test_the_command_refuses(folders, capsys):
    (folders / "empty").mkdir()
    for estimates, word in ((f"{folders}/no", "there is no file"), (f"{folders}/empty", "is a folder")):
        assert main(["evaluate", f"{folders}/true", estimates]) == 2
        assert word in capsys.readouterr().err
    write(folders / "nan.wav", np.full(9, np.nan))
    assert main(["evaluate", f"{folders}/true", f"{folders}/nan.wav"]) == 2
    assert "the estimate 'nan' holds what is no number" in capsys.readouterr().err
    soundfile.write(folders / "true" / "lead.flac", np.zeros(9), RATE)
    assert main(["evaluate", f"{folders}/true", f"{folders}/estimates"]) == 2
    assert "lead.wav has a namesake there" in capsys.readouterr().err
