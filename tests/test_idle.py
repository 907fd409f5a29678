"""idle: a parameter that would do nothing where it is set is refused, or told, with what to do."""

import numpy as np
import pytest
import signals

from rtsep import BadInput, Settings, follow, separate
from rtsep.idle import idle_for_now, moves_the_mix_alone, refuse_idle
from rtsep.offline.many import separate_files
from rtsep.parameters import PARAMETERS

RATE = 16_000
PLAIN, PIANO = Settings(), Settings(templates="piano")


@pytest.mark.parametrize(
    "id, settings, singer, why",
    (
        ("key.semitones", PLAIN, False, r"here: rtsep karaoke changes the key \(in Python, Settings\(transpose=True\)"),
        ("key.semitones", Settings(transpose=True), False, None),
        *(
            (id, PLAIN, False, "without a microphone: rtsep karaoke")
            for id in PARAMETERS
            if id.startswith("microphone.")
        ),
        ("microphone.gate_db", PLAIN, True, None),
        *((id, PLAIN, False, "without templates: add --templates") for id in PARAMETERS if id.startswith("templates.")),
        ("templates.sparsity", PIANO, False, None),
        ("templates.sparsity", Settings(learn=("organ",)), False, None),
        *((id, Settings("offline"), False, "where no melody is followed") for id in PARAMETERS if id[:7] == "melody."),
        ("melody.low_hz", PLAIN, False, None),
        ("melody.low_hz", PIANO, False, None),  # it is followed even so
        ("melody.gain_db", PIANO, False, r"here: the stems are lower, upper, residual$|residual\.$"),
        ("accompaniment.mute", PIANO, False, "here: the stems are lower, upper, residual"),
        ("percussive.solo", PIANO, False, "here: the stems are"),
        ("percussive.solo", Settings(templates="drums"), False, None),  # a group
        ("lower.gain_db", PIANO, False, None),
        ("hpss.bias", PIANO, False, "where templates explain the whole mix, without masks"),
        ("masks", PIANO, False, "where templates explain the whole mix, without masks"),
        ("masks", Settings(templates="drums"), False, None),
        ("hpss.bias", PLAIN, False, None),
        ("bypass", PIANO, False, None),
        ("output.gain_db", PIANO, False, None),
    ),
)
def test_what_does_nothing_is_refused_with_where_it_works(id, settings, singer, why):
    if why is None:
        refuse_idle([id], settings, singer=singer)
    else:
        with pytest.raises(BadInput, match=rf"^{id} does nothing {why}"):
            refuse_idle(["bypass", id], settings, singer=singer)


def test_no_parameter_of_ours_is_refused_where_all_can_work():
    refuse_idle(PARAMETERS, Settings(transpose=True, learn=("organ",)), singer=True)


@pytest.mark.parametrize(
    "values, limiter, told",
    (
        ({"hpss.bias": "2"}, True, ["hpss.bias does nothing with learned masks: add --set masks=classic."]),
        ({"hpss.bias": 2.0, "masks": "classic"}, True, []),
        ({"melody.lead": "voice"}, True, []),
        ({"melody.lead": "voice", "masks": "classic"}, True, ["melody.lead does nothing with classic masks"]),
        ({"limiter.ceiling_db": -3.0}, True, []),
        ({"limiter.ceiling_db": -3.0}, False, ["limiter.ceiling_db does nothing without the limiter"]),
        ({"limiter.ceiling_db": -3.0, "limiter": "on"}, False, []),
        ({"limiter.ceiling_db": -3.0, "limiter": "off"}, True, ["limiter.ceiling_db does nothing without the limiter"]),
    ),
)
def test_what_does_nothing_yet_is_told(values, limiter, told):
    found = idle_for_now(values, PLAIN, limiter=limiter)
    assert len(found) == len(told) and all(start in sentence for start, sentence in zip(told, found, strict=True))


def test_classic_masks_of_the_mode_count_too():
    assert idle_for_now({"hpss.bias": 2.0}, Settings("offline"), limiter=False) == []


def test_faders_and_what_comes_after_them_move_the_mix_alone():
    moving = {id for id in PARAMETERS if moves_the_mix_alone(id, PLAIN)}
    kept = {id for id in PARAMETERS if id.startswith(("hpss.", "templates."))} | {"masks"}
    kept |= {f"melody.{what}" for what in ("low_hz", "high_hz", "pan", "pan_width", "lead")}
    assert moving == {*PARAMETERS} - kept
    assert moves_the_mix_alone("kick.mute", Settings(templates="drums"))


def test_the_parameters_that_are_refused_change_no_stem_and_no_mix():
    sound = signals.song(8000, RATE, 2)
    options = dict(sample_rate=RATE, mix=True)
    plain = separate(sound, **options)
    for id in ("key.semitones", "microphone.gain_db", "templates.sparsity"):
        with pytest.raises(BadInput, match=f"^{id} does nothing"):
            separate(sound, parameters={id: PARAMETERS[id].low}, **options)
    with pytest.raises(BadInput, match="does nothing where no melody is followed"):
        separate(sound, mode="offline", parameters={"melody.low_hz": 100}, **options)
    with pytest.raises(BadInput, match=r"key\.semitones does nothing"):
        follow(sound, sample_rate=RATE, parameters={"key.semitones": 2})
    settings = Settings("quality", transpose=True)
    moved = separate(sound, settings=settings, parameters={"key.semitones": 5}, **options)
    assert not np.allclose(moved["mix"], plain["mix"], atol=0.01)


def test_a_file_is_not_touched_when_a_parameter_does_nothing(tmp_path):
    with pytest.raises(BadInput, match=r"key\.semitones does nothing"):
        separate_files([tmp_path / "none.wav"], tmp_path / "out", parameters={"key.semitones": 5})
    assert list(tmp_path.iterdir()) == []
