"""Learning while it sounds: what is heard while a part's switch is on becomes its stem.

Hold the switch `<part>.learn` (a key, a pedal, a note) while the sound plays, hummed or clapped if need be, and let go:
its templates are learned from those seconds, templates of all that is left from the seconds before, and both are put
into the idle bank of the solver, which changes over with the next frame. What has a pitch is learned at others too, if
that helps, and no more of the part is taken than can be told from the others. After "user-guided" separation by
templates: Smaragdis and Mysore, "Separation by humming: user-guided sound extraction from monophonic mixtures",
WASPAA 2009.

Of what is heard while `room.learn` is on, the noise of the room is known by its power.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from threading import Lock, Thread
from time import strftime

import numpy as np
from numpy.typing import NDArray

from ..dsp import nmf, noise
from ..engine import LEARNED, Sound
from ..errors import BadInput, Unavailable
from ..offline.dictionary import SILENT, magnitudes, sounding
from ..offline.takeout import REACHES, Trial, left_over, moved, templates_of, tried_out
from ..settings import REST, ROOM
from ..templates import Spectra, Templates
from .stream import Stream
from .toml_files import folder

_LEAST_S = 0.3  # of holding
_COMPONENTS = LEARNED // (2 * max(REACHES) + 1)
_SEED = 1

# A room is steady: in bands of so many bins and blocks of so many seconds its power deviates by up to 0.32 of its mean,
# that of two seconds of music by 0.67 and more (17 recordings).
_BAND, _BLOCK_S, _STEADY = 8, 0.05, 0.5


class Sampler:
    """Learns the parts and the room of `stream`, each time one is held; `tell` hears what came of it.

    The templates of all parts are kept in a file of the configuration folder, `path`; None before the first is learned.
    """

    def __init__(self, stream: Stream, tell: Callable[[str], object]) -> None:
        self._stream, self._parameters, self._tell = stream, stream.engine.parameters, tell
        self._parts = stream.engine.settings.learn
        self._switches = {id.rpartition(".")[0]: id for id in self._parameters if id.endswith(".learn")}
        self._held: dict[str, tuple[int, Sound]] = {}  # since which sample, and what was heard before
        self._known: dict[str, Spectra] = {}
        self._trials: dict[str, Trial] = {}
        self._lock, self._threads = Lock(), list[Thread]()
        self.path: Path | None = None
        self._parameters.watch(self._watch)

    def _watch(self, before: Mapping[str, float], by: str) -> None:
        for part, switch in self._switches.items():
            if switch not in before:
                continue
            if self._parameters[switch].value:
                self._held[part] = self._stream.heard(), self._stream.last_heard()
                self._tell(f"{part}: {'keep quiet' if part == ROOM else 'let it sound'}, and let go")
            elif part in self._held:
                start, earlier = self._held.pop(part)
                # Taken at once: learning may have to wait for another part's.
                heard = self._stream.last_heard()
                held = heard[max(len(heard) - (self._stream.heard() - start), 0) :]
                self._threads.append(Thread(target=self._learn, args=(part, held, earlier), daemon=True))
                self._threads[-1].start()

    def wait(self) -> None:
        """Return when all that was held is learned, or cannot be."""
        while self._threads:
            self._threads.pop().join()

    def _learn(self, part: str, held: Sound, earlier: Sound) -> None:
        """Learn from what was heard while it was `held`, and from what was heard `earlier`."""
        seconds = len(held) / self._stream.sample_rate
        with self._lock:
            try:
                if seconds < _LEAST_S:
                    raise BadInput(f"{seconds:.1f} s are too short: hold it for a second or two.")
                if part == ROOM:
                    self._learn_room(held)
                else:
                    self._learn_part(part, held, earlier)
            except BadInput as error:
                self._tell(f"{part} is not learned: {error}")
                return
        self._tell(f"{part} is learned from {seconds:.1f} s{_worth(self._trials.get(part))}")

    def _learn_room(self, sound: Sound) -> None:
        if np.abs(sound).max(initial=0) < SILENT:
            raise BadInput("nothing came in: there is no noise to take away.")
        sizes = self._stream.engine.sizes
        frames = magnitudes(sound, sizes)[sizes.window_size // sizes.hop_size :]  # those before hear its beginning
        block = max(round(_BLOCK_S * self._stream.sample_rate / sizes.hop_size), 1)
        whole = frames[: len(frames) // block * block, :-1] ** 2
        power = whole.reshape(-1, block, whole.shape[1] // _BAND, _BAND).mean((1, 3))
        mean = power.mean(0) + 1e-20
        if np.average(power.std(0) / mean, weights=np.sqrt(mean)) > _STEADY:
            raise BadInput("what sounded was not steady: hold it while nothing but the room is heard.")
        noise.fill(self._stream.engine.state.noise, frames)

    def _learn_part(self, part: str, held: Sound, earlier: Sound) -> None:
        engine, random = self._stream.engine, np.random.default_rng(_SEED)
        frames, nothing = self._frames(held), np.zeros((0, engine.sizes.window_size // 2 + 1), np.float32)
        others = nothing
        with suppress(BadInput):  # nothing else has sounded yet
            others = self._frames(earlier)
        own = templates_of(frames, _COMPONENTS, random)
        exponent = self._parameters["templates.exponent"].value
        trial = self._trials[part] = tried_out(frames, others, _COMPONENTS, exponent, random)
        self._known[part] = moved(own, trial.reach)
        groups = [*(self._known.get(part, nothing) for part in self._parts), left_over(others, random)]
        part_of = np.repeat(np.arange(len(groups)), [len(group) for group in groups])
        spectra = np.concatenate(groups)
        taken = [self._trials[part].taken if part in self._trials else 1.0 for part in self._parts]
        nmf.fill(engine.state.nmf, spectra, part_of, [*taken, 1.0])
        self._keep(spectra, part_of)

    def _keep(self, spectra: Spectra, part_of: NDArray[np.int64]) -> None:
        """Write the templates to a file, in place of what was learned earlier in this run."""
        engine, known = self._stream.engine, [part for part in self._parts if part in self._known]
        templates = Templates(
            parts=(*known, REST),
            spectra=spectra,
            part_of=np.unique(part_of, return_inverse=True)[1].astype(np.int64),
            sample_rate=self._stream.sample_rate,
            window_size=engine.sizes.window_size,
            synthesis_size=engine.sizes.synthesis_size,
            splits="mix",
            exponent=self._parameters["templates.exponent"].value,
            sweeps=int(self._parameters["templates.sweeps"].value),
            source="learned while it sounded",
            taken=(*(self._trials[part].taken for part in known), 1.0),
        )
        name = f"{'+'.join(self._parts)[:99]} {strftime('%Y-%m-%d %H.%M.%S')}.rtsep"
        path = self.path or folder() / "learned" / name
        try:
            templates.save(path, force=True)
        except Unavailable as error:
            self._tell(f"what is learned is lost in the end: {error}")
        else:
            self.path = path

    def _frames(self, sound: Sound) -> Sound:
        """Magnitudes (frames, bins) of what sounds in `sound` (samples, channels)."""
        if np.abs(sound).max(initial=0) < SILENT:
            raise BadInput("nothing sounded: hold it while it plays.")
        return sounding([sound], self._stream.engine.sizes, np.random.default_rng(_SEED))


def _worth(trial: Trial | None) -> str:
    """What is told of a part that was learned, behind the seconds; nothing of the room."""
    if trial is None:
        return ""
    if trial.away_db is None:
        return "; nothing else sounded before, so nobody knows what muting it takes away"
    return f": muting it takes away about {trial.away_db:.0f} dB of it"
