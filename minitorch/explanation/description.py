"""What is known of an op, a function, a layer, an optimizer or a kernel, as fields."""
from __future__ import annotations

import inspect
import re
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any

from . import lookup
from .calculus import gradient_of, kernels_of
from .parts import kernels_of_optimizer, parts_of, parts_of_layer
from .proof import Proof, proofs
from .source import Source, has_source, location_of, plain
from .versions import KernelOf, kernel_of

_EQUATION = re.compile(r"[\w']{1,12}(\[[^]]*\])?( \+=| -=| =) ")
_MATHEMATICS = re.compile(r" [=+/·<>] | - \w|\w\(|[ΣΠ√∫ᵀ²³·±⁻|^≤≥Φσ]|^-\w|^-?[01]\b")
FEW = 4  # ops whose gradients are shown for a function that is made of them
_WORDS = re.compile(r"(?<=[a-zA-Z0-9)`²ᵀ|])[.;] (?=[A-Z`(])|\.$")


@dataclass(frozen=True)
class Explanation:
    """What `describe` found. `formula` is a line of text, `gradient` source code; "" where there is none."""

    kind: str  # "op", "function", "method", "layer", "optimizer" or "kernel"
    name: str
    signature: str
    summary: str
    formula: str
    gradient: str
    location: str  # file:line, from the folder on that the package stands in
    forward: tuple[str, ...] = ()  # the kernels that the op calls
    backward: tuple[str, ...] = ()  # and its gradient
    parts: tuple[str, ...] = ()  # what a function or layer is made of
    doc: str = field(default="", repr=False)
    source: str = field(default="", repr=False)

    @property
    def kernels(self) -> tuple[str, ...]:
        """The names of all kernels, those of the value first."""
        return tuple(dict.fromkeys(self.forward + self.backward))

    @cached_property
    def entries(self) -> tuple[KernelOf, ...]:
        """The kernels with their references and versions."""
        return tuple(map(kernel_of, self.kernels))

    @cached_property
    def proofs(self) -> list[Proof]:
        """The cases of the table of samples that prove it, or, of an op without own ones, those of what calls it."""
        if self.kind in ("kernel", "optimizer"):
            found = [proof for kernel in self.kernels for proof in proofs(kernel, kernels=True)]
        else:
            found = proofs(self.name)
        if found:
            return found
        callers = users(self.name) if self.kind in ("op", "kernel") else self.parts if self.kind == "layer" else ()
        return [proof for name in callers for proof in proofs(name)]

    def __str__(self) -> str:
        from .text import text_of

        return text_of(self)


@cache
def describe(name: str) -> Explanation:
    """What `name` means and how it is computed: an op's signature, formula, gradient, kernels and where it stands.

    `name` is an op ("softmax"), a method ("Tensor.add_"), a function ("nn.functional.cross_entropy", "F.gelu"), a layer
    ("nn.Linear"), an optimizer ("adam") or a kernel ("conv2d_dx"; of the same name as an op: "k.softmax"). All of it is
    read from the source; nothing runs, and Numba is not imported. Raises ValueError for an unknown name.

    >>> softmax = describe("softmax")
    >>> softmax.formula
    'exp(x) / sum(exp(x)) along `dim`'
    >>> print(softmax.gradient)
    dx = lambda dy: k.softmax_dx(dy, y, dim)
    >>> softmax.kernels
    ('softmax', 'softmax_dx')
    """
    kind, name, thing = lookup.find(name)
    makers = {"op": _op, "kernel": _kernel, "layer": _layer, "optimizer": _optimizer}
    return makers.get(kind, _function)(kind, name, thing)


@cache
def users(name: str) -> list[str]:
    """The ops and public functions that call the op, or kernel, of that name, in their gradients too."""
    found = [each for each, op in lookup.OPS.items()
             if any(name in called for called in kernels_of(op.body, op.params))]
    found += [each for each in lookup.every()["function"] if name in parts_of(lookup.public(each))]
    return list(dict.fromkeys(each for each in found if each != name))


def formula_in(doc: str | None) -> str:
    """The line of a docstring that is mathematics: an equation, else the first that has any; "" where none has.

    >>> formula_in("The product of matrices.\\n\\ny[i, j] = Σₖ a[i, k] b[k, j], for stacks of them too.")
    'y[i, j] = Σₖ a[i, k] b[k, j], for stacks of them too'
    >>> formula_in("max(x, 0). The gradient keeps y alone.")
    'max(x, 0)'
    """
    lines = [line.strip() for line in inspect.cleandoc(doc or "").split("\n")]
    lines = lines[:next((i for i, line in enumerate(lines) if line.startswith(">>>")), len(lines))]
    for pattern in (_EQUATION.match, _MATHEMATICS.search):
        for line in lines:
            if pattern(sentence := _WORDS.split(line)[0]):
                return sentence
    return ""


def _op(kind: str, name: str, op: Any) -> Explanation:
    source = Source(op.body)
    public = lookup.public(name)  # what checks the arguments of an op that is not called by itself
    apart = public is not None and not hasattr(public, "op") and has_source(public)
    forward, backward = kernels_of(op.body, op.params)
    doc = inspect.cleandoc(op.body.__doc__ or (plain(public).__doc__ if apart else "") or "")
    docs = [doc, *(kernel_of(kernel).doc for kernel in forward if name.startswith(kernel))]
    formula = next(filter(None, map(formula_in, docs)), "")
    signature = _parameters(plain(public)) if apart else _parameters(op.body, skip=1)
    parts = tuple(part for part in parts_of(public) if part != name) if apart else ()
    return Explanation(kind, name, f"{name}({signature})", _summary(doc), formula, gradient_of(op.body, op.params),
                       source.location, tuple(forward), tuple(backward), parts, doc, source.text)


def _function(kind: str, name: str, function: Any) -> Explanation:
    source, parts = Source(function), tuple(part for part in parts_of(function) if part != name)
    forward, backward = _kernels_of_parts(parts)
    doc = inspect.cleandoc(plain(function).__doc__ or "")
    return Explanation(kind, name, f"{name}({_parameters(plain(function))})", _summary(doc), formula_in(doc),
                       _gradient_of_parts(parts), source.location, forward, backward, parts, doc, source.text)


def _layer(kind: str, name: str, layer: type) -> Explanation:
    calls, layers = parts_of_layer(layer)
    forward, backward = _kernels_of_parts(tuple(calls))
    doc, method = inspect.cleandoc(layer.__doc__ or ""), inspect.getattr_static(layer, "forward", None)
    return Explanation(kind, name, f"{name}({_parameters_of_class(layer)})", _summary(doc),
                       formula_in(doc) or _formula_of_parts(layer, calls), _gradient_of_parts(tuple(calls)),
                       location_of(layer), forward, backward, (*layers, *calls), doc,
                       Source(method).text if has_source(method) else "")


def _optimizer(kind: str, name: str, optimizer: type) -> Explanation:
    kernels, method = kernels_of_optimizer(optimizer)
    doc = inspect.cleandoc(optimizer.__doc__ or "")
    return Explanation(kind, name, f"{name}({_parameters_of_class(optimizer)})", _summary(doc), formula_in(doc), "",
                       location_of(optimizer), tuple(kernels), (), (), doc,
                       Source(method).text if method is not None else "")


def _kernel(kind: str, name: str, entry: Any) -> Explanation:
    kernel = kernel_of(name)
    return Explanation(kind, name, kernel.signature, kernel.summary, formula_in(kernel.doc), "", kernel.location,
                       (name,), (), (), kernel.doc, kernel.source)


def _kernels_of_parts(parts: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The kernels of the ops among the parts, and of the ops that the functions among them call."""
    forward: list[str] = []
    backward: list[str] = []
    for part in _flattened(parts):
        op = lookup.OPS[part]
        own, gradient = kernels_of(op.body, op.params)
        forward += own
        backward += gradient
    return tuple(dict.fromkeys(forward)), tuple(dict.fromkeys(backward))


def _flattened(parts: tuple[str, ...]) -> list[str]:
    """The ops that `parts` come down to."""
    pending, seen = list(parts), set()
    found: list[str] = []
    while pending:
        part = pending.pop(0)
        if part in seen:
            continue
        seen.add(part)
        if part in lookup.OPS:
            found.append(part)
        elif has_source(lookup.FUNCTIONS.get(part)):
            pending += parts_of(lookup.FUNCTIONS[part])
    return found


def _gradient_of_parts(parts: tuple[str, ...]) -> str:
    """The gradients of the ops with kernels that a function comes down to, where these are few."""
    ops = [lookup.OPS[part] for part in _flattened(parts)]
    found = {op.name: gradient_of(op.body, op.params) for op in ops if any(kernels_of(op.body, op.params))}
    return "\n\n".join(f"# {name}\n{text}" for name, text in found.items() if text) if len(found) <= FEW else ""


def _formula_of_parts(layer: type, parts: list[str]) -> str:
    """A layer without a formula of its own has that of the function that it is named after, `layer_norm` for one."""
    named = [part for part in parts if layer.__name__.lower().startswith(part.replace("_", ""))]
    return describe(named[0]).formula if named else ""


def _summary(doc: str | None) -> str:
    return (doc or "").strip().partition("\n")[0].strip()


def _parameters_of_class(made: type) -> str:
    return _parameters(inspect.getattr_static(made, "__init__"), skip=1)


def _parameters(function: Any, skip: int = 0) -> str:
    """The parameters as they would be written, without annotations, `/`, and the first `skip`."""
    starred = False
    found: list[str] = []
    for p in list(inspect.signature(function).parameters.values())[skip:]:
        if p.kind is p.KEYWORD_ONLY and not starred:
            found, starred = [*found, "*"], True
        starred = starred or p.kind is p.VAR_POSITIONAL
        default = f"{p.name}={p.default.__name__}" if inspect.isroutine(p.default) else ""
        found.append(default or str(p.replace(annotation=p.empty)))
    return ", ".join(found)
