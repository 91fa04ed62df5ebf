"""A variational autoencoder of handwritten digits: sixteen numbers a digit, from which new ones can be drawn.

    python -m minitorch.examples.vae --data DIR

Kingma, Welling, "Auto-encoding variational Bayes", 2013. The encoder says where in a space of few dimensions an image
lies, up to a Gaussian uncertainty; the decoder says, for a point of that space, how likely each pixel is to be ink.
"""
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tqdm import tqdm

import minitorch as mt
from minitorch import nn
from minitorch.examples.data import batches, mnist
from minitorch.examples.options import options, save_grid
from minitorch.nn import functional as F

BATCH = 100


class VAE(nn.Module):
    """Images (N, 1, 28, 28) with values in [0, 1] <-> codes (N, `size`)."""

    def __init__(self, size: int = 16, hidden: int = 512):
        super().__init__()
        self.size = size
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(784, hidden), nn.ReLU(), nn.Linear(hidden, 2 * size))
        self.decoder = nn.Sequential(nn.Linear(size, hidden), nn.ReLU(), nn.Linear(hidden, 784),
                                     nn.Unflatten(1, (1, 28, 28)))

    def encode(self, x: mt.Tensor) -> tuple[mt.Tensor, mt.Tensor]:
        """Mean and logarithm of the variance of the codes q(z | x)."""
        mean, log_variance = self.encoder(x).chunk(2, 1)
        return mean, log_variance

    def decode(self, z: mt.Tensor) -> mt.Tensor:
        """The probability of ink at each pixel."""
        return self.decoder(z).sigmoid()

    def loss(self, x: mt.Tensor) -> mt.Tensor:
        """-ELBO in nats an image: what it costs to describe x given a code z ~ q, plus KL(q(z | x) || N(0, 1)).

        A random draw has no gradient. Written as mean + deviation * noise it has one: in the mean and deviation.
        """
        mean, log_variance = self.encode(x)
        z = mean + (log_variance / 2).exp() * mt.randn_like(mean)
        description = F.binary_cross_entropy_with_logits(self.decoder(z), x, reduction="sum")
        kl = (mean ** 2 + log_variance.exp() - 1 - log_variance).sum() / 2
        return (description + kl) / len(x)


def training_step(model: VAE, optimizer: Any) -> Callable:
    """One step as a function of a batch, recorded when it first runs, then replayed."""

    @mt.compile
    def step(x: mt.Tensor) -> mt.Tensor:
        optimizer.zero_grad()
        loss = model.loss(x)
        loss.backward()
        optimizer.step()
        return loss

    return step


def train(model: VAE, images: mt.Tensor, test: mt.Tensor, epochs: int) -> list[float]:
    """Returns the loss on the test images after each epoch."""
    step = training_step(model, mt.optim.Adam(model.parameters(), lr=1e-3))
    losses: list[float] = []
    with tqdm(total=epochs * (len(images) // BATCH), unit="step") as bar:
        for epoch in range(epochs):
            for chosen in batches(len(images), BATCH):
                step(images[chosen])
                bar.update()
            with mt.no_grad():
                losses.append(model.loss(test).item())
            bar.set_postfix(epoch=epoch + 1, test=f"{losses[-1]:.2f} nats")
    return losses


def walk(model: VAE, images: mt.Tensor, steps: int = 10) -> mt.Tensor:
    """Straight lines in the space of codes, from each image to the next: (len(images) - 1, steps, 1, 28, 28)."""
    mean, _ = model.encode(images)
    t = mt.linspace(0, 1, steps).reshape(1, -1, 1)
    path = mean[:-1, None] * (1 - t) + mean[1:, None] * t
    return model.decode(path.reshape(-1, model.size)).reshape(-1, steps, 1, 28, 28)


@mt.no_grad()
def draw(folder: Path, model: VAE, images: mt.Tensor, labels: mt.Tensor) -> None:
    """Three pictures: digits that never were, the walk from 0 to 9, and test images above what their codes keep."""
    save_grid(folder / "vae_samples.png", model.decode(mt.randn(100, model.size)))
    ten = mt.cat([images[labels == digit][:1] for digit in range(10)])
    save_grid(folder / "vae_walk.png", walk(model, ten).reshape(-1, 1, 28, 28))
    kept = model.decode(model.encode(images[:20])[0])
    save_grid(folder / "vae_reconstructions.png", mt.cat([images[:10], kept[:10], images[10:20], kept[10:]]))


def main(arguments: list[str] | None = None) -> None:
    chosen = options(__doc__, arguments, epochs=30)
    images, _ = mnist(chosen.data, train=True)
    test, labels = mnist(chosen.data, train=False)
    model = VAE()
    losses = train(model, images, test, chosen.epochs)
    draw(chosen.out, model, test, labels)
    print(f"test images cost {losses[-1]:.2f} nats each (784 pixels; {losses[0]:.2f} after the first epoch)")


if __name__ == "__main__":
    main()
