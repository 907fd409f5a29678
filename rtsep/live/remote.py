"""The page as the hands and eyes of a running stream: on this machine, or on a phone by the microphone stand.

A web server in a thread of its own serves the page of `rtsep/web/`, of which the engine is at the other end of a
websocket. Both sides tell values by the ids of parameters, as JSON; meters and the spectrum come as float32. Each page
has a task of its own, which sends what is newest when the page has taken what came before: one that stalls holds up
nobody, and nothing piles up.
"""

import asyncio
import json
import math
import secrets
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from .. import library, page
from ..errors import BadInput, Unavailable
from ..parameters import plain
from .player import Player
from .stream import Stream
from .toml_files import folder

try:
    import uvicorn
    from starlette.applications import Starlette
    from starlette.responses import FileResponse, JSONResponse, Response
    from starlette.routing import Mount, Route, WebSocketRoute
    from starlette.staticfiles import StaticFiles
    from starlette.websockets import WebSocket, WebSocketDisconnect
except ImportError as error:
    raise Unavailable("--web needs a web server: pip install 'rtsep[web]'.") from error

_FRAME_S = 1 / 30  # between two pictures of the levels
_WEB = library.PACKAGE / "web"
_TOKEN = "web.token"  # of the user's settings: a phone that has the address keeps it
_SECRET = 16  # signs of the token
_LONGEST = 65_536  # bytes of a message from a page
_PEAKS = 2000  # in the overview of a song


class Remote:
    """Serves the page for `stream` while the context lasts.

        with Remote(stream, "song.mp3", port=8765) as remote:
            print(remote.address)

    Parameters
    ----------
    name : what sounds, as the page shows it
    port : 0 for any that is free
    lan : whether other machines are let in too; without the token in the address nobody is

    Raises
    ------
    Unavailable : if the port is taken, or the token cannot be kept.
    """

    def __init__(self, stream: Stream, name: str, *, port: int = 8765, lan: bool = False, singer: bool = False) -> None:
        self._stream, self._name, self._singer = stream, name, singer
        self._token = _token(folder() / _TOKEN)
        self._spectrum = _Spectrum(stream)
        self._framed_s, self._frame = -math.inf, b""
        # What plays over and over goes on to do so when a page ends a loop of its own.
        self._whole = (0.0, None) if stream.player and stream.player.loop else (None,)
        self._socket = _bound(port, lan)
        host = _own_address() if lan else "127.0.0.1"
        self.address = f"http://{host}:{self._socket.getsockname()[1]}/#{self._token}"
        routes = [
            Route("/parameters.json", self._parameters),
            Route("/engine.js", self._engine_js),
            Route("/peaks", self._peaks),
            WebSocketRoute("/engine", self._engine),
            Mount("/", _Files(directory=_WEB, html=True)),
        ]
        config = uvicorn.Config(
            Starlette(routes=routes),
            log_level="critical",
            access_log=False,
            lifespan="off",
            ws="websockets-sansio",
            ws_max_size=_LONGEST,
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), daemon=True)

    def __enter__(self) -> "Remote":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()

    async def _parameters(self, request: Any) -> Response:
        return JSONResponse(page.about_engine(self._stream.engine, singer=self._singer))

    def _peaks(self, request: Any) -> Response:
        """The shape of the song, float32; of what comes from a device, nothing."""
        player = self._stream.player
        try:
            peaks = player.peaks(_PEAKS).tobytes() if player else b""
        except BadInput:  # the file is gone: it plays as far as it was read
            peaks = b""
        return Response(peaks, media_type="application/octet-stream")

    async def _engine_js(self, request: Any) -> Response:
        return FileResponse(_WEB / "engine-remote.js", headers=page.FRESH)

    async def _engine(self, socket: WebSocket) -> None:
        """One page, from its coming to its going."""
        origin, host = socket.headers.get("origin"), socket.headers.get("host")
        known = secrets.compare_digest(socket.query_params.get("token", "").encode(), self._token.encode())
        if not known or origin not in (None, f"http://{host}"):
            await socket.close()  # answers 403
            return
        await socket.accept()
        visit = _Page()
        telling = asyncio.create_task(self._tell(socket, visit))
        try:
            while True:
                self._obey(await socket.receive_text(), visit)
        except (WebSocketDisconnect, RuntimeError, KeyError):  # gone, or it sends what is no text
            pass
        finally:
            telling.cancel()
            with suppress(asyncio.CancelledError, WebSocketDisconnect, RuntimeError):
                await telling

    async def _tell(self, socket: WebSocket, visit: "_Page") -> None:
        """Tell a page what has changed, and what is heard."""
        while True:
            news = visit.news(self._stream, self._name)
            if news:
                await socket.send_text(json.dumps(news))
            await socket.send_bytes(self._heard())
            await asyncio.sleep(_FRAME_S)

    def _heard(self) -> bytes:
        """What is heard at this moment; made once for all pages."""
        now = time.monotonic()
        if now >= self._framed_s + 0.9 * _FRAME_S:
            self._framed_s = now
            meters, stats, player = self._stream.engine.meters, self._stream.stats(), self._stream.player
            position = player.position if player else stats.samples / self._stream.sample_rate
            first = (meters.input[0], meters.output[0], meters.f0[0], meters.confidence[0])
            numbers = (*first, stats.load_median, stats.xruns, position, *meters.stems)
            self._frame = np.array(numbers, np.float32).tobytes() + self._spectrum.powers().tobytes()
            self._frame += self._spectrum.notes().tobytes()
        return self._frame

    def _obey(self, text: str, visit: "_Page") -> None:
        """Do what a page asks for; what makes no sense is passed over."""
        player = self._stream.player
        with suppress(BadInput, ValueError, TypeError, AttributeError, LookupError):
            asked = json.loads(text)
            if "set" in asked:
                visit.heard = int(asked["number"])
                self._stream.engine.parameters.update(asked["set"], by=f"page {id(visit)}")
            elif player and "play" in asked:
                player.play() if asked["play"] else player.pause()
            elif player and "seek" in asked:
                player.seek(float(asked["seek"]))
            elif player and "loop" in asked:
                player.set_loop(*(asked["loop"] or self._whole))


class _Page:
    """What one page has been told, and the number of the last change that came from it."""

    def __init__(self) -> None:
        self.heard = 0
        self._values: dict[str, float] = {}
        self._state: dict[str, Any] = {}

    def news(self, stream: Stream, name: str) -> dict[str, Any]:
        """What is not told yet, as JSON knows it."""
        values = stream.engine.parameters.snapshot()
        changed = {id: value for id, value in values.items() if self._values.get(id) != value}
        player, stats = stream.player, stream.stats()
        state = {
            "name": name,
            "playing": player.playing if player else True,
            "duration": player.length if player else None,
            "loop": _part(player) if player else None,
            "engine_ms": stats.engine_latency_ms,
            "device_ms": stats.latency_ms - stats.engine_latency_ms,
            "gone": not stream.active,
        }
        news: dict[str, Any] = {}
        if changed:
            news = {"values": plain(changed), "heard": self.heard}
        if state != self._state:
            news["state"] = state
        self._values, self._state = values, state
        return news


def _part(player: Player) -> tuple[float, float | None] | None:
    """The loop of a part of the song; that of all of it is none to be shown."""
    loop = player.loop
    return None if loop and loop[0] == 0 and loop[1] in (None, player.length) else loop


class _Spectrum:
    """The power of each stem in bands, as rtsep/web/core.js tells it of an engine in the browser."""

    def __init__(self, stream: Stream) -> None:
        state, engine = stream.engine.state, stream.engine
        self._magnitude, self._masks, self._activations = state.magnitude, state.masks, state.nmf.activations
        self._scale = engine.full_scale
        edges = page.band_edges(engine)
        self._first, self._end = edges[:-1], max(edges[-1], edges[-2] + 1)
        self._bands = page.note_bands(engine)

    def powers(self) -> Any:
        """(stems, bands) float32: 1 for a sine of full scale."""
        masks = np.concatenate([self._masks, 1 - self._masks.sum(0, keepdims=True)])
        power = (masks * (self._magnitude / self._scale)) ** 2
        return np.add.reduceat(power[:, : self._end], self._first, axis=1).astype(np.float32)

    def notes(self) -> Any:
        """(bands,) float32: how strong the templates of pitches sound; (0,) without such."""
        notes = np.zeros(page.BANDS if len(self._bands) else 0, np.float32)
        np.maximum.at(notes, self._bands, (self._activations[: len(self._bands)] / self._scale) ** 2)
        return notes


class _Files(StaticFiles):
    """Files that a browser asks for anew, so that a newer version is seen at once."""

    def file_response(self, *arguments: Any, **more: Any) -> Response:
        response = super().file_response(*arguments, **more)
        response.headers.update(page.FRESH)
        return response


def _bound(port: int, lan: bool) -> socket.socket:
    try:
        return socket.create_server(("0.0.0.0" if lan else "127.0.0.1", port))
    except OSError as error:
        raise Unavailable(f"port {port} cannot be had: {error.strerror}. Choose another with --port.") from error


def _own_address() -> str:
    """The address by which others of the network know this machine; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            asking.connect(("192.0.2.1", 9))  # an address for documentation, RFC 5737
            return str(asking.getsockname()[0])
        except OSError:
            return socket.gethostname()


def _token(path: Path) -> str:
    """The token that is kept in `path`, which only its owner can read; a new one where none, or a part of one, is."""
    try:
        kept = path.read_text().strip() if path.exists() else ""
        if len(kept) >= _SECRET:
            return kept
        path.parent.mkdir(parents=True, exist_ok=True)
        token = secrets.token_urlsafe(12)
        path.touch(mode=0o600)
        path.write_text(token)
    except OSError as error:
        raise Unavailable(f"cannot keep the token of the page in {path}: {error.strerror}.") from error
    return token
