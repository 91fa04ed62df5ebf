"""Where the files of data sets lie, and reading them as Keras's arrays."""
from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from ...vision import datasets

Arrays = tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


def images(kind: Any, path: str) -> Arrays:
    """Both splits of a data set of grey images: (N, 28, 28) and (N,), uint8."""
    splits = []
    for train in (True, False):
        data = kind(folder(path), train=train, download=True)
        splits.append((data.data.numpy(), data.targets.numpy().astype(np.uint8)))
    return splits[0], splits[1]


def cifar(classes: int, path: str) -> Arrays:
    """Both splits of CIFAR: (N, 32, 32, 3) and (N, 1), uint8."""
    kind = datasets.CIFAR10 if classes == 10 else datasets.CIFAR100
    splits = []
    for train in (True, False):
        data = kind(folder(path), train=train, download=True)
        splits.append((data.data, np.array(data.targets, np.uint8)[:, None]))
    return splits[0], splits[1]


def folder(path: str) -> Path:
    """A folder as it is given where it exists, or else of this name in Keras's own, ~/.keras/datasets."""
    given = Path(path)
    home = Path(os.environ.get("KERAS_HOME", Path.home() / ".keras"))
    return given if given.is_dir() else home / "datasets" / given.name.removesuffix(".npz")
