"""Whole models in files, as Keras 3 has them: a zip of config.json, metadata.json and the weights.

The weights are `model.weights.h5` where h5py is installed, which Keras reads too, and otherwise `model.weights.npz`.
"""
from __future__ import annotations

import json
import os
import time
import zipfile
from typing import Any

import numpy as np

from ..errors import CheckpointError, absent_from
from . import weight_files
from .serialization import (
    custom_object_scope,
    deserialize,
    get_custom_objects,
    get_registered_object,
    register_keras_serializable,
    registered_name,
    serialize,
)

CustomObjectScope = custom_object_scope
serialize_keras_object, deserialize_keras_object = serialize, deserialize
get_registered_name = registered_name
_CONFIG, _METADATA, _WEIGHTS = "config.json", "metadata.json", "model.weights"


def save_model(model: Any, filepath: Any, overwrite: bool = True, zipped: bool = True, **keywords: Any) -> None:
    """Write layers, weights, what `compile` was given, and the optimizer's state to a file that ends in .keras.

    Raises ValueError for another ending or a model that is not built, NotImplementedError for a layer that is no data.
    """
    _checked(filepath, "save")
    if unknown := [key for key in keywords if key not in ("include_optimizer", "save_format")]:
        raise ValueError(f"save: the following arguments are not supported: {unknown}")
    if not zipped:
        raise NotImplementedError("save: zipped=False; models are written as one file")
    path = weight_files.writable(model, filepath, overwrite, "save")
    data = model.serialized()
    data["compile_config"] = model.get_compile_config() if model.compiled else {}
    from . import __version__

    about = {"keras_version": __version__, "date_saved": time.strftime("%Y-%m-%d@%H:%M:%S")}
    arrays = weight_files.arrays_of(model)
    if model.optimizer is not None and keywords.get("include_optimizer", True):
        arrays.update((f"optimizer/vars/{i}", np.asarray(v.detach())) for i, v in enumerate(model.optimizer.variables))
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(_METADATA, json.dumps(about))
        file.writestr(_CONFIG, json.dumps(data))
        kind = "h5" if weight_files.has_h5py() else "npz"
        with file.open(f"{_WEIGHTS}.{kind}", "w", force_zip64=True) as member:
            weight_files.write(member, kind, arrays)


def load_model(filepath: Any, custom_objects: dict[str, Any] | None = None, compile: bool = True,
               safe_mode: bool = True) -> Any:
    """The model that `save_model` wrote, or Keras 3, ready to go on training unless `compile` is False.

    Classes of the program are found where they are registered (`register_keras_serializable`) or among
    `custom_objects`. Raises TypeError for one that is not, and CheckpointError, a ValueError, for a damaged file.
    """
    _checked(filepath, "load_model")
    path = weight_files.readable(filepath, "load_model")
    try:
        with zipfile.ZipFile(path) as file:
            data, names = json.loads(file.read(_CONFIG)), file.namelist()
            kind = next((k for k in ("h5", "npz") if f"{_WEIGHTS}.{k}" in names), None)
            if kind is None:
                raise CheckpointError(f"load_model: {path} holds no weights, but {names}")
            with file.open(f"{_WEIGHTS}.{kind}") as member:
                arrays = weight_files.read(member, kind)
    except (zipfile.BadZipFile, KeyError, json.JSONDecodeError) as error:
        raise CheckpointError(f"load_model: {path} is no model file: {error}") from None
    with custom_object_scope(custom_objects or {}):
        model = deserialize(data)
        weight_files.assign(model, arrays, f"load_model: {path}")
        if compile and data.get("compile_config"):
            model.compile_from_config(data["compile_config"])
    if model.optimizer is not None:
        model.optimizer.build(model.trainable_weights)
        kept = [arrays[f"optimizer/vars/{i}"] for i in range(len(model.optimizer.variables))
                if f"optimizer/vars/{i}" in arrays]
        if kept:
            model.optimizer.set_weights(kept)
    return model


def _checked(filepath: Any, name: str) -> None:
    if not os.fspath(filepath).endswith(".keras"):
        raise ValueError(f"{name}: the filepath must end in `.keras`, Keras 3's format; for weights alone there is "
                         f"{'save' if name == 'save' else 'load'}_weights. Received: filepath={os.fspath(filepath)}")


__all__ = ["CustomObjectScope", "custom_object_scope", "deserialize_keras_object", "get_custom_objects",
           "get_registered_name", "get_registered_object", "load_model", "register_keras_serializable", "save_model",
           "serialize_keras_object"]
__getattr__ = absent_from("keras.saving", lambda: __all__)
