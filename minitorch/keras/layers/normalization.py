"""Layers that normalise: by the batch, by the sample."""
from __future__ import annotations

from typing import Any

from ...engine import no_grad
from ...nn import functional as F
from .base import Layer


class BatchNormalization(Layer, gamma="ones", beta="zeros", moving_mean="zeros", moving_variance="ones"):
    """(x - mean) / sqrt(variance + epsilon) gamma + beta, for each channel (Ioffe and Szegedy 2015).

    In training with the batch's mean and variance, which moving averages follow: moving momentum + batch
    (1 - momentum). Otherwise, and while the layer is not trainable, with the moving ones.
    """

    supports_masking = True

    def __init__(self, axis: int = -1, momentum: float = 0.99, epsilon: float = 1e-3, center: bool = True,
                 scale: bool = True, **keywords: Any):
        super().__init__(**keywords)
        self.axis, self.momentum, self.epsilon, self.center, self.scale = axis, momentum, epsilon, center, scale

    def build(self, input_shape):
        shape = (input_shape[self.axis],)
        self._weight("gamma", shape, self.scale)
        self._weight("beta", shape, self.center)
        self._weight("moving_mean", shape, trainable=False)
        self._weight("moving_variance", shape, trainable=False)

    def call(self, inputs, training=False):
        x = inputs.to(self.moving_mean.dtype).movedim(self.axis, 1)
        if training and self.trainable:
            y = self._by_batch(x)
        else:
            y = F.batch_norm(x, self.moving_mean, self.moving_variance, self.gamma, self.beta, False, 0.0, self.epsilon)
        return y.movedim(1, self.axis)

    def _by_batch(self, x):
        n = x.numel() // x.shape[1]
        if n == 1:  # of one value the mean is the value, and the variance 0
            mean, variance = x.detach().flatten(), x.new_zeros(x.shape[1])
            y = F.batch_norm(x, mean, variance, self.gamma, self.beta, False, 0.0, self.epsilon)
        else:
            mean, variance = self.moving_mean.new_zeros(x.shape[1]), self.moving_mean.new_ones(x.shape[1])
            y = F.batch_norm(x, mean, variance, self.gamma, self.beta, True, 1.0, self.epsilon)
            variance = variance * ((n - 1) / n)  # Keras's is not corrected for the mean being the sample's
        with no_grad():
            for moving, batch in ((self.moving_mean, mean), (self.moving_variance, variance)):
                moving.mul_(self.momentum).add_(batch, alpha=1 - self.momentum)
        return y


class LayerNormalization(Layer, gamma="ones", beta="zeros"):
    """(x - mean) / sqrt(variance + epsilon) gamma + beta over the last axes of each sample (Ba et al. 2016)."""

    supports_masking = True

    def __init__(self, axis: Any = -1, epsilon: float = 1e-3, center: bool = True, scale: bool = True, **keywords: Any):
        super().__init__(**keywords)
        self.axis, self.epsilon, self.center, self.scale = axis, epsilon, center, scale

    def build(self, input_shape):
        ndim = len(input_shape)
        axes = sorted(a % ndim for a in ([self.axis] if isinstance(self.axis, int) else self.axis))
        if axes != list(range(axes[0], ndim)):
            raise NotImplementedError(f"LayerNormalization: axis={self.axis} of inputs with {ndim} dimensions are not "
                                      "the last ones; move them there with Permute")
        self._normalized = tuple(input_shape[axes[0]:])
        self._weight("gamma", self._normalized, self.scale)
        self._weight("beta", self._normalized, self.center)

    def call(self, inputs):
        return F.layer_norm(inputs, self._normalized, self.gamma, self.beta, self.epsilon)


class GroupNormalization(Layer, gamma="ones", beta="zeros"):
    """Each group of channels of each sample normalised (Wu and He 2018); groups=-1: each channel by itself."""

    def __init__(self, groups: int = 32, axis: int = -1, epsilon: float = 1e-3, center: bool = True,
                 scale: bool = True, **keywords: Any):
        super().__init__(**keywords)
        self.groups, self.axis, self.epsilon, self.center, self.scale = groups, axis, epsilon, center, scale

    def build(self, input_shape):
        channels = input_shape[self.axis]
        if self.groups == -1:
            self.groups = channels
        if channels % self.groups:
            raise ValueError(f"GroupNormalization: groups={self.groups} do not divide {channels} channels")
        self._weight("gamma", (channels,), self.scale)
        self._weight("beta", (channels,), self.center)

    def call(self, inputs):
        x = inputs.movedim(self.axis, 1)
        return F.group_norm(x, self.groups, self.gamma, self.beta, self.epsilon).movedim(1, self.axis)
