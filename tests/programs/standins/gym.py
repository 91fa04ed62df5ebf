"""`gym` as its successor has it, for programs that use the old name; environments start from seed 0."""
import gymnasium
from gymnasium import *  # noqa: F403


def make(*args, **kwargs):
    environment = gymnasium.make(*args, **kwargs)
    environment.reset(seed=0)
    environment.action_space.seed(0)
    return environment
