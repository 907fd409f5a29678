"""Real time: no kernel allocates, raises or calls Python, read from the machine code and counted while it runs."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest
from audit import allocating, audited, findings, raising
from numba.core.errors import NumbaError

from rtsep.kernel import kernel

HERE = Path(__file__).parent


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


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    return run("audit.py", RTSEP_CACHE=str(tmp_path_factory.mktemp("cache")))


@pytest.mark.parametrize("place", ("rtsep.dsp", "rtsep.engine", "rtsep.live.callback", "rtsep.live.player"))
def test_no_kernel_allocates_raises_or_calls_python(report, place):
    found = {name: kernel["findings"] for name, kernel in report.items() if name.startswith(place)}
    assert found and [(name, findings) for name, findings in found.items() if findings] == []


def test_the_audit_sees_every_kernel_in_the_text(report):
    package = HERE.parent / "rtsep"
    # The two kernels of kernel.py run before there is sound, those of offline/ where there is no audio thread.
    files = {*package.rglob("*.py")} - {package / "kernel.py", *(package / "offline").glob("*.py")}
    marks = sum(line.startswith(("@kernel", "@callback")) for file in files for line in file.read_text().splitlines())
    assert len(report) == marks


def test_every_kernel_is_compiled_by_the_warm_up_and_none_once_more_while_it_is_used(report):
    assert [name for name, kernel in report.items() if not kernel["signatures"]] == []
    assert [name for name, kernel in report.items() if kernel["late"]] == []


def test_the_audit_catches_a_kernel_that_raises(tmp_path, monkeypatch):
    monkeypatch.setattr("rtsep.kernel.CACHE_FOLDER", tmp_path)
    compiled = kernel(raising)
    compiled(np.ones(3, np.float32))
    assert any("picklebuf" in found for found in audited(compiled))


def test_the_audit_catches_a_kernel_that_allocates():
    compiled = numba.njit(error_model="numpy")(allocating)
    compiled(np.ones(3, np.float32))
    assert any("NRT_" in found for found in audited(compiled))


def test_the_audit_catches_a_call_of_python():
    body = "define i32 @_ZN4fake() {\n  %x = call ptr @PyErr_Occurred()\n  call void @numba_gil_ensure(ptr %x)\n}\n"
    assert findings(body) == ["@PyErr_Occurred", "@numba_gil_ensure"]


def test_a_kernel_that_allocates_is_refused_when_it_is_compiled(tmp_path, monkeypatch):
    monkeypatch.setattr("rtsep.kernel.CACHE_FOLDER", tmp_path)
    with pytest.raises(NumbaError, match=r"(?i)nrt"):
        kernel(allocating)(np.ones(3, np.float32))


@pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc, which compiles the counter, is not installed")
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the counter is written for glibc")
def test_a_thousand_blocks_make_no_allocation(tmp_path):
    library = tmp_path / "count_allocations.so"
    source = HERE / "count_allocations.c"
    subprocess.run(["gcc", "-O1", "-fno-builtin", "-shared", "-fPIC", "-o", library, source], check=True)
    counts = run("allocating.py", LD_PRELOAD=str(library))
    assert counts.pop("allocating") == 1000
    assert counts == dict.fromkeys(counts, 0) and len(counts) == 4
