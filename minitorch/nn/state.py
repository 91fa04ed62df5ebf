"""State dicts: all parameters and saved buffers of a module by dotted name, and back."""
from __future__ import annotations

import functools
import warnings
from collections import OrderedDict, namedtuple
from collections.abc import Callable, Mapping
from typing import Any

from ..engine import no_grad
from ..tensor import Tensor
from .parameter import Parameter


class _IncompatibleKeys(namedtuple("_IncompatibleKeys", ["missing_keys", "unexpected_keys"])):
    """What did not match between a module and a state dict."""

    __slots__ = ()

    def __repr__(self) -> str:
        return super().__repr__() if any(self) else "<All keys matched successfully>"


def save(module: Any, destination: dict | None, prefix: str, keep_vars: bool) -> dict:
    """The entries of `module` and all below it, put into `destination`."""
    if destination is None:
        destination = OrderedDict()
        setattr(destination, "_metadata", OrderedDict())  # noqa: B010  an OrderedDict takes attributes
    metadata = {"version": module._version}
    getattr(destination, "_metadata", {})[prefix[:-1]] = metadata
    for hook in module._state_hooks.get("before_save", {}).values():
        hook(module, prefix, keep_vars)
    module._save_to_state_dict(destination, prefix, keep_vars)
    for name, child in module._modules.items():
        if child is not None:
            child.state_dict(destination=destination, prefix=f"{prefix}{name}.", keep_vars=keep_vars)
    for hook in module._state_hooks.get("after_save", {}).values():
        result = hook(module, destination, prefix, metadata)
        destination = destination if result is None else result
    return destination


def load(module: Any, state_dict: Any, strict: bool, assign: bool) -> _IncompatibleKeys:
    """Write the values of `state_dict` into `module`, after all of them have been checked."""
    if not isinstance(state_dict, Mapping):
        raise TypeError(f"Expected state_dict to be dict-like, got {type(state_dict)}.")
    metadata = getattr(state_dict, "_metadata", None)
    state = OrderedDict(state_dict)
    missing: list[str] = []
    errors: list[str] = []
    writes: list[Callable[[], None]] = []
    modules = list(module.named_modules(remove_duplicate=False))
    for path, part in modules:
        local = dict((metadata or {}).get(path, {}), assign_to_params_buffers=assign, writes=writes)
        arguments: tuple = (state, path + "." if path else "", local, True, missing, [], errors)
        for hook in part._state_hooks.get("before_load", {}).values():
            hook(part, *arguments)
        part._load_from_state_dict(*arguments)
    known = {f"{path}.{name}" if path else name for path, part in modules for name in own_names(part)}
    keys = _IncompatibleKeys(missing, [key for key in state if key not in known])
    for _, part in modules:
        for hook in part._state_hooks.get("after_load", {}).values():
            hook(part, keys)
    if strict:
        for what, names in (("Unexpected", keys.unexpected_keys), ("Missing", keys.missing_keys)):
            if names:
                errors.insert(0, f"{what} key(s) in state_dict: " + ", ".join(f'"{k}"' for k in names) + ". ")
    if errors:
        raise RuntimeError(f"Error(s) in loading state_dict for {type(module).__name__}:\n\t" + "\n\t".join(errors))
    for write in writes:
        write()
    return keys


def load_own(module: Any, state: dict, prefix: str, local: dict, strict: bool, missing: list[str],
             errors: list[str]) -> None:
    """Check the entries of one module alone, and note what to write, or write at once where nobody collects that."""
    writes: list[Callable[[], None]] = local.get("writes", [])
    for name in own_names(module):
        key = prefix + name
        if key not in state:
            if strict and name != "_extra_state":
                missing.append(key)
            continue
        value = state[key]
        if name == "_extra_state":
            writes.append(functools.partial(module.set_extra_state, value))
            continue
        own = module._parameters[name] if name in module._parameters else module._buffers[name]
        if not isinstance(value, Tensor):
            errors.append(f'While copying the parameter named "{key}", expected torch.Tensor or Tensor-like object '
                          f"from checkpoint but received {type(value)}")
        elif value._array.shape != own._array.shape and not getattr(own, "uninitialized", False):
            errors.append(f"size mismatch for {key}: copying a param with shape {value.shape} from checkpoint, the "
                          f"shape in current model is {own.shape}.")
        else:
            assign = local.get("assign_to_params_buffers", False)
            if own.is_meta and not value.is_meta and not assign:
                warnings.warn(f"for {key}: copying from a non-meta parameter in the checkpoint to a meta parameter in "
                              "the current model, which is a no-op. (Did you mean to pass `assign=True` to assign "
                              "items in the state dictionary to their corresponding key in the module instead of "
                              "copying them in place?)", stacklevel=2)
            writes.append(functools.partial(_take, module, name, value, assign))
    if "writes" not in local:
        for write in writes:
            write()


def own_names(module: Any) -> list[str]:
    """The names of the entries that a module has itself."""
    names = [name for members in (module._parameters, module._buffers) for name, value in members.items()
             if value is not None and name not in module._not_saved]
    return [*names, "_extra_state"] if has_extra_state(module) else names


def has_extra_state(module: Any) -> bool:
    from .module import Module

    return type(module).get_extra_state is not Module.get_extra_state


def _take(module: Any, name: str, value: Tensor, assign: bool) -> None:
    """Write one loaded value."""
    members = module._parameters if name in module._parameters else module._buffers
    own = members[name]
    if assign:
        is_parameter = members is module._parameters and not isinstance(value, Parameter)
        members[name] = Parameter(value, own._requires_grad) if is_parameter else value
        return
    with no_grad():
        if getattr(own, "uninitialized", False):
            own.materialize(value.shape)
        own.copy_(value)
