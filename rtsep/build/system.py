"""What kernels ask of the system, as numba compiles it: the time, which thread it is, to wait, to publish a number.

It is the system of the target that counts, not the one that builds: `SYSTEM` says which.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from . import lanes

SYSTEM = ["linux"]
"""Of the target: linux, macos, windows, or none (a browser has no threads to ask for)."""

_I32, _I64, _DOUBLE = ir.IntType(32), ir.IntType(64), ir.DoubleType()
_MONOTONIC = {"linux": 1, "macos": 6}


def _foreign(builder: ir.IRBuilder, name: str, result: ir.Type, *arguments: ir.Type) -> ir.Function:
    return cgutils.get_or_insert_function(builder.module, ir.FunctionType(result, arguments), name)


@intrinsic
def clock(typing_context):
    def generate(context, builder, signature, arguments):
        if SYSTEM[0] == "windows":
            ticks, frequency = cgutils.alloca_once(builder, _I64), cgutils.alloca_once(builder, _I64)
            for name, place in (("QueryPerformanceCounter", ticks), ("QueryPerformanceFrequency", frequency)):
                builder.call(_foreign(builder, name, _I32, place.type), [place])
            seconds = [builder.sitofp(builder.load(place), _DOUBLE) for place in (ticks, frequency)]
            return builder.fdiv(*seconds)
        timespec = cgutils.alloca_once(builder, ir.ArrayType(_I64, 2))
        function = _foreign(builder, "clock_gettime", _I32, _I32, timespec.type)
        builder.call(function, [ir.Constant(_I32, _MONOTONIC[SYSTEM[0]]), timespec])
        seconds, nanoseconds = (
            builder.sitofp(builder.extract_value(builder.load(timespec), i), _DOUBLE) for i in (0, 1)
        )
        return builder.fadd(seconds, builder.fmul(nanoseconds, ir.Constant(_DOUBLE, 1e-9)))

    return types.float64(), generate


@intrinsic
def thread_id(typing_context):
    def generate(context, builder, signature, arguments):
        if SYSTEM[0] != "linux":
            return ir.Constant(_I64, 0)
        return builder.sext(builder.call(_foreign(builder, "gettid", _I32), []), _I64)

    return types.int64(), generate


@intrinsic
def wait(typing_context, seconds):
    def generate(context, builder, signature, arguments):
        if SYSTEM[0] == "windows":
            milliseconds = builder.fptosi(builder.fmul(arguments[0], ir.Constant(_DOUBLE, 1e3)), _I32)
            builder.call(_foreign(builder, "Sleep", ir.VoidType(), _I32), [milliseconds])
            return context.get_dummy_value()
        whole = builder.fptosi(arguments[0], _I64)
        part = builder.fsub(arguments[0], builder.sitofp(whole, _DOUBLE))
        timespec = cgutils.alloca_once(builder, ir.ArrayType(_I64, 2))
        value = builder.insert_value(ir.Constant(ir.ArrayType(_I64, 2), ir.Undefined), whole, 0)
        value = builder.insert_value(value, builder.fptosi(builder.fmul(part, ir.Constant(_DOUBLE, 1e9)), _I64), 1)
        builder.store(value, timespec)
        null = ir.Constant(timespec.type, None)
        builder.call(_foreign(builder, "nanosleep", _I32, timespec.type, timespec.type), [timespec, null])
        return context.get_dummy_value()

    return types.void(types.float64), generate


@intrinsic
def publish(typing_context, array, index, value):
    def generate(context, builder, signature, arguments):
        data = context.make_array(array)(context, builder, value=arguments[0]).data
        number = context.cast(builder, arguments[2], value, types.int64)
        builder.store_atomic(number, builder.gep(data, [arguments[1]]), "release", 8)
        return context.get_dummy_value()

    return types.void(array, types.intp, value), generate


def named(name: str) -> Any:
    """The intrinsic for the `External` of that name."""
    return getattr(lanes, name, None) or globals()[name]
