"""`minitorch run FILE` and `run -m MODULE`: PyTorch programs, with `torch` and `torchvision` lent to minitorch.

`keras` and `tensorflow` are lent too, to programs alone: libraries look for TensorFlow only to go round it.
"""
from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import multiprocessing.spawn
import os
import runpy
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from .errors import nearest

LENT = {"torch": "minitorch", "torchvision": "minitorch.vision",
        "safetensors": "minitorch.serialization.safetensors",
        "keras": "minitorch.keras", "tensorflow": "minitorch.keras.tensorflow", "tensorflow.keras": "minitorch.keras"}
PROGRAMS_ONLY = ("keras", "tensorflow")
SHAPED_LIKE = "2.13.0"  # the PyTorch whose names and numbers these are: programs ask for it


def run_file(path: str, arguments: list[str]) -> None:
    """Run the program at `path` as `python path arguments...` would, on minitorch.

    Raises FileNotFoundError where there is no such file; what the program raises passes through.
    """
    file = Path(path)
    if not file.is_file():
        raise FileNotFoundError(f"run: there is no file {path!r}")
    with _started_as(str(file), arguments, file.resolve().parent):
        if b"__torch_function__" in file.read_bytes():  # of a class that is no tensor nothing else tells
            from .overrides import activate

            activate()
        runpy.run_path(os.path.abspath(file), run_name="__main__")


def run_module(name: str, arguments: list[str]) -> None:
    """Run the module `name` as `python -m name arguments...` would, on minitorch."""
    with _started_as(name, arguments, Path.cwd()):
        runpy.run_module(name, run_name="__main__", alter_sys=True)


@contextmanager
def _started_as(program: str, arguments: list[str], folder: Path) -> Iterator[None]:
    before = sys.argv, list(sys.path)
    sys.argv = [program, *arguments]
    sys.path.insert(0, str(folder))
    try:
        with lend_names():
            yield
    finally:
        sys.argv, sys.path[:] = before


@contextmanager
def lend_names() -> Iterator[None]:
    """Within the block `import torch` and `import torchvision` give minitorch's modules, whatever is installed.

    There `torch.__version__` names the PyTorch that minitorch is shaped like, `torch.__name__` is "torch", and a
    tensor's class prints as `<class 'torch.Tensor'>`.
    """
    import minitorch

    own_version, minitorch.__version__ = minitorch.__version__, f"{SHAPED_LIKE}+minitorch.{minitorch.__version__}"
    minitorch.__name__ = "torch"
    hidden = {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] in LENT}
    shown = [(kind, kind.__module__) for kind in (minitorch.Tensor, minitorch.Size, minitorch.device, minitorch.dtype)]
    for kind, _ in shown:
        kind.__module__ = "torch"
    finder = _Finder()
    sys.meta_path.insert(0, finder)
    prepare = multiprocessing.spawn.get_preparation_data
    with_names: Any = lambda name: {"names": _LendInChild(), **prepare(name)}  # noqa: E731
    multiprocessing.spawn.get_preparation_data = with_names
    try:
        yield
    finally:
        multiprocessing.spawn.get_preparation_data = prepare
        minitorch.__version__, minitorch.__name__ = own_version, "minitorch"
        for kind, module in shown:
            kind.__module__ = module
        sys.meta_path.remove(finder)
        for name in list(sys.modules):
            if name.partition(".")[0] in LENT:
                del sys.modules[name]
        sys.modules.update(hidden)


class _LendInChild:
    """Lends the names in a process that is spawned: unpickled there, before the program's file is imported."""

    def __reduce__(self) -> tuple:
        return _lend_for_good, ()


def _lend_for_good() -> None:
    _forever.enter_context(lend_names())


_forever = ExitStack()


class _Finder(importlib.abc.MetaPathFinder):
    """Finds `torch.x` as `minitorch.x`: the same module object under both names."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        first = name.partition(".")[0]
        if first not in LENT or (first in PROGRAMS_ONLY and _asked_by_a_library()):
            return None
        lent = max((known for known in LENT if f"{name}.".startswith(f"{known}.")), key=len)
        ours = LENT[lent] + name[len(lent):]
        if importlib.util.find_spec(ours) is None:
            raise ModuleNotFoundError(f"minitorch has no module named {name!r}{_nearest(ours)}", name=name)
        return importlib.machinery.ModuleSpec(name, _Loader(ours), is_package=True)


def _asked_by_a_library() -> bool:
    """Whether the file whose import this is lies among the installed packages."""
    frame = sys._getframe(2)
    while frame.f_back is not None and "importlib" in frame.f_code.co_filename:
        frame = frame.f_back
    return "site-packages" in Path(frame.f_code.co_filename).parts


def _nearest(ours: str) -> str:
    """The end of the message on a module that is not there."""
    import pkgutil

    package, _, wanted = ours.rpartition(".")
    home = importlib.import_module(package)
    near = nearest(wanted, [module.name for module in pkgutil.iter_modules(getattr(home, "__path__", []))])
    if not near:
        try:
            getattr(home, wanted)
        except AttributeError as error:  # which may know of something else
            near = "".join(str(error).partition("; ")[1:])
    return near


class _Loader(importlib.abc.Loader):
    def __init__(self, ours: str):
        self.ours = ours

    def create_module(self, spec: Any) -> ModuleType:
        module = importlib.import_module(self.ours)
        self._own = module.__spec__, module.__loader__, module.__package__
        return module

    def exec_module(self, module: ModuleType) -> None:
        # the import system has just written the lent name's spec into the module: put its own back
        module.__spec__, module.__loader__, module.__package__ = self._own
        if "when_lent" in vars(module):
            module.when_lent()
