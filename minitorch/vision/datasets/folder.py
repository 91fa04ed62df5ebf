"""Images in folders, one folder a class: root/cat/1.png, root/dog/2.png."""
from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from minitorch.vision.datasets.vision import VisionDataset
from minitorch.vision.pillow import pil

IMG_EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")


class DatasetFolder(VisionDataset):
    """Files below one folder a class; a sample is what `loader` makes of the path, and the class index.

    A file belongs if its name ends with one of `extensions`, or `is_valid_file(path)` says so. `samples` lists
    (path, class index) by class, then by path; `classes`, `class_to_idx` and `targets` are as in torchvision.

    Raises FileNotFoundError where there are no class folders, or one without files (unless `allow_empty`).
    """

    def __init__(
        self,
        root,
        loader: Callable[[str], Any],
        extensions: tuple[str, ...] | None = None,
        transform=None,
        target_transform=None,
        is_valid_file: Callable[[str], bool] | None = None,
        allow_empty: bool = False,
    ):
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.loader = loader
        self.extensions = extensions
        self.classes, self.class_to_idx = self.find_classes(self.root)
        self.samples = self.make_dataset(self.root, self.class_to_idx, extensions, is_valid_file, allow_empty)
        self.targets = [target for _, target in self.samples]

    @staticmethod
    def find_classes(directory) -> tuple[list[str], dict[str, int]]:
        """The sorted names of the folders in `directory`, and their numbers."""
        return find_classes(directory)

    @staticmethod
    def make_dataset(directory, class_to_idx, extensions=None, is_valid_file=None, allow_empty=False):
        """The list of (path, class index). See `DatasetFolder`."""
        return make_dataset(directory, class_to_idx, extensions, is_valid_file, allow_empty)

    def __getitem__(self, index):
        path, target = self.samples[index]
        return self._transformed(self.loader(path), target)

    def __len__(self):
        return len(self.samples)


class ImageFolder(DatasetFolder):
    """Images below one folder a class, as PIL images in RGB. See `DatasetFolder`."""

    def __init__(
        self, root, transform=None, target_transform=None, loader=None, is_valid_file=None, allow_empty=False
    ):
        extensions = IMG_EXTENSIONS if is_valid_file is None else None
        loader = default_loader if loader is None else loader
        super().__init__(root, loader, extensions, transform, target_transform, is_valid_file, allow_empty)
        self.imgs = self.samples


def default_loader(path: str):
    """Read an image file as a PIL image in RGB."""
    with open(path, "rb") as file:
        return pil("reading an image file").Image.open(file).convert("RGB")


pil_loader = default_loader


def has_file_allowed_extension(filename: str, extensions: str | tuple[str, ...]) -> bool:
    """Whether `filename` ends with one of `extensions`, in upper or lower case."""
    return filename.lower().endswith(extensions if isinstance(extensions, str) else tuple(extensions))


def is_image_file(filename: str) -> bool:
    """Whether `filename` has the extension of an image format."""
    return has_file_allowed_extension(filename, IMG_EXTENSIONS)


def find_classes(directory) -> tuple[list[str], dict[str, int]]:
    """The sorted names of the folders in `directory`, and their numbers. Raises FileNotFoundError without any."""
    classes = sorted(entry.name for entry in os.scandir(directory) if entry.is_dir())
    if not classes:
        raise FileNotFoundError(f"Couldn't find any class folder in {directory}.")
    return classes, {name: i for i, name in enumerate(classes)}


def make_dataset(directory, class_to_idx=None, extensions=None, is_valid_file=None, allow_empty=False):
    """The list of (path, class index) of the files that belong. See `DatasetFolder`."""
    if (extensions is None) == (is_valid_file is None):
        raise ValueError("make_dataset: Both extensions and is_valid_file cannot be None or not None at the same time")
    if class_to_idx is None:
        _, class_to_idx = find_classes(directory)
    belongs = is_valid_file or (lambda path: has_file_allowed_extension(path, extensions))
    samples, empty = [], []
    for name in sorted(class_to_idx):
        paths = [
            os.path.join(folder, file)
            for folder, _, files in sorted(os.walk(os.path.join(directory, name), followlinks=True))
            for file in sorted(files)
        ]
        found = [(path, class_to_idx[name]) for path in paths if belongs(path)]
        samples += found
        if not found:
            empty.append(name)
    if empty and not allow_empty:
        supported = f" Supported extensions are: {', '.join(extensions)}" if extensions else ""
        raise FileNotFoundError(f"Found no valid file for the classes {', '.join(empty)} in {directory}.{supported}")
    return samples
