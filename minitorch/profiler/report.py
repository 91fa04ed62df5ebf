"""What a profile's time and memory went into: tables by op, by module, and by kernel and shape."""
from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from minitorch_kernels.limits import Limits

from .study import Span, Study
from .tables import Column, Table, count, duration, megabytes, percent

SORTS = ("time", "forward", "backward", "calls", "memory", "name")
MODULES = 40  # rows of the table of modules, if no depth is asked for
OTHERS = LOOSE, OUTSIDE, ITSELF = "kernels between ops", "outside of ops", "the profiler itself"
ANNOTATIONS = {"Optimizer.step#": "", "enumerate(DataLoader)#": "data loading"}  # what of them is a row, called what


class Row:
    """An op, a module or a kernel: times in seconds, memory in bytes, FLOPs as numbers.

    `made` is the memory of its results and of what it keeps for backward; `at_peak` what of that was in use when most
    was. `limit` is the share of the machine's limits that its kernels reach: the least time that arithmetic and memory
    allow, by the time that they took; None where nothing is known of it. `bound` is what sets the least time.
    """

    def __init__(self, name: str, kind: str = "", version: str = "", shapes: str = ""):
        self.name, self.kind, self.version, self.shapes = name, kind, version, shapes
        self.calls = self.made = self.at_peak = 0
        self.forward = self.backward = self.other = self.self_time = 0.0
        self.in_kernels = self.flops = self.moved = 0.0
        self.share = 0.0
        self._least, self._measured = 0.0, 0.0
        self._bounds: dict[str, float] = defaultdict(float)
        self.kernels: dict[str, float] = defaultdict(float)  # "matmul blas": seconds

    @property
    def time(self) -> float:
        return self.forward + self.backward + self.other

    @property
    def limit(self) -> float | None:
        return self._least / self._measured if self._measured else None

    @property
    def bound(self) -> str:
        return max(self._bounds, key=lambda bound: self._bounds[bound], default="")

    def ran(self, span: Span, least: tuple[float, str] | None) -> None:
        """Add a kernel's call."""
        self.in_kernels += span.self_time
        self.kernels[f"{span.name} {span.version}"] += span.self_time
        if span.cost is not None:
            self.flops += span.cost.flops
            self.moved += span.cost.moved
        if least is not None:
            self._least += least[0]
            self._measured += span.self_time
            self._bounds[least[1]] += span.self_time

    def add(self, part: Row) -> None:
        """Add what belongs to a part of a module."""
        for name in ("made", "at_peak", "forward", "backward", "other", "in_kernels", "flops", "moved", "_least",
                     "_measured"):
            setattr(self, name, getattr(self, name) + getattr(part, name))

    def __repr__(self) -> str:
        return f"<Row {self.name}: {self.calls} calls, {duration(self.time)}>"


class Report:
    """`ops` and `modules`, tables of `Row`s, and the text of both."""

    def __init__(self, study: Study, sort: str = "time", rows: int | None = 20, depth: int | None = None,
                 roofline: bool = True):
        if sort not in SORTS:
            raise ValueError(f"report: sort expects one of {', '.join(SORTS)}, got {sort!r}")
        self._study, self._limits = study, limits_of(study) if roofline else None
        self.peak, self._at_peak = study.memory_made.peak()
        rows_of_ops = self._ops()
        self.time = sum(row.time for row in rows_of_ops)
        for row in rows_of_ops:
            row.share = row.time / self.time if self.time else 0.0
        ops, others = ([row for row in rows_of_ops if (row.name in OTHERS) is other] for other in (False, True))
        self.ops = Table([*sorted(ops, key=_key(sort), reverse=sort != "name"), *others], OPS, rows, len(others))
        self.modules = Table(self._modules(depth), MODULE_COLUMNS)

    def _ops(self) -> list[Row]:
        study, rows = self._study, dict[str, Row]()
        outside = study.length - study.own
        for event in study.events:
            label = label_of(event)
            if label is None:
                continue
            row = rows.setdefault(label, Row(label))
            row.calls += event.phase == "forward" or not event.op
            row.made += event.made
            time = event.self_time
            if event.thread == study.main:
                outside -= time
            if event.op:
                setattr(row, event.phase, getattr(row, event.phase) + time)
            else:
                row.other += time
        for span in study.kernels:
            label = row_of(span.event)
            row = rows.setdefault(label or LOOSE, Row(label or LOOSE))
            row.ran(span, least(span, self._limits))
            if label is None:
                row.calls += 1
                row.other += span.self_time
                outside -= span.self_time if span.thread == study.main else 0
        for allocation in self._at_peak:
            if (label := row_of(allocation.event)) in rows:
                rows[label].at_peak += allocation.nbytes
        for label, time in ((OUTSIDE, outside), (ITSELF, study.own)):
            rows[label] = Row(label)
            rows[label].other = max(time, 0.0)
        return list(rows.values())

    def _modules(self, depth: int | None) -> list[Row]:
        study, own = self._study, dict[str, Row]()
        for span in study.modules:
            row = own.setdefault(span.path, Row(span.path, span.name))
            row.calls += 1
            if span.phase == "forward":
                row.forward += span.self_time
        forward = sum(row.forward for row in own.values())
        rest = Row("outside of modules")
        for event in study.events:
            row = own.get(event.module, rest)
            if event.phase == "backward":
                row.backward += event.self_time
            elif row is rest and event.op:
                rest.forward += event.self_time
            row.made += event.made
        for span in study.kernels:
            own.get(span.path, rest).ran(span, least(span, self._limits))
        for allocation in self._at_peak:
            own.get(allocation.event.module, rest).at_peak += allocation.nbytes
        rest.other = max(self.time - rest.forward - forward - rest.backward -
                         sum(row.backward for row in own.values()), 0.0)
        rest.self_time, rest.share = rest.time, rest.time / self.time if self.time else 0.0
        return [*self._tree(own, depth), rest] if own else []

    def _tree(self, own: dict[str, Row], depth: int | None) -> list[Row]:
        total: dict[str, Row] = {}
        for path, row in own.items():  # in the order of their ends: whoever holds others comes after them
            names = path.split(".")
            for n in range(1, len(names) + 1):
                total.setdefault(".".join(names[:n]), Row(".".join(names[:n]))).add(row)
            total[path].self_time, total[path].calls, total[path].kind = row.time, row.calls, row.kind
        first = {span.path: i for i, span in reversed(list(enumerate(self._study.modules)))}
        order = {path: min(first[p] for p in own if p == path or p.startswith(path + ".")) for path in total}
        for row in total.values():
            row.share = row.time / self.time if self.time else 0.0
        found = sorted(total.values(), key=lambda row: [order[".".join(row.name.split(".")[:n + 1])]
                                                        for n in range(row.name.count(".") + 1)])
        if depth is None:
            depths = sorted({row.name.count(".") + 1 for row in found})
            depth = max([d for d in depths if sum(row.name.count(".") < d for row in found) <= MODULES], default=1)
        return [row for row in found if row.name.count(".") < depth]

    def __str__(self) -> str:
        study = self._study
        forward, backward = (sum(getattr(row, phase) for row in self.ops) for phase in ("forward", "backward"))
        threads = len({event.thread for event in study.events})
        lines = [f"{duration(study.length) or '0 s'}: {duration(forward) or 'nothing'} in ops forward, "
                 f"{duration(backward) or 'nothing'} backward; at most {megabytes(self.peak) or 'nothing'} in use"
                 + (f"; {threads} Python threads" if threads > 1 else "")]
        if self._limits is not None:
            flops = self._limits.flops["float32"] / 1e9
            lines.append(f"limit: what kernels reach of {flops:.0f} GFLOP/s (float32), or of the memory's rate, with "
                         f"{study.cores} thread{'s' * (study.cores > 1)}")
        parts = [*lines, "", str(self.ops)]
        if self.modules:
            parts += ["", str(self.modules)]
        parts += ["", *(f"{text}: {n} call{'s' * (n > 1)}" for text, n in study.notes.items())] if study.notes else []
        return "\n".join(parts)

    __repr__ = __str__


def kernel_table(study: Study, sort: str = "time", rows: int | None = 30, roofline: bool = True) -> Table:
    """A row for each kernel, version and shapes of its arguments, the most time first."""
    if sort not in SORTS:
        raise ValueError(f"kernels: sort expects one of {', '.join(SORTS)}, got {sort!r}")
    machine = limits_of(study) if roofline else None
    found: dict[tuple, Row] = {}
    for span in study.kernels:
        key = span.name, span.version, shapes_of(span.key)
        if key not in found:
            found[key] = Row(span.name, "kernel", *key[1:])
        row = found[key]
        row.calls += 1
        setattr(row, span.phase, getattr(row, span.phase) + span.self_time)
        row.ran(span, least(span, machine))
    total = sum(row.time for row in found.values())
    for row in found.values():
        row.share = row.time / total if total else 0.0
    return Table(sorted(found.values(), key=_key(sort), reverse=sort != "name"), KERNELS, rows)


def limits_of(study: Study) -> Limits | None:
    """The machine's limits for as many threads as the profile's kernels used; None without Numba."""
    from minitorch_kernels.limits import limits

    try:
        return limits(study.cores)
    except ImportError:
        return None


def least(span: Span, machine: Limits | None) -> tuple[float, str] | None:
    """The least time that a kernel's call takes on this machine, and what sets it."""
    if machine is None or span.cost is None or not (span.cost.flops or span.cost.moved):
        return None
    return machine.seconds(*span.cost)


def label_of(event: Any) -> str | None:
    """The row that an event's own time belongs to; None: to no op."""
    if event.op:
        return event.op
    for start, label in ANNOTATIONS.items():
        if event.name.startswith(start):
            return label or event.name[len(start):]
    return None


def row_of(event: Any) -> str | None:
    """The row of the innermost event from here outwards that has one."""
    while event is not None:
        if (label := label_of(event)) is not None:
            return label
        event = event.cpu_parent
    return None


def shapes_of(key: Any) -> str:
    """A call's arrays, as "64x128 128x10"; with their type where it is not float32."""
    found = []
    for value in key:
        if isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], tuple) and isinstance(value[1], str):
            dtype = "" if value[1] == "<f4" else ":" + value[1].lstrip("<|=")
            found.append(("x".join(map(str, value[0])) or "()") + dtype)
        elif isinstance(value, tuple) and value and isinstance(value[0], tuple) and len(found) < 3:
            found.append(f"[{len(value)} arrays]")
    return " ".join(found)


def _key(sort: str) -> Any:
    return lambda row: row.made if sort == "memory" else getattr(row, sort)


def _most(row: Row) -> str:
    """The kernels with the most time."""
    names: Iterable[str] = sorted(row.kernels, key=lambda name: -row.kernels[name])
    first, *more = [*names] or [""]
    return first + (f" +{len(more)}" if more else "")


OPS = [Column("op", 22, lambda row: row.name, left=True), Column("calls", 6, lambda row: str(row.calls or "")),
       Column("time", 8, lambda row: duration(row.time)), Column("forward", 8, lambda row: duration(row.forward)),
       Column("backward", 9, lambda row: duration(row.backward)), Column("share", 6, lambda row: percent(row.share)),
       Column("made", 8, lambda row: megabytes(row.made)), Column("at peak", 8, lambda row: megabytes(row.at_peak)),
       Column("limit", 6, lambda row: percent(row.limit)), Column("kernels", 0, _most, left=True)]
MODULE_COLUMNS = [
    Column("module", 0, lambda row: "  " * row.name.count(".") + row.name.rpartition(".")[2] +
           (f" {row.kind}" if row.kind and "." in row.name else ""), left=True),
    Column("calls", 6, lambda row: str(row.calls or "")), Column("forward", 8, lambda row: duration(row.forward)),
    Column("backward", 9, lambda row: duration(row.backward)), Column("self", 8, lambda row: duration(row.self_time)),
    Column("share", 7, lambda row: percent(row.share)), Column("made", 8, lambda row: megabytes(row.made)),
    Column("at peak", 8, lambda row: megabytes(row.at_peak)), Column("FLOPs", 8, lambda row: count(row.flops)),
    Column("limit", 7, lambda row: percent(row.limit))]
KERNELS = [Column("kernel, version", 25, lambda row: f"{row.name} {row.version}", left=True),
           Column("arrays", 0, lambda row: row.shapes, left=True), Column("calls", 6, lambda row: str(row.calls)),
           Column("time", 8, lambda row: duration(row.time)), Column("share", 7, lambda row: percent(row.share)),
           Column("GFLOP/s", 8, lambda row: f"{row.flops / row.time / 1e9:.1f}" if row.time and row.flops else ""),
           Column("GB/s", 7, lambda row: f"{row.moved / row.time / 1e9:.1f}" if row.time and row.moved else ""),
           Column("limit", 17, lambda row: f"{percent(row.limit)} {row.bound}".strip())]
