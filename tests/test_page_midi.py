"""MIDI controllers in the page against those of the command line: the same messages move the same values."""

import json

import numpy as np
import pytest
from browsing import complaints, press, run, told, until, visit

from rtsep import Engine, Settings, page
from rtsep.live import bindings
from rtsep.live.bindings import Binding
from rtsep.live.messages import Parser
from rtsep.live.midi_learn import Learner
from rtsep.live.surface import Surface
from rtsep.live.toml_files import parsed

WORK = """
    const [about, port, document, moments] = given;
    const { Midi } = await import("./midi.js"), { held, plain, revived } = await import("./fader.js");
    const table = new Map(about.parameters.map((each) => [each.id, each]));
    const values = new Map(about.parameters.map(({ id, default: usual }) => [id, usual]));
    const recalled = [];
    const midi = new Midi({
        find: (id) => table.get(id), get: (id) => values.get(id),
        set: (id, value) => values.set(id, held(table.get(id), value)),
        silence: () => values.set("output.mute", 1), program: (...which) => recalled.push(which), undoable: () => {},
    }, about);
    for (const each of document.binding) if ("low" in each) each.low = revived(each.low);
    midi.ports = [port];
    midi.put(port, document);
    const sent = [];
    midi.outputs.set(port, { send: (message) => sent.push(Array.from(message)) });
    const seen = moments.map(([now, data, set]) => {
        if (set) values.set(set[0], revived(set[1]));
        if (data) midi.hear(port, Uint8Array.from(data), 1000 * now);
        midi.answer(1000 * now);
        return [[...values].map(([, value]) => plain(value)), Object.fromEntries(midi.ghosts), sent.splice(0)];
    });
    localStorage.clear();
    return { seen, recalled };
"""

BINDINGS = [
    Binding("cc 7", "melody.gain_db"),
    Binding("cc 8", "melody.gain_db", takeover="scale", low=-30.0, high=6.0),
    Binding("cc 9", "percussive.gain_db", takeover="jump", invert=True),
    Binding("cc 3", "harmony.gain_db", bits=14),
    Binding("cc 20", "residual.gain_db", kind="twos-complement"),
    Binding("cc 21", "residual.gain_db", kind="offset", low=-40.0),
    Binding("cc 22", "melody.pan", kind="signed"),
    Binding("cc 23", "key.semitones", kind="signed-reversed", invert=True),
    Binding("cc 24", "masks"),
    Binding("cc 25", "hpss.bias", channel=2),
    Binding("cc 40", "percussive.mute", kind="toggle"),
    Binding("note 36", "melody.mute", kind="momentary", on=5, off=1),
    Binding("note 37", "harmony.gain_db", kind="toggle", high=0.0, invert=True),
    Binding("nrpn 1000", "output.gain_db"),
    Binding("rpn 5", "limiter.ceiling_db", takeover="jump"),
    Binding("bend", "harmonic.gain_db", takeover="jump"),
    Binding("cc 50", "of.a.newer.version"),
]
SELECTS = [(99, 7), (98, 104), (101, 0), (100, 5), (101, 127), (100, 127)]


def moments_of(random, count):
    """Hands that move controls, and others who move the parameters meanwhile."""
    now, places, moments = 0.0, {}, []
    kinds = [*(each.control for each in BINDINGS), "lower half", "select", "data", "any"]
    for _ in range(count):
        now += random.choice([0.001, 0.01, 0.03, 0.2, 0.7])
        kind, channel, set = random.choice(kinds), random.integers(2), None
        word, _, number = kind.partition(" ")
        place = places[kind] = int(np.clip(places.get(kind, 64) + random.integers(-40, 41), 0, 127))
        if word == "cc":
            data = [0xB0 | channel, int(number), place]
        elif word == "note":
            data = [0x80 | random.integers(2) << 4 | channel, int(number), random.choice([0, 100])]
        elif word == "bend":
            data = [0xE0 | channel, random.integers(128), place]
        elif kind == "lower half":
            data = [0xB0 | channel, 35, place]
        elif kind == "select":
            data = [0xB0 | channel, *SELECTS[random.integers(len(SELECTS))]]
        elif kind == "any":
            data = [random.choice([0xA0, 0xB0, 0xC0, 0xD0, 0xF8]) | channel, random.integers(128), random.integers(128)]
            data = data[: 2 if data[0] >> 4 in (0xC, 0xD) else 1 if data[0] >= 0xF0 else 3]
        else:
            data = [0xB0 | channel, random.choice([6, 38, 96, 97]), place]
        if random.random() < 0.1:
            set = random.choice(["melody.gain_db", "harmony.gain_db", "output.gain_db"]), float(random.integers(-40, 7))
        moments.append((now, [int(each) for each in data], set))
    return moments


@pytest.mark.parametrize("seed", range(4))
def test_controllers_move_values_as_in_the_command_line(browser, folder, seed):
    about = json.loads((folder / "parameters.json").read_text())
    moments = moments_of(np.random.default_rng(seed), 1500)
    table = json.loads(json.dumps(bindings.document(BINDINGS, feedback=True)).replace("-Infinity", '"-inf"'))
    given = run(browser, WORK, about, "a port", table, moments)
    parameters = Engine(Settings(transpose=True)).parameters
    recalled, parser = [], Parser()
    surface = Surface(parameters, "a port", BINDINGS, feedback=True, recall=lambda *which: recalled.append(list(which)))
    ids, moved = [each["id"] for each in about["parameters"]], set()
    for (now, data, by_others), (values, ghosts, sent) in zip(moments, given["seen"], strict=True):
        if by_others:
            parameters.update(dict([by_others]), by="somebody")
        for message in parser.feed(bytes(data), now):
            surface.receive(message, now)
        here = [parameters[id].value for id in ids]
        there = [-np.inf if value == "-inf" else value for value in values]
        np.testing.assert_allclose(there, here, atol=1e-6, err_msg=f"{now} {data}")
        assert ghosts == pytest.approx(surface.ghosts(), abs=1e-6)
        assert bytes(byte for message in sent for byte in message) == b"".join(surface.feedback(now))
        moved.update(id for id, value in zip(ids, here, strict=True) if value != parameters.defaults[id])
    assert moved >= {each.parameter for each in BINDINGS[:-1]}
    assert given["recalled"] == [[number + 1, bank] for bank, number in recalled] != []


LEARN = """
    const { Learner } = await import("./midi-learn.js"), { Parser } = await import("./messages.js");
    const { plain } = await import("./fader.js"), [about, id, moments] = given;
    const learner = new Learner(about.parameters.find((each) => each.id === id)), parser = new Parser();
    for (const [now, data] of moments) {
        const message = parser.hear(Uint8Array.from(data), 1000 * now);
        if (message) learner.hear("a port", message, 1000 * now);
    }
    const found = learner.poll(1000 * moments.at(-1)[0] + 500);
    if (found?.binding.high !== undefined) found.binding.high = plain(found.binding.high);
    return { binding: found?.binding ?? null, status: learner.status };
"""


def sweep(number, values, channel=0):
    return [(0.02 * i, [0xB0 | channel, number, value]) for i, value in enumerate(values)]


GESTURES = {
    "a fader": sweep(7, range(30, 60)),
    "a fader of the third channel": sweep(7, range(60, 30, -2), 2),
    "a nudge": sweep(7, [30, 31, 32]),
    "a pair": [(0.02 * i, [0xB0, 3 + 32 * (i % 2), 20 + i]) for i in range(40)],
    "a bend": [(0.02 * i, [0xE0, i, 40 + i]) for i in range(20)],
    "a pad": [(0, [0x90, 36, 100]), (0.1, [0x80, 36, 0])],
    "a momentary button": sweep(48, [127, 0]),
    "a latching button": [(0, [0xB0, 48, 127]), (1, [0xB0, 48, 0]), (2, [0xB0, 48, 127])],
    "one press": sweep(48, [127]),
    "twos-complement": sweep(16, [127] * 4 + [1] * 4),
    "offset": sweep(16, [63] * 4 + [65] * 3),
    "offset, turned up": sweep(16, [65] * 4 + [63] * 3),
    "signed": sweep(16, [65] * 4 + [1] * 4),
    "signed-reversed": sweep(16, [1] * 4 + [65] * 4),
    "an encoder down alone": sweep(16, [127] * 6),
    "accelerated": sweep(16, [127, 126, 127, 125, 127, 127, 1, 1, 2, 3, 1]),
    "an nrpn": [(0, [0xB0, 99, 7]), (0.01, [0xB0, 98, 104]), *((0.1 + 0.02 * i, [0xB0, 6, 20 + i]) for i in range(20))],
    "worn contacts beside it": sorted(sweep(9, [63, 64, 63, 64] * 5) + sweep(7, range(30, 60))),
    "a program alone": [(0, [0xC0, 5])],
}


@pytest.mark.parametrize("gesture", GESTURES)
@pytest.mark.parametrize("id", ["melody.gain_db", "melody.mute"])
def test_controls_are_learned_as_in_the_command_line(browser, folder, gesture, id):
    about = json.loads((folder / "parameters.json").read_text())
    given, learner, parser = run(browser, LEARN, about, id, GESTURES[gesture]), Learner(id), Parser()
    for now, data in GESTURES[gesture]:
        for message in parser.feed(bytes(data), now):
            learner.hear("a port", message, now)
    found = learner.poll(GESTURES[gesture][-1][0] + 0.5)
    assert given["binding"] == (found and found[1].table())
    if not found:
        assert given["status"] == learner.status


def test_controllers_go_in_and_out_as_files_of_the_command_line(browser, tmp_path):
    table = json.loads(json.dumps(bindings.document(BINDINGS, feedback=True)).replace("-Infinity", '"-inf"'))
    given = """
        const { controllerToToml, controllerFromToml } = await import("./store.js");
        const { plain, revived } = await import("./fader.js");
    """
    out = given + """return controllerToToml({ ports: ['a "port"'], ...given[0] });"""
    document = parsed(tmp_path / "x.toml", run(browser, out, table).encode()).unwrap()
    assert bindings.load(document) == (BINDINGS, True) and document["ports"] == ['a "port"']
    into = given + "return controllerFromToml(given[0]);"
    for path in sorted((page.library.PACKAGE / "live" / "maps").glob("*.toml")):
        read = run(browser, into, path.read_text())
        written = parsed(path, path.read_bytes()).unwrap()
        assert read == {"feedback": False, **{key: written[key] for key in written if key != "format"}}
    for text, sentence in (
        ("format = 2", "A newer rtsep wrote this file"),
        ("format = 1", "binds no control"),
        ('format = 1\n[[binding]]\ncontrol = "cc 7"', "parameter is missing"),
        ('format = 1\n[[binding]]\ncontrol = "cc 120"\nparameter = "masks"', '"cc 120" is no control'),
        ('format = 1\n[[binding]]\ncontrol = "cc 7"\nparameter = "masks"\nkind = "no"', "kind is no"),
        ("dear diary", "is no file of rtsep"),
    ):
        with pytest.raises(AssertionError, match=sentence):
            run(browser, into, text)


FAKE = """
    const port = (name, more) => ({ name, state: "connected", ...more });
    window.midiSent = [];
    const input = port("Fader Box 8"), output = port("Fader Box 8", { send: (data) => midiSent.push(data) });
    const access = { inputs: new Map([["1", input]]), outputs: new Map([["1", output]]) };
    window.midiSend = (...data) => input.onmidimessage({ data: Uint8Array.from(data) });
    window.midiPlug = (there) => {
        input.state = output.state = there ? "connected" : "disconnected";
        access.onstatechange();
    };
    navigator.requestMIDIAccess = async () => access;
"""


def test_a_controller_learns_and_moves_a_fader_of_the_page(browser):
    made = browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": FAKE})
    try:
        visit(browser)
        complaints(browser)
        says = browser.find_element("id", "says")
        press(browser, "2", "l")
        until(lambda: "It will move Voice level." in says.text)
        for value in range(30, 60):
            browser.execute_script("midiSend(0xb0, 70, arguments[0])", value)
        until(lambda: "cc 70 of Fader Box 8 moves Voice level." in says.text)
        browser.execute_script("midiSend(0xb0, 70, 40)")
        assert told(browser, 1) == "Voice 0.0 dB"  # it has still to be picked up
        for value in (90, 100, 110, 60):
            browser.execute_script("midiSend(0xb0, 70, arguments[0])", value)
        assert told(browser, 1) == "Voice -24.0 dB"
        press(browser, "u", "u")
        assert told(browser, 1) == "Voice 0.0 dB" and "the control of melody.gain_db" in says.text
        browser.execute_script("midiPlug(false)")
        until(lambda: "none" in browser.find_element("id", "midi").get_attribute("textContent"))
        browser.execute_script("midiPlug(true)")
        browser.execute_script("midiSend(0xb0, 120, 0)")
        until(lambda: told(browser, 4) == "Out 0.0 dB, muted")
        assert complaints(browser) == []
    finally:
        browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", made)
        browser.execute_script("localStorage.clear()")
