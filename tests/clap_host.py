"""A CLAP host in Python: walks every extension of a plugin, and plays sound through it. Structures are CLAP 1.2's."""

import ctypes
from ctypes import (
    POINTER,
    Structure,
    c_bool,
    c_char,
    c_char_p,
    c_double,
    c_float,
    c_int16,
    c_int32,
    c_int64,
    c_uint16,
    c_uint32,
    c_uint64,
    c_void_p,
)

import numpy as np


def function(result, *arguments):
    return ctypes.CFUNCTYPE(result, *arguments)


class Version(Structure):
    _fields_ = [("numbers", c_uint32 * 3)]


class Descriptor(Structure):
    _fields_ = (
        [("version", Version)]
        + [
            (name, c_char_p)
            for name in ("id", "name", "vendor", "url", "manual_url", "support_url", "number", "description")
        ]
        + [("features", POINTER(c_char_p))]
    )


class Host(Structure):
    _fields_ = (
        [("version", Version), ("data", c_void_p)]
        + [(name, c_char_p) for name in ("name", "vendor", "url", "number")]
        + [
            ("get_extension", function(c_void_p, c_void_p, c_char_p)),
            ("request_restart", function(None, c_void_p)),
            ("request_process", function(None, c_void_p)),
            ("request_callback", function(None, c_void_p)),
        ]
    )


class HostParams(Structure):
    _fields_ = [
        ("rescan", function(None, c_void_p, c_uint32)),
        ("clear", function(None, c_void_p, c_uint32, c_uint32)),
        ("request_flush", function(None, c_void_p)),
    ]


class Plugin(Structure):
    _fields_ = [
        ("descriptor", POINTER(Descriptor)),
        ("data", c_void_p),
        ("init", function(c_bool, c_void_p)),
        ("destroy", function(None, c_void_p)),
        ("activate", function(c_bool, c_void_p, c_double, c_uint32, c_uint32)),
        ("deactivate", function(None, c_void_p)),
        ("start_processing", function(c_bool, c_void_p)),
        ("stop_processing", function(None, c_void_p)),
        ("reset", function(None, c_void_p)),
        ("process", function(c_int32, c_void_p, c_void_p)),
        ("get_extension", function(c_void_p, c_void_p, c_char_p)),
        ("on_main_thread", function(None, c_void_p)),
    ]


class Factory(Structure):
    _fields_ = [
        ("count", function(c_uint32, c_void_p)),
        ("descriptor", function(POINTER(Descriptor), c_void_p, c_uint32)),
        ("create", function(POINTER(Plugin), c_void_p, c_void_p, c_char_p)),
    ]


class Entry(Structure):
    _fields_ = [
        ("version", Version),
        ("init", function(c_bool, c_char_p)),
        ("deinit", function(None)),
        ("get_factory", function(c_void_p, c_char_p)),
    ]


class Header(Structure):
    _fields_ = [
        ("size", c_uint32), ("time", c_uint32), ("space", c_uint16), ("type", c_uint16), ("flags", c_uint32),
    ]  # fmt: skip


class ParameterEvent(Structure):
    _fields_ = [
        ("header", Header), ("id", c_uint32), ("cookie", c_void_p), ("note", c_int32), ("port", c_int16),
        ("channel", c_int16), ("key", c_int16), ("value", c_double),
    ]  # fmt: skip


class NoteEvent(Structure):
    _fields_ = [
        ("header", Header), ("note", c_int32), ("port", c_int16), ("channel", c_int16), ("key", c_int16),
        ("velocity", c_double),
    ]  # fmt: skip


class Inputs(Structure):
    _fields_ = [
        ("context", c_void_p), ("size", function(c_uint32, c_void_p)), ("get", function(c_void_p, c_void_p, c_uint32)),
    ]  # fmt: skip


class Outputs(Structure):
    _fields_ = [("context", c_void_p), ("push", function(c_bool, c_void_p, POINTER(Header)))]


class Buffer(Structure):
    _fields_ = [
        ("singles", POINTER(POINTER(c_float))), ("doubles", c_void_p), ("channels", c_uint32), ("latency", c_uint32),
        ("constant", c_uint64),
    ]  # fmt: skip


class Process(Structure):
    _fields_ = [
        ("time", c_int64), ("frames", c_uint32), ("transport", c_void_p), ("inputs", POINTER(Buffer)),
        ("outputs", POINTER(Buffer)), ("input_count", c_uint32), ("output_count", c_uint32),
        ("in_events", POINTER(Inputs)), ("out_events", POINTER(Outputs)),
    ]  # fmt: skip


class ParameterInfo(Structure):
    _fields_ = [
        ("id", c_uint32), ("flags", c_uint32), ("cookie", c_void_p), ("name", c_char * 256), ("module", c_char * 1024),
        ("low", c_double), ("high", c_double), ("default", c_double),
    ]  # fmt: skip


class AudioInfo(Structure):
    _fields_ = [
        ("id", c_uint32), ("name", c_char * 256), ("flags", c_uint32), ("channels", c_uint32), ("type", c_char_p),
        ("pair", c_uint32),
    ]  # fmt: skip


class Params(Structure):
    _fields_ = [
        ("count", function(c_uint32, c_void_p)),
        ("info", function(c_bool, c_void_p, c_uint32, POINTER(ParameterInfo))),
        ("value", function(c_bool, c_void_p, c_uint32, POINTER(c_double))),
        ("to_text", function(c_bool, c_void_p, c_uint32, c_double, c_char_p, c_uint32)),
        ("to_value", function(c_bool, c_void_p, c_uint32, c_char_p, POINTER(c_double))),
        ("flush", function(None, c_void_p, POINTER(Inputs), POINTER(Outputs))),
    ]


class AudioPorts(Structure):
    _fields_ = [
        ("count", function(c_uint32, c_void_p, c_bool)),
        ("get", function(c_bool, c_void_p, c_uint32, c_bool, POINTER(AudioInfo))),
    ]


class Stream(Structure):
    _fields_ = [("context", c_void_p), ("move", function(c_int64, c_void_p, c_void_p, c_uint64))]


class StateOf(Structure):
    _fields_ = [
        ("save", function(c_bool, c_void_p, POINTER(Stream))), ("load", function(c_bool, c_void_p, POINTER(Stream))),
    ]  # fmt: skip


class Samples(Structure):
    _fields_ = [("get", function(c_uint32, c_void_p))]


class Render(Structure):
    _fields_ = [("urgent", function(c_bool, c_void_p)), ("set", function(c_bool, c_void_p, c_int32))]


VALUE, MODULATION, NOTE_ON, NOTE_OFF = 5, 6, 0, 1


class Loaded:
    """A plugin in a host that has little to offer.

    `rescans` and `restarts` count how often it was asked to read all values anew, and to activate again.
    """

    def __init__(self, path):
        self.library = ctypes.CDLL(str(path))
        self.entry = Entry.in_dll(self.library, "clap_entry")
        assert self.entry.init(str(path).encode())
        factory = ctypes.cast(self.entry.get_factory(b"clap.plugin-factory"), POINTER(Factory)).contents
        assert factory.count(ctypes.addressof(factory)) == 1
        self.descriptor = factory.descriptor(ctypes.addressof(factory), 0).contents
        self.host = Host(Version((1, 2, 0)), None, b"tests", b"", b"", b"1")
        self.rescans = self.restarts = 0
        self.host.request_restart = type(self.host.request_restart)(self._restart)
        self.offered = HostParams(type(HostParams().rescan)(self._rescan))
        self.host.get_extension = type(self.host.get_extension)(
            lambda host, id: ctypes.addressof(self.offered) if id == b"clap.params" else None
        )
        self.plugin = factory.create(
            ctypes.addressof(factory), ctypes.addressof(self.host), self.descriptor.id
        ).contents
        self.place = ctypes.addressof(self.plugin)
        assert self.plugin.init(self.place)

    def _restart(self, host):
        self.restarts += 1

    def render(self, offline):
        """Tell it whether a file is rendered; whether it takes that."""
        rendering = self.extension("clap.render", Render)
        assert not rendering.urgent(self.place)
        return rendering.set(self.place, int(offline))

    def _rescan(self, host, flags):
        assert flags == 1  # values, and nothing else
        self.rescans += 1

    def extension(self, name, kind):
        found = self.plugin.get_extension(self.place, name.encode())
        return ctypes.cast(found, POINTER(kind)).contents if found else None

    def parameters(self):
        """All that is told of them, by their ids in the host."""
        params, told = self.extension("clap.params", Params), {}
        for index in range(params.count(self.place)):
            info = ParameterInfo()
            assert params.info(self.place, index, info)
            told[info.id] = info
        return told

    def value(self, id):
        value = c_double()
        assert self.extension("clap.params", Params).value(self.place, id, value)
        return value.value

    def text(self, id, value):
        room = ctypes.create_string_buffer(64)
        assert self.extension("clap.params", Params).to_text(self.place, id, value, room, len(room))
        return room.value.decode()

    def read(self, id, text):
        value = c_double()
        return (
            value.value
            if self.extension("clap.params", Params).to_value(self.place, id, text.encode(), value)
            else None
        )

    def ports(self, inputs):
        ports, told = self.extension("clap.audio-ports", AudioPorts), []
        for index in range(ports.count(self.place, inputs)):
            info = AudioInfo()
            assert ports.get(self.place, index, inputs, info)
            told.append((info.name.decode(), info.channels))
        return told

    @property
    def latency(self):
        return self.extension("clap.latency", Samples).get(self.place)

    def save(self):
        kept = bytearray()

        def move(stream, data, size):
            size = min(size, 7)  # a host may take a little at a time
            kept.extend(ctypes.string_at(data, size))
            return size

        stream = Stream(None, Stream._fields_[1][1](move))
        assert self.extension("clap.state", StateOf).save(self.place, stream)
        return bytes(kept)

    def load(self, kept):
        left = bytearray(kept)

        def move(stream, data, size):
            given = bytes(left[: min(size, 11)])
            del left[: len(given)]
            ctypes.memmove(data, given, len(given))
            return len(given)

        stream = Stream(None, Stream._fields_[1][1](move))
        return self.extension("clap.state", StateOf).load(self.place, stream)

    def activate(self, rate, most=4096):
        return self.plugin.activate(self.place, rate, 1, most) and self.plugin.start_processing(self.place)

    def deactivate(self):
        self.plugin.stop_processing(self.place)
        self.plugin.deactivate(self.place)

    def run(self, sound, events=(), in_place=False):
        """What comes of a block (samples, channels): every bus, (buses, samples, channels), and the notes.

        `events` are (sample, VALUE or MODULATION, id, value).
        """
        samples, channels = sound.shape
        buses = len(self.ports(False))
        given = np.ascontiguousarray(sound.T)
        made = np.full((buses, channels, samples), np.nan, np.float32)
        if in_place:
            made[0] = given
            given = made[0]
        kept = []

        def buffers(blocks):
            rows = (Buffer * len(blocks))()
            for row, block in zip(rows, blocks, strict=True):
                pointers = (POINTER(c_float) * channels)(
                    *(channel.ctypes.data_as(POINTER(c_float)) for channel in block)
                )
                kept.append(pointers)
                row.singles, row.channels = pointers, channels
            return rows

        told = [
            ParameterEvent(Header(ctypes.sizeof(ParameterEvent), at, 0, kind, 0), id, None, -1, -1, -1, -1, value)
            for at, kind, id, value in events
        ]
        notes = []

        def push(outputs, header):
            event = ctypes.cast(header, POINTER(NoteEvent)).contents
            notes.append((event.header.type, event.key, event.header.time, event.port, event.channel))
            return True

        ins = Inputs(
            None,
            Inputs._fields_[1][1](lambda list: len(told)),
            Inputs._fields_[2][1](lambda list, index: ctypes.addressof(told[index])),
        )
        outs = Outputs(None, Outputs._fields_[1][1](push))
        process = Process(
            -1, samples, None, buffers([given]), buffers(made), 1, buses, ctypes.pointer(ins), ctypes.pointer(outs)
        )
        assert self.plugin.process(self.place, ctypes.addressof(process)) == 1
        return made.transpose(0, 2, 1), notes

    def destroy(self):
        self.plugin.destroy(self.place)
        self.entry.deinit()
