"""The library: found where it may lie, never loaded where it may be another's, built anew where it is not as it was."""

import ctypes
import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import signals
from numba.core.errors import TypingError

from rtsep import Engine, Settings, library
from rtsep.build import __main__ as builder
from rtsep.build import describe, emit, lower
from rtsep.dsp import fft
from rtsep.errors import BadInput, Unavailable
from rtsep.kernels import complex64, float32

BUILD = library.build
posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows tells nothing of who may write")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache into which the library that is there already is "built"; its paths, and where it was built."""
    library.warm_up()
    good, name, built = library.place(), library._name(), []

    def build(folder, target, stages=()):
        assert target == library.target()
        built.append(folder)
        for path in (good, good.with_suffix(".json")):
            (folder / path.name).unlink(missing_ok=True)  # one that is loaded stays as it is
            shutil.copy(path, folder)
        return ""

    folder = tmp_path / "cache"
    monkeypatch.setenv("RTSEP_CACHE", str(folder))
    monkeypatch.setattr(library, "COMPILED", tmp_path / "none")
    monkeypatch.setattr(library, "build", build)
    monkeypatch.setattr(library, "_loaded", {})
    return folder, folder / f"{name}.json", folder / good.name, built


def start():
    """What a program does first; what is told, and the file that is loaded."""
    library._loaded.clear()
    told = []
    library.warm_up(told.append)
    return told, library.place()


def test_it_is_built_once_with_a_sentence_and_found_from_then_on(cache):
    folder, _, code, built = cache
    assert start() == (["building the engine for this machine, once: about half a minute ..."], code)
    assert start() == ([], code)
    assert built == [folder]


@pytest.mark.parametrize("damage", ("cut", "altered", "empty", "gone", "words", "other words", "no description"))
def test_what_is_not_as_it_was_built_is_built_anew(cache, damage):
    _, description, code, built = cache
    start()
    content = bytearray(code.read_bytes())
    code.unlink()  # it is mapped into this process, which must not be damaged
    code.write_bytes(content)
    if damage == "cut":
        code.write_bytes(content[:-100])
    elif damage == "altered":
        content[len(content) // 2] ^= 1
        code.write_bytes(content)
    elif damage == "empty":
        code.write_bytes(b"")
    elif damage == "gone":
        code.unlink()
    elif damage == "words":
        description.write_text("{ no json")
    elif damage == "other words":
        description.write_text(json.dumps({"file": "../../etc/passwd"}))
    else:
        description.unlink()
    told, place = start()
    assert len(told) == 1 and len(built) == 2 and place == code


@posix
@pytest.mark.parametrize("others", (0o020, 0o002))
def test_what_others_may_write_is_not_loaded(cache, others):
    _, _, code, built = cache
    start()
    code.chmod(0o644 | others)
    start()
    assert len(built) == 2


@posix
@pytest.mark.slow
def test_a_file_that_others_could_write_is_replaced_by_one_that_they_cannot(tmp_path):
    library.warm_up()
    built = library.place()
    for path in (built, built.with_suffix(".json")):
        shutil.copy(path, tmp_path)
        (tmp_path / path.name).chmod(0o666)
    assert library.usable(tmp_path / f"{built.stem}.json") is None
    assert library.build(tmp_path, library.target()) == ""
    assert library.usable(tmp_path / f"{built.stem}.json") is not None


@posix
@pytest.mark.parametrize("others", (0o070, 0o007))
def test_from_a_folder_that_others_may_write_to_nothing_is_loaded(cache, others):
    folder, _, _, built = cache
    start()
    folder.chmod(0o700 | others)
    told, place = start()
    # Not there, but in a folder of this process alone.
    assert place.parent not in (folder, library.COMPILED) and place.parent.stat().st_mode & 0o077 == 0
    assert told and built[-1] == place.parent


def test_where_nothing_can_be_kept_it_is_built_for_this_process_alone(cache, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("RTSEP_CACHE", str(tmp_path / "file" / "cache"))
    told, place = start()
    assert told and place.is_file() and place.parent != tmp_path


def test_what_cannot_be_built_is_told_with_the_reason_and_the_remedy(cache, monkeypatch):
    monkeypatch.setattr(library, "build", lambda folder, target, stages: "no space left on device")
    with pytest.raises(Unavailable, match=r"cannot be built: no space left on device\. Set RTSEP_CACHE to a folder"):
        start()


def test_a_kernel_that_cannot_be_compiled_is_told_once_with_what_numba_says(cache, tmp_path, monkeypatch, capsys):
    def lowered(entries, told):
        raise TypingError("nobody knows what x is")

    monkeypatch.setattr(lower, "lower", lowered)
    assert builder.main(["native", str(tmp_path / "there")]) == 2
    told = capsys.readouterr()
    assert told.out == "a kernel cannot be compiled, numba says why above.\n" and "what x is" in told.err
    builds = []

    def run(command, **options):
        builds.append(command)
        return subprocess.CompletedProcess(command, 2, told.out)

    monkeypatch.setattr(library, "build", BUILD)
    monkeypatch.setattr(library.subprocess, "run", run)
    with pytest.raises(BadInput, match=r"^a kernel cannot be compiled"):
        start()
    assert len(builds) == 1


def test_an_edited_kernel_has_another_name(cache, monkeypatch):
    start()
    _, _, _, built = cache
    monkeypatch.setattr(library, "digest", lambda stages: "of other text")
    with pytest.raises(Unavailable):  # what is "built" here has the old name
        start()
    assert len(built) > 1


def test_of_two_that_start_at_once_one_builds(cache, monkeypatch):
    _, _, code, built = cache
    monkeypatch.setattr(library, "_LOCK", threading.Lock())  # as in two processes
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(library._find(()) or library._build(print, ()))) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(built) == 1 and [each.description["path"] for each in found] == [str(code)] * 2


def test_a_processor_that_is_too_old_is_told_so(monkeypatch):
    monkeypatch.setattr(library, "_features", lambda: {"SSE2": True})
    monkeypatch.setattr(library.platform, "machine", lambda: "x86_64")
    with pytest.raises(Unavailable, match=r"too old: rtsep needs SSE 4\.2"):
        library.target.__wrapped__()


@pytest.mark.parametrize(
    ("machine", "features", "name"),
    (
        ("x86_64", ("AVX2", "FMA3", "F16C", "SSE42", "POPCNT", "SSSE3"), "x86_64-v3"),
        ("AMD64", ("AVX2", "SSE42", "POPCNT", "SSSE3"), "x86_64-v2"),
        ("aarch64", (), "aarch64"),
    ),
)
def test_machine_code_fits_the_processor(monkeypatch, machine, features, name):
    monkeypatch.setattr(library.platform, "machine", lambda: machine)
    monkeypatch.setattr(library, "_features", lambda: dict.fromkeys(features, True))
    assert library.target.__wrapped__().endswith(name)


@pytest.mark.slow
def test_where_nothing_can_link_the_object_code_is_loaded_as_it_is(tmp_path):
    """Without a compiler on the PATH, a whole build, and a second process that loads it."""
    environment = {**os.environ, "PATH": "", "RTSEP_CACHE": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "rtsep.build", "native", tmp_path], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout
    (code,) = tmp_path.glob("*.o")
    assert not list(tmp_path.glob("*.so"))
    script = (
        "from pathlib import Path; from rtsep import library; library.COMPILED = Path('none')\n"
        "import numpy as np, rtsep, sys\n"
        "engine = rtsep.Engine(); engine.prepare(sample_rate=48000, channels=1)\n"
        "print(library.place(), engine.process(np.ones(2000))[-1] == 1, 'numba' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
    assert done.stdout.split() == [str(code), "True", "False"], done.stderr


def test_targets_that_are_none_are_refused_with_their_names():
    done = subprocess.run([sys.executable, "-m", "rtsep.build", "amiga", "x"], capture_output=True, text=True)
    assert done.returncode == 2 and "unknown target 'amiga': there are linux-x86_64-v2, " in done.stdout
    assert done.stderr == "" and not Path("x").exists()


MAGIC = {
    "linux-x86_64": b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x01\x00\x3e\x00",
    "linux-aarch64": b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x01\x00\xb7\x00",
    "windows-x86_64": b"\x64\x86",
    "macos-x86_64": b"\xcf\xfa\xed\xfe\x07\x00\x00\x01",
    "macos-arm64": b"\xcf\xfa\xed\xfe\x0c\x00\x00\x01",
    "wasm32": b"\0asm\x01\0\0\0",
}


@pytest.mark.parametrize("target", emit.TARGETS)
def test_object_code_is_made_for_every_target(target):
    module = lower.lower([lower.Entry("forward", fft.forward, (fft.State, float32[::1], complex64[::1]))])
    code = emit.emit(module.texts, ["forward"], emit.TARGETS[target])
    magic = next(magic for name, magic in MAGIC.items() if target.startswith(name))
    assert code.startswith(magic) and b"forward" in code


@pytest.mark.parametrize("mode", ("live", "quality"))
def test_a_host_in_c_hears_what_python_does(mode):
    library.warm_up()
    engine, sound = Engine(Settings(mode=mode)), signals.music(6000, 48000, 2)
    engine.prepare(sample_rate=48000, channels=2)
    content = describe.image(engine.state)
    room = np.zeros(len(content) + 64, np.uint8)
    place = room[-room.ctypes.data % 64 :][: len(content)]
    place[:] = np.frombuffer(content, np.uint8)

    def function(name, *kinds):
        return ctypes.CFUNCTYPE(None, *kinds)(library.address(f"rtsep_{name}"))

    at = ctypes.c_void_p
    state = place.ctypes.data
    function("create", at)(state)
    number = list(engine.parameters).index("percussive.gain_db")
    engine.parameters["percussive.gain_db"] = -12
    function("set", at, ctypes.c_int64, ctypes.c_float)(state, number, 10 ** (-12 / 20))
    process = function("process", at, at, at, at, at, ctypes.c_int64)
    stems = np.zeros((4, 501, 2), np.float32)
    for voice in (None, signals.noise(6000)):
        heard, expected = np.zeros_like(sound), np.zeros_like(sound)
        for start in range(0, 6000, 500):
            block, output = sound[start : start + 500].copy(), heard[start : start + 500]
            sung = None if voice is None else voice[start : start + 500, 0]
            at_voice = None if sung is None else sung.ctypes.data
            process(state, block.ctypes.data, at_voice, output.ctypes.data, stems.ctypes.data, 500)
            expected[start : start + 500] = engine.process(block, microphone=sung)
        assert np.array_equal(heard, expected)
        levels = np.zeros(8, np.float32)
        function("meters", at, at)(state, levels.ctypes.data)
        meters = engine.meters
        assert np.array_equal(levels[4:], meters.stems) and levels[2] == meters.f0[0] and levels[1] == meters.output[0]
        function("reset", at)(state)
        engine.reset()
