"""The files of an LV2 bundle beside its library: manifest.ttl and rtsep.ttl.

LV2: lv2core, units, port-props and port-groups (Robillard and Harris, lv2plug.in, 2012).
"""

from typing import TYPE_CHECKING

from ..parameters import SILENCE_DB, Parameter
from .header import METERS, ports, symbols, title, uri

if TYPE_CHECKING:
    from . import Plugin


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
        elif index < len(sound) + 1 + len(METERS) + len(plugin.stems):
            lines.insert(0, "a lv2:ControlPort, lv2:OutputPort")
            if name == "latency":
                lines += ["lv2:designation lv2:latency", "lv2:portProperty lv2:reportsLatency, lv2:integer"]
                lines += ["units:unit units:frame", "lv2:minimum 0", "lv2:maximum 96000"]
            elif name.endswith(" meter"):
                lines += ["units:unit units:db", f"lv2:minimum {SILENCE_DB:g}", "lv2:maximum 24"]
            elif name.startswith("pitch"):
                lines += ["units:unit units:hz", "lv2:minimum 0", "lv2:maximum 2000"]
            else:
                lines += ["lv2:minimum 0", "lv2:maximum 1"]
        else:
            _, info, start = plugin.parameters[number]
            number += 1
            lines.insert(0, "a lv2:ControlPort, lv2:InputPort")
            lines += [f"lv2:minimum {info.low:g}", f"lv2:maximum {info.high:g}", f"lv2:default {start:g}"]
            lines += _properties(info)
        told.append(f"[\n        {f' ;{chr(10)}        '.join(lines)}\n    ]")
    whole = [
        f'<{uri(plugin)}#{name}> a pg:{kind}, pg:{way} ;\n    lv2:symbol "{symbol}" ; lv2:name "{name}" .\n'
        for (name, way), symbol in zip(groups.items(), symbols(groups), strict=True)
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
