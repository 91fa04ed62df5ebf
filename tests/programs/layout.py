"""Data where the programs look for it: published sets, and small stand-ins for what cannot be had."""
from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

SOURCES: dict[str, Callable[[Path, Path], None]] = {}  # each fills a place from the data folder


class Missing(Exception):
    """The data folder lacks what a program needs."""


def lay_out(source: str, data: Path, place: Path) -> None:
    """Fill `place` with the data called `source`; raises Missing where the folder `data` lacks it."""
    place.parent.mkdir(parents=True, exist_ok=True)
    SOURCES[source](data, place)


def source(name: str):
    def keep(fill):
        SOURCES[name] = fill
        return fill
    return keep


@source("mnist")
def _mnist(data: Path, place: Path) -> None:
    _link(data / "MNIST", place)


@source("cifar10")
def _cifar10(data: Path, place: Path) -> None:
    _link(data / "cifar-10-batches-py", place)


@source("text")
def _text(data: Path, place: Path) -> None:
    _link(data / "tinyshakespeare.txt", place)


@source("short text")
def _short_text(data: Path, place: Path) -> None:
    place.write_text(_shakespeare(data)[:120_000])


@source("corpus")
def _corpus(data: Path, place: Path) -> None:
    """Train, validation and test texts, as language models want them."""
    text = _shakespeare(data)
    place.mkdir()
    for name, start, end in [("train", 0, 120_000), ("valid", 120_000, 125_000), ("test", 125_000, 130_000)]:
        (place / f"{name}.txt").write_text(text[start:end])


@source("pictures")
def _pictures(_: Path, place: Path) -> None:
    """Smooth coloured pictures of the size of BSDS300's: 6 to train on and 3 to test."""
    from PIL import Image

    rng = np.random.default_rng(0)
    for part, count in [("train", 6), ("test", 3)]:
        (place / part).mkdir(parents=True)
        for i in range(count):
            coarse = rng.integers(0, 256, (10, 15, 3), dtype=np.uint8)
            Image.fromarray(coarse).resize((481, 321)).save(place / part / f"{i}.jpg")


@source("picture pairs")
def _picture_pairs(_: Path, place: Path) -> None:
    """Smooth coloured pictures of two domains side by side, and in the folders A and B."""
    from PIL import Image

    rng = np.random.default_rng(0)
    for part in ("train", "test", "val"):
        for folder in (place / part, place / part / "A", place / part / "B"):
            folder.mkdir(parents=True, exist_ok=True)
            for i in range(8):
                coarse = rng.integers(0, 256, (5, 10, 3), dtype=np.uint8)
                Image.fromarray(coarse).resize((128, 64)).save(folder / f"{i}.jpg")


@source("cora archive")
def _cora_archive(_: Path, place: Path) -> None:
    with tarfile.open(place, "w:gz") as archive:
        for name, text in _cora().items():
            entry = tarfile.TarInfo(f"cora/{name}")
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))


@source("cora")
def _cora_folder(_: Path, place: Path) -> None:
    place.mkdir(exist_ok=True)
    for name, text in _cora().items():
        (place / name).write_text(text)


def _cora() -> dict[str, str]:
    """A graph in the form of Cora's files: 1,700 papers of 7 kinds, who cite rather their own kind."""
    rng = np.random.default_rng(0)
    papers, words, kinds = 1700, 100, 7
    kind = rng.integers(0, kinds, papers)
    has = rng.random((papers, words)) < np.where(np.arange(words) % kinds == kind[:, None], 0.3, 0.05)
    has[:, 0] = True  # no paper without a word
    content = "".join("\t".join([str(1000 + i), *("01"[int(w)] for w in has[i]), f"kind{kind[i]}\n"])
                      for i in range(papers))
    pairs = set()
    while len(pairs) < 4000:
        one, other = rng.integers(0, papers, 2)
        if one != other and (kind[one] == kind[other] or rng.random() < 0.1):
            pairs.add((int(one), int(other)))
    cites = "".join(f"{1000 + one}\t{1000 + other}\n" for one, other in sorted(pairs))
    return {"cora.content": content, "cora.cites": cites}


def _link(target: Path, place: Path) -> None:
    if not target.exists():
        raise Missing(f"needs {target.name} in the data folder")
    place.symlink_to(target.resolve())


def _shakespeare(data: Path) -> str:
    path = data / "tinyshakespeare.txt"
    if not path.exists():
        raise Missing(f"needs {path.name} in the data folder")
    return path.read_text()
