"""Boxes in images: (x1, y1, x2, y2) with the origin at the top left, unless said otherwise."""
from __future__ import annotations

import math

import numpy as np

from minitorch import as_tensor, atan, maximum, minimum, no_grad, stack, zeros
from minitorch.tensor import Tensor

FORMATS = ("xyxy", "xywh", "cxcywh")


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """Non-maximum suppression: the int64 indices of the boxes (N, 4) that overlap none with a higher score by more
    than `iou_threshold`, in descending order of `scores` (N,).

    >>> from minitorch import tensor
    >>> nms(tensor([[0.0, 0, 2, 2], [0, 0, 2, 2.1], [5, 5, 6, 6]]), tensor([0.8, 0.9, 0.1]), 0.5)
    tensor([1, 2])
    """
    _check_boxes("nms", boxes)
    if scores.ndim != 1 or len(scores) != len(boxes):
        raise RuntimeError(f"nms: boxes and scores should have the same number of elements, got {len(boxes)} boxes "
                           f"and scores of shape {tuple(scores.shape)}")
    corners = boxes.detach().cpu().numpy()
    areas = (corners[:, 2] - corners[:, 0]) * (corners[:, 3] - corners[:, 1])
    order = scores.detach().sort(descending=True, stable=True)[1].cpu().numpy()
    kept = []
    while order.size:
        best, order = order[0], order[1:]
        kept.append(best)
        sides = (np.minimum(corners[best, 2:], corners[order, 2:]) - np.maximum(corners[best, :2], corners[order, :2]))
        common = np.maximum(sides, 0).prod(axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            overlap = common / (areas[best] + areas[order] - common)
        order = order[~(overlap > iou_threshold)]
    return as_tensor(np.array(kept, np.int64), device=boxes.device)


def batched_nms(boxes: Tensor, scores: Tensor, idxs: Tensor, iou_threshold: float) -> Tensor:
    """`nms` for each category of `idxs` (N,) by itself."""
    _check_boxes("batched_nms", boxes)
    kept = []
    for category in np.unique(idxs.cpu().numpy()):
        members = idxs.eq(int(category)).nonzero().reshape(-1)
        kept.append(members[nms(boxes[members], scores[members], iou_threshold)].cpu().numpy())
    indices = as_tensor(np.concatenate(kept) if kept else np.zeros(0, np.int64), device=boxes.device)
    return indices[scores[indices].sort(descending=True)[1]]


def remove_small_boxes(boxes: Tensor, min_size: float) -> Tensor:
    """The indices of the boxes of which both sides are at least `min_size`."""
    sides = boxes[:, 2:] - boxes[:, :2]
    return (sides >= min_size).all(dim=1).nonzero().reshape(-1)


def clip_boxes_to_image(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Boxes (..., 4) cut off at the borders of an image of `size` (height, width)."""
    height, width = size
    x, y = boxes[..., 0::2].clamp(0, width), boxes[..., 1::2].clamp(0, height)
    return stack([x, y], boxes.ndim).reshape(boxes.shape)


def box_convert(boxes: Tensor, in_fmt: str, out_fmt: str) -> Tensor:
    """Boxes (..., 4) from one format to another: "xyxy" (corners), "xywh" (corner, width, height) or "cxcywh"
    (centre, width, height). Raises ValueError for other formats.

    >>> from minitorch import tensor
    >>> box_convert(tensor([[1.0, 2.0, 3.0, 6.0]]), "xyxy", "cxcywh")
    tensor([[2., 4., 2., 4.]])
    """
    for fmt in (in_fmt, out_fmt):
        if fmt not in FORMATS:
            raise ValueError(f"box_convert: Unsupported Bounding Box Conversions for given in_fmt {in_fmt} and out_fmt "
                             f"{out_fmt}: expected two of {FORMATS}")
    if in_fmt == out_fmt:
        return boxes.clone()
    x1, y1, x2, y2 = boxes.unbind(-1) if in_fmt == "xyxy" else _corners(boxes, in_fmt)
    if out_fmt == "xyxy":
        return stack([x1, y1, x2, y2], -1)
    if out_fmt == "xywh":
        return stack([x1, y1, x2 - x1, y2 - y1], -1)
    return stack([(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1], -1)


def box_area(boxes: Tensor, fmt: str = "xyxy") -> Tensor:
    """The areas (...) of boxes (..., 4)."""
    if fmt not in FORMATS:
        raise ValueError(f"box_area: Unsupported Bounding Box area for given format {fmt}: expected one of {FORMATS}")
    a, b, c, d = _wide(boxes).unbind(-1)
    return (c - a) * (d - b) if fmt == "xyxy" else c * d


def box_iou(boxes1: Tensor, boxes2: Tensor, fmt: str = "xyxy") -> Tensor:
    """Intersection over union (..., N, M) of each of the boxes (..., N, 4) with each of (..., M, 4).

    >>> from minitorch import tensor
    >>> box_iou(tensor([[0.0, 0, 2, 2]]), tensor([[1.0, 0, 3, 2]]))
    tensor([[0.3333]])
    """
    if fmt not in FORMATS:
        raise ValueError(f"box_iou: Unsupported format '{fmt}': expected one of {FORMATS}")
    if fmt != "xyxy":
        boxes1, boxes2 = box_convert(boxes1, fmt, "xyxy"), box_convert(boxes2, fmt, "xyxy")
    common, union = _inter_union(boxes1[..., :, None, :], boxes2[..., None, :, :])
    return common / union


def generalized_box_iou(boxes1: Tensor, boxes2: Tensor) -> Tensor:
    """GIoU (..., N, M): IoU less the empty share of the smallest box around both (arXiv:1902.09630)."""
    first, second = boxes1[..., :, None, :], boxes2[..., None, :, :]
    common, union = _inter_union(first, second)
    hull = box_area(_hull(first, second))
    return common / union - (hull - union) / hull


def distance_box_iou(boxes1: Tensor, boxes2: Tensor, eps: float = 1e-7) -> Tensor:
    """DIoU (..., N, M): IoU less the squared distance of the centres over the squared diagonal of the smallest box
    around both (arXiv:1911.08287)."""
    first, second = _wide(boxes1)[..., :, None, :], _wide(boxes2)[..., None, :, :]
    common, union = _inter_union(first, second)
    return common / union - distance_penalty(first, second, eps)


def complete_box_iou(boxes1: Tensor, boxes2: Tensor, eps: float = 1e-7) -> Tensor:
    """CIoU (..., N, M): DIoU less a penalty for another aspect ratio (arXiv:1911.08287)."""
    first, second = _wide(boxes1)[..., :, None, :], _wide(boxes2)[..., None, :, :]
    common, union = _inter_union(first, second)
    iou = common / union
    return iou - distance_penalty(first, second, eps) - aspect_penalty(first, second, iou, eps)


def masks_to_boxes(masks: Tensor) -> Tensor:
    """The smallest boxes (N, 4) around the non-zero pixels of masks (N, H, W); an empty mask gives zeros."""
    if masks.numel() == 0:
        return zeros(0, 4, dtype=as_tensor(0.0).dtype, device=masks.device)
    boxes = np.zeros((len(masks), 4), np.float32)
    for box, mask in zip(boxes, masks.cpu().numpy()):
        rows, columns = np.nonzero(mask)
        if rows.size:
            box[:] = columns.min(), rows.min(), columns.max(), rows.max()
    return as_tensor(boxes, device=masks.device)


# What the losses use too


def distance_penalty(first: Tensor, second: Tensor, eps: float) -> Tensor:
    """The squared distance of the centres over the squared diagonal of the hull."""
    hull = _hull(first, second)
    diagonal = ((hull[..., 2:] - hull[..., :2]) ** 2).sum(-1) + eps
    return ((_centers(first) - _centers(second)) ** 2).sum(-1) / diagonal


def aspect_penalty(first: Tensor, second: Tensor, iou: Tensor, eps: float) -> Tensor:
    """v * alpha of arXiv:1911.08287, equations 8 to 11; alpha takes no gradient."""
    v = (4 / math.pi**2) * (_angle(second) - _angle(first)) ** 2
    with no_grad():
        alpha = v / (1 - iou + v + eps)
    return alpha * v


def _inter_union(first, second):
    """The areas of intersection and union of boxes (..., 4) that broadcast against each other."""
    sides = minimum(first[..., 2:], second[..., 2:]) - maximum(first[..., :2], second[..., :2])
    common = _wide(sides).clamp(min=0).prod(-1)
    return common, box_area(first) + box_area(second) - common


def _hull(first, second):
    from minitorch import cat

    return cat([minimum(first[..., :2], second[..., :2]), maximum(first[..., 2:], second[..., 2:])], -1)


def _centers(boxes):
    return (boxes[..., :2] + boxes[..., 2:]) / 2


def _angle(boxes):
    return atan((boxes[..., 2] - boxes[..., 0]) / (boxes[..., 3] - boxes[..., 1]))


def _corners(boxes, fmt):
    x, y, width, height = boxes.unbind(-1)
    if fmt == "cxcywh":
        x, y = x - 0.5 * width, y - 0.5 * height
    return x, y, x + width, y + height


def _wide(values):
    """In a type that products of coordinates fit: float32 at least, or int64."""
    if values.is_floating_point():
        return values if values.element_size() >= 4 else values.float()
    return values if values.element_size() >= 4 else values.int()


def _check_boxes(name, boxes):
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise RuntimeError(f"{name}: boxes should be a 2d tensor of shape (N, 4), got {tuple(boxes.shape)}")
