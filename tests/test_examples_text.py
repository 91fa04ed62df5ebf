"""The examples that read text and that play: some steps of each, and that their parts do what they say."""
from __future__ import annotations

import sys

import numpy as np
import pytest

import minitorch as mt
from minitorch.nn import functional as F

pytest.importorskip("tqdm")

from minitorch.examples import bert, cartpole, char_gru, dqn, gpt, options, reinforce, text

SPEECHES = "".join([f"PROSPERO:\nNow I want spirits {i}, art to enchant.\n\nMIRANDA:\nO brave new world {i}!\n\n"
                    for i in range(40)])


@pytest.fixture(autouse=True)
def seed():
    mt.manual_seed(0)


@pytest.fixture(autouse=True)
def eager(monkeypatch):
    """Few steps are not worth compiling; what compiling does is tested elsewhere."""
    monkeypatch.setattr(mt, "compile", lambda function: function)


class Env:
    """An episode lasts 8 steps, or until action 0 is taken in a state whose first number is positive."""

    def reset(self, seed=None):
        self.rng = np.random.default_rng(seed) if seed is not None or not hasattr(self, "rng") else self.rng
        self.left = 8
        return self.state(), {}

    def state(self):
        self.now = self.rng.standard_normal(4).astype(np.float32)
        return self.now

    def step(self, action):
        fell = bool(self.now[0] > 0 and action == 0)
        self.left -= 1
        return self.state(), 1.0, fell, self.left == 0, {}


# Text

def test_options_of_a_task(tmp_path):
    chosen = options.options("text", ["sample", "--out", str(tmp_path)], data=None, task=("all", "sample"), n=3)
    assert (chosen.task, chosen.n, hasattr(chosen, "data")) == ("sample", 3, False)
    assert options.options("text", ["--out", str(tmp_path)], task=("all", "sample")).task == "all"
    with pytest.raises(SystemExit):
        options.options("text", ["other"], task=("all", "sample"))


def test_shakespeare_is_read_from_a_file_or_its_folder(tmp_path, monkeypatch):
    (tmp_path / "mine.txt").write_text("Ay, sir.")
    assert text.shakespeare(str(tmp_path / "mine.txt")) == "Ay, sir."

    def fetched(url, root, filename, md5):
        (root / filename).write_text("fetched")
        return root / filename

    monkeypatch.setattr(text, "download_url", fetched)
    assert text.shakespeare(str(tmp_path)) == "fetched"

    def offline(*args):
        raise OSError("no route")

    monkeypatch.setattr(text, "download_url", offline)
    with pytest.raises(RuntimeError, match=r"save https://\S+ as \S*tinyshakespeare.txt \(no route\)"):
        text.shakespeare(str(tmp_path))


def test_plays_are_found_by_their_openings():
    whole = "".join([f"{opening} and so on\n\n" for opening in text.OPENINGS.values()])
    found = text.plays(whole)
    assert list(found) == list(text.OPENINGS) and "".join(found.values()) == whole
    assert all(found[title].startswith(opening) for title, opening in text.OPENINGS.items())
    assert text.plays("another text") == {"": "another text"}


def test_windows_are_pieces():
    data = mt.arange(7)
    found = text.windows(data, 200, 3)
    assert sorted(set(map(tuple, found.tolist()))) == [(i, i + 1, i + 2) for i in range(5)]


# GPT

@pytest.fixture
def small_gpt(monkeypatch):
    monkeypatch.setattr(gpt.GPT.__init__, "__defaults__", (16, 2, 2, 8))
    monkeypatch.setattr(gpt, "BATCH", 4)
    model = gpt.GPT(11)
    with mt.no_grad():
        for p in model.parameters():
            p.add_(0.3 * mt.randn_like(p))  # with the small initial weights, attention hardly matters
    return model


def test_gpt_sees_only_what_came_before(small_gpt):
    tokens = mt.randint(0, 11, (2, 8))
    other = tokens.clone()
    other[:, 5] = (other[:, 5] + 1) % 11
    change = (small_gpt(tokens) - small_gpt(other)).abs().amax((0, 2))
    assert change[:5].max() == 0 and change[5:].min() > 1e-3


@mt.no_grad()
def test_gpt_cache_changes_nothing(small_gpt):
    tokens = mt.randint(0, 11, (2, 8))
    cache = gpt.Cache(small_gpt, 2)
    pieces = [small_gpt(part, cache) for part in (tokens[:, :4], *tokens[:, 4:].split(1, 1))]
    assert mt.allclose(mt.cat(pieces, 1), small_gpt(tokens), atol=1e-5) and cache.length == 8


def test_gpt_generates_the_same_with_and_without_a_cache(small_gpt):
    """Also when the context has been full several times."""
    texts = []
    for cached in (True, False):
        mt.manual_seed(5)
        texts.append(gpt.generate(small_gpt, [1, 2, 3], 30, 1.0, cached))
    assert texts[0] == texts[1] and len(set(texts[0])) > 3


def test_gpt_loss(small_gpt):
    data = mt.randint(0, 11, (29,))
    pieces = data[:27].reshape(3, 9)
    p = small_gpt(pieces[:, :-1]).detach().numpy().astype(float)
    p = np.exp(p) / np.exp(p).sum(2, keepdims=True)
    expected = -np.log(np.take_along_axis(p, pieces[:, 1:, None].numpy(), 2)).mean()
    assert abs(gpt.evaluate(small_gpt, data) - expected) < 1e-5
    assert abs(gpt.evaluate(small_gpt, data, most=1) - gpt.loss_of(small_gpt, pieces[:1]).item()) < 1e-6


def test_gpt_keeps_the_best(small_gpt):
    """What was trained on something else than what is held out may end worse than it was."""
    data, held_out = mt.arange(60) % 3, mt.arange(60) % 4 + 4
    history = gpt.train(small_gpt, data, held_out, 10, 3e-2, "x")
    assert history[-1][1] < history[0][1] - 0.5 and len(history) == 11
    assert gpt.evaluate(small_gpt, held_out) == min(row[2] for row in history) < history[-1][2]


def test_gpt_from_pretraining_to_a_sample(tmp_path, small_gpt, capsys):
    (tmp_path / "x.txt").write_text(SPEECHES)
    arguments = ["--data", str(tmp_path / "x.txt"), "--out", str(tmp_path), "--steps", "20", "--count", "20"]
    with pytest.raises(FileNotFoundError, match=r"gpt\.pt: no such network"):
        gpt.main(["sample", *arguments])
    gpt.main(arguments)
    said = capsys.readouterr().out
    assert "PROSPERO's other lines" in said and "the texts are the same" in said
    gpt.main(["finetune", *arguments, "--text", str(tmp_path / "x.txt"), "--model", str(tmp_path / "gpt.pt")])
    with pytest.raises(ValueError, match="at least 40 characters of ARIEL, got 0"):
        gpt.main(["finetune", *arguments, "--speaker", "ARIEL"])


# GRU

def test_gru_state_goes_on():
    model, tokens = char_gru.CharGRU(9, 4, 8), mt.randint(0, 9, (2, 7))
    whole, _ = model(tokens)
    first, state = model(tokens[:, :3], model.start(2))
    second, _ = model(tokens[:, 3:], state)
    assert mt.allclose(mt.cat([first, second], 1), whole, atol=1e-6)


def test_gru_writes_as_if_it_read_all_anew():
    model = char_gru.CharGRU(9, 4, 8)
    made = char_gru.write(model, [1, 2], 12)
    mt.manual_seed(0)
    model = char_gru.CharGRU(9, 4, 8)
    tokens = [1, 2]
    for _ in range(12):
        tokens.append(int((model(mt.tensor([tokens]))[0][0, -1] / 0.8).softmax(0).multinomial(1)))
    assert tokens[2:] == made


def test_gru_learns_to_count(monkeypatch):
    monkeypatch.setattr(char_gru, "BATCH", 2)
    monkeypatch.setattr(char_gru, "LENGTH", 8)
    model, data = char_gru.CharGRU(4, 8, 16), mt.arange(200) % 4
    char_gru.train(model, data, data[:50], 8)
    losses, _ = char_gru.evaluate(model, data[:50])
    assert losses.shape == (25, 1) and losses.mean() < 0.9  # all from the state before the first character
    logits, _ = model(data[None, :-1])
    assert (logits.argmax(2) == data[1:]).float().mean() > 0.95


def test_gru_from_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(char_gru, "BATCH", 4)
    monkeypatch.setattr(char_gru, "LENGTH", 16)
    (tmp_path / "x.txt").write_text(SPEECHES)
    char_gru.main(["--data", str(tmp_path / "x.txt"), "--out", str(tmp_path), "--epochs", "1", "--units", "8",
                   "--count", "10"])
    assert "held-out text" in capsys.readouterr().out and (tmp_path / "char_gru.pt").exists()


# BERT

@pytest.fixture
def small_bert(monkeypatch):
    monkeypatch.setattr(bert, "LENGTH", 12)
    monkeypatch.setattr(bert, "HIDDEN", 2)
    monkeypatch.setattr(bert, "BATCH", 8)
    monkeypatch.setattr(bert.Bert.__init__, "__defaults__", (32, 1, 2))
    return bert.Bert(20)


def test_gaps(small_bert):
    tokens = mt.randint(4, 20, (400, 12))
    shown, where, answers = bert.with_gaps(tokens, 20)
    assert all(len(set(row)) == 2 for row in where.tolist())
    assert mt.equal(answers, tokens.gather(1, where)) and mt.equal(shown.scatter(1, where, answers), tokens)
    at = shown.gather(1, where)
    masked, kept = (at == bert.MASK).float().mean().item(), (at == answers).float().mean().item()
    assert abs(masked - 0.8) < 0.04 and abs(kept - 0.1 - 0.1 / 16) < 0.03 and set(at.tolist()[0]) <= set(range(3, 20))


@mt.no_grad()
def test_padding_does_not_matter(small_bert):
    model, tokens = bert.Classifier(small_bert, 3).eval(), mt.randint(1, 20, (2, 7))
    longer = mt.cat([tokens, mt.zeros(2, 5, dtype=mt.int64)], 1)
    assert mt.allclose(model(longer), model(tokens), atol=1e-5)
    assert not mt.allclose(model(tokens.flip(1)), model(tokens), atol=1e-5)


def test_words():
    words = bert.Words(["O brave new world, that has such people in't! O brave", "O  O, the"], least=2)
    assert words.all == [*bert.SPECIAL, "o", "brave", ","]
    assert words.split("In't 'tis A\nthing?") == ["in't", "'", "tis", "a", "thing", "?"]
    assert words.encode("Brave [MASK] monster") == [5, bert.MASK, bert.UNK]
    assert bert.padded([[1, 2], list(range(99))]).tolist() == [[1, 2] + 62 * [0], list(range(64))]


def test_swapped_words():
    rows = [list(range(4, 30 + i % 50)) for i in range(300)]
    x, y = bert.swapped(rows)
    assert x.shape == (300, 64) and 100 < y.sum() < 200 and rows[0] == list(range(4, 30))
    for row, made, label in zip(rows, x.tolist(), y.tolist()):
        there = row[:64]
        assert sorted(made[:len(there)]) == there and set(made[len(there):]) <= {bert.PAD}
        assert 0 <= sum(a != b for a, b in zip(there, made)) <= 6 * label
    changed = (x != bert.padded(rows)).any(1)
    assert changed.sum() > 0.9 * y.sum()  # a swap may undo another


def test_few_of_each():
    labels = mt.tensor([0, 1, 1, 2, 2, 2, 0, 0])
    chosen = bert.few_of_each(labels, 2)
    assert labels[chosen].tolist() == [0, 0, 1, 1, 2, 2] and len(set(chosen.tolist())) == 6


def test_bert_learns_to_fill_gaps(small_bert):
    """In a text that counts to three again and again, each gap follows from its neighbours."""
    filler = bert.pretrain(bert.Bert(7), mt.arange(400) % 3 + 4, 80)
    whole = (mt.arange(12) % 3 + 4).expand(12, 12)
    with mt.no_grad():
        logits = filler(mt.where(mt.eye(12) == 1, bert.MASK, whole), mt.arange(12)[:, None])
    assert mt.equal(logits[:, 0].argmax(1), whole[0])


def test_bert_from_the_command_line(tmp_path, small_bert, capsys):
    (tmp_path / "x.txt").write_text("".join([f"X:\nand so it goes on, I say {j}, for a while yet, and on and on\n\n"
                                             for j in range(60)]))
    bert.main(["--data", str(tmp_path / "x.txt"), "--out", str(tmp_path), "--steps", "20"])
    said = capsys.readouterr().out
    assert "my [MASK] lord" in said and "from scratch" in said


# The pole

def test_memory_forgets_the_oldest():
    memory = dqn.Memory(3, states=1)
    for i in range(5):
        memory.add([i], i, i, [i + 1], i % 2)
    state, action, reward, after, fell = memory.sample(100)
    assert sorted(set(action.tolist())) == [2, 3, 4]
    assert mt.equal(state[:, 0] + 1, after[:, 0]) and mt.equal(reward, state[:, 0])
    assert mt.equal(fell, (action % 2).float())


def test_dqn_loss():
    model, target = dqn.network(hidden=8), dqn.network(hidden=8)
    state, after, reward = mt.randn(6, 4), mt.randn(6, 4), mt.randn(6)
    action, fell = mt.tensor([0, 1, 1, 0, 1, 0]), mt.tensor([0, 0, 1, 0, 0, 1.0])
    q, best = model(state).detach().numpy()[range(6), action.tolist()], model(after).detach().numpy().argmax(1)
    goal = reward.numpy() + 0.99 * (1 - fell.numpy()) * target(after).detach().numpy()[range(6), best]
    off = np.abs(q - goal)
    loss = dqn.loss_of(model, target, state, action, reward, after, fell)
    assert abs(loss.item() - np.where(off < 1, off ** 2 / 2, off - 0.5).mean()) < 1e-6
    loss.backward()
    assert all(p.grad is None for p in target.parameters()) and model[0].weight.grad.abs().max() > 0


def test_dqn_learns(monkeypatch):
    monkeypatch.setattr(dqn, "BATCH", 16)
    monkeypatch.setattr(dqn, "FOLLOW", 0.1)
    model, rewards = dqn.train(Env(), 400, hidden=16)
    assert sum(rewards) <= 400 and cartpole.test(Env(), dqn.greedy(model), 20) > 7


def test_dqn_slow_network_follows():
    model, slow = dqn.network(hidden=4), dqn.network(hidden=4)
    before = slow[0].weight.detach().clone()
    optimizer = mt.optim.SGD(model.parameters(), lr=0.1)
    dqn.training_step(model, slow, optimizer)(mt.randn(3, 4), mt.tensor([0, 1, 1]), mt.randn(3), mt.randn(3, 4),
                                              mt.zeros(3))
    expected = 0.99 * before + 0.01 * model[0].weight
    assert mt.allclose(slow[0].weight, expected, atol=1e-7) and slow[0].weight.grad is None


def test_advantages():
    found = reinforce.advantages([[1.0, 1.0], [1.0], [0.0, 2.0]])
    by_hand = np.array([1.99, 1, 1, 1.98, 2]) - np.array([4.97, 3, 4.97, 4.97, 3]) / 3
    assert np.allclose(found.numpy(), by_hand / by_hand.std(), atol=1e-6)


def test_reinforce_gradient():
    """d loss / d logits = (p - onehot) * advantage / N."""
    model, states = reinforce.network(hidden=5), mt.randn(3, 4)
    actions, advantage = mt.tensor([0, 1, 1]), mt.tensor([1.0, -2.0, 0.5])
    reinforce.loss_of(model, states, actions, advantage).backward()
    p = model(states).softmax(1).detach().numpy()
    expected = ((p - np.eye(2)[[0, 1, 1]]) * advantage.numpy()[:, None] / 3).sum(0)
    assert np.allclose(model[-1].bias.grad.numpy(), expected, atol=1e-6)


def test_reinforce_learns():
    model = reinforce.network(hidden=8)
    rewards = reinforce.train(Env(), model, 400)
    assert len(rewards) == 400 and np.mean(rewards[-40:]) > np.mean(rewards[:40]) + 1
    assert cartpole.test(Env(), reinforce.likeliest(model), 20) > 7


def test_actions_are_drawn_as_the_network_says():
    model = reinforce.network(hidden=4)
    state, choose = np.float32([0.1, -0.2, 3, 4]), reinforce.drawn(model, np.random.default_rng(0))
    p = model(mt.from_numpy(state)).softmax(0)[1].item()
    assert abs(np.mean([choose(state) for _ in range(800)]) - p) < 0.05


def test_reward_curve(tmp_path):
    pytest.importorskip("matplotlib")
    cartpole.draw(tmp_path / "x.png", [1.0, 2.0], lambda states: states[:, 2], "text")
    options.learning_curves(tmp_path / "y.png", {"a": [[0, 2, 3], [1, 1, 2]]}, "nats")
    model, characters = char_gru.CharGRU(9, 4, 8), text.Characters("\nabcdefgh")
    char_gru.draw(tmp_path / "z.png", model, characters, "abc\nhgfedcba" * 3, columns=10)
    bert.draw(tmp_path / "w.png", [1, 2], {"a": [0.1, 0.2]})
    assert len(list(tmp_path.glob("*.png"))) == 4


def test_cartpole_itself(monkeypatch):
    gymnasium = pytest.importorskip("gymnasium")
    states, actions, rewards = cartpole.episode(cartpole.cartpole(), lambda state: 1, seed=1)
    assert len(states) == len(actions) == sum(rewards) < 30 and states[0].shape == (4,)
    assert gymnasium is not None
    monkeypatch.setitem(sys.modules, "gymnasium", None)
    with pytest.raises(ModuleNotFoundError, match="pip install gymnasium"):
        cartpole.cartpole()


def test_what_attention_ignores_has_no_gradient(small_gpt):
    """The last character's logits do not reach the places after it."""
    small_gpt(mt.randint(0, 11, (1, 5)))[:, -1].sum().backward()
    assert small_gpt.place.weight.grad[5:].abs().max() == 0 < small_gpt.place.weight.grad[:5].abs().min()


def test_cross_entropy_of_an_untrained_gpt_is_that_of_a_guess():
    model = gpt.GPT(65, width=16, depth=1, heads=2, context=8)
    assert abs(F.cross_entropy(model(mt.randint(0, 65, (4, 8))).flatten(0, 1), mt.randint(0, 65, (32,))).item()
               - np.log(65)) < 0.05
