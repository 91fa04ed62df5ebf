"""Weights in files: Keras's own `.weights.h5`, NumPy's `.npz`."""
from __future__ import annotations

import io
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import CheckpointError, MissingError
from ..nn import Module
from .backend import as_array, snake_case


def save_weights(model: Any, filepath: Any, overwrite: bool = True) -> None:
    """Write the weights of `model`. Raises ValueError for another ending, FileExistsError unless `overwrite`."""
    kind = _kind(filepath)
    with writable(model, filepath, overwrite, "save_weights").open("wb") as file:
        write(file, kind, arrays_of(model))


def load_weights(model: Any, filepath: Any, skip_mismatch: bool = False) -> None:
    """Read what `save_weights` wrote, or Keras. Raises ValueError where some are missing or of another shape."""
    kind = _kind(filepath)
    if not model.built:
        raise ValueError(f"load_weights: the model {model.name!r} is not built yet; call it on data first")
    with readable(filepath, "load_weights").open("rb") as file:
        assign(model, read(file, kind), f"load_weights: {os.fspath(filepath)}", skip_mismatch)


def writable(model: Any, filepath: Any, overwrite: bool, name: str) -> Path:
    """The path to write a built model to. Raises FileExistsError, and ValueError."""
    if Path(filepath).exists() and not overwrite:
        raise FileExistsError(f"{name}: {os.fspath(filepath)} is there already")
    if not model.built:
        raise ValueError(f"{name}: the model {model.name!r} is not built yet; call it on data first")
    return Path(filepath)


def readable(filepath: Any, name: str) -> Path:
    """The path to read from. Raises FileNotFoundError."""
    if not Path(filepath).exists():
        raise FileNotFoundError(f"{name}: there is no file {os.fspath(filepath)!r}")
    return Path(filepath)


def arrays_of(model: Any) -> dict[str, np.ndarray]:
    """All weights by their places in Keras's files."""
    return {key: as_array(v) for key, v in _places(model).items()}


def assign(model: Any, found: dict[str, np.ndarray], what: str, skip_mismatch: bool = False) -> None:
    """Write arrays over the weights at their places. Raises CheckpointError, which begins with `what`."""
    places = _places(model)
    for key, v in places.items():
        if not skip_mismatch and (key not in found or tuple(found[key].shape) != tuple(v.shape)):
            has = f"has shape {tuple(found[key].shape)}" if key in found else "is missing"
            raise CheckpointError(f"{what}: {key} {has}, the model expects {tuple(v.shape)}")
    for key, v in places.items():
        if key in found and tuple(found[key].shape) == tuple(v.shape):
            v.assign(found[key])


def write(file: Any, kind: str, arrays: dict[str, np.ndarray]) -> None:
    """Write arrays by name to an open file: "h5" or "npz"."""
    if kind == "npz":
        np.savez(file, **arrays)  # type: ignore[arg-type]
    else:
        buffer = io.BytesIO()
        with _h5py().File(buffer, "w") as h5:
            for key, array in arrays.items():
                h5.create_dataset(key, data=array)
        file.write(buffer.getvalue())


def read(file: Any, kind: str) -> dict[str, np.ndarray]:
    """The arrays of an open file by name."""
    content = io.BytesIO(file.read())
    if kind == "npz":
        with np.load(content) as arrays:
            return {key: arrays[key] for key in arrays.files}
    h5py, found = _h5py(), {}
    with h5py.File(content, "r") as h5:
        h5.visititems(lambda key, x: found.update({key: np.asarray(x)}) if isinstance(x, h5py.Dataset) else None)
    return found


def has_h5py() -> bool:
    """Whether files of h5py's kind can be written."""
    return find_spec("h5py") is not None


def _places(model: Any) -> dict[str, Any]:
    """Each weight by its place in Keras's files: layers/dense_1/vars/0, the layers of a kind counted from 0."""
    places: dict[str, Any] = {}
    seen: set[int] = set()

    def walk(layer: Any, prefix: str) -> None:
        if id(layer) in seen:
            return
        seen.add(id(layer))
        own = [v for v in layer._parameters.values() if v is not None]
        cell = "cell/" if hasattr(layer, "core") and hasattr(layer, "state_count") else ""
        places.update({f"{prefix}{cell}vars/{i}": v for i, v in enumerate(own)})
        counts: dict[str, int] = {}
        names = {id(child): name for name, child in layer._modules.items()}
        numbered = hasattr(layer, "_graph") and (layer._graph is not None or hasattr(layer, "_start"))
        for child in getattr(layer, "layers_below", list(layer.children()) if isinstance(layer, Module) else []):
            name = names[id(child)]
            if numbered:
                kind = snake_case(type(child).__name__)
                counts[kind] = counts.get(kind, -1) + 1
                name = "layers/" + (kind if not counts[kind] else f"{kind}_{counts[kind]}")
            walk(child, f"{prefix}{name}/")

    walk(model, "")
    return places


def _kind(filepath: Any) -> str:
    name = os.fspath(filepath)
    for ending, kind in ((".weights.h5", "h5"), (".npz", "npz")):
        if name.endswith(ending):
            return kind
    raise ValueError("The filename must end in `.weights.h5` (or here in `.npz`). "
                     f"Received: filepath={name}")


def _h5py() -> Any:
    try:
        import h5py
    except ImportError:
        raise MissingError("files that end in .weights.h5 need h5py (pip install h5py); .npz needs "
                           "nothing") from None
    return h5py
