"""A graph's nodes put into groups, one a call of a module, and each group into ranks. Sizes do not matter here.

The members of a group are vertices and smaller groups. A module's call is an unbroken stretch of the nodes' numbering,
which is an order in which every node comes after its inputs; so the members of a group never depend on each other in
a circle, and each has a rank: one below the lowest of those it depends on (Sugiyama and others, "Methods for visual
understanding of hierarchical system structures", 1981). An edge is cut at the border of every group that it crosses;
a piece that passes by other ranks gets a lane at their side, so that it is not hidden behind them.
"""
from __future__ import annotations

from itertools import groupby, pairwise
from typing import Any

MANY = 60  # members from which a group is divided further
PART = 25  # vertices in such a part
IN, OUT = "in", "out"  # the ends of pieces of edges at a group's upper and lower border


class Vertex:
    """An op's node, or a leaf: `kind` is op, leaf, input, parameter, buffer or constant."""

    def __init__(self, kind: str, label: str, calls: tuple = (), order: int = 0):
        self.kind, self.label, self.calls, self.order = kind, label, calls, order
        self.key = ""  # its name in the page
        self.sub = ""  # a second line
        self.beside: list[Vertex] = []  # parameters, buffers and constants, drawn at its side
        self.uses = 0  # of a leaf: by how many ops
        self.group: Any = None
        self.width = self.height = 0.0
        self.details: dict[str, Any] = {}

    def form(self) -> tuple:
        return self.kind, self.label, self.sub, tuple([v.sub for v in self.beside])


class Group:
    """Members under one name: `kind` is graph, module, repeat (of like modules) or part (of many nodes)."""

    def __init__(self, kind: str, name: str, title: str, group: Group | None):
        self.kind, self.name, self.title, self.group = kind, name, title, group
        self.key = ""
        self.members: list[Any] = []
        self.ranks: list[list[Any]] = []
        self.pieces: list[Piece] = []
        self.folded = True
        self.width = self.height = 0.0  # when folded
        self.head = 0.0  # the room that the title needs left of the anchor, when unfolded

    def vertices(self) -> list[Vertex]:
        """All vertices within, at any depth."""
        found, pending = [], [self]
        while pending:
            for member in pending.pop().members:
                if isinstance(member, Group):
                    pending.append(member)
                else:
                    found.append(member)
        return found

    def form(self) -> tuple:
        """What it must have in common with another to count as its repetition."""
        return self.title.rpartition(": ")[2], tuple([m.form() for m in self.members])


class Piece:
    """A part of edges within one group: from a member or IN to a member or OUT; `lane` where it passes by others."""

    def __init__(self, start: Any, end: Any):
        self.start, self.end = start, end
        self.first = self.last = 0  # ranks: IN has -1, OUT the number of ranks
        self.lane: int | None = None  # 0 is the innermost
        self.side = -1  # of the lane: left, or 1: right


def arrange(vertices: list[Vertex], edges: list[tuple[Vertex, Vertex]]) -> Group:
    """The groups of `vertices`, which come in an order in which each follows those that it depends on."""
    top = Group("graph", "", "graph", None)
    _fill(top, vertices)
    for group in reversed(all_groups(top)):
        _repeats(group)
    for group in all_groups(top):
        _divide(group)
    groups = all_groups(top)
    for group in groups:
        for member in group.members:
            member.group = group
    for group, start, end in _pieces(edges):
        group.pieces.append(Piece(start, end))
    for i, group in enumerate(groups):
        group.key = f"g{i}"
        _rank(group)
    _unfold_what_fits(top)
    return top


def all_groups(top: Group) -> list[Group]:
    """`top` and all groups below, each before those within it."""
    found, pending = [], [top]
    while pending:
        group = pending.pop(0)
        found.append(group)
        pending.extend([m for m in group.members if isinstance(m, Group)])
    return found


def _fill(top: Group, vertices: list[Vertex]) -> None:
    open_groups: dict[tuple, Group] = {(): top}
    for vertex in vertices:
        group = top
        for depth, call in enumerate(vertex.calls, 1):
            key = vertex.calls[:depth]
            if key not in open_groups:
                own = call.path.removeprefix(vertex.calls[depth - 2].path + ".") if depth > 1 else call.path
                again = f" (call {call.number})" if call.number > 1 else ""
                new = Group("module", call.path + again, f"{own}{again}" if own == call.kind else
                            f"{own}: {call.kind}{again}", group)
                open_groups[key] = new
                group.members.append(new)
            group = open_groups[key]
        group.members.append(vertex)
    for group in reversed(all_groups(top)[1:]):  # a box around a single op would say nothing that the op cannot
        if len(group.members) == 1 and isinstance(group.members[0], Vertex) and group.group is not None:
            vertex = group.members[0]
            vertex.label = f"{vertex.label}  · {group.title.partition(':')[0]}"
            place = group.group.members
            place[place.index(group)] = vertex


def _repeats(group: Group) -> None:
    """Put modules of one form that follow each other into one group."""
    members: list[Any] = []
    for _, run in groupby(group.members, lambda m: m.form() if isinstance(m, Group) else id(m)):
        same = list(run)
        if len(same) < 2 or not isinstance(same[0], Group):
            members += same
            continue
        kind = same[0].title.rpartition(": ")[2]
        parts = [m.title.partition(":")[0] for m in same]
        new = Group("repeat", f"{same[0].name} … {same[-1].name}", f"{len(same)} × {kind}", group)
        new.members = same
        new.name = f"{parts[0]} … {parts[-1]}"
        members.append(new)
    group.members = members


def _divide(group: Group) -> None:
    """Put the members of a group that has very many into parts, in their order."""
    while len(group.members) > MANY and group.kind != "repeat":
        old, group.members = group.members, []
        for i in range(0, len(old), PART):
            new = Group("part", f"members {i + 1} to {min(i + PART, len(old))}", f"part {i // PART + 1}", group)
            new.members = old[i:i + PART]
            group.members.append(new)


def _chain(member: Any) -> list[Any]:
    """The member, the group that holds it, the one that holds that, ..."""
    found = [member]
    while found[-1].group is not None:
        found.append(found[-1].group)
    return found


def _pieces(edges: list[tuple[Vertex, Vertex]]) -> list[tuple[Group, Any, Any]]:
    """Each edge cut at the borders, every piece once."""
    found: dict[tuple, None] = {}
    for start, end in edges:
        above, below = _chain(start), _chain(end)
        while len(above) > 1 and len(below) > 1 and above[-2] is below[-2]:  # down to the group that holds both
            above.pop()
            below.pop()
        common = above[-1]
        found[common, above[-2], below[-2]] = None
        for inner, outer in pairwise(above[:-1]):
            found[outer, inner, OUT] = None
        for inner, outer in pairwise(below[:-1]):
            found[outer, IN, inner] = None
    return list(found)


def _rank(group: Group) -> None:
    before: dict[int, list[Any]] = {}
    for piece in group.pieces:
        if piece.start is not IN and piece.end is not OUT:
            before.setdefault(id(piece.end), []).append(piece.start)
    rank: dict[Any, int] = {}
    for member in group.members:  # in order: those it depends on come earlier
        rank[id(member)] = max([rank[id(m)] + 1 for m in before.get(id(member), ())], default=0)
    after: dict[int, int] = {}
    for piece in group.pieces:
        if piece.start is not IN and piece.end is not OUT:
            after[id(piece.start)] = min(after.get(id(piece.start), 1 << 60), rank[id(piece.end)])
    entered = {id(piece.end) for piece in group.pieces if piece.start is IN}
    for member in group.members:  # what depends on nothing stands right above the first that uses it
        if id(member) not in before and id(member) not in entered and id(member) in after:
            rank[id(member)] = after[id(member)] - 1
    group.ranks = [[] for _ in range(max(rank.values(), default=-1) + 1)]
    for member in group.members:
        group.ranks[rank[id(member)]].append(member)
    rank[IN], rank[OUT] = -1, len(group.ranks)
    for piece in group.pieces:
        piece.first = rank[piece.start if piece.start is IN else id(piece.start)]
        piece.last = rank[piece.end if piece.end is OUT else id(piece.end)]
    _order(group)
    _lanes(group)


def _order(group: Group) -> None:
    """Within its rank each member stands at the mean place of those it depends on."""
    sources: dict[int, list[Any]] = {}
    for piece in group.pieces:
        if piece.start is not IN and piece.end is not OUT:
            sources.setdefault(id(piece.end), []).append(piece.start)
    place: dict[int, float] = {}
    for row in group.ranks:
        def wanted(member: Any) -> float:
            known = [place[id(m)] for m in sources.get(id(member), ()) if id(m) in place]
            return sum(known) / len(known) if known else 0.0

        row.sort(key=wanted)
        for i, member in enumerate(row):
            place[id(member)] = i - (len(row) - 1) / 2


def _lanes(group: Group) -> None:
    """The pieces that pass by a rank, shortest first, each in the innermost lane that is free there.

    It is on the left, unless one of the members that it joins stands in the right half of its rank.
    """
    lanes: dict[int, list[list[tuple[int, int]]]] = {-1: [], 1: []}
    right = {id(m) for row in group.ranks for m in row[(len(row) + 1) // 2:]}
    for piece in sorted(group.pieces, key=lambda p: p.last - p.first):
        if piece.last - piece.first < 2:
            continue
        piece.side = 1 if id(piece.start) in right or id(piece.end) in right else -1
        taken = lanes[piece.side]
        free = [all(last <= piece.first or piece.last <= first for first, last in others) for others in taken]
        piece.lane = free.index(True) if True in free else len(taken)
        if piece.lane == len(taken):
            taken.append([])
        taken[piece.lane].append((piece.first, piece.last))


def _unfold_what_fits(top: Group, most: int = 26) -> None:
    """Unfold level by level, as long as the picture stays small; repetitions and parts stay folded."""
    top.folded = False
    visible, level = len(top.members), top.members
    while True:
        level = [m for m in level if isinstance(m, Group) and m.kind == "module"]
        visible += sum(len(group.members) for group in level)
        if not level or visible > most:
            return
        for group in level:
            group.folded = False
        level = [m for group in level for m in group.members]
