"""What C and hosts are told of a plugin: tables.h, the files of an LV2 bundle, and the property list of a macOS one.

LV2: lv2core, units, port-props and port-groups (Robillard and Harris, lv2plug.in, 2012).
"""

import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from .. import __version__
from ..parameters import SILENCE_DB, Parameter

if TYPE_CHECKING:
    from . import Plugin

LICENSE = "MIT"


class Image(NamedTuple):
    """A state that is packed: for which rate, its size in memory, where it lies, and its latency in samples."""

    rate: int
    size: int
    start: int
    end: int
    latency: int


def header(plugin: "Plugin", images: Path) -> str:
    """tables.h."""
    rates = [f" {image.rate}" for image in plugin.images]
    rows = [_row(number, info, start) for number, info, start in plugin.parameters]
    choices = {info.choices for _, info, _ in plugin.parameters if info.choices}
    path = images.as_posix()
    return f"""\
/* Made by rtsep {__version__}. */
#define NAME {_text(title(plugin))}
#define LABEL {_text(f"rtsep_{_symbol(plugin.name)}")}
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
    size_t size, start, end;
    int latency;
}} Image;
static const Image images[IMAGES] = {{
{"".join(f"    {{{', '.join(map(str, image))}}},{chr(10)}" for image in plugin.images)}}};
#if defined(__APPLE__)
#define RODATA ".section __TEXT,__const"
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
    named = [(_symbol(name), name) for name in (*sound, "latency", "pitch of the melody")]
    return named + [(_symbol(info.id), info.name) for _, info, _ in plugin.parameters]


def manifest(plugin: "Plugin", binary: str) -> str:
    """manifest.ttl of an LV2 bundle."""
    return (
        "@prefix lv2: <http://lv2plug.in/ns/lv2core#> .\n"
        "@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .\n\n"
        f"<{uri(plugin)}> a lv2:Plugin ;\n    lv2:binary <{binary}> ;\n    rdfs:seeAlso <rtsep.ttl> .\n"
    )


def description(plugin: "Plugin") -> str:
    """rtsep.ttl of an LV2 bundle."""
    sides = ("mono",) if plugin.channels == 1 else ("left", "right")
    groups = {"input": "InputGroup", "output": "OutputGroup"}
    groups |= {stem: "OutputGroup" for stem in plugin.stems if plugin.stems_out}
    kind = "MonoGroup" if plugin.channels == 1 else "StereoGroup"
    sound = [(group, side) for group in groups for side in sides]
    told, number = [], 0
    for index, (symbol, name) in enumerate(ports(plugin)):
        lines = [f"lv2:index {index}", f'lv2:symbol "{symbol}"', f'lv2:name "{name}"']
        if index < len(sound):
            group, side = sound[index]
            lines.insert(0, f"a lv2:AudioPort, {'lv2:InputPort' if group == 'input' else 'lv2:OutputPort'}")
            lines += [f"pg:group <{uri(plugin)}#{group}>", f"lv2:designation pg:{'center' if side == 'mono' else side}"]
        elif index < len(sound) + 2:
            lines.insert(0, "a lv2:ControlPort, lv2:OutputPort")
            if symbol == "latency":
                lines += ["lv2:designation lv2:latency", "lv2:portProperty lv2:reportsLatency, lv2:integer"]
                lines += ["units:unit units:frame", "lv2:minimum 0", "lv2:maximum 96000"]
            else:
                lines += ["units:unit units:hz", "lv2:minimum 0", "lv2:maximum 2000"]
        else:
            _, info, start = plugin.parameters[number]
            number += 1
            lines.insert(0, "a lv2:ControlPort, lv2:InputPort")
            lines += [f"lv2:minimum {info.low:g}", f"lv2:maximum {info.high:g}", f"lv2:default {start:g}"]
            lines += _properties(info)
        told.append(f"[\n        {f' ;{chr(10)}        '.join(lines)}\n    ]")
    whole = [
        f'<{uri(plugin)}#{name}> a pg:{kind}, pg:{way} ;\n    lv2:symbol "{name}" ; lv2:name "{name}" .\n'
        for name, way in groups.items()
    ]
    return (
        "@prefix doap: <http://usefulinc.com/ns/doap#> .\n"
        "@prefix lv2: <http://lv2plug.in/ns/lv2core#> .\n"
        "@prefix pg: <http://lv2plug.in/ns/ext/port-groups#> .\n"
        "@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .\n"
        "@prefix units: <http://lv2plug.in/ns/extensions/units#> .\n\n"
        + "".join(whole)
        + f"\n<{uri(plugin)}> a lv2:Plugin, lv2:SpectralPlugin ;\n"
        f'    doap:name "{title(plugin)}" ;\n'
        "    doap:license <https://spdx.org/licenses/MIT> ;\n"
        "    lv2:optionalFeature lv2:hardRTCapable ;\n"
        f"    pg:mainInput <{uri(plugin)}#input> ;\n"
        f"    pg:mainOutput <{uri(plugin)}#output> ;\n"
        f"    lv2:port {' , '.join(told)} .\n"
    )


def property_list(plugin: "Plugin", binary: str) -> dict[str, Any]:
    """Info.plist of a bundle for macOS."""
    return {
        "CFBundleExecutable": binary,
        "CFBundleIdentifier": f"rtsep.{plugin.name}",
        "CFBundleName": title(plugin),
        "CFBundlePackageType": "BNDL",
        "CFBundleShortVersionString": __version__,
        "CFBundleVersion": __version__,
    }


def _properties(info: Parameter) -> list[str]:
    if info.unit == "switch":
        return ["lv2:portProperty lv2:toggled"]
    if info.choices:
        points = ", ".join(
            f'[ rdfs:label "{word}" ; <http://www.w3.org/1999/02/22-rdf-syntax-ns#value> {i} ]'
            for i, word in enumerate(info.choices)
        )
        return ["lv2:portProperty lv2:enumeration, lv2:integer", f"lv2:scalePoint {points}"]
    units = {"dB": "units:db", "Hz": "units:hz", "semitones": "units:semitone12TET"}
    return [f"units:unit {units[info.unit]}"] if info.unit in units else []


def _row(number: int, info: Parameter, start: float) -> str:
    choices = _words(info.choices) if info.choices else "NULL"
    texts = ", ".join(map(_text, (info.id, info.name, "" if info.choices else info.unit)))
    numbers = ", ".join(f"{value:.17g}" for value in (info.low, info.high, start, info.step))
    return f"{{{number}, {texts}, {numbers}, {int(info.unit == 'dB')}, {choices}}}"


def _words(choices: Sequence[str]) -> str:
    return f"words_{_symbol('_'.join(choices))}"


def _list(texts: Sequence[str]) -> str:
    return f"{{{', '.join(map(_text, texts))}}}"


def _text(text: str) -> str:
    """A string of C; what is not ASCII as its UTF-8."""
    return '"' + "".join(chr(b) if 32 <= b < 127 and b not in b'"\\' else f"\\{b:03o}" for b in text.encode()) + '"'


def _symbol(name: str) -> str:
    return "".join(sign if sign.isascii() and sign.isalnum() else "_" for sign in name)
