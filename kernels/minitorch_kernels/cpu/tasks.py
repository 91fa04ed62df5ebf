"""Compiled kernels on several threads: a launch costs about a microsecond, where waking Python threads costs fifty.

    @task
    def _double(part, x, size):
        for i in range(part * size, min((part + 1) * size, len(x))):
            x[i] *= 2

    _double(parts, work, x, size)

runs `_double(part, x, size)` for each part below `parts`, on all threads where `work` (operations) is worth it. The
workers are Python threads that stay inside one compiled function, `_serve`, without the GIL: there they look for
a job for a while (SPINS) before they sleep on a lock. The thread that launches works as well, and never
depends on a worker: so a worker that sleeps, a forked child that has none, or a pool that another thread is
using, cost speed and nothing else.

A job is five words of memory that all threads see (`_state`). TICKETS holds the number of parts in its upper half
and counts draws in its lower; one atomic addition draws, and says whether a part was left. The launching thread
takes parts from the first on, the workers from the last on (BACK counts theirs): so a thread meets the same end of an
array in one kernel after the other, and finds it in its cache. Only after it has drawn does a worker read FUNCTION
and DATA, which cannot change before the part it holds is done.
"""
from __future__ import annotations

import contextlib
import ctypes
import os
import threading
from hashlib import sha1
from types import FunctionType

import llvmlite.binding
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .. import parallel
from .jit import jit

SMALL = 50_000  # operations below which a second thread gains nothing
SPINS = 100_000  # looks of a worker before it sleeps, 15 to 40 ns each: waking takes up to half a millisecond
FUNCTION, DATA, LIMIT, TICKETS, DONE, BUSY, BACK = 0, 1, 2, 8, 16, 24, 32  # words; some have a cache line to themselves
LOW = 0xFFFFFFFF


def task(function):
    """Compile `function(part, *arguments)`; the result, called with (parts, work, *arguments), runs all parts.

    `function` stands in a module: its launcher knows it by its name. Arguments are arrays and numbers. The parts may
    run in any order and at the same time: each writes its own places. Raises ValueError for a function in a function.
    """
    if "<locals>" in function.__qualname__:
        raise ValueError(f"task: {function.__qualname__} must stand in a module, not in a function")
    launch = _launcher(jit(function, called_from_python=False), function)

    def run(parts, work, *arguments):
        workers = parallel.get_num_threads() - 1
        if workers == 0 or parts <= 1 or work < SMALL:
            launch(_state, 0, parts, *arguments)
            return
        if _awake < workers or _sleepers:
            _wake(workers)
        launch(_state, workers, parts, *arguments)

    run.__name__, run.__doc__, run.launch = function.__name__, function.__doc__, launch
    return run


def _launcher(body, function):
    """`body` for all parts, as a compiled function that is cached beside `function`, in the file of which it stands.

    Numba keeps a cache for each file and line; a function made here, once for every kernel, takes the kernel's. It
    calls the body by a symbol, for linked in, the body would be optimised and translated once more.
    """
    code = _template.__code__.replace(co_filename=function.__code__.co_filename, co_name=function.__name__,
                                      co_firstlineno=function.__code__.co_firstlineno)
    names = {**globals(), "body": body, "__name__": function.__module__}
    made = FunctionType(code, names, function.__name__)
    made.__qualname__, made.__module__ = function.__qualname__ + ".launch", function.__module__
    made = jit(made)
    compile_launcher = made.compile

    def compile(signature):
        inner = (types.int64, *signature[3].types)
        body.compile(inner)
        result = body.get_compile_result(body.overloads[inner].signature)
        address = result.library.get_pointer_to_function(result.fndesc.llvm_func_name)
        llvmlite.binding.add_symbol(_symbol(body, inner), address)
        return compile_launcher(signature)

    made.compile = compile
    return made


def _symbol(body, inner):
    """The name under which launchers know a compiled body."""
    function = body.py_func
    return "minitorch_" + sha1(f"{function.__module__}.{function.__qualname__}{inner}".encode()).hexdigest()


def _template(state, workers, parts, *arguments):
    function, data = _job(body, arguments)  # noqa: F821
    _all_parts(state, workers, parts, function, data)


@jit
def _all_parts(state, workers, parts, function, data):
    """Compiled once, not with each launcher: that is a third of what a launcher costs."""
    if workers == 0 or not _claim(state, BUSY):
        for part in range(parts):
            _call(function, data, part)
        return
    _put(state, FUNCTION, function)
    _put(state, DATA, data)
    _put(state, LIMIT, workers)
    _put(state, DONE, 0)
    _put(state, BACK, 0)
    _put(state, TICKETS, parts << 32)
    mine = 0
    while (_add(state, TICKETS, 1) & LOW) < parts:
        _call(function, data, mine)
        mine += 1
    _add(state, DONE, mine)
    while _get(state, DONE) < parts:
        _pause()
    _put(state, BUSY, 0)


@intrinsic
def _add(typingctx, state, i, value):
    """state[i] += value, atomically; gives what was there."""

    def codegen(context, builder, signature, arguments):
        place, value = _place(context, builder, signature, arguments), arguments[2]
        return builder.atomic_rmw("add", place, value, "seq_cst")

    return types.int64(state, types.int64, types.int64), codegen


@intrinsic
def _get(typingctx, state, i):
    """state[i], and all that was written before it."""

    def codegen(context, builder, signature, arguments):
        return builder.load_atomic(_place(context, builder, signature, arguments), "acquire", 8)

    return types.int64(state, types.int64), codegen


@intrinsic
def _put(typingctx, state, i, value):
    """state[i] = value, seen only after all that was written before."""

    def codegen(context, builder, signature, arguments):
        builder.store_atomic(arguments[2], _place(context, builder, signature, arguments), "release", 8)
        return context.get_dummy_value()

    return types.void(state, types.int64, types.int64), codegen


@intrinsic
def _claim(typingctx, state, i):
    """Make state[i] 1, if it is 0; whether it was."""

    def codegen(context, builder, signature, arguments):
        place = _place(context, builder, signature, arguments)
        zero, one = ir.Constant(ir.IntType(64), 0), ir.Constant(ir.IntType(64), 1)
        return builder.extract_value(builder.cmpxchg(place, zero, one, "seq_cst", "seq_cst"), 1)

    return types.boolean(state, types.int64), codegen


@intrinsic
def _pause(typingctx):
    """Tell the CPU that this thread waits."""

    def codegen(context, builder, signature, arguments):
        if context.codegen().target_data is not None and "x86" in builder.module.triple:
            pause = cgutils.get_or_insert_function(builder.module, ir.FunctionType(ir.VoidType(), []),
                                                   "llvm.x86.sse2.pause")
            builder.call(pause, [])
        return context.get_dummy_value()

    return types.void(), codegen


@intrinsic
def _job(typingctx, body, arguments):
    """Addresses of a function (address of the arguments, part), and of the arguments, which are put on the stack."""
    inner = (types.int64, *arguments.types)
    body.get_call_type(typingctx, inner, {})

    def codegen(context, builder, signature, values):
        values = cgutils.unpack_tuple(builder, values[1])
        packed = cgutils.pack_struct(builder, values)
        place = cgutils.alloca_once_value(builder, packed)
        kind = context.call_conv.get_function_type(types.none, inner)
        callee = ir.Function(builder.module, kind, _symbol(body.dispatcher, inner))
        entry = ir.Function(builder.module, _ENTRY, builder.module.get_unique_name("part"))
        entry.linkage = "internal"
        b = ir.IRBuilder(entry.append_basic_block("entry"))
        unpacked = b.load(b.bitcast(entry.args[0], packed.type.as_pointer()))
        given = [entry.args[1], *(b.extract_value(unpacked, i) for i in range(len(values)))]
        context.call_conv.call_function(b, callee, types.none, inner, given)
        b.ret_void()
        word = ir.IntType(64)
        return cgutils.pack_array(builder, [builder.ptrtoint(entry, word), builder.ptrtoint(place, word)])

    return types.UniTuple(types.int64, 2)(body, arguments), codegen


@intrinsic
def _call(typingctx, function, data, part):
    """Call what `_job` gave."""

    def codegen(context, builder, signature, arguments):
        function, data, part = arguments
        pointer = builder.inttoptr(function, _ENTRY.as_pointer())
        builder.call(pointer, [builder.inttoptr(data, _ENTRY.args[0]), part])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), codegen


def _place(context, builder, signature, arguments):
    data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
    return builder.gep(data, [arguments[1]])


@jit
def borrow(rooms):
    """The number of a room that no other part is using, of as many as there are threads; `rooms` begins as zeros."""
    i = 0
    while not _claim(rooms, i):
        i = (i + 1) % len(rooms)
    return i


@jit
def give_back(rooms, i):
    """Let other parts have the room again."""
    _put(rooms, i, 0)


@jit
def _waits(state):
    """Whether a job has parts that nobody has drawn."""
    tickets = _get(state, TICKETS)
    return (tickets & LOW) < (tickets >> 32)


@jit
def _serve(state, index, spins):
    """A worker's time awake: jobs, until none has come for so long."""
    idle = 0
    while idle < spins:
        tickets = _get(state, TICKETS)
        if (tickets & LOW) >= (tickets >> 32) or index >= _get(state, LIMIT):
            _pause()
            idle += 1
            continue
        tickets = _add(state, TICKETS, 1)
        if (tickets & LOW) < (tickets >> 32):
            part = (tickets >> 32) - 1 - _add(state, BACK, 1)
            _call(_get(state, FUNCTION), _get(state, DATA), part)
            _add(state, DONE, 1)
        idle = 0


def _worker(state, sleepers, index, bed):
    """A worker's life: awake, and asleep on its lock."""
    sleeper = bed, threading.get_native_id()
    while state is _state:
        _serve(state, index, SPINS)
        sleepers.append(sleeper)
        if not (_waits(state) and _rises(sleeper, sleepers)):  # a job may have come while it waited for the GIL
            bed.acquire()


def _rises(sleeper, sleepers):
    """Whether the worker could get up before somebody woke it."""
    try:
        sleepers.remove(sleeper)
    except ValueError:
        return False
    return True


def _wake(workers):
    """Wake the workers that sleep, on other cores than this thread's, and start those that are missing."""
    global _awake
    cores = _other_cores(workers)
    while _sleepers:
        try:
            bed, thread = _sleepers.pop()
        except IndexError:  # another thread was quicker
            break
        if cores:
            with contextlib.suppress(OSError):  # forbidden, or the thread has ended
                os.sched_setaffinity(thread, cores)
        bed.release()
    with _lock:
        while _awake < workers:
            bed = threading.Lock()
            bed.acquire()
            worker = threading.Thread(target=_worker, args=(_state, _sleepers, _awake, bed), daemon=True)
            worker.start()
            _awake += 1


def _other_cores(workers):
    """The cores on which this thread may run, but does not; none where the system does not say, or they are too few.

    Linux on a virtual machine takes idle cores for busy ones (the host has stopped them), and wakes a worker on the
    core of the thread that wakes it, where both stay for a tenth of a second and longer, at half the speed.
    """
    cores = os.sched_getaffinity(0) if _core else set()
    return cores - {_core()} if len(cores) > workers else set()


def _find_core():
    """The C library's `sched_getcpu`: the core on which a thread runs now."""
    return getattr(ctypes.CDLL(None), "sched_getcpu", None) if hasattr(os, "sched_setaffinity") else None


def _fresh():
    """A pool without workers: at the beginning, and in a forked child, where the parent's threads are not."""
    global _state, _sleepers, _awake, _lock
    _state, _sleepers, _awake, _lock = np.zeros(40, np.int64), [], 0, threading.Lock()


_core = _find_core()
_ENTRY = ir.FunctionType(ir.VoidType(), [ir.IntType(8).as_pointer(), ir.IntType(64)])
_fresh()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_fresh)
