"""The kernel table: every kernel's reference, its fast versions, and the choice between them.

A kernel is defined once, by a reference that any array module can run (`xp` is numpy, cupy, or minitorch's own
array module over tensors):

    @kernel
    def softmax(xp, x, dim):
        e = xp.exp(x - xp.max(x, axis=dim, keepdims=True))
        return e / xp.sum(e, axis=dim, keepdims=True)

    softmax.version("numba", "cpu", "minitorch_kernels.cpu.softmax:softmax", refuses=not_float)

`refuses(*arguments)` returns None where the version can run, or the reason why it cannot. The first version that
does not refuse runs; the reference runs otherwise, so that falling back needs no code. A version's code is imported
when it first runs, which keeps Numba and CuPy out of `import`.
"""
from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Iterator
from functools import cache, partial
from types import ModuleType
from typing import Any

FAMILIES = ("elementwise", "reduce", "special", "bessel", "activation", "matmul", "conv", "pooling", "resample",
            "softmax", "norm", "loss", "copies", "indexing", "places", "factor", "optim", "recurrent", "attention",
            "reparameterize", "fft", "airy", "sorting")
BACKENDS = {"numpy": "numpy", "numba": "numba", "ladder": "numba", "cuda": "cupy"}  # the package that each needs


def kernel(reference: Callable) -> Kernel:
    """Enter `reference(xp, *arguments)` into the table under its own name."""
    entry = Kernel(reference)
    if entry.name in _table:
        raise ValueError(f"kernel: {entry.name!r} is defined twice")
    _table[entry.name] = entry
    return entry


def kernels(xp: ModuleType) -> Kernels:
    """All kernels for the array module `xp`, as attributes."""
    key = id(xp)
    if key not in _namespaces:
        _namespaces[key] = Kernels(xp)
    return _namespaces[key]


def names() -> list[str]:
    """The names of all kernels, sorted."""
    _load()
    return sorted(_table)


class use:
    """Choose the versions that run: for good by a call, for a while by `with`.

    `use("reference")` runs the references alone, `use("numba")` allows references and Numba, `use("ladder")` allows
    references and the rungs of the ladders, which otherwise run where they are named, and `use("auto")` allows all (the
    default); `use(matmul="blocked")` chooses for one kernel and those it `leads`, such as its gradients, as far as
    they have a version of that name. A choice that refuses its arguments falls back to the reference, which `explain`
    shows. Raises ValueError for names that are not there.

    >>> with use("reference"):
    ...     print(explain("exp"))
    exp on cpu: Elementwise exp.
    pooled      refuses: use('reference')
    reference   runs: use("reference")
    """

    def __init__(self, backend: str | None = None, **choices: str):
        known = ("auto", "reference", *BACKENDS)
        if backend is not None and backend not in known:
            raise ValueError(f"use: backend expects one of {', '.join(known)}, got {backend!r}")
        followed: dict[str, str] = {}
        for name, version in choices.items():
            entry = get(name)
            if version not in entry.choices():
                raise ValueError(f"use: {name} has the versions {', '.join(entry.choices())}, not {version!r}")
            followed.update((f.name, version) for f in entry.followers if version in f.choices())
        self._before = dict(_choice)
        if backend is not None:
            _choice.clear()
            _choice["*"] = backend
        _choice.update({**followed, **choices})
        _rebind()

    def __enter__(self) -> use:
        return self

    def __exit__(self, *exception) -> None:
        _choice.clear()
        _choice.update(self._before)
        _rebind()


class watch:
    """Within `with watch(observer):` each call of a kernel is `observer(name, version, run, arguments, options)`.

    The observer calls `run(*arguments, **options)` and returns what that gives; `version` is the name of the version
    that takes these arguments, or "reference". One watches at a time: another raises RuntimeError.

    >>> import numpy as np
    >>> def show(name, version, run, arguments, options):
    ...     print(name, "by", version)
    ...     return run(*arguments, **options)
    >>> with watch(show):
    ...     y = kernels(np).matmul(np.eye(2), np.eye(2))
    matmul by blas
    """

    def __init__(self, observer: Callable):
        self.observer = observer

    def __enter__(self) -> watch:
        global _observer
        if _observer is not None:
            raise RuntimeError("watch: the kernels are watched already")
        _observer = self.observer
        _rebind()
        return self

    def __exit__(self, *exception) -> None:
        global _observer
        _observer = None
        _rebind()


def explain(name: str, *arguments: Any, device: str = "cpu", **options: Any) -> str:
    """A line for each version of kernel `name` on `device`: whether it runs, or why not.

    With the kernel's arguments, the versions are asked whether they take them; without, only what is installed and
    what `use` allows counts. Raises ValueError where there is no such kernel.
    """
    entry, lines, chosen = get(name), [], False
    for version in entry.versions:
        if version.device != device:
            continue
        reason = entry.forbids(version) or version.missing()
        if not reason and (arguments or options):
            reason = version.refuses(*arguments, **options)
        if reason:
            lines.append((version.name, f"refuses: {reason}"))
        else:
            lines.append((version.name, "accepts, but an earlier one runs" if chosen else "runs"))
            chosen = True
    allowed = _choice.get(name, _choice.get("*", "auto"))
    why = f'use("{allowed}")' if allowed == "reference" else "no version above takes these arguments"
    lines.append(("reference", "fallback" if chosen else f"runs: {why}"))
    summary = (entry.reference.__doc__ or "").strip().split("\n")[0]
    return "\n".join([f"{name} on {device}: {summary}", *(f"{left:11} {right}" for left, right in lines)])


def get(name: str) -> Kernel:
    """The table's entry for kernel `name`. Raises ValueError, with the nearest name, where there is none."""
    _load()
    if name not in _table:
        import difflib

        near = difflib.get_close_matches(name, _table, 1)
        raise ValueError(f"no kernel is named {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
    return _table[name]


class Version:
    """One fast version of a kernel on one device; `run` imports its code."""

    def __init__(self, name: str, device: str, where: str | Callable, refuses: Callable[..., str | None], backend: str):
        self.name, self.device, self.where, self.refuses, self.backend = name, device, where, refuses, backend
        self.run: Callable = self._first_run

    def missing(self) -> str | None:
        """The package whose absence stops this version, said as a reason."""
        return _missing("cupy" if self.device == "cuda" else BACKENDS.get(self.backend))

    def _first_run(self, *arguments: Any, **options: Any) -> Any:
        self.run = self.load()  # from now on the function itself
        return self.run(*arguments, **options)

    def load(self) -> Callable:
        """The version's function, imported now."""
        if callable(self.where):
            return self.where
        module, function = self.where.split(":")
        return getattr(importlib.import_module(module), function)


class Kernel:
    """A name, its reference and its versions, fastest first."""

    def __init__(self, reference: Callable):
        self.name = reference.__name__
        self.reference = reference
        self.versions: list[Version] = []
        self.followers: tuple[Kernel, ...] = ()
        self.__doc__ = reference.__doc__

    def __call__(self, xp: ModuleType, *arguments: Any, **options: Any) -> Any:
        """The reference itself, so that one reference can be written with another."""
        return self.reference(xp, *arguments, **options)

    def version(self, name: str, device: str, where: str | Callable, refuses: Callable[..., str | None] | None = None,
                backend: str | None = None) -> None:
        """Enter the version whose code is `where`, a function or "module:function"; `backend` is `name` unless said.

        Without `refuses` it takes everything.
        """
        self.versions.append(Version(name, device, where, refuses or _never, backend or name))

    def leads(self, *followers: Kernel) -> None:
        """`use` of a version of this kernel chooses the versions of that name of `followers` too."""
        self.followers = followers

    def choices(self) -> list[str]:
        """What `use` can choose for this kernel."""
        return list(dict.fromkeys(["auto", "reference", *(v.name for v in self.versions)]))

    def forbids(self, version: Version) -> str | None:
        """Why the present `use` leaves `version` out, or None."""
        choice = _choice.get(self.name)
        if choice is not None and choice != "auto":
            return None if choice == version.name else f"use({self.name}={choice!r})"
        everywhere = _choice.get("*", "auto")
        if version.backend == "ladder" and everywhere != "ladder":
            return "a rung of the ladder runs where it is named"
        if choice == "auto" or everywhere == "auto" or everywhere == version.backend:
            return None
        return f"use({everywhere!r})"

    def bind(self, xp: ModuleType) -> Callable:
        """One function of the kernel's own arguments, for the array module `xp` and the present `use`."""
        reference = partial(self.reference, xp)
        device = {"numpy": "cpu", "cupy": "cuda"}.get(xp.__name__)
        versions = [v for v in self.versions if v.device == device and not self.forbids(v) and not v.missing()]
        if _observer is not None:
            return self._watched(_observer, versions, reference)
        if not versions:
            return reference
        if versions[0].refuses is _never and callable(versions[0].where):
            return versions[0].where

        def run(*arguments, **options):
            for version in versions:
                if version.refuses(*arguments, **options) is None:
                    return version.run(*arguments, **options)
            return reference(*arguments, **options)

        return run

    def _watched(self, observer: Callable, versions: list[Version], reference: Callable) -> Callable:
        def run(*arguments, **options):
            for version in versions:
                if version.refuses(*arguments, **options) is None:
                    return observer(self.name, version.name, version.run, arguments, options)
            return observer(self.name, "reference", reference, arguments, options)

        return run


class Kernels:
    """The kernels of one array module: `k.softmax(x, 1)`; `k.xp` is the module itself, CuPy's gaps filled."""

    def __init__(self, xp: ModuleType):
        self.xp = xp if xp.__name__ != "cupy" else importlib.import_module("minitorch_kernels.cuda.arrays").CuPy(xp)

    def __getattr__(self, name: str) -> Callable:
        try:
            bound = get(name).bind(self.xp)
        except ValueError as error:
            raise AttributeError(str(error)) from None
        setattr(self, name, bound)  # from now on an ordinary attribute: no look-up in the table
        return bound


_table: dict[str, Kernel] = {}
_namespaces: dict[int, Kernels] = {}
_choice: dict[str, str] = {}
_observer: Callable | None = None  # what `watch` hands the calls to


def _load() -> None:
    for family in FAMILIES:
        importlib.import_module(f"minitorch_kernels.{family}")


def _rebind() -> None:
    """Forget the bound functions: the next use of each asks the table again."""
    for namespace in _namespaces.values():
        for name in _bound(namespace):
            delattr(namespace, name)


def _bound(namespace: Kernels) -> Iterator[str]:
    return iter([name for name in vars(namespace) if name != "xp"])


def _never(*arguments: Any, **options: Any) -> None:
    """Refuses nothing."""


@cache
def _missing(package: str | None) -> str | None:
    if package is None or importlib.util.find_spec(package) is not None:
        return None
    return f"{package} is not installed"
