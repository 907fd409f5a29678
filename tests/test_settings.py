"""Settings: modes keep their promised latency, sizes follow the sample rate, bad values are refused in words."""

import dataclasses
from typing import NamedTuple

import pytest

from rtsep.dsp import stft
from rtsep.errors import BadInput
from rtsep.settings import GROUPS, MODES, STEMS, Settings

RATES = (8000, 11025, 16000, 22050, 32000, 44100, 48000, 88200, 96000, 176400, 192000)
LIMITS_MS = {"live": 6, "balanced": 12, "quality": 100}


def latency_ms(mode, rate):
    return stft.latency(Settings(mode=mode).sizes(rate)) / rate * 1000


@pytest.mark.parametrize("mode, limit", LIMITS_MS.items())
@pytest.mark.parametrize("rate", RATES)
def test_modes_keep_their_latency_at_every_rate(mode, limit, rate):
    assert limit / 3 < latency_ms(mode, rate) <= limit


def test_latencies_at_48_khz_are_those_stated():
    assert stft.latency(Settings(mode="live").sizes(48000)) == 256
    assert stft.latency(Settings().sizes(48000)) == 512


def test_offline_is_librosa_s_default_at_44_1_khz():
    sizes = Settings(mode="offline").sizes(44100)
    assert (sizes.window_size, sizes.synthesis_size, sizes.hop_size) == (2048, 2048, 512)
    assert (sizes.harmonic_frames, sizes.lookahead_frames, sizes.percussive_bands) == (31, 15, ((0, 31),))
    assert (Settings(mode="offline").bias, Settings(mode="offline").exponent) == (1, 2)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("rate", RATES)
def test_sizes_fit_together_at_every_rate(mode, rate):
    sizes = Settings(mode=mode).sizes(rate)
    power = sizes.synthesis_size // 3 if sizes.synthesis_size % 3 == 0 else sizes.synthesis_size
    assert power & (power - 1) == 0 and sizes.window_size % sizes.synthesis_size == 0
    assert 0.042 <= sizes.window_size / rate <= 0.0481
    assert sizes.synthesis_size == 4 * sizes.hop_size and sizes.harmonic_frames % 2 == 1
    assert 0 <= sizes.lookahead_frames <= sizes.harmonic_frames // 2
    starts = [first for first, _ in sizes.percussive_bands]
    assert starts[0] == 0 and starts == sorted(starts) and starts[-1] <= sizes.window_size // 2
    assert all(span % 2 == 1 and span // 2 <= sizes.window_size // 2 for _, span in sizes.percussive_bands)


def test_windows_that_are_too_short_for_a_transform_of_three_times_a_power_are_powers():
    sizes = [Settings(synthesis_s=0.006, window_ratio=ratio).sizes(8000).window_size for ratio in (2, 4)]
    assert sizes == [64, 192]


@pytest.mark.parametrize("mode", MODES)
def test_medians_span_the_same_time_and_frequency_at_44_1_48_and_96_khz(mode):
    settings = Settings(mode=mode)
    for rate in (44100, 48000, 96000):
        sizes = settings.sizes(rate)
        hop_s, bin_hz = sizes.hop_size / rate, rate / sizes.window_size
        assert abs(sizes.harmonic_frames * hop_s - settings.harmonic_s) <= hop_s
        for (first, span), (start, length) in zip(sizes.percussive_bands, settings.percussive_bands, strict=True):
            assert abs(first * bin_hz - start) <= bin_hz / 2 and abs(span * bin_hz - length) <= bin_hz


def test_fields_left_out_are_those_of_the_mode_and_given_ones_stay():
    settings = Settings(mode="live", harmonic_s=0.25)
    assert settings.harmonic_s == 0.25 and settings.window_ratio == MODES["live"]["window_ratio"]
    assert Settings().mode == "balanced"


def test_all_modes_but_librosa_s_follow_a_melody_and_none_may_change_the_key_unless_asked():
    assert {mode: Settings(mode=mode).melody for mode in MODES} == {mode: mode != "offline" for mode in MODES}
    assert not any(Settings(mode=mode).transpose for mode in MODES)
    own = Settings(melody=False, transpose=True)
    assert (own.melody, own.transpose) == (False, True)


def test_groups_are_sums_of_stems_and_every_stem_that_is_not_the_melody_accompanies_it():
    assert not set(GROUPS) & set(STEMS)
    assert all(set(members) < set(STEMS) and len(set(members)) == len(members) for members in GROUPS.values())
    assert {*GROUPS["accompaniment"], "melody"} == set(STEMS) and set(GROUPS["harmonic"]) == {"melody", "harmony"}


def test_settings_are_frozen_and_equal_by_value():
    assert Settings() == Settings(mode="balanced") != Settings(mode="live")
    assert hash(Settings()) == hash(Settings())
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings().window_ratio = 8


@pytest.mark.parametrize(
    "wrong, words",
    (
        (dict(mode="balenced"), "'balenced'.*did you mean 'balanced'"),
        (dict(mode=""), "unknown mode"),
        (dict(synthesis_s=0.0001), "synthesis_s is 0.0001: it must lie between 0.002 and 0.2 s"),
        (dict(synthesis_s=float("nan")), "synthesis_s is nan"),
        (dict(harmonic_s=-1), "harmonic_s is -1"),
        (dict(harmonic_s="long"), "harmonic_s is 'long'"),
        (dict(percussive_bands=((0, float("inf")),)), "a length in percussive_bands is inf"),
        (dict(percussive_bands=((100, 600),)), "must ascend from a frequency of 0"),
        (dict(percussive_bands=((0, 60), (500, 60), (200, 60))), "must ascend"),
        (dict(percussive_bands=()), "must ascend"),
        (dict(lookahead_s=0.06), "lookahead_s is 0.06.*half of harmonic_s"),
        (dict(window_ratio=3), "window_ratio is 3: it must be 1, 2, 4, 8 or 16"),
    ),
)
def test_wrong_settings_are_refused_with_the_value_and_the_range(wrong, words):
    with pytest.raises(BadInput, match=words):
        Settings(**wrong)


@pytest.mark.parametrize("rate", (0, -48000, 7999, 192001, float("nan"), float("inf")))
def test_sample_rates_beyond_8_to_192_khz_are_refused(rate):
    with pytest.raises(BadInput, match="sample rate"):
        Settings().sizes(rate)


def test_names_and_stages_may_come_as_lists():
    assert Settings(stages=[]) == Settings() and hash(Settings(stages=[])) == hash(Settings())
    assert (
        hash(Settings(learn=["horn"])) == hash(Settings(learn=("horn",)))
        and Settings(learn=["horn"]).stems[0] == "horn"
    )


def test_the_room_is_a_stem_before_the_residual_and_in_no_group():
    assert Settings(room=True).stems == (*STEMS[:-1], "room", "residual") and Settings(room=True).groups == GROUPS
    assert Settings(room=True, learn=("a",)).stems == ("a", *STEMS[:-1], "room", "residual")
    assert "room" not in Settings().stems


def test_windows_are_twice_as_long_where_pitches_split_the_mix():
    class Pitched(NamedTuple):
        parts: tuple[str, ...] = ("piano",)
        splits: str = "mix"
        pitches: tuple[int, ...] = (60,)

    plain = Settings("balanced").sizes(48_000)
    pitched = Settings("balanced", templates=Pitched()).sizes(48_000)
    assert (pitched.window_size, pitched.synthesis_size) == (2 * plain.window_size, plain.synthesis_size)
    assert pitched.hop_size == plain.hop_size and pitched.harmonic_frames == plain.harmonic_frames
    for other in (Pitched(splits="harmony"), Pitched(pitches=())):
        assert Settings("balanced", templates=other).sizes(48_000) == plain
