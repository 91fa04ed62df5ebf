"""Weights in files: Keras's own `.weights.h5`, NumPy's `.npz`, `.safetensors`."""
from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import CheckpointError, MissingError
from ..nn import Module
from .backend import as_array, snake_case


def save_weights(model: Any, filepath: Any, overwrite: bool = True) -> None:
    """Write the weights of `model`. Raises ValueError for another ending, FileExistsError unless `overwrite`."""
    path, kind = Path(filepath), _kind(filepath)
    if path.exists() and not overwrite:
        raise FileExistsError(f"save_weights: {path} is there already")
    if not model.built:
        raise ValueError(f"save_weights: the model {model.name!r} is not built yet; call it on data first")
    arrays = {key: as_array(v) for key, v in _places(model).items()}
    if kind == "npz":
        with path.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
    elif kind == "safetensors":
        from ..ops.values import from_numpy
        from ..serialization.safetensors import torch as files

        files.save_file({key: from_numpy(np.ascontiguousarray(a)) for key, a in arrays.items()}, str(path))
    else:
        with _h5py().File(path, "w") as file:
            for key, array in arrays.items():
                file.create_dataset(key, data=array)


def load_weights(model: Any, filepath: Any, skip_mismatch: bool = False) -> None:
    """Read weights into `model`. Raises ValueError where some are missing or of another shape."""
    path, kind = Path(filepath), _kind(filepath)
    if not path.exists():
        raise FileNotFoundError(f"load_weights: there is no file {os.fspath(path)!r}")
    if not model.built:
        raise ValueError(f"load_weights: the model {model.name!r} is not built yet; call it on data first")
    places = _places(model)
    found = _read(path, kind)
    for key, v in places.items():
        if key not in found or tuple(found[key].shape) != tuple(v.shape):
            if skip_mismatch:
                continue
            has = f"has shape {tuple(found[key].shape)}" if key in found else "is missing"
            raise CheckpointError(f"load_weights: {path}: {key} {has}, the model expects {tuple(v.shape)}")
    for key, v in places.items():
        if key in found and tuple(found[key].shape) == tuple(v.shape):
            v.assign(found[key])


def _read(path: Path, kind: str) -> dict[str, np.ndarray]:
    if kind == "npz":
        with np.load(path) as file:
            return {key: file[key] for key in file.files}
    if kind == "safetensors":
        from ..serialization.safetensors import torch as files

        return {key: as_array(t) for key, t in files.load_file(str(path)).items()}
    h5py, found = _h5py(), {}
    with h5py.File(path, "r") as file:
        file.visititems(lambda key, x: found.update({key: np.asarray(x)}) if isinstance(x, h5py.Dataset) else None)
    return found


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
    for ending, kind in ((".weights.h5", "h5"), (".npz", "npz"), (".safetensors", "safetensors")):
        if name.endswith(ending):
            return kind
    raise ValueError("The filename must end in `.weights.h5` (or here in `.npz` or `.safetensors`). "
                     f"Received: filepath={name}")


def _h5py() -> Any:
    try:
        import h5py
    except ImportError:
        raise MissingError("files that end in .weights.h5 need h5py (pip install h5py); .npz and .safetensors need "
                           "nothing") from None
    return h5py
