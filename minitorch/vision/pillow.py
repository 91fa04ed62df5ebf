"""Pillow, imported when a PIL image first appears; it is the optional extra `vision`."""

import sys

from minitorch.errors import MissingError


def pil(what):
    """The package PIL with the modules used here. Raises MissingError, which names `what` needs it."""
    try:
        import PIL.Image
        import PIL.ImageEnhance
        import PIL.ImageOps
    except ImportError as error:
        raise MissingError(f'{what} needs Pillow: pip install "minitorch-framework[vision]"') from error
    return PIL


def is_pil_image(value):
    """Whether `value` is a PIL image; without importing Pillow, since nobody else can have made one."""
    image_module = sys.modules.get("PIL.Image")
    return image_module is not None and isinstance(value, image_module.Image)
