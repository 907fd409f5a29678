"""The page in a real browser: the engine there against the engine here."""

import functools
import http.server
import json
import shutil
import threading

import numpy as np
import pytest
from signals import music

from rtsep import Engine, Settings, page
from rtsep.errors import BadInput

CHROMIUM = shutil.which("chromium")
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--autoplay-policy=no-user-gesture-required",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return page.write(tmp_path_factory.mktemp("page") / "out")


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def browser(folder):
    if CHROMIUM is None:
        pytest.skip("chromium is not installed (Debian: apt install chromium chromium-driver)")
    from selenium import webdriver

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in FLAGS:
        options.add_argument(flag)
    driver = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
    driver.set_script_timeout(120)
    driver.get(f"http://127.0.0.1:{server.server_port}/parameters.json")  # a page of the folder, and nothing else
    try:
        yield driver
    finally:
        driver.quit()
        server.shutdown()
        server.server_close()


def run(browser, script, *arguments):
    """What `script`, the body of an async function, returns in the browser."""
    code = f"""
        const done = arguments[arguments.length - 1], given = Array.from(arguments).slice(0, -1);
        (async (...given) => {{ {script} }})(...given).then((value) => done({{ value }}), (error) => done({{ error: String(error) }}));
    """
    answer = browser.execute_async_script(code, *arguments)
    assert "error" not in answer, answer["error"]
    return answer["value"]


RENDER = """
    const [mode, rate, channels, moves, sound] = given;
    const about = await (await fetch("parameters.json")).json();
    const { default: LocalEngine } = await import("./engine-local.js");
    const engine = await LocalEngine.load();
    const { Core } = await import("./core.js");
    const found = about.images.find((each) => each.mode === mode && each.sample_rate === rate && each.channels === channels);
    const info = { ...found, stems: about.stems.length, words: about.words };
    const core = new Core(await engine.file("engine.bin"), await engine.file(info.file), info);
    const heard = [], blocks = sound.length / 128 / channels;
    for (let b = 0; b < blocks; b++) {
        for (const [at, id, value] of moves)
            if (at === b) { engine.set(id, value); core.set(...engine.targets().find(([n]) => n === about.parameters.find((p) => p.id === id).number)); }
        core.input.set(sound.slice(b * 128 * channels, (b + 1) * 128 * channels));
        core.process();
        heard.push(...core.output);
    }
    return { heard, levels: Array.from(core.measure()), latency: info.latency, power: Array.from(core.bands()) };
"""


@pytest.mark.parametrize("rate", page.RATES)
@pytest.mark.parametrize("channels", page.CHANNELS)
@pytest.mark.parametrize("mode", page.MODES)
def test_the_engine_in_the_browser_equals_the_one_here(browser, mode, channels, rate):
    blocks = 400
    sound = music(128 * blocks, rate, channels)
    moves = [(0, "percussive.gain_db", -12.0), (100, "melody.mute", 1), (250, "harmony.gain_db", -20.0)]
    told = run(browser, RENDER, mode, rate, channels, moves, sound.astype(float).ravel().tolist())
    engine = Engine(Settings(mode=mode))
    engine.prepare(sample_rate=rate, channels=channels)
    heard = []
    for b in range(blocks):
        for _, id, value in (move for move in moves if move[0] == b):
            engine.parameters[id] = value
        heard.append(engine.process(sound[128 * b :][:128]))
    assert told["latency"] == engine.latency
    off = np.abs(np.array(told["heard"]).reshape(-1, channels) - np.concatenate(heard))
    assert off.max() < 2e-5, off.max()
    np.testing.assert_allclose(told["levels"][4:], engine.meters.stems, atol=1e-4)
    assert np.isfinite(told["power"]).all() and sum(told["power"]) > 0
