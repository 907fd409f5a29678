"""MP3 as a row of frames, so that all of it is read and nothing of it is guessed.

An MP3 file has no length. Encoders may write one into a first frame that holds no sound ("Xing", "Info"); without it
a decoder estimates the length from the first bitrate and stops there. It also stops where a stream joined to another
ends by such a frame, and at bytes that are none. Here the frames are counted, what is no frame is left out, and what
is left gets a first frame that tells the true number.

ISO/IEC 11172-3 and 13818-3; the first frame as in the source of LAME (VbrTag.c).
"""

import struct
from typing import NamedTuple

# Bitrates in kbit/s of layer III by their index, of MPEG 1 and of MPEG 2 and 2.5; 0 is free, and not followed here.
_BITRATES = (
    (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
)
_RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}  # by the version's bits
_KEY = 0xFFFE0C00  # of a header: version, layer and rate, which are the same in all frames of a stream
_MONO = 3
_TAGS = (b"ID3", b"TAG", b"APETAGEX", b"LYRICSBEGIN")  # titles and pictures, wherever they stand
_SURE = 3  # frames in a row that random bytes do not make


class _Frame(NamedTuple):
    key: tuple[int, bool]  # what a stream has in common
    size: int  # bytes
    samples: int
    rate: int
    tag: int  # where a first frame says so


class Frames(NamedTuple):
    """What a file holds."""

    data: bytes  # its frames with sound, behind a first one that tells their number
    samples: int
    rate: int  # Hz
    promised: int  # samples that the first frames promise, 0 if there are none
    gaps: tuple[float, ...]  # seconds at which bytes were left out that are no frames
    whole: bool  # whether a decoder reads all of the file as it is


def begins(head: bytes) -> bool:
    """Whether a file may be MP3 whose first bytes, four at least, are these."""
    return head.startswith(b"ID3") or _frame(head, 0) is not None


def frames(data: bytes) -> Frames | None:
    """The frames of an MP3 file; None if it is no layer III, or of a free bitrate."""
    place, found, gap = _behind_tag(data, 0), 0, -1
    first: _Frame | None = None
    start = 0
    pieces: list[bytes] = []
    promises: list[int] = []
    gaps: list[float] = []
    begun = place
    while (place := _next(data, place, first)) < len(data):
        frame = _frame(data, place)
        assert frame
        if first is None:
            first, start = frame, place
        elif gap >= 0 and not data.startswith(_TAGS, gap):
            gaps.append(found * frame.samples / frame.rate)
        begun = place
        while frame is not None and frame.key == first.key and place + frame.size <= len(data):
            told = data[place + frame.tag : place + frame.tag + 4] in (b"Xing", b"Info")
            if told:
                pieces.append(data[begun:place])
                begun = place + frame.size
                flags, count = struct.unpack_from(">II", data, place + frame.tag + 4)
                promises.append(count if flags & 1 else 0)
            found += not told
            place += frame.size
            frame = _frame(data, place)
        pieces.append(data[begun:place])
        gap, place = place, _behind_tag(data, place)
    if first is None:
        return None
    sound = b"".join(pieces)
    return Frames(
        data=_counting(data[start : start + 4], first, found, len(sound)) + sound,
        samples=found * first.samples,
        rate=first.rate,
        promised=sum(promises) * first.samples if all(promises) else 0,
        gaps=tuple(gaps),
        whole=len(promises) == 1 and promises[0] >= found and not gaps,
    )


def _frame(data: bytes, place: int) -> _Frame | None:
    """The frame whose header stands at `place`."""
    if place + 4 > len(data):
        return None
    (header,) = struct.unpack_from(">I", data, place)
    version, layer, index, rate = header >> 19 & 3, header >> 17 & 3, header >> 12 & 15, header >> 10 & 3
    if header >> 21 != 0x7FF or version == 1 or layer != 1 or index in (0, 15) or rate == 3:
        return None
    hertz, newest, mono = _RATES[version][rate], version == 3, header >> 6 & 3 == _MONO
    samples = 1152 if newest else 576
    size = samples // 8 * 1000 * _BITRATES[not newest][index] // hertz + (header >> 9 & 1)
    side = (17 if mono else 32) if newest else (9 if mono else 17)
    return _Frame((header & _KEY, mono), size, samples, hertz, 4 + side)


def _next(data: bytes, place: int, like: _Frame | None) -> int:
    """Where from `place` on the next frames in a row stand, of the stream of `like`; the end if there are none."""
    while 0 <= place < len(data):
        at, count = place, 0
        frame = _frame(data, at)
        key = like.key if like else frame.key if frame else None
        while frame is not None and frame.key == key and count < _SURE:
            at, count = at + frame.size, count + 1
            frame = _frame(data, at)
        if count == _SURE or (count and at == len(data)):
            return place
        place = data.find(b"\xff", place + 1)
    return len(data)


def _behind_tag(data: bytes, place: int) -> int:
    """Where an ID3v2 tag ends that begins at `place`: its pictures may hold what looks like frames."""
    while data.startswith(b"ID3", place) and place + 10 <= len(data):
        a, b, c, d = data[place + 6 : place + 10]
        place += 10 + (a << 21 | b << 14 | c << 7 | d)
    return place


def _counting(header: bytes, like: _Frame, count: int, size: int) -> bytes:
    """A first frame of a stream whose frames have this `header`, which tells how many there are."""
    number = int.from_bytes(header)
    number = number & ~0xF200 | 0x9000 | 0x10000  # a bitrate in which it has room, no padding, no checksum
    header = number.to_bytes(4)
    frame = _frame(header, 0)
    assert frame
    told = header + bytes(like.tag - 4) + b"Info" + struct.pack(">III", 3, count, frame.size + size)
    return told + bytes(frame.size - len(told))
