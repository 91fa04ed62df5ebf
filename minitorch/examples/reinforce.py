"""REINFORCE: a network learns to balance a pole on a cart by doing more often what turned out better than usual.

    pip install gymnasium
    python -m minitorch.examples.reinforce

Williams, "Simple statistical gradient-following algorithms for connectionist reinforcement learning", 1992. The network
says how likely each push is, and pushes are drawn from that. How good they were shows later: in the rewards that came
after. Raising log p(action) in proportion to those climbs the mean reward, whose gradient that is in expectation.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from tqdm import tqdm

import minitorch as mt
from minitorch import nn
from minitorch.distributions import Categorical
from minitorch.examples import cartpole
from minitorch.examples.options import options

DISCOUNT = 0.99
TOGETHER = 8  # episodes that a step learns from


def network(states: int = 4, actions: int = 2, hidden: int = 64) -> nn.Sequential:
    """States (N, 4) to the logits of the actions (N, 2)."""
    return nn.Sequential(nn.Linear(states, hidden), nn.Tanh(), nn.Linear(hidden, actions))


def returns(rewards: list[float], discount: float = DISCOUNT) -> np.ndarray:
    """From each step on, the rewards that follow, each worth less by `discount` the later it comes.

    >>> returns([1.0, 0.0, 4.0], discount=0.5).tolist()
    [2.0, 2.0, 4.0]
    """
    total, found = 0.0, []
    for reward in reversed(rewards):
        total = reward + discount * total
        found.append(total)
    return np.array(found[::-1])


def advantages(episodes: list[list[float]]) -> mt.Tensor:
    """The returns of all steps of several episodes, in a row, less what was usual at that step; over their deviation.

    What is usual is the mean over the episodes, in which one that is over gets 0 more. Subtracting what does not depend
    on the action leaves the gradient's mean as it is, and makes it far less a matter of luck.
    """
    found = [returns(rewards) for rewards in episodes]
    table = np.zeros((len(found), max(map(len, found))))
    for row, values in zip(table, found):
        row[:len(values)] = values
    usual = table.mean(0)
    flat = np.concatenate([values - usual[:len(values)] for values in found])
    return mt.from_numpy((flat / (flat.std() + 1e-8)).astype(np.float32))


def drawn(model: nn.Module, rng: np.random.Generator) -> Callable[[np.ndarray], int]:
    """An action drawn as the network says. Of two, the right one has probability sigmoid(difference of the logits)."""
    @mt.no_grad()
    def choose(state: np.ndarray) -> int:
        left, right = model(mt.from_numpy(state)[None])[0].tolist()
        return int(rng.random() < 1 / (1 + np.exp(left - right)))

    return choose


def likeliest(model: nn.Module) -> Callable[[np.ndarray], int]:
    @mt.no_grad()
    def choose(state: np.ndarray) -> int:
        return int(model(mt.from_numpy(state)[None]).argmax())

    return choose


def loss_of(model: nn.Module, states: mt.Tensor, actions: mt.Tensor, advantage: mt.Tensor) -> mt.Tensor:
    """Its gradient is that of the mean reward, but for the sign and a factor."""
    return -(Categorical(logits=model(states)).log_prob(actions) * advantage).mean()


def train(env: Any, model: nn.Module, episodes: int, seed: int = 0) -> list[float]:
    """Play, and after every few episodes learn from them; returns the reward of each."""
    optimizer = mt.optim.Adam(model.parameters(), lr=1e-2)
    schedule = mt.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.1, total_iters=max(episodes // TOGETHER, 1))
    choose, rewards = drawn(model, np.random.default_rng(seed)), []
    with tqdm(total=episodes, unit="episode") as bar:
        while bar.n < episodes:
            played = [cartpole.episode(env, choose, seed + bar.n + i) for i in range(min(TOGETHER, episodes - bar.n))]
            states = mt.from_numpy(np.concatenate([states for states, _, _ in played]))
            actions = mt.as_tensor([action for _, actions, _ in played for action in actions])
            optimizer.zero_grad()
            loss_of(model, states, actions, advantages([gained for _, _, gained in played])).backward()
            optimizer.step()
            schedule.step()
            rewards += [sum(gained) for _, _, gained in played]
            bar.set_postfix(reward=f"{np.mean(rewards[-50:]):.0f}", refresh=False)
            bar.update(len(played))
    return rewards


def main(arguments: list[str] | None = None) -> None:
    chosen = options(__doc__, arguments, data=None, episodes=480)
    env = cartpole.cartpole()
    model = network()
    untrained = cartpole.test(env, likeliest(model), 20)
    rewards = train(env, model, chosen.episodes, chosen.seed)
    cartpole.draw(chosen.out / "reinforce.png", rewards, lambda states: 2 * model(states).softmax(1)[:, 1] - 1,
                  "where it pushes: left (-1), right (+1)")
    mean = cartpole.test(env, likeliest(model))
    print(f"after {len(rewards)} episodes the pole stands for {mean:.0f} of 500 steps, in the mean of 100 new episodes"
          f" (untrained: {untrained:.0f}; from {cartpole.SOLVED} the task counts as solved)")


if __name__ == "__main__":
    main()
