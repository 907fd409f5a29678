"""From an object file of WebAssembly to a module that a browser loads, without a linker.

An object file is nearly a module: its memory, its stack pointer and the C library's mathematics are imports. What is
left is to name its functions, which only the symbols of the linker tell ("WebAssembly Object File Linking", the
conventions of the WebAssembly tools). Data begin at address 0; whoever loads it gives it a stack behind them.
"""

from collections.abc import Iterator

_CUSTOM, _EXPORT, _DATA_COUNT = 0, 7, 12
_SYMBOLS, _FUNCTION = 8, 0  # in the section "linking"
_UNDEFINED, _NAMED = 0x10, 0x40


def module(code: bytes, names: set[str]) -> bytes:
    """The module of the object file `code`, which exports the functions `names`."""
    sections = list(_sections(code))
    linking = next(content for kind, content in sections if kind == _CUSTOM and content.startswith(b"\x07linking"))
    exports = {name: index for name, index in _functions(linking[8:]) if name in names}
    body = _number(len(exports))
    for name, index in exports.items():
        body += _text(name) + bytes([_FUNCTION]) + _number(index)
    made = code[:8]
    for kind, content in sections:
        if kind == _DATA_COUNT:  # the first that must come after the exports
            made += _section(_EXPORT, body)
        if kind != _CUSTOM:
            made += _section(kind, content)
    return made


def _sections(code: bytes) -> Iterator[tuple[int, bytes]]:
    at = 8
    while at < len(code):
        kind = code[at]
        size, at = _read(code, at + 1)
        yield kind, code[at : at + size]
        at += size


def _functions(linking: bytes) -> Iterator[tuple[str, int]]:
    """Name and index of each function that the section "linking" knows and the file defines."""
    _, at = _read(linking, 0)  # version
    while linking[at] != _SYMBOLS:
        size, at = _read(linking, at + 1)
        at += size
    _, at = _read(linking, at + 1)
    count, at = _read(linking, at)
    for _ in range(count):
        kind = linking[at]
        flags, at = _read(linking, at + 1)
        if kind != _FUNCTION:
            at = _after(linking, at, kind, flags)
            continue
        index, at = _read(linking, at)
        if not flags & _UNDEFINED or flags & _NAMED:
            size, at = _read(linking, at)
            if not flags & _UNDEFINED:
                yield linking[at : at + size].decode(), index
            at += size


def _after(linking: bytes, at: int, kind: int, flags: int) -> int:
    """Where a symbol that is no function ends: of data (1), of a section (3), or of a global or a table."""
    if kind == 3:
        return _read(linking, at)[1]
    if kind == 1:
        size, at = _read(linking, at)
        at += size
        for _ in range(0 if flags & _UNDEFINED else 3):
            at = _read(linking, at)[1]
        return at
    at = _read(linking, at)[1]
    if not flags & _UNDEFINED or flags & _NAMED:
        size, at = _read(linking, at)
        at += size
    return at


def _read(code: bytes, at: int) -> tuple[int, int]:
    """An unsigned number in LEB128, and where it ends."""
    value = shift = 0
    while True:
        value |= (code[at] & 0x7F) << shift
        at += 1
        if code[at - 1] < 0x80:
            return value, at
        shift += 7


def _number(value: int) -> bytes:
    digits = []
    while value >= 0x80:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*digits, value])


def _text(text: str) -> bytes:
    return _number(len(text.encode())) + text.encode()


def _section(kind: int, content: bytes) -> bytes:
    return bytes([kind]) + _number(len(content)) + content
