"""The commands of `rtsep midi`: a part of a name means one controller, and what is bound is what is read."""

import json

import pytest

from rtsep.commands import midi
from rtsep.errors import BadInput, Unavailable
from rtsep.live import presets
from rtsep.live.bindings import Binding, default_bindings
from rtsep.live.hands import Hands, controllers, read
from rtsep.parameters import INDEX, Parameters

KORG = "nanoKONTROL2:nanoKONTROL2 nanoKONTROL2 _ CTRL"
GAIN = "melody.gain_db"


@pytest.fixture(autouse=True)
def config(tmp_path, monkeypatch):
    """The folder of configurations, not there yet."""
    monkeypatch.setenv("RTSEP_CONFIG", str(tmp_path / "config"))
    return tmp_path / "config"


@pytest.fixture
def plugged(monkeypatch):
    """Makes these the controllers that are there; None: there is no MIDI."""

    def plug(*names):
        def ports(jack):
            if None in names:
                raise Unavailable("no MIDI here")
            return [(name, True, True) for name in names]

        monkeypatch.setattr(midi.ports, "ports", ports)

    plug(None)
    return plug


def bind(port, parameter=GAIN, control="cc 90", **changes):
    midi.bind(parameter, control, changes, jack=False, port=port, add=False)


def found(port, control="cc 90"):
    """What a control does on the controller at a port, as a running program reads it."""
    return [binding.parameter for binding in read(port)[0] if binding.control == control]


def files(config):
    return sorted(path.name for path in config.rglob("*.toml"))


@pytest.mark.parametrize("part", (KORG, "nanoKONTROL2", "nanokontrol", "_ ctrl"))
def test_a_part_of_the_name_of_a_controller_that_is_plugged_in_means_its_port(plugged, config, capsys, part):
    plugged(KORG, "Keys:Keys MIDI 1")
    bind(part)
    assert found(KORG) == [GAIN] and files(config) == ["nanoKONTROL2_nanoKONTROL2 nanoKONTROL2 _ CTRL.toml"]
    assert found("Keys:Keys MIDI 1") == []
    midi.feedback(False, jack=False, port=part)
    assert not read(KORG)[1]
    capsys.readouterr()
    midi.show(jack=False, port=part)
    said = capsys.readouterr()
    assert "cc 90: melody.gain_db" in said.out and f"values do not go back to {KORG}" in said.err
    midi.forget(GAIN, jack=False, port=part)
    assert found(KORG) == [] and len(files(config)) == 1


@pytest.mark.parametrize("part", ("nanoKONTROL2", "nanokontrol"))
def test_a_controller_of_ours_that_is_not_plugged_in_is_bound_for_when_it_is(plugged, config, part):
    bind(part)
    assert found(KORG) == [GAIN] and read(KORG)[1]  # with the rest of its map
    bind(part, control="cc 91")
    assert found(KORG) == [GAIN] and found(KORG, "cc 91") == [GAIN] and files(config) == ["nanoKONTROL2.toml"]


def test_a_controller_that_the_user_has_a_file_for_is_known_by_the_file_and_by_its_ports(plugged, config):
    plugged("Box:Box MIDI 1")
    bind("box")
    plugged(None)
    bind("Box:Box MIDI 1", control="cc 91")
    bind("box midi", control="cc 92")
    assert found("Box:Box MIDI 1", "cc 91") == found("Box:Box MIDI 1", "cc 92") == [GAIN]
    (config / "controllers" / "mine.toml").write_text('format = 1\nports = ["Fader Bank"]\n')
    for number, part in enumerate(("mine", "fader", "USB Fader Bank:0"), 30):
        bind(part, control=f"cc {number}")
        assert found("USB Fader Bank:0", f"cc {number}") == [GAIN]
    assert files(config) == ["Box_Box MIDI 1.toml", "mine.toml"]


def test_the_port_of_our_own_is_bound_like_a_controller(plugged, config):
    plugged("Keys")
    bind("rtsep")
    assert found("rtsep") == [GAIN] and found("rtsep clone") == [] and files(config) == ["rtsep.toml"]


def test_without_any_controller_a_binding_waits_for_one_of_that_name(plugged, config, capsys):
    for names in ((None,), ()):
        plugged(*names)
        bind("Fader Box")
        assert "this is kept for one with 'Fader Box' in its name" in capsys.readouterr().err or names == ()
    assert found("Fader Box:Fader Box MIDI 1") == found("fader box") == [GAIN]
    assert found("Another") == [] and files(config) == ["Fader Box.toml"]


@pytest.mark.parametrize("there", ((None,), (), ("A", "B", "C", "D", "E")))
def test_a_name_that_nobody_has_is_refused_with_at_most_three_that_there_are_and_makes_no_file(plugged, config, there):
    plugged(*there)
    at = {"jack": False, "port": "Nosuch"}
    uses = [lambda: midi.forget(GAIN, **at), lambda: midi.feedback(True, **at), lambda: midi.show(**at)]
    uses += [lambda: bind("Nosuch")] if len(there) > 1 else []
    for use in uses:
        with pytest.raises(BadInput, match=r"no controller .* has 'Nosuch' in its name: there are .* rtsep midi list"):
            use()
    if len(there) > 1:
        with pytest.raises(BadInput, match=r"there are 'A', 'B', 'C' and \d more\."):
            bind("Nosuch")
    assert not config.exists()


def test_a_part_of_several_names_is_refused_and_the_whole_of_one_is_not(plugged, config):
    plugged("Pads 1", "Pads 2", "Pads", "Pads 3", "Pads 4")
    with pytest.raises(BadInput, match=r"'pad' is part of 5 names: there are 'Pads 1', 'Pads 2', 'Pads' and 2 more\."):
        bind("pad")
    assert not config.exists()
    bind("pads")
    assert found("Pads") == [GAIN] and found("Pads 1") == []


def test_a_stem_is_its_fader(plugged):
    assert midi.meant("percussive") == "percussive.gain_db" and midi.meant("output") == "output.gain_db"
    assert midi.meant("percussive.mute") == "percussive.mute" and midi.meant("kick.gain_db") == "kick.gain_db"
    bind("Box", midi.meant("melody"))
    assert found("Box") == [GAIN]
    midi.forget("melody", jack=False, port="Box")
    assert found("Box") == []


@pytest.mark.parametrize(
    "word, sentence",
    (
        ("kick", r"unknown parameter 'kick': .*The level of a stem of that name is kick\.gain_db\."),
        ("bypas", "did you mean 'bypass'"),
        ("hpss", r"did you mean 'hpss\.bias' or 'hpss\.separation' or 'hpss\.exponent'\?"),
        ("zzz", "unknown parameter 'zzz': rtsep --help-parameters shows all of them"),
        ("", "unknown parameter ''"),
    ),
)
def test_what_is_no_parameter_gets_the_line_to_type_and_three_names_at_most(word, sentence):
    with pytest.raises(BadInput, match=sentence) as refused:
        midi.meant(word)
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize("channel", (0, 17, -1))
def test_a_channel_that_midi_does_not_have_is_refused_before_anything_sounds(channel):
    with pytest.raises(BadInput, match=f"channel is {channel}: it must be between 1 and 16"):
        Hands("live", channel=channel)
    with pytest.raises(BadInput, match=f"channel is {channel}: it must be between 1 and 16"):
        controllers(Parameters([0.0] * len(INDEX)), channel=channel)


def test_a_file_that_makes_no_sense_is_named_and_left_alone(plugged, config):
    path = config / "controllers" / "Box.toml"
    path.parent.mkdir(parents=True)
    for text in (b"format = 1\n[[binding]]\ncontrol = 'knob'\n", b"\xff\xfe"):
        path.write_bytes(text)
        for use in (
            lambda: bind("Box"),
            lambda: midi.forget(GAIN, jack=False, port="Box"),
            lambda: midi.feedback(True, jack=False, port="Box"),
            lambda: midi.show(jack=False, port="Box"),
        ):
            with pytest.raises(BadInput, match=r"Box\.toml"):
                use()
        assert path.read_bytes() == text


@pytest.mark.parametrize("error", (None, Unavailable("the disk is full"), BadInput("Box.toml makes no sense")))
def test_what_was_learned_and_could_not_be_kept_is_an_error(monkeypatch, capsys, error):
    class Taught(midi.Midi):
        works = property(lambda self: True, lambda self, works: None)

        def __enter__(self):
            return self

        def __exit__(self, *error):
            pass

        def learn(self, parameter, changes=None, add=False):
            self.learn_status, self.learn_error = str(error or "cc 7 moves it."), error

    monkeypatch.setattr("rtsep.live.hands.Midi", Taught)
    if error:
        with pytest.raises(type(error), match=str(error)):
            midi.learn(GAIN, {}, jack=False, port=None, add=False)
    else:
        midi.learn(GAIN, {}, jack=False, port=None, add=False)
        assert "cc 7 moves it." in capsys.readouterr().err


def test_what_another_program_binds_is_taken_up_while_it_runs_and_not_lost(plugged, config, capsys):
    parameters = Parameters([0.0] * len(INDEX))
    plugged("Box")
    running = controllers(parameters)
    surface = running.surfaces["Box"] = running._make_surface("Box")
    assert [*surface.bindings] == default_bindings()
    bind("Box")
    running._look([surface])
    assert surface.bindings[-1] == Binding("cc 90", GAIN)
    bind("Box", control="cc 92")  # and before it has looked
    surface.bind(Binding("cc 91", "harmony.gain_db"))
    running._learned(surface)
    assert found("Box") == found("Box", "cc 92") == [GAIN] and found("Box", "cc 91") == ["harmony.gain_db"]
    assert len(surface.bindings) == len(default_bindings()) + 3
    running.forget("the melody", [GAIN])
    assert found("Box") == found("Box", "cc 2") == []

    path = config / "controllers" / "Box.toml"
    path.write_text("format = 1\n[[binding]]\ncontrol = 'knob'\n")
    capsys.readouterr()
    running._look([surface])
    running._look([surface])
    told = capsys.readouterr().err
    assert told.count("Box.toml: binding 1 (knob)") == 1 and "Box stays bound as it was" in told
    assert Binding("cc 91", "harmony.gain_db") in surface.bindings
    with pytest.raises(BadInput):
        running._learned(surface)
    assert "knob" in path.read_text()
    path.unlink()
    running._look([surface])
    assert [*surface.bindings] == default_bindings()


def test_a_preset_that_a_program_recalls_is_named(config, capsys):
    presets.save_preset("quiet", {"output.gain_db": -20}, program=6)
    running = controllers(Parameters([0.0] * len(INDEX)))
    surface = running._make_surface("Box")
    names = []
    surface._recall(0, 5)
    assert "preset quiet" in capsys.readouterr().err
    running.recalled = names.append
    surface._recall(0, 5)
    surface._recall(0, 99)
    assert names == ["quiet"] and running._parameters["output.gain_db"].value == -20


def test_ports_are_listed_for_people_and_as_json(plugged, capsys):
    plugged(KORG)
    midi.list_ports(jack=False)
    assert capsys.readouterr().out == f"{KORG}  (in and out)\n"
    midi.list_ports(jack=False, as_json=True)
    assert json.loads(capsys.readouterr().out) == [{"name": KORG, "in": True, "out": True}]
