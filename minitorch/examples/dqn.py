"""Deep Q-learning: a network learns what each push is worth, and so how to balance a pole on a cart.

    pip install gymnasium
    python -m minitorch.examples.dqn

Mnih and others, "Human-level control through deep reinforcement learning", 2015; the targets are those of van Hasselt
and others, "Deep reinforcement learning with double Q-learning", 2016. Q(state, action) is the reward to be expected
from there on. It is what the action brings at once, plus Q of the best that can be done next; what the network's Q lack
of that is what it is trained on. So it learns from single steps, also from old ones, which a memory keeps. A second
network follows the first slowly. It sets the goals, which thus keep still, and in the end it plays: what one step
unlearns and another learns again, it does not notice.
"""
from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
from tqdm import tqdm

import minitorch as mt
from minitorch import nn
from minitorch.examples import cartpole
from minitorch.examples.options import options
from minitorch.nn import functional as F

BATCH = 64
DISCOUNT = 0.99      # what a reward is worth a step later
EXPLORATION = 5000   # steps over which random actions become rare
FOLLOW = 0.01        # how far the slow network moves towards the other at each step


def network(states: int = 4, actions: int = 2, hidden: int = 128) -> nn.Sequential:
    """States (N, 4) to Q of each action (N, 2)."""
    return nn.Sequential(nn.Linear(states, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(),
                         nn.Linear(hidden, actions))


class Memory:
    """The last `size` steps: state, action, reward, next state, and whether the pole fell."""

    def __init__(self, size: int, states: int = 4):
        self.size, self.count = size, 0
        self.columns: tuple[np.ndarray, ...] = (np.zeros((size, states), np.float32), np.zeros(size, np.int64),
                                                np.zeros(size, np.float32), np.zeros((size, states), np.float32),
                                                np.zeros(size, np.float32))

    def add(self, *step: Any) -> None:
        for column, value in zip(self.columns, step):
            column[self.count % self.size] = value
        self.count += 1

    def sample(self, n: int) -> list[mt.Tensor]:
        """`n` steps drawn at random: steps that follow one another resemble one another too much to learn from."""
        chosen = mt.randint(0, min(self.count, self.size), (n,)).numpy()
        return [mt.from_numpy(column[chosen]) for column in self.columns]


def loss_of(model: nn.Module, slow: nn.Module, state: mt.Tensor, action: mt.Tensor, reward: mt.Tensor,
            after: mt.Tensor, fell: mt.Tensor) -> mt.Tensor:
    """How far Q is from reward + DISCOUNT * max Q(next state), where nothing follows a fall.

    The network chooses the next action, the slow one says what it is worth: a maximum taken over the network's own
    guesses would choose those that are too high, and each step would raise them.
    """
    q = model(state).gather(1, action[:, None])[:, 0]
    with mt.no_grad():
        best = model(after).argmax(1, keepdim=True)
        goal = reward + DISCOUNT * (1 - fell) * slow(after).gather(1, best)[:, 0]
    return F.smooth_l1_loss(q, goal)


def training_step(model: nn.Module, slow: nn.Module, optimizer: Any) -> Callable:
    """One step of `model` as a function of a batch; `slow` then follows."""

    @mt.compile
    def step(*batch: mt.Tensor) -> mt.Tensor:
        optimizer.zero_grad()
        loss = loss_of(model, slow, *batch)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 10.0)
        optimizer.step()
        with mt.no_grad():
            for old, new in zip(slow.parameters(), model.parameters()):
                old.lerp_(new, FOLLOW)
        return loss.detach()

    return step


def greedy(model: nn.Module) -> Callable[[np.ndarray], int]:
    """The action that the network thinks is worth most."""
    @mt.no_grad()
    def choose(state: np.ndarray) -> int:
        left, right = model(mt.from_numpy(state)[None])[0].tolist()
        return int(right > left)

    return choose


def train(env: Any, steps: int, seed: int = 0, hidden: int = 128) -> tuple[nn.Module, list[float]]:
    """Play and learn for so many steps; returns the slow network, and the reward of each episode."""
    rng, memory, model = np.random.default_rng(seed), Memory(50_000), network(hidden=hidden)
    slow, best = copy.deepcopy(model), greedy(model)
    learn = training_step(model, slow, mt.optim.Adam(model.parameters(), lr=1e-3))
    rewards, total = [], 0.0
    state, _ = env.reset(seed=seed)
    with tqdm(total=steps, unit="step") as bar:
        for i in range(1, steps + 1):
            exploring = max(0.03, 1 - i / min(EXPLORATION, steps / 2))
            action = int(rng.integers(2)) if rng.random() < exploring else best(state)
            after, reward, fell, late, _ = env.step(action)
            # in this unit Q is at most 1; and where time is up, the pole still stands
            memory.add(state, action, (1 - DISCOUNT) * reward, after, fell)
            state, total = after, total + reward
            if memory.count >= 4 * BATCH:
                learn(*memory.sample(BATCH))
            bar.update()
            if fell or late:
                rewards.append(float(total))
                total = 0.0
                state, _ = env.reset()
                bar.set_postfix(episode=len(rewards), reward=f"{np.mean(rewards[-10:]):.0f}", refresh=False)
    return slow, rewards


def main(arguments: list[str] | None = None) -> None:
    chosen = options(__doc__, arguments, data=None, steps=20_000)
    env = cartpole.cartpole()
    untrained = cartpole.test(env, greedy(network()), 20)
    model, rewards = train(env, chosen.steps, chosen.seed)
    cartpole.draw(chosen.out / "dqn.png", rewards, lambda states: model(states).diff(dim=1)[:, 0],
                  "how much more a push to the right is worth")
    mean = cartpole.test(env, greedy(model))
    print(f"after {len(rewards)} episodes the pole stands for {mean:.0f} of 500 steps, in the mean of 100 new episodes"
          f" (untrained: {untrained:.0f}; from {cartpole.SOLVED} the task counts as solved)")


if __name__ == "__main__":
    main()
