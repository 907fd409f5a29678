"""`rtsep doctor`: what a machine has and can do, versions, the null test, the cost of a hop, and the risks in words."""

import argparse
import json
import os
import platform
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from ..engine import Engine
from ..errors import Unavailable
from ..library import cache_folder, place, warm_up
from ..live.devices import devices, portaudio
from ..live.ports import ports
from ..live.toml_files import folder
from ..settings import MODES, Settings
from .options import json_too

_PACKAGES = ("rtsep", "numpy", "numba", "sounddevice", "soundfile", "soxr")
_MIDI_LIBRARIES = ("python-rtmidi", "supriya-midi")


def add(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    json_too(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Examine this machine and print what was found."""
    as_json = options.json
    warm_up()
    report: dict[str, Any] = {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "packages": {name: _version(name) for name in _PACKAGES},
        "midi library": next((f"{name} {_version(name)}" for name in _MIDI_LIBRARIES if _version(name)), "none"),
        "library": str(place()),
        "folders": {
            "cache": str(cache_folder()),
            "settings": f"{folder()}, with presets, controllers and the last session",
        },
        "modes": {mode: _examine(mode) for mode in MODES},
    }
    try:
        report["portaudio"] = portaudio().get_portaudio_version()[1]
        report["devices"] = [f"{device.name} ({device.host})" for device in devices()]
    except Unavailable as error:
        report["portaudio"], report["devices"] = f"none: {error}", []
    try:
        report["midi ports"] = [name for name, *_ in ports()]
    except Unavailable as error:
        report["midi ports"] = [str(error)]
    report["risks"] = list(_risks(report))
    if as_json:
        print(json.dumps(report, indent=2))
        return
    for key, value in report.items():
        if isinstance(value, dict):
            print(f"{key}:")
            for name, entry in value.items():
                text = (
                    ", ".join(f"{what} {number}" for what, number in entry.items())
                    if isinstance(entry, dict)
                    else entry
                )
                print(f"  {name:12} {text}")
        elif isinstance(value, list):
            print(f"{key}:" + "".join(f"\n  {entry}" for entry in value or ["none"]))
        else:
            print(f"{key + ':':14} {value}")


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _examine(mode: str) -> dict[str, Any]:
    """The null test and the cost of a hop of `mode`, stereo at 48 kHz."""
    engine = Engine(Settings(mode))
    hop = engine.settings.sizes(48_000).hop_size
    engine.prepare(sample_rate=48_000, channels=2, max_block=hop)
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (300 * hop, 2)).astype(np.float32)
    times, heard = [], []
    for start in range(0, len(noise), hop):
        before = time.perf_counter()
        heard.append(engine.process(noise[start : start + hop]))
        times.append(time.perf_counter() - before)
    error = np.abs(np.concatenate(heard)[engine.latency :] - noise[: -engine.latency]).max()
    deadline = hop / 48_000
    return {
        "latency_ms": round(engine.latency / 48, 1),
        "null": "exact" if error == 0 else f"{20 * np.log10(error):.0f} dB",
        "hop_us": round(float(np.median(times)) * 1e6),
        "load_percent": round(float(np.median(times)) / deadline * 100, 1),
        "worst_percent": round(max(times) / deadline * 100, 1),
    }


def _risks(report: dict[str, Any]) -> Any:
    """What is most likely to disturb the sound, in words."""
    if not report["devices"]:
        yield "no sound device: only the virtual device and files can be used"
    if (os.cpu_count() or 1) < 2:
        yield "one core only: anything else that runs will be heard"
    for mode, found in report["modes"].items():
        if mode != "offline" and found["load_percent"] > 50:
            yield f"mode {mode} takes {found['load_percent']} % of a core here: use a slower mode or a lower rate"
        if found["null"] != "exact":
            yield f"the null test of mode {mode} failed ({found['null']}): please report this"
    if platform.system() == "Linux":
        import resource

        if os.geteuid() != 0 and resource.getrlimit(resource.RLIMIT_RTPRIO)[0] == 0:
            yield "no right to real-time priority: join the audio group or set 'rtprio' in /etc/security/limits.d"
        governor = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
        if governor.exists() and governor.read_text().strip() == "powersave":
            yield "the processor saves power: set its governor to performance while you play"
