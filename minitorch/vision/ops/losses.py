"""Losses of detection."""
from __future__ import annotations

from minitorch import sigmoid
from minitorch.nn import functional as F
from minitorch.tensor import Tensor
from minitorch.vision.ops.boxes import _hull, _inter_union, _wide, aspect_penalty, box_area, distance_penalty


def sigmoid_focal_loss(inputs: Tensor, targets: Tensor, alpha: float = 0.25, gamma: float = 2,
                       reduction: str = "none") -> Tensor:
    """Binary cross entropy of the logits `inputs`, each element weighted by (1 - p of the truth)^gamma, and by
    `alpha` for the positive, 1 - alpha for the negative ones; alpha = -1: no such weight (arXiv:1708.02002).

    >>> from minitorch import tensor
    >>> sigmoid_focal_loss(tensor([0.0]), tensor([1.0]))
    tensor([0.0433])
    """
    if not 0 <= alpha <= 1 and alpha != -1:
        raise ValueError(f"sigmoid_focal_loss: Invalid alpha value: {alpha}. alpha must be in the range [0,1] or -1")
    p = sigmoid(inputs)
    p_of_truth = p * targets + (1 - p) * (1 - targets)
    loss = F.binary_cross_entropy_with_logits(inputs, targets, reduction="none") * (1 - p_of_truth) ** gamma
    if alpha >= 0:
        loss = (alpha * targets + (1 - alpha) * (1 - targets)) * loss
    return _reduced("sigmoid_focal_loss", loss, reduction)


def generalized_box_iou_loss(boxes1: Tensor, boxes2: Tensor, reduction: str = "none", eps: float = 1e-7) -> Tensor:
    """1 - GIoU of boxes (N, 4) with those of the same rows (arXiv:1902.09630)."""
    boxes1, boxes2 = _wide(boxes1), _wide(boxes2)
    common, union = _inter_union(boxes1, boxes2)
    hull = box_area(_hull(boxes1, boxes2))
    loss = 1 - common / (union + eps) + (hull - union) / (hull + eps)
    return _reduced("generalized_box_iou_loss", loss, reduction)


def distance_box_iou_loss(boxes1: Tensor, boxes2: Tensor, reduction: str = "none", eps: float = 1e-7) -> Tensor:
    """1 - DIoU of boxes (N, 4) with those of the same rows (arXiv:1911.08287)."""
    boxes1, boxes2 = _wide(boxes1), _wide(boxes2)
    common, union = _inter_union(boxes1, boxes2)
    loss = 1 - common / (union + eps) + distance_penalty(boxes1, boxes2, eps)
    return _reduced("distance_box_iou_loss", loss, reduction)


def complete_box_iou_loss(boxes1: Tensor, boxes2: Tensor, reduction: str = "none", eps: float = 1e-7) -> Tensor:
    """1 - CIoU of boxes (N, 4) with those of the same rows (arXiv:1911.08287)."""
    boxes1, boxes2 = _wide(boxes1), _wide(boxes2)
    common, union = _inter_union(boxes1, boxes2)
    iou = common / (union + eps)
    loss = 1 - iou + distance_penalty(boxes1, boxes2, eps) + aspect_penalty(boxes1, boxes2, iou, eps)
    return _reduced("complete_box_iou_loss", loss, reduction)


def _reduced(name, loss, reduction):
    if reduction == "none":
        return loss
    if reduction == "mean":
        return loss.mean() if loss.numel() else 0.0 * loss.sum()
    if reduction == "sum":
        return loss.sum()
    raise ValueError(f"{name}: Invalid Value for arg 'reduction': {reduction!r}; expected 'none', 'mean' or 'sum'")
