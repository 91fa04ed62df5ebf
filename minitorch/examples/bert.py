"""A BERT that first fills gaps in Shakespeare, and then tells from a few examples in which speeches words are swapped.

    python -m minitorch.examples.bert --data DIR

DIR holds tinyshakespeare.txt, which is downloaded if it can be; https://github.com/karpathy/char-rnn publishes it.
Devlin and others, "BERT: Pre-training of deep bidirectional transformers for language understanding", 2018. To guess
the words that are missing from a text, a network must learn what words go together: text without labels is enough for
that, and there is much of it. The labels then need only name what it already tells apart. (It is no help with what does
not help to fill gaps: which play a speech is from shows in its rare words, and to count those is better.)
"""
from __future__ import annotations

import copy
import re
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from tqdm import tqdm

import minitorch as mt
from minitorch import nn
from minitorch.examples.options import options, picture
from minitorch.examples.text import shakespeare, speeches, windows
from minitorch.nn import functional as F

BATCH, LENGTH = 32, 64
HIDDEN = 10  # of LENGTH words, how many are to be guessed
SPECIAL = ["[PAD]", "[UNK]", "[SEP]", "[MASK]"]
PAD, UNK, SEP, MASK = range(4)
GAPS = ["my [MASK] lord", "the king is [MASK] .", "good night , good [MASK] !"]


# Text to tokens

class Words:
    """Words and punctuation marks in small letters as numbers; those that occur less than `least` times are [UNK].

    >>> Words(["Ay, sir.", "No, sir!"], least=2).encode("Ay, Sir [MASK]")
    [1, 4, 5, 3]
    """

    def __init__(self, texts: Iterable[str], least: int = 4):
        counts = Counter([word for text in texts for word in self.split(text)])
        self.all = SPECIAL + [word for word, n in counts.most_common() if n >= least and word not in SPECIAL]
        self.number = {word: i for i, word in enumerate(self.all)}

    @staticmethod
    def split(text: str) -> list[str]:
        return re.findall(r"\[MASK]|[a-z]+(?:'[a-z]+)*|[^\sa-z]", text.lower().replace("[mask]", "[MASK]"))

    def encode(self, text: str) -> list[int]:
        return [self.number.get(word, UNK) for word in self.split(text)]


def padded(rows: list[list[int]]) -> mt.Tensor:
    """Rows of numbers as a tensor (N, LENGTH): longer ones are cut, shorter ones filled with [PAD]."""
    return mt.as_tensor([row[:LENGTH] + [PAD] * (LENGTH - len(row)) for row in rows])


def swapped(rows: list[list[int]], pairs: int = 3) -> tuple[mt.Tensor, mt.Tensor]:
    """(texts (N, LENGTH), labels (N,)): in a random half of the texts, label 1, some neighbours have changed places."""
    texts, labels = [row[:LENGTH] for row in rows], mt.randint(0, 2, (len(rows),))
    for row, label in zip(texts, labels.tolist()):
        for at in mt.randint(0, len(row) - 1, (label * pairs,)).tolist():
            row[at:at + 2] = row[at + 1], row[at]
    return padded(texts), labels


# The network

class Bert(nn.Module):
    """Words (N, T) to vectors (N, T, width), each of which may depend on all words before and after it.

    Unlike in the paper, a convolution shows each place its neighbours. Attention would learn to find them, but from so
    little text only after long.
    """

    def __init__(self, vocabulary: int, width: int = 128, depth: int = 2, heads: int = 4):
        super().__init__()
        self.token, self.place = nn.Embedding(vocabulary, width), nn.Embedding(LENGTH, width)
        nn.init.normal_(self.token.weight, std=0.05)
        nn.init.normal_(self.place.weight, std=0.05)
        self.near = nn.Conv1d(width, width, 5, padding=2)
        layer = nn.TransformerEncoderLayer(width, heads, 4 * width, dropout=0.1, activation="gelu", batch_first=True,
                                           norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, depth, nn.LayerNorm(width), enable_nested_tensor=False)

    def forward(self, tokens: mt.Tensor) -> mt.Tensor:
        x = self.token(tokens) * tokens.ne(PAD)[:, :, None].float()
        x = x + self.near(x.transpose(1, 2)).transpose(1, 2) + self.place.weight[:tokens.shape[1]]
        return self.encoder(x, src_key_padding_mask=tokens == PAD)


class GapFiller(nn.Module):
    """What the words at `where` (N, K) may be: logits (N, K, vocabulary), compared with each word's own vector."""

    def __init__(self, bert: Bert):
        super().__init__()
        vocabulary, width = bert.token.weight.shape
        self.bert, self.bias = bert, nn.Parameter(mt.zeros(vocabulary))
        self.dense = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.LayerNorm(width))

    def forward(self, tokens: mt.Tensor, where: mt.Tensor) -> mt.Tensor:
        x = self.bert(tokens)
        x = x.gather(1, where[:, :, None].expand(-1, -1, x.shape[2]))
        return F.linear(self.dense(x), self.bert.token.weight, self.bias)


class Classifier(nn.Module):
    """Which class a text is of: logits (N, classes), from the mean of its words' vectors."""

    def __init__(self, bert: Bert, classes: int):
        super().__init__()
        self.bert, self.head = bert, nn.Linear(bert.token.weight.shape[1], classes)

    def forward(self, tokens: mt.Tensor) -> mt.Tensor:
        there = tokens.ne(PAD)[:, :, None].float()
        return self.head((self.bert(tokens) * there).sum(1) / there.sum(1))


# Training

def with_gaps(tokens: mt.Tensor, vocabulary: int) -> tuple[mt.Tensor, mt.Tensor, mt.Tensor]:
    """(the text with gaps, where words are to be guessed (N, K), which words those are).

    Of the chosen words eight in ten become [MASK], one another word, and one stays, so that the network may not take
    any word for granted.
    """
    where = mt.rand(tokens.shape).topk(HIDDEN, 1).indices
    answers = tokens.gather(1, where)
    draw, others = mt.rand(where.shape), mt.randint(len(SPECIAL), vocabulary, where.shape)
    shown = mt.where(draw < 0.8, MASK, mt.where(draw < 0.9, others, answers))
    return tokens.scatter(1, where, shown), where, answers


def training_step(model: nn.Module, lr: float, steps: int) -> Callable:
    """One step of AdamW as a function of the model's inputs and the right classes."""
    optimizer = mt.optim.AdamW(model.parameters(), lr=lr)
    schedule = mt.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=steps, pct_start=0.1, cycle_momentum=False)

    @mt.compile
    def step(*batch: mt.Tensor) -> mt.Tensor:
        optimizer.zero_grad()
        *inputs, answers = batch
        loss = F.cross_entropy(model(*inputs).flatten(0, -2), answers.flatten())
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        return loss.detach()

    return step


def pretrain(bert: Bert, stream: mt.Tensor, steps: int) -> GapFiller:
    """Have `bert` fill gaps in random pieces of the text `stream` (T,)."""
    model = GapFiller(bert)
    step, mean = training_step(model, 2e-3, steps), mt.zeros(())
    with tqdm(range(1, steps + 1), desc="filling gaps", unit="step") as bar:
        for i in bar:
            mean += step(*with_gaps(windows(stream, BATCH, LENGTH), len(model.bias)))
            if i % 50 == 0:
                bar.set_postfix(loss=f"{mean.item() / 50:.3f}")
                mean.zero_()
    model.eval()
    return model


def classify(bert: Bert, x: mt.Tensor, y: mt.Tensor, test: tuple[mt.Tensor, mt.Tensor], steps: int,
             name: str) -> float:
    """Train a copy of `bert` to tell the classes `y` of texts `x`; returns the accuracy on other texts."""
    model = Classifier(copy.deepcopy(bert), int(test[1].max()) + 1)
    model.train()
    step = training_step(model, 5e-4, steps)
    for _ in tqdm(range(steps), desc=name, unit="step"):
        chosen = mt.randint(0, len(y), (BATCH,))
        step(x[chosen], y[chosen])
    model.eval()
    with mt.no_grad():
        logits = mt.cat([model(part) for part in test[0].split(256)])
    return (logits.argmax(1) == test[1]).float().mean().item()


def few_of_each(labels: mt.Tensor, n: int) -> mt.Tensor:
    """Indices of `n` random examples of each label."""
    return mt.cat([found[mt.randperm(len(found))[:n]] for found in
                   [mt.nonzero(labels == label)[:, 0] for label in labels.unique()]])


def compare(berts: dict[str, Bert], x: mt.Tensor, y: mt.Tensor, test: tuple[mt.Tensor, mt.Tensor],
            shots: Iterable[int], steps: int) -> dict[str, list[float]]:
    """The accuracies of classifiers that begin with each of `berts`, trained on so many texts of each class."""
    scores: dict[str, list[float]] = {name: [] for name in berts}
    for n in shots:
        chosen = few_of_each(y, n)
        for name, bert in berts.items():
            scores[name].append(classify(bert, x[chosen], y[chosen], test, steps, f"{n} of each, {name}"))
    return scores


@mt.no_grad()
def guesses(model: GapFiller, words: Words, text: str, count: int = 5) -> list[str]:
    """The likeliest words for the [MASK] in a text."""
    tokens = mt.as_tensor([words.encode(text)])
    logits = model(tokens, (tokens == MASK).nonzero()[:1, 1:])
    return [words.all[i] for i in logits[0, 0].topk(count).indices.tolist()]


def draw(path: Path, shots: list[int], scores: dict[str, list[float]]) -> None:
    """The accuracies over the number of labelled texts."""
    def curves(plt: Any, figure: Any) -> None:
        axes = figure.subplots()
        for name, row in scores.items():
            axes.plot(shots, [100 * score for score in row], "o-", label=name)
        axes.set(xscale="log", xticks=shots, xticklabels=shots, xlabel="labelled speeches of each kind",
                 ylabel="speeches told right, %")
        axes.minorticks_off()
        axes.legend()

    picture(path, curves, figsize=(6, 4))


def main(arguments: list[str] | None = None) -> None:
    chosen = options(__doc__, arguments, data="tinyshakespeare.txt", steps=2000)
    texts = [said for _, said in speeches(shakespeare(chosen.data)) if len(said.split()) >= 12]
    is_test = (mt.rand(len(texts)) < 0.2).tolist()  # those are seen neither with labels nor without
    known = [said for said, out in zip(texts, is_test) if not out]
    words = Words(known)
    stream = mt.as_tensor([i for said in known for i in [*words.encode(said), SEP]])
    x, y = swapped([words.encode(said) for said in known])
    test = swapped([words.encode(said) for said, out in zip(texts, is_test) if out])

    fresh = Bert(len(words.all))
    trained = copy.deepcopy(fresh)
    filler = pretrain(trained, stream, chosen.steps)
    print("\n".join([f"{text:<30} {', '.join(guesses(filler, words, text))}" for text in GAPS]))
    shots = [20, 80, 320, 1280]
    scores = compare({"pretrained": trained, "from scratch": fresh}, x, y, test, shots, max(chosen.steps // 10, 1))
    draw(chosen.out / "bert.png", shots, scores)
    print(f"\n{len(test[1])} new speeches, half of them with words swapped: told right after so many of each kind\n"
          + " " * 14 + "".join([f"{n:>8}" for n in shots]))
    for name, row in scores.items():
        print(f"{name:<14}" + "".join([f"{100 * score:>7.1f}%" for score in row]))


if __name__ == "__main__":
    main()
