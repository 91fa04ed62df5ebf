"""`load`: files of PyTorch, old and new, and safetensors files, without executing anything."""
from __future__ import annotations

import io
import pickletools
from collections.abc import Callable, Iterator
from typing import Any

from ..device import cupy, device, move
from ..errors import CheckpointError
from ..roots import offset_of, root_of, view_of
from ..tensor import Tensor
from . import former, legacy, names, settings
from .archive import Archive
from .files import Source, opened
from .memory import Elements, Loaded, dtype_of, parts_of, swap
from .unpickler import Unpickler

_KEYWORDS = {"encoding", "errors", "fix_imports", "buffers"}


def load(f: Any, map_location: Any = None, pickle_module: Any = None, *, weights_only: bool | None = None,
         mmap: bool | None = None, **pickle_load_args: Any) -> Any:
    """Read a file that PyTorch or `save` wrote, or the tensors of a safetensors file as a dict.

    Tensors and plain containers are built, with `weights_only=False` also modules whose class the program has loaded,
    and nothing is executed; what else a file refers to is refused by name, unless `add_safe_globals` has declared it.
    `weights_only=True` refuses the containers too that PyTorch's refuses: `defaultdict`, `deque`, NumPy's arrays, ...
    Tensors go to the devices that they were on, or to `map_location`: a device, a dict from old to new ones, or a
    function of storage and location that returns the storage, `storage.cpu()`, `storage.cuda(1)`, or None. With `mmap`
    a file stays on the disk, and its tensors are read when they are looked at.

    Raises FileNotFoundError, or CheckpointError, which names the file, where it is damaged or of another kind.
    """
    unknown = set(pickle_load_args) - _KEYWORDS
    if unknown:
        raise TypeError(f"load: got an unexpected keyword argument {min(unknown)!r}")
    place = _placer(map_location)
    build = Unpickler(declared=settings.declared_by_name(), encoding=pickle_load_args.get("encoding", "utf-8"),
                      modules=weights_only is False, strict=weights_only is True)
    with opened(f, bool(mmap)) as source:
        kind = _kind(source)
        if kind == "zip":
            value = _read_zip(Archive(source), build, place)
        elif kind == "safetensors":
            value, arrays = former.read(source)
            build.tensors = [(t, place(Loaded(bytes_), "cpu")) for t, bytes_ in arrays]
        elif mmap:
            raise RuntimeError("mmap can only be used with files saved with _use_new_zipfile_serialization=True, or "
                               "with safetensors; this one is of PyTorch's older format")
        else:
            value = (legacy.read if kind == "legacy" else legacy.read_tar)(source, build, place)
        build.finish()
        _move(build.tensors)
        return value


def get_unsafe_globals_in_checkpoint(f: Any) -> list[str]:
    """The names that a file refers to, and that `load` would refuse."""
    with opened(f) as source:
        content = Archive(source).read("data.pkl").tobytes()
    declared = settings.declared_by_name()
    return [f"{module}.{name}" for module, name in dict.fromkeys(_references(content))
            if f"{module}.{name}" not in declared and not _known(module, name)]


def default_restore_location(storage: Loaded, location: str) -> Loaded:
    """The storage for the device of that name, "cpu" or "cuda:0". Raises RuntimeError where it is not there."""
    kind = location.partition(":")[0]
    if kind == "cuda":
        try:
            cupy()
        except (ImportError, RuntimeError) as error:
            raise RuntimeError("load: the file holds tensors of a CUDA device, and there is none here; "
                               f"map_location='cpu' puts them into the CPU's memory ({error})") from None
    elif kind != "cpu":
        raise RuntimeError(f"load: don't know how to restore data location of a storage tagged with {location!r}; "
                           "map_location='cpu' puts it into the CPU's memory")
    return storage.to(location)


def _placer(map_location: Any) -> Callable[[Loaded, str], Loaded]:
    """A function from storages and their old places to storages with their new ones."""
    if map_location is None:
        return default_restore_location
    if isinstance(map_location, dict):
        return lambda storage, location: default_restore_location(storage, str(map_location.get(location, location)))
    if isinstance(map_location, (str, device)):
        return lambda storage, location: default_restore_location(storage, str(map_location))
    if not callable(map_location):
        raise TypeError("load: map_location expects a device, a str, a dict or a function, got "
                        f"{type(map_location).__name__}")

    def place(storage: Loaded, location: str) -> Loaded:
        result = map_location(storage, location)
        if result is None:
            return default_restore_location(storage, location)
        if not isinstance(result, Loaded):
            raise TypeError(f"load: map_location returned a {type(result).__name__}; it returns the storage, "
                            "storage.cpu(), storage.cuda(index) or None")
        return result

    return place


def _kind(source: Source) -> str:
    """Which format the bytes from here on are in."""
    start = source.tell()
    head = source.read(265)
    source.seek(start)
    if not head:
        raise EmptyError("the file is empty, or was read to its end before: seek(0) first")
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= source.size:
        return "safetensors"
    if head[:4] == b"PK\3\4":
        return "zip"
    if head[257:262] == b"ustar":
        return "tar"
    if head[:1] == b"\x80":
        return "legacy"
    raise CheckpointError("neither a file of PyTorch nor a safetensors file, or a damaged one")


class EmptyError(CheckpointError, EOFError):
    """A file without content."""


def _read_zip(archive: Archive, build: Unpickler, place: Callable[[Loaded, str], Loaded]) -> Any:
    native = settings.get_default_load_endianness() != settings.LoadEndianness.BIG
    little = archive.read("byteorder").tobytes() == b"little" if "byteorder" in archive.records else native
    storages: dict[str, Loaded] = {}

    def fetch(reference: Any) -> Elements:
        kind, key, location, count, _ = parts_of(reference)
        if key not in storages:
            memory = archive.read(f"data/{key}")
            if not little:
                swap(memory, dtype_of(kind))
            storages[key] = place(Loaded(memory), location)
        if count * dtype_of(kind).itemsize > storages[key].nbytes():
            raise CheckpointError(f"the storage {key} has {storages[key].nbytes()} bytes, too few for {count} elements")
        return Elements(storages[key], kind)

    build.fetch = fetch
    return build.load(io.BytesIO(archive.read("data.pkl").tobytes()))


def _move(tensors: list[tuple[Tensor, Loaded]]) -> None:
    """Put tensors where their storages go, with the memory that they share."""
    moved: dict[int, Any] = {}
    for t, storage in tensors:
        if storage.device.type == "cpu":
            continue
        root = root_of(t._array)
        start = offset_of(t._array, root)
        if start is None:
            t._array = move(t._array, storage.device)
            continue
        if id(root) not in moved:
            moved[id(root)] = move(root, storage.device)
        t._array = view_of(moved[id(root)].reshape(-1).view("u1"), t._array, start)


def _references(content: bytes) -> Iterator[tuple[Any, Any]]:
    """The names that a pickle refers to: module and name, which newer protocols take from the stack."""
    pushed: list[Any] = [None, None]
    memo: dict[Any, Any] = {}
    for opcode, argument, _ in pickletools.genops(content):
        if opcode.name == "GLOBAL":
            yield tuple(str(argument).split(" ", 1))  # type: ignore[misc]
        elif opcode.name == "STACK_GLOBAL":
            yield pushed[-2], pushed[-1]
        if "PUT" in opcode.name or opcode.name == "MEMOIZE":
            memo[len(memo) if argument is None else argument] = pushed[-1]
        else:
            pushed = [pushed[-1], memo.get(argument) if "GET" in opcode.name else
                      argument if isinstance(argument, str) else None]


def _known(module: str, name: str) -> bool:
    try:
        names.lookup(module, name)
    except KeyError:
        return False
    return True
