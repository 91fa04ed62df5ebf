"""`python -m minitorch` is the `minitorch` command."""
import sys

from .cli import main

sys.exit(main())
