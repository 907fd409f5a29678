"""Compiles every kernel afresh and prints, as JSON, what in its machine code could disturb an audio thread.

Run by test_realtime.py in a process of its own with an empty cache folder: a cached function has no LLVM to look at.
"""

import importlib
import json
import pkgutil
import re
import sys

import numpy as np
from numba.core.dispatcher import Dispatcher

FORBIDDEN = re.compile(
    r"@\.const\.picklebuf"  # an exception to be raised
    r"|NRT_\w*(?:[Aa]lloc|decref|incref|Free)\w*"  # memory of numba's own
    r"|@Py\w*|@_Py\w*|@numba_gil\w*|@numba_unpickle|@numba_do_raise"  # Python, and its lock
    r"|@(?:malloc|calloc|realloc|free)\b"
)


def findings(llvm):
    """The forbidden symbols in the compiled functions of `llvm`; the wrappers for calls from Python do not count."""
    functions = re.split(r"(?m)^(?=define )", llvm)[1:]
    own = [text for text in functions if re.match(r'define [^@]*@"?_ZN(?!7cpython)', text)]
    assert own, "no compiled function"
    # What lies behind the closing brace belongs to the module: constants and declarations.
    bodies = [text[: text.index("\n}")] for text in own]
    return sorted({found for body in bodies for found in FORBIDDEN.findall(body)})


def audited(dispatcher):
    """Findings of all compiled signatures of a kernel."""
    texts = [dispatcher.inspect_llvm(signature) for signature in dispatcher.signatures]
    return sorted({found for llvm in texts for found in findings(llvm)})


def raising(x):
    """What the audit must catch. Here rather than beside its test, where pytest would rewrite the assertion."""
    assert x[0] != 0
    x[0] = 1


def allocating(x):
    """What the audit must catch, and the compiler refuse in a kernel."""
    x[:] = x * 2 + np.sqrt(x)


def modules():
    """The modules that hold kernels."""
    import rtsep.dsp

    names = [f"rtsep.dsp.{module.name}" for module in pkgutil.iter_modules(rtsep.dsp.__path__)]
    names += ["rtsep.engine", "rtsep.live.callback", "rtsep.live.player"]
    return [importlib.import_module(name) for name in names]


def kernels():
    """All kernels by their names."""
    return {
        f"{module.__name__}.{name}": value
        for module in modules()
        for name, value in vars(module).items()
        if isinstance(value, Dispatcher) and value.py_func.__module__ == module.__name__
    }


def warm_up():
    """Compile as every program does before there is sound."""
    from rtsep import engine
    from rtsep.live import stream

    engine.warm_up()
    stream.warm_up()


def use():
    """Use the engine in the ways that there are: none may need another compilation."""
    from rtsep.engine import Engine
    from rtsep.offline.render import follow, separate
    from rtsep.settings import MODES, Settings
    from rtsep.templates import Templates

    for mode in MODES:
        for channels in (1, 2):
            engine = Engine(Settings(mode=mode, transpose=True))
            engine.prepare(sample_rate=48000, channels=channels, score=np.ones((3, 2)))
            engine.parameters["key.semitones"] = 2
            block = np.zeros((5000, channels), np.float32)
            engine.process(block[:4000], np.zeros(4000, np.float32))
            engine.process_stems(block[:0])
            engine.process_stems(block[:4000])
            engine.reset()
    for splits in ("percussive", "mix"):
        templates = Templates(
            ("a", "b"), np.eye(2, 1025, dtype=np.float32), np.arange(2), 48000, 2048, 512, splits=splits
        )
        separate(block, sample_rate=48000, settings=Settings(templates=templates))
    separate(block, sample_rate=48000, settings=Settings(learn=("a",), room=True))
    separate(block, sample_rate=48000, mix=True)
    follow(np.asfortranarray(block), sample_rate=48000)


def main():
    warm_up()
    compiled = {name: len(dispatcher.signatures) for name, dispatcher in kernels().items()}
    use()
    report = {
        name: dict(
            signatures=compiled[name],
            late=len(dispatcher.signatures) - compiled[name],
            findings=audited(dispatcher),
        )
        for name, dispatcher in kernels().items()
    }
    for module in modules():
        for name, value in vars(module).items():
            if type(value).__name__ == "Callback":
                llvm = value._compiled.inspect_llvm()
                report[f"{module.__name__}.{name}"] = dict(signatures=1, late=0, findings=findings(llvm))
    json.dump(report, sys.stdout)


if __name__ == "__main__":
    main()
