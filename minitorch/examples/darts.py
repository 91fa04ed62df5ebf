"""Differentiable architecture search: a network learns which of its operations it needs, and loses the others.

    python -m minitorch.examples.darts --data DIR

Liu, Simonyan, Yang, "DARTS: differentiable architecture search", 2018, its first-order variant, on 10,000 images of
CIFAR-10. Each edge of a cell is at first a mixture of all operations, weighted by a softmax. Two optimizers take
turns: one trains the operations on one half of the images, the other the mixtures on the other half. Then each
node keeps the two edges, and each edge the operation, of the largest weights, and that network is trained anew;
beside it, networks of cells drawn at random, which any search has to beat.
"""
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tqdm import tqdm

import minitorch as mt
from minitorch import nn
from minitorch.examples.data import batches, cifar10
from minitorch.examples.options import options, picture
from minitorch.examples.resnet_cifar import Augmented, accuracy
from minitorch.nn import functional as F

BATCH, CHANNELS, NODES = 64, 16, 4
EDGES = [(i, j) for j in range(1, NODES) for i in range(j)]  # (from, to); node 0 is the cell's input
Cell = dict[tuple[int, int], str]  # an operation for each edge that is kept


def convolution(c: int, size: int) -> nn.Module:
    return nn.Sequential(nn.ReLU(), nn.Conv2d(c, c, size, padding=size // 2, bias=False),
                         nn.BatchNorm2d(c, affine=False))


def pooling(c: int, pool: type) -> nn.Module:
    return nn.Sequential(pool(3, stride=1, padding=1), nn.BatchNorm2d(c, affine=False))


OPERATIONS: dict[str, Callable[[int], nn.Module]] = {
    "conv 3x3": lambda c: convolution(c, 3),
    "conv 1x1": lambda c: convolution(c, 1),
    "max pool": lambda c: pooling(c, nn.MaxPool2d),
    "avg pool": lambda c: pooling(c, nn.AvgPool2d),
    "skip": lambda c: nn.Identity(),
}
NAMES = list(OPERATIONS)


# The network ---------------------------------------------------------------------------------------------------------

class CellNet(nn.Module):
    """Nodes 1 to 3 are sums over their edges; all three, side by side, are the result. With `cell`, its edges only."""

    def __init__(self, channels: int, cell: Cell | None):
        super().__init__()
        self.kept = EDGES if cell is None else list(cell)
        self.edges = nn.ModuleList([
            nn.ModuleList([OPERATIONS[name](channels) for name in (NAMES if cell is None else [cell[edge]])])
            for edge in self.kept])

    def forward(self, x: mt.Tensor, weights: mt.Tensor | None) -> mt.Tensor:
        nodes = [x]
        for j in range(1, NODES):
            terms = []
            for e, (i, to) in enumerate(self.kept):
                if to == j:
                    for o, operation in enumerate(self.edges[e]):
                        term = operation(nodes[i])
                        terms.append(term if weights is None else weights[e, o] * term)
            nodes.append(sum(terms[1:], terms[0]))
        return mt.cat(nodes[1:], 1)


class Network(nn.Module):
    """Images (N, 3, 32, 32) -> logits: two cells of one design, at 16x16 and 8x8 pixels.

    Without `cell` all operations are there, mixed by softmax(alpha) along each edge.
    """

    def __init__(self, cell: Cell | None = None, channels: int = CHANNELS):
        super().__init__()
        self.alpha = nn.Parameter(mt.zeros(len(EDGES), len(NAMES))) if cell is None else None
        after = (NODES - 1) * channels
        self.stem = nn.Sequential(nn.Conv2d(3, channels, 3, 2, 1, bias=False), nn.BatchNorm2d(channels))
        self.first = CellNet(channels, cell)
        self.reduce = nn.Sequential(nn.ReLU(), nn.Conv2d(after, 2 * channels, 3, 2, 1, bias=False),
                                    nn.BatchNorm2d(2 * channels))
        self.second = CellNet(2 * channels, cell)
        self.fc = nn.Linear(2 * after, 10)

    def forward(self, x: mt.Tensor) -> mt.Tensor:
        weights = None if self.alpha is None else self.alpha.softmax(1)
        x = self.first(self.stem(x), weights)
        x = self.second(self.reduce(x), weights)
        return self.fc(F.relu(x).mean((2, 3)))


# The search ----------------------------------------------------------------------------------------------------------

def search(images: mt.Tensor, labels: mt.Tensor, epochs: int) -> tuple[Cell, list[list[float]]]:
    """The cell found, and the weights, edge by operation, at the end of the search."""
    model = Network()
    assert model.alpha is not None
    weights = [p for p in model.parameters() if p is not model.alpha]
    half, augmented = len(labels) // 2, Augmented(images)
    steps = epochs * (half // BATCH)
    of_weights = mt.optim.SGD(weights, lr=0.05, momentum=0.9, weight_decay=3e-4)
    of_alpha = mt.optim.Adam([model.alpha], lr=6e-3, betas=(0.5, 0.999), weight_decay=1e-3)
    schedule = mt.optim.lr_scheduler.CosineAnnealingLR(of_weights, steps)

    @mt.compile
    def weight_step(x: mt.Tensor, y: mt.Tensor) -> mt.Tensor:
        of_weights.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward(inputs=weights)
        of_weights.step()
        schedule.step()
        return loss

    @mt.compile
    def alpha_step(x: mt.Tensor, y: mt.Tensor) -> mt.Tensor:
        of_alpha.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward(inputs=[model.alpha])
        of_alpha.step()
        return loss

    with tqdm(total=steps, desc="search", unit="step") as bar:
        for _ in range(epochs):
            for a, b in zip(batches(half, BATCH), batches(half, BATCH)):
                loss = alpha_step(augmented[b + half], labels[b + half])
                weight_step(augmented[a], labels[a])
                bar.update()
            bar.set_postfix(loss=f"{loss.item():.3f}", refresh=False)
    mixture = model.alpha.detach().softmax(1).tolist()
    return derive(mixture), mixture


def derive(weights: list[list[float]]) -> Cell:
    """Of each edge the operation, of each node the two edges, with the largest weights.

    >>> derive([[0.6, 0.1, 0.1, 0.1, 0.1]] * 5 + [[0.2] * 5])
    {(0, 1): 'conv 3x3', (0, 2): 'conv 3x3', (1, 2): 'conv 3x3', (0, 3): 'conv 3x3', (1, 3): 'conv 3x3'}
    """
    strength = {edge: max(row) for edge, row in zip(EDGES, weights)}
    names = {edge: NAMES[row.index(max(row))] for edge, row in zip(EDGES, weights)}
    best = [sorted((e for e in EDGES if e[1] == j), key=lambda e: -strength[e])[:2] for j in range(1, NODES)]
    return {edge: names[edge] for edges in best for edge in sorted(edges)}


def random_cell() -> Cell:
    """What `derive` makes of weights that mean nothing."""
    return derive(mt.rand(len(EDGES), len(NAMES)).tolist())


def train(cell: Cell, images: mt.Tensor, labels: mt.Tensor, epochs: int, name: str) -> Network:
    """A network of this cell, trained from scratch."""
    model, augmented = Network(cell), Augmented(images)
    steps = epochs * (len(labels) // BATCH)
    optimizer = mt.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=3e-4)
    schedule = mt.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=steps, cycle_momentum=False)

    @mt.compile
    def step(x: mt.Tensor, y: mt.Tensor) -> mt.Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        schedule.step()
        return loss

    with tqdm(total=steps, desc=name, unit="step") as bar:
        for _ in range(epochs):
            for chosen in batches(len(labels), BATCH):
                loss = step(augmented[chosen], labels[chosen])
                bar.update()
            bar.set_postfix(loss=f"{loss.item():.3f}", refresh=False)
    return model


# The picture ---------------------------------------------------------------------------------------------------------

def draw(path: Path, cell: Cell, mixture: list[list[float]], scores: dict[str, float]) -> None:
    """The cell found, the weights of all operations at the end of the search, and the accuracies."""
    def figure(plt: Any, figure: Any) -> None:
        graph, weights, bars = figure.subplots(1, 3, width_ratios=(3, 4, 2))
        places = [(0, 0.0), (1, 0.5), (2, -0.5), (3, 0.5)]
        for (i, j), name in cell.items():
            (x0, y0), (x1, y1) = places[i], places[j]
            graph.annotate("", (x1, y1), (x0, y0), arrowprops=dict(arrowstyle="->", shrinkA=14, shrinkB=14))
            graph.text(x0 + 0.42 * (x1 - x0), y0 + 0.42 * (y1 - y0), name, ha="center", va="center", fontsize=8,
                       bbox=dict(facecolor="white", edgecolor="none", pad=1))
        for n, (x, y) in enumerate(places):
            graph.text(x, y, "in" if n == 0 else str(n), ha="center", va="center",
                       bbox=dict(boxstyle="circle", facecolor="#cfe3f3"))
        graph.set(xlim=(-0.4, 3.4), ylim=(-1, 1), title="the cell found")
        graph.axis("off")
        shades = weights.imshow(mixture, cmap="viridis", aspect="auto")
        weights.set_xticks(range(len(NAMES)), NAMES, rotation=30, ha="right")
        weights.set_yticks(range(len(EDGES)), [f"{i or 'in'} to {j}" for i, j in EDGES])
        weights.set_title("weights at the end of the search")
        figure.colorbar(shades, ax=weights)
        bars.barh(list(scores), [100 * s for s in scores.values()], color=["#d55e00"] + ["#777777"] * len(scores))
        bars.invert_yaxis()
        bars.set(xlabel="test accuracy, %")

    picture(path, figure, figsize=(12, 3.6))


def main(arguments: list[str] | None = None) -> None:
    chosen = options(__doc__, arguments, epochs=12, train_epochs=8, images=10_000, random=3)
    images, labels = (t[:chosen.images] for t in cifar10(chosen.data, train=True))
    test = cifar10(chosen.data, train=False)
    found, mixture = search(images, labels, chosen.epochs)
    cells = {"found": found, **{f"random {k + 1}": random_cell() for k in range(chosen.random)}}
    scores = {}
    for name, cell in cells.items():
        model = train(cell, images, labels, chosen.train_epochs, name)
        scores[name] = accuracy(model, *test)
        print(f"{name}: {100 * scores[name]:.1f} % of {len(test[1])} test images, "
              f"{sum(p.numel() for p in model.parameters()):,} parameters: "
              + ", ".join(f"{i or 'in'} to {j} {name}" for (i, j), name in cell.items()))
    draw(chosen.out / "darts.png", found, mixture, scores)


if __name__ == "__main__":
    main()
