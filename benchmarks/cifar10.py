"""Train the network of seed text 002, section 5.2, on the real CIFAR-10, and draw its learning curve.

    python benchmarks/cifar10.py ROOT         ROOT holds cifar-10-batches-py or cifar-10-batches-bin

Writes benchmarks/results/cifar10.json and cifar10.svg (the picture needs matplotlib: pip install ".[plot]").
"""
from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--draw-only", action="store_true", help="draw the figures that are in results/ already")
    options = parser.parse_args()
    if not options.draw_only:
        from minitorch.train import train

        with tempfile.TemporaryDirectory() as folder:
            train("cifar10", root=options.root, epochs=options.epochs, checkpoint=f"{folder}/cifar10.pt",
                  history_file=str(RESULTS / "cifar10.json"))
    draw(json.loads((RESULTS / "cifar10.json").read_text())["history"])


def draw(history: list[dict]) -> None:
    """Test accuracy and training loss by epoch, in one picture."""
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    epochs = [h["epoch"] for h in history]
    accuracy = [100 * h["accuracy"] for h in history]
    figure, left = plt.subplots(figsize=(7, 3.6), layout="constrained")
    left.plot(epochs, accuracy, "o-", color="#0072b2", linewidth=2)
    left.set(xlabel="epoch", ylabel="test accuracy, %", xticks=epochs, ylim=(min(accuracy) - 4, max(accuracy) + 4),
             title="CIFAR-10: 50,000 training images, all 10,000 test images")
    left.yaxis.label.set_color("#0072b2")
    left.axhline(52, color="#777777", linewidth=1, linestyle=":")
    left.annotate("52 %: what the text reports", (epochs[-1], 52), ha="right", va="bottom", color="#555555", fontsize=9)
    left.annotate(f"{accuracy[-1]:.1f} %", (epochs[-1], accuracy[-1]), xytext=(0, 7), textcoords="offset points",
                  ha="center", color="#0072b2", weight="bold")
    left.set_ylim(min(*accuracy, 52) - 3, max(accuracy) + 5)
    right = left.twinx()
    right.plot(epochs, [h["loss"] for h in history], "s--", color="#d55e00", linewidth=1.5, markersize=4)
    right.set_ylabel("training loss", color="#d55e00")
    for side in (left, right):
        side.spines["top"].set_visible(False)
    left.grid(axis="y", alpha=0.25)
    figure.savefig(RESULTS / "cifar10.svg")


if __name__ == "__main__":
    main()
