"""Transfer learning: a network that has seen CIFAR-10 learns handwritten digits from a few examples each.

    python -m minitorch.examples.transfer --data DIR

Needs the checkpoint that `resnet_cifar` leaves in the folder --out. Three ways are compared, for 1 to 50 images a
digit: the network's features as they are, with a new linear layer on top (frozen); all of it trained further, from
where CIFAR-10 left it (fine-tuned); and the same network trained from random numbers (from scratch). Yosinski et
al., "How transferable are features in deep neural networks?", 2014.
"""
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tqdm import tqdm

import minitorch as mt
from minitorch import nn
from minitorch.examples.data import mnist
from minitorch.examples.options import options, picture
from minitorch.examples.resnet_cifar import ResNet, normalize
from minitorch.nn import functional as F
from minitorch.vision.utils import make_grid

SHOTS = (1, 2, 5, 10, 20, 50)  # images of each digit to learn from


def as_photographs(digits: mt.Tensor) -> mt.Tensor:
    """Grey digits (N, 1, 28, 28) in [0, 1] in the form of CIFAR-10's images: (N, 3, 32, 32), normalized."""
    return normalize((F.pad(digits, (2, 2, 2, 2)) * 255).expand(-1, 3, -1, -1))


def few_of_each(labels: mt.Tensor, shots: int) -> mt.Tensor:
    """Indices of `shots` samples of each digit, drawn at random."""
    order = mt.randperm(len(labels))
    return mt.cat([order[labels[order] == digit][:shots] for digit in range(10)])


def learning(parameters: Any, loss_of: Callable, lr: float, steps: int) -> Callable:
    """One step of AdamW whose rate falls to 0 over `steps`, as a function of a batch."""
    optimizer = mt.optim.AdamW(parameters, lr=lr, weight_decay=0.01)
    schedule = mt.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)

    @mt.compile
    def step(x: mt.Tensor, y: mt.Tensor) -> mt.Tensor:
        optimizer.zero_grad()
        loss = loss_of(x, y)
        loss.backward()
        optimizer.step()
        schedule.step()
        return loss

    return step


@mt.no_grad()
def features(model: ResNet, digits: mt.Tensor) -> mt.Tensor:
    """What the last layer sees of each digit, (N, 64); batch norms count with what they saw in training."""
    model.eval()
    return mt.cat([model.features(as_photographs(digits[i:i + 500])) for i in range(0, len(digits), 500)])


def frozen(model: ResNet, x: mt.Tensor, y: mt.Tensor, steps: int = 300) -> nn.Module:
    """A linear layer for the features of the digits x.

    As the network stays as it is, its features are computed once; the layer learns from them alone, in no time.
    """
    head, seen = nn.Linear(model.fc.in_features, 10), features(model, x)
    step = learning(head.parameters(), lambda x, y: F.cross_entropy(head(x), y), 0.02, steps)
    for _ in range(steps):
        step(seen, y)
    return head


def trained(model: ResNet, x: mt.Tensor, y: mt.Tensor, steps: int = 60) -> nn.Module:
    """The whole model trained on the digits x; its last layer is new."""
    model.fc = nn.Linear(model.fc.in_features, 10)
    model.train()
    x = as_photographs(x)
    step = learning(model.parameters(), lambda x, y: F.cross_entropy(model(x), y), 2e-3, steps)
    for _ in range(steps):
        chosen = mt.randperm(len(x))[:100]
        step(x[chosen], y[chosen])
    return model.fc


def compare(pretrained: dict, digits: mt.Tensor, labels: mt.Tensor, test: tuple[mt.Tensor, mt.Tensor],
            shots: tuple[int, ...] = SHOTS, repeats: int = 1) -> dict[str, list[float]]:
    """The test accuracy of each way for each number of shots, the mean of `repeats` draws of the images."""
    def score(model: ResNet, head: nn.Module) -> float:
        with mt.no_grad():
            return (head(features(model, test[0])).argmax(1) == test[1]).float().mean().item() / repeats

    def fresh(state: dict | None) -> ResNet:
        model = ResNet()
        if state is not None:
            model.load_state_dict(state)
        return model

    scores: dict[str, list[float]] = {"frozen": [], "fine-tuned": [], "from scratch": []}
    with tqdm(total=3 * len(shots) * repeats, unit="run") as bar:
        for n in shots:
            for way in scores.values():
                way.append(0.0)
            for _ in range(repeats):
                chosen = few_of_each(labels, n)
                x, y = digits[chosen], labels[chosen]
                model = fresh(pretrained)
                scores["frozen"][-1] += score(model, frozen(model, x, y))
                bar.update()
                for name, state in (("fine-tuned", pretrained), ("from scratch", None)):
                    model = fresh(state)
                    scores[name][-1] += score(model, trained(model, x, y))
                    bar.update()
    return scores


def draw(path: Path, scores: dict[str, list[float]], digits: mt.Tensor) -> None:
    """The accuracies by number of shots, and some of the digits."""

    def figure(plt: Any, figure: Any) -> None:
        left, right = figure.subplots(1, 2, width_ratios=(3, 2))
        for (name, values), marker in zip(scores.items(), "os^"):
            left.plot(SHOTS, [100 * v for v in values], marker + "-", label=name)
        left.set(xscale="log", xlabel="images of each digit to learn from", ylabel="test accuracy, %",
                 title="Handwritten digits, after CIFAR-10")
        left.set_xticks(SHOTS, [str(n) for n in SHOTS])
        left.minorticks_off()
        left.grid(alpha=0.3)
        left.legend()
        right.imshow(make_grid(digits[:20], nrow=5).permute(1, 2, 0).numpy())
        right.axis("off")

    picture(path, figure, figsize=(9, 4))


def main(arguments: list[str] | None = None) -> None:
    chosen = options(__doc__, arguments, checkpoint="", repeats=1)
    checkpoint = Path(chosen.checkpoint or chosen.out / "resnet20.pt")
    if not checkpoint.exists():
        raise SystemExit(f"there is no checkpoint {checkpoint}: python -m minitorch.examples.resnet_cifar writes it")
    pretrained = mt.load(checkpoint)["model"]
    test = mnist(chosen.data, train=False)
    scores = compare(pretrained, *mnist(chosen.data, train=True), test, repeats=chosen.repeats)
    draw(chosen.out / "transfer.png", scores, test[0])
    print(f"{'images a digit':16}" + "".join(f"{n:8}" for n in SHOTS))
    for name, values in scores.items():
        print(f"{name:16}" + "".join(f"{100 * v:6.1f} %" for v in values))


if __name__ == "__main__":
    main()
