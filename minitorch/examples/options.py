"""What the examples have in common besides their data: the command line, and pictures."""
from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import minitorch as mt
from minitorch.vision.utils import save_image


def options(description: str | None, arguments: list[str] | None = None, data: str | None = "MNIST or CIFAR-10",
            **defaults: Any) -> argparse.Namespace:
    """The command line of an example: --data (unless `data` is None), --out, --seed, and one for each of `defaults`.

    A default is the value of an option, or a tuple: what to choose from in a word without a flag, the first unless
    told otherwise. Seeds the random numbers and makes the folder --out.

    >>> options("An example.", ["--epochs", "2", "--out", "."], epochs=10, lr=0.1).epochs
    2
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    if data is not None:
        parser.add_argument("--data", default="data", help=f"folder of {data}, as published; what is missing is "
                                                           "downloaded there (default: %(default)s)")
    parser.add_argument("--out", default="out", type=Path, help="folder for pictures and checkpoints (default: out)")
    parser.add_argument("--seed", default=0, type=int)
    for name, value in defaults.items():
        flag = "--" + name.replace("_", "-")
        if isinstance(value, bool):
            parser.add_argument(flag, action="store_true")
        elif isinstance(value, tuple):
            parser.add_argument(name, nargs="?", choices=value, default=value[0], help="default: %(default)s")
        else:
            parser.add_argument(flag, default=value, type=type(value), help=f"default: {str(value).strip() or 'none'}")
    chosen = parser.parse_args(arguments)
    mt.manual_seed(chosen.seed)
    chosen.out.mkdir(parents=True, exist_ok=True)
    return chosen


def picture(path: Path, draw: Callable[[Any, Any], None], **size: Any) -> None:
    """Have `draw(plt, figure)` draw with matplotlib, and save it; without matplotlib, say what is missing."""
    try:
        import matplotlib
    except ImportError:
        print(f"no picture {path}: it needs matplotlib (pip install matplotlib)")
        return
    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    figure = plt.figure(layout="constrained", **size)
    draw(plt, figure)
    figure.savefig(path, dpi=120)
    plt.close(figure)
    print(f"picture: {path}")


def learning_curves(path: Path, runs: dict[str, list[list[float]]], unit: str) -> None:
    """Draw runs, each of rows [step, loss on what is trained on (dashed), loss on what is not (solid)]."""
    def draw(plt: Any, figure: Any) -> None:
        axes = figure.subplots()
        for i, (name, history) in enumerate(runs.items()):
            at, seen, new = zip(*history)
            axes.plot(at, new, color=f"C{i}", label=f"{name}: held out")
            axes.plot(at, seen, "--", color=f"C{i}", label=f"{name}: training")
        axes.set(xlabel="step", ylabel=unit)
        axes.legend()

    picture(path, draw, figsize=(6, 4))


def save_grid(path: Path, images: mt.Tensor, columns: int = 10) -> None:
    """Save images (N, C, H, W) with values in [0, 1] in rows of `columns`; without Pillow, say what is missing."""
    try:
        save_image(images, path, nrow=columns)
        print(f"picture: {path}")
    except ImportError as error:
        print(f"no picture {path}: {error}")
