"""The ops, a family a file. Importing this package defines them all."""
from .. import attributes, convert, printing
from . import (
    arithmetic,
    arrange,
    choose,
    compare,
    complex,
    creation,
    elementwise,
    index,
    join,
    operators,
    reduce,
    shape,
    strided,
    values,
    view,
)
