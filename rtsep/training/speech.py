"""Nonsense in many languages, spoken by espeak-ng and taken apart by the vocoder WORLD into what a singer needs.

Morise, Yokomori and Ozawa, "WORLD: a vocoder-based high-quality speech synthesis system for real-time applications",
IEICE Transactions on Information and Systems E99-D(7), 2016. espeak-ng is a program of its own (GPL-3), run as such;
its voices are rules and formant tables, no recordings of a singer. The texts are made here, syllable by syllable.
"""

# ruff: noqa: RUF001 letters of many alphabets
import io
import subprocess
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import soundfile
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.signal import find_peaks

from .effects import RATE
from .tunes import FRAME_S, pick
from .vocoder import BINS, Frames

# Onsets, nuclei and codas, as they are written.
LANGUAGES = {
    "en-us": (
        "b bl d dr f fl g h j k l m n p r s sh st t th tr w y",
        "a ay e ee i o oo ow u oy",
        "- - n m l r s t nd ve",
    ),
    "en-gb": (
        "b br ch d f g gr h k l m n p qu r s sl sp t tw v w",
        "a ea ai e i o oa ou u igh",
        "- - n m ll t sk st ng",
    ),
    "de": ("b br d f fl g h k kl l m n p r s sch st t tr w z", "a e i o u ä ö ü ei au ie", "- - n m r l cht s t ng"),
    "fr-fr": ("b br ch d f fl g j k l m n p pr r s t tr v", "a é è i o ou u eau an on in eu oi", "- - - r l che ne se"),
    "it": ("b c ch d f fr g gl gn l m n p qu r s sc sp st t tr v z", "a e i o u ia io ai", "- - - - n r l"),
    "es": ("b c ch d f g j l ll m n ñ p pr r s t tr v y", "a e i o u ie ue ai", "- - - n s r l"),
    "pt-br": ("b c ch d f g j l lh m n nh p r s t tr v", "a e i o u ão ei ou õe", "- - - s r m l"),
    "nl": ("b bl d g gr h k l m n p r s sch st t v w z", "a aa e ee i ie o oe ui eu ij ou", "- - n r l t cht ng"),
    "sv": ("b d f fj g h k kl l m n p r s sj sk st t tj v", "a e i o u y å ä ö", "- - n r l m t ng"),
    "fi": ("h j k l m n p r s t v", "a aa e ee i ii o oo u uu y ä ö ie uo yö", "- - - n s t l"),
    "pl": ("b ch cz d g k l ł m n ń p r s sz ś t w z ż", "a e i o u y ą ę ó", "- - n m k ć sz"),
    "cs": ("b c č d h k l m n p r ř s š t v z ž", "a á e é i í o u ů ou", "- - n m l k st"),
    "ro": ("b c d f g j l m n p r s ș t ț v z", "a e i o u ă î ea oa", "- - n r t sc"),
    "hu": ("b cs d f g gy h k l m n ny p r s sz t v z zs", "a á e é i o ó ö ő u ü", "- - n k l sz"),
    "tr": ("b c ç d f g h k l m n p r s ş t v y z", "a e ı i o ö u ü", "- - n r l m k"),
    "id": ("b c d g h j k l m n ng ny p r s t w y", "a e i o u ai au", "- - - n ng t r"),
    "sw": ("b ch d f g h j k l m mb n nd ng p s sh t v w z", "a e i o u", "-"),
    "ru": ("б в г д ж з к л м н п р с ст т тр ф х ц ч ш", "а е и о у ы э ю я ё", "- - н м л т сть й"),
    "el": ("β γ δ ζ θ κ λ μ ν π ρ σ τ φ χ ψ στ", "α ε η ι ο υ ω ου αι", "- - - ς ν"),
    "hi": ("क ख ग च ज त द न प फ ब भ म य र ल व श स ह", "ा ि ी ु ू े ै ो", "- - - न र ल"),
    "ja": (
        "か き く け こ さ し す せ そ た ち つ て と な に の は ひ ま み も や ゆ よ ら り る れ わ",
        "- - - ん",
        "-",
    ),
    "cmn-latn-pinyin": ("b ch d f g h j l m n q sh t w x y z", "a ao ai e ei i u ou an ang ong", "1 2 3 4"),
}
MALE = (
    "m1 m2 m3 m4 m5 m6 m7 m8 klatt klatt2 klatt4 Andy Diogo Gene Hugo Jacky Lee Marco Mike Michael adam benjamin "
    "boris david ed edward john marcelo max michel miguel pablo paul pedro quincy rob robert sandro travis victor zac "
    "grandpa caleb norbert Alex Denis Henrique"
)
FEMALE = "f1 f2 f3 f4 f5 Alicia Andrea Annie aunty anika belinda linda steph steph2 steph3 shelby grandma klatt3"

_SPEECH_RATE = 22050  # that of espeak-ng: half of ours, so that half the FFT has the same bins
_HZ = (np.arange(BINS) * RATE / 2 / (BINS - 1)).astype(np.float32)
_KNOWN = 470  # bins, up to 10 kHz; above there is only the filter of espeak-ng's output

_SHORTEST = 5  # frames of a vowel; what is shorter cannot be held


class Syllable(NamedTuple):
    """Frames: where it begins, the first of its vowel, the middle and last one, and where it ends."""

    begin: int
    first: int
    nucleus: int
    last: int
    end: int


class Utterance(NamedTuple):
    """What was said, before it has a tune."""

    voiced: NDArray[np.bool_]  # (frames,)
    envelope: Frames  # natural logarithm of the power
    aperiodicity: Frames  # 0 to 1
    syllables: list[Syllable]


def nonsense(rng: Generator, language: str) -> str:
    """Words of one to three syllables that nobody wrote, four to nine syllables in all."""
    onsets, nuclei, codas = (letters.split() for letters in LANGUAGES[language])
    text = ""
    for number in range(int(rng.integers(4, 10))):
        if number and rng.random() < 0.5:
            text += " "
        text += (pick(rng, onsets) + pick(rng, nuclei) + pick(rng, codas)).replace("-", "")
    return text


def speak(rng: Generator, language: str, variant: str) -> Utterance:
    """Nonsense in one of LANGUAGES with one of the voices MALE and FEMALE."""
    import pyworld

    text, speed, pitch = nonsense(rng, language), int(rng.integers(115, 171)), int(rng.integers(30, 71))
    command = ["espeak-ng", "-v", f"{language}+{variant}", "-s", str(speed), "-p", str(pitch), "--stdout", text]
    wave = subprocess.run(command, check=True, capture_output=True).stdout
    sound = soundfile.read(io.BytesIO(wave[:4] + b"\xff\xff\xff\x7f" + wave[8:]))[0]  # a pipe knows no length
    sound += 1e-5 * rng.standard_normal(len(sound))  # WORLD takes logarithms
    f0, times = pyworld.dio(sound, _SPEECH_RATE, f0_floor=60, f0_ceil=500, frame_period=1e3 * FRAME_S)
    f0 = pyworld.stonemask(sound, f0, times, _SPEECH_RATE)
    known = np.log(pyworld.cheaptrick(sound, f0, times, _SPEECH_RATE, fft_size=BINS - 1)[:, :_KNOWN])
    voiced = f0 > 0
    envelope, aperiodicity = np.empty((len(f0), BINS), np.float32), np.ones((len(f0), BINS), np.float32)
    above = np.arange(BINS - _KNOWN) / (BINS - _KNOWN)
    fall = np.where(voiced, rng.uniform(3, 6), rng.uniform(0.5, 3))[:, np.newaxis]  # hiss goes on above 10 kHz
    envelope[:, :_KNOWN] = known
    envelope[:, _KNOWN:] = known[:, 400:].mean(1, keepdims=True) - fall * above
    # Its voices end at 4 kHz, and those of people do not.
    falling = rng.uniform(2, 4) * np.log2(np.maximum(_HZ, 3000) / 3000)
    floor = known[:, 93:186].mean(1, keepdims=True) - falling
    envelope[voiced] = np.maximum(envelope[voiced], floor[voiced])
    aperiodic = pyworld.d4c(sound, f0, times, _SPEECH_RATE, fft_size=BINS - 1)[:, :_KNOWN]
    aperiodicity[:, :_KNOWN] = aperiodic
    aperiodicity[:, _KNOWN:] = np.maximum(aperiodic[:, 440:].mean(1, keepdims=True), 0.3)
    # A sung vowel is held for longer than espeak-ng's is clean.
    cap = 10 ** ((12 * np.minimum(_HZ / 8000, 1) - 14) / 20)
    aperiodicity[voiced] = np.minimum(aperiodicity[voiced], cap)
    return Utterance(voiced, envelope, aperiodicity, _syllables(voiced, envelope))


def _syllables(voiced: NDArray[np.bool_], envelope: Frames) -> list[Syllable]:
    """What lies between the dips around a peak of the voiced power."""
    power = np.log(np.exp(envelope[:, 10:190]).mean(1))
    power = gaussian_filter1d(np.where(voiced, power, power.min()), 2)
    nuclei = [int(peak) for peak in find_peaks(power, distance=8, prominence=0.35)[0] if voiced[peak]]
    if not nuclei:
        return []
    dips = [a + int(np.argmin(power[a:b])) for a, b in pairwise(nuclei)]
    bounds = [max(0, nuclei[0] - 15), *dips, min(len(power) - 1, nuclei[-1] + 25)]
    silent = np.flatnonzero(~np.pad(voiced, 1)) - 1
    found = []
    for begin, nucleus, end in zip(bounds[:-1], nuclei, bounds[1:], strict=True):
        after = int(np.searchsorted(silent, nucleus))
        first, last = max(begin, int(silent[after - 1]) + 1), min(end, int(silent[after])) - 1
        if last - first >= _SHORTEST:
            found.append(Syllable(begin, first, nucleus, max(nucleus, last), end))
    return found
