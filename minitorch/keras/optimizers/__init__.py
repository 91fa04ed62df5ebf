"""Keras's optimizers, with its defaults and its places for epsilon."""
from __future__ import annotations

import math
import weakref
from collections.abc import Iterable
from typing import Any

from ...engine import no_grad
from ...errors import absent_from
from ...op import FUNCTIONS
from ...tensor import Tensor
from ..backend import as_tensor, lookup, snake_case
from ..layers.base import Variable
from . import schedules
from .schedules import LearningRateSchedule

MODELS: weakref.WeakSet[Any] = weakref.WeakSet()  # every model there is, for optimizers that were given no variables


class Optimizer:
    """`apply(grads, variables)`, `apply_gradients(pairs)`, or after `loss.backward()` simply `step()`.

    `learning_rate` is a number or a schedule. Each gradient is cut to length `clipnorm`, all together to
    `global_clipnorm`, or each value to +-`clipvalue`; `weight_decay` takes its share, times the rate, off the weights.

    >>> v = Variable([1.0])
    >>> SGD(0.1).apply_gradients([([2.0], v)])
    >>> v.numpy()
    array([0.8], dtype=float32)
    """

    def __init__(self, learning_rate: Any = 0.001, weight_decay: float | None = None, clipnorm: float | None = None,
                 clipvalue: float | None = None, global_clipnorm: float | None = None, name: str | None = None):
        if sum(c is not None for c in (clipnorm, clipvalue, global_clipnorm)) > 1:
            raise ValueError("Only one of `clipnorm`, `clipvalue` and `global_clipnorm` can be set. Received: "
                             f"clipnorm={clipnorm}, clipvalue={clipvalue}, global_clipnorm={global_clipnorm}.")
        self.name, self.weight_decay = name or snake_case(type(self).__name__), weight_decay
        self.clipnorm, self.clipvalue, self.global_clipnorm = clipnorm, clipvalue, global_clipnorm
        self._schedule = learning_rate if callable(learning_rate) else None
        self._rate = None if self._schedule else Variable(float(learning_rate), False, "float32", "learning_rate")
        self.iterations = 0
        self._state: dict[int, dict[str, Any]] = {}
        self._variables: list[Any] = []

    @property
    def learning_rate(self) -> Any:
        """A variable, which can be assigned to; with a schedule the rate of the next step."""
        return self._rate if self._schedule is None else self._schedule(self.iterations)

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
        """Say which variables `step()` and `zero_grad()` are for."""
        self._variables = list(variables)

    @property
    def variables(self) -> list[Any]:
        """What the optimizer keeps: the step, and values for each variable."""
        return [self.iterations, *(t for state in self._state.values() for t in state.values()
                                   if isinstance(t, Tensor))]

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
        rate = float(self.learning_rate)
        for g, v in zip(self._clipped([g for g, _ in pairs]), [v for _, v in pairs]):
            if self.weight_decay:
                v.mul_(1 - self.weight_decay * rate)
            self.update_step(g, v, rate, self._state.setdefault(id(v), {}))
        self.iterations += 1

    def update_step(self, gradient: Tensor, variable: Any, learning_rate: float, state: dict[str, Any]) -> None:
        """Change one variable; `state` is a dict that is kept for it."""
        raise NotImplementedError(f"{type(self).__name__}: an optimizer defines update_step()")

    def get_config(self) -> dict[str, Any]:
        """The settings by name."""
        rate = self._schedule or float(self.learning_rate)
        return {"name": self.name, "learning_rate": rate, "weight_decay": self.weight_decay, "clipnorm": self.clipnorm,
                "clipvalue": self.clipvalue, "global_clipnorm": self.global_clipnorm}

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


class SGD(Optimizer):
    """w += velocity, velocity = momentum velocity - rate g; with `nesterov` w += momentum velocity - rate g."""

    def __init__(self, learning_rate: Any = 0.01, momentum: float = 0.0, nesterov: bool = False, **keywords: Any):
        super().__init__(learning_rate, **keywords)
        if not 0 <= momentum <= 1:
            raise ValueError("`momentum` must be a float between [0, 1].")
        self.momentum, self.nesterov = momentum, nesterov

    def update_step(self, gradient, variable, learning_rate, state):
        if not self.momentum:
            variable.sub_(gradient, alpha=learning_rate)
            return
        velocity = _kept(state, "velocity", variable)
        velocity.mul_(self.momentum).sub_(gradient, alpha=learning_rate)
        if self.nesterov:
            variable.add_(velocity, alpha=self.momentum).sub_(gradient, alpha=learning_rate)
        else:
            variable.add_(velocity)


class Adam(Optimizer):
    """w -= rate √(1 - β₂ᵗ) / (1 - β₁ᵗ) m / (√v + epsilon). Kingma and Ba 2015, with the ε̂ of its section 2."""

    def __init__(self, learning_rate: Any = 0.001, beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-7,
                 amsgrad: bool = False, **keywords: Any):
        super().__init__(learning_rate, **keywords)
        self.beta_1, self.beta_2, self.epsilon, self.amsgrad = beta_1, beta_2, epsilon, amsgrad

    def update_step(self, gradient, variable, learning_rate, state):
        t = state["t"] = self.iterations + 1
        m, v = _kept(state, "m", variable), _kept(state, "v", variable)
        m.lerp_(gradient, 1 - self.beta_1)
        v.mul_(self.beta_2).addcmul_(gradient, gradient, value=1 - self.beta_2)
        if self.amsgrad:
            highest = _kept(state, "v_hat", variable)
            v = highest.copy_(FUNCTIONS["maximum"](highest, v))
        alpha = learning_rate * math.sqrt(1 - self.beta_2 ** t) / (1 - self.beta_1 ** t)
        variable.addcdiv_(m, v.sqrt().add_(self.epsilon), value=-alpha)


class AdamW(Adam):
    """Adam whose `weight_decay` is 0.004 unless given. Loshchilov and Hutter 2019."""

    def __init__(self, learning_rate: Any = 0.001, weight_decay: float | None = 0.004, *args: Any, **keywords: Any):
        super().__init__(learning_rate, *args, weight_decay=weight_decay, **keywords)


class Adamax(Adam):
    """Adam with the infinity norm: u the decaying maximum of |g|."""

    def update_step(self, gradient, variable, learning_rate, state):
        m, u = _kept(state, "m", variable), _kept(state, "u", variable)
        m.lerp_(gradient, 1 - self.beta_1)
        u.copy_(FUNCTIONS["maximum"](u * self.beta_2, gradient.abs()))
        variable.addcdiv_(m, u + self.epsilon, value=-learning_rate / (1 - self.beta_1 ** (self.iterations + 1)))


class Nadam(Adam):
    """Adam with Nesterov's momentum (Dozat 2016)."""

    def update_step(self, gradient, variable, learning_rate, state):
        t = self.iterations + 1
        now, after = (self.beta_1 * (1 - 0.5 * 0.96 ** step) for step in (t, t + 1))
        product = state["product"] = state.get("product", 1.0) * now
        m, v = _kept(state, "m", variable), _kept(state, "v", variable)
        m.lerp_(gradient, 1 - self.beta_1)
        v.mul_(self.beta_2).addcmul_(gradient, gradient, value=1 - self.beta_2)
        ahead = m * (after / (1 - product * after)) + gradient * ((1 - now) / (1 - product))
        variable.addcdiv_(ahead, (v / (1 - self.beta_2 ** t)).sqrt() + self.epsilon, value=-learning_rate)


class RMSprop(Optimizer):
    """w -= rate g / √(v + epsilon), v the decaying mean of g², with `centered` less the squared mean of g."""

    def __init__(self, learning_rate: Any = 0.001, rho: float = 0.9, momentum: float = 0.0, epsilon: float = 1e-7,
                 centered: bool = False, **keywords: Any):
        super().__init__(learning_rate, **keywords)
        self.rho, self.momentum, self.epsilon, self.centered = rho, momentum, epsilon, centered

    def update_step(self, gradient, variable, learning_rate, state):
        v = _kept(state, "v", variable)
        v.mul_(self.rho).addcmul_(gradient, gradient, value=1 - self.rho)
        scale = v + self.epsilon
        if self.centered:
            mean = _kept(state, "mean", variable).lerp_(gradient, 1 - self.rho)
            scale = scale - mean.square()
        step = gradient * scale.rsqrt() * learning_rate
        if self.momentum:
            step = _kept(state, "momentum", variable).mul_(self.momentum).add_(step)
        variable.sub_(step)


class Adagrad(Optimizer):
    """w -= rate g / √(a + epsilon), a the sum of g² from `initial_accumulator_value` on. Duchi et al. 2011."""

    def __init__(self, learning_rate: Any = 0.001, initial_accumulator_value: float = 0.1, epsilon: float = 1e-7,
                 **keywords: Any):
        super().__init__(learning_rate, **keywords)
        self.initial, self.epsilon = initial_accumulator_value, epsilon

    def update_step(self, gradient, variable, learning_rate, state):
        total = _kept(state, "accumulator", variable, self.initial)
        total.addcmul_(gradient, gradient)
        variable.sub_(gradient * (total + self.epsilon).rsqrt(), alpha=learning_rate)


class Adadelta(Optimizer):
    """w -= rate g √(d + epsilon) / √(v + epsilon), d the decaying mean of squared changes. Zeiler 2012."""

    def __init__(self, learning_rate: Any = 0.001, rho: float = 0.95, epsilon: float = 1e-7, **keywords: Any):
        super().__init__(learning_rate, **keywords)
        self.rho, self.epsilon = rho, epsilon

    def update_step(self, gradient, variable, learning_rate, state):
        v, d = _kept(state, "v", variable), _kept(state, "d", variable)
        v.mul_(self.rho).addcmul_(gradient, gradient, value=1 - self.rho)
        change = gradient * ((d + self.epsilon) / (v + self.epsilon)).sqrt()
        d.mul_(self.rho).addcmul_(change, change, value=1 - self.rho)
        variable.sub_(change, alpha=learning_rate)


def _kept(state: dict[str, Any], name: str, variable: Tensor, value: float = 0.0) -> Tensor:
    """The tensor of this name in a variable's state, at first filled with `value`."""
    if name not in state:
        state[name] = FUNCTIONS["full"](variable.shape, value, dtype=variable.dtype, device=variable.device)
    return state[name]


_TABLE: dict[str, Any] = {name: c for c in (SGD, Adam, AdamW, Adamax, Nadam, RMSprop, Adagrad, Adadelta)
                          for name in (c.__name__, c.__name__.lower())}


def get(identifier: Any) -> Any:
    """The optimizer of a name, or the object itself. Raises ValueError for an unknown name."""
    return identifier if isinstance(identifier, Optimizer) else lookup("optimizer", identifier, _TABLE)


__getattr__ = absent_from("keras.optimizers", lambda: _TABLE)
