"""Street View House Numbers."""
from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np

from minitorch.vision.datasets.matlab import read_mat
from minitorch.vision.datasets.utils import DatasetError, download_from_mirrors, verify_str_arg
from minitorch.vision.datasets.vision import PlanarArrayDataset


class SVHN(PlanarArrayDataset):
    """Digits from photographs of house numbers, 32x32 in colour; `split` "train" (73,257), "test" (26,032) or "extra".

    `data` is a uint8 array (N, 3, 32, 32), `labels` an int64 array (N,). The MATLAB file of the split is looked for in
    `root`; `download=True` fetches it if it is missing.

    Raises DatasetError (a RuntimeError) where it is missing, damaged or cannot be downloaded.
    """

    split_list: ClassVar[dict[str, list[str]]] = {
        split: [f"http://ufldl.stanford.edu/housenumbers/{split}_32x32.mat", f"{split}_32x32.mat", md5]
        for split, md5 in (("train", "e26dedcc434d2e4c54c9b2d4a06d8373"), ("test", "eb5a983be6a315427106f1b164d9cef3"),
                           ("extra", "a93ce644f1a588dc4d68dda5feec44a7"))
    }
    classes: ClassVar[list[str]] = [str(digit) for digit in range(10)]

    def __init__(self, root, split="train", transform=None, target_transform=None, download=False):
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.split = verify_str_arg(split, "split", tuple(self.split_list))
        self.url, self.filename, self.file_md5 = self.split_list[split]
        if download:
            self.download()
        path = Path(self.root) / self.filename
        if not path.is_file():
            raise DatasetError("SVHN: Dataset not found or corrupted. You can use download=True to download it. "
                               f"{self._advice()}")
        arrays = read_mat(path)
        if "X" not in arrays or arrays["X"].ndim != 4 or arrays.get("y", np.zeros(0)).size != arrays["X"].shape[3]:
            raise DatasetError(f"{path}: expected arrays X (32, 32, 3, N) and y (N, 1), got "
                               f"{ {name: array.shape for name, array in arrays.items()} }")
        self.data = arrays["X"].transpose(3, 2, 0, 1)
        labels = arrays["y"].astype(np.int64).reshape(-1)
        self.labels = np.where(labels == 10, 0, labels)  # the files call the digit 0 ten

    def download(self) -> None:
        """Fetch the file of the split, unless it is there."""
        if not (Path(self.root) / self.filename).is_file():
            download_from_mirrors([self.url], self.root, self.filename, self.file_md5, self._advice())

    def extra_repr(self) -> str:
        return f"Split: {self.split}"

    def _advice(self):
        return f"Place {self.filename} in {self.root}"
