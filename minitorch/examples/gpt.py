"""A GPT that writes Shakespeare, a character at a time: pretraining, fine-tuning, and sampling with a cache.

    python -m minitorch.examples.gpt --data DIR            # all three, one after the other; or one of them:
    python -m minitorch.examples.gpt pretrain --data DIR   # on eight plays; keeps the network in out/gpt.pt
    python -m minitorch.examples.gpt finetune --data DIR   # on one speaker of the ninth, The Tempest, or --text FILE
    python -m minitorch.examples.gpt sample --prompt "To be" --model out/gpt_finetuned.pt

DIR holds tinyshakespeare.txt, which is downloaded if it can be; https://github.com/karpathy/char-rnn publishes it.
Radford and others, "Improving language understanding by generative pre-training", 2018. The network reads text and
says at each character what the next may be. What it learns from much text helps where there is little.
"""
from __future__ import annotations

import copy
import time
from pathlib import Path
from typing import Any

from tqdm import tqdm

import minitorch as mt
from minitorch import nn
from minitorch.examples.options import learning_curves, options
from minitorch.examples.text import Characters, plays, shakespeare, speeches, windows
from minitorch.nn import functional as F

BATCH = 16
NEW = "The Tempest"  # the play that pretraining does not see


# The network

class Cache:
    """The keys and values of the characters read so far, (N, heads, context, size) each, for every layer.

    A character's keys and values do not depend on what follows. Kept, they need not be computed again, and the network
    reads each character once.
    """

    def __init__(self, model: GPT, n: int = 1):
        shape = (n, model.heads, model.context, model.width // model.heads)
        self.layers = [(mt.zeros(shape), mt.zeros(shape)) for _ in model.blocks]
        self.length = 0

    def extended(self, layer: int, k: mt.Tensor, v: mt.Tensor) -> tuple[mt.Tensor, mt.Tensor]:
        """All keys and values of a layer, `k` and `v` after those that were here."""
        keys, values = self.layers[layer]
        end = self.length + k.shape[2]
        keys[:, :, self.length:end], values[:, :, self.length:end] = k, v
        return keys[:, :, :end], values[:, :, :end]


class Block(nn.Module):
    """Self-attention, then two dense layers; each reads its input normalised, and adds to it."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.join = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.dense = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: mt.Tensor, layer: int = 0, cache: Cache | None = None) -> mt.Tensor:
        n, t, width = x.shape
        qkv = self.qkv(self.norm1(x)).reshape(n, t, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)  # (N, heads, T, width / heads) each
        if cache is not None:
            k, v = cache.extended(layer, k, v)
        a = F.scaled_dot_product_attention(q, k, v, is_causal=t > 1)  # a single character may look at all before it
        x = x + self.join(a.transpose(1, 2).reshape(n, t, width))
        return x + self.dense(self.norm2(x))


class GPT(nn.Module):
    """Characters (N, T), T up to `context`, to the logits (N, T, vocabulary) of the character after each."""

    def __init__(self, vocabulary: int, width: int = 128, depth: int = 4, heads: int = 4, context: int = 128):
        super().__init__()
        self.width, self.heads, self.context = width, heads, context
        self.token, self.place = nn.Embedding(vocabulary, width), nn.Embedding(context, width)
        self.blocks = nn.ModuleList([Block(width, heads) for _ in range(depth)])
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, vocabulary)
        for module in self.modules():
            if isinstance(module, (nn.Linear, nn.Embedding)):
                nn.init.normal_(module.weight, std=0.02)

    def forward(self, tokens: mt.Tensor, cache: Cache | None = None) -> mt.Tensor:
        """With a cache, `tokens` follow those that it holds; several of them only where it holds none."""
        start = cache.length if cache is not None else 0
        x = self.token(tokens) + self.place.weight[start:start + tokens.shape[1]]
        for layer, block in enumerate(self.blocks):
            x = block(x, layer, cache)
        if cache is not None:
            cache.length += tokens.shape[1]
        return self.head(self.norm(x))


def loss_of(model: GPT, tokens: mt.Tensor) -> mt.Tensor:
    """Cross-entropy in nats a character, each of `tokens` (N, T + 1) but the first predicted from those before."""
    return F.cross_entropy(model(tokens[:, :-1]).flatten(0, 1), tokens[:, 1:].flatten())


# Training

@mt.no_grad()
def evaluate(model: GPT, data: mt.Tensor, most: int = 64) -> float:
    """The loss on `data`, in pieces as long as the context; on `most` of them, evenly spread, where there are more."""
    length = min(model.context + 1, len(data))
    pieces = data[:len(data) // length * length].reshape(-1, length)
    return loss_of(model, pieces[::-(-len(pieces) // most)]).item()


def train(model: GPT, data: mt.Tensor, held_out: mt.Tensor, steps: int, lr: float, name: str) -> list[list[float]]:
    """AdamW, with a rate that rises and falls to 0; in the end the model is as it was when `held_out` was cheapest.

    Returns [step, loss on the data, loss on `held_out`] at some twenty steps.
    """
    optimizer = mt.optim.AdamW(model.parameters(), lr=lr, betas=(0.9, 0.99), weight_decay=0.1)
    schedule = mt.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=steps, pct_start=0.1,
                                                    cycle_momentum=False)

    @mt.compile
    def step(tokens: mt.Tensor) -> mt.Tensor:
        optimizer.zero_grad()
        loss = loss_of(model, tokens)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        return loss

    history, best = [[0.0, evaluate(model, data), evaluate(model, held_out)]], copy.deepcopy(model.state_dict())
    mean, every = mt.zeros(()), max(steps // 20, 1)
    with tqdm(total=steps, desc=name, unit="step") as bar:
        for i in range(1, steps + 1):
            mean += step(windows(data, BATCH, min(model.context + 1, len(data)))).detach()
            bar.update()
            if i % every == 0:
                history.append([i, mean.item() / every, evaluate(model, held_out)])
                mean.zero_()
                bar.set_postfix(loss=f"{history[-1][1]:.3f}", held_out=f"{history[-1][2]:.3f}")
                if history[-1][2] == min(row[2] for row in history):
                    best = copy.deepcopy(model.state_dict())
    model.load_state_dict(best)
    return history


def save(path: Path, model: GPT, characters: Characters) -> None:
    mt.save({"model": model.state_dict(), "characters": characters.all}, path)
    print(f"network: {path}")


def load(path: Path) -> tuple[GPT, Characters]:
    """A network that `save` kept, and its characters. Raises FileNotFoundError where it is missing."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such network; the task `pretrain` makes one")
    kept = mt.load(path)
    characters = Characters(kept["characters"])
    model = GPT(len(characters))
    model.load_state_dict(kept["model"])
    return model, characters


def pretrain(chosen: Any) -> None:
    """On all plays but one, which says how well it does on text it has not seen."""
    text = shakespeare(chosen.data)
    characters, parts = Characters(text), plays(text)
    held_out = parts.pop(NEW, text[len(text) * 9 // 10:])
    data = characters.encode("".join(parts.values()) if len(parts) > 1 else text[:len(text) * 9 // 10])
    model = GPT(len(characters))
    history = train(model, data, characters.encode(held_out), chosen.steps, 2e-3, "pretraining")
    save(chosen.out / "gpt.pt", model, characters)
    learning_curves(chosen.out / "gpt_pretraining.png", {"pretraining": history}, "nats a character")
    print(f"pretrained: {min(row[2] for row in history):.3f} nats a character of a text it has not seen "
          f"({history[0][2]:.3f} untrained)")


def finetune(chosen: Any) -> None:
    """On the first four fifths of other text; what a network learns that starts from nothing is beside it."""
    model, characters = load(chosen.model or chosen.out / "gpt.pt")
    if chosen.text:
        text, who = Path(chosen.text).read_text("utf-8"), chosen.text
    else:
        who = chosen.speaker
        text = "".join([f"{who}:\n{said}\n\n" for name, said in speeches(shakespeare(chosen.data)) if name == who])
    data = characters.encode(text)
    if len(data) < 5 * model.context:
        raise ValueError(f"finetune: expects at least {5 * model.context} characters of {who}, got {len(data)}")
    split, steps = len(data) * 4 // 5, max(chosen.steps // 10, 1)
    runs = {"from nothing": train(GPT(len(characters)), data[:split], data[split:], steps, 2e-3, "from nothing"),
            "pretrained": train(model, data[:split], data[split:], steps, 5e-4, "fine-tuning")}
    save(chosen.out / "gpt_finetuned.pt", model, characters)
    learning_curves(chosen.out / "gpt_finetuning.png", runs, "nats a character")
    alone, tuned = (min(row[2] for row in history) for history in runs.values())
    print(f"{who}'s other lines: {runs['pretrained'][0][2]:.3f} nats a character pretrained, {tuned:.3f} fine-tuned, "
          f"{alone:.3f} without pretraining")


# Sampling

@mt.no_grad()
def generate(model: GPT, tokens: list[int], count: int, temperature: float = 0.8, cached: bool = True) -> list[int]:
    """`count` characters to follow `tokens`, each drawn from softmax(logits / temperature).

    When the context is full, its older half is forgotten, and the rest read anew.
    """
    made: list[int] = []
    seen, cache = tokens[-model.context:], Cache(model) if cached else None
    for _ in range(count):
        if len(seen) > model.context:
            seen, cache = seen[-(model.context // 2):], Cache(model) if cached else None
        new = seen if cache is None else seen[cache.length:]
        logits = model(mt.as_tensor([new]), cache)[0, -1]
        made.append(int((logits / temperature).softmax(0).multinomial(1)))
        seen = [*seen, made[-1]]
    return made


def sample(chosen: Any) -> None:
    """Continue the prompt twice, with and without a cache: the same text, at two speeds."""
    tuned = chosen.out / "gpt_finetuned.pt"
    model, characters = load(chosen.model or (tuned if tuned.is_file() else chosen.out / "gpt.pt"))
    prompt = characters.encode(chosen.prompt or "\n").tolist()
    texts = {}
    for cached in (True, False):
        mt.manual_seed(chosen.seed)
        generate(model, prompt, 2 * model.context, cached=cached)  # the first time, kernels are loaded or compiled
        mt.manual_seed(chosen.seed)
        start = time.perf_counter()
        texts[cached] = characters.decode(generate(model, prompt, chosen.count, chosen.temperature, cached))
        seconds = time.perf_counter() - start
        if cached:
            print(f"{chosen.prompt}{texts[cached]}\n")
        print(f"{'with' if cached else 'without'} a cache: {chosen.count / seconds:.0f} characters a second")
    print(f"the texts are {'the same' if texts[True] == texts[False] else 'not the same'}")


def main(arguments: list[str] | None = None) -> None:
    chosen = options(__doc__, arguments, data="tinyshakespeare.txt", task=("all", "pretrain", "finetune", "sample"),
                     steps=2000, speaker="PROSPERO", text="", model="", prompt="\n", count=500, temperature=0.8)
    chosen.model = Path(chosen.model) if chosen.model else None
    for task in (pretrain, finetune, sample):
        if chosen.task in ("all", task.__name__):
            task(chosen)


if __name__ == "__main__":
    main()
