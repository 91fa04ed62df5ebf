"""The picture of a graph as an SVG that stands alone. graph.js draws the same in the page."""
from __future__ import annotations

from html import escape
from typing import Any

from .layout import PILL, Layout, group_text, hover_text, side_text
from .page import colours
from .structure import OUT, Group, Vertex

STYLE = """\
text{font:12px system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;fill:var(--text)}
.sub{font-size:11px;fill:var(--muted)}.name{font-weight:600}.middle{text-anchor:middle}
.box{fill:var(--bg);stroke:var(--strong)}.edge{fill:none;stroke:var(--strong);stroke-width:1.4}
.group>.box{fill:var(--panel)}.open>.box{fill:none;stroke:var(--strong);stroke-dasharray:none}
.result>.box{stroke-width:3}.input>.box,.leaf>.box{stroke:var(--c1);stroke-width:2}
.parameter>.box{stroke:var(--c3);fill:var(--panel)}.buffer>.box{stroke:var(--c6);stroke-dasharray:5 2}
.constant>.box{stroke-dasharray:2 2}.tip{fill:var(--strong)}"""


def svg(title: str, top: Group, groups: list[Group], layout: Layout) -> str:
    """The document. Parameters are pills, inputs cut at the corners, the result has a thick border."""
    box = layout.box[top.key]
    width, height = box.left + box.right, box.height
    shown = [g for g in groups if g.key in layout.place]
    parts = [_group(g, layout) for g in shown if g is not top]
    parts += [f'<path class="edge" d="{layout.path(g, i)}"{_tip(piece)}/>'
              for g in shown if not g.folded for i, piece in enumerate(g.pieces)]
    parts += [_vertex(m, layout) for g in shown if not g.folded for m in g.members if isinstance(m, Vertex)]
    lines = "\n".join(parts)
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" \
height="{height:.0f}" role="img">
<title>{escape(title)}</title>
<style>
{colours("svg")}
{STYLE}
</style>
<defs><marker id="tip" viewBox="0 0 8 8" refX="7.5" refY="4" markerWidth="6" markerHeight="6" orient="auto">\
<path class="tip" d="M0 0L8 4L0 8z"/></marker></defs>
<rect width="100%" height="100%" style="fill:var(--bg)"/>
{lines}
</svg>
"""


def outline(vertex: Vertex, x: float, y: float) -> str:
    """The shape that tells the kinds apart: a rounded box for ops, cut corners for what goes in."""
    w, h = vertex.width, vertex.height
    if vertex.kind in ("input", "leaf"):
        c, left = 10, x - w / 2
        return (f'<path class="box" d="M{left + c:.1f} {y:.1f}H{left + w - c:.1f}L{left + w:.1f} {y + h / 2:.1f}'
                f'L{left + w - c:.1f} {y + h:.1f}H{left + c:.1f}L{left:.1f} {y + h / 2:.1f}Z"/>')
    return f'<rect class="box" x="{x - w / 2:.1f}" y="{y:.1f}" width="{w:.1f}" height="{h:.1f}" rx="6"/>'


def _vertex(vertex: Vertex, layout: Layout) -> str:
    x, y = layout.place[vertex.key]
    result = " result" if vertex.details.get("result") else ""
    parts = [f'<g class="{vertex.kind}{result}"><title>{escape(hover_text(vertex))}</title>',
             outline(vertex, x, y), _text("name middle", x, y + 17, vertex.label),
             _text("sub middle", x, y + 32, vertex.sub), "</g>"]
    for i, leaf in enumerate(vertex.beside):
        px, py = layout.place[f"{vertex.key}/{i}"]
        end = x + vertex.width / 2
        bend = (end + px) / 2
        parts.append(f'<path class="edge" d="M{px:.1f} {py + PILL / 2:.1f}C{bend:.1f} {py + PILL / 2:.1f} {bend:.1f} '
                     f'{y + vertex.height / 2:.1f} {end:.1f} {y + vertex.height / 2:.1f}"/>'
                     f'<g class="{leaf.kind}"><rect class="box" x="{px:.1f}" y="{py:.1f}" width="{leaf.width:.1f}" '
                     f'height="{PILL:.0f}" rx="{PILL / 2:.0f}"/>{_text("sub", px + 10, py + 15, side_text(leaf))}</g>')
    return "".join(parts)


def _group(group: Group, layout: Layout) -> str:
    (x, y), box = layout.place[group.key], layout.box[group.key]
    left, width = x - box.left, box.left + box.right
    rect = (f'x="{left:.1f}" y="{y:.1f}" width="{width:.1f}" height="{box.height:.1f}" rx="9"/>')
    if not group.folded:
        return f'<g class="open"><rect class="box" {rect}{_text("sub", left + 10, y + 17, "− " + group.title)}</g>'
    back = "".join([f'<rect class="box" x="{left + d:.1f}" y="{y + d:.1f}" width="{width:.1f}" '
                    f'height="{box.height:.1f}" rx="9"/>' for d in (8, 4)]) if group.kind == "repeat" else ""
    return (f'<g class="group">{back}<rect class="box" {rect}{_text("name middle", x, y + 20, "+ " + group.title)}'
            f'{_text("sub middle", x, y + 37, group_text(group))}</g>')


def _text(kind: str, x: float, y: float, text: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'


def _tip(piece: Any) -> str:
    return "" if piece.end is OUT or (isinstance(piece.end, Group) and not piece.end.folded) else \
        ' marker-end="url(#tip)"'
