"""Stems that are split by templates: they add up, their group is what it was, and their faders move them."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import signals
from test_engine import EVERY_MODE, decibels, engine_for, parted, processed

from rtsep import BadInput, Engine, Settings, separate
from rtsep.settings import STEMS
from rtsep.templates import Templates

RATE = 16000
PARTS = ("low", "middle", "high")
EDGES_HZ = (0, 300, 2000, 8000)


def bands(mode="balanced", rate=RATE, splits="percussive", **options) -> Templates:
    """Two templates for each of three bands, which do not overlap."""
    sizes = Settings(mode).sizes(rate)
    hertz = np.arange(sizes.window_size // 2 + 1) * rate / sizes.window_size
    random, spectra = np.random.default_rng(4), []
    for low, high in pairwise(EDGES_HZ):
        for _ in range(2):
            spectra.append(np.where((hertz >= low) & (hertz < high), random.uniform(0.1, 1, len(hertz)), 0))
    rows = np.array(spectra, np.float32)
    return Templates(
        PARTS,
        rows / rows.sum(1, keepdims=True),
        np.repeat(np.arange(3), 2),
        rate,
        sizes.window_size,
        sizes.synthesis_size,
        splits=splits,
        **options,
    )


def stems_of(engine, sound):
    return dict(zip(engine.stems, parted(engine, sound), strict=True))


@EVERY_MODE
@pytest.mark.parametrize("splits", ["percussive", "harmony"])
def test_parts_add_up_to_what_they_split_and_leave_the_rest_as_it_was(mode, splits):
    sound = signals.song(12000, RATE, 2)
    whole = stems_of(engine_for(mode, RATE, 2), sound)
    split = stems_of(engine_for(mode, RATE, 2, templates=bands(mode, splits=splits)), sound)
    assert [stem for stem in split if stem not in PARTS] == [stem for stem in STEMS if stem != splits]
    for stem in set(STEMS) - {splits, "residual"}:
        assert np.array_equal(split[stem], whole[stem])
    total = sum(split[part] for part in PARTS)
    assert all(split[part].any() for part in PARTS) and decibels(total - whole[splits], whole[splits]) < -100
    assert np.abs(split["residual"] - whole["residual"]).max() < 1e-5


@EVERY_MODE
def test_all_stems_add_up_to_the_delayed_input_to_the_last_bit(mode):
    sound = signals.noise_24_bit(6000, 2)
    engine = engine_for(mode, RATE, 2, templates=bands(mode))
    plain = engine_for(mode, RATE, 2)
    assert (engine.latency, engine.stem_latency) == (plain.latency, plain.stem_latency)
    late = engine.latency
    stems = parted(engine, np.concatenate([sound, np.zeros((late, 2), np.float32)]))
    assert np.array_equal(stems.sum(0)[late:], sound)
    assert np.array_equal(processed(engine_for(mode, RATE, 2, templates=bands(mode)), sound)[late:], sound[:-late])


def test_each_part_holds_the_hits_that_look_like_it():
    """Clicks through three narrow filters, one after the other: each is found in the part of its band."""
    spectra = np.fft.rfftfreq(RATE, 1 / RATE)
    sound = np.zeros((3 * RATE, 1), np.float32)
    for number, hertz in enumerate((120, 900, 5000)):
        click = np.fft.irfft(np.exp(-(np.log(np.maximum(spectra, 1) / hertz) ** 2) / 0.02)).astype(np.float32)
        for at in range(4):
            start = number * RATE + at * RATE // 4 + 2000
            sound[start : start + 800, 0] += click[:800] / np.abs(click).max()
    engine = engine_for("balanced", RATE, templates=bands())
    stems = stems_of(engine, sound)
    for number, part in enumerate(PARTS):
        there = slice(number * RATE + engine.latency, (number + 1) * RATE)
        levels = {name: float((stems[name][there] ** 2).sum()) for name in PARTS}
        assert levels[part] > 10 * max(level for name, level in levels.items() if name != part), levels


def test_parts_have_faders_of_their_own_and_the_split_stem_has_become_a_group():
    sound = signals.song(9000, RATE)
    templates = bands()
    stems = stems_of(engine_for("balanced", RATE, templates=templates), sound)

    def heard(**changes):
        changes = {id.replace("_", ".", 1): value for id, value in changes.items()}
        return processed(engine_for("balanced", RATE, 1, changes, templates=templates), sound)

    def mix(**gains):
        return sum(gains.get(stem, 1) * part for stem, part in stems.items())

    engine = Engine(Settings(templates=templates))
    assert engine.groups["percussive"] == PARTS and engine.groups["accompaniment"] == (*PARTS, "harmony", "residual")
    assert engine.parameters["low.gain_db"].info.name == "low level"
    np.testing.assert_allclose(heard(low_gain_db=-20), mix(low=0.1), atol=1e-6)
    np.testing.assert_allclose(heard(low_mute="on", high_gain_db="-inf"), mix(low=0, high=0), atol=1e-6)
    muted = mix(low=0, middle=0, high=0)
    np.testing.assert_allclose(heard(percussive_mute="on"), muted, atol=1e-6)
    np.testing.assert_allclose(
        heard(percussive_gain_db=-20, low_gain_db=20 - 8), mix(low=10 ** (-8 / 20), middle=0.1, high=0.1), atol=1e-6
    )
    np.testing.assert_allclose(heard(middle_solo="on"), stems["middle"], atol=1e-6)
    np.testing.assert_allclose(heard(percussive_solo="on"), sum(stems[part] for part in PARTS), atol=1e-6)


def test_blocks_of_any_size_and_a_reset_give_the_same_parts():
    sound = signals.song(6000, RATE)
    engine = engine_for("balanced", RATE, templates=bands())
    first = parted(engine, sound, 1024)
    engine.reset()
    assert np.array_equal(parted(engine, sound, 37), first)


def test_templates_of_another_rate_are_fitted_and_those_of_another_window_refused():
    sound = signals.song(12000, 48000)
    low = stems_of(engine_for("balanced", 48000, templates=bands(rate=44100)), sound)["low"]
    own = stems_of(engine_for("balanced", 48000, templates=bands(rate=48000)), sound)["low"]
    assert np.corrcoef(low[:, 0], own[:, 0])[0, 1] > 0.95
    with pytest.raises(BadInput, match="learn them afresh in this mode"):
        engine_for("balanced", 48000, templates=bands(rate=48000), window_ratio=1)


def test_files_are_separated_into_parts_and_groups():
    sound = signals.song(9000, RATE)
    settings = Settings("balanced", templates=bands())
    stems = separate(sound, sample_rate=RATE, settings=settings)
    assert tuple(stems) == (*PARTS, "melody", "harmony", "residual")
    np.testing.assert_allclose(sum(stems.values()), sound, atol=1e-6)
    groups = separate(sound, sample_rate=RATE, settings=settings, stems=["percussive", "low"])
    np.testing.assert_allclose(groups["percussive"], sum(stems[part] for part in PARTS), atol=1e-7)
    without = separate(sound, sample_rate=RATE, settings=Settings("offline", templates=bands("offline")))
    assert tuple(without) == (*PARTS, "harmonic", "residual")
    with pytest.raises(BadInput, match="unknown stem 'lo'"):
        separate(sound, sample_rate=RATE, settings=settings, stems=["lo"])


@EVERY_MODE
@pytest.mark.parametrize("kind", ["silence", "loud", "faint"])
def test_hard_sounds_give_finite_parts(mode, kind):
    level = {"silence": 0, "loud": 1e3, "faint": 1e-7}[kind]
    sound = signals.noise(8000, level=level)
    stems = parted(engine_for(mode, RATE, templates=bands(mode)), sound)
    assert np.isfinite(stems).all()
    assert stems.any() == (kind != "silence")


@EVERY_MODE
def test_templates_of_the_whole_mix_leave_their_parts_and_the_residual_alone(mode):
    sound = signals.noise_24_bit(9000, 2)
    engine = engine_for(mode, RATE, 2, templates=bands(mode, splits="mix"))
    assert engine.stems == (*PARTS, "residual") and engine.groups == {}
    late = engine.latency
    stems = stems_of(engine, np.concatenate([sound, np.zeros((late, 2), np.float32)]))
    assert np.array_equal(sum(stems.values())[late:], sound)
    assert np.abs(stems["residual"]).max() < 1e-4  # of rounding
    spectra = {name: np.abs(np.fft.rfft(stem[late:, 0])) for name, stem in stems.items()}
    hertz = np.fft.rfftfreq(9000, 1 / RATE)
    for part, (low, high) in zip(PARTS, pairwise(EDGES_HZ), strict=True):
        inside = (hertz > low + 60) & (hertz < high - 60)
        own = (spectra[part][inside] ** 2).sum()
        assert own > 30 * sum((spectra[other][inside] ** 2).sum() for other in PARTS if other != part)
    gain = engine_for(
        mode, RATE, 2, {"low.gain_db": "-inf", "percussive.mute": "on"}, templates=bands(mode, splits="mix")
    )
    heard = processed(gain, np.concatenate([sound, np.zeros((late, 2), np.float32)]))
    np.testing.assert_allclose(heard, sum(stems[part] for part in (*PARTS[1:], "residual")), atol=1e-6)


def test_parts_with_a_rest_are_taken_out_before_the_engines_own_stems_share_what_is_left():
    sound = signals.noise_24_bit(9000, 2)
    templates = replace(bands(splits="mix"), parts=("low", "middle", "rest"))
    engine = engine_for("balanced", RATE, 2, templates=templates)
    assert engine.stems == ("low", "middle", *STEMS) and "low" in engine.groups["accompaniment"]
    assert "rest.gain_db" not in engine.parameters and "low.solo" in engine.parameters
    late = engine.latency
    stems = stems_of(engine, np.concatenate([sound, np.zeros((late, 2), np.float32)]))
    assert np.array_equal(sum(stems.values())[late:], sound)
    whole = stems_of(engine_for("balanced", RATE, 2, templates=bands(splits="mix")), sound)
    plain = stems_of(engine_for("balanced", RATE, 2), sound)
    hertz = np.fft.rfftfreq(9000, 1 / RATE)
    for name in ("low", "middle"):
        np.testing.assert_allclose(stems[name][:9000], whole[name], atol=1e-6)
    for stem in STEMS[:3]:
        was, now = (np.abs(np.fft.rfft(found[stem][:9000, 0])) ** 2 for found in (plain, stems))
        assert now[hertz < 1900].sum() < 0.01 * was[hertz < 1900].sum()
        np.testing.assert_allclose(now[hertz > 2200].sum(), was[hertz > 2200].sum(), rtol=0.02)


def blurred(**options) -> Templates:
    """Templates that overlap everywhere."""
    templates = bands(splits="mix")
    spectra = (templates.spectra + templates.spectra.mean()).astype(np.float32)
    return replace(templates, spectra=spectra / spectra.sum(1, keepdims=True), **options)


def test_templates_say_where_their_sweeps_and_exponent_start():
    sound = signals.song(6000, RATE)
    engine = engine_for("balanced", RATE, templates=blurred(sweeps=3, exponent=0.5))
    assert engine.parameters["templates.sweeps"].value == 3 and engine.parameters["templates.exponent"].value == 0.5
    own = stems_of(engine, sound)
    engine = engine_for("balanced", RATE, 1, {"templates.sweeps": 3, "templates.exponent": 0.5}, templates=blurred())
    assert np.array_equal(stems_of(engine, sound)["low"], own["low"])


@pytest.mark.parametrize(
    "id, value",
    [
        ("templates.exponent", 0.5),
        ("templates.sweeps", 20),
        ("templates.sparsity", 1),
        ("templates.smoothness", 10),
        ("templates.solver", "kullback-leibler"),
        ("templates.solver", "euclidean"),
        ("templates.solver", "itakura-saito"),
    ],
)
def test_what_moves_the_solver_is_heard_in_the_parts_alone(id, value):
    sound = signals.song(6000, RATE)
    plain = stems_of(engine_for("balanced", RATE, templates=blurred()), sound)
    moved = stems_of(engine_for("balanced", RATE, 1, {id: value}, templates=blurred()), sound)
    assert decibels(moved["low"] - plain["low"], plain["low"]) > -60
    np.testing.assert_allclose(sum(moved.values()), sum(plain.values()), atol=1e-6)
