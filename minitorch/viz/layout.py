"""Where things stand: the ranks of each group become coordinates, at the present folding. graph.js does the same."""
from __future__ import annotations

from typing import Any, NamedTuple

from .structure import IN, OUT, Group, Vertex

GAP, ROW, PAD, HEAD, LANE, PILL = 26.0, 30.0, 14.0, 26.0, 13.0, 22.0


class Box(NamedTuple):
    """Half extents around an anchor, at which edges enter and leave; height."""

    left: float
    right: float
    height: float


class Layout:
    """`place[key]` is (anchor x, top y) of each visible vertex and group, `box[key]` its extent."""

    def __init__(self, top: Group):
        self.box: dict[str, Box] = {}
        self.place: dict[str, tuple[float, float]] = {}
        self._rows: dict[str, list[tuple[float, float, list[float]]]] = {}  # top, height, anchors
        self.lanes: dict[tuple[str, int], float] = {}  # by the group and the piece's number, x against its anchor
        self._measure(top)
        self._put(top, self.box[top.key].left, 0.0)

    def _measure(self, item: Any) -> Box:
        if isinstance(item, Vertex):
            beside = max([v.width for v in item.beside], default=-GAP / 2) + GAP / 2
            box = Box(item.width / 2, item.width / 2 + beside, max(item.height, len(item.beside) * (PILL + 4) - 4))
        elif item.folded:
            box = Box(item.width / 2, item.width / 2, item.height)
        else:
            box = self._measure_group(item)
        self.box[item.key] = box
        return box

    def _measure_group(self, group: Group) -> Box:
        y, rows, spans = HEAD + ROW / 2, [], []
        for members in group.ranks:
            boxes = [self._measure(m) for m in members]
            x, anchors = 0.0, []
            for box in boxes:
                anchors.append(x + box.left)
                x += box.left + box.right + GAP
            middle = _middle(members, anchors)
            anchors = [a - middle for a in anchors]
            height = max(box.height for box in boxes)
            rows.append((y, height, anchors))
            spans.append((anchors[0] - boxes[0].left, anchors[-1] + boxes[-1].right))
            y += height + ROW
        left, right = min([s[0] for s in spans], default=0.0), max([s[1] for s in spans], default=0.0)
        placed: list[tuple[Any, float]] = []
        for i, piece in sorted(enumerate(group.pieces), key=lambda p: (p[1].last - p[1].first, p[1].lane or 0)):
            if piece.lane is None:
                continue
            side, passed = piece.side, spans[piece.first + 1:piece.last]
            out = max([side * edge for span in passed for edge in span]) + LANE  # how far out, on its side
            for other, there in placed:
                if other.side == side and other.lane < piece.lane and \
                        other.first < piece.last and piece.first < other.last:
                    out = max(out, there + LANE)
            placed.append((piece, out))
            self.lanes[group.key, i] = side * out
            left, right = min(left, side * out), max(right, side * out)
        self._rows[group.key] = rows
        return Box(max(PAD - left, group.head), max(right + PAD, group.width / 2), y - ROW / 2 + 2)

    def _put(self, item: Any, x: float, y: float) -> None:
        self.place[item.key] = x, y
        if isinstance(item, Vertex):
            for i in range(len(item.beside)):
                self.place[f"{item.key}/{i}"] = x + item.width / 2 + GAP / 2, y + i * (PILL + 4)
        elif not item.folded:
            for members, (top, height, anchors) in zip(item.ranks, self._rows[item.key]):
                for member, anchor in zip(members, anchors):
                    spare = height - self.box[member.key].height
                    self._put(member, x + anchor, y + top + (spare if _goes_in(member) else spare / 2))

    def path(self, group: Group, number: int) -> str:
        """The curve of one piece of an edge."""
        piece = group.pieces[number]
        x, y = self.place[group.key]
        box = self.box[group.key]
        x0, y0 = (x, y) if piece.start is IN else self._port(piece.start, True)
        x1, y1 = (x, y + box.height) if piece.end is OUT else self._port(piece.end, False)
        if piece.lane is None:
            d = (y1 - y0) / 2
            return f"M{x0:.1f} {y0:.1f}C{x0:.1f} {y0 + d:.1f} {x1:.1f} {y1 - d:.1f} {x1:.1f} {y1:.1f}"
        lane, d = x + self.lanes[group.key, number], min(26.0, (y1 - y0) / 4)
        return (f"M{x0:.1f} {y0:.1f}C{x0:.1f} {y0 + d:.1f} {lane:.1f} {y0 + d * .4:.1f} {lane:.1f} {y0 + 2 * d:.1f}"
                f"V{y1 - 2 * d:.1f}C{lane:.1f} {y1 - d * .4:.1f} {x1:.1f} {y1 - d:.1f} {x1:.1f} {y1:.1f}")

    def _port(self, item: Any, below: bool) -> tuple[float, float]:
        x, y = self.place[item.key]
        return x, y + (self.box[item.key].height if below and isinstance(item, Group) else
                       item.height if below else 0.0)


def _goes_in(member: Any) -> bool:
    """Whether it is an input, which stands at the foot of its rank, near the op that takes it."""
    return isinstance(member, Vertex) and member.kind != "op"


def _middle(members: list[Any], anchors: list[float]) -> float:
    """Which x of a rank comes under the anchor of the group; inputs do not push the others aside."""
    own = [a for m, a in zip(members, anchors) if not _goes_in(m)] or anchors
    return sum(own) / len(own)


def measure_labels(top: Group, groups: list[Group], vertices: list[Vertex]) -> None:
    """Widths that the labels need, by rule of thumb: fonts differ, and a little room does no harm."""
    for vertex in vertices:
        if vertex.kind == "op":
            vertex.width, vertex.height = max(92.0, _wide(vertex.label, 7.4) + 22, _wide(vertex.sub, 6.6) + 22), 40.0
        elif vertex.kind in ("input", "leaf"):
            vertex.width, vertex.height = max(80.0, _wide(vertex.label, 7.4) + 30, _wide(vertex.sub, 6.6) + 30), 40.0
        else:
            vertex.width, vertex.height = _wide(side_text(vertex), 6.8) + 20, PILL
    for group in groups:
        group.width = max(110.0, _wide(group.title, 7.4) + 40, _wide(group_text(group), 6.6) + 24)
        group.height = 48.0
        group.head = _wide(group.title, 6.6) + 34


def side_text(vertex: Vertex) -> str:
    """What stands in the pill of a parameter, buffer or constant."""
    own = vertex.label.rpartition(".")[2]
    return f"{own} {vertex.sub}" + (f" · {vertex.uses} uses" if vertex.uses > 1 else "")


def hover_text(vertex: Vertex) -> str:
    """What is shown of a vertex when the pointer rests on it."""
    facts = vertex.details
    if vertex.kind != "op":
        return f"{vertex.kind} {vertex.label}: {facts['out']}"
    lines = [f"{vertex.label}: {facts['name']}, {facts['out']}"]
    lines += [facts[name] for name in ("module", "source") if facts[name]]
    times = [f"{name} {facts[name] * 1e6:.4g} µs" for name in ("forward", "backward") if facts[name] is not None]
    lines.append(", ".join([*times, f"keeps {facts['bytes']} bytes"]))
    return "\n".join(lines)


def group_text(group: Group) -> str:
    """The second line of a folded group."""
    ops = sum(v.kind == "op" for v in group.vertices())
    return f"{ops} ops" + (f" · {group.name}" if group.kind == "repeat" else "")


def _wide(text: str, each: float) -> float:
    return len(text) * each
