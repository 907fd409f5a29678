"""Real time: nothing in the library allocates, raises or calls Python, read from its symbols and counted as it runs."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from numba.core.errors import NumbaError
from refused import allocating, printing, raising

from rtsep import library
from rtsep.build import emit
from rtsep.errors import BadInput
from rtsep.kernels import Image, float32

HERE = Path(__file__).parent

# Of the compiler's own, in every shared library; nobody calls them.
LINKERS = {"_ITM_deregisterTMCloneTable", "_ITM_registerTMCloneTable", "__cxa_finalize", "__gmon_start__"}


def run(script, **environment):
    """What `script` of this folder prints, read as JSON."""
    paths = os.pathsep.join([str(HERE.parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, str(HERE / script)],
        env={**os.environ, "PYTHONPATH": paths, **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.skipif(shutil.which("nm") is None, reason="nm, which comes with gcc, is not installed")
def test_the_library_asks_for_mathematics_and_clocks_and_nothing_else():
    listed = subprocess.check_output(["nm", "-D", "--undefined-only", library.place()], text=True)
    asked = {line.split()[-1].split("@")[0] for line in listed.splitlines()}
    assert asked - LINKERS <= emit.LIBM | emit.CLOCKS | emit.MEMORY
    assert "clock_gettime" in asked  # there is a list at all


def test_no_compiler_is_imported_however_the_engine_is_used():
    assert run("unused_numba.py") == []


def test_a_kernel_that_raises_is_refused_by_its_name():
    with pytest.raises(BadInput, match="kernels may neither raise, allocate nor call Python; look at raising"):
        raising(np.ones(3, np.float32))


def test_a_kernel_that_allocates_is_refused():
    with pytest.raises(NumbaError, match=r"(?i)nrt"):
        allocating(np.ones(3, np.float32))


def test_a_kernel_that_calls_python_is_refused():
    with pytest.raises((BadInput, NumbaError, NotImplementedError)):
        printing(np.ones(3, np.float32))


def test_an_array_that_is_not_what_its_state_says_is_refused():
    class State(NamedTuple):
        x: float32[::1]

    for wrong in (np.zeros(3), np.zeros((2, 2), np.float32), np.zeros(6, np.float32)[::2]):
        with pytest.raises(TypeError, match=r"x is float.*it must be float32\[::1\]"):
            Image(State(wrong))


@pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc, which compiles the counter, is not installed")
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the counter is written for glibc")
def test_a_thousand_blocks_make_no_allocation(tmp_path):
    counter = tmp_path / "count_allocations.so"
    source = HERE / "count_allocations.c"
    subprocess.run(["gcc", "-O1", "-fno-builtin", "-shared", "-fPIC", "-o", counter, source], check=True)
    counts = run("allocating.py", LD_PRELOAD=str(counter))
    assert counts == dict.fromkeys(counts, 0) and len(counts) == 4
