"""ResNet-20 on CIFAR-10: from the images to a network that names six in seven of them.

    python -m minitorch.examples.resnet_cifar --data DIR

He, Zhang, Ren, Sun, "Deep residual learning for image recognition", 2015, section 4.2: a convolution, nine blocks
of two, a linear layer; 270,000 parameters. The paper trains for 164 epochs, in which the rate falls in steps, and
reaches 91.25 %. Here the rate goes up and down once, which comes within a few percent of that in 18 epochs.
"""
from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

import minitorch as mt
from minitorch import nn
from minitorch.examples.data import CIFAR_CLASSES, batches, cifar10
from minitorch.examples.options import options, picture
from minitorch.nn import functional as F

MEAN = mt.as_tensor([125.3, 123.0, 113.9]).reshape(3, 1, 1)  # of the training images, channel by channel
STD = mt.as_tensor([63.0, 62.1, 66.7]).reshape(3, 1, 1)
BATCH = 128


# The network ---------------------------------------------------------------------------------------------------------

class Block(nn.Module):
    """relu(x + f(x)), f two 3x3 convolutions: what the block learns is how its output differs from its input.

    Where the image shrinks and the channels double, the shortcut takes every second pixel and fills up with channels
    of zeros (the paper's option A), so that it has no parameters.
    """

    def __init__(self, before: int, after: int):
        super().__init__()
        self.stride, self.missing = (1, 0) if before == after else (2, after - before)
        self.conv1 = nn.Conv2d(before, after, 3, self.stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(after)

    def forward(self, x: mt.Tensor) -> mt.Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        if self.missing:
            half = self.missing // 2
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, half, self.missing - half))
        return F.relu(y + x)


class ResNet(nn.Module):
    """ResNet-(6n+2) for images (N, 3, 32, 32): n blocks each on 32x32, 16x16 and 8x8 pixels; returns logits."""

    def __init__(self, n: int = 3, classes: int = 10, width: int = 16):
        super().__init__()
        self.conv = nn.Conv2d(3, width, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(width)
        widths = [width] * (n + 1) + [2 * width] * n + [4 * width] * n
        self.blocks = nn.Sequential(*[Block(a, b) for a, b in pairwise(widths)])
        self.fc = nn.Linear(4 * width, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def features(self, x: mt.Tensor) -> mt.Tensor:
        """What the linear layer sees of each image: (N, 4 * width), averaged over the last pixels."""
        return self.blocks(F.relu(self.bn(self.conv(x)))).mean((2, 3))

    def forward(self, x: mt.Tensor) -> mt.Tensor:
        return self.fc(self.features(x))


# The images ----------------------------------------------------------------------------------------------------------

def normalize(images: mt.Tensor) -> mt.Tensor:
    """Bytes to float32 of mean 0 and deviation 1, channel by channel."""
    return (images.float() - MEAN) / STD


class Augmented:
    """Training images that look a little different each time: shifted by up to 4 pixels, half of them mirrored.

    All crops of an image padded to 40x40 are there at once, as a view that takes no memory; choosing one for
    each image of a batch copies just the pixels chosen.
    """

    def __init__(self, images: mt.Tensor):
        padded = np.pad(images.numpy(), ((0, 0), (0, 0), (4, 4), (4, 4)))
        self.crops = np.lib.stride_tricks.sliding_window_view(padded, (32, 32), axis=(2, 3))  # (N, 3, 9, 9, 32, 32)

    def __getitem__(self, indices: mt.Tensor) -> mt.Tensor:
        n = len(indices)
        down, right = mt.randint(0, 9, (2, n)).numpy()
        batch = self.crops[indices.numpy(), :, down, right]
        mirrored = mt.rand(n).numpy() < 0.5
        batch[mirrored] = batch[mirrored, ..., ::-1]
        return normalize(mt.from_numpy(batch))


# Training ------------------------------------------------------------------------------------------------------------

def training_step(model: nn.Module, optimizer: Any, schedule: Any) -> Callable:
    """One step of training as a function of a batch. It is recorded when it first runs, then replayed."""

    @mt.compile
    def step(images: mt.Tensor, labels: mt.Tensor) -> mt.Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(images), labels, label_smoothing=0.1)
        loss.backward()
        optimizer.step()
        schedule.step()
        return loss

    return step


def accuracy(model: nn.Module, images: mt.Tensor, labels: mt.Tensor, batch: int = 500) -> float:
    """The share of images, bytes (N, 3, 32, 32), whose highest logit is their label's."""
    model.eval()
    right = 0
    with mt.no_grad():
        for i in range(0, len(labels), batch):
            right += (model(normalize(images[i:i + batch])).argmax(1) == labels[i:i + batch]).sum().item()
    model.train()
    return right / len(labels)


def train(model: nn.Module, images: mt.Tensor, labels: mt.Tensor, test: tuple[mt.Tensor, mt.Tensor], epochs: int,
          checkpoint: Path | None = None, resume: bool = False, lr: float = 0.2) -> list[dict]:
    """SGD with Nesterov's momentum, whose rate rises to `lr` and falls to 0 again (Smith, "1cycle", 2018).

    Returns each epoch's mean loss and its accuracy on `test`. After each epoch all that is needed to go on from
    there is written to `checkpoint`; `resume` goes on from it.
    """
    per_epoch = len(labels) // BATCH
    weights = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim == 1]  # biases and batch norms are not decayed
    optimizer = mt.optim.SGD([{"params": weights, "weight_decay": 5e-4}, {"params": others}], lr=lr, momentum=0.9,
                             nesterov=True)
    schedule = mt.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=per_epoch * epochs, pct_start=0.25,
                                                cycle_momentum=False)
    history: list[dict] = []
    if resume and checkpoint:
        state = mt.load(checkpoint)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        schedule.load_state_dict(state["schedule"])
        mt.set_rng_state(state["random"])
        history = state["history"]
    step, augmented = training_step(model, optimizer, schedule), Augmented(images)
    with tqdm(total=per_epoch * epochs, initial=per_epoch * len(history), unit="step") as bar:
        for epoch in range(len(history), epochs):
            total = 0.0
            for chosen in batches(len(labels), BATCH):
                total += step(augmented[chosen], labels[chosen]).item()
                bar.update()
            history.append({"loss": total / per_epoch, "accuracy": accuracy(model, *test)})
            bar.set_postfix(epoch=epoch + 1, loss=f"{total / per_epoch:.3f}",
                            test=f"{100 * history[-1]['accuracy']:.2f} %")
            if checkpoint:
                mt.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "history": history,
                         "schedule": schedule.state_dict(), "random": mt.get_rng_state()}, checkpoint)
    return history


# The picture ---------------------------------------------------------------------------------------------------------

def draw(path: Path, history: list[dict], model: nn.Module, images: mt.Tensor, labels: mt.Tensor) -> None:
    """The test accuracy by epoch, and what the network is surest of among its mistakes."""
    with mt.no_grad():
        p = mt.cat([F.softmax(model.eval()(normalize(images[i:i + 500])), 1) for i in range(0, len(images), 500)])
    sure, named = p.max(1)
    wrong = mt.where(named != labels, sure, 0).argsort(descending=True)[:8]

    def figure(plt: Any, figure: Any) -> None:
        grid = figure.add_gridspec(2, 7)
        left = figure.add_subplot(grid[:, :3])
        left.plot(range(1, len(history) + 1), [100 * h["accuracy"] for h in history], "o-")
        left.set(xlabel="epoch", ylabel="test accuracy, %", title=f"ResNet-20: {100 * history[-1]['accuracy']:.2f} %")
        left.xaxis.get_major_locator().set_params(integer=True)
        left.grid(alpha=0.3)
        for k, i in enumerate(wrong.tolist()):
            axes = figure.add_subplot(grid[k // 4, 3 + k % 4])
            axes.imshow(images[i].permute(1, 2, 0).numpy())
            axes.set_title(f"taken for {CIFAR_CLASSES[named[i]]}\nlabelled {CIFAR_CLASSES[labels[i]]}", fontsize=8)
            axes.axis("off")

    picture(path, figure, figsize=(11, 4))


def main(arguments: list[str] | None = None) -> None:
    chosen = options(__doc__, arguments, epochs=18, resume=False)
    test = cifar10(chosen.data, train=False)
    model = ResNet()
    checkpoint = chosen.out / "resnet20.pt"
    history = train(model, *cifar10(chosen.data, train=True), test, chosen.epochs, checkpoint, chosen.resume)
    draw(chosen.out / "resnet_cifar.png", history, model, *test)
    print(f"test accuracy {100 * history[-1]['accuracy']:.2f} % on {len(test[1])} images; checkpoint {checkpoint}")


if __name__ == "__main__":
    main()
