"""Deep Q-learning: a network learns what each push is worth, and so how to balance a pole on a cart.

    pip install gymnasium
    python -m minitorch.examples.dqn

Mnih and others, "Human-level control through deep reinforcement learning", 2015; the targets are those of van Hasselt
and others, "Deep reinforcement learning with double Q-learning", 2016. Q(state, action) is the reward to be expected
from there on. It is what the action brings at once, plus Q of the best that can be done next; what the network's Q lack
of that is what it is trained on. So it learns from single steps, also from old ones, which a memory keeps.
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
FOLLOW = 0.01        # how far the targets' network moves towards the other at each step


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


def loss_of(model: nn.Module, target: nn.Module, state: mt.Tensor, action: mt.Tensor, reward: mt.Tensor,
            after: mt.Tensor, fell: mt.Tensor) -> mt.Tensor:
    """How far Q is from reward + DISCOUNT * max Q(next state), where nothing follows a fall.

    The network chooses the next action, an older copy, `target`, says what it is worth: a maximum taken over the
    network's own guesses would choose those that are too high, and each step would raise them.
    """
    q = model(state).gather(1, action[:, None])[:, 0]
    with mt.no_grad():
        best = model(after).argmax(1, keepdim=True)
        goal = reward + DISCOUNT * (1 - fell) * target(after).gather(1, best)[:, 0]
    return F.smooth_l1_loss(q, goal)


def training_step(model: nn.Module, target: nn.Module, optimizer: Any) -> Callable:
    """One step as a function of a batch, which `target` then follows slowly: else the goals move with each step."""

    @mt.compile
    def step(*batch: mt.Tensor) -> mt.Tensor:
        optimizer.zero_grad()
        loss = loss_of(model, target, *batch)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 10.0)
        optimizer.step()
        with mt.no_grad():
            for old, new in zip(target.parameters(), model.parameters()):
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


def train(env: Any, exam: Any, model: nn.Module, steps: int, seed: int = 0) -> list[float]:
    """Play and learn for so many steps, or until the task is solved; returns the reward of each episode.

    Q-learning may also unlearn. So the network is tested in the environment `exam` at every twentieth part of the way,
    and is in the end as it was when it did best.
    """
    rng, memory, best = np.random.default_rng(seed), Memory(50_000), greedy(model)
    target, kept, highest = copy.deepcopy(model), copy.deepcopy(model.state_dict()), 0.0
    optimizer = mt.optim.Adam(model.parameters(), lr=1e-3)
    learn = training_step(model, target, optimizer)
    rewards, total = [], 0.0
    state, _ = env.reset(seed=seed)
    with tqdm(total=steps, unit="step") as bar:
        for i in range(1, steps + 1):
            exploring = max(0.03, 1 - i / min(EXPLORATION, steps / 2))
            action = int(rng.integers(2)) if rng.random() < exploring else best(state)
            after, reward, fell, late, _ = env.step(action)
            memory.add(state, action, reward, after, fell)  # where time is up, the pole still stands
            state, total = after, total + reward
            if memory.count >= 4 * BATCH and i % 2 == 0:
                learn(*memory.sample(BATCH))
            bar.update()
            if fell or late:
                rewards.append(float(total))
                total = 0.0
                state, _ = env.reset()
            if i % max(steps // 20, 1) == 0:
                score = cartpole.test(exam, best, 20, seed=20_000 + i)
                bar.set_postfix(episode=len(rewards), reward=f"{np.mean(rewards[-10:]):.0f}", test=f"{score:.0f}")
                if score > highest:
                    highest, kept = score, copy.deepcopy(model.state_dict())
                if highest >= cartpole.SOLVED:
                    break
                optimizer.param_groups[0]["lr"] *= 0.9
    model.load_state_dict(kept)
    return rewards


def main(arguments: list[str] | None = None) -> None:
    chosen = options(__doc__, arguments, data=None, steps=20_000)
    env = cartpole.cartpole()
    model = network()
    untrained = cartpole.test(env, greedy(model), 20)
    rewards = train(cartpole.cartpole(), env, model, chosen.steps, chosen.seed)
    cartpole.draw(chosen.out / "dqn.png", rewards, lambda states: model(states).diff(dim=1)[:, 0],
                  "how much more a push to the right is worth")
    mean = cartpole.test(env, greedy(model))
    print(f"after {len(rewards)} episodes the pole stands for {mean:.0f} of 500 steps, in the mean of 100 new episodes"
          f" (untrained: {untrained:.0f}; from {cartpole.SOLVED} the task counts as solved)")


if __name__ == "__main__":
    main()
