"""CIFAR-10 and CIFAR-100, from the pickled or from the binary version of their files."""
from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import NamedTuple

import numpy as np

from minitorch.vision.datasets.utils import DatasetError, download_from_mirrors, extract_archive
from minitorch.vision.datasets.vision import ImageArrayDataset


def read_cifar(root, train: bool = True, num_classes: int = 10) -> tuple[np.ndarray, np.ndarray]:
    """Read CIFAR-10 or CIFAR-100 (`num_classes`): uint8 images (N, 3, 32, 32) and int64 labels (N,).

    `root` is the folder of the batch files, or one above it, as for `CIFAR10`. Pickled files are read without
    running any code that they may contain. The formats are those of A. Krizhevsky, "Learning Multiple Layers of
    Features from Tiny Images" (2009), https://www.cs.toronto.edu/~kriz/cifar.html.

    Raises DatasetError where files are missing or damaged.
    """
    layout = _layout(num_classes)
    names = layout.train if train else layout.test
    parts = [read(path, num_classes) for path, read in _find_all(root, layout, names)]
    return np.concatenate([images for images, _ in parts]), np.concatenate([labels for _, labels in parts])


class CIFAR10(ImageArrayDataset):
    """60,000 colour images, 32x32, of 10 classes: 50,000 for training, 10,000 for testing.

    `data` is a uint8 array (N, 32, 32, 3), `targets` a list. The batch files, pickled or binary, are looked for in
    `root`/cifar-10-batches-py, `root`/cifar-10-batches-bin and `root`. `download=True` fetches the archive if none are
    there; files that are there are used as they are, whatever their checksums.

    Raises DatasetError (a RuntimeError) where files are missing, damaged or cannot be downloaded.
    """

    url = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
    filename = "cifar-10-python.tar.gz"
    tgz_md5 = "c58f30108f718f92721af3b95e74349a"
    base_folder = "cifar-10-batches-py"
    num_classes = 10

    def __init__(self, root, train=True, transform=None, target_transform=None, download=False):
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.train = train
        if download:
            self.download()
        images, labels = read_cifar(self.root, train, self.num_classes)
        self.data = images.transpose(0, 2, 3, 1)
        self.targets = labels.tolist()
        self.classes = _class_names(self.root, self.num_classes)

    def download(self):
        """Fetch and unpack the archive, unless the batch files are there."""
        layout = _layout(self.num_classes)
        try:
            _find_all(self.root, layout, [*layout.train, *layout.test])
        except DatasetError:
            advice = layout.advice(self.root)
            archive = download_from_mirrors([self.url], self.root, self.filename, self.tgz_md5, advice)
            extract_archive(archive, self.root)

    def extra_repr(self):
        return f"Split: {'Train' if self.train else 'Test'}"


class CIFAR100(CIFAR10):
    """60,000 colour images, 32x32, of 100 classes: 50,000 for training, 10,000 for testing. See `CIFAR10`.

    The files are looked for in `root`/cifar-100-python, `root`/cifar-100-binary and `root`.
    """

    url = "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz"
    filename = "cifar-100-python.tar.gz"
    tgz_md5 = "eb9058c3a382ffc7106e4002c42a8d85"
    base_folder = "cifar-100-python"
    num_classes = 100


class _Layout(NamedTuple):
    """Where a version of the dataset lies."""

    folders: tuple[str, ...]
    train: tuple[str, ...]
    test: tuple[str, ...]
    names: tuple[str, str, str]  # the pickled file of class names, its key, and the text file

    def advice(self, root):
        pickled, binary = self.folders
        return (f"Place the files {', '.join((*self.train, *self.test))} in {os.path.join(root, pickled)}, or their "
                f"binary versions (.bin) in {os.path.join(root, binary)}")


def _layout(num_classes):
    if num_classes == 10:
        return _Layout(
            ("cifar-10-batches-py", "cifar-10-batches-bin"),
            tuple(f"data_batch_{i}" for i in range(1, 6)),
            ("test_batch",),
            ("batches.meta", "label_names", "batches.meta.txt"),
        )
    if num_classes == 100:
        return _Layout(
            ("cifar-100-python", "cifar-100-binary"),
            ("train",),
            ("test",),
            ("meta", "fine_label_names", "fine_label_names.txt"),
        )
    raise ValueError(f"read_cifar: expected num_classes to be 10 or 100, got {num_classes}")


def _find_all(root, layout, names):
    """For each name its file and the reader of its format, all from one folder."""
    best_missing = list(names)
    for folder in _folders(root, layout):
        for suffix, read in (("", _read_pickled), (".bin", _read_binary)):
            found = [(folder / (name + suffix), read) for name in names if (folder / (name + suffix)).is_file()]
            if len(found) == len(names):
                return found
            missing = [str(folder / (name + suffix)) for name in names if not (folder / (name + suffix)).is_file()]
            if found and len(missing) < len(best_missing):
                best_missing = missing
    raise DatasetError(
        f"CIFAR: Dataset not found or incomplete in {root}. You can use download=True to download it. "
        f"Missing: {', '.join(best_missing)}. {layout.advice(root)}"
    )


def _folders(root, layout):
    root = Path(root).expanduser()
    return [root / name for name in layout.folders] + [root]


def _read_binary(path, num_classes):
    """Records of one label byte (two for CIFAR-100: coarse, fine) and 3072 bytes of pixels."""
    label_bytes = 1 if num_classes == 10 else 2
    content = np.fromfile(path, np.uint8)
    record = label_bytes + 3072
    if content.size == 0 or content.size % record:
        raise DatasetError(f"{path}: expected records of {record} bytes, got {content.size} bytes in all")
    rows = content.reshape(-1, record)
    labels = _checked_labels(path, rows[:, label_bytes - 1], len(rows), num_classes)
    return rows[:, label_bytes:].reshape(-1, 3, 32, 32), labels


def _read_pickled(path, num_classes):
    record = _unpickle(path)
    images = record.get("data")
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8 or images.ndim != 2 or images.shape[1] != 3072:
        actual = f"{images.dtype} {images.shape}" if isinstance(images, np.ndarray) else type(images).__name__
        raise DatasetError(f"{path}: expected 'data' to be a uint8 array (N, 3072), got {actual}")
    key = "labels" if num_classes == 10 else "fine_labels"
    return images.reshape(-1, 3, 32, 32), _checked_labels(path, record.get(key), len(images), num_classes)


def _checked_labels(path, labels, count, num_classes):
    try:
        labels = np.asarray(labels, np.int64)
    except (TypeError, ValueError) as error:
        raise DatasetError(f"{path}: expected a list of integer labels, got {type(labels).__name__}") from error
    if labels.shape != (count,):
        raise DatasetError(f"{path}: expected {count} labels, one an image, got labels of shape {labels.shape}")
    if labels.size and not 0 <= labels.min() <= labels.max() < num_classes:
        raise DatasetError(
            f"{path}: expected labels from 0 to {num_classes - 1}, got {labels.min()} to {labels.max()}"
        )
    return labels


def _class_names(root, num_classes):
    """The names from the files beside the batches; CIFAR-10's are known anyway."""
    layout = _layout(num_classes)
    pickled, key, text = layout.names
    for folder in _folders(root, layout):
        if (folder / pickled).is_file():
            names = _unpickle(folder / pickled).get(key, [])
            return [name.decode() if isinstance(name, bytes) else str(name) for name in names]
        if (folder / text).is_file():
            return (folder / text).read_text().split()
    if num_classes == 10:
        return ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
    return [str(i) for i in range(num_classes)]


def _unpickle(path):
    """A pickled dict with its keys as str. Raises DatasetError for anything else."""
    try:
        with open(path, "rb") as file:
            record = _DataUnpickler(file, encoding="bytes").load()
    except FileNotFoundError:
        raise
    except Exception as error:  # a damaged pickle can raise nearly anything
        raise DatasetError(f"{path}: expected a pickled CIFAR batch, got a damaged or foreign file: {error}") from error
    if not isinstance(record, dict):
        raise DatasetError(f"{path}: expected a pickled dict, got {type(record).__name__}")
    return {key.decode() if isinstance(key, bytes) else key: value for key, value in record.items()}


class _DataUnpickler(pickle.Unpickler):
    """Builds arrays and plain values only: a pickle that names any other function or class is refused."""

    def find_class(self, module, name):
        if module in ("numpy.core.multiarray", "numpy._core.multiarray") and name == "_reconstruct":
            return _empty_array
        if (module, name) == ("numpy", "ndarray"):
            return np.ndarray
        if (module, name) == ("numpy", "dtype"):
            return np.dtype
        if (module, name) == ("_codecs", "encode"):  # how Python 3 writes bytes in protocol 2
            return _latin1
        raise pickle.UnpicklingError(f"it names {module}.{name}, which is not needed to hold images")


def _empty_array(kind, shape, dtype):
    """What pickle fills with `ndarray.__setstate__`."""
    return np.ndarray.__new__(np.ndarray, (0,), "b")


def _latin1(text, encoding):
    return text.encode("latin1")
