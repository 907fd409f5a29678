"""The page: un-mixing in a browser, as a folder of files that any web server may offer.

The engine runs in the browser, as WebAssembly in an audio worklet; nothing is sent anywhere. The folder holds the page
itself (`rtsep/web/`), the library, an image of a prepared state for each mode, rate and number of channels, the
parameters, and the bundled song. Library and images are packed with gzip, and unpacked by the page: no server needs to
be told how.
"""

import gzip
import json
import shutil
from collections.abc import Callable, Collection
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
from .dsp import key, windows
from .engine import Engine
from .errors import BadInput, Unavailable
from .idle import worth_showing
from .kernels import leaves, words
from .live.presets import PRESETS, Preset, preset, presets
from .offline import files
from .offline.writer import Writer
from .parameters import plain
from .settings import Settings

MODES = ("live", "balanced", "quality")
RATES = (44_100, 48_000)
CHANNELS = (1, 2)
BLOCK = 128  # samples, as a browser asks for them
FRESH = {"Cache-Control": "no-cache"}  # a page that was written anew is seen at once
BANDS, LOWEST_HZ, HIGHEST_HZ = 96, 40.0, 16_000.0  # of the spectrum that the page shows
_SEEN = ("masks", "magnitude", "transposing")  # arrays that the page reads, and one that it sets
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
        images, modes, contents = _images()
        engine = Engine(Settings(transpose=True))
        about = _about(engine, modes, [preset(name) for name in PRESETS], also=("melody.duck",)) | {
            "images": images,
            "words": _places(),
            "songs": [{"name": "the demo song", "file": _SONG}],
        }
        for name, content in {"engine.bin": code.read_bytes(), **contents}.items():
            disk.write(folder / name, gzip.compress(content, 9, mtime=0))
        song = folder / _SONG
        if not song.exists():
            with Writer(song, RATES[-1], 2) as writer:
                writer.write(files.sum_of(files.song(RATES[-1])))
        for path in sorted((library.PACKAGE / "web").iterdir()):
            shutil.copyfile(path, folder / path.name)
        disk.write(folder / "parameters.json", json.dumps(about, indent=1).encode())
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


def full_scale(engine: Engine) -> float:
    """The magnitude of a sine of full scale in all channels of a prepared engine."""
    analysis, _ = windows.pair(*engine.sizes[:3])
    return float(analysis.sum() / 2 * engine.channels**0.5)


def band_edges(engine: Engine) -> NDArray[np.int64]:
    """The first bin of each of BANDS bands that lie evenly in octaves, and where the last ends."""
    hertz = LOWEST_HZ * (HIGHEST_HZ / LOWEST_HZ) ** (np.arange(BANDS + 1) / BANDS)
    size = engine.sizes.window_size
    return np.minimum(np.round(hertz * size / engine.sample_rate), size // 2).astype(np.int64)


def _images() -> tuple[list[dict[str, Any]], list[dict[str, Any]], dict[str, bytes]]:
    """What the page must know of each image and of each mode, and the images by the names of their files."""
    told, modes, contents = [], [], {}
    for mode in MODES:
        for rate in RATES:
            for channels in CHANNELS:
                engine = Engine(Settings(mode=mode))
                engine.prepare(sample_rate=rate, channels=channels, max_block=BLOCK)
                name = f"{mode}-{rate}-{channels}.bin"
                contents[name] = describe.image(engine.state)
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
                        "full_scale": full_scale(engine),
                    }
                )
        modes.append(_mode(engine))
    return told, modes, contents


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
    also: Collection[str] = (),
) -> dict[str, Any]:
    """Parameters that do something and what the page moves `also`, stems, modes and presets."""
    infos = {id: control.info for id, control in engine.parameters.items()}
    return {
        "version": library.digest(),
        "parameters": [
            {"number": number, **asdict(info)}
            for number, (id, info) in enumerate(infos.items())
            if id in also or worth_showing(id, engine.settings, singer=singer)
        ],
        "stems": engine.stems,
        "groups": engine.groups,
        "modes": modes,
        "presets": [{"name": each.name, "program": each.program, "values": plain(each.values)} for each in presets],
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
