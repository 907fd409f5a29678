"""The page before a running stream: who is let in, what it moves, what it is told."""

import json
import os
import stat
import subprocess
import sys
import time
import urllib.request
from contextlib import ExitStack, contextmanager

import numpy as np
import pytest
from signals import music
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from rtsep import Engine, Settings, page
from rtsep.errors import Unavailable
from rtsep.live import code
from rtsep.live.hands import Hands
from rtsep.live.remote import Remote
from rtsep.live.stream import open_stream

RATE, NUMBERS = 48_000, 7


@pytest.fixture(autouse=True)
def mine(tmp_path, monkeypatch):
    monkeypatch.setenv("RTSEP_CONFIG", str(tmp_path / "settings"))


@contextmanager
def playing(engine=None, port=0, **more):
    """A remote before a stream on the virtual device, on which four seconds of music go round."""
    song = music(4 * RATE, RATE, 2)
    with (
        open_stream(engine or Engine(), "virtual", source=song, loop=True) as stream,
        Remote(stream, "a song", port=port, **more) as remote,
    ):
        yield stream, remote


def visiting(remote, **more):
    """A page, as far as it talks."""
    address, token = remote.address.split("#")
    return connect(f"{address.replace('http', 'ws')}engine?token={token}", **more)


def news(visitor, ready, seconds=5):
    """What a page is told, until `ready` says that it is what was waited for."""
    end = time.monotonic() + seconds
    while True:
        told = visitor.recv(end - time.monotonic())
        if isinstance(told, str) and ready(json.loads(told)):
            return json.loads(told)


def test_nobody_is_let_in_without_the_token_or_from_another_page():
    with playing() as (_, remote):
        address = remote.address.split("#")[0].replace("http", "ws")
        for query in ("", "?token=", "?token=wrong"):
            with pytest.raises(InvalidStatus, match="403"):
                connect(f"{address}engine{query}")
        with pytest.raises(InvalidStatus, match="403"):
            visiting(remote, origin="http://elsewhere.example")
        with visiting(remote, origin=address.replace("ws", "http").rstrip("/")) as visitor:
            assert "percussive.gain_db" in news(visitor, lambda told: "values" in told)["values"]


def test_the_token_is_kept_for_its_owner_alone(tmp_path):
    with playing() as (_, first):
        pass
    with playing() as (_, second):
        assert second.address.split("#")[1] == first.address.split("#")[1]
    (kept,) = (tmp_path / "settings").iterdir()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600 and len(kept.read_text()) >= 16


@pytest.mark.parametrize("kept", ["", "cutoff\n"])
def test_a_token_that_was_cut_off_is_made_anew(tmp_path, kept):
    (tmp_path / "settings").mkdir()
    (tmp_path / "settings" / "web.token").write_text(kept)
    with playing() as (_, remote):
        assert len(remote.address.split("#")[1]) >= 16
        with pytest.raises(InvalidStatus, match="403"):
            connect(f"{remote.address.split('#')[0].replace('http', 'ws')}engine?token={kept.strip()}")


def test_a_missing_web_server_is_told_before_any_sound(monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    monkeypatch.delitem(sys.modules, "rtsep.live.remote")
    with pytest.raises(Unavailable, match=r"pip install 'rtsep\[web\]'"):
        Hands("live", web=0)


def test_lines_of_text_have_no_picture_of_the_address_and_no_key_for_it(capfd):
    song = music(RATE, RATE, 2)
    with open_stream(Engine(), "virtual", source=song, loop=True) as stream:
        for plain in (False, True):
            with Hands("live", midi=False, web=0, lan=True).on(stream, "a song", plain=plain) as held:
                assert held.press("w") == (not plain)
                assert ("(w shows it again" in capfd.readouterr().err) == (not plain)


def test_a_port_that_is_taken_is_a_sentence():
    with playing() as (stream, remote):
        port = int(remote.address.split(":")[2].split("/")[0])
        with pytest.raises(Unavailable, match=f"port {port} cannot be had"):
            Remote(stream, "a song", port=port)


def test_pages_keep_in_step_with_each_other_and_with_other_hands():
    with playing() as (stream, remote), visiting(remote) as one, visiting(remote) as other:
        for visitor in (one, other):
            news(visitor, lambda told: "values" in told)
        one.send(json.dumps({"set": {"percussive.gain_db": "-inf"}, "number": 7}))
        told = news(other, lambda told: "values" in told)
        assert told == {"values": {"percussive.gain_db": "-inf"}, "heard": 0}
        assert news(one, lambda told: "values" in told)["heard"] == 7
        assert stream.engine.parameters["percussive.gain_db"].value == -np.inf
        stream.engine.parameters["melody.mute"] = 1
        for visitor in (one, other):
            assert news(visitor, lambda told: "values" in told)["values"] == {"melody.mute": 1}


NONSENSE = (
    "", "nonsense", "[]", "{}", '{"set": {"nonsense": 1}, "number": 1}', '{"set": {"bypass": NaN}, "number": 1}',
    '{"set": 1}', '{"seek": "far"}', '{"seek": NaN}', '{"loop": [9, 1]}', '{"loop": 3}', "\u0000",
)  # fmt: skip


def test_what_makes_no_sense_moves_nothing():
    with playing() as (stream, remote), visiting(remote) as visitor:
        before = stream.engine.parameters.snapshot()
        for asked in NONSENSE:
            visitor.send(asked)
        visitor.send(json.dumps({"set": {"bypass": 1}, "number": 2}))
        news(visitor, lambda told: told.get("values") == {"bypass": 1})
        assert stream.engine.parameters.snapshot() == before | {"bypass": 1}


def test_the_song_is_played_from_afar():
    with playing() as (stream, remote), visiting(remote) as visitor:
        state = news(visitor, lambda told: "state" in told)["state"]
        assert (state["name"], state["playing"], state["duration"], state["loop"]) == ("a song", True, 4.0, None)
        visitor.send(json.dumps({"play": False}))
        assert not news(visitor, lambda told: "state" in told)["state"]["playing"]
        visitor.send(json.dumps({"seek": 2.5}))
        time.sleep(0.3)
        assert stream.player.position == pytest.approx(2.5, abs=0.02)
        visitor.send(json.dumps({"loop": [1, 2]}))
        assert news(visitor, lambda told: "state" in told)["state"]["loop"] == [1, 2]
        visitor.send(json.dumps({"loop": None}))
        assert news(visitor, lambda told: "state" in told)["state"]["loop"] is None
        assert stream.player.loop == (0, 4)  # it goes round as it did


def frames(visitor, seconds):
    """The pictures that come within a time."""
    end, found = time.monotonic() + seconds, []
    while time.monotonic() < end:
        told = visitor.recv(1)
        if isinstance(told, bytes):
            found.append(np.frombuffer(told, np.float32))
    return found


def test_levels_and_spectrum_are_those_of_the_engine():
    with playing() as (stream, remote), visiting(remote) as visitor:
        engine, found = stream.engine, frames(visitor, 2)
        assert 30 <= len(found) <= 62  # thirty a second
        assert {len(frame) for frame in found} == {NUMBERS + 4 + 4 * page.BANDS}
        stream.player.pause()
        time.sleep(0.5)
        stream._running[0] = 0  # the engine stands still
        time.sleep(0.2)
        last = frames(visitor, 0.3)[-1]
        np.testing.assert_allclose(last[NUMBERS : NUMBERS + 4], engine.meters.stems, rtol=1e-6)
        # The rule of rtsep/web/core.js, bin by bin.
        magnitude, masks, size = engine.state.magnitude, engine.state.masks, engine.sizes.window_size
        edges = [round(40 * 400 ** (b / 96) * size / RATE) for b in range(97)]
        power = np.zeros((4, 96))
        for b in range(96):
            for k in range(edges[b], max(edges[b + 1], edges[b] + 1)):
                for s, mask in enumerate([*masks[:, k], 1 - masks[:, k].sum()]):
                    power[s, b] += (mask * magnitude[k] / engine.full_scale) ** 2
        np.testing.assert_allclose(last[NUMBERS + 4 :].reshape(4, 96), power, rtol=1e-3, atol=1e-12)


def test_a_page_that_stalls_holds_up_nobody():
    with (
        playing() as (stream, remote),
        visiting(remote, max_queue=1, close_timeout=0.1) as stalled,
        visiting(remote) as other,
    ):
        xruns = stream.lost[0]
        time.sleep(2)  # nobody reads
        stalled.socket.setblocking(True)
        assert len(frames(other, 1)) > 20
        other.send(json.dumps({"set": {"bypass": 1}, "number": 1}))
        news(other, lambda told: told.get("values") == {"bypass": 1})
        assert stream.lost[0] - xruns <= 2


def test_the_page_and_the_shape_of_the_song_are_served():
    with playing(Engine(Settings("live"))) as (_, remote):
        address = remote.address.split("#")[0]

        def get(name):
            with urllib.request.urlopen(address + name) as answer:
                assert answer.headers["Cache-Control"] == "no-cache" or name in ("parameters.json", "peaks")
                return answer.read()

        assert b'<section id="strips"' in get("")
        assert b"class RemoteEngine" in get("engine.js")
        about = json.loads(get("parameters.json"))
        assert [mode["name"] for mode in about["modes"]] == ["live"]
        assert {preset["name"] for preset in about["presets"]} > {"karaoke", "drums-down"}
        idle = ("key.", "microphone.", "templates.", "melody.duck")
        assert not [each["id"] for each in about["parameters"] if each["id"].startswith(idle)]
        song = music(4 * RATE, RATE, 2)
        truth = [np.abs(piece).max() for piece in np.split(song, 2000)]
        np.testing.assert_allclose(np.frombuffer(get("peaks"), np.float32), truth, rtol=1e-6)


def test_a_phone_can_read_the_address_from_a_small_terminal():
    address = "http://192.168.178.121:65535/#" + 16 * "x"
    *lines, below, _ = (text.plain for text in code.picture(address).renderables)
    assert len(lines) + 2 <= 22 and max(map(len, lines)) < 80 and below == address
    light = {"█": (0, 0), "▀": (0, 1), "▄": (1, 0), " ": (1, 1)}
    rows = [[light[sign][half] for sign in line] for line in lines for half in (0, 1)]
    module = np.array(rows[: len(rows[0])])
    assert module[:2].sum() == module[:, :2].sum() == 0  # the quiet border
    finder = np.pad(np.pad(np.ones((3, 3)), 1), 1, constant_values=1)
    for corner in (module[2:9, 2:9], module[2:9, -9:-2], module[-9:-2, 2:9]):
        np.testing.assert_array_equal(corner, finder)


def test_the_command_line_serves_the_page_and_takes_the_address_away_at_a_key(tmp_path):
    pytest.importorskip("pty", reason="pseudo terminals are a matter of POSIX")
    from screen import Terminal

    terminal = Terminal()
    line = [sys.executable, "-m", "rtsep", "live"]
    line += ["-i", "virtual", "-o", "virtual", "--lan", "--port", "0", "--no-midi"]
    ends = dict.fromkeys(("stdin", "stdout", "stderr"), terminal.program)
    with subprocess.Popen(line, env=os.environ | {"TERM": "xterm-256color", "LANG": "C.UTF-8"}, **ends) as process:
        try:
            shown = terminal.wait("any key goes back")
            (address,) = (line for line in shown if line.startswith("http://"))
            with urllib.request.urlopen(f"http://127.0.0.1:{address.split(':')[2].split('/')[0]}/") as answer:
                assert answer.status == 200
            terminal.press("w")
            terminal.wait("any key goes back", there=False)
            terminal.wait("percussive")
            terminal.press("q")
            assert process.wait(20) == 0
        finally:
            process.kill()
            terminal.close()


def test_the_page_moves_the_engine_follows_it_and_finds_it_again(chromium, monkeypatch):
    def until(script, seconds=15):
        end = time.monotonic() + seconds
        while not chromium.execute_script(f"return {script}"):
            assert time.monotonic() < end, script
            time.sleep(0.05)

    fader = "document.querySelector('.strip input[type=range]')"
    with playing() as (stream, remote):
        address = remote.address
        chromium.get(address)
        until("document.querySelectorAll('.strip').length === 5 && !document.body.classList.contains('gone')")
        until("document.getElementById('load').textContent.includes('load')")
        chromium.execute_script(f"{fader}.focus(); {fader}.value = 0; {fader}.dispatchEvent(new Event('input'))")
        end = time.monotonic() + 5
        while stream.engine.parameters["percussive.gain_db"].value > -60:
            assert time.monotonic() < end
            time.sleep(0.01)
        stream.engine.parameters["percussive.gain_db"] = -6  # another hand
        until(f"{fader}.getAttribute('aria-valuetext') === 'Drums -6.0 dB'")
        assert not chromium.execute_script("return document.getElementById('mic').offsetParent")
        warns = "document.getElementById('warns').textContent"
        with monkeypatch.context() as pulled:
            pulled.setattr(type(stream), "active", False)
            until(f"{warns}.includes('The sound device has gone.')")
        until(f"{warns} === ''")
    until("document.body.classList.contains('gone')")
    assert "Looking for the engine" in chromium.find_element("id", "warns").text
    engine = Engine()
    engine.parameters["percussive.gain_db"] = -20
    with playing(engine, port=int(address.split(":")[2].split("/")[0])):
        until("!document.body.classList.contains('gone')")
        until(f"{fader}.getAttribute('aria-valuetext') === 'Drums -20.0 dB'")  # with the engine's own values
        assert chromium.find_element("id", "warns").text == ""


def test_the_engine_that_ends_lets_its_pages_go():
    with ExitStack() as run:
        _, remote = run.enter_context(playing())
        with visiting(remote) as visitor:
            visitor.recv(5)
            run.close()
            with pytest.raises(ConnectionClosed):
                while True:
                    visitor.recv(5)
