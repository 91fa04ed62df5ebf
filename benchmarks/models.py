"""The programs of training.py: models, losses, optimizers and batches, written once in PyTorch's API.

Each is a function of the framework, `torch`, which is PyTorch's module or minitorch's.
"""
from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np


class Program(NamedTuple):
    """A model and how it is trained; `loss(output, target)`."""

    model: Any
    loss: Callable
    optimizer: Any
    inputs: Any
    target: Any

    def step(self) -> Callable:
        """One training step as a function of inputs and target, as programs write it; it returns the loss."""
        model, loss, optimizer = self.model, self.loss, self.optimizer

        def step(x, y):
            optimizer.zero_grad()
            value = loss(model(x), y)
            value.backward()
            optimizer.step()
            return value

        return step


class Entry(NamedTuple):
    title: str
    target: float  # the ratio of the training step's time to PyTorch's that is to be reached
    build: Callable[[Any], Program]


MODELS: dict[str, Entry] = {}


def model(title: str, target: float) -> Callable:
    def enter(build: Callable[[Any], Program]) -> Callable[[Any], Program]:
        MODELS[build.__name__] = Entry(title, target, build)
        return build

    return enter


def build(name: str, torch: Any, seed: int = 0) -> Program:
    """The program `name` in the framework `torch`, its parameters drawn from `seed`."""
    torch.manual_seed(seed)
    return MODELS[name].build(torch)


@model("CNN of seed 002 5.2, batch 100, Adam", 0.5)
def cnn52(torch):
    """The text's listing, with 14 x 14 where it has 6 x 6, which no 32 x 32 image leaves."""
    nn, F = torch.nn, torch.nn.functional

    class CNN(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1 = nn.Conv2d(3, 64, 3)
            self.conv2 = nn.Conv2d(64, 128, 3)
            self.fc1 = nn.Linear(128 * 14 * 14, 256)
            self.fc2 = nn.Linear(256, 10)
            self.dropout = nn.Dropout(p=0.5)

        def forward(self, x):
            x = self.dropout(F.relu(self.conv1(x)))
            x = self.dropout(F.relu(self.conv2(x)))
            x = F.max_pool2d(x, 2)
            x = x.view(-1, 128 * 14 * 14)
            x = self.dropout(F.relu(self.fc1(x)))
            return self.fc2(x)

    cnn = CNN()
    return Program(cnn, nn.CrossEntropyLoss(), torch.optim.Adam(cnn.parameters(), lr=0.001), *images(torch, 100))


@model("CNN of seed 002 4.4 (10 classes), batch 64, SGD", 0.8)
def cnn44(torch):
    """The text's listing, with 10 classes in the place of 1000."""
    nn, F = torch.nn, torch.nn.functional

    class CNN(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1 = nn.Conv2d(3, 32, 3)
            self.conv2 = nn.Conv2d(32, 64, 3)
            self.fc1 = nn.Linear(64 * 6 * 6, 128)
            self.fc2 = nn.Linear(128, 10)

        def forward(self, x):
            x = F.relu(self.conv1(x))
            x = F.max_pool2d(x, 2)
            x = F.relu(self.conv2(x))
            x = F.max_pool2d(x, 2)
            x = x.view(-1, 64 * 6 * 6)
            x = F.relu(self.fc1(x))
            return self.fc2(x)

    cnn = CNN()
    return Program(cnn, nn.CrossEntropyLoss(), torch.optim.SGD(cnn.parameters(), lr=0.01), *images(torch, 64))


@model("MLP of seed 004 4.1, batch 64, Adam", 0.7)
def mlp(torch):
    """The text's listing; it leaves the data open: normal inputs, uniform targets."""
    nn = torch.nn

    class MyModel(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer1 = nn.Linear(1000, 500)
            self.layer2 = nn.Linear(500, 250)
            self.layer3 = nn.Linear(250, 100)
            self.layer4 = nn.Linear(100, 1)

        def forward(self, x):
            x = torch.relu(self.layer1(x))
            x = torch.relu(self.layer2(x))
            x = torch.relu(self.layer3(x))
            return torch.sigmoid(self.layer4(x))

    net = MyModel()
    rng = np.random.default_rng(0)
    x, y = normal(rng, 64, 1000), rng.random((64, 1), np.float32)
    return Program(net, nn.MSELoss(), torch.optim.Adam(net.parameters(), lr=0.001),
                   torch.from_numpy(x), torch.from_numpy(y))


@model("Embedding-GRU-Linear of seed 003 5.2, batch 16x64, Adam", 0.8)
def gru(torch):
    """The text's Keras model: Embedding(vocab_size, embedding_dim), GRU(n_units), Dense(vocab_size), 'adam'.

    Keras's GRU (reset_after) computes what PyTorch's does; its Adam has eps 1e-7. The text's loss,
    'categorical_crossentropy', expects probabilities, which its last layer does not give: here it is that of logits.
    """
    nn, words = torch.nn, 10_000

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(words, 256)
            self.gru = nn.GRU(256, 512, batch_first=True)
            self.linear = nn.Linear(512, words)

        def forward(self, tokens):
            return self.linear(self.gru(self.embedding(tokens))[0])

    net = Model()
    return Program(net, next_token(torch, words), torch.optim.Adam(net.parameters(), lr=0.001, eps=1e-7),
                   *tokens(torch, words, 16, 64))


@model("GPT, 4 layers, width 256, 8 heads, batch 8x256, AdamW", 0.9)
def gpt(torch):
    """Pre-norm blocks, learned positions, GELU, no dropout; 65 characters, as Shakespeare's plays have."""
    nn, F = torch.nn, torch.nn.functional
    characters, length, width, heads = 65, 256, 256, 8

    class Attention(nn.Module):
        def __init__(self):
            super().__init__()
            self.qkv = nn.Linear(width, 3 * width)
            self.out = nn.Linear(width, width)

        def forward(self, x):
            batch, time, _ = x.shape
            q, k, v = (part.view(batch, time, heads, width // heads).transpose(1, 2)
                       for part in self.qkv(x).split(width, dim=2))
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            return self.out(y.transpose(1, 2).reshape(batch, time, width))

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm1, self.attention = nn.LayerNorm(width), Attention()
            self.norm2 = nn.LayerNorm(width)
            self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

        def forward(self, x):
            x = x + self.attention(self.norm1(x))
            return x + self.mlp(self.norm2(x))

    class GPT(nn.Module):
        def __init__(self):
            super().__init__()
            self.tokens = nn.Embedding(characters, width)
            self.positions = nn.Embedding(length, width)
            self.blocks = nn.Sequential(*(Block() for _ in range(4)))
            self.norm = nn.LayerNorm(width)
            self.head = nn.Linear(width, characters)

        def forward(self, tokens):
            x = self.tokens(tokens) + self.positions(torch.arange(tokens.shape[1], device=tokens.device))
            return self.head(self.norm(self.blocks(x)))

    net = GPT()
    return Program(net, next_token(torch, characters), torch.optim.AdamW(net.parameters(), lr=3e-4),
                   *tokens(torch, characters, 8, length))


@model("ResNet-20, batch 64, SGD momentum", 0.8)
def resnet20(torch):
    """He et al., "Deep residual learning", 2016, section 4.2, with 1x1 convolutions where the shape changes."""
    nn, F = torch.nn, torch.nn.functional

    class Block(nn.Module):
        def __init__(self, before, after, stride):
            super().__init__()
            self.conv1 = nn.Conv2d(before, after, 3, stride, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(after)
            self.conv2 = nn.Conv2d(after, after, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(after)
            self.shortcut = nn.Identity() if before == after else nn.Sequential(
                nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))

        def forward(self, x):
            y = F.relu(self.bn1(self.conv1(x)))
            return F.relu(self.bn2(self.conv2(y)) + self.shortcut(x))

    widths = [16, *[16] * 3, *[32] * 3, *[64] * 3]
    blocks = [Block(a, b, 1 if a == b else 2) for a, b in pairwise(widths)]
    net = nn.Sequential(nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(), *blocks,
                        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)
    return Program(net, nn.CrossEntropyLoss(), optimizer, *images(torch, 64))


@model("MLP 64-32-10, batch 32, SGD (overhead)", 0.6)
def tiny(torch):
    """So small that its time is what calling the framework costs."""
    nn = torch.nn
    net = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    rng = np.random.default_rng(0)
    return Program(net, nn.CrossEntropyLoss(), torch.optim.SGD(net.parameters(), lr=0.1),
                   torch.from_numpy(normal(rng, 32, 64)), torch.from_numpy(rng.integers(0, 10, 32)))


def images(torch, batch):
    """A batch like CIFAR-10's, normalised, and its classes."""
    rng = np.random.default_rng(0)
    return torch.from_numpy(normal(rng, batch, 3, 32, 32)), torch.from_numpy(rng.integers(0, 10, batch))


def tokens(torch, words, batch, length):
    """Token numbers, and those that follow them."""
    text = np.random.default_rng(0).integers(0, words, (batch, length + 1))
    return torch.from_numpy(text[:, :-1].copy()), torch.from_numpy(text[:, 1:].copy())


def next_token(torch, words):
    """The cross entropy of logits (batch, time, words) with the tokens that follow."""
    cross_entropy = torch.nn.functional.cross_entropy
    return lambda logits, target: cross_entropy(logits.reshape(-1, words), target.reshape(-1))


def normal(rng, *shape):
    return rng.standard_normal(shape, np.float32)
