"""Tiny Shakespeare for the examples: read from the file that its publisher offers, cut into plays and speeches."""
from __future__ import annotations

import re
from pathlib import Path

import minitorch as mt
from minitorch.vision.datasets.utils import download_url

FILE = "tinyshakespeare.txt"
URL = "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt"
MD5 = "6fb458f1232090904fb40fe944165e91"
OPENINGS = {  # the file has no titles; these are the plays' first words
    "Coriolanus": "First Citizen:\nBefore we proceed", "Richard III": "GLOUCESTER:\nNow is the winter",
    "Richard II": "KING RICHARD II:\nOld John of Gaunt", "Romeo and Juliet": "SAMPSON:\nGregory, o' my word",
    "Henry VI": "WARWICK:\nI wonder how the king", "The Winter's Tale": "ARCHIDAMUS:\nIf you shall chance",
    "Measure for Measure": "DUKE VINCENTIO:\nEscalus.", "The Taming of the Shrew": "SLY:\nI'll pheeze you",
    "The Tempest": "Master:\nBoatswain!"}


def shakespeare(data: str) -> str:
    """The 1.1 million characters of Tiny Shakespeare, from the file `data`, or tinyshakespeare.txt in that folder.

    What is missing is downloaded. Raises RuntimeError, which says from where to put what where, where that fails.
    """
    path = Path(data).expanduser()
    if not path.is_file():
        path /= FILE
        try:
            path = download_url(URL, path.parent, FILE, MD5)
        except (OSError, RuntimeError) as error:
            raise RuntimeError(f"Tiny Shakespeare is missing: save {URL} as {path} ({error})") from error
    return path.read_text("utf-8")


def plays(text: str) -> dict[str, str]:
    """The plays of Tiny Shakespeare by title; of another text, the whole of it, without a title."""
    starts = {title: text.find(opening) for title, opening in OPENINGS.items()}
    if -1 in starts.values():
        return {"": text}
    ends = [*list(starts.values())[1:], len(text)]
    return {title: text[start:end] for (title, start), end in zip(starts.items(), ends)}


def speeches(text: str) -> list[tuple[str, str]]:
    """(who speaks, what is said) for each speech.

    >>> speeches("SLY:\\nI'll pheeze you, in faith.\\n\\nHostess:\\nA pair of stocks, you rogue!\\n")
    [('SLY', "I'll pheeze you, in faith."), ('Hostess', 'A pair of stocks, you rogue!')]
    """
    parts = [part.partition(":\n") for part in re.split(r"\n\n+", text)]
    return [(speaker, said.strip()) for speaker, colon, said in parts if colon and said.strip()]


class Characters:
    """The characters of a text as numbers.

    >>> Characters("banana").encode("nab").tolist(), Characters("banana").decode([2, 0])
    ([2, 0, 1], 'na')
    """

    def __init__(self, text: str):
        self.all = "".join(sorted(set(text)))
        self.number = {c: i for i, c in enumerate(self.all)}

    def __len__(self) -> int:
        return len(self.all)

    def encode(self, text: str) -> mt.Tensor:
        """Numbers (T,), int64; what the vocabulary lacks is left out."""
        return mt.as_tensor([self.number[c] for c in text if c in self.number], dtype=mt.int64)

    def decode(self, numbers: list[int]) -> str:
        return "".join([self.all[i] for i in numbers])


def windows(data: mt.Tensor, count: int, length: int) -> mt.Tensor:
    """`count` pieces (count, length) of `data` (T,), from random places."""
    starts = mt.randint(0, len(data) - length + 1, (count, 1))
    return data[starts + mt.arange(length)]
