"""Training and threads: the same bits for any number of them, several at once, and in forked children."""
import hashlib
import os
import threading

import pytest

import minitorch as mt
from minitorch import nn


class Everything(nn.Module):
    """A layer of each kind that runs on several threads."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
                                  nn.Conv2d(16, 32, 3, stride=2), nn.GroupNorm(4, 32), nn.GELU())
        self.norm, self.rnn = nn.LayerNorm(32), nn.GRU(32, 24, batch_first=True)
        self.words, self.head = nn.Embedding(50, 32), nn.Linear(24, 50)

    def forward(self, images, words):
        x = self.stem(images).flatten(2).transpose(1, 2)
        x = nn.functional.dropout(self.norm(x), 0.1) + self.words(words)
        heads = x.unflatten(2, (2, 16)).transpose(1, 2)
        seen = nn.functional.scaled_dot_product_attention(heads, heads, heads, is_causal=True)
        x = x + seen.transpose(1, 2).flatten(2)
        return self.head(self.rnn(x)[0])


def trained(optimizer=mt.optim.AdamW, steps=2):
    """A digest of all parameters after some steps."""
    generator = mt.Generator().manual_seed(3)
    images = mt.randn(6, 3, 18, 18, generator=generator)
    words = mt.randint(0, 50, (6, 16), generator=generator)
    mt.manual_seed(0)
    model = Everything()
    optimizer = optimizer(model.parameters(), lr=1e-3)
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images, words).flatten(0, 1), words.flatten()).backward()
        optimizer.step()
    return hashlib.sha256(b"".join(p.detach().numpy().tobytes() for p in model.parameters())).hexdigest()


@pytest.fixture(autouse=True)
def threads():
    before = mt.get_num_threads()
    mt.set_num_threads(3)
    yield
    mt.set_num_threads(before)


@pytest.mark.parametrize("optimizer", [mt.optim.AdamW, lambda p, lr: mt.optim.SGD(p, lr=lr, momentum=0.9)])
def test_training_gives_the_same_bits_for_any_number_of_threads(optimizer):
    digests = set()
    for n in (1, 2, 3, 8):
        mt.set_num_threads(n)
        digests.add(trained(optimizer))
    assert len(digests) == 1


def test_python_threads_train_at_once():
    """Each draws from the one generator, so only what they hold and that they end can be asked."""
    done, errors = [], []

    def train():
        try:
            done.append(trained(steps=3))
        except Exception as error:
            errors.append(error)

    users = [threading.Thread(target=train) for _ in range(3)]
    for user in users:
        user.start()
    for user in users:
        user.join(120)
    assert len(done) == 3 and not errors


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_trains():
    expected = trained()
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, trained().encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        assert pipe.read() == expected
    assert os.waitpid(child, 0)[1] == 0
