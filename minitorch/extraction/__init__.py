"""`extract`: one plain NumPy script, forward and backward, with just the functions that a model uses."""
from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

TURNED = "differ by rounding in float32, which may decide on which side of 0 a ReLU's argument is"
INSIDE = 64  # elements in all up to which the arrays stand in the script


def extract(fn: Callable, *inputs: Any, dy: Any = None, optimizer: Any = None, path: Any = None) -> Extracted:
    """Write what `fn(*inputs)` computes, and its gradients, as a script that needs NumPy alone.

    `fn` is a function of tensors that returns a loss, or a Module: then the gradient of its output is `dy`, or ones.
    The script has the functions that are used, each beside its gradient; `forward(p, x)`, `backward(p, saved)` and
    `loss_and_grads(p, x)` as straight lines, with the names of the model's parameters and of the program's variables;
    and a main that runs them on the recorded parameters and inputs and compares the results with those of minitorch.
    With an `optimizer` (SGD, Adam or AdamW) it has the parameters' update, too, and `train(p, inputs)`, which takes
    steps from the optimizer's beginning. `path` saves it at once. Shapes, Python numbers and random numbers (dropout's
    masks) stay as they were in this call. The model, its buffers and the random number generator are left as they were.

    Raises ValueError where the result needs no gradient, NotImplementedError, with the name of the op, for custom
    Functions, sparse gradients, hooks on tensors, 16-bit and complex tensors (complex numbers on the way are fine),
    overlapping memory, and other optimizers. Warns where rounding in float32 has turned a ReLU over, or the like.

    >>> import minitorch as mt
    >>> w = mt.tensor([1.0, 2.0], requires_grad=True)
    >>> script = mt.extract(lambda x: ((w * x) ** 2).sum(), mt.tensor([3.0, 4.0]))
    >>> loss, grads = script.run()
    >>> loss.item(), grads["w"]
    (73.0, array([18., 64.], dtype=float32))
    """
    from ..tensor import Tensor
    from .names import argument_names, tensor_names
    from .script import Script
    from .tape import Run
    from .update import update

    if isinstance(fn, Tensor) or not callable(fn):
        raise TypeError(f"extract: fn expects a function or a Module, got {type(fn).__name__}: "
                        "extract(model, x) or extract(lambda x: ..., x)")
    run = Run(fn, inputs, dy)
    names = tensor_names(fn, run.tape.scopes.roots)
    script = Script(run, argument_names(fn, inputs), names)
    steps = [] if optimizer is None else update(optimizer, names, [script.gradients[key] for key in run.grads])
    made = Extracted(fn, run, script, steps)
    made.check()
    if path is not None:
        made.save(path)
    return made


class Extracted:
    """A script: `source` is its text, which prints; `save(path)` writes it, with its arrays beside it."""

    def __init__(self, fn: Callable, run: Any, script: Any, update: list[str]):
        from .text import whole

        self.parameters: dict[str, np.ndarray] = {**script.parameters, **script.constants}
        self.inputs = {name: np.array(run.tape.before.get(traced.slot.number, traced.plain))
                       for name, traced in script.input_arrays.items()}
        self.outputs = [np.array(traced.plain) for traced in run.outputs]
        self.gradients = {script.gradients[key]: np.array(traced.plain) for key, (_, traced) in run.grads.items()}
        self.dys = [np.array(traced.plain) for traced in run.dys]
        self.doubts = f": {'; '.join(run.tape.fixed)}" if run.tape.fixed else ""  # what a script cannot say of the run
        self.inside = sum(a.size for a in self.arrays().values()) <= INSIDE  # whether the arrays stand in the script
        double = any(a.dtype == np.float64 for a in (*self.outputs, *self.gradients.values()))
        self.tolerance = 1e-8 if double else 1e-4  # to which the script's main compares norms
        self.widened: dict[str, float] = {}  # what rounding has changed by more, and the tolerance for it
        self._write = lambda: whole(self, fn, script, update)
        self.source: str = self._write()

    def __str__(self) -> str:
        return self.source

    __repr__ = __str__

    def run(self) -> tuple[Any, dict[str, np.ndarray]]:
        """(the result, {name: gradient}) of the script, on the recorded parameters and inputs."""
        space: dict[str, Any] = {"__name__": "extracted"}
        exec(compile(self.source, "<minitorch.extract>", "exec"), space)
        p = {name: array.copy() for name, array in self.parameters.items()}
        return space["loss_and_grads"](p, *[x.copy() for x in self.inputs.values()])

    def check(self) -> None:
        """Run the script; raises RuntimeError where it gives other numbers than minitorch.

        Rounding in float32 may decide which side of zero a ReLU's argument is on. Where it has, the script says so.
        """
        results, grads = self.run()
        results = results if isinstance(results, tuple) else (results,)
        pairs = [(f"result {i}", ours, theirs) for i, (ours, theirs) in enumerate(zip(results, self.outputs), 1)]
        pairs += [(name, grads.get(name), theirs) for name, theirs in self.gradients.items()]
        largest = max((norm(g) for g in self.gradients.values() if np.isfinite(g).all()), default=0.0) or 1.0
        for name, ours, theirs in pairs:
            apart = _apart(ours, theirs, largest)
            if apart > (0.05 if theirs.dtype == np.float32 else self.tolerance):
                name = name if name.startswith("result ") else f"gradient of {name}"
                raise RuntimeError(f"extract: the script's {name} differs from the recorded one{self.doubts}")
            if apart > self.tolerance / 3:
                self.widened["result" if name == "result 1" else name] = 10.0 ** math.ceil(math.log10(3 * apart))
        if self.widened:
            warnings.warn(f"extract: {', '.join(self.widened)} {TURNED}; the script compares them less strictly, and "
                          "says so", stacklevel=3)
            self.source = self._write()

    def save(self, path: Any) -> Path:
        """Write the script to `path`, and its arrays to the .npz file of the same name, unless they stand in it."""
        path = Path(path)
        path.write_text(self.source, encoding="utf-8")
        if not self.inside:
            np.savez(path.with_suffix(".npz"), **self.arrays())  # type: ignore[arg-type]
        return path

    def arrays(self) -> dict[str, np.ndarray]:
        """All arrays of the script: parameters and constants as p/NAME, inputs as input/NAME."""
        return {**{f"p/{name}": a for name, a in self.parameters.items()},
                **{f"input/{name}": a for name, a in self.inputs.items()}}


def norm(x: Any) -> float:
    """The Euclidean norm of all elements, in float64."""
    return float(np.linalg.norm(np.asarray(x, np.float64)))


def _apart(ours: Any, theirs: np.ndarray, largest: float) -> float:
    """How far arrays are apart, relative to theirs; what is small beside the `largest` of all is rounding anyway."""
    if ours is None or np.shape(ours) != theirs.shape:
        return math.inf
    same = (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))  # infinities, too
    return norm(np.where(same, 0, ours - theirs)) / max(norm(np.where(np.isfinite(theirs), theirs, 0)), 0.1 * largest)


__all__ = ["Extracted", "extract"]
