"""From LLVM's text to object code: everything linked once, checked once and optimized once, for one target.

What must not be in it is looked for in the whole: a kernel that may raise, allocate or call Python is refused, and
named, before there is a library.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

import llvmlite.binding as llvm

from ..errors import BadInput
from .lower import RAISES

LIBM = {"atan2f", "cosf", "sinf", "sincosf", "expf", "exp2f", "logf", "sqrtf", "floorf", "ceilf", "rintf"}
"""What object code may ask of the C library's mathematics."""

CLOCKS = {"clock_gettime", "gettid", "nanosleep", "Sleep", "QueryPerformanceCounter", "QueryPerformanceFrequency"}
"""And of the system."""

MEMORY = {"memset", "memcpy", "memmove"}
"""What LLVM writes for loops that do no more."""


class Target(NamedTuple):
    """Whose machine code: how LLVM, `system.py` and the linker call it."""

    triple: str
    cpu: str
    features: str
    system: str  # linux, macos, windows, or none
    zig: str  # what ziglang calls it; nothing where no linker is needed


TARGETS = {
    "linux-x86_64-v2": Target("x86_64-unknown-linux-gnu", "x86-64-v2", "", "linux", "x86_64-linux-gnu"),
    "linux-x86_64-v3": Target("x86_64-unknown-linux-gnu", "x86-64-v3", "", "linux", "x86_64-linux-gnu"),
    "linux-aarch64": Target("aarch64-unknown-linux-gnu", "generic", "", "linux", "aarch64-linux-gnu"),
    "windows-x86_64-v2": Target("x86_64-w64-windows-gnu", "x86-64-v2", "", "windows", "x86_64-windows-gnu"),
    "windows-x86_64-v3": Target("x86_64-w64-windows-gnu", "x86-64-v3", "", "windows", "x86_64-windows-gnu"),
    "macos-x86_64-v2": Target("x86_64-apple-macosx11.0.0", "x86-64-v2", "", "macos", "x86_64-macos.11.0"),
    "macos-x86_64-v3": Target("x86_64-apple-macosx11.0.0", "x86-64-v3", "", "macos", "x86_64-macos.11.0"),
    "macos-arm64": Target("arm64-apple-macosx11.0.0", "apple-m1", "", "macos", "aarch64-macos.11.0"),
    "wasm32": Target(
        "wasm32-unknown-unknown", "generic", "+simd128,+bulk-memory,+sign-ext,+nontrapping-fptoint", "none", ""
    ),
}


def emit(texts: Iterable[str], symbols: Iterable[str], target: Target, *, hidden: bool = False) -> bytes:
    """Object code for `target` with the functions `symbols`, from the `texts` of a module.

    They are `hidden` where they are for the library alone into which they will be linked: of two plugins in one host
    none must call the other's.

    Raises
    ------
    BadInput : if a kernel may raise, allocate or call Python.
    """
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    texts, exported = list(texts), set(symbols)
    whole = llvm.parse_assembly("")
    for text in texts:
        whole.link_in(llvm.parse_assembly(text))
    for value in [*whole.functions, *whole.global_variables]:
        if not value.is_declaration and value.name not in exported:
            value.linkage = "internal"
        elif hidden and not value.is_declaration:
            value.visibility = "hidden"
    wasm = target.triple.startswith("wasm")
    machine = llvm.Target.from_triple(target.triple).create_target_machine(
        cpu=target.cpu, features=target.features, opt=3, reloc="static" if wasm else "pic", codemodel="default"
    )
    whole.triple, whole.data_layout = target.triple, str(machine.target_data)
    passes = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=3))
    passes.getModulePassManager().run(whole, passes)
    check(whole, texts)
    return bytes(machine.emit_object(whole))


_EXCEPTION = ".const.picklebuf"  # where a kernel raises


def check(whole: llvm.ModuleRef, texts: Iterable[str]) -> None:
    """Refuse optimized code that may raise, allocate, or call anything but the C library's mathematics and clocks."""
    foreign = {f.name for f in whole.functions if f.is_declaration and not f.name.startswith("llvm.")}
    found = foreign - LIBM - CLOCKS - MEMORY
    if found:
        names = ", ".join(_guilty(texts, found))
        raise BadInput(f"kernels may neither raise, allocate nor call Python; look at {names}.")


def _guilty(texts: Iterable[str], found: set[str]) -> list[str]:
    """The names of the functions in which, optimized by themselves, something of what was `found` is left."""
    machine = llvm.Target.from_default_triple().create_target_machine()
    names = set()
    for text in texts:
        module = llvm.parse_assembly(text)
        passes = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=2))
        passes.getModulePassManager().run(module, passes)
        left = {f.name for f in module.functions if f.is_declaration}
        raises = any(_EXCEPTION in str(f) for f in module.functions)
        if (RAISES in found and raises) or left & (found - {RAISES}):
            named = re.search(r'ModuleID = "([^"$]*)', text)
            names.add(named[1] if named else "?")
    return sorted(names) or sorted(found)
