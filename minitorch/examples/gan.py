"""A DCGAN that learns to write digits: two networks, of which one forges and the other tells forgeries.

    python -m minitorch.examples.gan --data DIR

Goodfellow et al., "Generative adversarial nets", 2014; the layers after Radford, Metz, Chintala, "Unsupervised
representation learning with deep convolutional generative adversarial networks", 2015. Neither loss says how good
the digits are, so a third network, a classifier of real digits, counts at the end those that it is sure about.
"""
from __future__ import annotations

from collections.abc import Callable

from tqdm import tqdm

import minitorch as mt
from minitorch import nn
from minitorch.examples.data import batches, mnist
from minitorch.examples.options import options, save_grid
from minitorch.nn import functional as F

NOISE, BATCH = 64, 64


def generator(width: int = 32) -> nn.Module:
    """Noise (N, 64) -> images (N, 1, 28, 28) in [-1, 1]: from 7x7 pixels up, doubled twice."""
    return nn.Sequential(
        nn.Linear(NOISE, 2 * width * 49, bias=False), nn.Unflatten(1, (2 * width, 7, 7)),
        nn.BatchNorm2d(2 * width), nn.ReLU(),
        nn.ConvTranspose2d(2 * width, width, 4, stride=2, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
        nn.ConvTranspose2d(width, 1, 4, stride=2, padding=1), nn.Tanh())


def discriminator(width: int = 32, outputs: int = 1) -> nn.Module:
    """Images (N, 1, 28, 28) -> logits (N, outputs); one logit says how real an image looks."""
    return nn.Sequential(
        nn.Conv2d(1, width, 4, stride=2, padding=1), nn.LeakyReLU(0.2),
        nn.Conv2d(width, 2 * width, 4, stride=2, padding=1, bias=False), nn.BatchNorm2d(2 * width), nn.LeakyReLU(0.2),
        nn.Flatten(), nn.Linear(2 * width * 49, outputs))


def initialize(network: nn.Module) -> None:
    """Normal weights of deviation 0.02, as the DCGAN paper has them."""
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
            nn.init.normal_(module.weight, 0, 0.02)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1, 0.02)


def training_step(forger: nn.Module, critic: nn.Module) -> Callable:
    """A step of both networks as a function of a batch of real images; returns both losses."""
    forger_optimizer = mt.optim.Adam(forger.parameters(), lr=2e-4, betas=(0.5, 0.999))
    critic_optimizer = mt.optim.Adam(critic.parameters(), lr=2e-4, betas=(0.5, 0.999))

    @mt.compile
    def step(real: mt.Tensor) -> tuple[mt.Tensor, mt.Tensor]:
        forged = forger(mt.randn(len(real), NOISE))

        # The critic learns to say 1 of real images (0.9, so that it never gets too sure) and 0 of forged ones.
        # `detach`: its gradient ends at the images and leaves the forger alone.
        critic_optimizer.zero_grad()
        on_real, on_forged = critic(real), critic(forged.detach())
        critic_loss = (F.binary_cross_entropy_with_logits(on_real, mt.full_like(on_real, 0.9))
                       + F.binary_cross_entropy_with_logits(on_forged, mt.zeros_like(on_forged)))
        critic_loss.backward()
        critic_optimizer.step()

        # The forger learns to make the critic say 1 of its images: here the gradient runs through the critic.
        forger_optimizer.zero_grad()
        judged = critic(forged)
        forger_loss = F.binary_cross_entropy_with_logits(judged, mt.ones_like(judged))
        forger_loss.backward()
        forger_optimizer.step()
        return critic_loss, forger_loss

    return step


def train(forger: nn.Module, critic: nn.Module, images: mt.Tensor, steps: int) -> list[mt.Tensor]:
    """Images in [-1, 1]. Returns what the forger makes of the same ten noises, ten times along the way."""
    initialize(forger)
    initialize(critic)
    step, noise = training_step(forger, critic), mt.randn(10, NOISE)
    made: list[mt.Tensor] = []
    with tqdm(total=steps, unit="step") as bar:
        while bar.n < steps:
            for chosen in batches(len(images), BATCH):
                critic_loss, forger_loss = step(images[chosen])
                bar.update()
                if bar.n * 10 // steps > len(made):
                    made.append(forge(forger, noise))
                    bar.set_postfix(critic=f"{critic_loss.item():.3f}", forger=f"{forger_loss.item():.3f}")
                if bar.n == steps:
                    break
    return made


@mt.no_grad()
def forge(forger: nn.Module, noise: mt.Tensor) -> mt.Tensor:
    """The images that belong to `noise`, by the running statistics of the batch norms."""
    forger.eval()
    images = forger(noise)
    forger.train()
    return images


def judge(images: mt.Tensor, labels: mt.Tensor, epochs: int = 3) -> nn.Module:
    """A classifier of real digits, of the critic's shape, but that it has ten logits."""
    model = discriminator(outputs=10)
    optimizer = mt.optim.Adam(model.parameters(), lr=1e-3)

    @mt.compile
    def step(x: mt.Tensor, y: mt.Tensor) -> mt.Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    for _ in range(epochs):
        for chosen in batches(len(labels), BATCH):
            step(images[chosen], labels[chosen])
    return model.eval()


@mt.no_grad()
def verdict(model: nn.Module, images: mt.Tensor) -> tuple[float, mt.Tensor]:
    """The share of images that the classifier gives a digit at 90 % or more, and how many it takes for each digit."""
    sure, digit = model(images).softmax(1).max(1)
    return (sure >= 0.9).float().mean().item(), mt.bincount(digit, minlength=10)


def main(arguments: list[str] | None = None) -> None:
    chosen = options(__doc__, arguments, steps=4000)
    images, labels = mnist(chosen.data, train=True)
    images = 2 * images - 1
    forger, critic = generator(), discriminator()
    made = train(forger, critic, images, chosen.steps)
    forged = forge(forger, mt.randn(1000, NOISE))
    save_grid(chosen.out / "gan_samples.png", forged[:100] / 2 + 0.5)
    save_grid(chosen.out / "gan_training.png", mt.cat(made) / 2 + 0.5)

    model = judge(images, labels)
    test, _ = mnist(chosen.data, train=False)
    (real_share, _), (share, counts) = verdict(model, 2 * test - 1), verdict(model, forged)
    print(f"of 1000 forged digits: {', '.join(f'{n} of {digit}' for digit, n in enumerate(counts.tolist()))}")
    print(f"a classifier is sure of {100 * share:.1f} % of them, and of {100 * real_share:.1f} % of real digits")


if __name__ == "__main__":
    main()
