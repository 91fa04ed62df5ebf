"""Random images, for trying a pipeline without data."""
from __future__ import annotations

from minitorch.vision.datasets.vision import VisionDataset


class FakeData(VisionDataset):
    """`size` random PIL images of `image_size` (C, H, W) with random targets; sample i is always the same.

    Draws what torchvision draws, from a generator seeded by the index + `random_offset`.
    """

    def __init__(
        self,
        size: int = 1000,
        image_size: tuple[int, int, int] = (3, 224, 224),
        num_classes: int = 10,
        transform=None,
        target_transform=None,
        random_offset: int = 0,
    ):
        super().__init__(None, transform=transform, target_transform=target_transform)
        self.size = size
        self.image_size = image_size
        self.num_classes = num_classes
        self.random_offset = random_offset

    def __getitem__(self, index):
        import minitorch
        from minitorch.vision.transforms.functional import to_pil_image

        if not 0 <= index < self.size:
            raise IndexError(f"FakeData: index {index} is out of range for {self.size} images")
        generator = minitorch.Generator().manual_seed(index + self.random_offset)
        image = minitorch.randn(*self.image_size, generator=generator)
        target = minitorch.randint(0, self.num_classes, size=(1,), generator=generator)[0]
        return self._transformed(to_pil_image(image), target.item())

    def __len__(self):
        return self.size
