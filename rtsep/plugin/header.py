"""tables.h, all that C is told of a plugin; and the names that its ports have in LADSPA and LV2."""

import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from .. import __version__
from ..parameters import SILENCE_DB, Parameter

if TYPE_CHECKING:
    from . import Plugin

LICENSE = "MIT"
METERS = ("input meter", "output meter", "pitch of the melody", "confidence of the pitch")
"""Behind them is one for each stem, as rtsep_meters tells them."""


class Image(NamedTuple):
    """A state that is packed: for which rate, its size in memory, where it lies, and its latency in samples.

    `offline` is 1 for those that a host takes to render.
    """

    rate: int
    offline: int
    size: int
    start: int
    end: int
    latency: int
    full_scale: float  # magnitude of a sine of full scale


def text(plugin: "Plugin", images: Path) -> str:
    """The content of tables.h."""
    rates = [f" {image.rate}" for image in plugin.images if not image.offline]
    keys = list(dict.fromkeys(plugin.key_of))
    rows = [_row(number, info, start) for number, info, start in plugin.parameters]
    choices = {info.choices for _, info, _ in plugin.parameters if info.choices}
    path = images.as_posix()
    return f"""\
/* Made by rtsep {__version__}. */
#define NAME {_text(title(plugin))}
#define LABEL {_text(symbols([f"rtsep_{plugin.name}"])[0])}
#define ID {_text(f"rtsep.{plugin.name}")}
#define URI {_text(uri(plugin))}
#define VERSION {_text(__version__)}
#define LICENSE {_text(LICENSE)}
#define LADSPA_ID {0x520000 + zlib.crc32(plugin.name.encode()) % 0xFFFF}
#define CHANNELS {plugin.channels}
#define STEMS {len(plugin.stems)}
#define STEMS_OUT {int(plugin.stems_out)}
#define PARAMETERS {len(rows)}
#define LADSPA_PARAMETERS {plugin.seen_by_ladspa}
#define SILENCE_DB {SILENCE_DB:g}
#define IMAGES {len(plugin.images)}
#define OFFLINE {int(any(image.offline for image in plugin.images))}
#define COMPONENTS {len(plugin.key_of)}
#define KEYS {len(keys)}
#define RATES {_text(",".join(rates[:-1]) + " and" + rates[-1])}
#ifdef _WIN32
#define EXPORT __declspec(dllexport)
#else
#define EXPORT __attribute__((visibility("default")))
#endif

typedef struct {{
    int number; /* in the engine */
    const char *id, *name, *unit;
    double low, high, start, step;
    int decibels;
    const char *const *choices; /* or NULL: words for 0, 1, ... */
}} Parameter;
{"".join(f"static const char *const {_words(each)}[] = {_list(each)};{chr(10)}" for each in sorted(choices))}\
static const Parameter parameters[PARAMETERS] = {{
{"".join(f"    {row},{chr(10)}" for row in rows)}}};
static const char *const stem_names[STEMS] = {_list(plugin.stems)};
static const char *const port_names[] = {_list([name for _, name in ports(plugin)])};

typedef struct {{
    double rate;
    int offline;
    size_t size, start, end;
    int latency;
    float full_scale;
}} Image;
static const Image images[IMAGES] = {{
{"".join(f"    {{{', '.join(map(str, image))}}},{chr(10)}" for image in plugin.images)}}};

/* The keys that templates have: a MIDI number, and its part, which is its channel. */
static const struct {{ int16_t pitch, part; }} keys[KEYS + 1] = {{{_rows(keys)}{{0, 0}}}};
static const int key_of[COMPONENTS + 1] = {{{"".join(f"{keys.index(key)}, " for key in plugin.key_of)}0}};

#if defined(__APPLE__)
#define RODATA ".private_extern _rtsep_images\\n.section __TEXT,__const"
#define SYMBOL "_rtsep_images"
#elif defined(_WIN32)
#define RODATA ".section .rdata,\\"dr\\""
#define SYMBOL "rtsep_images"
#else
#define RODATA ".section .rodata"
#define SYMBOL "rtsep_images"
#endif
extern const unsigned char rtsep_images[] __attribute__((visibility("hidden")));
#ifdef HOLDS_IMAGES
__asm__(RODATA "\\n.globl " SYMBOL "\\n.balign 64\\n" SYMBOL ":\\n.incbin \\"{path}\\"\\n.text\\n");
#endif
"""


def _rows(rows: Iterable[Iterable[int]]) -> str:
    return "".join(f"{{{', '.join(map(str, row))}}}, " for row in rows)


def title(plugin: "Plugin") -> str:
    """What a person reads in a list of plugins."""
    return f"rtsep {plugin.name}"


def uri(plugin: "Plugin") -> str:
    """What LV2 knows the plugin by."""
    return f"urn:rtsep:{plugin.name}"


def ports(plugin: "Plugin") -> list[tuple[str, str]]:
    """Symbols and names of the ports of LADSPA and LV2, in their order: sound, what is measured, parameters."""
    sides = ("",) if plugin.channels == 1 else (" left", " right")
    sound = [f"input{side}" for side in sides] + [f"output{side}" for side in sides]
    sound += [f"{stem}{side}" for stem in plugin.stems if plugin.stems_out for side in sides]
    named = [(name, name) for name in (*sound, "latency", *METERS, *(f"{stem} meter" for stem in plugin.stems))]
    named += [(info.id, info.name) for _, info, _ in plugin.parameters]
    return list(zip(symbols(id for id, _ in named), (name for _, name in named), strict=True))


def symbols(names: Iterable[str]) -> list[str]:
    """A symbol of C for each of `names`: no two alike, none beginning with a digit, whatever parts may be called."""
    made: list[str] = []
    for name in names:
        plain = "".join(sign if sign.isascii() and sign.isalnum() else "_" for sign in name)
        plain = f"_{plain}" if plain[:1].isdigit() or not plain else plain
        symbol, number = plain, 2
        while symbol in made:
            symbol, number = f"{plain}_{number}", number + 1
        made.append(symbol)
    return made


def _row(number: int, info: Parameter, start: float) -> str:
    choices = _words(info.choices) if info.choices else "NULL"
    texts = ", ".join(map(_text, (info.id, info.name, "" if info.choices else info.unit)))
    numbers = ", ".join(f"{value:.17g}" for value in (info.low, info.high, start, info.step))
    return f"{{{number}, {texts}, {numbers}, {int(info.unit == 'dB')}, {choices}}}"


def _words(choices: Sequence[str]) -> str:
    return symbols([f"words_{'_'.join(choices)}"])[0]


def _list(texts: Sequence[str]) -> str:
    return f"{{{', '.join(map(_text, texts))}}}"


def _text(text: str) -> str:
    """A string of C; what is not ASCII as its UTF-8."""
    return '"' + "".join(chr(b) if 32 <= b < 127 and b not in b'"\\' else f"\\{b:03o}" for b in text.encode()) + '"'
