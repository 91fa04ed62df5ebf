"""Knowledge distillation: a small network learns more from a large one's opinions than from the labels.

    python -m minitorch.examples.distill --data DIR

Hinton, Vinyals, Dean, "Distilling the knowledge in a neural network", 2015. A label says "this is a 3". The teacher
says "a 3, though it has something of an 8 and of a 5", and that tells the student how the digits resemble each other.
How much that is shows best where the student's own images are few, or where they lack a digit altogether: it then
learns a digit from what its teacher says about all the others.
"""
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from tqdm import tqdm

import minitorch as mt
from minitorch import nn
from minitorch.examples.data import batches, mnist
from minitorch.examples.options import options, picture
from minitorch.nn import functional as F

BATCH = 100
TEMPERATURE = 8.0  # divides the logits: the higher, the more the teacher's doubts show
MISSING = 3        # the digit that a student never sees
Model = TypeVar("Model", bound=nn.Module)


def teacher_network() -> nn.Module:
    """Three convolutions with batch norms, two linear layers: 5.7 million products an image."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(64, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(64 * 9, 160), nn.ReLU(), nn.Dropout(0.5), nn.Linear(160, 10))


def student_network(hidden: int = 128) -> nn.Sequential:
    """One hidden layer: 0.1 million products an image."""
    return nn.Sequential(nn.Flatten(), nn.Linear(784, hidden), nn.ReLU(), nn.Linear(hidden, 10))


def label_loss(logits: mt.Tensor, labels: mt.Tensor) -> mt.Tensor:
    """What everybody minimises: the cross-entropy of the labels."""
    return F.cross_entropy(logits, labels)


def distillation_loss(logits: mt.Tensor, teacher_logits: mt.Tensor) -> mt.Tensor:
    """KL(teacher || student), both softened by the temperature T.

    The gradient of softened logits is smaller by 1 / T^2, which the factor T^2 makes up for.
    """
    soft = F.kl_div(F.log_softmax(logits / TEMPERATURE, 1), F.softmax(teacher_logits / TEMPERATURE, 1),
                    reduction="batchmean")
    return soft * TEMPERATURE ** 2


def shifted(images: mt.Tensor) -> mt.Tensor:
    """The batch moved by up to two pixels in each direction, in one way for the whole batch."""
    down, right = mt.randint(-2, 3, (2,)).tolist()
    return mt.roll(images, (down, right), (2, 3))


def train(model: Model, loss_of: Callable, images: mt.Tensor, targets: mt.Tensor, steps: int, name: str,
          augment: bool = False) -> Model:
    """Adam on batches of `images` and `targets`, labels or a teacher's logits, with a rate that falls to 0."""
    optimizer = mt.optim.Adam(model.parameters(), lr=2e-3)
    schedule = mt.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)

    @mt.compile
    def step(x: mt.Tensor, y: mt.Tensor) -> mt.Tensor:
        optimizer.zero_grad()
        loss = loss_of(model(x), y)
        loss.backward()
        optimizer.step()
        schedule.step()
        return loss

    with tqdm(total=steps, desc=name, unit="step") as bar:
        while bar.n < steps:
            for chosen in batches(len(images), min(BATCH, len(images))):
                x = images[chosen]
                loss = step(shifted(x) if augment else x, targets[chosen])
                bar.update()
                if bar.n == steps:
                    break
            bar.set_postfix(loss=f"{loss.item():.4f}", refresh=False)
    model.eval()
    return model


@mt.no_grad()
def logits_of(model: nn.Module, images: mt.Tensor) -> mt.Tensor:
    """The logits of all images, computed 500 at a time."""
    return mt.cat([model(images[i:i + 500]) for i in range(0, len(images), 500)])


def per_digit(model: nn.Module, images: mt.Tensor, labels: mt.Tensor) -> list[float]:
    """The share of each digit's images that the model names right, and that of all images."""
    right = (logits_of(model, images).argmax(1) == labels).float()
    return [*(right[labels == digit].mean().item() for digit in range(10)), right.mean().item()]


@mt.no_grad()
def raise_bias(student: nn.Sequential, images: mt.Tensor) -> None:
    """Have a tenth of `images` (of which no labels are needed) taken for the digit that the student never saw.

    Its teacher has called that digit unlikely every time, from which the student learned a bias that is too low.
    """
    logits = logits_of(student, images)
    lead = mt.where(mt.arange(10) == MISSING, -mt.inf, logits).max(1).values - logits[:, MISSING]
    student[-1].bias[MISSING] += lead.quantile(0.1)


def experiment(images: mt.Tensor, labels: mt.Tensor, test: tuple[mt.Tensor, mt.Tensor], few: int,
               steps: int) -> tuple[dict[str, list[float]], nn.Module]:
    """Train the teacher on everything, and students on less; returns accuracies by digit, and the teacher."""
    teacher = train(teacher_network(), label_loss, images, labels, steps, "teacher", augment=True)
    advice = logits_of(teacher, images)
    scores = {"teacher": per_digit(teacher, *test)}
    others = mt.nonzero(labels != MISSING)[:, 0]
    for chosen, what in ((mt.arange(len(labels))[:few], f"{few} images"), (others, f"no {MISSING}s")):
        for loss_of, targets, how in ((label_loss, labels, "labels"), (distillation_loss, advice, "teacher")):
            name = f"{what}, {how}"
            student = train(student_network(), loss_of, images[chosen], targets[chosen], steps, name)
            scores[name] = per_digit(student, *test)
    raise_bias(student, images)
    scores[f"no {MISSING}s, teacher, bias raised"] = per_digit(student, *test)
    return scores, teacher


def draw(path: Path, scores: dict[str, list[float]], teacher: nn.Module, images: mt.Tensor,
         labels: mt.Tensor) -> None:
    """The accuracies, and what the teacher says, softened, about the digits it is least sure of."""
    soft = F.softmax(logits_of(teacher, images) / TEMPERATURE, 1)
    right = soft.argmax(1) == labels
    doubtful = mt.where(right, soft.max(1).values, 1).argsort()[:4]

    def figure(plt: Any, figure: Any) -> None:
        grid = figure.add_gridspec(2, 6)
        bars = figure.add_subplot(grid[:, :4])
        names = list(scores)
        bars.barh(names[::-1], [100 * scores[name][-1] for name in names[::-1]], color="#0072b2", label="all digits")
        bars.plot([100 * scores[name][MISSING] for name in names], names, "o", color="#d55e00", label=f"{MISSING}s")
        for name in names:
            bars.text(102, name, f"{100 * scores[name][-1]:.1f}", va="center")
        bars.set(xlabel="test accuracy, %", xlim=(-2, 112), title="Students and what they learned from")
        figure.legend(loc="outside lower left", ncols=2)
        for k, i in enumerate(doubtful.tolist()):
            axes = figure.add_subplot(grid[k // 2, 4 + k % 2])
            axes.imshow(images[i, 0].numpy(), cmap="gray_r")
            first, second = soft[i].argsort(descending=True)[:2].tolist()
            axes.set_title(f"{100 * soft[i, first]:.0f} % {first}, {100 * soft[i, second]:.0f} % {second}", fontsize=9)
            axes.axis("off")

    picture(path, figure, figsize=(10, 4))


def main(arguments: list[str] | None = None) -> None:
    chosen = options(__doc__, arguments, steps=1500, few=500)
    images, labels = mnist(chosen.data, train=True)
    test = mnist(chosen.data, train=False)
    scores, teacher = experiment(images, labels, test, chosen.few, chosen.steps)
    draw(chosen.out / "distill.png", scores, teacher, *test)
    print(f"{'learned from':32} all digits  {MISSING}s")
    for name, by_digit in scores.items():
        print(f"{name:32} {100 * by_digit[-1]:8.1f} %  {100 * by_digit[MISSING]:5.1f} %")


if __name__ == "__main__":
    main()
