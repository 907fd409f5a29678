"""Kernels that the build must refuse. Here rather than beside their tests, where pytest would rewrite the assertion."""

from rtsep.kernels import kernel


@kernel
def raising(x):
    """May raise."""
    assert x[0] != 0
    x[0] = 1


@kernel
def allocating(x):
    """Makes an array."""
    x[:] = x * 2


@kernel
def printing(x):
    """Calls Python."""
    print(x[0])
