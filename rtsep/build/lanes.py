"""`rtsep.lanes` for numba: a type for eight numbers side by side, and LLVM's vector operations on it."""

import operator
from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.core.datamodel import models, register_default
from numba.core.extending import intrinsic, lower_builtin
from numba.core.typing.templates import AbstractTemplate, infer_global, signature

from ..lanes import WIDTH

_FLOAT, _I32 = ir.FloatType(), ir.IntType(32)


class Lanes(types.Type):
    def __init__(self) -> None:
        super().__init__(name="Lanes")


LANES = Lanes()


@register_default(Lanes)
class _Model(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Lanes) -> None:
        super().__init__(manager, kind, ir.VectorType(_FLOAT, WIDTH))


def _arithmetic(operation: Callable[..., Any], name: str) -> None:
    @infer_global(operation)
    class _Template(AbstractTemplate):
        def generic(self, arguments: Any, keywords: Any) -> Any:
            return signature(LANES, LANES, LANES) if tuple(arguments) == (LANES, LANES) else None

    @lower_builtin(operation, LANES, LANES)
    def _lower(context, builder, signature, arguments):
        return getattr(builder, name)(*arguments)


for _operation, _name in ((operator.add, "fadd"), (operator.sub, "fsub"), (operator.mul, "fmul")):
    _arithmetic(_operation, _name)


def _place(context: Any, builder: ir.IRBuilder, kind: Any, array: Any, index: ir.Value, count: int) -> ir.Value:
    """Where `count` numbers from item `index` on lie."""
    data = context.make_array(kind)(context, builder, value=array).data
    return builder.bitcast(builder.gep(data, [index]), ir.VectorType(_FLOAT, count).as_pointer())


def _shuffle(builder: ir.IRBuilder, a: ir.Value, b: ir.Value, order: Sequence[int]) -> ir.Value:
    return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(_I32, len(order)), list(order)))


def _join(builder: ir.IRBuilder, a: ir.Value, b: ir.Value) -> ir.Value:
    return _shuffle(builder, a, b, range(2 * a.type.count))


@intrinsic
def load_lanes(typing_context, x, i):
    def generate(context, builder, signature, arguments):
        return builder.load(_place(context, builder, x, arguments[0], arguments[1], WIDTH), align=4)

    return LANES(x, types.intp), generate


@intrinsic
def store_lanes(typing_context, x, i, lanes):
    def generate(context, builder, signature, arguments):
        builder.store(arguments[2], _place(context, builder, x, arguments[0], arguments[1], WIDTH), align=4)
        return context.get_dummy_value()

    return types.void(x, types.intp, LANES), generate


@intrinsic
def splat(typing_context, value):
    def generate(context, builder, signature, arguments):
        empty = ir.Constant(ir.VectorType(_FLOAT, WIDTH), ir.Undefined)
        first = builder.insert_element(empty, arguments[0], ir.Constant(_I32, 0))
        return _shuffle(builder, first, empty, [0] * WIDTH)

    return LANES(types.float32), generate


@intrinsic
def reverse(typing_context, lanes):
    def generate(context, builder, signature, arguments):
        return _shuffle(builder, arguments[0], arguments[0], range(WIDTH - 1, -1, -1))

    return LANES(LANES), generate


@intrinsic
def maximum(typing_context, a, b):
    def generate(context, builder, signature, arguments):
        return builder.select(builder.fcmp_ordered(">", *arguments), *arguments)

    return LANES(LANES, LANES), generate


@intrinsic
def minimum(typing_context, a, b):
    def generate(context, builder, signature, arguments):
        return builder.select(builder.fcmp_ordered("<", *arguments), *arguments)

    return LANES(LANES, LANES), generate


@intrinsic
def kept_below(typing_context, a, b, other):
    def generate(context, builder, signature, arguments):
        a, b, other = arguments
        return builder.select(builder.fcmp_ordered("<", a, b), a, other)

    return LANES(LANES, LANES, LANES), generate


@intrinsic
def largest(typing_context, lanes):
    def generate(context, builder, signature, arguments):
        (most,) = arguments
        for half in (4, 2, 1):
            other = _shuffle(builder, most, most, range(half, 2 * half))
            most = _shuffle(builder, most, most, range(half))
            most = builder.select(builder.fcmp_ordered(">", most, other), most, other)
        return builder.extract_element(most, ir.Constant(_I32, 0))

    return types.float32(LANES), generate


@intrinsic
def load_pairs(typing_context, x, i):
    def generate(context, builder, signature, arguments):
        both = builder.load(_pairs(context, builder, x, arguments), align=4)
        return context.make_tuple(
            builder, signature.return_type, [_shuffle(builder, both, both, range(k, 2 * WIDTH, 2)) for k in (0, 1)]
        )

    return types.UniTuple(LANES, 2)(x, types.intp), generate


@intrinsic
def store_pairs(typing_context, x, i, even, odd):
    def generate(context, builder, signature, arguments):
        order = [k + half for k in range(WIDTH) for half in (0, WIDTH)]
        both = _shuffle(builder, arguments[2], arguments[3], order)
        builder.store(both, _pairs(context, builder, x, arguments), align=4)
        return context.get_dummy_value()

    return types.void(x, types.intp, LANES, LANES), generate


def _pairs(context: Any, builder: ir.IRBuilder, x: Any, arguments: Any) -> ir.Value:
    """Where the pairs from the i-th on lie, which is the i-th item of complex numbers."""
    index = arguments[1]
    if x.dtype == types.float32:
        index = builder.shl(index, ir.Constant(index.type, 1))
    return _place(context, builder, x, arguments[0], index, 2 * WIDTH)


def _store_shuffled(order: Sequence[int]) -> Any:
    @intrinsic
    def _stored(typing_context, x, i, a, b, c, d):
        def generate(context, builder, signature, arguments):
            _, _, a, b, c, d = arguments
            whole = _join(builder, _join(builder, a, b), _join(builder, c, d))
            shuffled = _shuffle(builder, whole, whole, order)
            builder.store(shuffled, _place(context, builder, x, arguments[0], arguments[1], 4 * WIDTH), align=4)
            return context.get_dummy_value()

        return types.void(x, types.intp, LANES, LANES, LANES, LANES), generate

    return _stored


store_fours = _store_shuffled([k + WIDTH * v for k in range(WIDTH) for v in range(4)])
store_blocks = _store_shuffled([k + 4 * half + WIDTH * v for half in range(2) for v in range(4) for k in range(4)])
