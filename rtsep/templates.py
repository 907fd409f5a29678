"""Templates: the magnitude spectra that parts of a sound are made of, their files, and those that follow from a rule.

A file (.rtsep) is a NumPy archive (.npz) of three arrays: `header`, a text in JSON with "format" (1) and the fields of
`Templates` that are no arrays (`pitches` may be missing); `spectra`; and `part_of`.
"""

import io
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import disk
from .dsp import windows
from .errors import BadInput, unknown
from .parameters import PARAMETERS, find
from .settings import HIGHEST_RATE, LOWEST_RATE, REST, ROOM, Sizes

Spectra = NDArray[np.float32]  # (components, bins) rows sum to 1

FORMAT = 1
"""Of template files; any other is refused."""

SPLITS = ("percussive", "harmony", "mix")
"""What templates may divide: a stem of the engine, or all that is heard."""

KITS = {path.stem: path for path in sorted((Path(__file__).parent / "kits").glob("*.rtsep"))}
"""The template files that come with the package, by name."""

PIANO = range(21, 109)
"""The MIDI numbers of the pitches A0 to C8."""

# Okabe and Ito, "Color universal design", 2008: the color-blind can tell them apart.
_COLORS = ("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7", "#999999")

_RESERVED = {id.split(".")[0] for id in PARAMETERS} | {ROOM, "input", "mix", "f0"}  # among them all stems and groups
_LETTERS, _LONGEST = set("abcdefghijklmnopqrstuvwxyz0123456789_-"), 24

_STRETCH = 2.0  # between the lengths of two windows, beyond which spectra of one are no guess at those of the other
_PARTIALS = 20
_DETUNED = 2 ** (0.25 / 12)  # how far a partial may be out of tune: a quarter of a semitone


@dataclass(frozen=True, eq=False)
class Templates:
    """Spectra of named parts, each of which becomes a stem.

    Parameters
    ----------
    parts : names, of at most 24 small letters, digits, "-" and "_"
    spectra : float32 (components, bins), from 0, rows sum to 1; bins are window_size // 2 + 1
    part_of : int64 (components,) the number of the part that each belongs to; every part has at least one
    sample_rate : Hz
    window_size, synthesis_size : of the engine (`rtsep.settings.Sizes`), samples; they make the analysis window
    splits : one of SPLITS; of the mix, the last part may be `rtsep.settings.REST`
    exponent : of the soft masks between the parts, 0.25 to 8
    sweeps : of the solver over all components in each frame, 1 to 20: 1 for drums, 2 for pitches
    colors : of the parts, as "#e69f00"; chosen if left out
    source : what they were learned from, and under which licence
    pitches : the MIDI number of each component, 0 to 127, where they are those of notes; else ()
    taken : how much each part takes of its share, 0 to 1, of which the last part has the rest; () for all of it

    Raises
    ------
    BadInput : for a name that is taken, reserved or has other letters, and for values out of range.
    """

    parts: tuple[str, ...]
    spectra: Spectra
    part_of: NDArray[np.int64]
    sample_rate: float
    window_size: int
    synthesis_size: int
    splits: str = "percussive"
    exponent: float = 2.0
    sweeps: int = 1
    colors: tuple[str, ...] = ()
    source: str = ""
    pitches: tuple[int, ...] = ()
    taken: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        check_names(self.parts)
        if not self.colors:
            chosen = tuple(_COLORS[number % len(_COLORS)] for number in range(len(self.parts)))
            object.__setattr__(self, "colors", chosen)
        self._check_spectra()
        if not LOWEST_RATE <= self.sample_rate <= HIGHEST_RATE:
            raise BadInput(f"the sample rate is {self.sample_rate}: it must be {LOWEST_RATE} to {HIGHEST_RATE} Hz.")
        if not 1 <= self.synthesis_size <= self.window_size:
            raise BadInput(f"windows of {self.window_size} and {self.synthesis_size} samples: no mode has them.")
        if self.splits not in SPLITS:
            raise unknown("branch", self.splits, SPLITS)
        if self.splits == "mix" and (REST in self.parts[:-1] or self.parts == (REST,)):
            raise BadInput(f"{REST!r} is what the other parts leave: name it last, behind at least one.")
        if not 0.25 <= self.exponent <= 8:
            raise BadInput(f"the exponent is {self.exponent}: it must lie between 0.25 and 8.")
        if self.sweeps not in range(1, 21):
            raise BadInput(f"the number of sweeps is {self.sweeps}: it must be 1 to 20.")
        if self.taken and (len(self.taken) != len(self.parts) or not all(0 <= part <= 1 for part in self.taken)):
            raise BadInput(f"of their shares parts take {self.taken}: there must be a number for each part, 0 to 1.")
        if len(self.colors) != len(self.parts) or not all(map(_is_color, self.colors)):
            raise BadInput(f"the colors are {self.colors}: there must be one for each part, as #e69f00.")

    def _check_spectra(self) -> None:
        spectra, part_of = self.spectra, self.part_of
        wanted = (len(part_of), self.window_size // 2 + 1)
        if spectra.dtype != np.float32 or spectra.shape != wanted:
            raise BadInput(f"the spectra are {spectra.dtype} {spectra.shape}: they must be float32 {wanted}.")
        if not np.isfinite(spectra).all() or (spectra < 0).any():
            raise BadInput("the spectra hold a negative value or no number: learn them afresh.")
        if not np.allclose(spectra.sum(1), 1, atol=1e-3):
            raise BadInput("the spectra have rows that do not sum to 1: divide each by its sum.")
        if part_of.dtype != np.int64 or set(part_of.tolist()) != set(range(len(self.parts))):
            raise BadInput(f"part_of must be int64 and give each of the {len(self.parts)} parts a template.")
        pitches = self.pitches
        if pitches and (len(pitches) != len(part_of) or not all(isinstance(p, int) and 0 <= p <= 127 for p in pitches)):
            raise BadInput(
                f"the pitches are {pitches}: there must be a MIDI number for each of {len(part_of)} spectra."
            )

    def fitted(self, sizes: Sizes, sample_rate: float) -> "Templates":
        """The templates for an engine of `sizes` at `sample_rate` (Hz): interpolated along frequency.

        What lies above the highest frequency that they know is zero.

        Raises
        ------
        BadInput : if the two windows differ by more than a factor of 2 in seconds, or a template has nothing left.
        """
        own = (self.sample_rate, self.window_size, self.synthesis_size)
        if own == (sample_rate, sizes.window_size, sizes.synthesis_size):
            return self
        bin_hz, own_bin_hz = sample_rate / sizes.window_size, self.sample_rate / self.window_size
        if not 1 / _STRETCH <= own_bin_hz / bin_hz <= _STRETCH:
            raise BadInput(
                f"the templates are for windows of {1e3 / own_bin_hz:.0f} ms, and those of the engine last "
                f"{1e3 / bin_hz:.0f} ms: learn them afresh in this mode."
            )
        frequencies = bin_hz * np.arange(sizes.window_size // 2 + 1)
        known = own_bin_hz * np.arange(self.spectra.shape[1])
        spectra = np.array([np.interp(frequencies, known, row, right=0) for row in self.spectra])
        lost = np.flatnonzero(spectra.sum(1) < 1e-3 * own_bin_hz / bin_hz)
        if len(lost):
            part = self.parts[self.part_of[lost[0]]]
            raise BadInput(f"{part!r} sounds above what {sample_rate:g} Hz can hold: take a higher sample rate.")
        return replace(
            self,
            spectra=unit(spectra),
            sample_rate=sample_rate,
            window_size=sizes.window_size,
            synthesis_size=sizes.synthesis_size,
        )

    @property
    def guesses_rest(self) -> bool:
        """Whether nothing is known of the REST that the parts leave of the mix."""
        rest = self.spectra[self.part_of == len(self.parts) - 1]
        return self.splits == "mix" and self.parts[-1] == REST and bool((np.ptp(rest, axis=1) == 0).all())

    def with_rest(self) -> "Templates":
        """Those that split the mix and leave a REST, for what is unlike all of them: its one spectrum is flat."""
        if self.parts[-1] == REST:
            return replace(self, splits="mix")
        bins = self.spectra.shape[1]
        return replace(
            self,
            parts=(*self.parts, REST),
            spectra=np.concatenate([self.spectra, np.full((1, bins), 1 / bins, np.float32)]),
            part_of=np.append(self.part_of, len(self.parts)),
            colors=(*self.colors, _COLORS[-1]),
            taken=(*self.taken, 1.0) if self.taken else (),
            splits="mix",
            sweeps=max(self.sweeps, 2),
        )

    def save(self, path: str | os.PathLike[str], *, force: bool = False) -> None:
        """Write a template file, all or nothing; `force` replaces one that is there.

        Raises
        ------
        BadInput : for a file that is there already.
        Unavailable : the disk is full or cannot be written to.
        """
        path = Path(path)
        if path.exists() and not force:
            raise BadInput(f"{path} exists already: choose another name, or add --force to replace it.")
        header = {"format": FORMAT} | {name: getattr(self, name) for name in _HEADER}
        content = io.BytesIO()
        np.savez_compressed(content, header=json.dumps(header), spectra=self.spectra, part_of=self.part_of)
        disk.write(path, content.getvalue())


_HEADER = tuple(field.name for field in fields(Templates) if field.name not in ("spectra", "part_of"))


def named(name: str | os.PathLike[str]) -> Templates:
    """The templates of a kit that comes along, or in a file; raises `BadInput` as `load`, and with the kits' names."""
    kit = KITS.get(os.fspath(name))
    if kit is None and not Path(name).suffix and not Path(name).exists():
        raise unknown("kit", name, KITS)
    return load(kit or name)


def load(path: str | os.PathLike[str]) -> Templates:
    """The templates in a file that `Templates.save` wrote.

    Raises
    ------
    BadInput : for what is not there, no template file, of another format, broken off, or has impossible values.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise BadInput(f"there is no file {path}: make it with rtsep learn.") from None
    except OSError as error:
        raise BadInput(f"cannot read {path}: {error.strerror}.") from error
    if not content.startswith(b"PK"):
        raise BadInput(f"{path} is no template file: rtsep learn makes them.")
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            header = json.loads(archive["header"].item())
            version = header.pop("format")
            if version == FORMAT:
                header["parts"], header["colors"] = tuple(header["parts"]), tuple(header["colors"])
                header["pitches"], header["taken"] = (tuple(header.get(name, ())) for name in ("pitches", "taken"))
                return Templates(spectra=archive["spectra"], part_of=archive["part_of"], **header)
    except BadInput as error:
        raise BadInput(f"{path} cannot be used: {error}") from None
    except Exception as error:  # of many kinds, some of them only in damaged files
        raise BadInput(f"{path} is damaged or breaks off: copy it again, or learn the parts afresh.") from error
    raise BadInput(f"{path} has format {version}, and this rtsep reads format {FORMAT}: learn the parts afresh.")


def check_names(parts: Iterable[str]) -> None:
    """Raise `BadInput` for a name that cannot be that of a new stem."""
    taken = set[str]()
    for part in parts:
        if not part or len(part) > _LONGEST or not set(part) <= _LETTERS:
            raise BadInput(f"{part!r} is no name for a part: take 1 to {_LONGEST} of a to z, 0 to 9, - and _.")
        if part in _RESERVED or find(f"{part}.mute") is None:  # its faders would look like ours, written wrongly
            raise BadInput(f"the name {part!r} is reserved: choose another, say my-{part}.")
        if part in taken:
            raise BadInput(f"the name {part!r} is taken: give each part a name of its own.")
        taken.add(part)
    if not taken:
        raise BadInput("there are no parts: name at least one.")


def _is_color(color: str) -> bool:
    return len(color) == 7 and color[0] == "#" and set(color[1:].lower()) <= set("0123456789abcdef")


def harmonic_templates(sizes: Sizes, sample_rate: float, notes: range = PIANO, fall: float = 1.0) -> Spectra:
    """What the pitches `notes` (MIDI numbers) look like by rule: (notes, bins), rows sum to 1.

    Partials stretched as those of a piano, their amplitudes falling as 1/n to the power of `fall`, each the main lobe
    of the analysis window widened by a quarter of a semitone to both sides. All else is exactly zero, and stays so when
    multiplicative updates refine it (Müller, "Fundamentals of Music Processing", 2015, section 8.3.2).

    The stretch is the mean piano's of Rigaud, David and Daudet, "A parametric model and estimation techniques for the
    inharmonicity and tuning of the piano", Journal of the Acoustical Society of America 133(5), 2013.

    Raises
    ------
    BadInput : for a pitch above what the sample rate can hold.
    """
    numbers, f0 = _pitches(sample_rate, notes)
    stretch = np.exp(-0.0847 * numbers - 5.82) + np.exp(0.0926 * numbers - 13.64)
    lobe = _lobe(sizes)
    bins = np.arange(sizes.window_size // 2 + 1)
    templates = np.zeros((len(notes), len(bins)))
    for partial in range(1, _PARTIALS + 1):
        place = partial * f0 * np.sqrt(1 + stretch * partial**2) * sizes.window_size / sample_rate
        away = np.maximum(place / _DETUNED - bins, bins - place * _DETUNED)
        templates += np.interp(np.maximum(away, 0), *lobe, right=0) / partial**fall
    return unit(templates)


def onset_templates(sizes: Sizes, sample_rate: float, notes: range = PIANO) -> Spectra:
    """What the strokes that begin `notes` look like by rule: (notes, bins), rows sum to 1.

    Broad: from the fundamental on falling as 1/f, and exactly zero below (Ewert and Müller, "Using score-informed
    constraints for NMF-based source separation", ICASSP 2012, begin with a constant). Errors of `harmonic_templates`.
    """
    _, f0 = _pitches(sample_rate, notes)
    place = f0 * sizes.window_size / sample_rate
    bins = np.arange(sizes.window_size // 2 + 1)
    width = _lobe(sizes)[0][-1]
    return unit(np.where(bins >= place - width, place / np.maximum(bins, place), 0))


def unit(spectra: NDArray[Any]) -> Spectra:
    """`spectra` (components, bins) as float32, each divided by its sum."""
    divided: Spectra = (spectra / spectra.sum(1, keepdims=True)).astype(np.float32)
    return divided


def _pitches(sample_rate: float, notes: range) -> tuple[NDArray[Any], NDArray[Any]]:
    """MIDI numbers and fundamentals in Hz of `notes`, both (notes, 1)."""
    numbers = np.array(notes, float)[:, np.newaxis]
    f0 = 440 * 2 ** ((numbers - 69) / 12)
    if f0.max() * _DETUNED >= sample_rate / 2:
        raise BadInput(f"the pitch {f0.max():.0f} Hz lies above what {sample_rate:g} Hz can hold: leave it out.")
    return numbers, f0


def _lobe(sizes: Sizes) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Distances in bins, and the magnitude of the analysis window's transform there, as far as its main lobe goes."""
    fine = 32  # points per bin
    analysis = windows.pair(*sizes[:3])[0]
    magnitude = np.abs(np.fft.rfft(analysis, fine * len(analysis)))
    end = int(np.argmax(np.diff(magnitude) > 0)) + 1
    return np.arange(end) / fine, magnitude[:end] / magnitude[0]
