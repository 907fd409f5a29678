"""Recording what a stream hears, plays and separates, without the audio thread ever waiting for the disk.

The callback appends to a ring in memory; a thread of its own empties the ring into files. A disk that stalls
longer than the ring lasts leaves a gap, which is counted and filled with silence, so that the files stay aligned.
"""

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from ..engine import Sound
from ..errors import BadInput, Unavailable
from ..offline.writer import Writer
from .callback import State

_TURN_S = 0.05  # how often the ring is emptied


def check_folder(folder: str | Path, names: Sequence[str], force: bool) -> None:
    """Raise `BadInput` if a recording of `names` in `folder` would replace an earlier one, and `force` is not set."""
    paths = [Path(folder) / f"{name}.wav" for name in ("input", "output", *names)]
    taken = next((path for path in paths if os.path.lexists(path)), None)
    if taken is not None and not force:
        raise BadInput(f"{taken} exists already: record to another folder, or add --force.")


class Recorder:
    """Writes FOLDER/input.wav, output.wav and a file for each stem, all of one length and aligned to the sample.

    `input.wav` is what came in, `output.wav` what was heard, the stems are as they are before the faders, and add
    up to the input. The engine's latency is taken off. Where there is a microphone, `microphone.wav` is what was sung
    to `output.wav`. The files are valid at every moment of the recording.

    `state` is that of a running callback with a ring, `latency` (samples) its engine's.

    Attributes: `lost` samples that the disk was too slow for, `error` (a sentence if the recording had to stop).

    Raises
    ------
    BadInput : if the folder holds files of these names and `force` is not set.
    Unavailable : if they cannot be written.
    """

    def __init__(
        self,
        state: State,
        folder: str | Path,
        *,
        stems: Sequence[str],
        sample_rate: float,
        latency: int,
        force: bool = False,
    ) -> None:
        self.folder, self.lost, self.error = Path(folder), 0, ""
        self._state, self._read = state, 0
        self._channels = state.block.shape[1]
        self._early = np.zeros((0, state.ring.shape[1]), np.float32)  # rows since the input whose output is to come
        self._latency = latency
        sung = ("microphone",) * state.microphone.shape[1]
        paths = [self.folder / f"{name}.wav" for name in ("input", "output", *stems, *sung)]
        check_folder(folder, [path.stem for path in paths], force)
        self._delays = [0, latency, *[state.engine.stft.delayed.shape[1]] * len(stems), *[latency] * len(sung)]
        self._files = [
            Writer(path, sample_rate, 1 if path.stem in sung else self._channels, recording=True, force=force)
            for path in paths
        ]
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Write what is left and close the files; never raises, see `error`."""
        self._stopped.set()
        self._thread.join()
        for file in self._files:
            with self._failing():
                file.close()
        if self._read == 0:  # the device never called: no take is left that another would have to spare
            for file in self._files:
                file.path.unlink(missing_ok=True)

    def _run(self) -> None:
        with self._failing():
            while not self._stopped.wait(_TURN_S):
                self._empty()
            self._empty()

    @contextmanager
    def _failing(self) -> Iterator[None]:
        """A disk that fails ends the recording, not the sound; what was written so far stays."""
        try:
            yield
        except Unavailable as error:
            self.error = f"the recording in {self.folder} has stopped: {error}"

    def _empty(self) -> None:
        ring, written = self._state.ring, int(self._state.written[0])
        rows = len(ring)
        while self._read < written:
            count = min(written - self._read, rows // 8)
            places = np.arange(self._read, self._read + count) % rows
            sound = ring[places]
            self._read += count
            if int(self._state.written[0]) - self._read + count > rows:  # it was lapped meanwhile
                sound[:] = 0
                self.lost += count
            self._write(sound)

    def _write(self, sound: Sound) -> None:
        rows = np.concatenate([self._early, sound])
        ready = max(len(rows) - self._latency, 0)
        for index, (file, delay) in enumerate(zip(self._files, self._delays, strict=True)):
            file.write(rows[delay : delay + ready, index * self._channels : (index + 1) * self._channels])
        self._early = rows[ready:]
