"""An address as a QR code in a terminal, for a phone to read from the screen (ISO/IEC 18004, by segno)."""

from rich.console import Group
from rich.text import Text

_SIGNS = {(0, 0): "\u2588", (0, 1): "\u2580", (1, 0): "\u2584", (1, 1): " "}  # two rows in a line: light is drawn


def picture(address: str) -> Group:
    """The code, and the address below it; in the 80 columns and 24 lines of a small terminal."""
    from segno import make

    rows = [list(row) for row in make(address, error="l", micro=False).matrix_iter(border=2)]
    rows += [[0] * len(rows[0])] * (len(rows) % 2)
    pairs = (zip(upper, lower, strict=True) for upper, lower in zip(rows[::2], rows[1::2], strict=True))
    code = [Text("".join(_SIGNS[pair] for pair in line), "bright_white on black", no_wrap=True) for line in pairs]
    return Group(*code, Text(address, no_wrap=True), Text("any key goes back", "dim"))
