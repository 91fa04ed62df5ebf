"""Boxes, masks and points drawn on tensor images."""
from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from minitorch import as_tensor, uint8
from minitorch.tensor import Tensor
from minitorch.vision.pillow import pil
from minitorch.vision.transforms.functional import convert_image_dtype, pil_to_tensor, to_pil_image


def draw_bounding_boxes(image: Tensor, boxes: Tensor, labels: list[str] | None = None, colors: Any = None,
                        fill: bool | None = False, width: int = 1, font: str | None = None,
                        font_size: int | None = None, label_colors: Any = None, label_background_colors: Any = None,
                        fill_labels: bool = False) -> Tensor:
    """An image (3, H, W) or (1, H, W) with boxes (N, 4) of (xmin, ymin, xmax, ymax) drawn on it.

    Colours are names ("red", "#FF00FF") or (red, green, blue) from 0 to 255: one for all, or a list; by default a
    palette. `fill` paints the boxes half transparent, `fill_labels` the background of the `labels`. `font` is a
    TrueType file.
    """
    if not isinstance(image, Tensor):
        raise TypeError(f"draw_bounding_boxes: Tensor expected, got {type(image)}")
    _check_image("draw_bounding_boxes", image, (1, 3))
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(f"draw_bounding_boxes: expected boxes (N, 4), got {tuple(boxes.shape)}")
    if len(boxes) == 0:
        warnings.warn("boxes doesn't contain any box. No box was drawn", stacklevel=2)
        return image
    if (boxes[:, 0] > boxes[:, 2]).any() or (boxes[:, 1] > boxes[:, 3]).any():
        raise ValueError("Boxes need to be in (xmin, ymin, xmax, ymax) format. Use torchvision.ops.box_convert to "
                         "convert them")
    if labels is not None and len(labels) != len(boxes):
        raise ValueError(f"Number of boxes ({len(boxes)}) and labels ({len(labels)}) mismatch. Please specify labels "
                         "for each box.")
    count = len(boxes)
    lines = _colors(colors, count)
    texts = _colors(label_colors or "black", count) if label_colors or fill_labels else lines
    grounds = _colors(label_background_colors, count) if fill_labels and label_background_colors else lines
    lettering = _font(font, font_size)
    canvas = to_pil_image(_as_bytes(image.expand(3, -1, -1) if len(image) == 1 else image))
    draw = _draw_module().Draw(canvas, "RGBA" if fill else None)
    for i, box in enumerate(boxes.long().tolist()):
        draw.rectangle(box, width=width, outline=lines[i], fill=(*lines[i], 100) if fill else None)
        if labels is not None and labels[i] is not None:
            at = (box[0] + width + 1, box[1] + width + 1)
            if fill_labels:
                left, top, right, bottom = draw.textbbox(at, labels[i], font=lettering)
                draw.rectangle((left - 1, top - 1, right + 1, bottom + 1), fill=grounds[i])
            draw.text(at, labels[i], fill=texts[i], font=lettering)
    return convert_image_dtype(pil_to_tensor(canvas), image.dtype)


def draw_segmentation_masks(image: Tensor, masks: Tensor, alpha: float = 0.8, colors: Any = None) -> Tensor:
    """An image (3, H, W) with boolean masks (N, H, W) or (H, W) painted over it, each in its colour.

    `alpha` is the share of the paint, 1 for none of the image; where masks overlap the paint is black. Colours are as
    for `draw_bounding_boxes`.
    """
    if not isinstance(image, Tensor):
        raise TypeError(f"draw_segmentation_masks: The image must be a tensor, got {type(image)}")
    _check_image("draw_segmentation_masks", image, (3,))
    masks = masks[None] if masks.ndim == 2 else masks
    if masks.ndim != 3:
        raise ValueError("masks must be of shape (H, W) or (batch_size, H, W)")
    if str(masks.dtype).rpartition(".")[2] != "bool":
        raise ValueError(f"The masks must be of dtype bool. Got {masks.dtype}")
    if masks.shape[1:] != image.shape[1:]:
        raise ValueError("The image and the masks must have the same height and width")
    if len(masks) == 0:
        warnings.warn("masks doesn't contain any mask. No mask was drawn", stacklevel=2)
        return image
    unit = 255 if image.is_floating_point() else 1
    paint = image.detach().cpu().numpy().copy()
    covers = masks.cpu().numpy()
    for cover, color in zip(covers, _colors(colors, len(masks))):
        paint[:, cover] = np.array(color).reshape(-1, 1) / unit
    paint[:, covers.sum(axis=0) > 1] = 0
    return (image.detach() * (1 - alpha) + as_tensor(paint, device=image.device) * alpha).to(image.dtype)


def draw_keypoints(image: Tensor, keypoints: Tensor, connectivity: list[tuple[int, int]] | None = None,
                   colors: Any = None, radius: int = 2, width: int = 3, visibility: Tensor | None = None) -> Tensor:
    """An image (3, H, W) with points (N, K, 2) of (x, y) drawn on it, and lines between the pairs `connectivity` of
    each of the N; `visibility` (N, K) says which points are seen."""
    if not isinstance(image, Tensor):
        raise TypeError(f"draw_keypoints: The image must be a tensor, got {type(image)}")
    _check_image("draw_keypoints", image, (3,))
    if keypoints.ndim != 3:
        raise ValueError("keypoints must be of shape (num_instances, K, 2)")
    seen = np.ones(tuple(keypoints.shape[:2]), bool) if visibility is None else visibility.cpu().numpy().astype(bool)
    seen = seen[..., 0] if seen.ndim == 3 else seen
    if seen.shape != tuple(keypoints.shape[:2]):
        raise ValueError("keypoints and visibility must have the same dimensionality for num_instances and K. Got "
                         f"{tuple(seen.shape)} and {tuple(keypoints.shape)}")
    canvas = to_pil_image(_as_bytes(image))
    draw = _draw_module().Draw(canvas)
    for points, visible in zip(keypoints.long().tolist(), seen):
        for (x, y), shown in zip(points, visible):
            if shown:
                draw.ellipse([x - radius, y - radius, x + radius, y + radius], fill=colors, outline=None, width=0)
        for first, second in connectivity or ():
            if visible[first] and visible[second]:
                draw.line((tuple(points[first]), tuple(points[second])), width=width)
    return convert_image_dtype(pil_to_tensor(canvas), image.dtype)


def _check_image(name, image, channels):
    if image.dtype != uint8 and not image.is_floating_point():
        raise ValueError(f"{name}: The image dtype must be uint8 or float, got {image.dtype}")
    if image.ndim != 3:
        raise ValueError(f"{name}: Pass individual images, not batches: expected (C, H, W), got {tuple(image.shape)}")
    if image.shape[0] not in channels:
        raise ValueError(f"{name}: Pass an RGB image{' or a grey one' if 1 in channels else ''}. Other Image formats "
                         f"are not supported: got {image.shape[0]} channels")


def _as_bytes(image):
    return convert_image_dtype(image.detach(), uint8)


def _draw_module():
    pil("drawing on an image")
    import PIL.ImageDraw

    return PIL.ImageDraw


def _font(font, size):
    import PIL.ImageFont

    if font is not None:
        return PIL.ImageFont.truetype(font=font, size=size or 10)
    if size is not None:
        warnings.warn("Argument 'font_size' will be ignored since 'font' is not set.", stacklevel=3)
    return PIL.ImageFont.load_default()


def _colors(colors, count):
    """`count` triplets from 0 to 255."""
    if colors is None:
        steps = (2**25 - 1, 2**15 - 1, 2**21 - 1)  # neighbours in the palette look different
        return [tuple(i * step % 255 for step in steps) for i in range(count)]
    if isinstance(colors, list):
        if len(colors) < count:
            raise ValueError("Number of colors must be equal or larger than the number of objects, but got "
                             f"{len(colors)} < {count}.")
    elif not isinstance(colors, (tuple, str)):
        raise ValueError(f"colors must be a tuple or a string, or a list thereof, but got {colors}.")
    elif isinstance(colors, tuple) and len(colors) != 3:
        raise ValueError(f"If passed as tuple, colors should be an RGB triplet, but got {colors}.")
    else:
        colors = [colors] * count
    pil("drawing on an image")
    import PIL.ImageColor

    return [PIL.ImageColor.getrgb(color) if isinstance(color, str) else color for color in colors]
