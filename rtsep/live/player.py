"""A song for the callback: decoded and resampled by a thread of its own, always some seconds ahead of the sound.

That thread appends to a ring in memory and notes beside each row its place in the song, so that loops and jumps are
exact to the sample. There are two such banks: a jump fills the idle one and then asks for it, and the audio thread
fades over. It never waits; where it finds nothing it plays silence and counts it.
"""

import math
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soxr

from ..engine import Sound
from ..errors import BadInput
from ..kernels import float32, int64, kernel, publish
from ..offline.files import BLOCK, Reader
from ..settings import MOST_CHANNELS

_RING_S = 4.0
_READY_S = 0.5  # of a bank before it is to be heard
_SPLICE_S = 1.0  # ahead of the sound: where a new loop begins to count, so that its bank is ready in time
_FADE_S = 0.01
_TURN_S = 0.02  # between looks at the ring
_EARLY_S = 0.1  # before a place in a file: decoder and resampler have settled when it comes
_KEPT_S = 60.0  # loops no longer than this are decoded once
_SHORTEST_LOOP_S = 0.05
_PEAKS_HZ = 100  # how finely the peaks of a file are kept while it is read
_NEVER = 2**62


class State(NamedTuple):
    # tables: read only
    step: float32[::1]  # (1,) change of the gain with each sample of a fade
    # written by the control thread
    paused: int64[::1]  # (1,)
    wanted: int64[::1]  # (1,) bank that is to be heard
    joint: int64[::1]  # (1,) row of the other bank at which it carries on seamlessly; -1 to fade over at once
    ring: float32[:, :, ::1]  # (2 banks, rows, channels); no rows: there is no song
    places: int64[:, ::1]  # (2, rows) sample of the song that each row is, and that the next one will be
    written: int64[::1]  # (2,) rows so far, their wraps counted in
    end: int64[::1]  # (2,) row after the song's last, -1 while it is not known
    # memory
    current: int64[::1]  # (1,) bank that is heard
    taken: int64[::1]  # (2,) rows heard so far
    gain: float32[::1]  # (1,) of pauses and jumps
    position: int64[::1]  # (1,) sample of the song that is heard next
    over: int64[::1]  # (1,) samples of silence since the song's end
    # measurements
    starved: int64[::1]  # (1,) samples of silence because nothing was ready


def prepare(sample_rate: float, channels: int, rows: int) -> State:
    """A state with nothing to be heard yet."""
    return State(
        step=np.array([1 / (_FADE_S * sample_rate)], np.float32),
        paused=np.zeros(1, np.int64),
        wanted=np.zeros(1, np.int64),
        joint=np.full(1, -1),
        ring=np.zeros((2, rows, channels), np.float32),
        places=np.zeros((2, rows), np.int64),
        written=np.zeros(2, np.int64),
        end=np.full(2, -1),
        current=np.zeros(1, np.int64),
        taken=np.zeros(2, np.int64),
        gain=np.ones(1, np.float32),
        position=np.zeros(1, np.int64),
        over=np.zeros(1, np.int64),
        starved=np.zeros(1, np.int64),
    )


def empty(channels: int) -> State:
    """No song: silence."""
    return prepare(1, channels, 0)


@kernel
def read(state, sound):
    """Fill `sound` (samples, channels) with what comes next of the song, else with silence."""
    rows = state.ring.shape[1]
    sound[:] = 0
    if rows == 0:
        return
    wanted, joint, paused = state.wanted[0], state.joint[0], state.paused[0]
    for i in range(sound.shape[0]):
        bank = state.current[0]
        row = state.taken[bank]
        if bank != wanted and (row == joint or (row > joint and state.gain[0] == 0)):
            publish(state.current, 0, wanted)
            bank, row = wanted, state.taken[wanted]
            state.over[0] = 0
        goal = np.float32(0 if paused != 0 or (bank != wanted and row > joint) else 1)
        state.gain[0] += min(max(goal - state.gain[0], -state.step[0]), state.step[0])
        if goal == 0 and row == 0:
            state.gain[0] = 0  # nothing was heard that could fade
        if state.gain[0] == 0:
            continue
        if row < state.written[bank]:
            for c in range(sound.shape[1]):
                sound[i, c] = state.ring[bank, row % rows, c] * state.gain[0]
            state.taken[bank] = row + 1
        elif row == state.end[bank]:
            state.over[0] += 1
        else:
            state.starved[0] += 1
            state.gain[0] = 0  # it will fade in when there is sound again
    bank = state.current[0]
    state.position[0] = state.places[bank, state.taken[bank] % rows]


@kernel
def write(state, bank, place, sound):
    """Append `sound` (samples, channels), which begins at sample `place` of the song; there must be room."""
    rows, samples = state.ring.shape[1], sound.shape[0]
    written = state.written[bank]
    for i in range(samples):
        row = (written + i) % rows
        for c in range(sound.shape[1]):
            state.ring[bank, row, c] = sound[i, c]
        state.places[bank, row] = place + i
    state.places[bank, (written + samples) % rows] = place + samples
    publish(state.written, bank, written + samples)


@kernel
def switch(state, bank, joint):
    """Ask the audio thread for `bank`, when it has come to row `joint` of the other, or if -1 at once."""
    state.joint[0] = joint
    publish(state.wanted, 0, bank)


class Player:
    """A song that plays while a stream reads `state`. It begins as soon as that is done, unless it is paused before.

    Methods may be called from any thread. A pause fades out within 10 ms, and `play` fades in from the very sample
    that would have come next; a jump fades out and in likewise.

    Parameters
    ----------
    source : a sound file, or float32 (samples, channels) at the stream's rate
    sample_rate : Hz, of the stream
    loop : start again at the end, without a gap
    mono : mix all channels down to one

    Attributes: `channels`, `sample_rate`, `state`, and `length`, in seconds as far as the file tells, else None.

    Raises
    ------
    BadInput : as `Reader` does, or for an array of another shape.
    """

    def __init__(
        self, source: str | Path | Sound, sample_rate: float, *, loop: bool = False, mono: bool = False
    ) -> None:
        self.sample_rate, self._mono = sample_rate, mono
        self.length: float | None
        self._file: Reader | None = None
        if isinstance(source, np.ndarray):
            if source.ndim != 2 or not 1 <= source.shape[1] <= MOST_CHANNELS or len(source) == 0:
                raise BadInput(f"a song of shape {source.shape}: it must be (samples, 1 to {MOST_CHANNELS} channels).")
            self._sound = np.array(source, np.float32, order="C")
            channels, self.length = source.shape[1], len(source) / sample_rate
        else:
            self._file = Reader(source)
            channels, length = self._file.channels, self._file.length
            self.length = None if length is None else length / self._file.sample_rate
        self.channels = 1 if mono else channels
        self._rows = round(_RING_S * sample_rate)
        self.state = prepare(sample_rate, self.channels, self._rows + 1)
        self._lock, self._wake, self._closed = threading.Lock(), threading.Event(), False
        self._loop = (0, _NEVER) if loop else None
        self._goal: int | None = None  # sample that was sought, until it is heard
        self._asked = self._sought = False  # whether something is asked for, and whether it is a jump
        self._thread = threading.Thread(target=self._run, daemon=True)
        try:
            self._begin(0, 0, self._loop)
        except BadInput:
            self.close()
            raise
        self._thread.start()

    def play(self) -> None:
        """Go on."""
        self.state.paused[0] = 0

    def pause(self) -> None:
        """Hold on."""
        self.state.paused[0] = 1

    def seek(self, seconds: float) -> None:
        """Jump; before the song is its start, beyond it its end."""
        if not math.isfinite(seconds):
            raise BadInput(f"cannot go to {seconds} s: give a number of seconds.")
        place = max(self._samples(seconds), 0)
        if self.length is not None:
            place = min(place, self._samples(self.length))
        with self._lock:
            self._goal, self._asked, self._sought = place, True, True
        self._wake.set()

    def set_loop(self, start_s: float | None, end_s: float | None = None) -> None:
        """Play from `start_s` to `end_s` (None: the end of the song) over and over; None: no more.

        What lies before the loop plays on into it, what lies behind jumps to its start.

        Raises
        ------
        BadInput : for a loop outside the song or shorter than 0.05 s.
        """
        if start_s is None:
            loop = None
        else:
            last = self.length if self.length is not None else math.inf
            end = last if end_s is None else min(end_s, last)
            if not 0 <= start_s <= end - _SHORTEST_LOOP_S:
                raise BadInput(
                    f"a loop from {start_s} to {end_s} s: it must lie within the song's {last:.2f} s, and be at "
                    f"least {_SHORTEST_LOOP_S} s long."
                )
            loop = self._samples(start_s), _NEVER if end_s is None or end == math.inf else self._samples(end)
        with self._lock:
            self._loop, self._asked = loop, True
        self._wake.set()

    @property
    def loop(self) -> tuple[float, float | None] | None:
        """Where the loop begins and ends (s), if there is one; None for an end that is not known."""
        if self._loop is None:
            return None
        start, end = self._loop
        return start / self.sample_rate, end / self.sample_rate if end < _NEVER else self.length

    @property
    def playing(self) -> bool:
        """Whether it is neither paused nor at its end."""
        return not self.state.paused[0] and not self.finished

    @property
    def position(self) -> float:
        """Seconds of the song that have been heard; after a jump the place it goes to."""
        goal = self._goal
        return (int(self.state.position[0]) if goal is None else goal) / self.sample_rate

    @property
    def finished(self) -> bool:
        """Whether the song has been heard to its end."""
        return self._goal is None and not self._asked and self._settled and self.state.over[0] > 0

    def peaks(self, count: int) -> Sound:
        """The largest sample in each of `count` equal pieces of the song, (count,) float32: reads all of it once more.

        Raises
        ------
        BadInput : if the file cannot be read any more.
        """
        if self._file is None:
            loudest, step = np.abs(self._sound).max(1), 1
        else:
            with Reader(self._file.path) as file:
                step = max(file.sample_rate // _PEAKS_HZ, 1)
                pieces = [np.abs(block).max(1) for block in file.blocks(BLOCK * step) if len(block)]
            loudest = np.concatenate([np.maximum.reduceat(piece, np.arange(0, len(piece), step)) for piece in pieces])
        edges = np.arange(count) * len(loudest) // count
        return np.maximum.reduceat(loudest, edges).astype(np.float32)

    @property
    def warning(self) -> str | None:
        """A sentence once a file turned out to break off or to be damaged: it plays as far as it goes."""
        return self._file.warning if self._file else None

    def close(self) -> None:
        """Stop reading ahead."""
        self._closed = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()
        if self._file is not None:
            self._file.close()

    @property
    def _settled(self) -> bool:
        return bool(self.state.current[0] == self.state.wanted[0])

    def _samples(self, seconds: float) -> int:
        return round(seconds * self.sample_rate)

    def _run(self) -> None:
        while not self._closed:
            self._turn()
            self._wake.wait(_TURN_S)
            self._wake.clear()

    def _turn(self) -> None:
        """See what was asked for, and read ahead."""
        settled = self._settled
        with self._lock:
            asked, sought, loop = self._asked, self._sought, self._loop
            if settled:
                self._asked = self._sought = False
                goal = self._goal = self._goal if sought else None
        if asked and settled:
            place, joint = self._splice(loop) if goal is None else (goal, -1)
            bank = 1 - int(self.state.current[0])
            if self._begin(bank, place, loop):
                switch(self.state, bank, joint)
            elif sought:
                self._sought = True
        elif sought:
            self.state.joint[0] = -1  # the bank on its way is not worth waiting for
        else:
            self._fill(self._rows)

    def _splice(self, loop: tuple[int, int] | None) -> tuple[int, int]:
        """Where the song goes on under a new loop, and the row of the bank now heard at which it does."""
        state, bank = self.state, int(self.state.current[0])
        taken, ahead = int(state.taken[bank]), 0 if state.paused[0] else self._samples(_SPLICE_S)
        row = min(taken + ahead, int(state.written[bank]))
        places = state.places[bank, np.arange(taken, row + 1) % len(state.places[bank])]
        if loop is not None and places.max() >= loop[1]:
            beyond = int(np.argmax(places >= loop[1]))
            return loop[0], taken + beyond if beyond else -1
        return int(places[-1]), row

    def _begin(self, bank: int, place: int, loop: tuple[int, int] | None) -> bool:
        """Fill the idle `bank` from `place` on with what it takes to begin; False if something else was asked for."""
        self.state.taken[bank] = self.state.written[bank] = 0
        self.state.places[bank, 0], self.state.end[bank] = place, -1
        self._bank, self._pieces = bank, self._song(place, loop)
        self._rest = place, np.zeros((0, self.channels), np.float32)
        return self._fill(self._samples(_READY_S))

    def _fill(self, rows: int) -> bool:
        """Append to the bank until `rows` lie ahead or the song ends; False if something was asked for meanwhile."""
        state, bank = self.state, self._bank
        while state.end[bank] < 0:
            room = rows - int(state.written[bank] - state.taken[bank])
            if room <= 0:
                break
            if self._asked or self._closed:
                return False
            place, sound = self._rest
            if len(sound) == 0:
                piece = next(self._pieces, None)
                if piece is None:
                    state.end[bank] = state.written[bank]
                    break
                place, sound = piece
            write(state, bank, place, sound[:room])
            self._rest = place + min(room, len(sound)), sound[room:]
        return True

    def _song(self, place: int, loop: tuple[int, int] | None) -> Iterator[tuple[int, Sound]]:
        """The song from sample `place` on, with its loop: places and what sounds from there on."""
        start, stop = loop or (0, _NEVER)
        kept: list[Sound] = []
        while True:
            first, last = place, stop if place < stop else _NEVER
            heard: list[Sound] = []
            for block in kept if kept and place == start else self._read(place):
                sound = block[: last - place]
                yield place, sound
                place += len(sound)
                if stop - start <= _KEPT_S * self.sample_rate:
                    heard.append(sound)
                if place == last:
                    break
            if loop is None or place == start:
                return
            if first == start:
                kept = heard
            place = start

    def _read(self, place: int) -> Iterator[Sound]:
        """The song from sample `place` on, in blocks, which may be empty."""
        if self._file is None:
            for at in range(place, len(self._sound), BLOCK):
                yield self._mixed(self._sound[at : at + BLOCK])
            return
        given, wanted = self._file.sample_rate, round(self.sample_rate)
        common = math.gcd(given, wanted)
        # Only there do samples of both rates coincide, so that the resampler meets the same instants again.
        periods = max(place - round(_EARLY_S * wanted), 0) * common // wanted
        skip = place - periods * wanted // common
        stream = None if given == wanted else soxr.ResampleStream(given, wanted, self.channels, dtype="float32")
        for block in self._file.blocks(start=periods * given // common):
            sound = self._mixed(block)
            if stream is not None:
                sound = stream.resample_chunk(sound)
            yield sound[skip:]
            skip = max(skip - len(sound), 0)
        if stream is not None:
            yield stream.resample_chunk(np.zeros((0, self.channels), np.float32), last=True)[skip:]

    def _mixed(self, block: Sound) -> Sound:
        return block.mean(1, np.float32, keepdims=True) if self._mono else block
