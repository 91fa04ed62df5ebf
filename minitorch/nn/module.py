"""`Module`: what all layers and models are. It knows its parameters, buffers and sub-modules by name."""
from __future__ import annotations

import functools
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from .. import dtypes
from ..engine import no_grad
from ..errors import check_keywords
from ..op import FUNCTIONS
from ..tensor import Handle, Tensor
from . import hooks, state
from .hooks import register_module_forward_hook as register_module_forward_hook
from .hooks import register_module_forward_pre_hook as register_module_forward_pre_hook
from .parameter import Buffer, Parameter
from .state import _IncompatibleKeys as _IncompatibleKeys

_KINDS = {"_parameters": ("parameter", "torch.nn.Parameter"), "_buffers": ("buffer", "torch.Tensor"),
          "_modules": ("child module", "torch.nn.Module")}


class Module:
    """A layer or model: set parameters and sub-modules as attributes, write `forward`, call the module.

    >>> from minitorch import nn
    >>> class Twice(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.fc = nn.Linear(3, 3)
    ...     def forward(self, x):
    ...         return self.fc(self.fc(x))
    >>> [name for name, p in Twice().named_parameters()]
    ['fc.weight', 'fc.bias']
    """

    training: bool
    call_super_init = False  # whether `__init__` hands its arguments on to the next class
    forward: Callable[..., Any]
    _version = 1  # of what a state dict holds; goes into its metadata

    def __new__(cls, *args: Any, **keywords: Any) -> Any:
        if keywords:
            check_keywords(cls, keywords)
        new = super().__new__
        return new(cls) if new is object.__new__ else new(cls, *args, **keywords)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if (args or kwargs) and not self.call_super_init:
            given = f"got an unexpected keyword argument {next(iter(kwargs))!r}" if kwargs else \
                f"takes 1 positional argument but {len(args) + 1} were given"
            raise TypeError(f"{type(self).__name__}.__init__() {given}")
        put = object.__setattr__.__get__(self)
        put("training", True)
        put("_parameters", {})
        put("_buffers", {})
        put("_modules", {})
        put("_not_saved", set())
        put("_hooks", None)  # made by the first hook: a call without hooks is one comparison
        put("_state_hooks", {})
        if self.call_super_init:
            super().__init__(*args, **kwargs)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._hooks is None and not _on_all_before and not _on_all_after:
            return self.forward(*args, **kwargs)
        return hooks.call(self, args, kwargs)

    # Attributes

    def __getattr__(self, name: str) -> Any:
        own = self.__dict__
        if "_parameters" in own and (name in (members := own["_parameters"]) or name in (members := own["_modules"]) or
                                     name in (members := own["_buffers"])):
            return members[name]
        if name == "forward":
            return functools.partial(_no_forward, self)
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def __setattr__(self, name: str, value: Any) -> None:
        kind, own = _kind_of(value), self.__dict__
        if kind is None:
            for kind, (what, expected) in _KINDS.items():
                if name in own.get(kind, ()):
                    if value is not None and not (kind == "_buffers" and isinstance(value, Tensor)):
                        raise TypeError(f"cannot assign '{type(value).__name__}' as {what} '{name}' "
                                        f"({expected} or None expected)")
                    own[kind][name] = value
                    return
            object.__setattr__(self, name, value)
            return
        if kind not in own:
            raise AttributeError(f"cannot assign {kind[1:]} before Module.__init__() call")
        own.pop(name, None)
        for other in _KINDS:
            if other != kind:
                own[other].pop(name, None)
        if kind == "_parameters":
            self.register_parameter(name, value)
        elif kind == "_buffers":
            self.register_buffer(name, value, value.persistent)
        else:
            own["_modules"][name] = value

    def __delattr__(self, name: str) -> None:
        for kind in _KINDS:
            if name in self.__dict__[kind]:
                del self.__dict__[kind][name]
                self._not_saved.discard(name)
                return
        object.__delattr__(self, name)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._parameters, *self._buffers, *self._modules})

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Add a parameter. Raises KeyError for a name that is taken or has a dot, TypeError for another type."""
        _check_name(self, name, self._parameters)
        if param is not None and not isinstance(param, Parameter):
            raise TypeError(f"cannot assign '{type(param).__name__}' object to parameter '{name}' "
                            "(torch.nn.Parameter or None required)")
        if param is not None and param._node is not None:
            raise ValueError(f"Cannot assign non-leaf Tensor to parameter '{name}'. Model parameters must be created "
                             "explicitly.")
        self._parameters[name] = param

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Add a tensor that is state but no parameter; it is saved unless `persistent` is False."""
        _check_name(self, name, self._buffers)
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(f"cannot assign '{type(tensor).__name__}' object to buffer '{name}' "
                            "(torch Tensor or None required)")
        self._buffers[name] = tensor
        self._not_saved.discard(name)
        if not persistent:
            self._not_saved.add(name)

    def register_module(self, name: str, module: Module | None) -> None:
        """Add a sub-module."""
        if module is not None and not isinstance(module, Module):
            raise TypeError(f"{type(module).__name__} is not a Module subclass")
        _check_name(self, name, self._modules)
        self._modules[name] = module

    add_module = register_module

    def get_submodule(self, target: str) -> Module:
        """The module at a dotted path. Raises AttributeError."""
        module = self
        for part in target.split(".") if target else []:
            module = getattr(module, part)
            if not isinstance(module, Module):
                raise AttributeError(f"`{part}` is not an nn.Module")
        return module

    def set_submodule(self, target: str, module: Module, strict: bool = False) -> None:
        """Put `module` at a dotted path, with `strict` only in the place of another.

        Raises ValueError for an empty path or what is no module, AttributeError where the path leads nowhere.
        """
        path, _, name = target.rpartition(".")
        if not name:
            raise ValueError("Cannot set the submodule without a target name!")
        if not isinstance(module, Module):
            raise ValueError(f"`module` is not an nn.Module, found {type(module)}")
        parent = self.get_submodule(path)
        if strict and not hasattr(parent, name):
            raise AttributeError(f"{type(parent).__name__} has no attribute `{name}`")
        if hasattr(parent, name) and not isinstance(getattr(parent, name), Module):
            raise AttributeError(f"`{name}` is not an nn.Module")
        setattr(parent, name, module)

    def get_parameter(self, target: str) -> Parameter:
        """The parameter at a dotted path. Raises AttributeError."""
        path, _, name = target.rpartition(".")
        return self.get_submodule(path)._parameters[name] if name in self.get_submodule(path)._parameters else \
            _raise(AttributeError(f"{type(self).__name__} has no parameter '{target}'"))

    def get_buffer(self, target: str) -> Tensor:
        """The buffer at a dotted path. Raises AttributeError."""
        path, _, name = target.rpartition(".")
        return self.get_submodule(path)._buffers[name] if name in self.get_submodule(path)._buffers else \
            _raise(AttributeError(f"{type(self).__name__} has no buffer '{target}'"))

    # Members

    def named_modules(self, memo: set | None = None, prefix: str = "",
                      remove_duplicate: bool = True) -> Iterator[tuple[str, Module]]:
        """This module and all below it, each once, with dotted names."""
        memo = set() if memo is None else memo
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        yield prefix, self
        for name, module in self._modules.items():
            if module is not None:
                yield from module.named_modules(memo, f"{prefix}.{name}" if prefix else name, remove_duplicate)

    def modules(self) -> Iterator[Module]:
        """This module and all below it, each once."""
        return (module for _, module in self.named_modules())

    def named_children(self) -> Iterator[tuple[str, Module]]:
        seen = set()
        for name, module in self._modules.items():
            if module is not None and module not in seen:
                seen.add(module)
                yield name, module

    def children(self) -> Iterator[Module]:
        return (module for _, module in self.named_children())

    def named_parameters(self, prefix: str = "", recurse: bool = True,
                         remove_duplicate: bool = True) -> Iterator[tuple[str, Parameter]]:
        """The parameters here, and below where `recurse`, each once, with dotted names."""
        return self._named("_parameters", prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """The parameters here, and below where `recurse`, each once."""
        return (p for _, p in self.named_parameters(recurse=recurse))

    def named_buffers(self, prefix: str = "", recurse: bool = True,
                      remove_duplicate: bool = True) -> Iterator[tuple[str, Tensor]]:
        return self._named("_buffers", prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        return (b for _, b in self.named_buffers(recurse=recurse))

    def _named(self, kind: str, prefix: str, recurse: bool, once: bool) -> Iterator[tuple[str, Any]]:
        seen = set()
        modules = self.named_modules(prefix=prefix, remove_duplicate=once) if recurse else [(prefix, self)]
        for path, module in modules:
            for name, value in module.__dict__[kind].items():
                if value is None or (once and value in seen):
                    continue
                seen.add(value)
                yield (f"{path}.{name}" if path else name), value

    # Modes and moves

    def train(self, mode: bool = True) -> Module:
        """Training mode (dropout drops, batch norm uses the batch) here and below."""
        if not isinstance(mode, bool):
            raise ValueError("training mode is expected to be boolean")
        self.training = mode
        for child in self.children():
            child.train(mode)
        return self

    def eval(self) -> Module:
        """Evaluation mode, here and below."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Module:
        """Whether the parameters want gradients."""
        for p in self.parameters():
            p.requires_grad_(requires_grad)
        return self

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Compile the forward of this module, in place: the arguments are those of `minitorch.compile`."""
        from ..capture import compile

        self.__dict__["forward"] = compile(self.forward, *args, **kwargs)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the parameters' gradients, or set them to zero."""
        for p in self.parameters():
            if set_to_none:
                p._grad = None
            elif p._grad is not None:
                p._grad = p._grad.detach()
                p._grad.zero_()

    def apply(self, fn: Callable[[Module], Any]) -> Module:
        """Call `fn` on every module, children first."""
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    def to(self, *args: Any, device: Any = None, dtype: Any = None, non_blocking: bool = False,
           tensor: Tensor | None = None, memory_format: Any = None) -> Module:
        """Move to a device, convert floating parameters and buffers to a type: `to("cuda")`, `to(float64)`,
        `to(tensor)`; `memory_format` is for those of four and five dimensions. Raises TypeError for a type that is
        not floating."""
        for arg in (*args, tensor):
            if isinstance(arg, Tensor):
                device, dtype = arg.device, arg.dtype
            elif isinstance(arg, dtypes.dtype):
                dtype = arg
            elif arg is not None and not isinstance(arg, bool):
                device = arg
        if dtype is not None and not (dtype.is_floating_point or dtype.is_complex):
            raise TypeError("nn.Module.to only accepts floating point or complex dtypes, "
                            f"but got desired dtype={dtype}")
        return self._apply(lambda t: t.to(device=device, dtype=dtype if t.is_floating_point() else None,
                                          memory_format=memory_format if t.dim() in (4, 5) else None))

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Module:
        """Replace each parameter's and buffer's values by `fn` of them; the parameter objects stay."""
        for child in self.children() if recurse else ():
            child._apply(fn)
        with no_grad():
            for p in self._parameters.values():
                if p is not None:
                    p.data = fn(p.data)
                    if p._grad is not None:
                        p._grad = fn(p._grad)
            for name, b in self._buffers.items():
                if b is not None:
                    self._buffers[name] = fn(b)
        return self

    def _cast(self, dtype: Any) -> Module:
        return self._apply(lambda t: t.to(dtype) if t.is_floating_point() else t)

    def float(self) -> Module:
        return self._cast(dtypes.float32)

    def double(self) -> Module:
        return self._cast(dtypes.float64)

    def half(self) -> Module:
        return self._cast(dtypes.float16)

    def bfloat16(self) -> Module:
        return self._cast(dtypes.bfloat16)

    def type(self, dst_type: Any) -> Module:
        return self._apply(lambda t: t.type(dst_type))

    def cpu(self) -> Module:
        return self.to("cpu")

    def cuda(self, device: Any = None) -> Module:
        return self._apply(lambda t: t.cuda(device))

    def share_memory(self) -> Module:
        """Move parameters and buffers to memory that other processes see too."""
        return self._apply(lambda t: t.share_memory_())

    def to_empty(self, *, device: Any, recurse: bool = True) -> Module:
        """Move to a device without the values."""
        return self._apply(lambda t: FUNCTIONS["empty_like"](t, device=device), recurse)

    # State

    def state_dict(self, *args: Any, destination: dict | None = None, prefix: str = "",
                   keep_vars: bool = False) -> dict[str, Tensor]:
        """All parameters and saved buffers by dotted name: the tensors themselves, detached unless `keep_vars`."""
        given = dict(zip(("destination", "prefix", "keep_vars"), args))
        return state.save(self, **{"destination": destination, "prefix": prefix, "keep_vars": keep_vars, **given})

    def _save_to_state_dict(self, destination: dict, prefix: str, keep_vars: bool) -> None:
        """This module's own entries; override it, and `_load_from_state_dict`, for state of another kind."""
        for name in state.own_names(self):
            if name == "_extra_state":
                destination[prefix + name] = self.get_extra_state()
            else:
                value = getattr(self, name)
                destination[prefix + name] = value if keep_vars else value.detach()

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Copy values in by name; with `assign` take the tensors themselves.

        Everything is checked before anything is written. Raises RuntimeError that lists missing and unexpected
        names (unless not `strict`) and every shape that does not fit.
        """
        return state.load(self, state_dict, strict, assign)

    def _load_from_state_dict(self, state_dict: dict, prefix: str, local_metadata: dict, strict: bool,
                              missing_keys: list[str], unexpected_keys: list[str], error_msgs: list[str]) -> None:
        """Load this module's own entries: what does not fit goes into the lists."""
        state.load_own(self, state_dict, prefix, local_metadata, strict, missing_keys, error_msgs)

    def get_extra_state(self) -> Any:
        """State beside tensors; override it together with `set_extra_state`."""
        raise RuntimeError("get_extra_state: override it in your module")

    def set_extra_state(self, state: Any) -> None:
        raise RuntimeError("set_extra_state: override it in your module")

    # Hooks

    def register_forward_pre_hook(self, hook: Callable, *, prepend: bool = False, with_kwargs: bool = False) -> Handle:
        """`hook(module, args)` before forward may return new arguments."""
        return hooks.register(self, "before", hook, prepend, with_kwargs)

    def register_forward_hook(self, hook: Callable, *, prepend: bool = False, with_kwargs: bool = False,
                              always_call: bool = False) -> Handle:
        """`hook(module, args, output)` after forward may return a new output."""
        return hooks.register(self, "after", hook, prepend, with_kwargs, always_call)

    def register_full_backward_hook(self, hook: Callable, prepend: bool = False) -> Handle:
        """`hook(module, grad_input, grad_output)` once the gradient of the inputs is there; may replace it."""
        return hooks.register(self, "backward", hook, prepend)

    register_backward_hook = register_full_backward_hook

    def register_full_backward_pre_hook(self, hook: Callable, prepend: bool = False) -> Handle:
        """`hook(module, grad_output)` once the gradient of the outputs is there; may replace it."""
        return hooks.register(self, "backward_pre", hook, prepend)

    _forward_pre_hooks = property(lambda self: hooks.of(self, "before"))
    _forward_hooks = property(lambda self: hooks.of(self, "after"))
    _backward_pre_hooks = property(lambda self: hooks.of(self, "backward_pre"))
    _backward_hooks = property(lambda self: hooks.of(self, "backward"))
    _non_persistent_buffers_set = property(lambda self: self._not_saved)

    def register_load_state_dict_pre_hook(self, hook: Callable) -> Handle:
        """`hook(module, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs)` before
        values are loaded may change `state_dict`."""
        return self._on_state("before_load", hook)

    def _register_load_state_dict_pre_hook(self, hook: Callable, with_module: bool = False) -> Handle:
        return self._on_state("before_load", hook if with_module else lambda module, *rest: hook(*rest))

    def register_load_state_dict_post_hook(self, hook: Callable) -> Handle:
        """`hook(module, incompatible_keys)` may change the lists of missing and unexpected names."""
        return self._on_state("after_load", hook)

    def register_state_dict_pre_hook(self, hook: Callable) -> Handle:
        """`hook(module, prefix, keep_vars)` before `state_dict` reads."""
        return self._on_state("before_save", hook)

    def register_state_dict_post_hook(self, hook: Callable) -> Handle:
        """`hook(module, state_dict, prefix, local_metadata)` may change what `state_dict` returns."""
        return self._on_state("after_save", hook)

    _register_state_dict_hook = register_state_dict_post_hook

    def _on_state(self, moment: str, hook: Callable) -> Handle:
        return Handle(self._state_hooks.setdefault(moment, OrderedDict()), hook)

    # Printing

    def extra_repr(self) -> str:
        """What stands between the brackets of `repr`; override it."""
        return ""

    def _get_name(self) -> str:
        return type(self).__name__

    def __repr__(self) -> str:
        lines = self.extra_repr().split("\n") if self.extra_repr() else []
        children = [f"({name}): " + repr(module).replace("\n", "\n  ") for name, module in self._modules.items()]
        if len(lines) <= 1 and not children:
            return f"{self._get_name()}({''.join(lines)})"
        return "\n  ".join([f"{self._get_name()}(", *lines, *children]) + "\n)"

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state)


_on_all_before, _on_all_after = hooks.everywhere["before"], hooks.everywhere["after"]


def _kind_of(value: Any) -> str | None:
    if isinstance(value, Parameter):
        return "_parameters"
    if isinstance(value, Module):
        return "_modules"
    return "_buffers" if isinstance(value, Buffer) else None


def _check_name(module: Module, name: Any, members: dict) -> None:
    if not isinstance(name, str):
        raise TypeError(f"module name should be a string. Got {type(name).__name__}")
    if "." in name or name == "":
        raise KeyError(f'parameter, buffer and module names expect no "." and at least one letter, got {name!r}')
    if hasattr(module, name) and name not in members:
        raise KeyError(f"attribute '{name}' already exists")


def _raise(error: Exception) -> Any:
    raise error


def _no_forward(module: Module, *args: Any, **kwargs: Any) -> None:
    raise NotImplementedError(f'Module [{type(module).__name__}] is missing the required "forward" function')
