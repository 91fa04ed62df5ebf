"""The HTML report of a benchmark run: one page that loads nothing, for laptop, phone and paper, light and dark."""
from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from minitorch.viz.page import LIGHT, page

from . import plots
from .plots_svg import CSS, escape
from .report_data import Result, Run, counted, duration, figure, finite, percent, unique

WIDTHS = (640, 360)  # units: each plot is drawn for a wide column and for a phone's


def write(results: Any, path: str) -> None:
    """Write the report of `results`, a run's JSON, to the file `path`. Raises ValueError where it is not one."""
    Path(path).write_text(html(results), encoding="utf-8")


def html(results: Any) -> str:
    """The page.

    >>> "No results" in html({"format": "minitorch-bench/1", "results": []})
    True
    """
    run = Run.of(results)
    kernels = unique(r.kernel for r in run.results)
    title = "Benchmark: " + ", ".join(kernels[:4]) + (", …" if len(kernels) > 4 else "") if kernels else "Benchmark"
    body = [_facts(run), _findings(run), _doubts(run), _controls(run), *(_kernel(run, name) for name in kernels)]
    if not run.results:
        body.append("<p>No results: nothing was measured.</p>")
    light = "".join(f"--{name}:{value};" for name, value in LIGHT.items())
    paper = f"@media print{{:root,:root[data-theme],:root:not([data-theme=light]){{color-scheme:light;{light}}}}}"
    return page(title, "\n".join(filter(None, body)), CSS + _CSS + paper, _SCRIPT)


def _facts(run: Run) -> str:
    """The machine, in words."""
    machine = run.machine
    units = (("processor", "Processor", "{}"), ("cores", "Cores", "{}"), ("memory_gib", "Memory", "{} GiB"),
             ("clock_mhz", "Clock", "{} MHz"), ("date", "Date", "{}"))
    rows = [(name, form.format(machine[key])) for key, name, form in units if machine.get(key) is not None]
    rows += [("Load before the run", ", ".join(f"{load:.2f}" for load in run.load()))]
    rows += [("Versions", ", ".join(f"{k} {v}" for k, v in (machine.get("versions") or {}).items()))]
    for threads in sorted(run.limits, key=lambda n: (len(n), n)):
        rates = run.limits[threads].get("GFLOP/s") or {}
        found = [f"{figure(rate)} GFLOP/s in {dtype}" for dtype, value in rates.items() if (rate := finite(value))]
        streams = run.bandwidth(int(threads)) if threads.isdecimal() else None
        found += [f"{figure(streams[1])} GB/s from the cache, {figure(streams[0])} GB/s from memory"] if streams else []
        rows.append((f"Limits, {threads} thread{'' if threads == '1' else 's'}", "; ".join(found)))
    rows += [("Command", str(machine["command"]))] if machine.get("command") else []
    facts = "".join(f"<div><dt>{escape(k)}</dt><dd>{escape(v)}</dd></div>" for k, v in rows if v)
    return f'<dl class="facts" aria-label="The machine">{facts}</dl>' if facts else ""


def _findings(run: Run) -> str:
    """The three or so figures to take away."""
    trusted = [r for r in run.results if r.trusted]
    tiles = [(f"{len(trusted)} of {len(run.results)}", "results are trusted")] if run.results else []
    best = max((r for r in trusted if r.ours and r.share is not None), key=lambda r: r.share or 0, default=None)
    if best:
        tiles.append((percent(best.share or 0), f"of the {best.bound or 'machine'} limit: {best.kernel} {best.case}, "
                      f"{best.dtype}, {counted(best.threads, 'thread')}"))
    for library, ratios in _ratios(trusted).items():
        mean = math.exp(math.fsum(map(math.log, ratios)) / len(ratios))
        tiles.append((f"{mean:.2f}×", f"as fast as {library}: the geometric mean over {counted(len(ratios), 'case')}"))
    return '<div class="tiles">' + "".join(f"<p><strong>{escape(big)}</strong> {escape(small)}</p>"
                                           for big, small in tiles) + "</div>" if tiles else ""


def _ratios(found: Sequence[Result]) -> dict[str, list[float]]:
    """How many times as fast as each peer minitorch is, in each case that both ran."""
    ratios: dict[str, list[float]] = {}
    groups: dict[tuple, list[Result]] = {}
    for r in found:
        groups.setdefault(r.key[:4], []).append(r)
    for group in groups.values():
        pair = plots.beside(group)
        for theirs in pair[1] if pair else ():
            ratios.setdefault(theirs.library, []).append(plots.against(pair[0], theirs)[0])  # type: ignore[index]
    return ratios


def _doubts(run: Run) -> str:
    """What is not trusted, named."""
    found = [r for r in run.results if not r.trusted]
    if not found:
        return ""
    items = "".join("<li><b>" + escape(f"{r.contestant}, {r.kernel} {r.case}") + "</b>, "
                    + escape(f"{r.dtype}, {counted(r.threads, 'thread')}: {r.why}") + "</li>" for r in found)
    return ('<details class="doubts"><summary>' + counted(len(found), "result") + " not to be trusted: "
            "hollow and dashed in the plots, in no figure above</summary><ul>" + items + "</ul></details>")


def _controls(run: Run) -> str:
    """Buttons for the number of threads and the dtype, where there are several; hidden where no script runs."""
    choices = [("threads", "Threads", unique(r.threads for r in run.results)),
               ("dtype", "Type", unique(r.dtype for r in run.results))]
    groups = "".join(
        f'<div role="group" aria-label="{name}"><span>{name}</span>'
        + "".join(f'<button type="button" data-choose="{key}" data-value="{escape(str(value))}" aria-pressed="false">'
                  f"{escape(str(value))}</button>" for value in (sorted(values) if key == "threads" else values))
        + "</div>" for key, name, values in choices if len(values) > 1)
    return f'<div class="controls" hidden>{groups}</div>' if groups else ""


def _kernel(run: Run, kernel: str) -> str:
    """A kernel's plots and its table, for each number of threads and dtype."""
    found = [r for r in run.results if r.kernel == kernel]
    parts = [f"<h2>{escape(kernel)}</h2>"]
    for threads, dtype in unique((r.threads, r.dtype) for r in found):
        some = [r for r in found if (r.threads, r.dtype) == (threads, dtype)]
        cards = "".join(_cards(run, kernel, threads, dtype, some))
        parts.append(f'<section data-threads="{threads}" data-dtype="{escape(dtype)}" '
                     f'aria-label="{escape(f"{kernel}, {dtype}, {threads} threads")}">'
                     f'<p class="muted setting">{escape(dtype)}, {counted(threads, "thread")}</p>'
                     f'<div class="cards">{cards}</div>{_table(some)}</section>')
    return "".join(parts)


def _cards(run: Run, kernel: str, threads: int, dtype: str, found: Sequence[Result]) -> list[str]:
    ladders = unique(r.case for r in found if r.rung is not None)
    chosen: list[tuple[str, str, Callable[..., str], dict[str, str]]] = [
        (f"The ladder, {case}", "Each rung has one new idea. The dashed line is what this machine's arithmetic allows; "
         "× is what a rung adds to the last one before it that is trusted.", plots.ladder, {"case": case})
        for case in ladders]
    chosen += [
        ("Over sizes", "Medians with the band of their quartiles.", plots.sweep, {}),
        ("The roofline", "No point lies above what arithmetic and the ways to the data allow. Numbers are rungs.",
         plots.roofline, {}),
        ("Beside its peers", "Measured turn about in one process: how many times as fast minitorch is. The line spans "
         "the least and the most favourable quartiles.", plots.peers, {})]
    cards = []
    for title, note, plot, which in chosen:
        drawn = [plot(run, kernel, threads=threads, dtype=dtype, width=width, alone=False, **which) for width in WIDTHS]
        if drawn[0]:
            pictures = "".join(f'<div class="at{width}">{svg}</div>' for width, svg in zip(WIDTHS, drawn))
            cards.append(f"<figure><figcaption><h3>{escape(title)}</h3><p>{escape(note)}</p></figcaption>"
                         f"{pictures}</figure>")
    return cards


def _table(found: Sequence[Result]) -> str:
    """All results, sorted as they came; a click on a column's name sorts by it."""
    names = ("case", "contestant", "time", "quartiles", "GFLOP/s", "GB/s", "share", "of", "cold", "launch", "error",
             "trusted")
    head = "".join(f'<th scope="col"><button type="button">{name}</button></th>' for name in names)
    rows = []
    for r in found:
        s = r.seconds
        cells: list[tuple[str, float | None]] = [
            (r.case, None), (r.contestant, None), (duration(s.median) if s else "", s.median if s else None),
            (f"{duration(s.low)} to {duration(s.high)}" if s else "", s.high - s.low if s else None),
            (figure(r.gflops) if r.gflops else "", r.gflops), (figure(r.gbs) if r.gbs else "", r.gbs),
            (percent(r.share) if r.share is not None else "", r.share), (r.bound or "", None),
            (duration(r.cold.median) if r.cold else "", r.cold.median if r.cold else None),
            (duration(r.launch) if r.launch else "", r.launch), (f"{r.error:.1e}" if r.error else "", r.error),
            ("yes" if r.trusted else f"no: {r.why}", None)]
        written = "".join(f"<td>{escape(text)}</td>" if value is None else
                          f'<td data-sort="{value!r}">{escape(text)}</td>' for text, value in cells)
        rows.append(f"<tr>{written}</tr>" if r.trusted else f'<tr class="noisy">{written}</tr>')
    return (f'<details class="all"><summary>All {counted(len(found), "result")}</summary>'
            '<div class="wide" tabindex="0" role="region" aria-label="All results">'
            f'<table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div></details>')


_CSS = """\
#theme{white-space:nowrap}
.facts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,210px),1fr));gap:10px 20px;margin:18px 0}
.facts div{min-width:0}
@media (max-width:520px){.facts{gap:6px}.facts div{display:grid;grid-template-columns:96px 1fr;gap:8px}}
.facts dt{color:var(--muted);font-size:13px}
.facts dd{margin:0;overflow-wrap:anywhere}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px;margin:18px 0}
.tiles p{background:var(--panel);border:1px solid var(--line);border-radius:8px;padding:10px 14px;margin:0;
 overflow-wrap:anywhere;color:var(--muted);font-size:14px;line-height:1.4}
.tiles strong{display:block;color:var(--text);font-size:24px;line-height:1.25}
.doubts,.all{border:1px solid var(--line);border-radius:8px;padding:8px 14px;margin:14px 0}
.doubts{background:var(--mark);border-color:var(--strong)}
summary{cursor:pointer;min-height:24px}
.doubts ul{padding-left:20px;margin:8px 0;overflow-wrap:anywhere}
.controls{position:sticky;top:0;z-index:1;display:flex;flex-wrap:wrap;gap:8px 24px;padding:8px 0;background:var(--bg);
 border-bottom:1px solid var(--line)}
.controls[hidden]{display:none}
.controls div{display:flex;align-items:center;gap:6px}
.controls span{color:var(--muted);margin-right:2px}
button[aria-pressed=true]{background:var(--accent);border-color:var(--accent);color:var(--bg);font-weight:600}
section[hidden]{display:none}
.setting{margin:0 0 10px}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,500px),1fr));gap:20px;align-items:start;
 margin-bottom:20px}
figure{margin:0;padding:14px 8px;border:1px solid var(--line);border-radius:8px;break-inside:avoid;
 container-type:inline-size;position:relative}
figcaption{padding:0 8px}
h3{font-size:15px;margin:0;overflow-wrap:anywhere}
figcaption p{color:var(--muted);font-size:13.5px;margin:2px 0 8px;line-height:1.4}
.at640{display:none}
@container (min-width:500px){.at640{display:block}.at360{display:none}}
.mark{outline:none}
.mark:hover .fill,.mark:focus .fill{stroke:var(--text);stroke-width:2.5}
.mark:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
#tip{position:fixed;z-index:2;max-width:min(330px,calc(100vw - 16px));padding:8px 12px;background:var(--text);
 color:var(--bg);border-radius:6px;font-size:13px;line-height:1.45;white-space:pre-line;overflow-wrap:anywhere;
 pointer-events:none;box-shadow:0 2px 10px #0005}
#tip[hidden]{display:none}
.all td,.all th{white-space:nowrap;font-size:14px}
.all td[data-sort]{text-align:right}
.all td:last-child{white-space:normal;min-width:180px}
.all th{padding:0}
.all th button{border:0;background:none;color:var(--muted);font-weight:600;padding:4px 10px;width:100%;text-align:left}
.all th[aria-sort] button{color:var(--text)}
.all th[aria-sort=ascending] button::after{content:" ↑"}
.all th[aria-sort=descending] button::after{content:" ↓"}
tr.noisy td{color:var(--muted)}
@media print{.controls{display:none}.cards{display:block}figure{max-width:640px}body{font-size:12px}}
"""

# What each mark says moves from its title into a tip, which pointer, finger and keyboard open alike. One mark of a plot
# is in the order of the Tab key; the arrow keys go on from there.
_SCRIPT = """\
const chosen = {};
const all = selector => [...document.querySelectorAll(selector)];
function show() {
  for (const section of all("section[data-threads]"))
    section.hidden = Object.keys(chosen).some(key => section.dataset[key] !== chosen[key]);
  for (const button of all("[data-choose]"))
    button.setAttribute("aria-pressed", String(chosen[button.dataset.choose] === button.dataset.value));
}
for (const button of all("[data-choose]")) {
  chosen[button.dataset.choose] ??= button.dataset.value;
  button.addEventListener("click", () => { chosen[button.dataset.choose] = button.dataset.value; show(); });
}
for (const bar of all(".controls")) bar.hidden = false;
show();

const tip = Object.assign(document.createElement("div"), {id: "tip", hidden: true});
tip.setAttribute("role", "status");
document.body.append(tip);
function tell(mark) {
  tip.textContent = mark.dataset.tip;
  tip.hidden = false;
  const at = mark.querySelector(".fill, .stem, text").getBoundingClientRect();
  const left = Math.min(Math.max(8, at.x + at.width / 2 - tip.offsetWidth / 2), innerWidth - tip.offsetWidth - 8);
  const above = at.y - tip.offsetHeight - 8;
  tip.style.left = left + "px";
  tip.style.top = (above > 8 ? above : Math.min(at.bottom + 8, innerHeight - tip.offsetHeight - 8)) + "px";
}
const hide = () => { tip.hidden = true; };
for (const plot of all("svg.plot")) {
  const marks = [...plot.querySelectorAll(".mark")];
  marks.forEach((mark, i) => {
    const title = mark.querySelector("title");
    mark.dataset.tip = title.textContent;
    mark.setAttribute("role", "img");
    mark.setAttribute("aria-label", title.textContent);
    mark.setAttribute("tabindex", i ? -1 : 0);
    title.remove();
    mark.addEventListener("pointerenter", () => tell(mark));
    mark.addEventListener("pointerleave", event => { if (event.pointerType === "mouse") hide(); });
    mark.addEventListener("focus", () => tell(mark));
    mark.addEventListener("blur", hide);
    mark.addEventListener("keydown", event => {
      const step = {ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1}[event.key];
      if (step && marks[i + step]) { event.preventDefault(); marks[i + step].focus(); }
    });
  });
}
document.addEventListener("keydown", event => { if (event.key === "Escape") hide(); });
document.addEventListener("pointerdown", event => { if (!event.target.closest(".mark")) hide(); });
document.addEventListener("scroll", hide, true);

for (const button of all(".all th button")) button.addEventListener("click", () => {
  const cell = button.parentElement, body = cell.closest("table").tBodies[0];
  const way = cell.getAttribute("aria-sort") === "ascending" ? -1 : 1;
  for (const other of cell.parentElement.cells) other.removeAttribute("aria-sort");
  cell.setAttribute("aria-sort", way > 0 ? "ascending" : "descending");
  const value = row => row.cells[cell.cellIndex];
  const compare = (a, b) => "sort" in a.dataset || "sort" in b.dataset
    ? Number(a.dataset.sort ?? Infinity) - Number(b.dataset.sort ?? Infinity)
    : a.textContent.localeCompare(b.textContent, "en", {numeric: true});
  body.append(...[...body.rows].sort((a, b) => way * compare(value(a), value(b))));
});
"""
