"""What hatchling runs when a wheel is made or the package is installed: the library is built into the package."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class LibraryHook(BuildHookInterface[Any]):
    """Builds the library for this machine and for browsers; where that fails, the first start tries again."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Fill `rtsep/compiled/`, before hatchling collects the files."""
        folder = Path(self.root) / "rtsep" / "compiled"
        self.app.display_waiting("building the engine for this machine: about half a minute ...")
        done = subprocess.run(
            [sys.executable, "-m", "rtsep.build", "native", "wasm32", str(folder)],
            cwd=self.root,
            env={**os.environ, "NUMBA_DISABLE_INTEL_SVML": "1"},
            stdout=subprocess.PIPE,
            text=True,
        )
        if done.returncode:
            self.app.display_warning(f"the engine was not built, its first start will try: {done.stdout.strip()}")
        descriptions = sorted(folder.glob("rtsep-*.json"), key=lambda path: path.stat().st_mtime)
        for old in descriptions[:-2]:
            for path in folder.glob(f"{old.stem}.*"):
                path.unlink()
        build_data["artifacts"].append("rtsep/compiled/rtsep*")
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"
