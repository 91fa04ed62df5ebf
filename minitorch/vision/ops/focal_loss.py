"""The focal loss once more, under the module that torchvision keeps it in."""
from minitorch.vision.ops.losses import sigmoid_focal_loss

__all__ = ["sigmoid_focal_loss"]
