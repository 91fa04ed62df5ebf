"""`minitorch train`: a convolutional network on real images, from reading them to a checkpoint that can be resumed."""
from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from . import nn, optim, serialization
from .autograd import no_grad
from .errors import CheckpointError
from .nn import functional as F
from .ops.random import get_rng_state, manual_seed, set_rng_state
from .ops.values import from_numpy
from .tensor import Tensor
from .utils.data import DataLoader, TensorDataset


class DigitsNet(nn.Module):
    """Two convolutions and two linear layers, for small grey images (N, 1, size, size)."""

    def __init__(self, size: int = 8):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, 3, padding=1)
        self.conv2 = nn.Conv2d(32, 64, 3, padding=1)
        self.fc1 = nn.Linear(64 * (size // 2) ** 2, 128)
        self.fc2 = nn.Linear(128, 10)
        self.dropout = nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.conv1(x))
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = self.dropout(x.flatten(1))
        return self.fc2(self.dropout(F.relu(self.fc1(x))))


class CifarNet(nn.Module):
    """The network of seed text 002, section 5.2, for CIFAR-10 images (N, 3, 32, 32).

    The text's first linear layer expects 128 * 6 * 6 values; two 3x3 convolutions and one pooling leave 128 * 14 * 14.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 3)
        self.conv2 = nn.Conv2d(64, 128, 3)
        self.fc1 = nn.Linear(128 * 14 * 14, 256)
        self.fc2 = nn.Linear(256, 10)
        self.dropout = nn.Dropout(p=0.5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.dropout(F.relu(self.conv1(x)))
        x = self.dropout(F.relu(self.conv2(x)))
        x = F.max_pool2d(x, 2)
        x = x.view(-1, 128 * 14 * 14)
        x = self.dropout(F.relu(self.fc1(x)))
        return self.fc2(x)


EPOCHS = {"digits": 30, "mnist": 10, "cifar10": 10}


def train(data: str = "digits", *, root: str = "data", epochs: int | None = None, batch_size: int = 100,
          lr: float = 1e-3, seed: int = 0, device: str = "cpu", checkpoint: str | None = None, resume: bool = False,
          history_file: str | None = None, stop_after: int | None = None, quiet: bool = False) -> dict[str, Any]:
    """Train the network for `data`, and return the figures: test accuracy, seconds, the checkpoint's path, history.

    Each epoch ends with the accuracy on all test images and a checkpoint; `resume` goes on from the one at
    `checkpoint`, in the middle of an epoch too, and arrives at the same bits as a run that never stopped.
    `stop_after` saves and stops after so many steps. Raises CheckpointError where the checkpoint is of another run.
    """
    started = time.perf_counter()
    run = _Run(data, root, epochs or EPOCHS[data], batch_size, lr, seed, device,
               Path(checkpoint or f"minitorch-{data}.pt"))
    if resume:
        run.restore()
    with _Progress(run, quiet) as progress:
        while run.epoch < run.epochs:
            finished = run.train_epoch(progress, stop_after)
            if finished:
                run.history.append({"epoch": run.epoch + 1, "loss": run.loss_sum / max(run.batches, 1),
                                    "accuracy": run.accuracy(), "seconds": time.perf_counter() - started})
                run.next_epoch()
                progress.epoch_done(run.history[-1])
            run.save()
            if not finished:
                break
    # in the middle of an epoch the network is no longer the one whose accuracy the history ends with
    accuracy = run.history[-1]["accuracy"] if run.history and not run.batches else run.accuracy()
    result = {"data": data, "accuracy": accuracy,
              "seconds": time.perf_counter() - started, "checkpoint": str(run.path), "history": run.history}
    if history_file:
        Path(history_file).write_text(json.dumps(result, indent=1) + "\n")
    if not quiet:
        print(f"test accuracy {100 * result['accuracy']:.2f} % on {len(run.test_labels)} images, "
              f"{result['seconds']:.1f} s, checkpoint {run.path}")
    return result


class _Run:
    """A training run: all that a checkpoint must hold to go on from it."""

    def __init__(self, data: str, root: str, epochs: int, batch_size: int, lr: float, seed: int, device: str,
                 path: Path):
        self.settings = {"data": data, "batch_size": batch_size, "lr": lr, "seed": seed}
        self.epochs, self.device, self.path = epochs, device, path
        manual_seed(seed)
        images, labels, self.test_images, self.test_labels = _load(data, root)
        self.loader: DataLoader[Any] = DataLoader(TensorDataset(images, labels), batch_size=batch_size, shuffle=True)
        self.model = (CifarNet() if data == "cifar10" else DigitsNet(images.shape[-1])).to(device)
        self.optimizer = optim.Adam(self.model.parameters(), lr=lr)
        self.schedule = optim.lr_scheduler.CosineAnnealingLR(self.optimizer, max(epochs, 1), eta_min=lr / 10)
        self.epoch = self.step = self.batches = 0
        self.loss_sum = 0.0
        self.history: list[dict[str, Any]] = []

    def train_epoch(self, progress: _Progress, stop_after: int | None) -> bool:
        """The rest of this epoch; False where `stop_after` ended it early."""
        self.model.train()
        for images, labels in self.loader:
            self.optimizer.zero_grad()
            loss = F.cross_entropy(self.model(images.to(self.device)), labels.to(self.device))
            loss.backward()
            self.optimizer.step()
            self.loss_sum += loss.item()
            self.batches += 1
            self.step += 1
            progress.step_done(self.loss_sum / self.batches)
            if self.step == stop_after:
                return False
        return True

    def next_epoch(self) -> None:
        self.schedule.step()
        self.epoch += 1
        self.batches, self.loss_sum = 0, 0.0

    def accuracy(self) -> float:
        """The share of test images whose highest logit is their label's."""
        self.model.eval()
        correct = 0
        with no_grad():
            for i in range(0, len(self.test_labels), 500):
                logits = self.model(self.test_images[i:i + 500].to(self.device))
                correct += int((logits.argmax(1).cpu() == self.test_labels[i:i + 500]).sum())
        return correct / max(len(self.test_labels), 1)

    def save(self) -> None:
        serialization.save({
            "settings": self.settings, "model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(), "generator": get_rng_state(), "loader": self.loader.state_dict(),
            "epoch": self.epoch, "step": self.step, "batches": self.batches, "loss_sum": self.loss_sum,
            "history": self.history}, self.path)

    def restore(self) -> None:
        state = serialization.load(self.path)
        if not isinstance(state, dict) or "settings" not in state:
            raise CheckpointError(f"train: {self.path} is not a checkpoint of minitorch train")
        if state["settings"] != self.settings:
            raise CheckpointError(f"train: {self.path} is of a run with {state['settings']}, "
                                  f"this one has {self.settings}")
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.loader.load_state_dict(state["loader"])
        for name in ("epoch", "step", "batches", "loss_sum", "history"):
            setattr(self, name, state[name])
        set_rng_state(state["generator"])


class _Progress:
    """A bar over all steps, with the loss and the last accuracy."""

    def __init__(self, run: _Run, quiet: bool):
        from tqdm import tqdm

        steps = len(run.loader)
        self._bar = tqdm(total=steps * run.epochs, initial=run.step, unit="step", disable=quiet,
                         desc=f"{run.settings['data']}")
        self._figures: dict[str, str] = {}

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, *exception: Any) -> None:
        self._bar.close()

    def step_done(self, loss: float) -> None:
        self._figures["loss"] = f"{loss:.3f}"
        self._bar.set_postfix(self._figures, refresh=False)
        self._bar.update()

    def epoch_done(self, figures: dict[str, Any]) -> None:
        self._figures["test"] = f"{100 * figures['accuracy']:.2f} %"
        self._bar.set_postfix(self._figures)


def _load(data: str, root: str) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Images (N, C, size, size) in [-1, 1] and labels (N,): for training, then for testing."""
    from .vision import datasets

    result = []
    for train in (True, False):
        if data == "cifar10":
            images, labels = datasets.read_cifar(root, train=train)
        else:
            split = datasets.Digits(train) if data == "digits" else datasets.MNIST(root, train)
            images, labels = split.data.numpy()[:, None], split.targets.numpy()
        result += [from_numpy(images.astype(np.float32) / np.float32(127.5) - 1), from_numpy(labels.astype(np.int64))]
    return tuple(result)
