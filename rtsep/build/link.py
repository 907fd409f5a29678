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


def link(code: Sequence[Path], library: Path, target: Target, here: bool, options: Sequence[str] = ()) -> bool:
    """Link `code`, object files or C with `options`, to `library`; False if this machine (`here`) cannot.

    Raises
    ------
    Unavailable : if it cannot be linked for another machine.
    """
    mathematics = [] if target.system == "windows" else ["-lm"]
    command = ["-shared", "-s", "-o", str(library), *options, *map(str, code), *mathematics]
    if here:
        compiler = shutil.which("cc")
        if compiler is None:
            return False
        command = [compiler, *command]
    elif importlib.util.find_spec("ziglang"):
        command = [sys.executable, "-m", "ziglang", "cc", "-target", target.zig, *command]
    else:
        raise Unavailable("to link for another machine takes ziglang: pip install 'rtsep[export]'.")
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        if here:
            return False  # llvmlite loads the object code as it is
        raise Unavailable(f"{library.name} cannot be linked: {done.stderr.strip()}")
    return True
