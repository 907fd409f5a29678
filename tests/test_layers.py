"""Layers: imports run one way, names say what they hold, and nothing heavy is loaded before sound is made."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "rtsep"
FILES = sorted(PACKAGE.rglob("*.py"))
EMPTY_NAMES = {"utils", "common", "helpers", "core", "base", "manager"}
DSP_MAY_IMPORT = {"numpy", "math", "typing", "collections"}


def imported(file):
    """Absolute names of all modules that `file` imports anywhere; for `from x import y` also x.y."""
    here = file.relative_to(ROOT).with_suffix("").parts
    names = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = here[: len(here) - node.level] if node.level else ()
            base = ".".join([*above, *filter(None, [node.module])])
            names |= {base} | {f"{base}.{alias.name}" for alias in node.names}
    return names


def files_in(*places):
    return [file for place in places for file in FILES if file.relative_to(PACKAGE).as_posix().startswith(place)]


def imports_any_of(file, *modules):
    return {name for name in imported(file) for module in modules if name == module or name.startswith(module + ".")}


@pytest.mark.parametrize("file", files_in("dsp/"), ids=lambda file: file.name)
def test_the_audio_thread_imports_only_arrays_kernels_and_itself(file):
    for name in imported(file):
        if name.startswith("rtsep"):
            assert re.match(r"rtsep\.(dsp|kernels|lanes|settings)\b", name) or name == "rtsep", name
        else:
            assert name.split(".")[0] in DSP_MAY_IMPORT, name


@pytest.mark.parametrize("file", files_in("dsp/"), ids=lambda file: file.name)
def test_the_audio_thread_takes_only_types_from_settings(file):
    taken = {name.split(".")[2] for name in imported(file) if name.startswith("rtsep.settings.")}
    assert taken <= {"Sizes", "Settings"}


GROUND = files_in(
    "settings.py", "parameters.py", "places.py", "errors.py", "disk.py", "kernels.py", "lanes.py", "library.py"
)


@pytest.mark.parametrize("file", GROUND, ids=lambda file: file.name)
def test_the_ground_floor_imports_no_floor_above(file):
    assert not imports_any_of(
        file, "rtsep.dsp", "rtsep.chain", "rtsep.engine", "rtsep.live", "rtsep.offline", "rtsep.__main__"
    )


def test_the_engine_imports_neither_live_nor_offline():
    for name in ("chain.py", "engine.py"):
        assert not imports_any_of(PACKAGE / name, "rtsep.live", "rtsep.offline", "rtsep.__main__")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(PACKAGE).as_posix())
def test_the_compiler_is_imported_by_the_build_alone(file):
    if file not in files_in("build/"):
        assert not imports_any_of(file, "numba")


@pytest.mark.parametrize("file", files_in("live/", "offline/"), ids=lambda f: f.relative_to(PACKAGE).as_posix())
def test_live_and_offline_do_not_import_the_command_line(file):
    assert not imports_any_of(file, "rtsep.__main__")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(PACKAGE).as_posix())
def test_files_are_named_for_what_they_hold_and_their_first_line_says_it(file):
    assert not {*file.relative_to(PACKAGE).with_suffix("").parts} & EMPTY_NAMES
    docstring = ast.get_docstring(ast.parse(file.read_text()))
    assert docstring and docstring.splitlines()[0].strip()


@pytest.mark.parametrize("module", ("rtsep", "rtsep.settings", "rtsep.parameters", "rtsep.errors"))
def test_nothing_heavy_is_loaded_before_sound_is_made(module):
    script = f"import sys, {module}; print(*{{'numba', 'numpy', 'scipy', 'sounddevice'}} & set(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert loaded.stdout.split() == []


def test_every_public_name_can_be_had():
    import rtsep

    for name in rtsep.__all__:
        assert getattr(rtsep, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'sepparate'"):
        _ = rtsep.sepparate


@pytest.mark.slow
@pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT") == "1", reason="this is the run without the compiler")
def test_stages_pass_their_tests_as_plain_python_too():
    names = [
        f"tests/test_{stage}.py" for stage in ("windows", "fft", "stft", "hpss", "masks", "mix", "limiter", "meters")
    ]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *names],
        cwd=ROOT,
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout
