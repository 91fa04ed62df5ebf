"""`Module`: what all layers and models are. It knows its parameters, buffers and sub-modules by name."""
from __future__ import annotations

import functools
from collections import OrderedDict, namedtuple
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from .. import dtypes
from ..tensor import Handle, Tensor
from .parameter import Buffer, Parameter

_IncompatibleKeys = namedtuple("IncompatibleKeys", ["missing_keys", "unexpected_keys"])


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
    forward: Callable[..., Any]

    def __init__(self) -> None:
        put = super().__setattr__
        put("training", True)
        put("_parameters", {})
        put("_buffers", {})
        put("_modules", {})
        put("_not_saved", set())
        put("_hooks", None)  # made by the first hook: a call without hooks is one comparison

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        hooks = self._hooks
        if hooks is None and not _global_hooks:
            return self.forward(*args, **kwargs)
        return _call_with_hooks(self, args, kwargs)

    # Attributes

    def __getattr__(self, name: str) -> Any:
        for kind in ("_parameters", "_buffers", "_modules"):
            members = self.__dict__.get(kind)
            if members is not None and name in members:
                return members[name]
        if name == "forward":
            return functools.partial(_no_forward, self)
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def __setattr__(self, name: str, value: Any) -> None:
        kind = _kind_of(value)
        members = self.__dict__
        if kind is not None:
            if kind not in members:
                raise AttributeError(f"cannot assign {kind[1:]} before Module.__init__() call")
            _remove(self, name)
            if kind == "_parameters":
                self.register_parameter(name, value)
            elif kind == "_buffers":
                self.register_buffer(name, value, value.persistent)
            else:
                self.register_module(name, value)
            return
        for kind in ("_parameters", "_buffers", "_modules"):
            if name in members.get(kind, ()):
                if value is not None and not (kind == "_buffers" and isinstance(value, Tensor)):
                    expected = {"_parameters": "torch.nn.Parameter", "_buffers": "torch.Tensor",
                                "_modules": "torch.nn.Module"}[kind]
                    raise TypeError(f"cannot assign '{type(value).__name__}' object to {kind[1:-1]} '{name}' "
                                    f"({expected} or None expected)")
                members[kind][name] = value
                return
        object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        if not _remove(self, name):
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

    def to(self, *args: Any, device: Any = None, dtype: Any = None, non_blocking: bool = False) -> Module:
        """Move to a device, convert floating parameters and buffers to a type: `to("cuda")`, `to(float64)`,
        `to(tensor)`. Raises TypeError for a type that is not floating."""
        for arg in args:
            if isinstance(arg, Tensor):
                device, dtype = arg.device, arg.dtype
            elif isinstance(arg, dtypes.dtype):
                dtype = arg
            elif arg is not None and not isinstance(arg, bool):
                device = arg
        if dtype is not None and not (dtype.is_floating_point or dtype.is_complex):
            raise TypeError(f"nn.Module.to only accepts floating point or complex dtypes, but got desired dtype={dtype}")
        return self._apply(lambda t: t.to(device=device, dtype=dtype if t.is_floating_point() else None))

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Module:
        """Replace each parameter's and buffer's values by `fn` of them; the parameter objects stay."""
        from ..engine import no_grad

        for child in self.children():
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
        return self._apply(lambda t: t.to(dst_type))

    def cpu(self) -> Module:
        return self.to("cpu")

    def cuda(self, device: Any = None) -> Module:
        return self.to("cuda" if device is None else device)

    def share_memory(self) -> Module:
        return self

    # State

    def state_dict(self, *args: Any, destination: dict | None = None, prefix: str = "",
                   keep_vars: bool = False) -> dict[str, Tensor]:
        """All parameters and saved buffers by dotted name: the tensors themselves, detached unless `keep_vars`."""
        if args:
            destination, prefix, keep_vars = (*args, *(destination, prefix, keep_vars)[len(args):])
        out = OrderedDict() if destination is None else destination
        self._save_to_state_dict(out, prefix, keep_vars)
        for name, child in self._modules.items():
            if child is not None:
                child.state_dict(destination=out, prefix=f"{prefix}{name}.", keep_vars=keep_vars)
        return out

    def _save_to_state_dict(self, destination: dict, prefix: str, keep_vars: bool) -> None:
        """This module's own entries; override it, and `_load_from_state_dict`, for state of another kind."""
        for name, value in (*self._parameters.items(), *self._buffers.items()):
            if value is not None and name not in self._not_saved:
                destination[prefix + name] = value if keep_vars else value.detach()
        if type(self).get_extra_state is not Module.get_extra_state:
            destination[prefix + "_extra_state"] = self.get_extra_state()

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Copy values in by name; with `assign` take the tensors themselves.

        Everything is checked before anything is written. Raises RuntimeError that lists missing and unexpected
        names (unless not `strict`) and every shape that does not fit.
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"Expected state_dict to be dict-like, got {type(state_dict)}.")
        state = OrderedDict(state_dict)
        missing: list[str] = []
        errors: list[str] = []
        used: set[str] = set()
        pending: list[Callable[[], None]] = []
        for path, module in self.named_modules(remove_duplicate=False):
            prefix = path + "." if path else ""
            for hook in module.__dict__.get("_before_load", []):
                hook(module, state, prefix, {}, strict, missing, [], errors)
            module._load_from_state_dict(state, prefix, assign, missing, used, errors, pending)
        unexpected = [key for key in state if key not in used]
        if strict and unexpected:
            errors.insert(0, "Unexpected key(s) in state_dict: " + ", ".join(f'"{k}"' for k in unexpected) + ". ")
        if strict and missing:
            errors.insert(0, "Missing key(s) in state_dict: " + ", ".join(f'"{k}"' for k in missing) + ". ")
        if errors:
            raise RuntimeError(f"Error(s) in loading state_dict for {type(self).__name__}:\n\t" + "\n\t".join(errors))
        for write in pending:
            write()
        return _IncompatibleKeys(missing, unexpected)

    def _load_from_state_dict(self, state: dict, prefix: str, assign: bool, missing: list[str], used: set[str],
                              errors: list[str], pending: list[Callable[[], None]]) -> None:
        """Check this module's own entries, and put what is to be written into `pending`."""
        for name, own in (*self._parameters.items(), *self._buffers.items()):
            key = prefix + name
            if own is None or name in self._not_saved:
                continue
            if key not in state:
                missing.append(key)
                continue
            used.add(key)
            value = state[key]
            if not isinstance(value, Tensor):
                errors.append(f'While copying the parameter named "{key}", expected torch.Tensor or Tensor-like '
                              f"object from checkpoint but received {type(value)}")
            elif value._array.shape != own._array.shape:
                errors.append(f"size mismatch for {key}: copying a param with shape {value.shape} from checkpoint, "
                              f"the shape in current model is {own.shape}.")
            else:
                pending.append(functools.partial(_take, self, name, value, assign))
        if type(self).get_extra_state is not Module.get_extra_state and prefix + "_extra_state" in state:
            used.add(prefix + "_extra_state")
            pending.append(functools.partial(self.set_extra_state, state[prefix + "_extra_state"]))

    def get_extra_state(self) -> Any:
        """State beside tensors; override it together with `set_extra_state`."""
        raise RuntimeError("get_extra_state: override it in your module")

    def set_extra_state(self, state: Any) -> None:
        raise RuntimeError("set_extra_state: override it in your module")

    # Hooks

    def register_forward_pre_hook(self, hook: Callable, *, prepend: bool = False, with_kwargs: bool = False) -> Handle:
        """`hook(module, args)` before forward may return new arguments."""
        return self._register("before", hook, prepend, with_kwargs)

    def register_forward_hook(self, hook: Callable, *, prepend: bool = False, with_kwargs: bool = False,
                              always_call: bool = False) -> Handle:
        """`hook(module, args, output)` after forward may return a new output."""
        return self._register("after", hook, prepend, with_kwargs)

    def register_full_backward_hook(self, hook: Callable, prepend: bool = False) -> Handle:
        """`hook(module, grad_input, grad_output)` once the gradient of the inputs is there; may replace it."""
        return self._register("backward", hook, prepend, False)

    register_backward_hook = register_full_backward_hook

    def register_full_backward_pre_hook(self, hook: Callable, prepend: bool = False) -> Handle:
        """`hook(module, grad_output)` once the gradient of the outputs is there; may replace it."""
        return self._register("backward_pre", hook, prepend, False)

    def register_load_state_dict_pre_hook(self, hook: Callable) -> None:
        """`hook(module, state_dict, prefix, ...)` before values are loaded may change `state_dict`."""
        self.__dict__.setdefault("_before_load", []).append(hook)

    _register_load_state_dict_pre_hook = register_load_state_dict_pre_hook

    def _register(self, moment: str, hook: Callable, prepend: bool, with_kwargs: bool) -> Handle:
        if self._hooks is None:
            self._hooks = {key: OrderedDict() for key in ("before", "after", "backward_pre", "backward")}
        hooks = self._hooks[moment]
        handle = Handle(hooks, _WithKwargs(hook) if with_kwargs else hook)
        if prepend:
            hooks.move_to_end(handle.id, last=False)
        return handle

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


def register_module_forward_hook(hook: Callable) -> Handle:
    """A forward hook on every module."""
    return Handle(_global_hooks, hook)


_global_hooks: OrderedDict = OrderedDict()


class _WithKwargs:
    """Marks a hook that takes the keyword arguments too."""

    def __init__(self, hook: Callable):
        self.hook = hook


def _call_with_hooks(module: Module, args: tuple, kwargs: dict) -> Any:
    hooks = module._hooks or {"before": {}, "after": {}, "backward_pre": {}, "backward": {}}
    for hook in list(hooks["before"].values()):
        if isinstance(hook, _WithKwargs):
            args, kwargs = hook.hook(module, args, kwargs) or (args, kwargs)
        else:
            result = hook(module, args)
            if result is not None:
                args = result if isinstance(result, tuple) else (result,)
    backward = None
    if hooks["backward"] or hooks["backward_pre"]:
        backward = _BackwardHooks(module, hooks)
        args = backward.on_inputs(args)
    output = module.forward(*args, **kwargs)
    for hook in [*_global_hooks.values(), *hooks["after"].values()]:
        if isinstance(hook, _WithKwargs):
            result = hook.hook(module, args, kwargs, output)
        else:
            result = hook(module, args, output)
        output = output if result is None else result
    return output if backward is None else backward.on_outputs(output)


class _BackwardHooks:
    """Backward hooks of one call: identities around the module's inputs and outputs, which see their gradients."""

    def __init__(self, module: Module, hooks: dict):
        self.module, self.hooks, self.grad_output = module, hooks, None
        self.needs_input = False

    def on_inputs(self, args: tuple) -> tuple:
        tensors = [a for a in args if isinstance(a, Tensor) and a._requires_grad]
        if not tensors:
            return args
        self.needs_input = True
        passed = iter(_through(tensors, self._input_grads))
        return tuple(next(passed) if isinstance(a, Tensor) and a._requires_grad else a for a in args)

    def on_outputs(self, output: Any) -> Any:
        many = isinstance(output, (tuple, list))
        outputs = list(output) if many else [output]
        tensors = [y for y in outputs if isinstance(y, Tensor) and y._requires_grad]
        if not tensors:
            return output
        passed = iter(_through(tensors, self._output_grads))
        outputs = [next(passed) if isinstance(y, Tensor) and y._requires_grad else y for y in outputs]
        return type(output)(outputs) if many else outputs[0]

    def _output_grads(self, grads: tuple) -> tuple:
        for hook in list(self.hooks["backward_pre"].values()):
            result = hook(self.module, grads)
            if result is not None:
                grads = result if isinstance(result, tuple) else (result,)
        self.grad_output = grads
        if not self.needs_input:  # nothing comes after: the hooks see no input gradient
            for hook in list(self.hooks["backward"].values()):
                hook(self.module, (None,), grads)
        return grads

    def _input_grads(self, grads: tuple) -> tuple:
        for hook in list(self.hooks["backward"].values()):
            result = hook(self.module, grads, self.grad_output)
            if result is not None:
                grads = result if isinstance(result, tuple) else (result,)
        return grads


def _through(tensors: list[Tensor], on_grads: Callable[[tuple], tuple]) -> list[Tensor]:
    """The same tensors, with `on_grads` between them and their gradients."""
    from ..function import Function

    class Passage(Function):
        @staticmethod
        def forward(ctx, *xs):
            return tuple(Tensor._wrap(x._array) for x in xs)

        @staticmethod
        def backward(ctx, *dys):
            return on_grads(dys)

    return list(Passage.apply(*tensors))


def _take(module: Module, name: str, value: Tensor, assign: bool) -> None:
    """Write one loaded value."""
    from ..engine import no_grad

    members = module._parameters if name in module._parameters else module._buffers
    own = members[name]
    if not assign:
        with no_grad():
            own.copy_(value)
    elif name in module._parameters:
        members[name] = value if isinstance(value, Parameter) else Parameter(value, own._requires_grad)
    else:
        members[name] = value


def _kind_of(value: Any) -> str | None:
    if isinstance(value, Parameter):
        return "_parameters"
    if isinstance(value, Module):
        return "_modules"
    return "_buffers" if isinstance(value, Buffer) else None


def _remove(module: Module, name: str) -> bool:
    """Take `name` out of wherever it is registered."""
    found = False
    for kind in ("_parameters", "_buffers", "_modules"):
        members = module.__dict__.get(kind, {})
        if name in members:
            del members[name]
            found = True
    if name in module.__dict__:
        del module.__dict__[name]
        found = True
    module.__dict__.get("_not_saved", set()).discard(name)
    return found


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
