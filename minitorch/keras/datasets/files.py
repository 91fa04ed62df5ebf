"""Where the files of data sets lie, and reading them as Keras's arrays."""
from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ...vision import datasets

Arrays = tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


def loader(kind: str, name: str) -> Callable[..., Arrays]:
    """The `load_data` of one of the core's data sets."""
    def load_data(path: str = name) -> Arrays:
        """(x_train, y_train), (x_test, y_test).

        `path` is a folder with the files; by default they are in ~/.keras/datasets, fetched if they are missing.
        """
        splits = []
        for train in (True, False):
            data = getattr(datasets, kind)(_folder(path), train=train, download=True)
            x, y = np.asarray(data.data), np.asarray(data.targets, np.uint8)
            splits.append((x, y[:, None] if x.ndim == 4 else y))
        return splits[0], splits[1]

    return load_data


def _folder(path: str) -> Path:
    """A folder as it is given where it exists, or else of this name in Keras's own, ~/.keras/datasets."""
    given = Path(path)
    home = Path(os.environ.get("KERAS_HOME", Path.home() / ".keras"))
    return given if given.is_dir() else home / "datasets" / given.name.removesuffix(".npz")
