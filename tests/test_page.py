"""The page in a real browser: the engine there against the engine here."""

import base64
import gzip
import io
import json
import re
import signal
import subprocess
import sys
import time
import urllib.request

import numpy as np
import pytest
import soundfile
from browsing import complaints, press, run, told, until, visit
from conftest import chromium_with
from signals import music, tune

from rtsep import Engine, Settings, library, page, separate, si_sdr
from rtsep.errors import BadInput, Unavailable
from rtsep.live.singing import Singing
from rtsep.settings import STEMS

RENDER = """
    const [mode, rate, channels, moves, sound, more = {}] = given, { kit = "" } = more;
    const { default: LocalEngine } = await import("./engine-local.js");
    const engine = await LocalEngine.load({ kit }), { about } = engine;
    const { Core } = await import("./core.js");
    const fits = (image) => image.mode === mode && image.sample_rate === rate && image.channels === channels;
    const found = about.images.find(fits), number = (id) => about.parameters.find((each) => each.id === id).number;
    const info = { ...found, ...more, stems: about.stems.length, words: about.words, pitches: about.pitches };
    const core = new Core(await engine.file("engine.bin"), await engine.file(info.file), info);
    const heard = [], blocks = sound.length / 128 / channels;
    for (let b = 0; b < blocks; b++) {
        for (const [at, id, value] of moves)
            if (at === b) {
                engine.set(id, value);
                core.set(...engine.targets().find(([each]) => each === number(id)));
            }
        core.input.set(sound.slice(b * 128 * channels, (b + 1) * 128 * channels));
        core.process();
        heard.push(...core.output);
    }
    const [levels, power, notes] = [core.measure(), core.bands(), core.notes()].map((each) => Array.from(each));
    return { heard, levels, latency: info.latency, power, notes };
"""


def rendered(browser, mode, rate, sound, moves, **more):
    """What the engine in the browser makes of `sound`; `more` is told of its image."""
    told = run(browser, RENDER, mode, rate, sound.shape[1], moves, sound.astype(float).ravel().tolist(), more)
    return told | {"heard": np.array(told["heard"]).reshape(-1, sound.shape[1])}


def processed(settings, rate, sound, moves, *, sings=False):
    """The engine here after `sound`, and what it makes of it."""
    engine = Engine(settings)
    engine.prepare(sample_rate=rate, channels=sound.shape[1])
    heard = []
    for b in range(len(sound) // page.BLOCK):
        for _, id, value in (move for move in moves if move[0] == b):
            engine.parameters[id] = value
        block = sound[page.BLOCK * b :][: page.BLOCK]
        heard.append(engine.process(block, microphone=block[:, 0] if sings else None))
    return engine, np.concatenate(heard)


@pytest.mark.parametrize("rate", page.RATES)
@pytest.mark.parametrize("channels", page.CHANNELS)
@pytest.mark.parametrize("mode", page.MODES)
def test_the_engine_in_the_browser_equals_the_one_here(each_browser, mode, channels, rate):
    sound = music(128 * 400, rate, channels)
    moves = [(0, "percussive.gain_db", -12.0), (100, "melody.mute", 1), (250, "harmony.gain_db", -20.0)]
    told = rendered(each_browser, mode, rate, sound, moves)
    engine, heard = processed(Settings(mode=mode), rate, sound, moves)
    assert told["latency"] == engine.latency
    off = np.abs(told["heard"] - heard)
    assert off.max() < 2e-5, off.max()
    np.testing.assert_allclose(told["levels"][4:], engine.meters.stems, atol=1e-4)
    assert np.isfinite(told["power"]).all() and sum(told["power"]) > 0


@pytest.mark.parametrize("kit, mode, stem", [("drums", "balanced", "snare"), ("piano", "live", "upper")])
def test_a_kit_of_templates_splits_as_here(browser, kit, mode, stem):
    sound, rate = music(128 * 300, 48_000, 2), 48_000
    moves = [(0, f"{stem}.gain_db", -20.0), (150, f"{stem}.gain_db", 3.0)]
    told = rendered(browser, mode, rate, sound, moves, kit=kit)
    engine, heard = processed(Settings(mode, templates=kit), rate, sound, moves)
    np.testing.assert_allclose(told["heard"], heard, atol=5e-5)
    np.testing.assert_allclose(told["levels"][4:], engine.meters.stems, atol=1e-4)
    bands, notes = page.note_bands(engine), np.zeros(page.BANDS)
    np.maximum.at(notes, bands, (engine.state.nmf.activations[: len(bands)] / engine.full_scale) ** 2)
    np.testing.assert_allclose(told["notes"], notes if kit == "piano" else [], rtol=0.01, atol=1e-6)


def test_the_singer_is_heard_as_here(browser):
    """The microphone through its own engine, whose stems are silent: its filter, its gate, its room."""
    sound, rate = music(128 * 300, 48_000, 1), 48_000
    moves = [(0, "microphone.gain_db", -3.0), (150, "microphone.reverb_db", -6.0)]
    moves += [(0, f"{stem}.gain_db", -80) for stem in STEMS]
    told = rendered(browser, "live", rate, sound, moves, sings=True)
    _, heard = processed(Settings("live"), rate, sound, moves, sings=True)
    np.testing.assert_allclose(told["heard"], heard, atol=5e-5)
    assert np.abs(heard).max() > 0.1


def test_the_key_is_changed_as_here(each_browser):
    sound, rate = music(128 * 300, 48_000, 2), 48_000
    moves = [(0, "key.semitones", 3), (150, "key.semitones", -5)]
    told = rendered(each_browser, "balanced", rate, sound, moves, transposing=True)
    _, heard = processed(Settings("balanced", transpose=True), rate, sound, moves)
    # The vocoder chooses peaks of the spectrum, and the last bit may decide between two.
    assert si_sdr(heard, told["heard"]) > 40


ENGINE = """
    const { default: LocalEngine } = await import("./engine-local.js");
    const engine = await LocalEngine.load(), frames = [];
    const wait = (seconds) => new Promise((done) => setTimeout(done, 1000 * seconds));
    engine.addEventListener("frame", ({ detail }) => frames.push(detail));
"""


def test_the_song_plays_moves_and_changes_its_mode(browser):
    told = run(
        browser,
        ENGINE
        + """
        await engine.open({ kind: "song", ...engine.songs[0] });
        engine.seek(2);
        await engine.play();
        await wait(1.5);
        const first = frames.splice(0);
        engine.set("output.gain_db", -Infinity);
        await wait(1.5);
        const silent = frames.splice(0).at(-1);
        engine.set("output.gain_db", 0);
        const before = engine.latency.engine_ms;
        engine.set("key.semitones", 2);
        await wait(1);
        const later = engine.latency.engine_ms - before;
        engine.set("key.semitones", 0);
        await engine.setMode("quality");
        await wait(1);
        const last = frames.at(-1), { position, duration, latency } = engine;
        engine.pause();
        const level = (frame) => [frame.input, frame.output].map((x) => (x === -Infinity ? -999 : x));
        return { count: first.length, first: level(first.at(-1)), silent: level(silent), last: level(last), position,
            duration, latency, later, power: Array.from(last.bands), peaks: Array.from(engine.peaks), load: last.load };
        """,
    )
    assert told["count"] > 20
    assert -40 < told["first"][0] < 0 and -40 < told["first"][1] < 0
    assert told["silent"][0] > -40 and told["silent"][1] < -50
    assert told["last"][1] > -40
    assert told["later"] == pytest.approx(42.7, abs=4)  # a key takes a window
    assert 6 < told["position"] < 10 and 20 < told["duration"] < 60
    assert told["latency"]["engine_ms"] == pytest.approx(90.7, abs=3)
    assert len(told["power"]) == 4 * 96 and max(told["power"]) > 1e-6 and max(told["peaks"]) > 0.3
    assert told["load"] < 1


def test_a_larger_buffer_takes_over_where_the_song_is(browser):
    told = run(
        browser,
        ENGINE
        + """
        await engine.open({ kind: "song", ...engine.songs[0] });
        engine.seek(3);
        await engine.play();
        await wait(1);
        const before = engine.latency.base_ms + engine.latency.output_ms;
        await engine.setBuffer("playback");
        await wait(1.5);
        const { base_ms, output_ms } = engine.latency, { position, playing } = engine, output = frames.at(-1).output;
        engine.close();
        return { before, after: base_ms + output_ms, position, playing, output };
        """,
    )
    assert told["after"] >= told["before"] and told["playing"] and told["output"] > -40
    assert 4.5 < told["position"] < 9


def test_stems_of_a_file_are_rendered_as_the_engine_here_separates_it(browser, tmp_path):
    rate = round(run(browser, "const context = new AudioContext(); return context.sampleRate;"))
    sound, content = music(rate, rate, 2), io.BytesIO()
    soundfile.write(content, sound, rate, format="WAV", subtype="FLOAT")
    told = run(
        browser,
        ENGINE
        + """
        const content = Uint8Array.from(atob(given[0]), (c) => c.charCodeAt(0));
        await engine.open({ kind: "file", file: new File([content], "a.wav") });
        engine.set("percussive.mute", 1);
        const seen = [], { mix, stems, sampleRate } = await engine.render((part) => seen.push(part));
        const plain = (channels) => channels.map((channel) => Array.from(channel));
        return { rate: sampleRate, mix: plain(mix), seen,
            stems: Object.fromEntries(Object.entries(stems).map(([name, channels]) => [name, plain(channels)])) };
        """,
        base64.b64encode(content.getvalue()).decode(),
    )
    assert told["seen"][-1] == 1
    assert told["rate"] == rate and rate in page.RATES
    for stem, truth in separate(sound, sample_rate=rate, mode="balanced").items():
        assert np.abs(np.array(told["stems"][stem]).T - truth).max() < 1e-4, stem
    whole = sum(np.array(told["stems"][stem]).T for stem in told["stems"])
    assert np.abs(whole - sound).max() < 1e-6
    np.testing.assert_allclose(np.array(told["mix"]).T, whole - np.array(told["stems"]["percussive"]).T, atol=1e-4)


def test_the_microphone_is_heard_and_recorded(browser):
    told = run(
        browser,
        ENGINE
        + """
        await engine.open({ kind: "microphone" });
        await engine.play();
        await wait(0.5);
        await engine.record(true);
        await wait(2);
        const { channels, sampleRate } = await engine.record(false);
        engine.close();
        const top = Math.max(...channels[0].map(Math.abs));
        return { seconds: channels[0].length / sampleRate, top, name: engine.name, duration: engine.duration };
        """,
    )
    assert 1 < told["seconds"] < 4 and told["top"] > 0.01  # the browser's own microphone beeps each second
    assert told["name"] == "microphone" and told["duration"] is None


JUDGE = """
    const { Singing } = await import("./singing.js");
    const singing = new Singing(), onPitch = [];
    for (const [time, song, singer] of given[0]) {
        singing.hear(time, song, singer);
        onPitch.push(singing.onPitch);
    }
    return { errors: singing.errors.map((each) => (Number.isNaN(each) ? null : each)), onPitch, score: singing.score };
"""


def test_a_singer_is_judged_as_here(each_browser):
    random, moments = np.random.default_rng(3), []
    for start, note in enumerate(random.integers(50, 70, 24)):
        sung = note + random.choice([0, 12, -12]) + random.normal(0, 0.4)
        for i in range(50):
            song = 440 * 2 ** ((note - 69) / 12) if i > 6 else 0.0
            hz = 440 * 2 ** ((sung + random.normal(0, 0.1) - 69) / 12) if random.random() > 0.1 else 0.0
            moments.append((start + i * 0.02 + 5 * (start > 12), song, hz))  # and once somebody moves in the song
    here, on_pitch = Singing(), []
    for moment in moments:
        here.hear(*moment)
        on_pitch.append(here.on_pitch)
    told = run(each_browser, JUDGE, moments)
    errors = np.array([np.nan if each is None else each for each in told["errors"]])
    np.testing.assert_allclose(errors, here.errors, atol=1e-6)
    assert told["onPitch"] == on_pitch and set(on_pitch) == {True, False}
    assert told["score"] == pytest.approx(here.score)


@pytest.mark.parametrize("sharp, least, most", [(0, 85, 100), (1, 0, 15)])
def test_karaoke_in_the_page_scores_who_sings(address, tmp_path, sharp, least, most):
    """A held note, sung as it is and a semitone sharp; early and late are no matter then."""
    rate = 48_000
    for name, hz in (("song", 220), ("singer", 220 * 2 ** (sharp / 12))):
        sound = np.repeat(tune(8 * rate, rate, (hz,)), 2, 1)
        soundfile.write(tmp_path / f"{name}.wav", sound, rate, subtype="PCM_16")
    with chromium_with(f"--use-file-for-fake-audio-capture={tmp_path / 'singer.wav'}") as browser:
        browser.get(f"{address}/index.html")
        until(lambda: browser.execute_script("return document.querySelectorAll('.strip').length") == 5)
        browser.find_element("id", "file").send_keys(str(tmp_path / "song.wav"))
        until(lambda: browser.find_element("id", "sing").is_enabled())
        browser.find_element("id", "sing").click()
        until(lambda: browser.find_element("id", "lane").is_displayed())
        assert not browser.find_element("id", "strips").is_displayed()
        guide = "return document.querySelector('#karaoke input[type=range]').getAttribute('aria-valuetext')"
        assert browser.execute_script(guide) == "Guide -18.0 dB"
        until(lambda: "gain?" in browser.find_element("id", "says").text, 60)
        score = int(re.search(r"(\d+) of 100", browser.find_element("id", "says").text)[1])
        assert least <= score <= most
        kept = "return JSON.parse(localStorage.getItem('rtsep.session')).values['melody.gain_db']"
        until(lambda: browser.execute_script(kept) == 0)  # the guide is no level to begin with the next time
        browser.find_element("id", "sing").click()
        until(lambda: browser.find_element("id", "strips").is_displayed())
        assert told(browser, 1) == "Voice 0.0 dB" and complaints(browser) == []


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        ('await engine.open({ kind: "file", file: new File(["x"], "a.doc") });', "cannot read a.doc. Try MP3"),
        ('await engine.open({ kind: "song", url: "nowhere.mp3", name: "x" });', "cannot be loaded"),
        ('await engine.setMode("nonsense");', "no mode nonsense"),
        ('engine.set("nonsense", 1);', "no parameter nonsense"),
        ("await engine.render();", "Open a song first"),
    ],
)
def test_what_goes_wrong_is_a_sentence(browser, script, sentence):
    with pytest.raises(AssertionError, match=sentence):
        run(browser, ENGINE + script)


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("")
    with pytest.raises(BadInput, match="is not empty: give a new folder"):
        page.write(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_page_may_be_written_again_and_is_small(folder):
    page.write(folder)
    about = json.loads((folder / "parameters.json").read_text())
    assert {f"{stem}.gain_db" for stem in about["stems"]} <= {each["id"] for each in about["parameters"]}
    first = ["engine.bin", "balanced-48000-2.bin", "parameters.json", *(p.name for p in folder.glob("*.js"))]
    assert sum(len(gzip.compress((folder / name).read_bytes())) for name in first) < 400_000


def test_one_click_plays_the_song_and_keys_move_the_faders(browser):
    from selenium.webdriver.common.keys import Keys

    visit(browser)
    complaints(browser)
    browser.find_element("id", "demo").click()
    until(lambda: browser.find_element("id", "play").get_attribute("aria-label") == "Pause")
    until(lambda: "load" in browser.find_element("id", "status").text)
    press(browser, "1", Keys.ARROW_DOWN, Keys.PAGE_DOWN)
    assert told(browser) == "Drums -7.0 dB"
    press(browser, "m")
    assert told(browser) == "Drums -7.0 dB, muted"
    press(browser, Keys.END)
    assert told(browser) == "Drums -inf dB, muted"
    press(browser, "u", "u")
    assert told(browser) == "Drums -7.0 dB"
    time.sleep(0.5)  # it is kept a moment after it was moved
    browser.refresh()  # and is there the next time
    until(lambda: browser.execute_script("return document.querySelectorAll('.strip').length") == 5)
    assert told(browser) == "Drums -7.0 dB"
    assert complaints(browser) == []


def test_a_kit_of_templates_brings_its_strips_and_the_song_stays_open(browser, tmp_path):
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.select import Select

    rate = 48_000
    soundfile.write(tmp_path / "mine.wav", music(4 * rate, rate, 2), rate, subtype="PCM_16")
    visit(browser)
    complaints(browser)
    browser.find_element("id", "file").send_keys(str(tmp_path / "mine.wav"))
    until(lambda: browser.find_element("id", "name").text == "mine.wav")
    press(browser, "1", Keys.PAGE_DOWN)
    strips = "return [...document.querySelectorAll('.strip h2 span')].map((each) => each.textContent)"
    for kit, names in (
        ("drums", ["Kick", "Snare", "Hi-hat", "Toms", "Cymbals", "Voice", "Harmony", "Rest", "Out"]),
        ("piano", ["Lower", "Upper", "Rest", "Out"]),
        ("", ["Drums", "Voice", "Harmony", "Rest", "Out"]),
    ):
        browser.find_element("id", "settings").click()
        choice = browser.find_element("css selector", ".kits select")
        Select(choice).select_by_value(kit)
        until(lambda names=names: browser.execute_script(strips) == names)
        until(lambda: browser.find_element("id", "name").text == "mine.wav")
        browser.find_element("id", "play").click()
        until(lambda: "load" in browser.find_element("id", "status").text)
    assert told(browser) == "Drums -6.0 dB" and complaints(browser) == []


@pytest.mark.parametrize("theme", ("dark", "light"))
@pytest.mark.parametrize("width, height", [(1280, 800), (390, 844), (844, 390)])
def test_the_page_fits_the_screen_and_a_thumb(browser, width, height, theme):
    visit(browser, width, height, theme)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    touched = "#shape button, .strip input[type=range], .switches button"
    sizes = browser.execute_script(
        "return [...document.querySelectorAll(arguments[0])].filter((each) => each.offsetParent)"
        ".map((each) => [each.textContent, each.getBoundingClientRect().width, each.getBoundingClientRect().height])",
        touched,
    )
    assert len(sizes) > 10
    least = 44 if width < 900 else 36
    assert [each for each in sizes if min(each[1:]) < least] == []


def test_presets_go_in_and_out_as_files_of_the_command_line(browser, tmp_path, monkeypatch):
    from rtsep.live import presets

    monkeypatch.setenv("RTSEP_CONFIG", str(tmp_path))
    visit(browser)
    given = """
        const store = await import("./store.js"), { default: LocalEngine } = await import("./engine-local.js");
        const engine = await LocalEngine.load();
    """
    content = run(
        browser,
        given + 'engine.set("melody.gain_db", -Infinity); engine.set("percussive.mute", 1); '
        "return store.toToml({ values: engine.values }, engine.parameters);",
    )
    (tmp_path / "page.toml").write_text(content)
    presets.import_preset(str(tmp_path / "page.toml"), None, False)
    values = presets.preset("page").values
    assert values["melody.gain_db"] == -np.inf and values["percussive.mute"] == 1
    told = run(
        browser,
        given
        + "return Object.entries(store.fromToml(given[0], engine.parameters).values).map(([id, x]) => [id, `${x}`]);",
        presets.preset_text("drums-down"),
    )
    assert ["percussive.gain_db", "-12"] in told


def test_why_the_engine_cannot_be_had_is_told(tmp_path, monkeypatch):
    def refuse(told):
        raise Unavailable("numba is not installed: pip install numba.")

    monkeypatch.setattr(library, "for_browsers", refuse)
    with pytest.raises(Unavailable, match=r"^numba is not installed: pip install numba\.$"):
        page.write(tmp_path / "out")


def rtsep(*arguments, **options):
    command = [sys.executable, "-m", "rtsep", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def test_the_commands_write_the_page_and_serve_it(folder, tmp_path):
    with rtsep("export", "web", str(tmp_path / "out")) as process:
        output, errors = process.communicate()
    assert process.returncode == 0, errors
    assert output.startswith(f"{tmp_path / 'out'}: any web server can offer it.")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {path.name for path in folder.iterdir()}
    with rtsep("web", "--port", "0", "--no-browser") as process:
        lines = iter(process.stderr.readline, "")
        address = next(re.search(r"http://127\.0\.0\.1:(\d+)/", line) for line in lines if "the page is at" in line)
        with urllib.request.urlopen(address[0]) as answer:
            assert b"Play the demo song" in answer.read()
        with urllib.request.urlopen(f"{address[0]}core.js") as answer:
            assert answer.headers["Content-Type"] == "text/javascript"
        with rtsep("web", "--port", address[1], "--no-browser") as another:
            errors = another.communicate()[1]
        assert another.returncode == 3 and f"port {address[1]} cannot be had" in errors
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
    with rtsep("web", "--port", "70000") as process:
        assert "is no port" in process.communicate()[1] and process.returncode == 2
