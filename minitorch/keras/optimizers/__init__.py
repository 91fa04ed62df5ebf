"""Keras's optimizers, with its defaults and its places for epsilon."""
from __future__ import annotations

import math
import weakref
from collections.abc import Iterable
from functools import cached_property
from typing import Any

from ...device import kernels_of
from ...engine import no_grad
from ...errors import CheckpointError, absent_from
from ...op import FUNCTIONS
from ...tensor import Tensor
from ..backend import as_array, as_tensor, snake_case
from ..layers.base import Variable
from ..serialization import Configured, constructor, deserialize, getter
from ..serialization import serialize as serialize
from . import schedules
from .schedules import LearningRateSchedule

MODELS: weakref.WeakSet[Any] = weakref.WeakSet()  # every model there is, for optimizers that were given no variables


class Optimizer(Configured):
    """`apply(grads, variables)`, `apply_gradients(pairs)`, or after `loss.backward()` simply `step()`.

    `learning_rate` is a number or a schedule. Each gradient is cut to length `clipnorm`, all together to
    `global_clipnorm`, or each value to +-`clipvalue`; `weight_decay` takes its share, times the rate, off the weights.

    >>> v = Variable([1.0])
    >>> SGD(0.1).apply_gradients([([2.0], v)])
    >>> v.numpy()
    array([0.8], dtype=float32)
    """

    initial: Any = 0.0  # of the slots

    def __init__(self, learning_rate: Any = 0.001, weight_decay: float | None = None, clipnorm: float | None = None,
                 clipvalue: float | None = None, global_clipnorm: float | None = None, name: str | None = None):
        if sum(c is not None for c in (clipnorm, clipvalue, global_clipnorm)) > 1:
            raise ValueError("Only one of `clipnorm`, `clipvalue` and `global_clipnorm` can be set. Received: "
                             f"clipnorm={clipnorm}, clipvalue={clipvalue}, global_clipnorm={global_clipnorm}.")
        self.name, self.weight_decay = name or snake_case(type(self).__name__), weight_decay
        self.clipnorm, self.clipvalue, self.global_clipnorm = clipnorm, clipvalue, global_clipnorm
        learning_rate = deserialize(learning_rate)
        self._schedule = learning_rate if callable(learning_rate) else None
        self._rate = None if self._schedule else Variable(float(learning_rate), False, "float32", "learning_rate")
        self.iterations = Variable(0, False, "int64", "iteration")
        self._state: dict[int, dict[str, Tensor]] = {}
        self._variables: list[Any] = []
        self._memo: tuple[list[Any], dict] = ([], {})

    @property
    def learning_rate(self) -> Any:
        """A variable, which can be assigned to; with a schedule the rate of the next step."""
        return self._rate if self._schedule is None else self._schedule(int(self.iterations))

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        if callable(value):
            self._schedule, self._rate = value, None
        elif self._rate is None:
            raise TypeError("This optimizer was created with a `LearningRateSchedule` object as its `learning_rate` "
                            "constructor argument, hence its learning rate is not settable.")
        else:
            self._rate.assign(float(value))

    lr = learning_rate

    def build(self, variables: Iterable[Any]) -> None:
        """Say which variables this is for: those that `step()` and `zero_grad()` change, and `variables` lists."""
        self._variables = list(variables)

    _slots: tuple[tuple[str, ...], ...] = ()

    def slots(self) -> tuple[tuple[str, ...], ...]:
        """The names of what is kept for each variable, in the groups in which `variables` lists them."""
        return self._slots

    @property
    def variables(self) -> list[Any]:
        """What the optimizer keeps: the step, the learning rate, and values for each variable."""
        kept = [self._kept(v)[name] for group in self.slots() for v in self._variables for name in group]
        return [self.iterations, *([] if self._rate is None else [self._rate]), *kept]

    @no_grad()
    def set_weights(self, values: Iterable[Any]) -> None:
        """Write over `variables`. Raises ValueError where their number or a shape differs."""
        own, values = self.variables, [as_array(value) for value in values]
        if [tuple(v.shape) for v in own] != [value.shape for value in values]:
            raise CheckpointError(f"{self.name}: expected values of the shapes {[tuple(v.shape) for v in own]}, got "
                                  f"{[value.shape for value in values]}")
        for v, value in zip(own, values):
            v.copy_(as_tensor(value, v.dtype))

    def step(self) -> None:
        """Train on the gradients that `backward()` left in the variables."""
        variables = [v for v in self._own() if v.grad is not None and v.requires_grad]
        self.apply([v.grad for v in variables], variables)

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for v in self._variables or [v for model in MODELS for v in model.trainable_weights]:
            v.grad = None

    def apply_gradients(self, grads_and_vars: Iterable[tuple[Any, Any]]) -> None:
        """`apply` for pairs (gradient, variable)."""
        pairs = list(grads_and_vars)
        self.apply([g for g, _ in pairs], [v for _, v in pairs])

    @no_grad()
    def apply(self, grads: Iterable[Any], trainable_variables: Iterable[Any] | None = None) -> None:
        """One step; variables whose gradient is None stay. Raises ValueError where no gradient is given."""
        variables = self._variables if trainable_variables is None else list(trainable_variables)
        pairs = [(as_tensor(g, v.dtype), v) for g, v in zip(grads, variables) if g is not None]
        if variables and not pairs:
            raise ValueError("No gradients provided for any variable.")
        if not self._variables:
            self.build(variables)
        rate = float(self.learning_rate)
        grads, variables = self._clipped([g for g, _ in pairs]), [v for _, v in pairs]
        if self.weight_decay:
            for v in variables:
                v.mul_(1 - self.weight_decay * rate)
        self.update(grads, variables, rate, [self._kept(v) for v in variables])
        self.iterations.add_(1)

    def update(self, grads: list[Tensor], variables: list[Any], rate: float, states: list[dict[str, Tensor]]) -> None:
        """Change all variables: here one after the other."""
        for g, v, state in zip(grads, variables, states):
            self.update_step(g, v, rate, state)

    def update_step(self, gradient: Tensor, variable: Any, learning_rate: float, state: dict[str, Tensor]) -> None:
        """Change one variable; `state` has a tensor for each name of `slots()`."""
        raise NotImplementedError(f"{type(self).__name__}: an optimizer defines update_step()")

    def get_config(self) -> dict[str, Any]:
        """The settings by name, with the learning rate of now."""
        config = {"name": self.name, "weight_decay": self.weight_decay, "clipnorm": self.clipnorm,
                  "clipvalue": self.clipvalue, "global_clipnorm": self.global_clipnorm, **super().get_config()}
        return config if self._schedule else {**config, "learning_rate": float(self.learning_rate)}

    def _kept(self, variable: Any) -> dict[str, Tensor]:
        state = self._state.get(id(variable))
        if state is None:
            state = self._state[id(variable)] = {name: FUNCTIONS["full"](
                variable.shape, self.initial, dtype=variable.dtype, device=variable.device)
                for group in self.slots() for name in group}
        return state

    def _together(self, name: str, grads: list[Tensor], variables: list[Any], states: list[dict[str, Tensor]],
                  *arguments: Any) -> None:
        """Run a kernel for many parameters at once; it remembers the lists while they stay the same arrays."""
        arrays, before = [v._array for v in variables], self._memo[0]
        if len(arrays) != len(before) or any([a is not b for a, b in zip(arrays, before)]):
            self._memo = arrays, {}
        slots = [[state[slot]._array for state in states] if slot in states[0] else None for slot in arguments[0]]
        getattr(kernels_of(arrays[0]), name)(self._memo[0], [g._array for g in grads], *slots, *arguments[1:],
                                             memo=self._memo[1])
        for v in variables:
            v._bump()

    def _own(self) -> list[Any]:
        if not self._variables:
            inner = {id(layer) for model in MODELS for layer in model._flatten_layers() if layer is not model}
            trained = [model for model in MODELS
                       if id(model) not in inner and any(v.grad is not None for v in model.trainable_weights)]
            if len(trained) != 1:
                raise ValueError(f"{self.name}: {len(trained)} models have gradients; say which variables this "
                                 "optimizer trains with optimizer.build(model.trainable_variables)")
            self.build(trained[0].trainable_weights)
        return self._variables

    def _clipped(self, grads: list[Tensor]) -> list[Tensor]:
        if self.clipvalue is not None:
            return [g.clamp(-self.clipvalue, self.clipvalue) for g in grads]
        if self.clipnorm is not None:
            return [g * (self.clipnorm / max(float(g.square().sum().sqrt()), self.clipnorm)) for g in grads]
        if self.global_clipnorm is not None:
            norm = math.sqrt(sum(float(g.square().sum()) for g in grads))
            return [g * (self.global_clipnorm / max(norm, self.global_clipnorm)) for g in grads]
        return grads


def _settings(**defaults: Any) -> Any:
    """The constructor of an optimizer with these settings, which become its attributes."""
    def init(self: Any, values: dict[str, Any]) -> None:
        base = {key: values.pop(key) for key in ("learning_rate", "weight_decay") if key in values}
        Optimizer.__init__(self, **base, **values.pop("keywords"))
        self.__dict__.update(values)

    return constructor(init, more=True, **defaults)


class SGD(Optimizer):
    """w += velocity, velocity = momentum velocity - rate g; with `nesterov` w += momentum velocity - rate g."""

    def __init__(self, learning_rate: Any = 0.01, momentum: float = 0.0, nesterov: bool = False, **keywords: Any):
        super().__init__(learning_rate, **keywords)
        if not 0 <= momentum <= 1:
            raise ValueError("`momentum` must be a float between [0, 1].")
        self.momentum, self.nesterov = momentum, nesterov

    def slots(self):
        return (("momentum",),) if self.momentum else ()

    def update(self, grads, variables, rate, states):
        if self.momentum:
            super().update(grads, variables, rate, states)
        else:
            self._together("sgd_steps", grads, variables, states, ["momentum"], rate, 0.0, 0.0, 0.0, False, False, None)

    def update_step(self, gradient, variable, learning_rate, state):
        velocity = state["momentum"].mul_(self.momentum).sub_(gradient, alpha=learning_rate)
        if self.nesterov:
            variable.add_(velocity, alpha=self.momentum).sub_(gradient, alpha=learning_rate)
        else:
            variable.add_(velocity)


class Adam(Optimizer):
    """w -= rate √(1 - β₂ᵗ) / (1 - β₁ᵗ) m / (√v + epsilon). Kingma and Ba 2015, with the ε̂ of its section 2."""

    __init__ = _settings(learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-7, amsgrad=False)

    def slots(self):
        return (("momentum", "velocity"), *([("velocity_hat",)] if self.amsgrad else []))

    def update(self, grads, variables, rate, states):
        # the core divides √v by √(1 - β₂ᵗ) and then adds its ε: with ε̂ / √(1 - β₂ᵗ) for it the two are the same
        step = int(self.iterations) + 1
        epsilon = self.epsilon / math.sqrt(1 - self.beta_2 ** step)
        self._together("adam_steps", grads, variables, states, ["momentum", "velocity", "velocity_hat"],
                       [step] * len(grads), rate, self.beta_1, self.beta_2, epsilon, 0.0, False, self.amsgrad, False)


class AdamW(Adam):
    """Adam whose `weight_decay` is 0.004 unless given. Loshchilov and Hutter 2019."""

    __init__ = _settings(learning_rate=0.001, weight_decay=0.004, beta_1=0.9, beta_2=0.999, epsilon=1e-7, amsgrad=False)


class Adamax(Optimizer):
    """Adam with the infinity norm: u the decaying maximum of |g|."""

    _slots = (("momentum", "norm"),)
    __init__ = _settings(learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-7)

    def update_step(self, gradient, variable, learning_rate, state):
        m, u = state["momentum"], state["norm"]
        m.lerp_(gradient, 1 - self.beta_1)
        u.copy_(FUNCTIONS["maximum"](u * self.beta_2, gradient.abs()))
        variable.addcdiv_(m, u + self.epsilon, value=-learning_rate / (1 - self.beta_1 ** (int(self.iterations) + 1)))


class Nadam(Optimizer):
    """Adam with Nesterov's momentum (Dozat 2016)."""

    _slots = (("momentum", "velocity"),)
    __init__ = _settings(learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-7)

    def update(self, grads, variables, rate, states):
        t = int(self.iterations) + 1
        now, after = (self.beta_1 * (1 - 0.5 * 0.96 ** step) for step in (t, t + 1))
        product = float(self._product.mul_(now))
        for g, p, state in zip(grads, variables, states):
            m, v = state["momentum"].lerp_(g, 1 - self.beta_1), state["velocity"]
            v.mul_(self.beta_2).addcmul_(g, g, value=1 - self.beta_2)
            ahead = m * (after / (1 - product * after)) + g * ((1 - now) / (1 - product))
            p.addcdiv_(ahead, (v / (1 - self.beta_2 ** t)).sqrt() + self.epsilon, value=-rate)

    @cached_property
    def _product(self) -> Variable:
        return Variable(1.0, False, "float64", "product")

    @property
    def variables(self):
        """As Adam's, and last the product of the momenta so far."""
        return [*super().variables, self._product]


class RMSprop(Optimizer):
    """w -= rate g / √(v + epsilon), v the decaying mean of g², with `centered` less the squared mean of g."""

    __init__ = _settings(learning_rate=0.001, rho=0.9, momentum=0.0, epsilon=1e-7, centered=False)

    def slots(self):
        return (("velocity",), *([("momentum",)] if self.momentum else []),
                *([("average_gradient",)] if self.centered else []))

    def update_step(self, gradient, variable, learning_rate, state):
        v = state["velocity"].mul_(self.rho).addcmul_(gradient, gradient, value=1 - self.rho)
        scale = v + self.epsilon
        if self.centered:
            scale = scale - state["average_gradient"].lerp_(gradient, 1 - self.rho).square()
        step = gradient * scale.rsqrt() * learning_rate
        variable.sub_(state["momentum"].mul_(self.momentum).add_(step) if self.momentum else step)


class Adagrad(Optimizer):
    """w -= rate g / √(a + epsilon), a the sum of g² from `initial_accumulator_value` on. Duchi et al. 2011."""

    _slots = (("accumulator",),)
    initial = property(lambda self: self.initial_accumulator_value)
    __init__ = _settings(learning_rate=0.001, initial_accumulator_value=0.1, epsilon=1e-7)

    def update_step(self, gradient, variable, learning_rate, state):
        total = state["accumulator"].addcmul_(gradient, gradient)
        variable.sub_(gradient * (total + self.epsilon).rsqrt(), alpha=learning_rate)


class Adadelta(Optimizer):
    """w -= rate g √(d + epsilon) / √(v + epsilon), d the decaying mean of squared changes. Zeiler 2012."""

    _slots = (("accumulated_grad", "accumulated_delta_var"),)
    __init__ = _settings(learning_rate=0.001, rho=0.95, epsilon=1e-7)

    def update_step(self, gradient, variable, learning_rate, state):
        v, d = state["accumulated_grad"], state["accumulated_delta_var"]
        v.mul_(self.rho).addcmul_(gradient, gradient, value=1 - self.rho)
        change = gradient * ((d + self.epsilon) / (v + self.epsilon)).sqrt()
        d.mul_(self.rho).addcmul_(change, change, value=1 - self.rho)
        variable.sub_(change, alpha=learning_rate)


_TABLE: dict[str, Any] = {name: c for c in (SGD, Adam, AdamW, Adamax, Nadam, RMSprop, Adagrad, Adadelta)
                          for name in (c.__name__, c.__name__.lower())}


get = getter("optimizer", _TABLE, Optimizer)
__getattr__ = absent_from("keras.optimizers", lambda: _TABLE)
