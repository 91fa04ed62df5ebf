"""Helpers of model builders, under the names that programs import."""
from __future__ import annotations

from collections import OrderedDict

from minitorch import nn


class IntermediateLayerGetter(nn.ModuleDict):
    """The first children of `model`, run one after another; the outputs of those in `return_layers` (child name ->
    name in the result) come back as an ordered dict. Children after the last of them are left out."""

    def __init__(self, model: nn.Module, return_layers: dict[str, str]):
        children = dict(model.named_children())
        unknown = set(return_layers) - set(children)
        if unknown:
            raise ValueError(f"return_layers are not present in model: {sorted(unknown)}")
        last = max(list(children).index(name) for name in return_layers) if return_layers else len(children) - 1
        super().__init__(OrderedDict(list(children.items())[: last + 1]))
        self.return_layers = dict(return_layers)

    def forward(self, x):
        outputs = OrderedDict()
        for name, module in self.items():
            x = module(x)
            if name in self.return_layers:
                outputs[self.return_layers[name]] = x
        return outputs


def _make_divisible(v: float, divisor: int, min_value: int | None = None) -> int:
    """The multiple of `divisor` nearest to `v`, not less than 90 % of it."""
    rounded = max(min_value or divisor, int(v + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * v else rounded


def init_like_mobilenet(model: nn.Module) -> None:
    """He initialisation by fan-out for convolutions, normal(0, 0.01) for linear layers, zeros for biases."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out")
        elif isinstance(module, (nn.BatchNorm2d, nn.GroupNorm)):
            nn.init.ones_(module.weight)
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, 0, 0.01)
        else:
            continue
        if module.bias is not None:
            nn.init.zeros_(module.bias)
