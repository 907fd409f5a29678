"""Firefox without a window, moved by WebDriver BiDi (w3.org/TR/webdriver-bidi), which it speaks by itself.

It computes, and plays nothing: without a sound card it never begins to.
"""

import json
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect

FIREFOX = shutil.which("firefox-esr") or shutil.which("firefox")
PREFERENCES = {
    "remote.active-protocols": "1",  # BiDi alone
    "app.update.enabled": "false",
    "datareporting.policy.dataSubmissionEnabled": "false",
}


class Firefox:
    """A window of its own; `get` loads a page, and `run` what is to happen in it."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        assert process.stderr
        found = next(filter(None, (re.search(r"BiDi listening on (ws://\S+)", line) for line in process.stderr)))
        threading.Thread(target=process.stderr.read, daemon=True).start()  # or it stands still once the pipe is full
        self._numbers = iter(range(1, 1_000_000))
        self._process = process
        self._address = f"{found[1]}/session"

    def __enter__(self) -> "Firefox":
        self._connection = connect(self._address, max_size=None)
        self._socket = self._connection.__enter__()
        self._ask("session.new", capabilities={})
        self._window = self._ask("browsingContext.getTree")["contexts"][0]["context"]
        return self

    def __exit__(self, *error: Any) -> None:
        self._connection.__exit__(*error)

    def _ask(self, method: str, **parameters: Any) -> Any:
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            answer = json.loads(self._socket.recv(120))
            if answer.get("id") == number:
                assert "result" in answer, answer
                return answer["result"]

    def get(self, address: str) -> None:
        self._ask("browsingContext.navigate", context=self._window, url=address, wait="complete")

    def run(self, function: str, *arguments: Any) -> Any:
        """What an async `function` (its text) returns; both ways as JSON."""
        answer = self._ask(
            "script.callFunction",
            functionDeclaration=f"async (given) => JSON.stringify(await ({function})(...JSON.parse(given)))",
            arguments=[{"type": "string", "value": json.dumps(arguments)}],
            target={"context": self._window},
            awaitPromise=True,
            userActivation=True,
        )
        assert answer["type"] == "success", answer["exceptionDetails"]["text"]
        return json.loads(answer["result"].get("value", "null"))


@contextmanager
def firefox(profile: Path) -> Iterator[Firefox]:
    """A Firefox with its `profile`, an empty folder; skips the test where there is none."""
    if FIREFOX is None:
        pytest.skip("firefox is not installed (Debian: apt install firefox-esr)")
    lines = [f'user_pref("{name}", {value});' for name, value in PREFERENCES.items()]
    (profile / "user.js").write_text("\n".join(lines))
    command = [FIREFOX, "--headless", "--no-remote", "--profile", str(profile), "--remote-debugging-port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        with Firefox(process) as browser:
            yield browser
    finally:
        process.terminate()
        process.wait()
        process.stderr.close()
