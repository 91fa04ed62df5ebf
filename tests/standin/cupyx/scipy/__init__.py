"""cupyx.scipy."""
from . import special
