"""What `fit` calls at each epoch and batch: stopping early, checkpoints, learning rates, logs."""
from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ..errors import absent_from
from .serialization import constructor


class Callback:
    """Define any of on_{train,test,predict}_{begin,end}(logs), on_epoch_{begin,end}(epoch, logs), and
    on_{train,test,predict}_batch_{begin,end}(batch, logs). `self.model` and `self.params` are set before."""

    model: Any = None
    params: Any = None

    def set_params(self, params: dict[str, Any]) -> None:
        self.params = params

    def set_model(self, model: Any) -> None:
        self.model = model


_WITHOUT_INDEX = [f"on_{kind}_{when}" for kind in ("train", "test", "predict") for when in ("begin", "end")]
_WITH_INDEX = [f"on_{kind}_{when}" for kind in ("epoch", "train_batch", "test_batch", "predict_batch", "batch")
               for when in ("begin", "end")]
for _name in _WITHOUT_INDEX + _WITH_INDEX:
    setattr(Callback, _name, lambda self, *args, logs=None: None)


class History(Callback):
    """The figures of each epoch: `history` has a list by name, `epoch` the epochs' numbers."""

    def __init__(self) -> None:
        self.history: dict[str, list[float]] = {}
        self.epoch: list[int] = []

    def on_epoch_end(self, epoch, logs=None):
        self.epoch.append(epoch)
        for name, value in sorted((logs or {}).items(), key=lambda item: item[0].startswith("val_")):
            self.history.setdefault(name, []).append(value)


class CallbackList:
    """All callbacks of a run, and its History."""

    def __init__(self, model: Any, callbacks: Any, params: dict[str, Any]):
        given = [] if callbacks is None else list(callbacks) if isinstance(callbacks, (list, tuple)) else [callbacks]
        self.history = next((c for c in given if isinstance(c, History)), History())
        self.callbacks = [*given, *([] if self.history in given else [self.history])]
        model.history = self.history if "epochs" in params else getattr(model, "history", None)
        for c in self.callbacks:
            c.set_model(model)
            c.set_params(params)

    def call(self, name: str, *arguments: Any) -> None:
        """Call `name` of each, with logs last."""
        indexed = name in _WITH_INDEX
        if len(arguments) == indexed:
            arguments = (*arguments, {})
        for c in self.callbacks:
            getattr(c, name)(*arguments)
            if name.startswith("on_train_batch"):  # its old name
                getattr(c, name.replace("train_", ""))(*arguments)


class LambdaCallback(Callback):
    """Functions in the place of methods: LambdaCallback(on_epoch_end=lambda epoch, logs: ...)."""

    def __init__(self, **functions: Callable[..., Any]):
        for name, function in functions.items():
            if function is not None:
                setattr(self, name, function)


class _Watching(Callback):
    """What watches a figure for the better: mode "min", "max", or "auto" by the figure's name."""

    def __init__(self, monitor: str, mode: str, min_delta: float = 0.0):
        if mode not in ("auto", "min", "max"):
            raise ValueError(f"{type(self).__name__}: expected mode auto, min or max, got {mode!r}")
        self.monitor, self.min_delta = monitor, abs(min_delta)
        rising = mode == "max" or (mode == "auto" and any(
            part in monitor for part in ("acc", "auc", "precision", "recall", "f1")))
        self.sign, self.best = (1 if rising else -1), -math.inf if rising else math.inf

    def restart(self) -> None:
        self.best = -self.sign * math.inf

    def value(self, logs: dict[str, float]) -> float | None:
        if self.monitor not in logs:
            import warnings

            warnings.warn(f"{type(self).__name__}: the metric `{self.monitor}` is not available. Available metrics "
                          f"are: {','.join(logs)}", stacklevel=4)
            return None
        return logs[self.monitor]

    def better(self, value: float, than: float) -> bool:
        return self.sign * (value - than) > self.min_delta


def _settings(**defaults: Any) -> Any:
    """The constructor of a `_Watching` with these settings, which become its attributes."""
    def init(self: Any, values: dict[str, Any]) -> None:
        if values.get("factor", 0) >= 1:
            raise ValueError(f"{type(self).__name__} does not support a factor >= 1.0. Received {values['factor']}")
        _Watching.__init__(self, *[values.pop(key) for key in ("monitor", "mode", "min_delta")])
        self.__dict__.update(values)

    return constructor(init, **defaults)


class EarlyStopping(_Watching):
    """Stop when the figure was no better for `patience` epochs; its best weights come back where asked."""

    __init__ = _settings(monitor="val_loss", min_delta=0, patience=0, verbose=0, mode="auto", baseline=None,
                         restore_best_weights=False, start_from_epoch=0)

    def on_train_begin(self, logs=None):
        self.wait = self.stopped_epoch = self.best_epoch = 0
        self.best_weights = None
        self.restart()

    def on_epoch_end(self, epoch, logs=None):
        value = self.value(logs or {})
        if value is None or epoch < self.start_from_epoch:
            return
        if self.restore_best_weights and self.best_weights is None:
            self.best_weights = self.model.get_weights()
        self.wait += 1
        if self.better(value, self.best):
            self.best, self.best_epoch = value, epoch
            if self.restore_best_weights:
                self.best_weights = self.model.get_weights()
            if self.baseline is None or self.better(value, self.baseline):
                self.wait = 0
        elif self.wait >= self.patience and epoch > 0:
            self.stopped_epoch, self.model.stop_training = epoch, True

    def on_train_end(self, logs=None):
        if self.stopped_epoch and self.verbose:
            print(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.restore_best_weights and self.best_weights is not None:
            if self.verbose:
                print(f"Restoring model weights from the end of the best epoch: {self.best_epoch + 1}.")
            self.model.set_weights(self.best_weights)


class ModelCheckpoint(_Watching):
    """Write the model, or its weights, after each epoch or after the best so far.

    `filepath` may hold {epoch} and figures: "{epoch:02d}-{val_loss:.2f}.keras". Raises ValueError for other endings.
    """

    def __init__(self, filepath: Any, monitor: str = "val_loss", verbose: int = 0, save_best_only: bool = False,
                 save_weights_only: bool = False, mode: str = "auto", save_freq: Any = "epoch",
                 initial_value_threshold: float | None = None):
        super().__init__(monitor, mode)
        endings = (".weights.h5", ".npz") if save_weights_only else (".keras",)
        if not str(filepath).endswith(endings):
            raise ValueError(f"ModelCheckpoint: with save_weights_only={save_weights_only} the filepath must end in "
                             f"{' or '.join(endings)}. Received: filepath={filepath}")
        self.filepath, self.verbose, self.save_best_only = str(filepath), verbose, save_best_only
        self.save_freq, self.save_weights_only = save_freq, save_weights_only
        if initial_value_threshold is not None:
            self.best = initial_value_threshold
        self._epoch = self._seen = 0

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        self._seen += 1
        if self.save_freq != "epoch" and self._seen % self.save_freq == 0:
            self._save(logs or {})

    def on_epoch_end(self, epoch, logs=None):
        if self.save_freq == "epoch":
            self._save(logs or {})

    def _save(self, logs: dict[str, float]) -> None:
        if self.save_best_only:
            value = self.value(logs)
            if value is None or not self.better(value, self.best):
                return
            self.best = value
        path = self.filepath.format(epoch=self._epoch + 1, **logs)
        if self.verbose:
            print(f"\nEpoch {self._epoch + 1}: saving model to {path}")
        (self.model.save_weights if self.save_weights_only else self.model.save)(path)


class ReduceLROnPlateau(_Watching):
    """Multiply the learning rate by `factor` when the figure was no better for `patience` epochs."""

    __init__ = _settings(monitor="val_loss", factor=0.1, patience=10, verbose=0, mode="auto", min_delta=1e-4,
                         cooldown=0, min_lr=0.0)

    def on_train_begin(self, logs=None):
        self.wait = self.cooling = 0
        self.restart()

    def on_epoch_end(self, epoch, logs=None):
        logs = logs if logs is not None else {}
        logs["learning_rate"] = rate = float(self.model.optimizer.learning_rate)
        value = self.value(logs)
        if value is None:
            return
        if self.cooling:
            self.cooling, self.wait = self.cooling - 1, 0
        if self.better(value, self.best):
            self.best, self.wait = value, 0
        elif not self.cooling:
            self.wait += 1
            if self.wait >= self.patience and rate > self.min_lr:
                self.model.optimizer.learning_rate = lower = max(rate * self.factor, self.min_lr)
                self.cooling, self.wait = self.cooldown, 0
                if self.verbose:
                    print(f"\nEpoch {epoch + 1}: ReduceLROnPlateau reducing learning rate to {lower}.")


class LearningRateScheduler(Callback):
    """The learning rate of each epoch: schedule(epoch, rate) or schedule(epoch)."""

    def __init__(self, schedule: Callable[..., float], verbose: int = 0):
        self.schedule, self.verbose = schedule, verbose

    def on_epoch_begin(self, epoch, logs=None):
        rate = float(self.model.optimizer.learning_rate)
        try:
            rate = self.schedule(epoch, rate)
        except TypeError:
            rate = self.schedule(epoch)
        self.model.optimizer.learning_rate = float(rate)
        if self.verbose:
            print(f"\nEpoch {epoch + 1}: LearningRateScheduler setting learning rate to {rate}.")

    def on_epoch_end(self, epoch, logs=None):
        if logs is not None:
            logs["learning_rate"] = float(self.model.optimizer.learning_rate)


class CSVLogger(Callback):
    """A line with the figures of each epoch."""

    def __init__(self, filename: Any, separator: str = ",", append: bool = False):
        self.filename, self.separator, self.append = filename, separator, append

    def on_train_begin(self, logs=None):
        self._file: Any = open(self.filename, "a" if self.append else "w", newline="")  # noqa: SIM115  closed at the end
        self._names: list[str] = []

    def on_epoch_end(self, epoch, logs=None):
        if not self._names:
            self._names = sorted(logs or {})
            if not self._file.tell():
                self._file.write(self.separator.join(["epoch", *self._names]) + "\r\n")
        self._file.write(self.separator.join(str({"epoch": epoch, **(logs or {})}.get(name, "NA"))
                                             for name in ("epoch", *self._names)) + "\r\n")
        self._file.flush()

    def on_train_end(self, logs=None):
        self._file.close()


class TensorBoard(Callback):
    """Figures of each epoch for TensorBoard, below `log_dir`/train and /validation (needs tensorboard)."""

    def __init__(self, log_dir: Any = "logs", histogram_freq: int = 0, write_graph: bool = False,
                 write_images: bool = False, update_freq: Any = "epoch", profile_batch: Any = 0):
        if histogram_freq or write_images or profile_batch or update_freq != "epoch":
            raise NotImplementedError("TensorBoard: figures of each epoch alone are written, no histograms, images, "
                                      "profiles or batches")
        self.log_dir = str(log_dir)
        self._writers: dict[str, Any] = {}

    def on_train_begin(self, logs=None):
        from ..utils.tensorboard import SummaryWriter

        self._writers = {name: SummaryWriter(f"{self.log_dir}/{name}") for name in ("train", "validation")}

    def on_epoch_end(self, epoch, logs=None):
        for name, value in (logs or {}).items():
            kind = "validation" if name.startswith("val_") else "train"
            self._writers[kind].add_scalar(f"epoch_{name.removeprefix('val_')}", value, epoch)

    def on_train_end(self, logs=None):
        for writer in self._writers.values():
            writer.close()


class TerminateOnNaN(Callback):
    """Stop when the loss is not finite."""

    def on_train_batch_end(self, batch, logs=None):
        if not math.isfinite((logs or {}).get("loss", 0.0)):
            print(f"Batch {batch}: Invalid loss, terminating training")
            self.model.stop_training = True


__getattr__ = absent_from("keras.callbacks", lambda: globals(), {
    "BackupAndRestore": "'ModelCheckpoint', and fit's initial_epoch"})
