"""One contest: a case's contestants are checked on fresh data, timed turn about, and checked again; a row for each."""
from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from minitorch_kernels import blas, costs, kernels, table
from minitorch_kernels.limits import Limits, limits

from . import judge, noise, peers, turnabout
from .cases import Case, Entry, Source, label

BLOCK = 0.1  # seconds: on two threads it takes the system some milliseconds to spread them over the cores
BRIEF = 0.002  # seconds, of a block where next to no time is given, or a launch is measured
SLOW = 0.5  # seconds a call from which a block is a single call, and a contestant has fewer of them
PATIENCE = 5.0  # seconds that a call may take, times what a contest is given where that is more than a second
COLD = 5  # calls with cold caches


@dataclass
class Settings:
    """How to measure."""

    seconds: float = 1.0  # for each contest
    spread: float = noise.ENOUGH
    cold: bool = True
    seed: int = 0
    peers: tuple[str, ...] = ()
    launches: dict[tuple, float | None] = field(default_factory=dict)  # what is known of the cost of launching


class Choice(NamedTuple):
    """A version of minitorch's kernel; "auto" is what the table chooses."""

    version: str = "auto"
    rung: int | None = None
    idea: str | None = None


@dataclass
class Contestant:
    """Something that does the task, and what has been found of it."""

    library: str
    start: Callable[[Case, tuple], Callable[[], Any] | None]  # a function without arguments that runs the case
    around: Callable[[], contextlib.AbstractContextManager]  # what must hold while it runs
    choice: Choice | None = None  # minitorch's
    warming: int = 1  # calls until it is as fast as it can be
    version: str | None = None  # that took the arguments
    error: float | None = None
    why: str | None = None  # it is not timed, or not trusted
    once: float = 0.0  # seconds of a call, more or less
    run: Callable[[], Any] | None = None
    kept: Any = None  # the result of the last timed call

    def begin(self, case: Case, arguments: tuple) -> Callable[[], Any]:
        """What `start` gives. Raises NotImplementedError where the library has no expression of the task."""
        run = self.start(case, arguments)
        if run is None:
            raise NotImplementedError
        return run

    @property
    def name(self) -> str:
        return self.library if self.choice is None else f"minitorch {self.version or self.choice.version}"


def contest(entry: Entry, shape: tuple, dtype: str, threads: int, choices: list[Choice], settings: Settings,
            size: int | None = None) -> tuple[list[dict[str, Any]], list[str]]:
    """The results of all that can run the entry's case of this shape, as rows of the JSON; and who cannot, and why.

    Raises ValueError or TypeError for a shape that the entry has no case of.
    """
    case = entry.make(*shape)
    with using(threads):
        everyone = [_minitorch(entry, choice) for choice in choices]
        everyone += [_library(name, entry, threads) for name in settings.peers if peers.missing(name) is None]
        given = case.arguments(Source(settings.seed, dtype))
        cost, by = check(entry, case, everyone, given, dtype, settings)
        everyone = _each_once(everyone)
        notes = [f"{one.name}: no expression of this task" for one in everyone if one.why == NOT_EXPRESSED]
        everyone = [one for one in everyone if one.why != NOT_EXPRESSED]
        running = [one for one in everyone if not one.why]
        others = noise.Others()
        figures = _timed(case, running, case.arguments(Source(settings.seed + 1, dtype)), settings)
        busy = others.cores()
        _check_timed(entry, case, running, dtype, settings)
        cold = _cold(running) if settings.cold else {}
        found = limits(min(threads, turnabout.cores()))  # more threads do not reach more
        rows = []
        for one in everyone:
            row = {**_row(entry, case, given, dtype, threads, size, one, cost), "judge": by}
            if one in running and not one.why:
                one.why = noise.doubts(figures[one.name], busy, threads, turnabout.cores())
                row |= _rates(figures[one.name], cost, found)
                row |= {"cold": cold.get(one.name), "launch": _launch(entry, one, dtype, threads, settings),
                        "others": busy and round(busy, 2), "trusted": one.why is None, "why": one.why}
            rows.append(row)
    _beside(rows, figures, entry.goal(shape))
    return rows, notes


@contextlib.contextmanager
def using(threads: int) -> Iterator[None]:
    """Both frameworks, and NumPy's BLAS when it is called directly, on so many threads."""
    import minitorch

    count, control = minitorch.get_num_threads(), getattr(blas, "_control", None)
    before = control and control.get()
    turnabout.set_threads(threads)
    if control:
        control.set(threads)
    try:
        yield
    finally:
        turnabout.set_threads(count)
        if control:
            control.set(before)


# Contestants

NOT_EXPRESSED = "no expression of this task"


def _minitorch(entry: Entry, choice: Choice) -> Contestant:
    import minitorch

    def start(case: Case, arguments: tuple) -> Callable[[], Any]:
        if case.program:
            minitorch.manual_seed(0)
            return case.program(minitorch, *judge.tensors(minitorch, arguments))
        kernel, given = getattr(kernels(np), entry.kernel), peers.PEERS["numpy"].put(arguments)
        if case.changes:
            return lambda: kernel(*given) or given
        return lambda: kernel(*given)

    chosen = {} if choice.version == "auto" else {entry.kernel: choice.version}
    return Contestant("minitorch", start, lambda: table.use(**chosen), choice)


def _library(name: str, entry: Entry, threads: int) -> Contestant:
    """One that would use all cores is kept to as many as the others have threads."""
    peer, task = peers.PEERS[name], entry.task or entry.kernel
    around = contextlib.nullcontext if peer.settable else lambda: peers.confined(threads)
    return Contestant(name, lambda case, arguments: peer.start(case, task, arguments), around,
                      warming=1 if peer.settable else 3)  # JAX compiles in the first call, tinygrad in the first two


def _each_once(everyone: list[Contestant]) -> list[Contestant]:
    """Without those who do the same as one before: "auto" is a version of some name."""
    found: dict[str, Contestant] = {}
    for one in everyone:
        found.setdefault(one.name, one)
    return list(found.values())


# Checks

def check(entry: Entry, case: Case, everyone: list[Contestant], given: tuple, dtype: str,
          settings: Settings) -> tuple[costs.Cost, str]:
    """One call of each contestant, held against a result in higher precision.

    Gives what a call costs at least, and by what was judged.
    """
    wanted, by = judge.expected(entry, case, given)
    cost = _cost(entry, case, given, [w.astype(dtype) if w.dtype.kind == "f" else w for w in wanted], dtype)
    allowed = judge.tolerance(case, dtype)
    for one in everyone:
        try:
            with one.around():
                one.why = _outlook(entry, one, cost, dtype, settings)
                found = [] if one.why else _first_call(entry, case, one, given)
        except NotImplementedError:
            one.why = NOT_EXPRESSED if one.choice is None else "FAILED: not implemented"
        except Exception as error:  # the others are still worth having
            one.why = f"FAILED: {type(error).__name__}: {' '.join(str(error).split())[:200]}"
        if one.why:
            continue
        one.error = judge.error(found, wanted)
        if one.error > allowed:
            one.why = f"FAILED: differs by {one.error:.1e}, allowed {allowed:.0e}"
        elif one.choice and not case.changes:
            cost = _cost(entry, case, given, found, dtype)
    return cost, by


def _first_call(entry: Entry, case: Case, one: Contestant, given: tuple) -> list[np.ndarray]:
    """The results of a call; or `one.why`, where another version than the one chosen takes these arguments."""
    with _noting(entry, one):
        run = one.begin(case, given)
        start = time.perf_counter()
        made = run()
        one.once = time.perf_counter() - start
    if one.choice and one.choice.version not in ("auto", one.version):
        one.why, one.version = f"refuses: {_refusal(entry, case, one, given)}", one.choice.version
    return judge.arrays(made)


def _check_timed(entry: Entry, case: Case, running: list[Contestant], dtype: str, settings: Settings) -> None:
    """The same for what the last timed call gave; where each call changes its arguments, for another first call."""
    given = case.arguments(Source(settings.seed + 1, dtype))
    wanted, _ = judge.expected(entry, case, given)
    allowed = judge.tolerance(case, dtype)
    for one in running:
        if case.changes:
            with one.around():
                one.kept = one.begin(case, given)()
        apart = judge.error(judge.arrays(one.kept), wanted)
        one.kept, one.error = None, max(one.error or 0.0, apart)
        if apart > allowed:
            one.why = f"FAILED: the timed result differs by {apart:.1e}, allowed {allowed:.0e}"


def _cost(entry: Entry, case: Case, given: tuple, made: list[np.ndarray], dtype: str) -> costs.Cost:
    if case.program:
        counted = costs.Cost(0, 0, "write", dtype)
    else:
        counted = costs.cost(entry.kernel, given, None if case.changes else tuple(made))
    flops = counted.flops if case.flops is None else case.flops
    moved = counted.moved if case.numbers is None else case.numbers * np.dtype(dtype).itemsize
    return costs.Cost(flops, moved, case.pattern or counted.pattern, dtype)


def _noting(entry: Entry, one: Contestant) -> contextlib.AbstractContextManager:
    """Within it, `one.version` becomes the first version of the entry's kernel that runs."""
    def observe(name: str, version: str, run: Callable, arguments: tuple, options: dict) -> Any:
        if name == entry.kernel and one.version is None:
            one.version = version
        return run(*arguments, **options)

    return table.watch(observe) if one.choice else contextlib.nullcontext()


def _refusal(entry: Entry, case: Case, one: Contestant, given: tuple) -> str:
    wanted = one.choice.version if one.choice else ""
    for version in table.get(entry.kernel).versions if not case.program else ():
        if version.name == wanted and (reason := version.missing() or version.refuses(*given)):
            return reason
    return f"{one.version} took these arguments instead"


def _outlook(entry: Entry, one: Contestant, cost: costs.Cost, dtype: str, settings: Settings) -> str | None:
    """Why a call of a version that was asked for would take too long, told from a small one; or None."""
    if one.choice is None or one.choice.version == "auto" or not entry.sizes:
        return None
    small = entry.make(*entry.at(entry.sizes[0]))
    given = small.arguments(Source(settings.seed, dtype))
    run = one.begin(small, given)
    run()
    start = time.perf_counter()
    made = run()
    taken = time.perf_counter() - start
    ours = _cost(entry, small, given, judge.arrays(made), dtype)
    expected = taken * max(cost.flops / (ours.flops or 1), cost.moved / (ours.moved or 1))
    patience = PATIENCE * max(1, settings.seconds)
    if expected <= patience:
        return None
    return f"skipped: a call would take about {expected:.0f} s (--seconds {expected / PATIENCE:.0f} waits for it)"


# Time

def _timed(case: Case, running: list[Contestant], given: tuple, settings: Settings) -> dict[str, list[float]]:
    """The blocks of each contestant: seconds a call."""
    length = BLOCK if settings.seconds >= 10 * BLOCK else max(BRIEF, settings.seconds / 10)
    measures = {one.name: _measure(case, one, given, length) for one in running}
    slow = [one.name for one in running if one.once > SLOW]
    return turnabout.take_turns(measures, settings.seconds, slow=slow,
                                enough=lambda figures: noise.enough(figures, settings.spread))


def _measure(case: Case, one: Contestant, given: tuple, length: float) -> Callable[[], float]:
    with one.around():
        run = one.run = one.begin(case, given)
        for _ in range(one.warming if one.once > SLOW else 0):  # the first call may have compiled: as slow as that?
            start = time.perf_counter()
            run()
            one.once = time.perf_counter() - start

        def keep(made: Any) -> None:
            one.kept = made

        timed = turnabout.block(run, length, keep, single=one.once > SLOW)

    def measure() -> float:
        with one.around():
            return timed()

    return measure


def _cold(running: list[Contestant]) -> dict[str, dict[str, Any]]:
    """Single calls after the caches have been flushed; the threads have gone to sleep then as well."""
    quick = {one.name: (one, one.run) for one in running if one.once <= SLOW and not one.why and one.run}

    def measure(one: Contestant, run: Callable[[], Any]) -> Callable[[], float]:
        def cold() -> float:
            with one.around():
                turnabout.rest()
                flush()
                start = time.perf_counter()
                run()
                return time.perf_counter() - start

        return cold

    flush = noise.flush(turnabout.cores())
    figures = turnabout.take_turns({name: measure(*pair) for name, pair in quick.items()}, turns=COLD)
    return {name: noise.summary(times) for name, times in figures.items()}


def _launch(entry: Entry, one: Contestant, dtype: str, threads: int, settings: Settings) -> float | None:
    """Seconds of the same call on arrays of one number or so: what calling it costs, whatever it computes.

    None where another version takes so small arrays, or nothing does.
    """
    key = entry.kernel, entry.task, entry.least, one.name, dtype, threads
    if entry.least and key not in settings.launches:
        settings.launches[key] = None
        with contextlib.suppress(Exception), one.around():  # what is wrong with a small call is no matter here
            small = entry.make(*entry.least)
            given, tried = small.arguments(Source(settings.seed, dtype)), replace(one, version=None)
            with _noting(entry, tried):
                one.begin(small, given)()
            if tried.version == one.version:
                timed = turnabout.block(one.begin(small, given), BRIEF)
                settings.launches[key] = statistics.median(timed() for _ in range(turnabout.TURNS))
    return settings.launches.get(key)


# Rows

def _row(entry: Entry, case: Case, given: tuple, dtype: str, threads: int, size: int | None, one: Contestant,
         cost: costs.Cost) -> dict[str, Any]:
    """What is known of a contestant without its times."""
    choice = one.choice or Choice()
    version = one.version or (choice.version if choice.version != "auto" else None)
    return {"kernel": entry.kernel, "family": entry.family, "case": case.label or label(given),
            "shapes": [list(a.shape) for a in judge.arrays(given)], "dtype": dtype, "threads": threads, "size": size,
            "contestant": one.name, "library": one.library, "version": version, "rung": choice.rung,
            "idea": choice.idea, "seconds": None, "cold": None, "launch": None, "flops": cost.flops,
            "moved": cost.moved, "GFLOP/s": None, "GB/s": None, "share": None, "bound": None, "others": None,
            "error": one.error if one.error is None or np.isfinite(one.error) else None,
            "tolerance": judge.tolerance(case, dtype), "trusted": False, "why": one.why,
            "against": None, "ratio": None, "quartiles": None, "ratios": {}, "target": None, "verdict": None}


def _rates(times: list[float], cost: costs.Cost, found: Limits) -> dict[str, Any]:
    seconds = noise.summary(times)
    least, bound = found.seconds(cost.flops, cost.moved, cost.pattern, cost.dtype)
    return {"seconds": seconds, "GFLOP/s": round(cost.flops / seconds["median"] / 1e9, 3),
            "GB/s": round(cost.moved / seconds["median"] / 1e9, 3), "share": round(least / seconds["median"], 4),
            "bound": bound}


def _beside(rows: list[dict[str, Any]], figures: dict[str, list[float]], goal: float | None) -> None:
    """The rate of each contestant of minitorch relative to every other library's, and to the fastest of them.

    A verdict on its target only where both times are to be trusted.
    """
    theirs = {row["contestant"]: figures[row["contestant"]] for row in rows
              if row["library"] != "minitorch" and row["seconds"]}
    if not theirs:
        return
    rival = min(theirs, key=lambda name: statistics.median(theirs[name]))
    trusted = {row["contestant"]: row["trusted"] for row in rows}
    for row in rows:
        if row["library"] == "minitorch" and row["seconds"]:
            ours = figures[row["contestant"]]
            row["ratios"] = {name: turnabout.ratio(times, ours) for name, times in theirs.items()}
            row |= {"against": rival, **row["ratios"][rival]}
            if goal and row["rung"] is None and row["trusted"] and trusted[rival]:
                row |= {"target": goal, "verdict": "met" if row["ratio"] >= goal else "missed"}
