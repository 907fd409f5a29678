"""Sound devices by name: finding them, describing them, and saying in a sentence why one cannot be had."""

import atexit
import ctypes
import os
import sys
from contextlib import suppress
from ctypes.util import find_library
from types import ModuleType
from typing import Any, NamedTuple, cast

from ..errors import BadInput, Unavailable

VIRTUAL = "virtual"
"""The name of the built-in device that needs no hardware."""


_SHOWN = 3  # devices in a sentence
_CLIENT = b"rtsep"  # what JACK calls us; PortAudio keeps the pointer


class Device(NamedTuple):
    """A device as PortAudio lists it. `number` holds until the next rescan only."""

    number: int
    name: str
    host: str
    inputs: int
    outputs: int
    sample_rate: float


def portaudio() -> ModuleType:
    """The sounddevice module, or `Unavailable` with the name of the package that is missing."""
    if sys.platform == "linux" and "sounddevice" not in sys.modules:
        with suppress(OSError, AttributeError, TypeError):  # no library, no JACK in it, not found
            ctypes.CDLL(find_library("portaudio")).PaJack_SetClientName(_CLIENT)
    try:
        import sounddevice
    except OSError:
        raise Unavailable(
            "the PortAudio library is not installed: install it (Debian and Ubuntu: apt install libportaudio2; "
            "Fedora: dnf install portaudio; macOS: brew install portaudio), or use the built-in device: "
            "-o virtual."
        ) from None
    # At exit PortAudio would close its JACK client, and abort the process if the server has gone by then.
    atexit.unregister(sounddevice._exit_handler)
    return cast(ModuleType, sounddevice)


def devices() -> list[Device]:
    """All devices of all host interfaces, in PortAudio's order."""
    sounddevice = portaudio()
    hosts = [host["name"] for host in sounddevice.query_hostapis()]
    return [
        Device(
            index,
            found["name"],
            hosts[found["hostapi"]],
            found["max_input_channels"],
            found["max_output_channels"],
            found["default_samplerate"],
        )
        for index, found in enumerate(sounddevice.query_devices())
    ]


def rescan() -> None:
    """Look for devices again. Only while no stream is open: PortAudio has to be started anew."""
    sounddevice = portaudio()
    try:
        sounddevice._terminate()
        sounddevice._initialize()
    except sounddevice.PortAudioError as error:
        raise Unavailable(f"PortAudio cannot be started again: {error.args[0]}.") from None


def find(name: str | int | None, kind: str) -> Device:
    """The device of `kind` ("input" or "output") called `name`, or with `name` as a unique part of its name.

    None is the system's default. Raises `BadInput` for a name that fits several, `Unavailable` for none.
    """
    sounddevice = portaudio()
    fitting = [device for device in devices() if (device.inputs if kind == "input" else device.outputs) > 0]
    if not fitting:
        raise Unavailable(
            f"no sound device for {kind} was found: plug one in, start the sound server (PipeWire, PulseAudio or "
            "JACK), or use the built-in device: -o virtual."
        )
    if name is None:
        default = sounddevice.default.device["input" if kind == "input" else "output"]
        return next((device for device in fitting if device.number == default), fitting[0])
    word = str(name).lower()
    matches = [device for device in fitting if word == str(device.number)]
    matches = matches or [device for device in fitting if word == device.name.lower()]
    matches = matches or [device for device in fitting if word in f"{device.name}, {device.host}".lower()]
    if len(matches) == 1:
        return matches[0]
    listed = "; ".join(f"{device.name!r} ({device.host})" for device in (matches or fitting)[:_SHOWN])
    if len(matches or fitting) > _SHOWN:
        listed += f" and {len(matches or fitting) - _SHOWN} more, as rtsep devices shows"
    if matches:
        raise BadInput(f"{name!r} fits {len(matches)} {kind} devices: {listed}. Give more of the name, or its number.")
    raise Unavailable(f"no {kind} device is called {name!r}. There are: {listed}.")


def is_file(name: str, output: str | None) -> bool:
    """Whether `name` means a sound file, there or not, and no input device beside the device `output`."""
    if os.path.isfile(name) or output == VIRTUAL:
        return True
    try:
        find(name, "input")
    except Unavailable:
        if os.path.splitext(name)[1] or os.path.exists(name):
            return True
        raise
    return False


def check(device: Device, kind: str, channels: int, sample_rate: float) -> None:
    """Raise a sentence if `device` does not take `channels` at `sample_rate`."""
    sounddevice = portaudio()
    most = device.inputs if kind == "input" else device.outputs
    if channels > most:
        raise BadInput(f"{device.name!r} has {most} {kind} channels, not {channels}.")
    test: Any = sounddevice.check_input_settings if kind == "input" else sounddevice.check_output_settings
    try:
        test(device=device.number, channels=channels, dtype="float32", samplerate=sample_rate)
    except sounddevice.PortAudioError as error:
        if device.sample_rate != sample_rate:
            raise Unavailable(
                f"{device.name!r} refuses {sample_rate:g} Hz. Its own rate is {device.sample_rate:g}: "
                f"use -r {device.sample_rate:g}."
            ) from None
        raise Unavailable(f"{device.name!r} cannot be used for {kind}: {error.args[0]}.") from None
