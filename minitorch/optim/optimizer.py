"""What all optimizers share: parameter groups, state, hooks, saving and loading. The steps are in the subclasses."""
from __future__ import annotations

import copy
import functools
import warnings
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Iterator
from operator import is_
from typing import Any

import numpy as np

from .. import engine
from ..device import beside, kernels_of, move
from ..engine import enable_grad, whole
from ..errors import check_keywords
from ..tensor import Handle, Tensor

required = object()  # as a default: an option that every parameter group must give


class Optimizer:
    """The base of all optimizers.

    `params` is an iterable of tensors, of (name, tensor) pairs, or of dicts, a group each, with "params" and the
    options in which the group differs from `defaults`. A subclass either computes one group's step in
    `_step_group`, or overrides `step` as in PyTorch. Raises TypeError for what is no tensor, and ValueError for no
    parameters at all, a non-leaf, or a parameter in two groups.

    >>> from minitorch import ones
    >>> from minitorch.optim import SGD
    >>> w = ones(2, requires_grad=True)
    >>> optimizer = SGD([w], lr=0.5)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.detach()
    tensor([0., 0.])
    """

    takes_complex = False  # whether the step is linear in the gradient, and so right for complex parameters

    def __new__(cls, *args: Any, **keywords: Any) -> Any:
        if keywords:
            check_keywords(cls, keywords)
        return super().__new__(cls)

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]):
        if isinstance(params, Tensor):
            raise TypeError("params argument given to the optimizer should be an iterable of Tensors or dicts, "
                            f"but got {type(params).__name__}")
        self.defaults = defaults
        self.state: defaultdict[Any, dict] = defaultdict(dict)
        self.param_groups: list[dict[str, Any]] = []
        self._lists: dict[int, tuple] = {}  # of each group: see _due_together
        self._init_hooks()
        groups = list(params)
        if not groups:
            raise ValueError("optimizer got an empty parameter list")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    def __init_subclass__(cls, **options: Any):
        super().__init_subclass__(**options)
        if "step" in cls.__dict__:
            cls.step = _hooked(cls.step)  # type: ignore[method-assign]

    # A step

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient; gives the loss that `closure` returns, where there is one."""
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        for group in self.param_groups:
            self._step_group(group)
        return loss

    def _step_group(self, group: dict[str, Any]) -> None:
        raise NotImplementedError(f"{type(self).__name__}: a subclass of Optimizer needs a step")

    def _due(self, group: dict[str, Any]) -> Iterator[tuple[Tensor, Any, Any, Any]]:
        """The parameters that have gradients: each, its array, the gradient's, and their kernels.

        The array is written to before the next parameter comes, which the version counter hears of.
        """
        for p in group["params"]:
            if p._grad is not None and not (engine.sparse and self._sparse_done(group, p)):
                yield p, p._array, p._grad._array, kernels_of(p._array)
                p._bump()

    def _due_together(self, group: dict[str, Any]) -> Iterator[tuple[list[Tensor], list[Any], list[Any], Any, dict]]:
        """The same in lists, one for each kind of array: parameters, their arrays, the gradients', and the kernels.

        The lists are cut anew only where they changed. The dict is for what a kernel remembers between the steps.
        """
        params = [p for p in group["params"] if p._grad is not None]
        if engine.sparse:
            params = [p for p in params if not self._sparse_done(group, p)]
        found = [*params, *[p._array for p in params]]
        before, lists = self._lists.get(id(group), ([], []))
        if len(before) != len(found) or not all(map(is_, before, found)):
            kinds: dict[tuple, list[Tensor]] = {}
            for p in params:
                a = p._array
                kind = type(a), a.dtype.char, a.flags.c_contiguous, getattr(a, "device", None)
                kinds.setdefault(kind, []).append(p)
            lists = [(some, [p._array for p in some], kernels_of(some[0]._array), {}) for some in kinds.values()]
            self._lists[id(group)] = found, lists
        for some, arrays, k, memo in lists:
            yield some, arrays, [p._grad._array for p in some], k, memo
            for p in some:
                if p._counter is not None:  # else nothing has kept the values
                    p._counter[0] += 1

    def _sparse_done(self, group: dict[str, Any], p: Tensor) -> bool:
        """Where the gradient is sparse: take the step for it, and say so."""
        grad: Any = p._grad
        if not grad.is_sparse:
            return False
        self._step_sparse(group, p, grad)
        p._bump()
        return True

    def _step_sparse(self, group: dict[str, Any], p: Tensor, grad: Any) -> None:
        raise RuntimeError(f"{type(self).__name__} does not support sparse gradients")

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget all gradients, or set them to zero, in place, where `set_to_none` is False."""
        for group in self.param_groups:
            for p in group["params"]:
                if set_to_none:
                    p._grad = None
                elif p._grad is not None and p._grad.is_sparse:
                    p._grad.zero_()
                elif p._grad is not None:
                    if p._grad._requires_grad:
                        p._grad = p._grad.detach()
                    p._grad._array[...] = 0
                    p._grad._bump()

    # Parameter groups

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Optimize these parameters too: "params", and the options in which they differ from the defaults."""
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(param_group)}")
        params = param_group["params"]
        if isinstance(params, set):
            raise TypeError("optimizer parameters need to be organized in ordered collections, but the ordering of "
                            "tensors in sets will change between runs. Please use a list instead.")
        params = [params] if isinstance(params, Tensor) else list(params)
        names = [p[0] for p in params if isinstance(p, tuple)]
        if names and len(names) != len(params):
            raise ValueError("all optimizer params should be with/without names. Some param names are missing")
        if names:
            params = [p[1] for p in params]
            param_group["param_names"] = names
        for p in params:
            if not isinstance(p, Tensor):
                raise TypeError(f"optimizer can only optimize Tensors, but one of the params is {type(p).__name__}")
            if not (p.is_leaf or p.retains_grad):
                raise ValueError("can't optimize a non-leaf Tensor")
            if p._array.dtype.kind == "c" and type(self).__module__.startswith(__package__) and not self.takes_complex:
                raise NotImplementedError(f"{type(self).__name__}: takes real parameters only; SGD takes complex ones")
        for name, default in self.defaults.items():
            if default is required and name not in param_group:
                raise ValueError("parameter group didn't specify a value of required optimization parameter " + name)
            param_group.setdefault(name, default)
        self._check_new(params, bool(names))
        param_group["params"] = params
        self.param_groups.append(param_group)

    def _check_new(self, params: list[Tensor], named: bool) -> None:
        seen = {id(p) for p in params}
        if len(seen) != len(params):
            warnings.warn("optimizer contains a parameter group with duplicate parameters; in future, this will cause "
                          "an error", stacklevel=4)
        for group in self.param_groups:
            if named != ("param_names" in group):
                raise ValueError("all optimizer param groups should be with/without names. cannot add param group "
                                 f"{'with' if named else 'without'} names to the optimizer")
            if any(id(p) in seen for p in group["params"]):
                raise ValueError("some parameters appear in more than one parameter group")

    def __repr__(self) -> str:
        text = f"{type(self).__name__} ("
        for i, group in enumerate(self.param_groups):
            options = "".join(f"    {name}: {group[name]}\n" for name in sorted(group) if name != "params")
            text += f"\nParameter Group {i}\n{options}"
        return text + ")"

    # Saving and loading

    def state_dict(self) -> dict[str, Any]:
        """{"state": {number of the parameter: its state}, "param_groups": the groups' options}, as PyTorch has it.

        The state's tensors are the optimizer's own: copy them to keep them.
        """
        for hook in list(self._hooks["state_dict_pre"].values()):
            hook(self)
        numbers: dict[int, int] = {}
        groups = []
        for group in self.param_groups:
            for p in group["params"]:
                numbers.setdefault(id(p), len(numbers))
            options = {name: value for name, value in group.items() if name != "params"}
            groups.append({**options, "params": [numbers[id(p)] for p in group["params"]]})
        state = {numbers[id(p)] if isinstance(p, Tensor) else p: value for p, value in self.state.items()}
        result = {"state": state, "param_groups": groups}
        for hook in list(self._hooks["state_dict_post"].values()):
            changed = hook(self, result)
            result = result if changed is None else changed
        return result

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` gave, in copies of the parameters' dtypes and devices.

        Raises ValueError where the groups do not match. Parameters are matched by position, not by name.
        """
        state_dict = dict(state_dict)
        for hook in list(self._hooks["load_state_dict_pre"].values()):
            changed = hook(self, state_dict)
            state_dict = state_dict if changed is None else changed
        groups, saved = self.param_groups, copy.deepcopy(state_dict["param_groups"])
        if len(groups) != len(saved):
            raise ValueError("loaded state dict has a different number of parameter groups: "
                             f"expected {len(groups)}, got {len(saved)}")
        for i, (ours, theirs) in enumerate(zip(groups, saved)):
            if len(ours["params"]) != len(theirs["params"]):
                raise ValueError("loaded state dict contains a parameter group that doesn't match the size of "
                                 f"optimizer's group {i}: expected {len(ours['params'])} parameters, "
                                 f"got {len(theirs['params'])}")
        params = {number: p for ours, theirs in zip(groups, saved)
                  for number, p in zip(theirs["params"], ours["params"])}
        state: defaultdict[Any, dict] = defaultdict(dict)
        for number, value in state_dict["state"].items():
            p = params.get(number)
            state[number if p is None else p] = value if p is None else _fitted(value, p)
        for ours, theirs in zip(groups, saved):
            theirs["params"] = ours["params"]
            if "param_names" in ours:
                theirs.setdefault("param_names", ours["param_names"])
        self.__setstate__({"state": state, "param_groups": saved})
        for hook in list(self._hooks["load_state_dict_post"].values()):
            hook(self)

    def __getstate__(self) -> dict[str, Any]:
        return {"defaults": self.defaults, "state": self.state, "param_groups": self.param_groups}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lists = {}
        if "_hooks" not in self.__dict__:
            self._init_hooks()
        for group in self.param_groups:  # a state saved by a version with fewer options
            for name, default in self.defaults.items():
                group.setdefault(name, default)

    # Hooks

    def _init_hooks(self) -> None:
        kinds = ("step_pre", "step_post", "state_dict_pre", "state_dict_post", "load_state_dict_pre",
                 "load_state_dict_post")
        self._hooks: dict[str, OrderedDict] = {kind: OrderedDict() for kind in kinds}
        self._opt_called = False  # whether `step` has run; schedulers warn where it has not

    def _register(self, kind: str, hook: Callable, prepend: bool) -> Handle:
        handle = Handle(self._hooks[kind], hook)
        if prepend:
            self._hooks[kind].move_to_end(handle.id, last=False)
        return handle

    def register_step_pre_hook(self, hook: Callable) -> Handle:
        """Call `hook(optimizer, args, kwargs)` before each step; it may return other (args, kwargs).

        `args` is what `step` was called on and with: the optimizer comes first.
        """
        return self._register("step_pre", hook, False)

    def register_step_post_hook(self, hook: Callable) -> Handle:
        """Call `hook(optimizer, args, kwargs)` after each step."""
        return self._register("step_post", hook, False)

    def register_state_dict_pre_hook(self, hook: Callable, prepend: bool = False) -> Handle:
        """Call `hook(optimizer)` before `state_dict`."""
        return self._register("state_dict_pre", hook, prepend)

    def register_state_dict_post_hook(self, hook: Callable, prepend: bool = False) -> Handle:
        """Call `hook(optimizer, state_dict)` after `state_dict`; it may return another."""
        return self._register("state_dict_post", hook, prepend)

    def register_load_state_dict_pre_hook(self, hook: Callable, prepend: bool = False) -> Handle:
        """Call `hook(optimizer, state_dict)` before `load_state_dict`; it may return another."""
        return self._register("load_state_dict_pre", hook, prepend)

    def register_load_state_dict_post_hook(self, hook: Callable, prepend: bool = False) -> Handle:
        """Call `hook(optimizer)` after `load_state_dict`."""
        return self._register("load_state_dict_post", hook, prepend)


def _hooked(step: Callable) -> Callable:
    """`step` between its hooks."""
    if getattr(step, "hooked", False):
        return step

    @whole
    @functools.wraps(step)
    def call(self, *args, **kwargs):
        if "_hooks" not in self.__dict__:  # a wrapper of an optimizer, which never ran Optimizer.__init__
            return step(self, *args, **kwargs)
        self._opt_called = True
        before, after = self._hooks["step_pre"], self._hooks["step_post"]
        for hook in list(before.values()) if before else ():
            changed = hook(self, (self, *args), kwargs)
            if changed is not None:
                if not (isinstance(changed, tuple) and len(changed) == 2):
                    raise RuntimeError("step pre hook: must return None or a tuple of (new_args, new_kwargs), "
                                       f"but got {changed}")
                (_, *args), kwargs = changed
        recording = engine.profiling
        event = recording and recording.enter(f"Optimizer.step#{type(self).__name__}.step", annotation=True)
        try:
            result = step(self, *args, **kwargs)
        finally:
            if recording:
                recording.leave(event)
        for hook in list(after.values()) if after else ():
            hook(self, (self, *args), kwargs)
        return result

    call.hooked = True  # type: ignore[attr-defined]
    return call


Optimizer.step = _hooked(Optimizer.step)  # type: ignore[method-assign]


def _fitted(value: Any, p: Tensor, name: str | None = None) -> Any:
    """A copy of a loaded state for parameter `p`: tensors on its device and, where both are floats, in its dtype."""
    if isinstance(value, dict):
        return {key: _fitted(v, p, key) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_fitted(v, p) for v in value)
    if name == "step" and not isinstance(value, Tensor):
        return scalar(value)
    if not isinstance(value, Tensor):
        return value
    if name == "step":
        return scalar(number(value))
    dtype = p._array.dtype if p._array.dtype.kind in "fcV" else value._array.dtype
    return Tensor._wrap(move(value._array, p.device).astype(dtype, copy=True))


# What the optimizers are written with

_TITLES = {"lr": "learning rate", "eps": "epsilon value"}
_NOT_NEGATIVE = ("lr", "eps", "weight_decay", "momentum", "alpha", "rho", "lr_decay", "initial_accumulator_value",
                 "momentum_decay")


def checked(**options: Any) -> dict[str, Any]:
    """An optimizer's default options, once they are found to be possible. Raises ValueError otherwise."""
    lr = options["lr"]
    if isinstance(lr, Tensor) and lr._array.size != 1:
        raise ValueError("Tensor lr must be 1-element")
    for name in _NOT_NEGATIVE:
        if name in options and not number(options[name]) >= 0.0:
            raise ValueError(f"Invalid {_TITLES.get(name, name + ' value')}: {options[name]}")
    for i, beta in enumerate(options.get("betas", ())):
        if not 0.0 <= number(beta) < 1.0:
            raise ValueError(f"Invalid beta parameter at index {i}: {beta}")
    if options.get("differentiable"):
        raise NotImplementedError("differentiable=True: steps are computed in place and cannot be differentiated")
    if options.get("foreach") and options.get("fused"):
        raise RuntimeError("`fused` and `foreach` cannot be `True` together.")
    return options


def number(x: Any) -> Any:
    """An option that may be a tensor of one element, as a number."""
    return x._array.item() if isinstance(x, Tensor) else x


def scalar(value: float) -> Tensor:
    """A number of the state, which is saved as a tensor; it stays on the CPU."""
    return Tensor._wrap(np.asarray(value, np.float32))


def begin(p: Tensor, state: dict, *names: str) -> None:
    """Start a parameter's state: step 0, and zeros under the other names."""
    array, xp = p._array, kernels_of(p._array).xp
    state["step"] = scalar(0)
    for name in names:
        state[name] = Tensor._wrap(beside([array], xp.zeros, array.shape, array.dtype))


def advance(state: dict) -> float:
    """Count one step more, and give its number."""
    step = state["step"]._array
    step += 1
    return step.item()
