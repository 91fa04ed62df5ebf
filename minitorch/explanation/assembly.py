"""`minitorch explain softmax --asm`: what Numba generated for a kernel, summed up, and its inner loop."""
from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from minitorch_kernels import disassembly, table

from ..selfcheck import Trial, dtypes_of, gradients, host, samples
from ..tensor import Tensor
from . import lookup
from .calculus import kernels_of
from .choices import arrays_of, call

LONGEST = 60  # lines of a loop that are printed


class _Reached(Exception):
    """Ends a call as soon as the kernel has run."""


def text_of_code(name: str, function: str = "", dtype: str = "float32", version: str = "", llvm: bool = False,
                 shapes: list[str] | None = None, options: dict[str, Any] | None = None) -> str:
    """The compiled functions of kernel `name` (of an op: of its first kernel that has any) for `dtype`.

    With a line of counts for each function and the inner loop of the busiest; with `function` all of that one; with
    `llvm` LLVM's code instead. The kernel runs once, on arguments of `shapes` (and `options`), or on a sample of the
    tests that reaches it. Raises ValueError where nothing of it is compiled by Numba.
    """
    kernel, chosen = _compiled_version(name, version)
    arrays = arrays_of(shapes or [], dtype)
    calls = [lambda: call(name, arrays, options or {})] if arrays else _samples(kernel, dtype)
    if not _reached(kernel, chosen, calls):
        raise ValueError(f"{kernel}: " + (f"version {chosen.name} does not take these arguments" if arrays else
                                          f"no sample of the tests reaches its version {chosen.name} in {dtype}; give "
                                          "it arguments: --shape, --with"))
    letter = np.dtype(dtype).char
    found = {key: text for key, each in disassembly.compiled_functions(chosen.load()).items()
             if (text := disassembly.assembly(each, letter, llvm))}
    if function and function not in found:
        raise ValueError(f"{kernel}: version {chosen.name} runs {', '.join(found) or 'nothing'} in {dtype}, "
                         f"not {function}")
    if not found:
        raise ValueError(f"{kernel}: nothing that Numba compiled ran for {dtype}")
    title = f"Compiled for {dtype}: {kernel}, version {chosen.name}"
    if llvm:
        shown = {function: found[function]} if function else found
        return "\n\n".join([title, *(f"; {key}\n{text}" for key, text in shown.items())])
    return "\n".join([title, *(_function(function, found[function], whole=True) if function else _all(found))])


def _all(found: dict[str, str]) -> Iterator[str]:
    bodies = {key: disassembly.functions_in(text) for key, text in found.items()}
    weights = {key: sum(map(_weight, functions.values())) for key, functions in bodies.items()}
    busiest = max(weights, key=lambda key: weights[key])
    for key, text in found.items():
        yield from _function(key, text, whole=False, loop=key == busiest)


def _function(name: str, text: str, whole: bool, loop: bool = True) -> Iterator[str]:
    bodies = disassembly.functions_in(text)
    lines = [line for body in bodies.values() for line in body]
    yield f"  {name}: {_counts(lines)}"
    if whole:
        for symbol, body in bodies.items():
            yield from ["", f"{symbol}:", *body]
    elif loop:
        inner = [each for body in bodies.values() for each in disassembly.loops(body)]
        if inner:
            busiest = max(inner, key=_weight)
            yield f"  the inner loop of {name} with the most arithmetic, {len(busiest)} lines of {len(inner)} loops "\
                  f"(all: --asm {name}):"
            yield from (f"    {line.expandtabs(8)}" for line in busiest[:LONGEST])
            if len(busiest) > LONGEST:
                yield f"    ... {len(busiest) - LONGEST} more"


def _counts(lines: list[str]) -> str:
    """`1,204 instructions, 96 fused multiply-adds (512 bits: 96), ...`"""
    counts = disassembly.counted(lines)

    def by_width(kind: str, what: str) -> str:
        widths = ", ".join(f"{n} of {width}" for width, n in sorted(counts[kind].items(), reverse=True))
        return f"{what}: {widths or 'none'}"

    return f"{counts['instructions']:,} instructions; {by_width('fused', 'fused multiply-adds')}; " \
           f"{by_width('vector', 'others on vectors')}; {counts['scalar']} on single numbers; {counts['calls']} calls"


def _weight(lines: list[str]) -> int:
    counts = disassembly.counted(lines)
    return 10 * sum(counts["fused"].values()) + sum(counts["vector"].values())


def _compiled_version(name: str, wanted: str) -> tuple[str, Any]:
    """The first kernel of `name` with a version of Numba's, and that version."""
    kind, name, thing = lookup.find(name)
    if kind == "kernel":
        kernels = [name]
    else:
        from .description import describe

        kernels = kernels_of(thing.body, thing.params)[0] if kind == "op" else list(describe(name).kernels)
    for kernel in kernels:
        for version in table.get(kernel).versions:
            if table.BACKENDS[version.backend] == "numba" and wanted in ("", version.name):
                if version.missing():
                    raise ValueError(f"{kernel}: {version.missing()}, which compiles its versions")
                return kernel, version
    raise ValueError(f"{name}: no kernel of it has a version {wanted or 'compiled by Numba'}; those of NumPy are in C")


def _reached(kernel: str, version: Any, calls: Iterable[Callable[[], Any]]) -> bool:
    """Run the calls until one has reached the version; whether one has."""
    def note(name, chosen, run, arguments, given):
        if name == kernel and version.refuses(*arguments, **given) is None:
            version.run(*arguments, **given)
            raise _Reached
        return run(*arguments, **given)

    try:
        with table.watch(note):
            for each in calls:
                each()
    except _Reached:
        return True
    return False


def _samples(kernel: str, dtype: str) -> Iterator[Any]:
    """Calls that may reach the kernel: its own cases, then those of the ops that call it."""
    from .description import users

    cases = samples().load()
    names = {kernel, *users(kernel)}
    for case in samples().KERNEL_CASES:
        if case.name == kernel:
            for i, make in enumerate(case.samples):
                yield lambda make=make, i=i: _call_kernel(kernel, make(np.random.default_rng(i)), dtype)
    for case in [c for c in cases if kernel in c.kernels or c.name.rpartition(".")[2] in names]:
        for sample in case.samples:
            if dtype in dtypes_of(case, sample):
                yield lambda case=case, sample=sample: _try(case, sample, dtype)


def _call_kernel(kernel: str, sample: tuple, dtype: str) -> None:
    from ..warmup import _cast

    arguments, options = _cast(sample[0], dtype), _cast(sample[1], dtype)
    getattr(table.kernels(np), kernel)(*arguments, **options)


def _try(case: Any, sample: Any, dtype: str) -> None:
    try:
        trial = Trial(case, sample, dtype)
        ys = trial()
        if trial.leaves and sample.grad:
            gradients(trial, trial.weights([host(y) if isinstance(y, Tensor) else None for y in ys]))
    except _Reached:
        raise
    except Exception:  # what is wrong with an op is selfcheck's to say
        return
