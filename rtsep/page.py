"""The page: un-mixing in a browser, as a folder of files that any web server may offer.

The engine runs in the browser, as WebAssembly in an audio worklet; nothing is sent anywhere. The folder holds the page
itself (`rtsep/web/`), the library, an image of a prepared state for each mode, rate and number of channels, the
parameters, and the bundled song. Library and images are packed with gzip, and unpacked by the page: no server needs to
be told how.
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

from . import disk, library
from .build import describe
from .dsp import windows
from .engine import Engine, State
from .errors import BadInput, Unavailable
from .kernel import leaves, words
from .offline import files
from .parameters import PARAMETERS, SILENCE_DB
from .settings import Settings

MODES = ("live", "balanced", "quality")
RATES = (44_100, 48_000)
CHANNELS = (1, 2)
BLOCK = 128  # samples, as a browser asks for them
ABSENT = ("key.", "templates.", "microphone.")  # parameters that do nothing on the page
_SEEN = ("masks", "magnitude")  # arrays that the page reads
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
        images, contents = _images()
        for name, content in {"engine.bin": code.read_bytes(), **contents}.items():
            disk.write(folder / name, gzip.compress(content, 9, mtime=0))
        song = folder / _SONG
        if not song.exists():
            with files.Writer(song, RATES[-1], 2) as writer:
                writer.write(files.sum_of(files.song(RATES[-1])))
        for path in sorted((library.PACKAGE / "web").iterdir()):
            shutil.copyfile(path, folder / path.name)
        disk.write(folder / "parameters.json", json.dumps(_about(images), indent=1).encode())
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
        self.send_header("Cache-Control", "no-cache")  # a page that was written anew is seen at once
        super().end_headers()

    def log_message(self, *_: object) -> None:
        pass


def _images() -> tuple[list[dict[str, Any]], dict[str, bytes]]:
    """What the page must know of each image, and the images by the names of their files."""
    told, contents = [], {}
    for mode in MODES:
        for rate in RATES:
            for channels in CHANNELS:
                engine = Engine(Settings(mode=mode))
                engine.prepare(sample_rate=rate, channels=channels, max_block=BLOCK)
                name = f"{mode}-{rate}-{channels}.bin"
                contents[name] = describe.image(engine.state)
                analysis, _ = windows.pair(*engine.sizes[:3])
                told.append(
                    {
                        "file": name,
                        "mode": mode,
                        "sample_rate": rate,
                        "channels": channels,
                        "latency": engine.latency,
                        "bins": engine.sizes.window_size // 2 + 1,
                        "bin_hz": rate / engine.sizes.window_size,
                        "full_scale": float(analysis.sum() / 2 * channels**0.5),
                    }
                )
    return told, contents


def _about(images: list[dict[str, Any]]) -> dict[str, Any]:
    """What the page knows: parameters, stems, modes, images, and where the arrays that it reads lie in a state."""
    settings, places, at = Settings(), {}, 0
    for name, kind in leaves(State):
        if name in _SEEN:
            places[name] = at
        at += words(kind)
    modes = []
    for mode in MODES:
        values = {id: control.value for id, control in Engine(Settings(mode=mode)).parameters.items()}
        latency = next(
            image["latency"] for image in images if (image["mode"], image["sample_rate"]) == (mode, RATES[-1])
        )
        changed = {id: value for id, value in values.items() if value != PARAMETERS[id].default}
        modes.append({"name": mode, "latency": latency, "latency_ms": latency / RATES[-1] * 1e3, "defaults": changed})
    return {
        "version": library.digest(),
        "silence_db": SILENCE_DB,
        "parameters": [
            {"number": number, **asdict(parameter)}
            for number, parameter in enumerate(PARAMETERS.values())
            if not parameter.id.startswith(ABSENT)
        ],
        "stems": settings.stems,
        "groups": settings.groups,
        "modes": modes,
        "images": images,
        "words": places,
        "songs": [{"name": "the demo song", "file": _SONG}],
    }
