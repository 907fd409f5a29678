"""From object code to a shared library, by the compiler of this machine or, for others, by ziglang."""

import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from ..errors import Unavailable
from .emit import Target

SUFFIX = {"linux": ".so", "macos": ".dylib", "windows": ".dll", "none": ".wasm"}


def can_link() -> bool:
    """Whether this machine has a C compiler."""
    return shutil.which("cc") is not None


def link(code: Sequence[Path], library: Path, target: Target, here: bool, options: Sequence[str] = ()) -> None:
    """Link `code`, object files or C with `options`, to `library`, for this machine (`here`) or another.

    Raises
    ------
    Unavailable : if it cannot be linked, with the compiler's words.
    """
    mathematics = [] if target.system == "windows" else ["-lm"]
    command = ["-shared", "-s", "-o", str(library), *options, *map(str, code), *mathematics]
    if target.system == "macos":  # or it would be the place where it was linked
        command += ["-install_name", f"@rpath/{library.name}"]
    if here:
        if not can_link():
            raise Unavailable("there is no C compiler cc here (Debian: apt install gcc libc6-dev).")
        command = ["cc", *command]
    elif importlib.util.find_spec("ziglang"):
        command = [sys.executable, "-m", "ziglang", "cc", "-target", target.zig, *command]
    else:
        raise Unavailable("to link for another machine takes ziglang: pip install 'rtsep[export]'.")
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise Unavailable(f"{library.name} cannot be linked: {done.stderr.strip()}")
