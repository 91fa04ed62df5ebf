"""`gym` as its successor has it, for programs that still ask for it by the old name."""
from gymnasium import *  # noqa: F403
