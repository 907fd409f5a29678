"""From kernels to LLVM's text: numba finds the types and writes each kernel once, and nothing else.

Numba by itself links what a function calls into it, and optimizes that, for every function that calls another: the
engine a hundred times over. Here it only writes; `emit.py` links all once and optimizes once. For this, kernels have a
target of their own, beside numba's for this machine, which other programs in the same process may use undisturbed.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property, partial
from typing import Any, NamedTuple

from llvmlite import ir
from numba import types
from numba.core import callconv, codegen, cpu, dispatcher, fastmathpass, registry, typing
from numba.core.descriptors import TargetDescriptor
from numba.core.target_extension import CPU, dispatcher_registry, jit_registry, target_override, target_registry
from numba.extending import typeof_impl

from ..kernels import Array, External, Kernel, Scalar
from . import states, system


class _Library(codegen.CPUCodeLibrary):
    """The text of a function, and the libraries of those that it calls."""

    def __init__(self, owner: Any, name: str) -> None:
        super().__init__(owner, name)
        self.texts: list[str] = []
        self.called: list[_Library] = []

    def add_linking_library(self, library: "_Library") -> None:
        self.called.append(library)

    def add_ir_module(self, module: ir.Module) -> None:
        self.texts.append(str(module))

    def finalize(self) -> None:
        self._finalized = True


class _Codegen(codegen.JITCPUCodegen):
    _library_class = _Library


class _CallConv(callconv.CPUCallConv):
    def decorate_function(self, function: Any, names: Sequence[str], kinds: Sequence[Any], **more: Any) -> None:
        """Tell LLVM besides that nothing but its arguments leads a function to the images of its states."""
        super().decorate_function(function, names, kinds, **more)
        images = {f"arg.{name}" for name, kind in zip(names, kinds, strict=True) if isinstance(kind, states.State)}
        for argument in function.args:
            if argument.name in images:
                argument.add_attribute("noalias")
                argument.attributes.align = argument.attributes.dereferenceable = 8


class _Context(cpu.CPUContext):
    @property
    def call_conv(self) -> _CallConv:
        return _CallConv(self)

    def init(self) -> None:
        super().init()
        self._internal_codegen = _Codegen("rtsep")

    def load_additional_registries(self) -> None:
        registry.cpu_target.target_context.refresh()  # numba's runtime belongs to its own target, which comes first
        super().load_additional_registries()

    def post_lowering(self, module: ir.Module, library: _Library) -> None:
        if self.fastmath:
            fastmathpass.rewrite_module(module, self.fastmath)

    written = 0
    told: Callable[[int], object]  # how many functions are written; set by `lower`

    def get_executable(self, library: _Library, description: Any, environment: Any) -> Callable[[], None]:
        self.written += 1
        self.told(self.written)
        return lambda: None


class _Kernels(CPU):
    """The name of the target; what numba knows of any processor holds for it."""


target_registry["rtsep"] = _Kernels


class _Target(TargetDescriptor):
    options = cpu.CPUTargetOptions

    @cached_property
    def target_context(self) -> _Context:
        return _Context(self.typing_context, "rtsep")

    @cached_property
    def typing_context(self) -> typing.Context:
        return typing.Context()


class _Dispatcher(dispatcher.Dispatcher):
    targetdescr = _Target("rtsep")

    def add_overload(self, result: Any) -> None:
        self.overloads[tuple(result.signature.args)] = result


_OPTIONS = dict(
    nopython=True,
    nogil=True,
    error_model="numpy",
    no_cfunc_wrapper=True,
    no_cpython_wrapper=True,
    _nrt=False,  # allocating is an error here
    fastmath={"reassoc", "contract"},  # the full set would also let the compiler drop every test for NaN
)


def _jit(function: Callable[..., Any] | None = None, **options: Any) -> Any:
    """How numba compiles what is its own (max, round), when a kernel calls it."""
    wrappers = dict(no_cfunc_wrapper=True, no_cpython_wrapper=True)
    return _Dispatcher(function, targetoptions=options | wrappers) if function else partial(_jit, **options)


dispatcher_registry[_Kernels] = _Dispatcher
jit_registry[_Kernels] = _jit

_dispatchers: dict[Kernel, _Dispatcher] = {}


def _dispatcher(kernel: Kernel) -> _Dispatcher:
    if kernel not in _dispatchers:
        _dispatchers[kernel] = _Dispatcher(kernel.function, targetoptions=dict(_OPTIONS))
    return _dispatchers[kernel]


@typeof_impl.register(Kernel)
def _type_of_kernel(kernel: Kernel, context: Any) -> types.Type:
    return types.Dispatcher(_dispatcher(kernel))


@typeof_impl.register(External)
def _type_of_external(external: External, context: Any) -> types.Type:
    return _Dispatcher.targetdescr.typing_context.resolve_value_type(system.named(external.name))


RAISES = "rtsep_raises"
"""What code that may raise seems to call: `emit.py` refuses it."""


class Entry(NamedTuple):
    """A kernel that C may call as `symbol`, with arguments of these kinds: a state and an array by their image."""

    symbol: str
    kernel: Kernel
    arguments: Sequence[Any]
    direct: bool = False  # whether C gets the result as such, and not where its first argument points


class Module(NamedTuple):
    """All text for some entries, and what each of them gives back: the names of its numbers, several for a tuple."""

    texts: list[str]
    results: dict[str, tuple[str, ...]]


def lower(entries: Iterable[Entry], told: Callable[[int], object] = lambda count: None) -> Module:
    """Find the types of all that the `entries` call and write it down; `told` how many functions are written so far."""
    texts: list[str] = []
    results: dict[str, tuple[str, ...]] = {}
    seen: set[_Library] = set()
    context = _Dispatcher.targetdescr.target_context
    context.told = told
    for entry in entries:
        compiler = _dispatcher(entry.kernel)
        arguments = tuple(states.numba_type(kind) for kind in entry.arguments)
        with target_override("rtsep"):
            compiler.compile(arguments)
        done = compiler.overloads[arguments]
        results[entry.symbol] = _names(done.signature.return_type)
        texts.append(_wrapper(context, entry, done))
        waiting = [done.library]
        while waiting:
            library = waiting.pop()
            if library not in seen:
                seen.add(library)
                texts += library.texts
                waiting += library.called
    return Module(texts, results)


def _names(result: types.Type) -> tuple[str, ...]:
    if isinstance(result, types.NoneType):
        return ()
    return tuple(map(str, result)) if isinstance(result, types.BaseTuple) else (str(result),)


def _wrapper(context: _Context, entry: Entry, done: Any) -> str:
    """The C function: its result, if there is one, goes where its first argument points."""
    module = context.create_module(f"entry.{entry.symbol}")
    function = done.fndesc
    callee = ir.Function(
        module, context.call_conv.get_function_type(function.restype, function.argtypes), function.llvm_func_name
    )
    kinds = [states.POINTER if not isinstance(kind, Scalar) else _c_type(kind) for kind in entry.arguments]
    if entry.direct:
        result = context.get_value_type(function.restype) if _names(function.restype) else ir.VoidType()
        kind = ir.FunctionType(result, kinds)
    else:
        kind = ir.FunctionType(ir.VoidType(), [states.POINTER, *kinds])
    builder = ir.IRBuilder(ir.Function(module, kind, entry.symbol).append_basic_block())
    place, *given = builder.function.args if not entry.direct else (None, *builder.function.args)
    values = []
    for value, kind in zip(given, entry.arguments, strict=True):
        if isinstance(kind, Array):
            value = states.array(context, builder, kind, value)
        elif kind == Scalar("bool"):
            value = builder.trunc(value, ir.IntType(1))
        elif kind == Scalar("ulong") and value.type.width < 64:
            value = builder.zext(value, ir.IntType(64))
        values.append(value)
    status, result = context.call_conv.call_function(builder, callee, function.restype, function.argtypes, values)
    with builder.if_then(status.is_error, likely=False):  # if LLVM finds that this cannot be, it is gone
        builder.call(ir.Function(module, ir.FunctionType(ir.VoidType(), []), RAISES), [])
    returned = bool(_names(function.restype))
    if entry.direct and returned:
        builder.ret(result)
        return str(module)
    if returned:
        data = context.data_model_manager[function.restype].as_data(builder, result)
        builder.store(data, builder.bitcast(place, data.type.as_pointer()))
    builder.ret_void()
    return str(module)


def _c_type(kind: Scalar) -> ir.Type:
    return {
        "float32": ir.FloatType(),
        "float64": ir.DoubleType(),
        "int32": ir.IntType(32),
        "bool": ir.IntType(8),
        "pointer": states.POINTER,
        "ulong": ir.IntType(32 if system.SYSTEM[0] == "windows" else 64),
    }.get(kind.dtype, ir.IntType(64))
