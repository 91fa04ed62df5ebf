"""Texts as lists of the numbers of their words, as `TextVectorization` does in a layer."""
from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from ...errors import absent_from

FILTERS = '!"#$%&()*+,-./:;<=>?@[\\]^_`{|}~\t\n'


def text_to_word_sequence(text: str, filters: str = FILTERS, lower: bool = True, split: str = " ") -> list[str]:
    """The words of a text, without the characters in `filters`.

    >>> text_to_word_sequence("The cat, the dog!")
    ['the', 'cat', 'the', 'dog']
    """
    text = text.lower() if lower else text
    return [word for word in text.translate({ord(c): split for c in filters}).split(split) if word]


class Tokenizer:
    """Numbers for words, the most frequent first; 0 is none. Of texts only the `num_words` - 1 first count.

    >>> t = Tokenizer(oov_token="?")
    >>> t.fit_on_texts(["a b a"])
    >>> t.word_index, t.texts_to_sequences(["b c"])
    ({'?': 1, 'a': 2, 'b': 3}, [[3, 1]])
    """

    def __init__(self, num_words: int | None = None, filters: str = FILTERS, lower: bool = True, split: str = " ",
                 char_level: bool = False, oov_token: str | None = None, analyzer: Callable | None = None):
        self.num_words, self.filters, self.lower, self.split = num_words, filters, lower, split
        self.char_level, self.oov_token, self.analyzer = char_level, oov_token, analyzer
        self.word_counts: Counter[str] = Counter()
        self.document_count = 0
        self.word_index: dict[str, int] = {}
        self.index_word: dict[int, str] = {}

    def _words(self, text: Any) -> list[str]:
        if self.analyzer is not None:
            return self.analyzer(text)
        if self.char_level or isinstance(text, list):
            return [part.lower() if self.lower else part for part in text]
        return text_to_word_sequence(text, self.filters, self.lower, self.split)

    def fit_on_texts(self, texts: Iterable[Any]) -> None:
        """Count the words of these texts."""
        for text in texts:
            self.document_count += 1
            self.word_counts.update(self._words(text))
        first = [] if self.oov_token is None else [self.oov_token]
        words = first + sorted(self.word_counts, key=lambda word: -self.word_counts[word])
        self.word_index = {word: i for i, word in enumerate(words, 1)}
        self.index_word = {i: word for word, i in self.word_index.items()}

    def texts_to_sequences(self, texts: Iterable[Any]) -> list[list[int]]:
        """The numbers of the words; unknown ones are left out, or `oov_token`'s."""
        limit, unknown = self.num_words or len(self.word_index) + 1, self.word_index.get(self.oov_token or "")
        found = []
        for text in texts:
            ids = [self.word_index.get(word, limit) for word in self._words(text)]
            found.append([n if n < limit else unknown for n in ids if n < limit or unknown is not None])
        return found  # type: ignore[return-value]

    def sequences_to_texts(self, sequences: Iterable[Iterable[int]]) -> list[str]:
        """The words of these numbers."""
        return [" ".join(self.index_word[int(n)] for n in ids if int(n) in self.index_word) for ids in sequences]

    def texts_to_matrix(self, texts: Iterable[Any], mode: str = "binary") -> np.ndarray:
        """A row for each text: which words occur ("binary"), how often ("count"), or which share ("freq")."""
        if mode not in ("binary", "count", "freq"):
            raise ValueError(f"texts_to_matrix: expected mode to be binary, count or freq, got {mode!r}")
        sequences = self.texts_to_sequences(texts)
        result = np.zeros((len(sequences), self.num_words or len(self.word_index) + 1))
        for row, ids in zip(result, sequences):
            np.add.at(row, ids, 1)
            if mode != "count":
                row[:] = row > 0 if mode == "binary" else row / max(len(ids), 1)
        return result


__getattr__ = absent_from("keras.preprocessing.text", lambda: globals())
