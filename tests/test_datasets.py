"""Image datasets from tiny files in the published formats, damaged ones too, and from the real ones where they lie."""
import bz2
import gzip
import hashlib
import http.server
import io
import pickle
import struct
import tarfile
import threading
import zipfile
import zlib
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

import minitorch
from minitorch.utils.data import DataLoader
from minitorch.vision import datasets
from minitorch.vision import transforms as T
from minitorch.vision.datasets import matlab
from minitorch.vision.datasets import utils as files

rng = np.random.default_rng(2)
SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


# Files as their publishers write them


def idx(array, code=0x08):
    header = struct.pack(">BBBB", 0, 0, code, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


def write_mnist(folder, compressed=False, train=12, test=5):
    """Returns the images and labels of both parts."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = {}
    for part, count in (("train", train), ("t10k", test)):
        images = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = rng.integers(0, 10, count, dtype=np.uint8)
        parts[part] = images, labels
        for name, content in (("images-idx3", idx(images)), ("labels-idx1", idx(labels))):
            path = folder / f"{part}-{name}-ubyte"
            if compressed:
                path.with_name(path.name + ".gz").write_bytes(gzip.compress(content))
            else:
                path.write_bytes(content)
    return parts


class Python2Pickler(pickle._Pickler):
    """Writes bytes as the strings of Python 2, as in the published files."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)

    def save_bytes(self, value):
        short = len(value) < 256
        self.write(pickle.SHORT_BINSTRING + bytes([len(value)]) if short else b"T" + struct.pack("<i", len(value)))
        self.write(value)
        self.memoize(value)

    dispatch[bytes] = save_bytes


def pickled(record, python2=True):
    if not python2:
        return pickle.dumps(record, 2)
    file = io.BytesIO()
    Python2Pickler(file, protocol=2).dump(record)
    return file.getvalue()


CIFAR_NAMES = [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]


def write_cifar10(root, form="pickled", count=4):
    """Returns {file name: (images, labels)}."""
    folder = root / ("cifar-10-batches-bin" if form == "binary" else "cifar-10-batches-py")
    folder.mkdir(parents=True, exist_ok=True)
    content = {}
    for name in CIFAR_NAMES:
        images = rng.integers(0, 256, (count, 3072), dtype=np.uint8)
        labels = rng.integers(0, 10, count)
        content[name] = images.reshape(-1, 3, 32, 32), labels
        if form == "binary":
            rows = np.concatenate([labels[:, None].astype(np.uint8), images], axis=1)
            rows.tofile(folder / f"{name}.bin")
        else:
            record = {b"batch_label": b"one", b"labels": labels.tolist(), b"data": images, b"filenames": [b"x"] * count}
            (folder / name).write_bytes(pickled(record, python2=form == "pickled"))
    return content


# MNIST


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("place", ["MNIST/raw", "MNIST", "."])
def test_mnist(tmp_path, place, compressed):
    parts = write_mnist(tmp_path / place, compressed)
    for train, part in ((True, "train"), (False, "t10k")):
        dataset = datasets.MNIST(tmp_path, train=train, download=True)  # nothing to download: the files are there
        images, labels = parts[part]
        assert len(dataset) == len(images) and dataset.train is train
        np.testing.assert_array_equal(dataset.data.numpy(), images)
        assert dataset.targets.tolist() == labels.tolist() and dataset.targets.dtype == minitorch.int64
        assert dataset.train_data is dataset.data and dataset.test_labels is dataset.targets


def test_mnist_samples_are_pil_images(tmp_path):
    pytest.importorskip("PIL")
    images, labels = write_mnist(tmp_path)["train"]
    image, target = datasets.MNIST(str(tmp_path))[3]
    assert image.mode == "L" and type(target) is int and target == labels[3]
    np.testing.assert_array_equal(np.asarray(image), images[3])
    both = datasets.MNIST(tmp_path, transform=lambda i: i.size, target_transform=lambda t: -t)
    assert both[3] == ((28, 28), -int(labels[3]))
    assert datasets.MNIST(tmp_path).class_to_idx["3 - three"] == 3


def test_relatives_of_mnist_do_not_take_its_files(tmp_path):
    write_mnist(tmp_path)
    with pytest.raises(datasets.DatasetError, match="FashionMNIST: Dataset not found"):
        datasets.FashionMNIST(tmp_path)
    write_mnist(tmp_path / "FashionMNIST" / "raw")
    write_mnist(tmp_path / "KMNIST" / "raw", compressed=True)
    assert datasets.FashionMNIST(tmp_path, train=False).classes[9] == "Ankle boot"
    assert len(datasets.KMNIST(tmp_path)) == 12


def test_missing_files_are_named(tmp_path):
    with pytest.raises(RuntimeError, match=r"download=True.*train-images-idx3-ubyte.gz is missing.*MNIST.raw"):
        datasets.MNIST(tmp_path)
    with pytest.raises(RuntimeError, match=r"(?s)Missing: data_batch_1.*test_batch.*cifar-10-batches-py"):
        datasets.CIFAR10(tmp_path)
    write_cifar10(tmp_path)
    (tmp_path / "cifar-10-batches-py" / "data_batch_3").unlink()
    with pytest.raises(RuntimeError, match=r"Missing: \S*data_batch_3\."):
        datasets.CIFAR10(tmp_path)
    assert len(datasets.CIFAR10(tmp_path, train=False)) == 4


@pytest.mark.parametrize(
    "code, dtype", [(0x08, "u1"), (0x09, "i1"), (0x0B, "i2"), (0x0C, "i4"), (0x0D, "f4"), (0x0E, "f8")]
)
@pytest.mark.parametrize("shape", [(3,), (2, 3, 4), (0, 5), ()])
def test_read_idx(tmp_path, code, dtype, shape):
    array = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype)
    for name, content in (("plain", idx(array, code)), ("packed", gzip.compress(idx(array, code)))):
        (tmp_path / name).write_bytes(content)
        got = datasets.read_idx(tmp_path / name)
        assert got.dtype == np.dtype(dtype) and got.dtype.isnative and got.flags.writeable
        np.testing.assert_array_equal(got, array)


def damaged_idx():
    good = idx(np.zeros((2, 3), np.uint8))
    return {
        "empty": (b"", "IDX header"),
        "html": (b"<html>404</html>", "IDX header .* got 3c 68 74 6d"),
        "unknown type": (b"\0\0\x07\x01" + good[4:], "IDX header"),
        "short": (good[:-1], "expected 18 bytes for dimensions \\(2, 3\\) of uint8, got 17"),
        "long": (good + b"\0", "expected 18 bytes .* got 19"),
        "header only": (good[:9], "got 9 bytes"),
        "broken gzip": (gzip.compress(good)[:-6], "damaged one of"),
        "huge": (b"\0\0\x08\x02" + b"\xff" * 8, "got 12 bytes"),
    }


@pytest.mark.parametrize("name", damaged_idx())
def test_damaged_idx(tmp_path, name):
    content, message = damaged_idx()[name]
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(datasets.DatasetError, match=f"file: .*{message}"):
        datasets.read_idx(tmp_path / "file")


def test_files_that_do_not_belong_together(tmp_path):
    write_mnist(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(np.zeros(11, np.uint8)))
    with pytest.raises(datasets.DatasetError, match=r"labels-idx1-ubyte: expected labels of shape \(12,\)"):
        datasets.MNIST(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(np.full(12, 10, np.uint8)))
    with pytest.raises(datasets.DatasetError, match="labels below 10, got 10"):
        datasets.MNIST(tmp_path)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(np.zeros((12, 784), np.uint8)))
    with pytest.raises(datasets.DatasetError, match=r"uint8 images \(N, H, W\)"):
        datasets.MNIST(tmp_path)


# CIFAR


@pytest.mark.parametrize("form", ["pickled", "python 3", "binary"])
def test_cifar10(tmp_path, form):
    content = write_cifar10(tmp_path, form)
    folder = next(tmp_path.iterdir())
    for root in (tmp_path, folder):
        images, labels = datasets.read_cifar(root, train=True)
        np.testing.assert_array_equal(images, np.concatenate([content[name][0] for name in CIFAR_NAMES[:5]]))
        assert labels.tolist() == [label for name in CIFAR_NAMES[:5] for label in content[name][1]]
    dataset = datasets.CIFAR10(str(tmp_path), train=False, download=True)
    assert dataset.data.shape == (4, 32, 32, 3) and dataset.data.dtype == np.uint8 and len(dataset) == 4
    np.testing.assert_array_equal(dataset.data, content["test_batch"][0].transpose(0, 2, 3, 1))
    assert dataset.targets == content["test_batch"][1].tolist() and type(dataset.targets[0]) is int
    assert dataset.classes[3] == "cat" and dataset.class_to_idx["truck"] == 9
    assert "Number of datapoints: 4" in repr(dataset) and "Split: Test" in repr(dataset)


def test_class_names_come_from_the_files(tmp_path):
    write_cifar10(tmp_path)
    folder = tmp_path / "cifar-10-batches-py"
    (folder / "batches.meta").write_bytes(pickled({b"label_names": [b"a", b"b"]}))
    assert datasets.CIFAR10(tmp_path).classes == ["a", "b"]
    write_cifar10(tmp_path / "other", "binary")
    (tmp_path / "other" / "cifar-10-batches-bin" / "batches.meta.txt").write_text("c\nd\n\n")
    assert datasets.CIFAR10(tmp_path / "other").classes == ["c", "d"]


@pytest.mark.parametrize("binary", [False, True])
def test_cifar100(tmp_path, binary):
    folder = tmp_path / ("cifar-100-binary" if binary else "cifar-100-python")
    folder.mkdir()
    images = rng.integers(0, 256, (3, 3072), dtype=np.uint8)
    fine, coarse = np.array([99, 0, 50]), np.array([19, 0, 7])
    for name in ("train", "test"):
        if binary:
            rows = np.concatenate([coarse[:, None], fine[:, None], images], axis=1).astype(np.uint8)
            rows.tofile(folder / f"{name}.bin")
        else:
            record = {b"data": images, b"fine_labels": fine.tolist(), b"coarse_labels": coarse.tolist()}
            (folder / name).write_bytes(pickled(record))
    dataset = datasets.CIFAR100(tmp_path)
    assert dataset.targets == [99, 0, 50] and len(dataset.classes) == 100
    np.testing.assert_array_equal(dataset.data, images.reshape(3, 3, 32, 32).transpose(0, 2, 3, 1))
    with pytest.raises(ValueError, match="10 or 100"):
        datasets.read_cifar(tmp_path, num_classes=20)


class Exploit:
    def __reduce__(self):
        return exec, ("import pathlib; pathlib.Path('executed').touch()",)


def damaged_cifar():
    data = np.zeros((2, 3072), np.uint8)
    return {
        "code": (pickle.dumps({b"data": Exploit(), b"labels": [0]}), "builtins.exec, which is not needed"),
        "not a pickle": (b"<html>", "damaged or foreign"),
        "empty": (b"", "damaged or foreign"),
        "cut": (pickled({b"data": data, b"labels": [0, 1]})[:-500], "damaged or foreign"),
        "a list": (pickled([1, 2]), "pickled dict, got list"),
        "no data": (pickled({b"labels": [0]}), "got NoneType"),
        "floats": (pickled({b"data": data.astype(float), b"labels": [0, 1]}), r"\(N, 3072\), got float64"),
        "too narrow": (pickled({b"data": data[:, :9], b"labels": [0, 1]}), r"got uint8 \(2, 9\)"),
        "labels missing": (pickled({b"data": data}), "list of integer labels, got NoneType"),
        "too few labels": (pickled({b"data": data, b"labels": [0]}), "expected 2 labels"),
        "label too high": (pickled({b"data": data, b"labels": [0, 10]}), "from 0 to 9, got 0 to 10"),
    }


@pytest.mark.parametrize("name", damaged_cifar())
def test_damaged_cifar(tmp_path, name, monkeypatch):
    monkeypatch.chdir(tmp_path)
    content, message = damaged_cifar()[name]
    write_cifar10(tmp_path)
    (tmp_path / "cifar-10-batches-py" / "test_batch").write_bytes(content)
    with pytest.raises(datasets.DatasetError, match=f"test_batch: .*{message}"):
        datasets.CIFAR10(tmp_path, train=False)
    assert not (tmp_path / "executed").exists()


def test_damaged_binary_cifar(tmp_path):
    write_cifar10(tmp_path, "binary")
    for content, message in ((b"", "got 0 bytes"), (bytes(3072), "records of 3073 bytes, got 3072"),
                             (b"\x0a" + bytes(3072), "got 10 to 10")):
        (tmp_path / "cifar-10-batches-bin" / "test_batch.bin").write_bytes(content)
        with pytest.raises(datasets.DatasetError, match=f"test_batch.bin: .*{message}"):
            datasets.CIFAR10(tmp_path, train=False)


# Relatives: other files of the same kinds


def test_emnist(tmp_path):
    folder = tmp_path / "EMNIST" / "raw"
    write_mnist(folder)
    for part, old in (("train", "train"), ("test", "t10k")):
        for kind in ("images-idx3", "labels-idx1"):
            source = (folder / f"{old}-{kind}-ubyte").read_bytes()
            (folder / f"emnist-letters-{part}-{kind}-ubyte.gz").write_bytes(gzip.compress(source))
    dataset = datasets.EMNIST(tmp_path, "letters", train=False, download=True)
    assert len(dataset) == 5 and dataset.classes[0] == "N/A" and len(dataset.classes) == 27
    counts = [len(datasets.EMNIST.classes_split_dict[split]) for split in datasets.EMNIST.splits]
    assert counts == [62, 47, 47, 27, 10, 10]
    with pytest.raises(RuntimeError, match=r"emnist-digits-train-images-idx3-ubyte.gz is missing"):
        datasets.EMNIST(tmp_path, split="digits")
    with pytest.raises(ValueError, match=r"Unknown value 'hex' for argument split. Valid values are {'byclass'"):
        datasets.EMNIST(tmp_path, "hex")


def test_emnist_is_downloaded(tmp_path, server, monkeypatch):
    served, address = server
    write_mnist(served, compressed=True)
    with zipfile.ZipFile(served / "gzip.zip", "w") as archive:
        for part, old in (("train", "train"), ("test", "t10k")):
            for kind in ("images-idx3", "labels-idx1"):
                archive.write(served / f"{old}-{kind}-ubyte.gz", f"gzip/emnist-mnist-{part}-{kind}-ubyte.gz")
    monkeypatch.setattr(datasets.EMNIST, "url", address + "gzip.zip")
    monkeypatch.setattr(datasets.EMNIST, "md5", md5(served / "gzip.zip"))
    assert len(datasets.EMNIST(tmp_path, "mnist", download=True)) == 12


def mat_file(arrays, order="<", compress=True):
    """A MATLAB file of version 5 as its specification describes it."""
    def element(kind, data):
        return struct.pack(order + "II", kind, len(data)) + data + bytes(-len(data) % 8)

    codes = {"u1": (9, 2), "f8": (6, 9), "i4": (12, 5)}
    content = b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack(order + "H", 0x0100) + struct.pack(order + "H", 0x4D49)
    for name, array in arrays.items():
        kind, number = codes[array.dtype.str[1:]]
        shape = np.array(array.shape, order + "i4").tobytes()
        values = array.astype(array.dtype.newbyteorder(order)).tobytes(order="F")
        short = struct.pack(order + "HH", *((1, len(name)) if order == "<" else (len(name), 1))) + name.encode()
        data = element(6, struct.pack(order + "II", kind, 0)) + element(5, shape) + short.ljust(8, b"\0")
        matrix = element(14, data + element(number, values))
        content += struct.pack(order + "II", 15, len(packed := zlib.compress(matrix))) + packed if compress else matrix
    return content


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compress", [False, True])
def test_matlab_files(tmp_path, order, compress):
    arrays = {"X": rng.integers(0, 256, (3, 4, 2), dtype=np.uint8), "y": rng.random((5, 1)),
              "n": np.arange(6, dtype="i4")[None]}
    (tmp_path / "a.mat").write_bytes(mat_file(arrays, order, compress))
    got = matlab.read_mat(tmp_path / "a.mat")
    for name, array in arrays.items():
        assert got[name].dtype == array.dtype
        np.testing.assert_array_equal(got[name], array)
    damaged = (tmp_path / "a.mat").read_bytes()[:-9]
    for content, message in ((damaged, "damaged"), (b"HDF" * 100, "of another kind"), (b"", "got 0 bytes")):
        (tmp_path / "bad.mat").write_bytes(content)
        with pytest.raises(datasets.DatasetError, match=message):
            matlab.read_mat(tmp_path / "bad.mat")


def test_matlab_files_of_scipy(tmp_path):
    scipy_io = pytest.importorskip("scipy.io")
    arrays = {"X": rng.integers(0, 256, (3, 4, 2, 5), dtype=np.uint8), "y": rng.random((5, 1)).astype("f4"),
              "small": np.arange(3.0)[None], "empty": np.zeros((0, 3))}
    for compress in (False, True):
        scipy_io.savemat(tmp_path / "a.mat", arrays, do_compression=compress)
        got = matlab.read_mat(tmp_path / "a.mat")
        for name, array in arrays.items():
            np.testing.assert_array_equal(got[name], array)
    scipy_io.savemat(tmp_path / "a.mat", {"z": np.array([[1j]])})
    with pytest.raises(datasets.DatasetError, match="complex"):
        matlab.read_mat(tmp_path / "a.mat")


def test_svhn(tmp_path):
    images = rng.integers(0, 256, (32, 32, 3, 6), dtype=np.uint8)
    labels = np.array([[1], [10], [3], [9], [10], [5]], np.uint8)
    (tmp_path / "test_32x32.mat").write_bytes(mat_file({"X": images, "y": labels}))
    dataset = datasets.SVHN(tmp_path, split="test", transform=T.ToTensor(), download=True)
    assert dataset.labels.tolist() == [1, 0, 3, 9, 0, 5] and dataset.data.shape == (6, 3, 32, 32)
    batch, targets = next(iter(DataLoader(dataset, batch_size=6)))
    np.testing.assert_array_equal((batch * 255).round().numpy(), images.transpose(3, 2, 0, 1))
    assert targets.tolist() == [1, 0, 3, 9, 0, 5] and "Split: test" in repr(dataset)
    pytest.importorskip("PIL")
    image, target = datasets.SVHN(str(tmp_path), "test", target_transform=lambda t: -t)[3]
    np.testing.assert_array_equal(np.asarray(image), images[..., 3])
    assert target == -9
    with pytest.raises(RuntimeError, match=r"SVHN: Dataset not found.*Place train_32x32.mat in"):
        datasets.SVHN(tmp_path)
    with pytest.raises(ValueError, match="Unknown value 'val'"):
        datasets.SVHN(tmp_path, "val")
    (tmp_path / "train_32x32.mat").write_bytes(mat_file({"X": images, "y": labels[:5]}))
    with pytest.raises(datasets.DatasetError, match=r"expected arrays X .*'y': \(5, 1\)"):
        datasets.SVHN(tmp_path)


def test_stl10(tmp_path):
    folder = tmp_path / "stl10_binary"
    folder.mkdir()
    images = {part: rng.integers(0, 256, (count, 3, 96, 96), dtype=np.uint8)
              for part, count in (("train", 4), ("unlabeled", 2), ("test", 3))}
    for part, array in images.items():
        array.transpose(0, 1, 3, 2).tofile(folder / f"{part}_X.bin")
    for part, labels in (("train", [1, 10, 3, 4]), ("test", [5, 6, 7])):
        np.array(labels, np.uint8).tofile(folder / f"{part}_y.bin")
    (folder / "fold_indices.txt").write_text("3 1\n0 2\n")
    (folder / "class_names.txt").write_text("airplane\nbird\n")
    train = datasets.STL10(tmp_path, transform=T.ToTensor(), download=True)
    assert train.labels.tolist() == [0, 9, 2, 3] and train.classes == ["airplane", "bird"]
    np.testing.assert_array_equal((train[1][0] * 255).round().numpy(), images["train"][1])
    np.testing.assert_array_equal(datasets.STL10(tmp_path, "test").data, images["test"])
    both = datasets.STL10(tmp_path, "train+unlabeled")
    assert both.labels.tolist() == [0, 9, 2, 3, -1, -1] and len(both) == 6
    assert datasets.STL10(tmp_path, "unlabeled").labels.tolist() == [-1, -1]
    assert datasets.STL10(tmp_path, folds=0).labels.tolist() == [3, 9]
    for folds, message in ((10, r"range \[0, 10\)"), ("1", "None or int")):
        with pytest.raises(ValueError, match=message):
            datasets.STL10(tmp_path, folds=folds)
    (folder / "test_y.bin").unlink()
    with pytest.raises(RuntimeError, match=r"Missing: test_y.bin. Place the unpacked files in"):
        datasets.STL10(tmp_path, split="test")
    (folder / "train_y.bin").write_bytes(b"\1")
    with pytest.raises(datasets.DatasetError, match="4 images, but 1 labels"):
        datasets.STL10(tmp_path)


def test_usps(tmp_path):
    values = rng.uniform(-1, 1, (3, 256))
    lines = [f"{label} " + " ".join(f"{i}:{value:.6f}" for i, value in enumerate(row, 1))
             for label, row in zip((1, 10, 5), values)]
    (tmp_path / "usps.t.bz2").write_bytes(bz2.compress("\n".join(lines).encode()))
    dataset = datasets.USPS(tmp_path, train=False, transform=T.ToTensor(), download=True)
    assert dataset.targets == [0, 9, 4] and dataset[0][0].shape == (1, 16, 16)
    np.testing.assert_allclose(dataset.data.reshape(3, 256), (values + 1) / 2 * 255, atol=1.001)
    with pytest.raises(RuntimeError, match=r"USPS: Dataset not found.*Place usps.bz2 in"):
        datasets.USPS(tmp_path)
    (tmp_path / "usps.bz2").write_bytes(b"<html>")
    with pytest.raises(datasets.DatasetError, match="expected lines"):
        datasets.USPS(tmp_path)


def test_datasets_that_are_not_there():
    with pytest.raises(AttributeError, match=r"'VOCDetection'.*ImageFolder"):
        datasets.VOCDetection  # noqa: B018
    with pytest.raises(AttributeError, match="nearest that exists is 'CIFAR10'"):
        datasets.CIFAR  # noqa: B018


# Without Pillow, in batches: the values must be the same

PIPELINES = {
    "tensor": [T.ToTensor()],
    "normalized": [T.ToTensor(), T.Normalize((0.4, 0.5, 0.6), (0.2, 0.3, 0.1))],
    "augmented": [T.RandomCrop(32, padding=4), T.RandomHorizontalFlip(), T.ToTensor(), T.Normalize(0.5, 0.5)],
    "bytes": [T.CenterCrop(20), T.PILToTensor()],
    "own code after": [T.Pad(2, fill=(1, 2, 3)), T.RandomVerticalFlip(), T.ToTensor(), lambda x: x * 2],
    "random after": [T.ToTensor(), T.RandomErasing(1.0)],
    "nested": [T.Compose([T.RandomCrop(24)]), T.Compose([T.ToTensor()])],
    "colour first": [T.ColorJitter(0.4), T.ToTensor()],
}


def by_pillow(transforms):
    """The same transform, given a PIL image whatever it is made of."""
    return lambda image: T.Compose(transforms)(image)


@pytest.mark.parametrize("name", PIPELINES)
def test_shortcuts_do_not_change_values(tmp_path, name):
    pytest.importorskip("PIL")
    write_cifar10(tmp_path)
    fast = datasets.CIFAR10(tmp_path, transform=T.Compose(PIPELINES[name]))
    slow = datasets.CIFAR10(tmp_path, transform=by_pillow(PIPELINES[name]))
    minitorch.manual_seed(6)
    expected = list(DataLoader(slow, batch_size=8, shuffle=True))
    minitorch.manual_seed(6)
    got = list(DataLoader(fast, batch_size=8, shuffle=True))
    assert len(got) == 3
    for (images, labels), (expected_images, expected_labels) in zip(got, expected):
        assert images.dtype == expected_images.dtype and labels.dtype == minitorch.int64
        np.testing.assert_array_equal(images.numpy(), expected_images.numpy())
        assert labels.tolist() == expected_labels.tolist()


def test_the_attributes_may_be_changed(tmp_path):
    """Programs filter classes by assigning to `data` and `targets`, or give a transform later."""
    write_mnist(tmp_path)
    dataset = datasets.MNIST(tmp_path)
    kept = np.flatnonzero(dataset.targets.numpy() >= 0)[:6]
    dataset.data, dataset.targets = dataset.data.numpy()[kept], dataset.targets.numpy()[kept].tolist()
    dataset.transform = T.ToTensor()
    images, labels = next(iter(DataLoader(dataset, batch_size=10)))
    assert images.shape == (6, 1, 28, 28) and labels.tolist() == dataset.targets
    np.testing.assert_array_equal(images.numpy()[:, 0], dataset.data / np.float32(255))


def test_a_subclass_with_its_own_samples(tmp_path):
    write_cifar10(tmp_path)

    class Pairs(datasets.CIFAR10):
        def __getitem__(self, index):
            image, target = super().__getitem__(index)
            return image, image, target

    loader = DataLoader(Pairs(tmp_path, transform=T.ToTensor()), batch_size=4)
    assert len(next(iter(loader))) == 3


def test_no_pillow_is_needed_for_tensors(tmp_path, run_python):
    write_cifar10(tmp_path)
    printed = run_python(
        "import sys; sys.modules['PIL'] = None\n"
        "from minitorch.vision import datasets, transforms as T\n"
        "from minitorch.utils.data import DataLoader\n"
        f"root = {str(tmp_path)!r}\n"
        "crop = T.Compose([T.RandomCrop(32, 4), T.RandomHorizontalFlip(), T.ToTensor(), T.Normalize(0.5, 0.5)])\n"
        "print(next(iter(DataLoader(datasets.CIFAR10(root, transform=crop), 8)))[0].shape)\n"
        "try: datasets.CIFAR10(root)[0]\n"
        "except ImportError as error: print(error)\n"
    )
    assert "Size([8, 3, 32, 32])" in printed
    assert 'an image of CIFAR10 without ToTensor' in printed and 'pip install "minitorch-framework[vision]"' in printed


# Digits, fake data, folders


def test_digits():
    images, labels = datasets.read_digits()
    assert images.shape == (1797, 8, 8) and images.max() == 16 and images.dtype == np.uint8
    assert images.sum() == 561718  # as scikit-learn's load_digits
    assert np.bincount(labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    train, test = datasets.Digits(train=True), datasets.Digits(train=False)
    assert (len(train), len(test)) == (1437, 360)
    counts = np.bincount(test.targets.numpy())
    assert np.abs(counts - np.bincount(labels) / 5).max() <= 1
    joined = np.concatenate([train.data.numpy(), test.data.numpy()]).reshape(1797, -1)
    published = np.round(images.reshape(1797, -1) * (255 / 16)).astype(np.uint8)
    assert sorted(map(bytes, joined)) == sorted(map(bytes, published))
    batch, targets = next(iter(DataLoader(datasets.Digits(transform=T.ToTensor()), batch_size=100)))
    assert batch.shape == (100, 1, 8, 8) and batch.max().item() == 1.0 and targets.shape == (100,)


def test_fake_data():
    torch = pytest.importorskip("torch")
    pytest.importorskip("PIL")
    dataset = datasets.FakeData(size=3, image_size=(3, 5, 4), num_classes=7, random_offset=10)
    before = minitorch.get_rng_state().tolist()
    image, target = dataset[2]
    assert minitorch.get_rng_state().tolist() == before
    torch.manual_seed(12)
    values = torch.randn(3, 5, 4)
    assert target == torch.randint(0, 7, (1,)).item() and image.size == (4, 5)
    positive = (values > 0).permute(1, 2, 0).numpy() & (values < 1).permute(1, 2, 0).numpy()
    expected = values.mul(255).byte().permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(np.asarray(image)[positive], expected[positive])
    with pytest.raises(IndexError):
        dataset[3]
    assert len(list(dataset)) == 3


def test_image_folder(tmp_path):
    image_module = pytest.importorskip("PIL.Image")
    for name in ("dog/b.png", "dog/a.PNG", "cat/deep/c.png", "cat/notes.txt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".txt":
            path.write_text("no image")
        else:
            image_module.fromarray(np.full((2, 3), len(name), np.uint8)).save(path)
    dataset = datasets.ImageFolder(str(tmp_path), transform=T.ToTensor())
    assert dataset.classes == ["cat", "dog"] and dataset.class_to_idx == {"cat": 0, "dog": 1}
    assert [Path(path).name for path, _ in dataset.imgs] == ["c.png", "a.PNG", "b.png"]
    assert dataset.targets == [0, 1, 1] and dataset[0][0].shape == (3, 2, 3)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"classes empty in .* Supported extensions"):
        datasets.ImageFolder(tmp_path)
    assert len(datasets.ImageFolder(tmp_path, allow_empty=True)) == 3
    texts = datasets.DatasetFolder(tmp_path, lambda path: Path(path).read_text(), (".txt",), allow_empty=True)
    assert texts[0] == ("no image", 0)
    chosen = datasets.ImageFolder(tmp_path, is_valid_file=lambda path: path.endswith("b.png"), allow_empty=True)
    assert len(chosen) == 1
    with pytest.raises(FileNotFoundError, match="any class folder"):
        datasets.ImageFolder(tmp_path / "dog")
    with pytest.raises(ValueError, match="Both extensions and is_valid_file"):
        datasets.folder.make_dataset(tmp_path)


# Downloads


@pytest.fixture
def server(tmp_path_factory):
    """Serves a folder on the loopback interface: (folder, address)."""
    folder = tmp_path_factory.mktemp("served")

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(folder))

        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{httpd.server_address[1]}/"
        httpd.shutdown()


def md5(path):
    return hashlib.md5(path.read_bytes()).hexdigest()


def test_mnist_is_downloaded(tmp_path, server, monkeypatch):
    served, address = server
    parts = write_mnist(served, compressed=True)
    names = [name for name, _ in datasets.MNIST.resources]
    monkeypatch.setattr(datasets.MNIST, "mirrors", [address + "gone/", address])
    monkeypatch.setattr(datasets.MNIST, "resources", [(name, md5(served / name)) for name in names])
    dataset = datasets.MNIST(tmp_path, download=True)
    np.testing.assert_array_equal(dataset.data.numpy(), parts["train"][0])
    assert sorted(path.name for path in (tmp_path / "MNIST" / "raw").iterdir()) == sorted(names)


def test_a_failed_download_says_what_to_do(tmp_path, server, monkeypatch):
    served, address = server
    write_mnist(served, compressed=True)
    monkeypatch.setattr(datasets.MNIST, "mirrors", [address + "gone/", address])
    with pytest.raises(RuntimeError) as caught:  # the published checksums do not fit these files
        datasets.MNIST(tmp_path, download=True)
    message = str(caught.value)
    assert address + "gone/train-images-idx3-ubyte.gz: download failed: HTTP Error 404" in message
    assert "expected a file with MD5 checksum f68b3c2dcbeaaa9fbdd348bbdeb94873" in message
    assert "Place these files" in message and str(tmp_path) in message
    assert not any(path.is_file() for path in tmp_path.rglob("*"))  # nothing half done is left


def test_cifar_is_downloaded(tmp_path, server, monkeypatch):
    served, address = server
    content = write_cifar10(served)
    with tarfile.open(served / "cifar-10-python.tar.gz", "w:gz") as tar:
        tar.add(served / "cifar-10-batches-py", "cifar-10-batches-py")
    monkeypatch.setattr(datasets.CIFAR10, "url", address + "cifar-10-python.tar.gz")
    with pytest.raises(RuntimeError, match=r"(?s)MD5.*Place the files data_batch_1"):
        datasets.CIFAR10(tmp_path, download=True)
    monkeypatch.setattr(datasets.CIFAR10, "tgz_md5", md5(served / "cifar-10-python.tar.gz"))
    dataset = datasets.CIFAR10(tmp_path, train=False, download=True)
    assert dataset.targets == content["test_batch"][1].tolist()


def test_download_url(tmp_path, server):
    served, address = server
    (served / "file.txt").write_text("hello")
    files.download_url(address + "file.txt", tmp_path, md5=md5(served / "file.txt"))
    (served / "file.txt").write_text("changed")
    files.download_url(address + "file.txt", tmp_path)  # it is there already
    assert (tmp_path / "file.txt").read_text() == "hello"
    assert files.check_integrity(tmp_path / "file.txt") and not files.check_integrity(tmp_path / "file.txt", "0")
    assert files.list_files(tmp_path, ".txt") == ["file.txt"] and files.list_dir(tmp_path) == []


def test_archives_cannot_write_elsewhere(tmp_path):
    with tarfile.open(tmp_path / "outside.tar", "w") as tar:
        tar.addfile(tarfile.TarInfo("../escaped"), io.BytesIO())
    link = tarfile.TarInfo("link")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc"
    with tarfile.open(tmp_path / "link.tar", "w") as tar:
        tar.addfile(link)
    with zipfile.ZipFile(tmp_path / "outside.zip", "w") as archive:
        archive.writestr("../escaped", "")
    for name, message in (("outside.tar", "outside of"), ("link.tar", "neither a file"), ("outside.zip", "outside of")):
        with pytest.raises(datasets.DatasetError, match=message):
            files.extract_archive(tmp_path / name, tmp_path / "inside")
    assert not (tmp_path / "escaped").exists() and not list((tmp_path / "inside").iterdir())


def test_extract_archive(tmp_path):
    with zipfile.ZipFile(tmp_path / "good.zip", "w") as archive:
        archive.writestr("a/b.txt", "zipped")
    (tmp_path / "c.txt.gz").write_bytes(gzip.compress(b"gzipped"))
    files.extract_archive(tmp_path / "good.zip", tmp_path / "out", remove_finished=True)
    files.extract_archive(tmp_path / "c.txt.gz")
    assert (tmp_path / "out" / "a" / "b.txt").read_text() == "zipped" and not (tmp_path / "good.zip").exists()
    assert (tmp_path / "c.txt").read_text() == "gzipped"
    (tmp_path / "bad.gz").write_bytes(b"\x1f\x8b no")
    (tmp_path / "bad.rar").write_bytes(b"rar")
    for name, message in (("bad.gz", "damaged archive"), ("bad.rar", "expected a .tar")):
        with pytest.raises(datasets.DatasetError, match=message):
            files.extract_archive(tmp_path / name)


# The real files


@pytest.mark.skipif(not (SHARED / "mnist10k").is_dir(), reason="the MNIST files are not on this machine")
def test_real_mnist():
    images = datasets.read_idx(SHARED / "mnist10k" / "t10k-images-idx3-ubyte.gz")
    labels = datasets.read_idx(SHARED / "mnist10k" / "t10k-labels-idx1-ubyte.gz")
    assert images.shape == (1000, 28, 28) and labels.shape == (1000,) and set(labels.tolist()) == set(range(10))
    assert 0.1 < images.mean() / 255 < 0.16  # the published mean is 0.1307
