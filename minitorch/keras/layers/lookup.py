"""Layers that make numbers of raw features: scaling, categories, words. `adapt(data)` learns what they need."""
from __future__ import annotations

import re
import string
from collections import Counter
from typing import Any

import numpy as np

from .. import backend
from .base import Layer
from .core import one_of

_MODES = ("int", "one_hot", "multi_hot", "count")


class Adapted(Layer):
    """A layer of arrays that learns from data before training: `adapt(data)`, data an array or batches of arrays."""

    def adapt(self, data: Any, batch_size: int | None = None, steps: int | None = None) -> None:
        """Learn from `data`."""
        if hasattr(data, "shape") or isinstance(data, (list, tuple)):
            self.learn(backend.as_array(data))
        else:
            batches = [backend.as_array(batch[0] if isinstance(batch, (tuple, list)) else batch) for batch in data]
            self.learn(np.concatenate(batches[:steps]))

    def learn(self, data: np.ndarray) -> None:
        raise NotImplementedError(f"{type(self).__name__}: nothing to adapt")

    def _as_input(self, x: Any) -> Any:
        return np.asarray(x) if isinstance(x, (list, tuple, str)) else x  # words are no tensors


class Normalization(Adapted):
    """(x - mean) / standard deviation, given or adapted, for each place along `axis`."""

    def __init__(self, axis: Any = -1, mean: Any = None, variance: Any = None, invert: bool = False, **keywords: Any):
        super().__init__(**keywords)
        if (mean is None) != (variance is None):
            raise ValueError("Normalization: give both mean and variance, or neither")
        self.axis, self.invert = axis, invert
        self.mean = None if mean is None else np.asarray(mean, "float32")
        self.variance = None if variance is None else np.asarray(variance, "float32")

    def learn(self, data):
        axes = () if self.axis is None else (self.axis,) if isinstance(self.axis, int) else tuple(self.axis)
        kept = {a % data.ndim for a in axes}
        over = tuple(i for i in range(data.ndim) if i not in kept)
        data = data.astype("float64")
        self.mean, self.variance = (f(over, keepdims=True).astype("float32") for f in (data.mean, data.var))

    def call(self, inputs):
        if self.mean is None:
            raise ValueError(f"{self.name}: call adapt(data) first, or give mean and variance")
        x, mean = backend.as_tensor(inputs, self.dtype), backend.as_tensor(self.mean)
        scale = backend.as_tensor(np.maximum(np.sqrt(self.variance), backend.epsilon()))
        return x * scale + mean if self.invert else (x - mean) / scale

    def get_config(self):
        return {**super().get_config(), "mean": None if self.mean is None else self.mean.tolist(),
                "variance": None if self.variance is None else self.variance.tolist()}


class Discretization(Adapted):
    """The index of the interval between `bin_boundaries`; `adapt` sets `num_bins` equally full ones."""

    def __init__(self, bin_boundaries: Any = None, num_bins: int | None = None, epsilon: float = 0.01,
                 output_mode: str = "int", **keywords: Any):
        super().__init__(**keywords)
        self.bin_boundaries, self.num_bins = None if bin_boundaries is None else list(bin_boundaries), num_bins
        self.output_mode = one_of("Discretization", "output_mode", output_mode, _MODES)

    def learn(self, data):
        shares = np.linspace(0, 1, int(self.num_bins or 2) + 1)[1:-1]
        self.bin_boundaries = np.quantile(data, shares).tolist()

    def call(self, inputs):
        if self.bin_boundaries is None:
            raise ValueError(f"{self.name}: call adapt(data) first, or give bin_boundaries")
        found = np.digitize(backend.as_array(inputs), self.bin_boundaries)
        return encoded(found, len(self.bin_boundaries) + 1, self.output_mode)

    def get_config(self):
        return {**super().get_config(), "bin_boundaries": self.bin_boundaries}


class CategoryEncoding(Adapted):
    """Integers below `num_tokens` as "one_hot", "multi_hot" (which occur) or "count" (how often)."""

    def __init__(self, num_tokens: int | None = None, output_mode: str = "multi_hot", **keywords: Any):
        super().__init__(**keywords)
        if num_tokens is None:
            raise ValueError("CategoryEncoding: num_tokens must be set")
        self.num_tokens = num_tokens
        self.output_mode = one_of("CategoryEncoding", "output_mode", output_mode, _MODES[1:])

    def call(self, inputs, count_weights=None):
        return encoded(backend.as_array(inputs), self.num_tokens, self.output_mode, count_weights)


class StringLookup(Adapted):
    """Words as indices into a vocabulary; before it come a place for none (`mask_token`) and those for unknown words.

    `invert` gives the words of indices, as a NumPy array.

    >>> StringLookup(vocabulary=["a", "b"])(np.array(["b", "c", "a"]))
    tensor([2, 0, 1])
    """

    unknown: Any = "[UNK]"
    kind: Any = str

    def __init__(self, max_tokens: int | None = None, num_oov_indices: int = 1, mask_token: Any = None,
                 oov_token: Any = None, vocabulary: Any = None, invert: bool = False, output_mode: str = "int",
                 **keywords: Any):
        super().__init__(**keywords)
        self.max_tokens, self.num_oov_indices, self.mask_token, self.invert = max_tokens, num_oov_indices, mask_token, \
            invert
        self.output_mode = one_of(type(self).__name__, "output_mode", output_mode, _MODES)
        self.oov_token = self.unknown if oov_token is None else oov_token
        self.set_vocabulary([] if vocabulary is None else vocabulary)

    @property
    def first(self) -> int:
        """How many places come before the vocabulary."""
        return self.num_oov_indices + (self.mask_token is not None and self.output_mode == "int")

    def set_vocabulary(self, vocabulary: Any) -> None:
        """Take these words, or those of a file with one a line; places before them may be among them."""
        if isinstance(vocabulary, str):
            with open(vocabulary, encoding="utf-8") as file:
                vocabulary = file.read().splitlines()
        special = (self.oov_token, self.mask_token)
        self.words = [self.kind(w) for w in backend.as_array(vocabulary).tolist() if w not in special]
        self._index = {word: i + self.first for i, word in enumerate(self.words)}

    def get_vocabulary(self, include_special_tokens: bool = True) -> list:
        """The words, first those that stand for none and for unknown ones."""
        special = [self.mask_token] * (self.first - self.num_oov_indices) + [self.oov_token] * self.num_oov_indices
        return (special if include_special_tokens else []) + self.words

    def vocabulary_size(self) -> int:
        """The number of indices."""
        return self.first + len(self.words)

    def learn(self, data):
        counts = Counter(self.kind(w) for w in data.ravel().tolist() if w not in (self.mask_token, self.oov_token))
        room = None if self.max_tokens is None else self.max_tokens - self.first
        self.set_vocabulary(sorted(sorted(counts, reverse=True), key=lambda w: -counts[w])[:room])

    def call(self, inputs):
        x = backend.as_array(inputs)
        if self.invert:
            return np.array(self.get_vocabulary(), object)[x]
        return encoded(self._indices(x), self.vocabulary_size(), self.output_mode)

    def _indices(self, x: np.ndarray) -> np.ndarray:
        place = self.first - self.num_oov_indices  # of unknown words: the first of theirs, or by their hash
        found = []
        for word in x.ravel().tolist():
            index = 0 if word == self.mask_token and place else self._index.get(self.kind(word))
            if index is None:
                if not self.num_oov_indices:
                    raise ValueError(f"{self.name}: {word!r} is not in the vocabulary, and num_oov_indices is 0")
                index = place + (0 if self.num_oov_indices == 1 else sum(map(ord, str(word))) % self.num_oov_indices)
            found.append(index)
        return np.array(found, "int64").reshape(x.shape)

    def get_config(self):
        return {**super().get_config(), "vocabulary": self.words}


class IntegerLookup(StringLookup):
    """`StringLookup` for integers; unknown ones stand at -1."""

    unknown = -1
    kind = int


class TextVectorization(StringLookup):
    """Texts as indices of their words (N, T), filled with 0 to the longest or to `output_sequence_length`.

    Texts are put in lower case and lose their punctuation first. Index 0 is none, 1 an unknown word.
    """

    def __init__(self, max_tokens: int | None = None, standardize: Any = "lower_and_strip_punctuation",
                 split: Any = "whitespace", ngrams: Any = None, output_mode: str = "int",
                 output_sequence_length: int | None = None, vocabulary: Any = None, **keywords: Any):
        if ngrams is not None:
            raise NotImplementedError(f"TextVectorization: ngrams={ngrams}; give `split` a function that makes them")
        super().__init__(max_tokens, mask_token="", vocabulary=vocabulary, output_mode=output_mode, **keywords)
        self.standardize, self.split, self.output_sequence_length = standardize, split, output_sequence_length

    def words_of(self, text: Any) -> list[str]:
        """The words of a text."""
        if callable(self.standardize):
            text = self.standardize(text)
        else:
            text = text.lower() if self.standardize in ("lower", "lower_and_strip_punctuation") else text
            if self.standardize in ("strip_punctuation", "lower_and_strip_punctuation"):
                text = re.sub(f"[{re.escape(string.punctuation)}]", "", text)
        if callable(self.split):
            return list(self.split(text))
        return text.split() if self.split == "whitespace" else list(text) if self.split == "character" else [text]

    def learn(self, data):
        words = [word for text in data.ravel().tolist() for word in self.words_of(text)]
        super().learn(np.array(words, object))

    def call(self, inputs):
        x = backend.as_array(inputs)
        texts = [self.words_of(text) for text in x.ravel().tolist()]
        if self.output_mode != "int":
            rows = [encoded(self._indices(np.array(words, object)), self.vocabulary_size(), "count").numpy()
                    for words in texts]
            counts = np.stack(rows)
            return backend.as_tensor(counts if self.output_mode == "count" else (counts > 0).astype("float32"))
        length = self.output_sequence_length or max(map(len, texts), default=0)
        ids = np.zeros((len(texts), length), "int64")
        for row, words in zip(ids, texts):
            row[:len(words)] = self._indices(np.array(words[:length], object))
        return backend.as_tensor(ids if x.ndim else ids[0])


def encoded(indices: np.ndarray, size: int, mode: str, weights: Any = None) -> Any:
    """Indices as they are, or over the last axis as vectors of `size`. Raises ValueError for one out of range."""
    if mode == "int":
        return backend.as_tensor(indices.astype("int64"))
    indices = indices.astype("int64")
    if indices.size and not 0 <= indices.min() <= indices.max() < size:
        raise ValueError(f"Input values must be in the range 0 <= values < num_tokens with num_tokens={size}")
    each = np.eye(size, dtype="float32")[indices]
    if mode == "one_hot":
        return backend.as_tensor(each[..., 0, :] if indices.ndim > 1 and indices.shape[-1] == 1 else each)
    if weights is not None:
        each = each * backend.as_array(weights)[..., None]
    summed = each.sum(-2) if indices.ndim else each
    return backend.as_tensor(summed if mode == "count" else np.minimum(summed, 1))
