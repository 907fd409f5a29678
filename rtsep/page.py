"""The page: un-mixing in a browser, as a folder of files that any web server may offer.

The engine runs in the browser, as WebAssembly in an audio worklet; nothing is sent anywhere. The folder holds the page
itself (`rtsep/web/`), the library, an image of a prepared state for each mode, rate and number of channels, the
parameters, and the bundled song; images and parameters of each kit of templates beside them. Library and images are
packed with gzip, and unpacked by the page: no server needs to be told how.
"""

import gzip
import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import disk, library
from .build import describe
from .chain import State
from .dsp import key
from .engine import Engine
from .errors import BadInput, Unavailable
from .idle import worth_showing
from .kernels import leaves, words
from .live.bindings import default_bindings, document
from .live.controller_files import shipped_maps
from .live.presets import PRESETS, Preset, preset, presets
from .offline import files
from .offline.writer import Writer
from .parameters import plain
from .settings import Settings
from .templates import named

MODES = ("live", "balanced", "quality")
RATES = (44_100, 48_000)
CHANNELS = (1, 2)
KITS = ("drums", "piano")
BLOCK = 128  # samples, as a browser asks for them
FRESH = {"Cache-Control": "no-cache"}  # a page that was written anew is seen at once
BANDS, LOWEST_HZ, HIGHEST_HZ = 96, 40.0, 16_000.0  # of the spectrum that the page shows
_SEEN = ("masks", "magnitude", "nmf.activations", "transposing")  # arrays that the page reads, and one that it sets
_SONG = "song.mp3"


def write(folder: str | Path, told: Callable[[str], object] = lambda sentence: None) -> Path:
    """Write the page into `folder`, which is made, or must be empty or hold a page; `told` hears what takes long.

    Raises
    ------
    BadInput : if something else lies in the folder.
    Unavailable : if it cannot be written.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()) and not (folder / "parameters.json").exists():
            raise BadInput(f"{folder} is not empty: give a new folder, or one that holds a page.")
        code = library.for_browsers(told)
        told("preparing the engine for each mode and rate ...")
        disk.write(folder / "engine.bin", gzip.compress(code.read_bytes(), 9, mtime=0))
        about = _write_images(folder) | {
            "words": _places(),
            "songs": [{"name": "the demo song", "file": _SONG}],
            "kits": [_write_kit(folder, name) for name in KITS],
        }
        song = folder / _SONG
        if not song.exists():
            with Writer(song, RATES[-1], 2) as writer:
                writer.write(files.sum_of(files.song(RATES[-1])))
        for path in sorted((library.PACKAGE / "web").iterdir()):
            shutil.copyfile(path, folder / path.name)
        _write_json(folder / "parameters.json", about)
    except Unavailable:
        raise
    except OSError as error:
        raise Unavailable(f"cannot write {folder}: {error.strerror}.") from error
    return folder


def serve(folder: str | Path, port: int, told: Callable[[str], object]) -> None:
    """Offer the page in `folder` to this machine alone, until it is interrupted; `told` hears its address.

    Raises
    ------
    Unavailable : if the port is taken.
    """
    try:
        server = ThreadingHTTPServer(("127.0.0.1", port), partial(_Handler, directory=str(folder)))
    except OSError as error:
        raise Unavailable(f"port {port} cannot be had: {error.strerror}. Choose another with --port.") from error
    with server:
        told(f"http://127.0.0.1:{server.server_port}/")
        server.serve_forever()


class _Handler(SimpleHTTPRequestHandler):
    """Serves files, and says nothing of it."""

    extensions_map = {**SimpleHTTPRequestHandler.extensions_map, ".js": "text/javascript"}  # noqa: RUF012

    def end_headers(self) -> None:
        for name, value in FRESH.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, *_: object) -> None:
        pass


def about_engine(engine: Engine, *, singer: bool = False) -> dict[str, Any]:
    """What the page must know of an engine that is prepared, with or without a `singer` at its microphone."""
    return _about(engine, [_mode(engine)], presets(), singer=singer)


def band_edges(engine: Engine) -> NDArray[np.int64]:
    """The first bin of each of BANDS bands that lie evenly in octaves, and where the last ends."""
    hertz = LOWEST_HZ * (HIGHEST_HZ / LOWEST_HZ) ** (np.arange(BANDS + 1) / BANDS)
    size = engine.sizes.window_size
    return np.minimum(np.round(hertz * size / engine.sample_rate), size // 2).astype(np.int64)


def note_bands(engine: Engine) -> NDArray[np.int64]:
    """The band in which each pitch of the templates of an engine lies; none without them."""
    templates = engine.settings.templates
    hertz = 440 * 2 ** ((np.array(templates.pitches if templates else (), float) - 69) / 12)
    bands: NDArray[np.float64] = BANDS * np.log(hertz / LOWEST_HZ) / np.log(HIGHEST_HZ / LOWEST_HZ)
    return bands.clip(0, BANDS - 1).astype(np.int64)


def _write_kit(folder: Path, name: str) -> dict[str, Any]:
    """Write what the page must know of engines with a kit of templates; what it must know to offer the kit."""
    about = _write_images(folder, name)
    _write_json(folder / f"{name}.json", about)
    return {"name": name, "splits": named(name).splits, "parts": named(name).parts}


def _write_json(path: Path, content: dict[str, Any]) -> None:
    disk.write(path, json.dumps(content, indent=1).encode())


def _write_images(folder: Path, templates: str | None = None) -> dict[str, Any]:
    """Write the image of an engine for each mode, rate and number of channels; what the page must know of them."""
    told, modes = [], []
    for mode in MODES:
        for rate in RATES:
            for channels in CHANNELS:
                engine = Engine(Settings(mode=mode, templates=templates))
                engine.prepare(sample_rate=rate, channels=channels, max_block=BLOCK)
                name = "-".join([*([templates] if templates else []), mode, str(rate), f"{channels}.bin"])
                disk.write(folder / name, gzip.compress(describe.image(engine.state), 9, mtime=0))
                told.append(
                    {
                        "file": name,
                        "mode": mode,
                        "sample_rate": rate,
                        "channels": channels,
                        "latency": engine.latency,
                        "key_latency": key.latency(rate),
                        "melody_late_s": -engine.melody_time(-1),
                        "bins": engine.sizes.window_size // 2 + 1,
                        "bin_hz": rate / engine.sizes.window_size,
                        "full_scale": engine.full_scale,
                    }
                )
        modes.append(_mode(engine))
    changing = Engine(Settings(transpose=True, templates=templates))
    return _about(changing, modes, [preset(name) for name in PRESETS], singer=True) | {"images": told}


def _places() -> dict[str, int]:
    """Where in a state the arrays lie that the page reads, in words."""
    places, at = {}, 0
    for name, kind in leaves(State):
        if name in _SEEN:
            places[name] = at
        at += words(kind)
    return places


def _about(
    engine: Engine,
    modes: list[dict[str, Any]],
    presets: list[Preset],
    *,
    singer: bool = False,
) -> dict[str, Any]:
    """Parameters that do something, stems, modes and presets, and what controllers do at first."""
    templates = engine.settings.templates
    infos = {id: control.info for id, control in engine.parameters.items()}
    return {
        "version": library.digest(),
        "parameters": [
            {"number": number, **asdict(info)}
            for number, (id, info) in enumerate(infos.items())
            if worth_showing(id, engine.settings, singer=singer)
        ],
        "stems": engine.stems,
        "groups": engine.groups,
        "pitches": list(templates.pitches) if templates else [],
        "modes": modes,
        "presets": [{"name": each.name, "program": each.program, "values": plain(each.values)} for each in presets],
        "controllers": shipped_maps(),
        "any_controller": document(default_bindings(), feedback=False),
    }


def _mode(engine: Engine) -> dict[str, Any]:
    infos = {id: control.info for id, control in engine.parameters.items()}
    changed = {id: value for id, value in engine.parameters.defaults.items() if value != infos[id].default}
    return {
        "name": engine.settings.mode,
        "latency": engine.latency,
        "latency_ms": engine.latency / engine.sample_rate * 1e3,
        "defaults": plain(changed),
    }
