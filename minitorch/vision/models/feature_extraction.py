"""Intermediate values of a model by the names of its modules, without changing the model."""
from __future__ import annotations

import copy
from typing import Any

from minitorch import nn
from minitorch.errors import MissingError, nearest


def create_feature_extractor(model: nn.Module, return_nodes: list[str] | dict[str, str] | None = None,
                             train_return_nodes: dict[str, str] | None = None,
                             eval_return_nodes: dict[str, str] | None = None, tracer_kwargs: Any = None,
                             suppress_diff_warning: bool = False, concrete_args: Any = None) -> nn.Module:
    """A module that runs `model` as far as needed and returns the outputs of the submodules in `return_nodes`.

    `return_nodes` maps names of submodules to keys of the result (a list: each under its own name); a pair
    `train_return_nodes`, `eval_return_nodes` takes its place where the two modes differ. The parameters stay
    those of `model`, under their names. Values between modules (torchvision's nodes `add` or `flatten`) have no
    name here. Raises ValueError where a name is no submodule's.

    >>> from minitorch import nn, ones
    >>> model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    >>> {key: x.shape for key, x in create_feature_extractor(model, {"1": "hidden"})(ones(4, 2)).items()}
    {'hidden': torch.Size([4, 3])}
    """
    if return_nodes is None and (train_return_nodes is None or eval_return_nodes is None):
        raise ValueError("create_feature_extractor: expected return_nodes, or both train_return_nodes and "
                         "eval_return_nodes")
    pair: Any = (return_nodes,) * 2 if return_nodes is not None else (train_return_nodes, eval_return_nodes)
    return _Extractor(model, *[nodes if isinstance(nodes, dict) else {n: n for n in nodes} for nodes in pair])


def get_graph_node_names(model: nn.Module, *args: Any, **kwargs: Any) -> Any:
    """Raises MissingError: nothing is traced; the names that can be asked for are those of `named_modules()`."""
    raise MissingError("get_graph_node_names: there is no tracer; create_feature_extractor takes the names of "
                       "model.named_modules()")


class _Extractor(nn.Module):
    """Runs the model, watches the outputs of the asked submodules, and stops when it has them all."""

    def __init__(self, model: nn.Module, in_training: dict[str, str], in_evaluation: dict[str, str]):
        super().__init__()
        modules = dict(model.named_modules())
        for name in {**in_training, **in_evaluation}:
            if _submodule(name, modules) is None:
                raise ValueError(f"create_feature_extractor: expected names of the model's submodules, but got "
                                 f"{name!r}{nearest(name, modules)}")
        model.train(model.training)
        self.__dict__["_model"] = model = copy.copy(model)  # no child; with a mode of its own
        self._modules, self._parameters, self._buffers = model._modules, model._parameters, model._buffers
        self._nodes = {True: dict(in_training), False: dict(in_evaluation)}
        self.train(model.training)

    def train(self, mode: bool = True) -> nn.Module:
        self.__dict__["_model"].training = mode
        return super().train(mode)

    def forward(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        model, nodes, found, hooks = self.__dict__["_model"], self._nodes[self.training], {}, []
        modules, calls = dict(model.named_modules()), dict[str, int]()

        def watching(name: str) -> Any:
            def watch(module: nn.Module, inputs: Any, output: Any) -> None:
                node = f"{name}_{calls[name]}" if calls.get(name) else name  # a later call counts: relu, relu_1
                calls[name] = calls.get(name, 0) + 1
                if node in nodes:
                    found[node] = output
                if len(found) == len(nodes):
                    raise _Done
            return watch

        for name in {name for node in nodes if (name := _submodule(node, modules)) is not None}:
            hooks.append(modules[name].register_forward_hook(watching(name)))
        try:
            model(*args, **kwargs)
        except _Done:
            pass
        finally:
            for hook in hooks:
                hook.remove()
        if missing := sorted(set(nodes) - set(found)):
            raise RuntimeError(f"create_feature_extractor: the model ran without calling {missing}")
        return {key: found[node] for node, key in nodes.items()}


class _Done(Exception):
    """All that was asked for is there."""


def _submodule(node: str, modules: dict[str, nn.Module]) -> str | None:
    """The submodule whose first or, as name_1, later call the node is."""
    called, _, count = node.rpartition("_")
    return node if node in modules else called if count.isdigit() and called in modules else None


__all__ = ["create_feature_extractor", "get_graph_node_names"]
