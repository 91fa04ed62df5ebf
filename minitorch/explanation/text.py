"""An explanation as text for a terminal: sections with a heading, wrapped to its width."""
from __future__ import annotations

import shutil
import textwrap
from typing import TYPE_CHECKING

from .versions import ARRAYS, KernelOf, VersionOf, missing

if TYPE_CHECKING:
    from .description import Explanation

HEADINGS = {"op": "a differentiable op", "function": "a function made of ops", "method": "a method of Tensor",
            "layer": "a layer", "optimizer": "an optimizer", "kernel": "a kernel: arrays in, arrays out"}
MANY = 8  # kernels that are shown with all their versions; of more, only their names and what they compute


def text_of(e: Explanation, source: bool = False) -> str:
    """All sections; with `source` the code of the op, of each reference and of each predicate too."""
    sections = [_head(e), _formula(e), _gradient(e), _parts(e), *_kernels(e, source)]
    sections += [_source(e)] if source and e.kind != "kernel" else []
    return "\n\n".join(section for section in [*sections, _crossovers(e), _proof(e)] if section)


def section(title: str, lines: list[str]) -> str:
    """A heading and its lines, indented; "" where there are none."""
    return "\n".join([title, *(textwrap.indent(line, "  ") for line in lines)]) if lines else ""


def wrapped(text: str, indent: int = 0, first: str = "") -> str:
    """`text` in lines that fit the terminal, the later ones indented by `indent` more."""
    return textwrap.fill(text, width() - 2, initial_indent=first, subsequent_indent=" " * indent,
                         break_long_words=False, break_on_hyphens=False)


def width() -> int:
    """Columns to fill: the terminal's, between 60 and 110."""
    return min(max(shutil.get_terminal_size((100, 24)).columns, 60), 110)


def _head(e: Explanation) -> str:
    return "\n".join([f"{e.name}: {HEADINGS[e.kind]}, {e.location}", wrapped(e.signature, 6, "  ")])


def _formula(e: Explanation) -> str:
    prose = e.doc.partition("\n>>>")[0].strip()
    if prose.startswith(e.formula) and e.formula:
        prose = prose.removeprefix(e.formula).lstrip(".;, \n")
    paragraphs = [_paragraph(text) for text in prose.split("\n\n") if text.strip(" .\n") not in ("", e.formula)]
    return "\n\n".join(filter(None, [section("Formula", [e.formula] if e.formula else []),
                                     section("In words", ["\n\n".join(paragraphs)] if paragraphs else [])]))


def _paragraph(text: str) -> str:
    """A paragraph of a docstring in the terminal's width; one that is laid out by hand stays as it is."""
    by_hand = any(line.startswith(" ") for line in text.split("\n"))
    return text if by_hand else wrapped(" ".join(text.split()))


def _gradient(e: Explanation) -> str:
    if e.kind == "optimizer":
        return section("A step", [e.source])
    if e.kind == "op":
        return section("Gradient, from dy of the result", [e.gradient or "none"])
    return section("Gradient, of the ops that it is made of", [e.gradient] if e.gradient else [])


def _parts(e: Explanation) -> str:
    title = "Made of" if e.kind != "op" else "Around the op, its public function calls"
    return section(title, [wrapped(", ".join(e.parts))] if e.parts else [])


def _kernels(e: Explanation, source: bool) -> list[str]:
    if not e.kernels:
        return [section("Kernels", ["none: the array module's own functions"])] if e.kind == "op" else []
    shown = e.entries
    if len(shown) > MANY and not source:
        width = max(len(k.name) for k in shown)
        lines = [wrapped(k.summary, width + 2, f"{k.name:{width}}  ") for k in shown]
        return [section("Kernels (`minitorch explain k.NAME` says more)", lines)]
    return [_kernel(e, kernel, source) for kernel in shown]


def _kernel(e: Explanation, kernel: KernelOf, source: bool) -> str:
    role = "" if e.kind in ("kernel", "optimizer") else ", for the value" if kernel.name in e.forward else \
        ", for the gradient"
    lines = [kernel.signature, wrapped(kernel.summary)] if e.kind != "kernel" else []
    lines.append(f"reference  {kernel.location}")
    lines += [textwrap.indent(kernel.source, "    ")] * source
    for device in ARRAYS:
        lines += _device(kernel, device, source)
    return section(f"Kernel {kernel.name}{role}", lines)


def _device(kernel: KernelOf, device: str, source: bool) -> list[str]:
    array_module, package = ARRAYS[device]
    here = [v for v in kernel.versions if v.device == device]
    versions, rungs = [v for v in here if v.backend != "ladder"], [v for v in here if v.backend == "ladder"]
    without = missing(package)
    reference = f"the reference, on {array_module}" + (f" ({without})" if without else "")
    lines = [f"on {device}:" + ("" if versions else f" {reference}")]
    column = max([len(v.name) for v in versions], default=0) + 2
    for version in versions:
        lines += _version(version, column, source)
    falls_back = versions and all(v.refuses or v.missing for v in versions)
    return lines + [f"  {'else':{column}}{reference}"] * bool(falls_back) + _ladder(kernel, rungs, source)


def _ladder(kernel: KernelOf, rungs: list[VersionOf], source: bool) -> list[str]:
    """The versions that are there to be studied: they run where `use` says so."""
    if not rungs:
        return []
    column = max(len(v.name) for v in rungs) + 2
    lines = [f'the ladder, for with minitorch.use({kernel.name}="{rungs[-1].name}"):']
    for rung in rungs:
        lines.append(wrapped(rung.idea or rung.location, column + 4, f"  {rung.name:{column}}"))
        lines += [textwrap.indent(rung.source, " " * (column + 4))] * bool(source and rung.source)
    return lines


def _version(version: VersionOf, column: int, source: bool) -> list[str]:
    lines = [f"  {version.name:{column}}{version.location}" + (f"  ({version.missing})" if version.missing else "")]
    takes = "refuses: " + "; ".join(version.refuses) if version.refuses else "takes everything"
    lines.append(wrapped(takes, column + 4, " " * (column + 2)))
    if source:
        lines += [textwrap.indent(text, " " * (column + 4)) for text in (version.predicate, version.source) if text]
    return lines


def _source(e: Explanation) -> str:
    return section(f"Source, {e.location}", [e.source] if e.source else [])


def _crossovers(e: Explanation) -> str:
    from .crossovers import text_for

    return section("Crossovers, where versions compete", text_for(e.kernels))


def _proof(e: Explanation) -> str:
    lines = [wrapped(str(proof), 4) for proof in e.proofs[:MANY]]
    more = len(e.proofs) - MANY
    lines += [f"and {more} more"] if more > 0 else []
    names = dict.fromkeys(proof.name.partition("-")[0] for proof in e.proofs if not proof.name.startswith("k."))
    lines += [f"prove it here: minitorch selfcheck --only {name}" for name in list(names)[:1]]
    return section("Proof: the samples of the tests", lines)
