"""The plugin in hosts that others wrote, lv2apply, lv2bench and jalv; and in a program where there is no Python."""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from signals import music
from studio import PERIOD, RATE, Client, server

from rtsep import Engine, Settings, plugin
from rtsep.live.presets import preset

URI = "urn:rtsep:karaoke"
KARAOKE = preset("karaoke").values

pytestmark = pytest.mark.skipif(
    shutil.which("cc") is None, reason="a C compiler is not installed (Debian: apt install gcc)"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The karaoke preset as LV2, as LADSPA, and with an output for each stem."""
    folder = tmp_path_factory.mktemp("plugins")
    plugin.write(folder / "lv2", "karaoke", Settings(), KARAOKE, formats=["lv2"])
    plugin.write(folder / "lv2", "stems", Settings(), {}, formats=["lv2"], stems_out=True)
    plugin.write(folder, "karaoke", Settings(), KARAOKE, formats=["ladspa"])
    return folder


def found(name, package):
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed (Debian: apt install {package})")
    return path


def rendered(sound, **more):
    """What an engine makes of `sound` with the preset and `more` parameters, 1024 samples at a time."""
    engine = Engine(Settings())
    engine.parameters.update({**KARAOKE, **{id.replace("__", "."): value for id, value in more.items()}})
    engine.prepare(sample_rate=RATE, channels=2)
    return np.concatenate([engine.process(sound[i : i + 1024]) for i in range(0, len(sound), 1024)])


def test_lv2apply_plays_what_the_engine_plays_with_a_fader_moved(folder, tmp_path):
    sound = music(2 * RATE, RATE, 2)
    soundfile.write(tmp_path / "in.wav", sound, RATE, subtype="FLOAT")
    command = [found("lv2apply", "lilv-utils"), "-i", "in.wav", "-o", "out.wav", "-c", "percussive_gain_db", "-12", URI]
    done = subprocess.run(
        command, cwd=tmp_path, env=os.environ | {"LV2_PATH": str(folder / "lv2")}, capture_output=True, text=True
    )
    assert done.returncode == 0 and done.stderr == "", done.stderr
    heard = soundfile.read(tmp_path / "out.wav", dtype="float32")[0]
    truth = rendered(sound, percussive__gain_db=-12)
    assert len(heard) == len(sound) and np.abs(truth - rendered(sound)).max() > 0.01
    np.testing.assert_allclose(heard, truth, atol=1e-6)


def test_lv2bench_runs_every_plugin_that_it_finds(folder):
    environment = {**os.environ, "LV2_PATH": str(folder / "lv2")}
    done = subprocess.run([found("lv2bench", "lilv-utils"), "-n", "48000"], env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr
    timed = dict(line.split()[::-1] for line in done.stdout.decode().splitlines() if "urn:rtsep" in line)
    assert set(timed) == {URI, "urn:rtsep:stems"} and all(float(seconds) > 0 for seconds in timed.values())


def test_the_bundle_says_nothing_that_lv2_forbids(folder):
    validate = found("lv2_validate", "lv2-dev sordi")
    files = [
        str(path)
        for name in ("karaoke", "stems")
        for path in sorted((folder / "lv2" / f"rtsep-{name}.lv2").glob("*.ttl"))
    ]
    done = subprocess.run([validate, *files], capture_output=True, text=True)
    assert done.returncode == 0 and "Found 0 errors" in done.stdout + done.stderr, done.stderr


def test_jalv_plays_it_on_a_sound_server(folder):
    found("jalv", "jalv")
    sound = music(2 * RATE, RATE, 2)
    ends = "input_left", "input_right", "output_left", "output_right"
    with server():
        client = Client(sound, 2, len(sound) / RATE + 0.5)
        command = ["jalv", "-x", "-n", "unmixed", "-c", "percussive_gain_db=-12", URI]
        environment = os.environ | {"LV2_PATH": str(folder / "lv2")}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        host = subprocess.Popen(command, env=environment, text=True, **pipes)
        try:
            end = time.monotonic() + 20
            while not {f"unmixed:{name}" for name in ends} <= set(client.ports()):
                assert host.poll() is None and time.monotonic() < end, client.ports()
                time.sleep(0.05)
            for number, (into, out) in enumerate(zip(ends[:2], ends[2:], strict=True)):
                client.connect(f"studio:out_{number}", f"unmixed:{into}")
                client.connect(f"unmixed:{out}", f"studio:in_{number}")
            time.sleep(0.3)
            client.playing = True
            while client.position < RATE:
                time.sleep(0.05)
            host.stdin.write("monitors\n")
            host.stdin.flush()
            heard = client.play()
        finally:
            client.close()
            said, _ = host.communicate("\n", timeout=20)
    heard = heard[PERIOD : PERIOD + len(sound)]  # the cables go in a circle, which takes a period
    off = []
    for early in range(0, 2048, PERIOD):  # the host has run for some blocks before
        padded = np.concatenate([np.zeros((early, 2), np.float32), sound])
        off.append(np.abs(rendered(padded, percussive__gain_db=-12)[early:] - heard).max())
    assert min(off) < 1e-6, off
    meters = {name: float(value) for name, value in re.findall(r"(\w+) = (-?[\d.]+)", said)}
    assert meters["latency"] == 512 and -40 < meters["percussive_meter"] < meters["input_meter"] < 0


@pytest.fixture(scope="module")
def jail(folder, tmp_path_factory):
    """A root folder with the plugin, the host of host.c, and what the two are linked with."""
    jail = tmp_path_factory.mktemp("jail")
    host = jail / "host"
    subprocess.run(["cc", "-O1", Path(__file__).parent / "host.c", "-o", host, "-ldl"], check=True)
    shutil.copy(folder / "rtsep-karaoke-ladspa.so", jail / "plugin.so")
    linked = [
        subprocess.run(["ldd", jail / name], capture_output=True, text=True).stdout for name in ("host", "plugin.so")
    ]
    for library in {place for text in linked for place in re.findall(r"(/\S+) \(0x", text)}:
        (jail / library[1:]).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, jail / library[1:])
    return jail


@pytest.mark.skipif(not sys.platform.startswith("linux") or os.geteuid() != 0, reason="chroot takes the rights of root")
def test_it_runs_where_there_is_nothing_but_the_c_library(jail):
    assert not list(jail.rglob("*python*"))
    sound = music(RATE, RATE, 2)
    line = ["chroot", jail, "/host", "/plugin.so", str(RATE), "2", "480"]
    done = subprocess.run(line, input=sound.tobytes(), capture_output=True)
    assert done.returncode == 0, done.stderr
    heard = np.frombuffer(done.stdout, np.float32).reshape(-1, 2)
    np.testing.assert_allclose(heard, rendered(sound), atol=1e-6)
