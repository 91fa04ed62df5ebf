"""Regions of interest: a part of a feature map, resampled to a fixed size."""
from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from minitorch import as_tensor, cat, nn, stack
from minitorch.tensor import Tensor


def roi_align(input: Tensor, boxes, output_size, spatial_scale: float = 1.0, sampling_ratio: int = -1,
              aligned: bool = False) -> Tensor:
    """Mean of bilinear samples in each cell of a grid of `output_size` over each box (He et al., arXiv:1703.06870).

    `input` is (N, C, H, W); `boxes` (K, 5) has rows (image, x1, y1, x2, y2), or is a list of (L, 4), one an image.
    Coordinates are multiplied by `spatial_scale`; `aligned` shifts them by half a pixel, to pixel centres. A cell has
    `sampling_ratio` squared samples, or if that is not positive as many as it has pixels, rounded up. The result is
    (K, C, height, width), differentiable with regard to `input`.
    """
    rois = _rois("roi_align", input, boxes)
    height, width = _pair(output_size)
    parts = []
    for image, *box in rois:
        x1, y1, x2, y2 = (side * spatial_scale - (0.5 if aligned else 0.0) for side in box)
        box_width, box_height = x2 - x1, y2 - y1
        if not aligned:
            box_width, box_height = max(box_width, 1.0), max(box_height, 1.0)
        down = _averaging(y1, box_height, height, input.shape[2], sampling_ratio)
        across = _averaging(x1, box_width, width, input.shape[3], sampling_ratio)
        down, across = (as_tensor(matrix, dtype=input.dtype, device=input.device) for matrix in (down, across))
        parts.append(down @ input[int(image)] @ across.T)
    return stack(parts, 0) if parts else input.new_zeros((0, input.shape[1], height, width))


def roi_pool(input: Tensor, boxes, output_size, spatial_scale: float = 1.0) -> Tensor:
    """Maximum in each cell of a grid of `output_size` over each box, with whole pixels (Girshick, arXiv:1504.08083).

    Arguments are as in `roi_align`; an empty cell gives 0.
    """
    rois = _rois("roi_pool", input, boxes)
    height, width = _pair(output_size)
    parts = []
    for image, *box in rois:
        x1, y1, x2, y2 = (_rounded(side * spatial_scale) for side in box)
        rows = _cells(y1, max(y2 - y1 + 1, 1), height, input.shape[2])
        columns = _cells(x1, max(x2 - x1 + 1, 1), width, input.shape[3])
        features = input[int(image)]
        cells = [features[:, top:bottom, left:right].amax(dim=(1, 2)) if top < bottom and left < right
                 else features.new_zeros(len(features)) for top, bottom in rows for left, right in columns]
        parts.append(stack(cells, 1).reshape(-1, height, width))
    return stack(parts, 0) if parts else input.new_zeros((0, input.shape[1], height, width))


class RoIAlign(nn.Module):
    """`roi_align` as a layer."""

    def __init__(self, output_size, spatial_scale: float, sampling_ratio: int, aligned: bool = False):
        super().__init__()
        self.output_size = output_size
        self.spatial_scale = spatial_scale
        self.sampling_ratio = sampling_ratio
        self.aligned = aligned

    def forward(self, input: Tensor, rois) -> Tensor:
        return roi_align(input, rois, self.output_size, self.spatial_scale, self.sampling_ratio, self.aligned)

    def extra_repr(self) -> str:
        return (f"output_size={self.output_size}, spatial_scale={self.spatial_scale}, "
                f"sampling_ratio={self.sampling_ratio}, aligned={self.aligned}")


class RoIPool(nn.Module):
    """`roi_pool` as a layer."""

    def __init__(self, output_size, spatial_scale: float):
        super().__init__()
        self.output_size = output_size
        self.spatial_scale = spatial_scale

    def forward(self, input: Tensor, rois) -> Tensor:
        return roi_pool(input, rois, self.output_size, self.spatial_scale)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}, spatial_scale={self.spatial_scale}"


def _averaging(start, length, cells, size, sampling_ratio):
    """(cells, size): row i holds the weights of the pixels in cell i, since sampling and mean are both linear.

    A sample beyond -1 or `size` is 0; within one pixel of the border it is the border pixel.
    """
    samples = sampling_ratio if sampling_ratio > 0 else math.ceil(length / cells)
    weights = np.zeros((cells, size))
    if samples < 1:
        return weights
    at = start + (np.arange(cells)[:, None] + (np.arange(samples) + 0.5) / samples) * (length / cells)
    inside = (at >= -1.0) & (at <= size)
    at = np.clip(at, 0, size - 1)
    low = np.floor(at).astype(np.int64)
    share = at - low
    rows = np.broadcast_to(np.arange(cells)[:, None], at.shape)
    np.add.at(weights, (rows, low), (1 - share) * inside)
    np.add.at(weights, (rows, np.minimum(low + 1, size - 1)), share * inside)
    return weights / samples


def _cells(start, length, cells, size):
    """The (first, end) pixel of each cell."""
    step = length / cells
    edges = [(start + math.floor(i * step), start + math.ceil((i + 1) * step)) for i in range(cells)]
    return [(min(max(first, 0), size), min(max(end, 0), size)) for first, end in edges]


def _rounded(value):
    """To the nearest integer, halves away from zero, as C's `round`."""
    return int(math.copysign(math.floor(abs(value) + 0.5), value))


def _rois(name, input, boxes):
    """Rows (image, x1, y1, x2, y2) as lists."""
    if input.ndim != 4:
        raise RuntimeError(f"{name}: expected input (N, C, H, W), got shape {tuple(input.shape)}")
    if not isinstance(boxes, Tensor):
        columns = [cat([part.new_full((len(part), 1), i), part], 1) for i, part in enumerate(boxes)]
        boxes = cat(columns, 0) if columns else input.new_zeros((0, 5))
    if boxes.ndim != 2 or boxes.shape[1] != 5:
        raise RuntimeError(f"{name}: expected boxes (K, 5) or a list of (L, 4), got shape {tuple(boxes.shape)}")
    return boxes.detach().tolist()


def _pair(size):
    return tuple(size) if isinstance(size, Sequence) else (size, size)
