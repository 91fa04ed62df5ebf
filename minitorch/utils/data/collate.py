"""Collation: a list of samples becomes one batch, field by field."""

import copy
from collections.abc import Mapping, MutableMapping, MutableSequence, Sequence

import numpy as np

from minitorch.tensor import Tensor
from minitorch.utils.data.dataset import Columns


def default_collate(batch):
    """Stack samples into a batch: tensors, arrays and numbers become tensors with a new first dimension.

    Mappings, named tuples, tuples (as lists) and sequences are collated member by member; strings and bytes stay
    lists. Python floats become float64 and ints int64, as in PyTorch.

    Raises TypeError for a sample of another type, RuntimeError for sequences of unequal length.

    >>> default_collate([(1, "a"), (2, "b")])
    [tensor([1, 2]), ('a', 'b')]
    """
    return collate(batch, collate_fn_map=default_collate_fn_map)


def collate(batch, *, collate_fn_map=None):
    """`default_collate` with its own table from the type of a sample to the function that collates such samples."""
    if isinstance(batch, Columns):
        return list(batch.columns)
    sample = batch[0]
    collate_fn = _collate_fn_for(sample, collate_fn_map or {})
    if collate_fn is not None:
        return collate_fn(batch, collate_fn_map=collate_fn_map)

    def collate_members(members):
        return collate(members, collate_fn_map=collate_fn_map)

    if isinstance(sample, Mapping):
        return _rebuild_mapping(sample, {key: collate_members([row[key] for row in batch]) for key in sample})
    if isinstance(sample, Sequence):
        sizes = {len(row) for row in batch}
        if len(sizes) > 1:
            raise RuntimeError(
                "each element in list of batch should be of equal size: "
                f"default_collate got sequences of the lengths {sorted(sizes)}"
            )
        return _rebuild_sequence(sample, [collate_members(column) for column in zip(*batch)])
    raise TypeError(
        "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; "
        f"found {type(sample)}; pass a collate_fn that handles it"
    )


def default_convert(data):
    """Turn NumPy arrays and scalars in `data` into tensors, without adding a batch dimension.

    >>> import numpy
    >>> default_convert({"x": numpy.array([1, 2]), "name": "a"})
    {'x': tensor([1, 2]), 'name': 'a'}
    """
    import minitorch

    if isinstance(data, (np.ndarray, np.generic)) and not _is_text_or_object(data):
        return minitorch.as_tensor(data)
    if isinstance(data, Mapping):
        return _rebuild_mapping(data, {key: default_convert(value) for key, value in data.items()})
    if isinstance(data, Sequence) and not isinstance(data, (str, bytes)):
        return _rebuild_sequence(data, [default_convert(value) for value in data])
    return data


def pin_memory(batch):
    """`batch` with its tensors, and objects of classes that define `pin_memory()`, in page-locked memory."""
    if hasattr(batch, "pin_memory"):
        return batch.pin_memory()
    if isinstance(batch, Mapping):
        return _rebuild_mapping(batch, {key: pin_memory(value) for key, value in batch.items()})
    if isinstance(batch, Sequence) and not isinstance(batch, (str, bytes)):
        return _rebuild_sequence(batch, [pin_memory(value) for value in batch])
    return batch


def _collate_tensors(batch, *, collate_fn_map=None):
    import minitorch

    return minitorch.stack(list(batch), 0)


def _collate_arrays(batch, *, collate_fn_map=None):
    import minitorch

    first = batch[0]
    if _is_text_or_object(first):
        raise TypeError(
            "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; "
            f"found an array of dtype {first.dtype}"
        )
    if all(array.shape == first.shape and array.dtype == first.dtype for array in batch):
        return minitorch.from_numpy(np.stack(batch))
    return collate([minitorch.as_tensor(array) for array in batch], collate_fn_map=collate_fn_map)


def _collate_scalars(batch, *, collate_fn_map=None):
    import minitorch

    return minitorch.as_tensor(np.array(batch))


def _collate_floats(batch, *, collate_fn_map=None):
    import minitorch

    return minitorch.tensor(batch, dtype=minitorch.float64)


def _collate_ints(batch, *, collate_fn_map=None):
    import minitorch

    return minitorch.tensor(batch)


def _keep(batch, *, collate_fn_map=None):
    return batch


default_collate_fn_map = {
    Tensor: _collate_tensors,
    np.ndarray: _collate_arrays,
    (np.bool_, np.number): _collate_scalars,
    float: _collate_floats,
    int: _collate_ints,
    (str, bytes): _keep,
}


def _collate_fn_for(sample, table):
    """The entry of the sample's very type, else the first entry that it is an instance of."""
    if type(sample) in table:
        return table[type(sample)]
    return next((collate_fn for kind, collate_fn in table.items() if isinstance(sample, kind)), None)


def _is_text_or_object(data):
    return np.asarray(data).dtype.kind in "SUO"


def _rebuild_mapping(original, members):
    """A mapping of the type of `original` with new members; a dict where that type cannot be built so."""
    try:
        if isinstance(original, MutableMapping):
            result = copy.copy(original)  # keeps further attributes, such as a default factory
            result.update(members)
            return result
        return type(original)(members)
    except TypeError:
        return members


def _rebuild_sequence(original, members):
    """Like `_rebuild_mapping`; a plain tuple becomes a list, as PyTorch has it."""
    if isinstance(original, tuple):
        return type(original)(*members) if hasattr(original, "_fields") else members
    try:
        if isinstance(original, MutableSequence):
            result = copy.copy(original)
            for i, member in enumerate(members):
                result[i] = member
            return result
        return type(original)(members)
    except TypeError:
        return members
