"""`compile`, `fit`, `evaluate` and `predict`."""
from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..engine import no_grad, set_grad_enabled
from ..op import FUNCTIONS
from ..tensor import Tensor
from . import backend, losses, metrics, optimizers
from .callbacks import CallbackList, History
from .data import Batches, split, three
from .progress import Bar
from .serialization import deserialize, serialize


class Trainer:
    """What a model trains with. A subclass may define `train_step(data)`, `test_step(data)`, `predict_step(data)`."""

    optimizer: Any = None
    loss: Any = None
    stop_training = False
    name: str

    def compile(self, optimizer: Any = "rmsprop", loss: Any = None, loss_weights: Any = None, metrics: Any = None,
                weighted_metrics: Any = None, run_eagerly: bool = False, steps_per_execution: int = 1,
                jit_compile: Any = "auto", auto_scale_loss: bool = True) -> None:
        """Say what to train with: names or objects; a list or dict of losses and metrics for several outputs.

        Raises ValueError for a name that is not there.
        """
        self._compiled_with = {"optimizer": optimizer, "loss": loss, "loss_weights": loss_weights, "metrics": metrics,
                               "weighted_metrics": weighted_metrics}
        self.optimizer, self.loss = optimizers.get(optimizer), loss
        for each in backend.flatten(loss):
            if not (isinstance(each, str) and each in ("crossentropy", "ce")):
                losses.get(each)
        for each in backend.flatten([metrics, weighted_metrics]):
            if each not in ("accuracy", "acc", "crossentropy", "ce"):
                _metric_or_none(each)
        self._loss_weights, self._asked = loss_weights, (metrics, weighted_metrics)
        self._chosen_losses: list[Any] | None = None
        self._chosen_metrics: list[tuple[int, bool, Any]] | None = None
        self._loss_tracker = metrics_module.Mean("loss")
        self._output_trackers: list[Any] = []

    def get_compile_config(self) -> dict[str, Any]:
        """What `compile` was given, as data; nothing where a subclass has a `compile` of its own."""
        if type(self).compile is not Trainer.compile:
            return {}
        return serialize({**self._compiled_with, "optimizer": self.optimizer})

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile the model as the one was that `get_compile_config` told of."""
        self.compile(**{key: deserialize(value) for key, value in config.items() if key in (
            "optimizer", "loss", "loss_weights", "metrics", "weighted_metrics")})

    @property
    def compiled(self) -> bool:
        return "_loss_tracker" in self.__dict__

    @property
    def metrics(self) -> list[Any]:
        """The loss's mean, the compiled metrics, and those that are attributes of the model."""
        own = [m for m in self.__dict__.values() if isinstance(m, metrics_module.Metric) and m is not self._tracker()]
        compiled = [m for _, _, m in self.__dict__.get("_chosen_metrics") or []]
        return ([self._tracker()] if self.compiled else []) + self.__dict__.get("_output_trackers", []) + compiled + own

    @property
    def metrics_names(self) -> list[str]:
        return [m.name for m in self.metrics]

    def fit(self, x: Any = None, y: Any = None, batch_size: int | None = None, epochs: int = 1, verbose: Any = "auto",
            callbacks: Any = None, validation_split: float = 0.0, validation_data: Any = None, shuffle: bool = True,
            class_weight: Any = None, sample_weight: Any = None, initial_epoch: int = 0,
            steps_per_epoch: int | None = None, validation_steps: int | None = None,
            validation_batch_size: int | None = None, validation_freq: int = 1) -> History:
        """Train on arrays, or on an iterable of batches (x, y); the figures of each epoch are in `.history`.

        `validation_split` takes the last samples, before shuffling. Raises RuntimeError before `compile`.
        """
        self._check_compiled("fit")
        if validation_split and validation_data is None:
            (x, y, sample_weight), validation_data = split((x, y, sample_weight), validation_split)
        batches = Batches(x, y, sample_weight, batch_size, shuffle, steps_per_epoch, class_weight)
        verbose = _level(verbose)
        self.stop_training = False
        history = CallbackList(self, callbacks, {"verbose": verbose, "epochs": epochs, "steps": batches.steps})
        history.call("on_train_begin")
        for epoch in range(initial_epoch, epochs):
            history.call("on_epoch_begin", epoch)
            logs = self._epoch(batches, history, "train", verbose, f"Epoch {epoch + 1}/{epochs}", validate=(
                None if validation_data is None or (epoch + 1) % validation_freq else lambda: self._validate(
                    validation_data, validation_batch_size or batch_size, validation_steps, history)))
            batches.epoch_end()
            history.call("on_epoch_end", epoch, logs)
            if self.stop_training:
                break
        history.call("on_train_end", logs if epochs > initial_epoch else {})
        return history.history

    def evaluate(self, x: Any = None, y: Any = None, batch_size: int | None = None, verbose: Any = "auto",
                 sample_weight: Any = None, steps: int | None = None, callbacks: Any = None,
                 return_dict: bool = False) -> Any:
        """The loss and the metrics over all data: a list, or a number where there is only the loss."""
        self._check_compiled("evaluate")
        batches, verbose = Batches(x, y, sample_weight, batch_size, False, steps), _level(verbose)
        called = callbacks if isinstance(callbacks, CallbackList) else \
            CallbackList(self, callbacks, {"verbose": verbose, "steps": batches.steps})
        called.call("on_test_begin")
        logs = self._epoch(batches, called, "test", verbose)
        called.call("on_test_end", logs)
        return logs if return_dict else _listed(logs, self.metrics_names)

    def predict(self, x: Any, batch_size: int | None = None, verbose: Any = "auto", steps: int | None = None,
                callbacks: Any = None) -> Any:
        """The model's results for all data, as NumPy arrays, without training anything."""
        batches, verbose = Batches(x, None, None, batch_size, False, steps), _level(verbose)
        called = CallbackList(self, callbacks, {"verbose": verbose, "steps": batches.steps})
        called.call("on_predict_begin")
        parts: list[Any] = []
        structure: Any = None

        def step(data: Any) -> dict[str, Any]:
            nonlocal structure
            structure = backend.map_structure(backend.as_array, self.predict_step(data))
            parts.append(backend.flatten(structure))
            return {"outputs": structure}

        bar = Bar(batches.steps, verbose)
        for done, _ in self._steps(batches, called, "predict", step):
            bar.update(done, {})
        bar.update(len(parts), {}, last=True)
        called.call("on_predict_end")
        joined = iter([np.concatenate(column) for column in zip(*parts)])
        return backend.map_structure(lambda _: next(joined), structure)

    def train_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None, class_weight: Any = None,
                       return_dict: bool = False) -> Any:
        """One step of training on these samples, all at once: loss and metrics so far."""
        self._check_compiled("train_on_batch")
        count = len(backend.flatten(x)[0])
        logs = _numbers(self.train_step(next(iter(Batches(x, y, sample_weight, count, class_weight=class_weight)))))
        return logs if return_dict else _listed(logs, self.metrics_names)

    def test_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False) -> Any:
        """Loss and metrics so far, of these samples too."""
        self._check_compiled("test_on_batch")
        with no_grad():
            logs = _numbers(self.test_step((x, y, sample_weight)))
        return logs if return_dict else _listed(logs, self.metrics_names)

    def predict_on_batch(self, x: Any) -> Any:
        """The model's results for these samples, as NumPy arrays."""
        with no_grad():
            return backend.map_structure(backend.as_array, self.predict_step((x, None, None)))

    # One step

    def train_step(self, data: Any) -> dict[str, Any]:
        """Train on one batch (x, y, sample_weight), and return the figures so far."""
        x, y, weight = three(data)
        y_pred = self(x, training=True)  # type: ignore[operator]
        loss = self.compute_loss(x, y, y_pred, weight)
        variables = self.trainable_variables  # type: ignore[attr-defined]
        for v in variables:
            v.grad = None
        loss.backward()
        self.optimizer.apply([v.grad for v in variables], variables)
        for v in variables:
            v.grad = None
        self._tracker().update_state(loss.detach(), sample_weight=_weight_of_batch(x, loss))
        return self.compute_metrics(x, y, y_pred, weight)

    def test_step(self, data: Any) -> dict[str, Any]:
        """The figures so far, with one more batch."""
        x, y, weight = three(data)
        y_pred = self(x, training=False)  # type: ignore[operator]
        loss = self.compute_loss(x, y, y_pred, weight)
        self._tracker().update_state(loss, sample_weight=_weight_of_batch(x, loss))
        return self.compute_metrics(x, y, y_pred, weight)

    def predict_step(self, data: Any) -> Any:
        """The model's results for one batch."""
        return self(three(data)[0], training=False)  # type: ignore[operator]

    def compute_loss(self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None,
                     training: bool = True) -> Tensor:
        """The compiled loss of this batch, and what layers and regularizers add."""
        parts = []
        if self.loss is not None:
            targets, outputs = backend.flatten(y), backend.flatten(y_pred)
            if y is None or len(targets) != len(outputs):
                raise ValueError(f"{self.name}: {len(outputs)} outputs need as many targets, got "
                                 f"{0 if y is None else len(targets)}")
            targets = [backend.as_tensor(t) for t in targets]
            if self._chosen_losses is None:
                self._chosen_losses = [_loss(each, t, p) for each, t, p in
                                       zip(self._for_outputs(self.loss, outputs, y_pred), targets, outputs)]
                if len(outputs) > 1:
                    self._output_trackers = [metrics_module.Mean(f"{name}_loss") for name in self._names(y_pred)]
            weights = self._for_outputs(self._loss_weights, outputs, y_pred)
            for i, (loss, t, p, share) in enumerate(zip(self._chosen_losses, targets, outputs, weights)):
                if loss is not None:
                    value = loss(t, p, sample_weight)
                    value = value.mean() if value.ndim else value
                    if self._output_trackers:
                        self._output_trackers[i].update_state(value.detach(), sample_weight=len(t))
                    parts.append(value if share is None else value * share)
        parts += self.losses  # type: ignore[attr-defined]
        if not parts:
            raise ValueError("No loss to compute. Provide a `loss` argument in `compile()`.")
        return sum(parts[1:], parts[0])

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, Any]:
        """Add this batch to all metrics, and return the figures so far by name."""
        targets = [None if t is None else backend.as_tensor(t) for t in backend.flatten(y)]
        outputs = [p.detach() if getattr(p, "_keras_mask", None) is None else _detached(p)
                   for p in backend.flatten(y_pred)]
        if self._chosen_metrics is None:
            self._chosen_metrics = self._choose_metrics(targets, outputs, y_pred)
        for i, weighted, metric in self._chosen_metrics:
            if weighted:
                metric.update_state(targets[i], outputs[i], sample_weight=sample_weight)
            else:
                metric.update_state(targets[i], outputs[i])
        return self.get_metrics_result()

    def get_metrics_result(self) -> dict[str, Any]:
        """The figures so far by name."""
        result: dict[str, Any] = {}
        for metric in self.metrics:
            value = metric.result()
            result.update(value if isinstance(value, dict) else {metric.name: value})
        return result

    def reset_metrics(self) -> None:
        """Begin all figures anew."""
        for metric in self.metrics:
            metric.reset_state()

    # Helpers

    def _tracker(self) -> Any:
        return self.__dict__.get("_loss_tracker")

    def _check_compiled(self, name: str) -> None:
        if not self.compiled:
            raise ValueError(f"You must call `compile()` before calling `{name}()`.")

    def _epoch(self, batches: Batches, called: CallbackList, kind: str, verbose: int, title: str | None = None,
               validate: Any = None) -> dict[str, float]:
        if verbose and title:
            print(title)
        self.reset_metrics()
        bar, done = Bar(batches.steps, verbose), 0
        logs: dict[str, float] = {}
        step = self.train_step if kind == "train" else self.test_step
        for done, logs in self._steps(batches, called, kind, lambda data: _numbers(step(data))):
            bar.update(done, logs)
            if self.stop_training and kind == "train":
                break
        if batches.steps is None:
            batches.steps = done
        if validate is not None:
            logs = {**logs, **{f"val_{name}": value for name, value in validate().items()}}
        bar.update(done, logs, last=True)
        return logs

    def _steps(self, batches: Batches, called: CallbackList, kind: str, step: Any) -> Iterator[tuple[int, dict]]:
        """What `step` gives for each batch, with its number, between the callbacks. Raises ValueError without data."""
        done = 0
        for done, batch in enumerate(batches, 1):
            called.call(f"on_{kind}_batch_begin", done - 1)
            with set_grad_enabled(kind == "train"):
                logs = step(_packed(batch))
            called.call(f"on_{kind}_batch_end", done - 1, logs)
            yield done, logs
        if not done:
            raise ValueError("fit, evaluate and predict: there is no data")

    def _validate(self, data: Any, batch_size: int | None, steps: int | None, called: CallbackList) -> dict[str, float]:
        x, y, weight = three(data)
        return self.evaluate(x, y, batch_size, 0, weight, steps, called, return_dict=True)

    def _names(self, y_pred: Any) -> list[str]:
        """The outputs' names: keys of a dict, or the layers that they come from."""
        if isinstance(y_pred, dict):
            return list(y_pred)
        symbols = getattr(self, "outputs", [])
        if symbols:
            return [x.node.layer.name if x.node.layer is not None else x.name for x in symbols]
        return [f"output_{i + 1}" for i in range(len(backend.flatten(y_pred)))]

    def _for_outputs(self, given: Any, outputs: list[Any], y_pred: Any) -> list[Any]:
        """What was given for each output: in a dict by name, in a list in order, or the same for all."""
        if isinstance(given, dict):
            names = self._names(y_pred)
            if unknown := [key for key in given if key not in names]:
                raise ValueError(f"compile: there are no outputs {unknown}; they are {names}")
            return [given.get(name) for name in names]
        if isinstance(given, (list, tuple)):
            if len(given) != len(outputs):
                raise ValueError(f"compile: {len(given)} were given for {len(outputs)} outputs: {given}")
            return list(given)
        return [given] * len(outputs)

    def _choose_metrics(self, targets: list[Any], outputs: list[Any], y_pred: Any) -> list[tuple[int, bool, Any]]:
        found = []
        for weighted, asked in enumerate(self._asked):
            several = isinstance(asked, dict) or (len(outputs) > 1 and isinstance(asked, (list, tuple)))
            each = self._for_outputs(asked, outputs, y_pred) if several else [asked] * len(outputs)
            for i, wanted in enumerate(each):
                for one in backend.flatten([] if wanted is None else wanted):
                    metric = metrics_module.chosen(one, targets[i], outputs[i])
                    if len(outputs) > 1:
                        metric.name = f"{self._names(y_pred)[i]}_{metric.name}"
                    found.append((i, bool(weighted), metric))
        return found


metrics_module = metrics  # within the class `metrics` is the property


def _level(verbose: Any) -> int:
    return 1 if verbose == "auto" else int(verbose)


def _metric_or_none(identifier: Any) -> Any:
    return None if identifier is None else metrics.get(identifier)


def _loss(identifier: Any, y_true: Any, y_pred: Any) -> Any:
    if identifier in ("crossentropy", "ce"):
        identifier = f"{metrics.kind_of_target(y_true, y_pred)}_crossentropy"
    found = losses.get(identifier)
    return found if found is None or isinstance(found, losses.Loss) else losses.LossFunction(found)


def _packed(batch: tuple[Any, Any, Any]) -> Any:
    """A batch as steps of the program's own expect it: tensors x, (x, y) or (x, y, sample_weight)."""
    x, y, weight = (backend.map_structure(_tensor, part) for part in batch)
    if weight is not None:
        return x, y, weight
    return (x, y) if y is not None else (x,) if isinstance(x, (list, tuple)) else x


def _tensor(x: Any) -> Any:
    words = isinstance(x, np.ndarray) and x.dtype.kind not in "biuf"
    return x if x is None or words else backend.as_tensor(x)


def _weight_of_batch(x: Any, loss: Tensor) -> Any:
    """How much a batch counts in the mean of the losses: its number of samples."""
    return FUNCTIONS["full"](loss.shape, float(len(backend.flatten(x)[0])))


def _detached(p: Tensor) -> Tensor:
    twin = p.detach()
    twin._keras_mask = p._keras_mask  # type: ignore[attr-defined]
    return twin


def _numbers(logs: dict[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in logs.items()}


def _listed(logs: dict[str, float], names: list[str]) -> Any:
    values = [logs[name] for name in names if name in logs]
    return values[0] if len(values) == 1 else values
