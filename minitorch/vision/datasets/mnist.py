"""MNIST and its relatives, and the IDX format that they come in."""
from __future__ import annotations

import gzip
import math
import os
import string
import zlib
from pathlib import Path
from typing import ClassVar

import numpy as np

from minitorch.tensor import Tensor
from minitorch.vision.datasets.utils import DatasetError, download_from_mirrors, extract_archive, verify_str_arg
from minitorch.vision.datasets.vision import ImageArrayDataset

_IDX_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def read_idx(path) -> np.ndarray:
    """Read an IDX file, plain or compressed by gzip: the array that its header describes.

    The header is two zero bytes, a type code, the number of dimensions, and each dimension as a big-endian uint32
    (Y. LeCun, C. Cortes, C. Burges, "The MNIST database"). Raises DatasetError where the file does not fit it.
    """
    content = _read_bytes(path)
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in _IDX_TYPES:
        raise DatasetError(f"{path}: expected an IDX header (0, 0, type code, dimensions), got {content[:4].hex(' ')}")
    dtype, ndim = np.dtype(_IDX_TYPES[content[2]]), content[3]
    start = 4 + 4 * ndim
    shape = tuple(int(size) for size in np.frombuffer(content[4 : min(start, len(content) & ~3)], ">u4"))
    expected = start + math.prod(shape) * dtype.itemsize
    if len(shape) != ndim or len(content) != expected:
        raise DatasetError(
            f"{path}: expected {expected} bytes for dimensions {shape} of {dtype.name}, got {len(content)} bytes"
        )
    return np.frombuffer(content, dtype, offset=start).reshape(shape).astype(dtype.newbyteorder("="))


class MNIST(ImageArrayDataset):
    """70,000 handwritten digits, 28x28: 60,000 for training, 10,000 for testing.

    `data` (N, 28, 28) and `targets` (N,) are tensors. The four IDX files, plain or .gz, are looked for in
    `root`/MNIST/raw, `root`/MNIST and `root`. `download=True` fetches those that are missing; files that are there
    are used as they are, whatever their size.

    Raises DatasetError (a RuntimeError) where files are missing, damaged or cannot be downloaded.
    """

    mirrors: tuple[str, ...] = ("https://ossci-datasets.s3.amazonaws.com/mnist/", "http://yann.lecun.com/exdb/mnist/")
    resources = (
        ("train-images-idx3-ubyte.gz", "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
        ("train-labels-idx1-ubyte.gz", "d53e105ee54ea40749a09fcbcd1e9432"),
        ("t10k-images-idx3-ubyte.gz", "9fb629c4189551a2d022fa330f9573f3"),
        ("t10k-labels-idx1-ubyte.gz", "ec29112dd5afa0611ce80d1b7f02629c"),
    )
    classes: ClassVar[list[str]] = [
        "0 - zero", "1 - one", "2 - two", "3 - three", "4 - four",
        "5 - five", "6 - six", "7 - seven", "8 - eight", "9 - nine",
    ]  # fmt: skip
    _flat = True  # files of the usual names directly in `root` are this dataset's

    def __init__(self, root, train=True, transform=None, target_transform=None, download=False):
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.train = train
        if download:
            self.download()
        self.data, self.targets = self._load()

    def download(self):
        """Fetch the files that are missing into `root`/<class name>/raw."""
        for name, md5 in self.resources:
            if self._find(name) is None:
                urls = [mirror + name for mirror in self.mirrors]
                download_from_mirrors(urls, self.raw_folder, name, md5, self._advice())

    train_data = test_data = property(lambda self: self.data, doc="An old name of `data`.")
    train_labels = test_labels = property(lambda self: self.targets, doc="An old name of `targets`.")

    @property
    def raw_folder(self) -> str:
        return os.path.join(self.root, type(self).__name__, "raw")

    def extra_repr(self):
        return f"Split: {'Train' if self.train else 'Test'}"

    def _load(self):
        import minitorch

        images_path, labels_path = (self._path(f"{self._part()}-{kind}-ubyte.gz")
                                    for kind in ("images-idx3", "labels-idx1"))
        images, labels = read_idx(images_path), read_idx(labels_path)
        if images.ndim != 3 or images.dtype != np.uint8:
            raise DatasetError(f"{images_path}: expected uint8 images (N, H, W), got {images.dtype} {images.shape}")
        if labels.shape != images.shape[:1]:
            raise DatasetError(
                f"{labels_path}: expected labels of shape ({len(images)},) for the images of {images_path}, "
                f"got {labels.shape}"
            )
        if labels.size and labels.max() >= len(self.classes):
            raise DatasetError(f"{labels_path}: expected labels below {len(self.classes)}, got {labels.max()}")
        return minitorch.from_numpy(images), minitorch.from_numpy(labels.astype(np.int64))

    def _part(self):
        return "train" if self.train else "t10k"

    def _path(self, name):
        path = self._find(name)
        if path is None:
            raise DatasetError(
                f"{type(self).__name__}: Dataset not found. You can use download=True to download it. "
                f"{name} is missing. {self._advice()}"
            )
        return path

    def _find(self, name):
        """The file `name`, compressed or not, where somebody may have put it."""
        own = Path(self.root) / type(self).__name__
        plain = name.removesuffix(".gz")
        for folder in [own / "raw", own] + ([Path(self.root)] if self._flat else []):
            for candidate in (plain, name, plain.replace("-idx", ".idx")):
                if (folder / candidate).is_file():
                    return folder / candidate
        return None

    def _advice(self):
        names = ", ".join(name for name, _ in self.resources)
        return f"Place these files, as .gz or unpacked, in {self.raw_folder}: {names}"


class FashionMNIST(MNIST):
    """Zalando's 70,000 pictures of clothes in MNIST's format; files in `root`/FashionMNIST/raw."""

    mirrors = ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",)
    resources = (
        ("train-images-idx3-ubyte.gz", "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
        ("train-labels-idx1-ubyte.gz", "25c81989df183df01b3e8a0aad5dffbe"),
        ("t10k-images-idx3-ubyte.gz", "bef4ecab320f06d8554ea6380940ec79"),
        ("t10k-labels-idx1-ubyte.gz", "bb300cfdad3c16e7a12a480ee83cd310"),
    )
    classes: ClassVar[list[str]] = [
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
        "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
    ]  # fmt: skip
    _flat = False


class KMNIST(MNIST):
    """70,000 cursive Japanese characters in MNIST's format; files in `root`/KMNIST/raw."""

    mirrors = ("http://codh.rois.ac.jp/kmnist/dataset/kmnist/",)
    resources = (
        ("train-images-idx3-ubyte.gz", "bdb82020997e1d708af4cf47b453dcf7"),
        ("train-labels-idx1-ubyte.gz", "e144d726b3acfaa3e44228e80efcd344"),
        ("t10k-images-idx3-ubyte.gz", "5c965bf0a639b31b8f53240b1b52f4d7"),
        ("t10k-labels-idx1-ubyte.gz", "7320c461ea6c1c855c0b718fb2a4b134"),
    )
    classes: ClassVar[list[str]] = ["o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"]
    _flat = False


class EMNIST(MNIST):
    """Letters and digits in MNIST's format, transposed as published; files in `root`/EMNIST/raw.

    `split` is "byclass" (62 classes), "bymerge" (47), "balanced" (47), "letters" (26, from 1), "digits" or "mnist"
    (G. Cohen et al., arXiv:1702.05373). Only the files of the split are needed.
    """

    url = "https://biometrics.nist.gov/cs_links/EMNIST/gzip.zip"
    md5 = "58c8d27c78d21e728a6bc7b3cc06412e"
    _alike = frozenset("cijklmopsuvwxyz")  # the capital and the small letter are one class
    classes_split_dict: ClassVar[dict[str, list[str]]] = {
        "byclass": sorted(string.digits + string.ascii_letters),
        "bymerge": sorted(set(string.digits + string.ascii_letters) - _alike),
        "balanced": sorted(set(string.digits + string.ascii_letters) - _alike),
        "letters": ["N/A", *string.ascii_lowercase],
        "digits": list(string.digits),
        "mnist": list(string.digits),
    }
    splits = tuple(classes_split_dict)
    _flat = False

    def __init__(self, root, split, **kwargs):
        self.split = verify_str_arg(split, "split", self.splits)
        self.classes = self.classes_split_dict[split]  # type: ignore[misc]
        super().__init__(root, **kwargs)

    def download(self):
        """Fetch the archive of all splits and unpack it into `root`/EMNIST/raw, unless the files of the split are
        there."""
        if any(self._find(name) is None for name, _ in self.resources):
            archive = download_from_mirrors([self.url], self.raw_folder, "gzip.zip", self.md5, self._advice())
            extract_archive(archive, self.raw_folder)

    @property
    def resources(self):
        return [(f"emnist-{self.split}-{part}-{kind}-ubyte.gz", None)
                for part in ("train", "test") for kind in ("images-idx3", "labels-idx1")]

    def _part(self):
        return f"emnist-{self.split}-{'train' if self.train else 'test'}"

    def _find(self, name):
        packed = Path(self.raw_folder) / "gzip" / name  # where the archive puts it
        return packed if packed.is_file() else super()._find(name)


def read_image_file(path) -> Tensor:
    """The uint8 tensor (N, H, W) of an IDX file."""
    from minitorch import from_numpy

    return from_numpy(read_idx(path))


def read_label_file(path) -> Tensor:
    """The int64 tensor (N,) of an IDX file."""
    from minitorch import from_numpy

    return from_numpy(read_idx(path).astype(np.int64))


def _read_bytes(path):
    content = Path(path).read_bytes()
    if content[:2] != b"\x1f\x8b":
        return content
    try:
        return gzip.decompress(content)
    except (EOFError, OSError, zlib.error) as error:
        message = f"{path}: expected a gzip file, got a damaged one of {len(content)} bytes: {error}"
        raise DatasetError(message) from error
