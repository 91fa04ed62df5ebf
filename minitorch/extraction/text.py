"""The parts of the script put together: what it is, its functions, the two passes, and the main that checks them."""
from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..nn import Module
from . import TURNED, norm
from .expressions import literal
from .layout import BODY, in_brackets, joined, unpacked, wrapped
from .names import plain


def whole(made: Any, fn: Any, script: Any, update: list[str]) -> str:
    """The script's text; `update` are the functions of an optimizer."""
    functions = script.library.text()
    needs = script.library.imports()
    head = [f'"""{_title(fn, script)}, forward and backward, in plain NumPy.', "", *_about(made, fn, script), '"""']
    top = [line for line in _imports(needs) if line.startswith(("import", "from"))]
    values = [line for line in _imports(needs) if not line.startswith(("import", "from")) and line]
    top += [] if made.inside else ["from pathlib import Path"]
    top.sort(key=lambda line: (line.startswith("from"), line))
    parts = ["\n".join([*head, *top, *([""] if top else []), "import numpy as np"])]
    model = [*script.functions, _forward(script)]
    parts += [_section("The model") + "\n\n" + model[0], *model[1:], _backward(made, script), _both(made, script)]
    functions = ["\n".join(w for line in values for w in wrapped(line))] * bool(values) + functions
    if functions:
        parts += [_section("The functions that it uses, each followed by its gradient") + "\n\n" + functions[0],
                  *functions[1:]]
    parts += [_section("Training") + "\n\n" + update[0], *update[1:]] if update else []
    parts += [_section("Try it") + "\n\n" + _load(made), *_main(made, script, bool(update))]
    parts.append('if __name__ == "__main__":\n    main()')
    text = "\n\n\n".join(parts) + "\n"
    return text


def _imports(found: dict[str, Any]) -> list[str]:
    """Import statements, and lines for constants."""
    lines, values = [], []
    for name, value in sorted(found.items()):
        if hasattr(value, "__name__") and not hasattr(value, "__module__"):
            lines.append(f"import {value.__name__}" + (f" as {name}" if value.__name__ != name else ""))
        elif hasattr(value, "__module__") and hasattr(value, "__name__"):
            lines.append(f"from {value.__module__} import {value.__name__}")
        else:
            values.append(f"{name} = {value!r}")
    return [*sorted(lines), *values]


def _title(fn: Any, script: Any) -> str:
    if isinstance(fn, Module) or len(script.tape.scopes.roots) == 1:
        return type(script.tape.scopes.roots[0]).__name__
    name = getattr(fn, "__name__", type(fn).__name__)
    return "A function" if name == "<lambda>" else name


def _about(made: Any, fn: Any, script: Any) -> Iterator[str]:
    parameters = [a for n, a in script.parameters.items() if a.dtype.kind == "f"]
    count = sum(a.size for a in parameters)
    inputs = ", ".join(f"{n} {a.shape}" for n, a in made.inputs.items())
    ops = sorted({plain(op) for op in script.tape.ops})
    text = (f"Written by minitorch.extract, which recorded one call and took from the library just what that needed: "
            f"{len(ops)} op{'s' * (len(ops) != 1)} ({', '.join(ops)})"
            f"{f', {count:,} numbers in {len(parameters)} arrays of parameters' if parameters else ''}"
            f"{', inputs ' + inputs if inputs else ''}.")
    yield from textwrap.wrap(text, 100)
    yield ""
    yield from textwrap.wrap("`forward` computes value after value. `backward` takes them in reverse: d_x is the "
                             "gradient of the result for x, which each line makes from the gradient of what x became. "
                             "Where x was used twice, its two gradients are added.", 100)
    if script.tape.drawn:
        yield ""
        yield from textwrap.wrap("Random numbers (p[\"...random\"]) are those that were drawn in the recorded call, "
                                 "so that the results agree; to train on, draw new ones in each step.", 100)
    if made.doubts:
        yield ""
        yield from textwrap.wrap(f"For these inputs alone:{made.doubts.partition(':')[2]}.", 100)


def _section(title: str) -> str:
    return f"# {'-' * 78}\n# {title}\n# {'-' * 78}"


def _results(script: Any) -> str:
    return ", ".join(script.called[slot] for slot in script.outputs)


def _saved(script: Any) -> str:
    return in_brackets(script.saved)


def _forward(script: Any) -> str:
    head = f"def forward({', '.join(['p', *script.inputs])}):"
    lines = [*script.forward_lines]
    if script.saved:
        lines += ["", *wrapped(f"saved = {_saved(script)}", BODY)]
    lines.append(f"return {_results(script)}, {'saved' if script.saved else '()'}")
    return joined(head, "The result, and the values that backward needs.", lines)


def _backward(made: Any, script: Any) -> str:
    dys = ", ".join(script.called[t.slot] for t in script.run.dys)
    lines = unpacked(script.saved)
    lines += ["grads = {}", "", *script.backward_lines, "return grads"]
    return joined(f"def backward(p, saved, {dys}):",
                     f"The gradients of all parameters, from {dys}, the gradient of the result.", lines)


def _both(made: Any, script: Any) -> str:
    names = ", ".join(["p", *script.inputs])
    dys: list[str] = []
    results = _results(script)
    lines = [f"{results}, saved = forward({names})"]
    name = f"d_{results}=" if len(made.dys) == 1 and results.isidentifier() else ""
    for array in made.dys:
        if array.ndim == 0:
            dys.append(f"{name}np.{array.dtype.name}({array.item()!r})")
        elif (array == 1).all():
            dys.append(f"{name}np.ones({literal(array.shape)}, {literal(array.dtype)})")
        else:
            own = "dy" if len(made.dys) == 1 else f"dy{len(dys) + 1}"
            made.parameters[own] = array
            dys.append(f'{name}p["{own}"]')
    lines.append(f"return {results if len(made.dys) == 1 else f'({results})'}, backward(p, saved, {', '.join(dys)})")
    return joined(f"def loss_and_grads({names}):", "The result and its gradients, by name.", lines)


def _load(made: Any) -> str:
    doc = "The parameters and the inputs of the recorded call."
    names = list(made.inputs)
    if not made.inside:
        lines = ['with np.load(Path(__file__).with_suffix(".npz")) as file:',
                 '    p = {name[2:]: file[name] for name in file if name.startswith("p/")}',
                 f"    return p, [{', '.join(f'file[{chr(34)}input/{n}{chr(34)}]' for n in names)}]"]
        return joined("def load():", doc, lines)
    text = ["p = {}", *(f'p["{name}"] = {_array(a)}' for name, a in made.parameters.items()),
            *(f"{name} = {_array(a)}" for name, a in made.inputs.items()), f"return p, [{', '.join(names)}]"]
    return joined("def load():", doc, "\n".join(text).split("\n"))


def _array(array: np.ndarray) -> str:
    shape = "" if array.size or array.ndim == 1 else f".reshape({literal(array.shape)})"
    shown = np.array2string(array, 80, separator=", ", threshold=sys.maxsize, floatmode="unique", prefix=" " * 9)
    return f"np.array({shown}, {literal(array.dtype)}){shape}"


def _main(made: Any, script: Any, trains: bool) -> Iterator[str]:
    single = len(made.outputs) == 1 and made.outputs[0].ndim == 0
    recorded = {"result": float(made.outputs[0]) if single else norm(made.outputs[0]),
                **{name: norm(gradient) for name, gradient in made.gradients.items()}}
    lines = "".join(f'    "{name}": {literal(float(f"{value:.9g}"))},\n' for name, value in recorded.items())
    what = "loss" if single else "norm of the result"
    yield f"# the {what}, and the norm of each gradient, as minitorch computed them\nRECORDED = {{\n{lines}}}"
    if made.widened:
        yield "\n".join([*textwrap.wrap(f"These {TURNED}. So they are compared less strictly.", 98, initial_indent="# ",
                                        subsequent_indent="# "), f"WIDENED = {made.widened}".replace("'", '"')])
    if single:
        names = literal(list(made.inputs)).replace("'", '"')
        yield joined("def check_gradients(p, inputs, entries=3, eps=1e-5):",
                     "The largest difference of a few entries to (loss(p + eps) - loss(p - eps)) / (2 eps).",
                     _CHECK.replace("NAMES", names).strip().split("\n"))
    first = "result[0]" if len(made.outputs) > 1 else "result"
    result = "float(result)" if single else f"float(np.linalg.norm({first}))"
    body = ["p, inputs = load()", "result, grads = loss_and_grads(p, *inputs)",
            f"found = {{\"result\": {result},",
            "         **{name: float(np.linalg.norm(grad)) for name, grad in grads.items()}}",
            'largest = np.nanmax([norm for name, norm in RECORDED.items() if name != "result"])',
            "for name, recorded in RECORDED.items():"]
    limit, close = made.tolerance, "close = np.isclose(found[name], recorded, {}, 0.1 * {} * largest, equal_nan=True)"
    if made.widened:
        body += [f"    limit = WIDENED.get(name, {limit!r})", f"    {close.format('limit', 'limit')}",
                 '    print(f"{name:40} {found[name]:.6g}" + f"  (compared to {limit} only)" * (name in WIDENED))',
                 "    assert close, name",
                 'print("as minitorch computed them, but for rounding in those of WIDENED")']
    else:
        body += [f"    {close.format(repr(limit), repr(limit / 10)).replace('0.1 * ', '')}",
                 '    print(f"{name:40} {found[name]:.6g}")', "    assert close, name",
                 'print("as minitorch computed them")']
    if single:
        body += ["print(f\"largest difference to finite differences: {check_gradients(p, inputs):.1e}\")"]
    body += ["train(p, inputs)"] * trains
    yield joined("def main():", "Run both passes and compare them with what was recorded.", body)


_CHECK = """
p = {name: a.astype(np.float64) if a.dtype.kind == "f" else a for name, a in p.items()}
inputs = [a.astype(np.float64) if a.dtype.kind == "f" else a for a in inputs]
arrays = {**p, **dict(zip(NAMES, inputs))}
_, grads = loss_and_grads(p, *inputs)
worst = 0.0
for name, grad in grads.items():
    for i in np.random.default_rng(0).integers(0, grad.size, min(entries, grad.size)):
        place = np.unravel_index(i, grad.shape)
        before, ends = arrays[name][place], []
        for step in (eps, -eps):
            arrays[name][place] = before + step
            ends.append(forward(p, *inputs)[0])
        arrays[name][place] = before
        slope = (ends[0] - ends[1]) / (2 * eps)
        worst = max(worst, abs(slope - grad[place]) / max(1.0, abs(slope)))
return worst
"""
