"""States as compiled code sees them: through a pointer to their image, from which it reads only what it uses.

Numba would flatten a state into its arrays and pass all of their parts, two thousand numbers, from call to call. An
image never changes while a kernel runs, and nothing but kernels' arguments points to it: told so, LLVM reads an
address once and keeps it, as it would an argument.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.datamodel import models, register_default
from numba.core.imputils import lower_getattr_generic
from numba.core.typing.templates import AttributeTemplate, infer_getattr
from numba.np.numpy_support import from_dtype

from ..kernels import Array, Scalar, words

_WORD = ir.IntType(64)
POINTER = ir.IntType(8).as_pointer()


class State(types.Type):
    """A state of the class `kind`, by the address of its image."""

    def __init__(self, kind: type) -> None:
        self.kind = kind
        super().__init__(name=f"State({kind.__module__}.{kind.__qualname__})")


def numba_type(kind: Any) -> Any:
    """The type that numba knows a state class, an array or a number by."""
    if isinstance(kind, Array):
        return types.Array(from_dtype(np.dtype(kind.dtype)), kind.dimensions, "C" if kind.contiguous else "A")
    if isinstance(kind, Scalar):
        return {"pointer": types.voidptr, "ulong": types.uint64, "bool": types.boolean}.get(kind.dtype) or from_dtype(
            np.dtype(kind.dtype)
        )
    return State(kind)


@register_default(State)
class _Model(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: State) -> None:
        super().__init__(manager, kind, POINTER)


@infer_getattr
class _Attributes(AttributeTemplate):
    key = State

    def generic_resolve(self, state: State, name: str) -> types.Type | None:
        field = state.kind.__annotations__.get(name)
        return None if field is None else numba_type(field)


@lower_getattr_generic(State)
def _attribute(context: Any, builder: ir.IRBuilder, state: State, image: ir.Value, name: str) -> ir.Value:
    fields = state.kind.__annotations__
    before = sum(words(fields[other]) for other in list(fields)[: list(fields).index(name)])
    place = builder.bitcast(_word(builder, image, before), POINTER)
    field = fields[name]
    return array(context, builder, field, place) if isinstance(field, Array) else place


def _word(builder: ir.IRBuilder, image: ir.Value, number: int) -> ir.Value:
    return builder.gep(builder.bitcast(image, _WORD.as_pointer()), [ir.Constant(_WORD, number)], inbounds=True)


def array(context: Any, builder: ir.IRBuilder, kind: Array, place: ir.Value) -> ir.Value:
    """The array whose address and shape, and strides if it may have gaps, lie at `place`."""
    constant = builder.module.add_metadata([])

    def load(number: int, what: ir.Type) -> ir.Value:
        value = builder.load(builder.bitcast(_word(builder, place, number), what.as_pointer()))
        value.set_metadata("invariant.load", constant)
        return value

    numba_kind = numba_type(kind)
    whole = context.make_array(numba_kind)(context, builder)
    item = context.get_abi_sizeof(context.get_data_type(numba_kind.dtype))
    shape = [load(1 + axis, _WORD) for axis in range(kind.dimensions)]
    if kind.contiguous:
        strides = [ir.Constant(_WORD, item)]
        for axis in range(kind.dimensions - 1, 0, -1):
            strides.insert(0, builder.mul(strides[0], shape[axis], flags=["nsw"]))
    else:
        strides = [load(1 + kind.dimensions + axis, _WORD) for axis in range(kind.dimensions)]
    count = shape[0]
    for length in shape[1:]:
        count = builder.mul(count, length, flags=["nsw"])
    whole.data = load(0, whole.data.type)
    whole.shape, whole.strides = cgutils.pack_array(builder, shape), cgutils.pack_array(builder, strides)
    whole.nitems, whole.itemsize = count, ir.Constant(_WORD, item)
    whole.meminfo = cgutils.get_null_value(whole.meminfo.type)
    whole.parent = cgutils.get_null_value(whole.parent.type)
    return whole._getvalue()
