"""A recurrent language model, Embedding - GRU - Linear, that learns to write Shakespeare.

    python -m minitorch.examples.char_gru --data DIR

DIR holds tinyshakespeare.txt, which is downloaded if it can be; https://github.com/karpathy/char-rnn publishes it.
Cho and others, "Learning phrase representations using RNN encoder-decoder", 2014. A GRU reads a character at a time and
keeps what it needs of all before in one vector, its state. So it needs no cache to write: the state is its memory.
"""
from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

from tqdm import tqdm

import minitorch as mt
from minitorch import nn
from minitorch.examples.options import learning_curves, options, picture
from minitorch.examples.text import Characters, shakespeare
from minitorch.nn import functional as F

BATCH, LENGTH = 32, 64


class CharGRU(nn.Module):
    """Characters (N, T) and a state (1, N, units), to the logits (N, T, vocabulary) of what follows, and the state."""

    def __init__(self, vocabulary: int, embedding: int = 64, units: int = 256):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, embedding)
        self.gru = nn.GRU(embedding, units, batch_first=True)
        self.head = nn.Linear(units, vocabulary)

    def forward(self, tokens: mt.Tensor, state: mt.Tensor | None = None) -> tuple[mt.Tensor, mt.Tensor]:
        y, state = self.gru(self.embedding(tokens), state)
        return self.head(y), state

    def start(self, n: int) -> mt.Tensor:
        """The state before the first character."""
        return mt.zeros(1, n, self.gru.hidden_size)


def streams(data: mt.Tensor, n: int) -> mt.Tensor:
    """`data` (T,) cut into `n` long pieces (n, T // n), to be read side by side.

    >>> streams(mt.arange(7), 2).tolist()
    [[0, 1, 2], [3, 4, 5]]
    """
    size = len(data) // n
    return data[:n * size].reshape(n, size)


def training_step(model: CharGRU, optimizer: Any, schedule: Any) -> Any:
    """A step as a function of T + 1 characters (N, T + 1) and the state left by those before them.

    The state goes on from piece to piece, but not its gradient: backpropagation reaches back T characters.
    """

    @mt.compile
    def step(tokens: mt.Tensor, state: mt.Tensor) -> tuple[mt.Tensor, mt.Tensor]:
        optimizer.zero_grad()
        logits, state = model(tokens[:, :-1], state)
        loss = F.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        return loss.detach(), state.detach()

    return step


def train(model: CharGRU, data: mt.Tensor, held_out: mt.Tensor, epochs: int) -> list[list[float]]:
    """Returns [step, loss on the data, loss on `held_out`] at the end of each epoch."""
    rows = streams(data, BATCH)
    pieces = [rows[:, i:i + LENGTH + 1] for i in range(0, rows.shape[1] - LENGTH, LENGTH)]
    optimizer = mt.optim.Adam(model.parameters(), lr=4e-3)
    schedule = mt.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * len(pieces), eta_min=1e-4)
    step = training_step(model, optimizer, schedule)
    history = []
    with tqdm(total=epochs * len(pieces), unit="step") as bar:
        for epoch in range(1, epochs + 1):
            state, total = model.start(BATCH), mt.zeros(())
            for tokens in pieces:
                loss, state = step(tokens, state)
                total += loss
                bar.update()
            losses, right = evaluate(model, held_out)
            history.append([epoch * len(pieces), total.item() / len(pieces), losses.mean().item()])
            bar.set_postfix(epoch=epoch, loss=f"{history[-1][1]:.3f}", held_out=f"{history[-1][2]:.3f}",
                            right=f"{100 * right:.1f} %")
    return history


@mt.no_grad()
def evaluate(model: CharGRU, data: mt.Tensor) -> tuple[mt.Tensor, float]:
    """The cost of each character (N, T) in nats, `data` read in 32 streams, and the share that is guessed right."""
    rows = streams(data, min(32, len(data) // 2))
    logits, _ = model(rows[:, :-1], model.start(len(rows)))
    losses = F.cross_entropy(logits.transpose(1, 2), rows[:, 1:], reduction="none")
    return losses, (logits.argmax(2) == rows[:, 1:]).float().mean().item()


@mt.no_grad()
def write(model: CharGRU, tokens: list[int], count: int, temperature: float = 0.8) -> list[int]:
    """`count` characters to follow `tokens`: each is drawn, then read, which gives the next state and the next draw."""
    made: list[int] = []
    new, state = mt.as_tensor([tokens]), model.start(1)
    for _ in range(count):
        logits, state = model(new, state)
        new = (logits[:, -1] / temperature).softmax(1).multinomial(1)
        made.append(int(new))
    return made


@mt.no_grad()
def draw(path: Path, model: CharGRU, characters: Characters, passage: str, columns: int = 64) -> None:
    """A passage, each character the redder the more it surprises who has read up to it."""
    tokens = characters.encode("\n" + passage)
    logits, _ = model(tokens[None, :-1], model.start(1))
    bits = (F.cross_entropy(logits[0], tokens[1:], reduction="none") / math.log(2)).tolist()
    lines = [0]
    place = []
    for c in characters.decode(tokens[1:].tolist()):
        place.append((len(lines) - 1, lines[-1]))
        lines[-1] += 1
        if c == "\n" or lines[-1] == columns:
            lines.append(0)

    def shade(plt: Any, figure: Any) -> None:
        axes = figure.subplots()
        for c, (row, column), cost in zip(characters.decode(tokens[1:].tolist()), place, bits):
            color = plt.cm.Reds(min(cost / 10, 0.8))
            axes.text(column + 0.5, -row, "·" if c == "\n" else c, family="monospace", size=9, ha="center",
                      va="center", bbox={"facecolor": color, "edgecolor": "none", "pad": 1.2})
        axes.set(xlim=(0, columns), ylim=(-len(lines), 1), title="from white, 0 bits, to red, 8 bits and more")
        axes.axis("off")

    picture(path, shade, figsize=(9, 0.22 * len(lines) + 0.6))


def main(arguments: list[str] | None = None) -> None:
    chosen = options(__doc__, arguments, data="tinyshakespeare.txt", epochs=4, units=256, prompt="ROMEO:\n", count=500)
    text = shakespeare(chosen.data)
    characters = Characters(text)
    split = len(text) * 19 // 20
    model = CharGRU(len(characters), units=chosen.units)
    history = train(model, characters.encode(text[:split]), characters.encode(text[split:]), chosen.epochs)
    mt.save({"model": model.state_dict(), "characters": characters.all}, chosen.out / "char_gru.pt")

    learning_curves(chosen.out / "char_gru_training.png", {"GRU": history}, "nats a character")
    after = text.find("\n\n", split) + 2
    draw(chosen.out / "char_gru_surprise.png", model, characters, text[after:text.find("\n\n", after + 600)])
    prompt = characters.encode(chosen.prompt).tolist()
    start = time.perf_counter()
    print(chosen.prompt + characters.decode(write(model, prompt, chosen.count)))
    print(f"\n{chosen.count / (time.perf_counter() - start):.0f} characters a second")
    losses, right = evaluate(model, characters.encode(text[split:]))
    nats = losses.mean().item()
    print(f"held-out text: {nats:.3f} nats ({nats / math.log(2):.2f} bits) a character, {100 * right:.1f} % guessed "
          f"right; an untrained model: {math.log(len(characters)):.3f} nats")


if __name__ == "__main__":
    main()
