"""Optimizer steps and operations on lists of gradients on the GPU: optim.cu, one launch for all tensors of a list.

What a launch needs from the CPU, numbers and addresses, lies in a `Table` in device memory, and is written there
before the launch. So a captured graph can be given the next step's rate, bias corrections and gradients:

    with recording() as tables:      # while the stream captures: each launch is recorded, with a table of its own
        optimizer.step()
    with replaying(tables):          # before each replay: nothing is launched, the tables are filled
        optimizer.step()
    graph.launch()

The `tables` must live as long as the graph does. What else launches these kernels in a capture, clipping for one, must
be within a `recording` too, whose tables then need no replaying.
"""
from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy as np

from .build import FLOATS, Program, ctype
from .lasting import lasting, send
from .lazily import cupy

NUMBERS, OWN, PART, THREADS = 16, 2, 8192, 256  # as in optim.cu
STEPS = ("Sgd", "Momentum", "Adam", "Amsgrad", "Adagrad", "RMSprop", "RMSpropMomentum", "RMSpropCentered",
         "RMSpropBoth")
NORMS = {2.0: "Squares", math.inf: "Largest"}  # by their order
program = Program("optim.cu", {"step": (STEPS, FLOATS), "unscale": (FLOATS,), "shorten": (FLOATS,), "clamp": (FLOATS,),
                               "norm_parts": (tuple(NORMS.values()), FLOATS),
                               "norm_total": (tuple(NORMS.values()), FLOATS)})


# Optimizers

def sgd_step(p, g, buf, lr, momentum, dampening, weight_decay, nesterov, maximize, first):
    sgd_steps([p], [g], [buf], lr, momentum, dampening, weight_decay, nesterov, maximize, [first])


def sgd_steps(p, g, buf, lr, momentum, dampening, weight_decay, nesterov, maximize, first, memo=None):
    numbers = [lr, weight_decay, -1 if maximize else 1]
    if momentum:
        _step("Momentum", [p, g, buf], [*numbers, momentum, 1 - dampening, nesterov], [first], memo)
    else:
        _step("Sgd", [p, g], numbers, [], memo)


def adam_step(p, g, m, v, vmax, step, lr, beta1, beta2, eps, weight_decay, decoupled, amsgrad, maximize):
    adam_steps([p], [g], [m], [v], [vmax], [step], lr, beta1, beta2, eps, weight_decay, decoupled, amsgrad, maximize)


def adam_steps(p, g, m, v, vmax, step, lr, beta1, beta2, eps, weight_decay, decoupled, amsgrad, maximize, memo=None):
    decay, shrink = (0, 1 - lr * weight_decay) if decoupled else (weight_decay, 1)
    corrections = {t: (lr / (1 - beta1**t), math.sqrt(1 - beta2**t)) for t in set(step)}
    _step("Amsgrad" if amsgrad else "Adam", [p, g, m, v, *([vmax] if amsgrad else [])],
          [shrink, decay, -1 if maximize else 1, 1 - beta1, beta1, beta2, 1 - beta2, eps],
          list(zip(*[corrections[t] for t in step])), memo)


def adagrad_step(p, g, total, step, lr, lr_decay, eps, weight_decay, maximize):
    adagrad_steps([p], [g], [total], [step], lr, lr_decay, eps, weight_decay, maximize)


def adagrad_steps(p, g, total, step, lr, lr_decay, eps, weight_decay, maximize, memo=None):
    _step("Adagrad", [p, g, total], [weight_decay, -1 if maximize else 1, eps],
          [[lr / (1 + (t - 1) * lr_decay) for t in step]], memo)


def rmsprop_step(p, g, v, mean, buf, lr, alpha, eps, weight_decay, momentum, centered, maximize):
    rmsprop_steps([p], [g], [v], [mean], [buf], lr, alpha, eps, weight_decay, momentum, centered, maximize)


def rmsprop_steps(p, g, v, mean, buf, lr, alpha, eps, weight_decay, momentum, centered, maximize, memo=None):
    kind = {(0, 0): "", (0, 1): "Momentum", (1, 0): "Centered", (1, 1): "Both"}[bool(centered), momentum > 0]
    _step("RMSprop" + kind, [p, g, v, *([mean] if centered else []), *([buf] if momentum > 0 else [])],
          [lr, weight_decay, -1 if maximize else 1, alpha, 1 - alpha, eps, momentum], [], memo)


# Lists of gradients

def unscale_grads(g, factor):
    infinite = cupy.zeros((), np.bool_)
    _launch("unscale", (ctype(g[0]),), _filled("unscale", [g], [factor]), infinite)
    return infinite


def total_norm(g, order):
    kinds, total = (NORMS[float(order)], ctype(g[0])), cupy.empty((), g[0].dtype)
    table = _filled("norm", [g], [])
    parts = cupy.empty(max(table.blocks, 1), np.float64)
    _launch("norm_parts", kinds, table, parts)
    if not _replayed:
        program.launch("norm_total", kinds, (1,), (THREADS,), (parts, np.int32(table.blocks), total))
    return total


def shorten_grads(g, total, longest):
    _launch("shorten", (ctype(g[0]),), _filled("shorten", [g], [longest]), total)
    return True


def clamp_grads(g, bound):
    _launch("clamp", (ctype(g[0]),), _filled("clamp", [g], [bound]))


# Tables

class Table:
    """The words in device memory that a launch for tensors of these `sizes`, with `width` addresses each, reads."""

    def __init__(self, sizes: tuple[int, ...], width: int):
        n, parts = len(sizes), -(-np.array(sizes) // PART)
        self.sizes, self.width, self.blocks = sizes, width, int(parts.sum())
        self.changing = NUMBERS + (OWN + width) * n
        words = np.zeros(self.changing + n + self.blocks, np.int64)
        words[self.changing:self.changing + n] = sizes
        first = np.repeat(np.cumsum(parts) - parts, parts)  # the first block of each block's tensor
        words[self.changing + n:] = (np.arange(self.blocks) - first) << 32 | np.repeat(np.arange(n), parts)
        self._words = words
        self._numbers = words[:NUMBERS].view(np.float64)
        self._own = words[NUMBERS:NUMBERS + OWN * n].view(np.float64).reshape(n, OWN)
        self._addresses = words[NUMBERS + OWN * n:self.changing].reshape(n, width)
        self._before = b""
        self.words = lasting(words.shape, np.int64)

    def fill(self, arrays: list[list[Any]], numbers: list, own: list, fixed: bool = False) -> None:
        """Send what a launch is to work with. `fixed`: only the gradients, arrays[1], may lie elsewhere than before."""
        self._numbers[:len(numbers)] = numbers
        for i, each in enumerate(own):
            self._own[:, i] = each
        for i in ([1] if fixed else range(self.width)):
            self._addresses[:, i] = [a.data.ptr for a in arrays[i]]
        changing = self._words[:self.changing].tobytes()
        if changing == self._before:
            return  # a rate that stays, gradients where they were: nothing to send
        count = self.changing if self._before else self._words.size
        self._before = changing
        send(self._words[:count], self.words)


_recorded: list[Table] | None = None  # while a graph is captured: the tables of its launches
_replayed: list[Iterator[Table]] = []  # while a replay is prepared: the tables that are to be filled, in order


@contextmanager
def recording() -> Iterator[list[Table]]:
    """Within the block each launch has a table of its own; the list of them is what `replaying` needs."""
    global _recorded
    before, _recorded = _recorded, []
    try:
        yield _recorded
    finally:
        _recorded = before


@contextmanager
def replaying(tables: list[Table]) -> Iterator[None]:
    """Within the block nothing is launched: the same calls as in `recording` fill its tables, and no others do.

    Raises RuntimeError where the calls are others.
    """
    _replayed.append(iter(tables))
    try:
        yield
        if next(_replayed[-1], None) is not None:
            raise RuntimeError("replaying: there were fewer steps than when the graph was captured")
    finally:
        _replayed.pop()


def _step(kind: str, arrays: list[list[Any]], numbers: list, own: list, memo: dict | None) -> None:
    arrays[1] = [a if a.flags.c_contiguous else cupy.ascontiguousarray(a) for a in arrays[1]]
    if memo and _recorded is None and not _replayed:  # then p and the state are the arrays that they were
        table = memo.get(kind)
        if table is None:
            table = memo[kind] = Table(tuple([a.size for a in arrays[0]]), len(arrays))
            table.fill(arrays, numbers, own)
        else:
            table.fill(arrays, numbers, own, fixed=True)
    else:
        table = _filled(kind, arrays, numbers, own)
    _launch("step", (kind, ctype(arrays[0][0])), table)


def _filled(use: str, arrays: list[list[Any]], numbers: list, own: list = ()) -> Table:  # type: ignore[assignment]
    """A table for one launch with those arrays: the one of the last launch of that use and those sizes, as a rule."""
    sizes, width = tuple([a.size for a in arrays[0]]), len(arrays)
    if _replayed:
        table = next(_replayed[-1], None)
        if table is None or (table.sizes, table.width) != (sizes, width):
            raise RuntimeError("replaying: the steps are not those that the graph was captured with")
    elif _recorded is not None:
        table = Table(sizes, width)
        _recorded.append(table)
    else:
        table = _table(use, sizes, width, cupy.cuda.runtime.getDevice(), cupy.cuda.get_current_stream().ptr)
    table.fill(arrays, numbers, own)
    return table


@lru_cache(64)
def _table(use: str, sizes: tuple[int, ...], width: int, device: int, stream: int) -> Table:
    """On one stream a table can be filled again: launches before have read it by then."""
    return Table(sizes, width)


def _launch(kernel: str, types: tuple, table: Table, *more: Any) -> None:
    if table.blocks and not _replayed:
        program.launch(kernel, types, (table.blocks,), (THREADS,), (table.words, np.int32(len(table.sizes)), *more))
