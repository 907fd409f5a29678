"""Finding devices by name, and what happens when one goes, with a stand-in for PortAudio."""

import types

import numpy as np
import pytest

from rtsep import BadInput, Engine, Unavailable
from rtsep.live import devices, terminal
from rtsep.live.stream import Stream, open_stream

HOSTS = ["ALSA", "JACK Audio Connection Kit"]
CARDS = [
    ("USB Microphone", 0, 1, 0),
    ("USB Headphones", 0, 0, 2),
    ("HDMI", 0, 0, 8),
    ("system", 1, 2, 2),
    ("HDMI 2", 0, 0, 2),
]


class PortAudio(types.ModuleType):
    """What rtsep uses of the module sounddevice, with the cards of the test plugged in."""

    class PortAudioError(Exception):
        pass

    def __init__(self):
        super().__init__("sounddevice")
        self.cards, self.streams, self.rescans = list(CARDS), [], 0
        self.default = types.SimpleNamespace(device={"input": 0, "output": 1})
        self._initialize = lambda: None

    def _terminate(self):
        self.rescans += 1

    def query_hostapis(self):
        return [{"name": host} for host in HOSTS]

    def query_devices(self):
        keys = "name", "hostapi", "max_input_channels", "max_output_channels"
        return [dict(zip(keys, card, strict=True)) | {"default_samplerate": 48000.0} for card in self.cards]

    def check_input_settings(self, samplerate, **_):
        if samplerate != 48000:
            raise self.PortAudioError("Invalid sample rate [PaErrorCode -9997]")

    check_output_settings = check_input_settings

    def Stream(self, **options):  # noqa: N802
        stream = types.SimpleNamespace(active=True, latency=(0.01, 0.02), options=options)
        stream.start, stream.close = (lambda: None), (lambda: setattr(stream, "active", False))
        self.streams.append(stream)
        return stream


@pytest.fixture
def cards(monkeypatch):
    module = PortAudio()
    monkeypatch.setattr(devices, "portaudio", lambda: module)
    return module


@pytest.mark.parametrize("name, found", [("micro", 0), ("USB Microphone", 0), ("jack", 3), ("3", 3), (0, 0), (None, 0)])
def test_an_input_is_found_by_name_part_number_or_default(cards, name, found):
    assert devices.find(name, "input").number == found


@pytest.mark.parametrize("name, found", [("usb", 1), ("hdmi", 2), (None, 1)])
def test_a_name_that_fits_one_device_of_its_kind_is_enough(cards, name, found):
    assert devices.find(name, "output").number == found


def test_a_name_that_fits_several_devices_lists_them(cards):
    with pytest.raises(BadInput, match=r"'alsa' fits 3 output devices: 'USB Headphones' \(ALSA\); 'HDMI'"):
        devices.find("alsa", "output")


def test_a_name_that_fits_none_lists_what_there_is(cards):
    with pytest.raises(Unavailable, match=r"no input device is called 'piano'.*'USB Microphone'.*'system'"):
        devices.find("piano", "input")


def test_where_there_is_no_device_the_built_in_one_is_offered(cards):
    cards.cards = []
    with pytest.raises(Unavailable, match=r"no sound device for output.*-o virtual"):
        devices.find(None, "output")


def test_a_refused_rate_offers_the_devices_own(cards):
    with pytest.raises(Unavailable, match=r"refuses 44100 Hz. Its own rate is 48000: use -r 48000"):
        Stream(Engine(), (0, "hdmi"), sample_rate=44100)


def test_more_channels_than_the_device_has_are_refused(cards):
    with pytest.raises(BadInput, match="'USB Headphones' has 2 output channels, not 5"):
        Stream(Engine(), (0, "usb"), channels=1, stems_out=True)


def test_a_mono_microphone_is_played_on_both_ears(cards):
    with open_stream(Engine(), (0, 1), sample_rate=48000, compiled=False) as stream:
        assert cards.streams[-1].options["channels"] == (1, 2)
        assert "on 'USB Microphone' to 'USB Headphones', 1 channels at 48000 Hz" in stream.description


def test_the_devices_own_latency_is_added_unless_it_is_nonsense(cards):
    with open_stream(Engine(), (0, 1), compiled=False) as stream:
        assert stream.stats().latency_ms == pytest.approx(30 + stream.stats().engine_latency_ms)
        cards.streams[-1].latency = 89478.5
        assert stream._told_latency_ms() == 0


def test_a_device_that_comes_back_is_found_by_name_and_the_sound_goes_on(cards, monkeypatch, capsys):
    monkeypatch.setattr(terminal, "_REVIVE_S", 0.01)
    monkeypatch.setattr(terminal, "_PICTURE_S", 0.01)
    ticks = iter(range(1000))

    def unplug_and_plug_in(elapsed):
        tick = next(ticks)
        if tick == 2:  # the cable is out: the callback stops, and the card is no longer listed
            cards.streams[-1].active = False
            cards.cards = CARDS[:1]
            cards._initialize = lambda: setattr(cards, "cards", [CARDS[2], *CARDS]) if cards.rescans == 3 else None

    with open_stream(Engine(), (0, "headphones"), compiled=False) as stream:
        block = np.zeros((64, 1), np.float32)
        stream.callback(block, np.zeros((64, 2), np.float32), 64, None, None)
        terminal.watch(stream, seconds=0.3, tick=unplug_and_plug_in)
        assert stream.active and stream.stats().blocks == 1
        assert stream.state.fade[0] == 0  # it fades in again
    assert cards.rescans == 3
    assert cards.streams[-1].options["device"] == (1, 2)  # every number has moved up by one
    told = capsys.readouterr().err
    assert "'USB Headphones' has gone" in told and "'USB Headphones' is back" in told


def test_a_device_that_cannot_be_opened_leaves_no_empty_recording(cards, tmp_path):
    def refuse(**_):
        raise cards.PortAudioError("Device unavailable [PaErrorCode -9985]")

    cards.Stream = refuse
    take = tmp_path / "take"
    refused = pytest.raises(Unavailable, match="'USB Headphones' cannot be opened: Device unavailable")
    with refused, open_stream(Engine(), (0, 1), record=take, compiled=False):
        pass
    assert list(take.iterdir()) == []


def test_a_rescan_that_fails_is_told_in_a_sentence(cards):
    def fail():
        raise cards.PortAudioError("Unanticipated host error")

    cards._initialize = fail
    with pytest.raises(Unavailable, match="PortAudio cannot be started again: Unanticipated host error"):
        devices.rescan()
