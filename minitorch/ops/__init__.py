"""The ops, a family a file. Importing this package defines them all."""
from . import elementwise, view
