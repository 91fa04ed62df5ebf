"""A writer of pickles that refers to tensors by PyTorch's names, with their storages left to the file around it."""
from __future__ import annotations

import io
import pickle
import sys
import warnings
from collections import OrderedDict
from types import FunctionType
from typing import Any, ClassVar

import numpy as np

from ..device import device
from ..ops.random import Generator
from ..roots import bytes_of, offset_of, root_of
from ..storage import KINDS, TypedStorage, UntypedStorage
from ..tensor import Size, Tensor
from . import names
from .memory import dtype_of

_KIND_OF = {dtype_of(kind): kind for name, kind in KINDS.items() if ("torch", name) in names.TABLE}
_WRITTEN = {id(value): name for name, value in names.TABLE.items() if name[0].startswith("torch")}


class Reference:
    """A storage, as a pickle refers to it."""

    def __init__(self, kind: Any, key: str, root: Any):
        self.kind, self.key, self.root = kind, key, root
        self.content = bytes_of(root)
        self.location = "cpu" if isinstance(root, np.ndarray) else f"cuda:{root.device.id}"

    @property
    def count(self) -> int:
        return self.content.size // dtype_of(self.kind).itemsize

    def bytes(self) -> memoryview:
        """What the file holds of it: whole elements."""
        content = self.content[:self.count * dtype_of(self.kind).itemsize]
        return (content if isinstance(content, np.ndarray) else content.get()).data


_PythonPickler: Any = pickle._Pickler  # type: ignore[attr-defined]  # whose method for names can be replaced


class Pickler(_PythonPickler):
    """Writes `obj`, and collects the storages of its tensors in `storages`, in their order.

    `part` goes into the reference to a storage: the older format says there that it is no part of another.
    """

    dispatch: ClassVar = dict(_PythonPickler.dispatch)

    def __init__(self, file: Any, protocol: int, part: tuple = ()):
        super().__init__(file, protocol)
        self.storages: list[Reference] = []
        self._references: dict[int, Reference] = {}
        self._part = part
        self._in_module = False  # whose parts are written by reference, as the program's own classes are

    def persistent_id(self, obj: Any) -> Any:
        if isinstance(obj, (TypedStorage, UntypedStorage)):
            memory = obj._untyped_storage._bytes if isinstance(obj, TypedStorage) else obj._bytes
            kind = _KIND_OF[obj.dtype] if isinstance(obj, TypedStorage) else UntypedStorage
            obj = self._reference(root_of(memory), kind)
        if not isinstance(obj, Reference):
            return None
        return ("storage", obj.kind, obj.key, obj.location, obj.count, *self._part)

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, Tensor):
            return self._tensor(obj)
        if isinstance(obj, Size):
            return Size, (tuple(obj),)
        if type(obj).__module__ == "minitorch.return_types":
            return type(obj), (tuple(obj), {})
        if isinstance(obj, device):
            return device, (obj.type,) if obj.index is None else (obj.type, obj.index)
        if type(obj) is Generator:
            return Generator, (obj.device,), (obj.initial_seed(), None, obj.get_state())
        if (module := sys.modules.get("minitorch.nn.module")) and isinstance(obj, module.Module):
            self._in_module = True
        return NotImplemented

    def _tensor(self, t: Tensor) -> tuple:
        """The call that builds `t`, which PyTorch's files have for it."""
        from ..nn.parameter import Buffer, Parameter

        if getattr(t, "layout", None) is not None and str(t.layout) != "torch.strided":
            raise TypeError(f"save: a tensor of layout {t.layout} has no memory of its own; save its to_dense()")
        if t._hooks:
            warnings.warn("save: the hooks on a tensor are not saved", stacklevel=2)
        state = t._attributes()
        hooks: Any = OrderedDict()
        if isinstance(t, Parameter):
            parts = t.data, t.requires_grad, hooks
            return (names.rebuild_parameter_with_state, (*parts, state)) if state else (names.rebuild_parameter, parts)
        reference, offset, stride = self._placed(t)
        call: Any = names.rebuild_tensor_v2
        args: tuple = (reference, offset, tuple(t.shape), stride, t.requires_grad, hooks)
        if reference.kind is UntypedStorage:
            call, args = names.rebuild_tensor_v3, (*args, t.dtype)
        if isinstance(t, Buffer):
            state["_is_buffer"] = True
        kind = Tensor if isinstance(t, Buffer) else type(t)
        return (names.rebuild_from_type, (call, kind, args, state)) if state or kind is not Tensor else (call, args)

    def _placed(self, t: Tensor) -> tuple[Reference, int, tuple[int, ...]]:
        """The storage that `t` lies in, and where in it, in elements."""
        array, size = t._array, t._array.itemsize
        root = root_of(array)
        start = offset_of(array, root)
        if start is None or start % size or any([s < 0 or s % size for s in array.strides]):
            array = root = array.copy()  # no tensor of PyTorch lies so in its memory
            start = 0
        kind = _KIND_OF.get(t.dtype, UntypedStorage)
        return self._reference(root, kind), start // size, t.stride() if array is t._array else _stride(array)

    def _reference(self, root: Any, kind: Any) -> Reference:
        known = self._references.get(id(root))
        if known is None:
            known = self._references[id(root)] = Reference(kind, str(len(self.storages)), root)
            self.storages.append(known)
        elif known.kind is not kind:
            raise RuntimeError("Cannot save multiple tensors or storages that view the same data as different types")
        return known

    def save_global(self, obj: Any, name: str | None = None) -> None:
        """Write a reference by name: PyTorch's, where there is one."""
        known = _WRITTEN.get(id(obj))
        if getattr(obj, "__module__", "") == "minitorch.return_types":
            known = "torch.return_types", obj.__name__
        if known is None:
            if not self._in_module and str(getattr(obj, "__module__", "")).partition(".")[0] == "minitorch":
                raise TypeError(f"save: {obj!r} is minitorch's own and has no form in PyTorch's files; save the "
                                "numbers in it")
            super().save_global(obj, name)
            return
        if self.proto >= 4:
            self.save(known[0])
            self.save(known[1])
            self.write(pickle.STACK_GLOBAL)
        else:
            self.write(pickle.GLOBAL + f"{known[0]}\n{known[1]}\n".encode())
        self.memoize(obj)

    dispatch[FunctionType] = save_global


def dumps(obj: Any, protocol: int, part: tuple = ()) -> tuple[bytes, list[Reference]]:
    """The pickle of `obj`, and the storages that it refers to."""
    file = io.BytesIO()
    pickler = Pickler(file, protocol, part)
    pickler.dump(obj)
    return file.getvalue(), pickler.storages


def _stride(array: Any) -> tuple[int, ...]:
    return tuple(s // array.itemsize for s in array.strides)
