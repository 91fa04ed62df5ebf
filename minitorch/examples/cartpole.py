"""The task of the examples of reinforcement learning: to balance a pole on a cart. And what is measured and drawn."""
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import minitorch as mt
from minitorch.examples.options import picture

SOLVED = 475  # a mean reward over 100 episodes; the most that an episode can give is 500
LIMITS = [2.4, 3.0, 0.21, 3.0]  # states are within these, more or less: place, speed, angle (rad), its speed


def cartpole() -> Any:
    """Gymnasium's CartPole-v1: four numbers say how cart and pole are; 0 pushes the cart left and 1 right.

    Each step that the pole stands is worth a reward of 1. Barto, Sutton and Anderson, 1983.
    Raises ModuleNotFoundError where gymnasium is missing.
    """
    try:
        import gymnasium
    except ImportError as error:
        raise ModuleNotFoundError("this example needs gymnasium: pip install gymnasium") from error
    return gymnasium.make("CartPole-v1")


def episode(env: Any, choose: Callable[[np.ndarray], int], seed: int | None = None) -> tuple[list[np.ndarray],
                                                                                            list[int], list[float]]:
    """Play until the pole falls or time is up: the states, the actions that `choose` took there, the rewards."""
    states, actions, rewards = [], [], []
    state, _ = env.reset(seed=seed)
    over = False
    while not over:
        states.append(state)
        actions.append(choose(state))
        state, reward, fell, late, _ = env.step(actions[-1])
        rewards.append(float(reward))
        over = fell or late
    return states, actions, rewards


def test(env: Any, choose: Callable[[np.ndarray], int], episodes: int = 100, seed: int = 10_000) -> float:
    """The mean reward of an episode, over episodes that begin otherwise than those of training."""
    return float(np.mean([sum(episode(env, choose, seed + i)[2]) for i in range(episodes)]))


@mt.no_grad()
def draw(path: Path, rewards: list[float], preference: Callable[[mt.Tensor], mt.Tensor], what: str) -> None:
    """The reward of each episode and their running mean; and `preference` (N,) for states (N, 4), a map.

    The map is of states with the cart resting in the middle: the pole's angle from left to right, how fast it turns
    from bottom to top.
    """
    angle, turning = mt.meshgrid(*[mt.linspace(-limit, limit, 81) for limit in LIMITS[2:]], indexing="xy")
    rest = mt.zeros_like(angle)
    values = preference(mt.stack([rest, rest, angle, turning], -1).reshape(-1, 4)).reshape(angle.shape).numpy()

    def show(plt: Any, figure: Any) -> None:
        left, right = figure.subplots(1, 2)
        left.plot(rewards, ".", ms=2, color="0.6")
        means = [np.mean(rewards[max(i - 49, 0):i + 1]) for i in range(len(rewards))]
        left.plot(means, label="mean of 50")
        left.axhline(SOLVED, ls=":", color="0.3", label=f"solved: {SOLVED}")
        left.set(xlabel="episode", ylabel="steps that the pole stood")
        left.legend()
        most = float(np.abs(values).max()) or 1.0
        shown = right.imshow(values, cmap="coolwarm", vmin=-most, vmax=most, origin="lower", aspect="auto",
                             extent=(-LIMITS[2], LIMITS[2], -LIMITS[3], LIMITS[3]))
        right.set(xticks=(-0.2, -0.1, 0, 0.1, 0.2), xlabel="the pole leans left (-), right (+), rad",
                  ylabel="and turns left (-), right (+), rad/s", title=what)
        figure.colorbar(shown)

    picture(path, show, figsize=(10, 4))
