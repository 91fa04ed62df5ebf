"""nn.attention.flex_attention against a loop over places in NumPy, and PyTorch where it is installed."""
import math

import numpy as np
import pytest

import minitorch as mt
from minitorch.nn.attention.flex_attention import (
    AuxRequest,
    BlockMask,
    and_masks,
    create_block_mask,
    create_mask,
    flex_attention,
    or_masks,
)


def window(b, h, q, kv):
    return (q >= kv) & (q - kv < 4)


def expected(q, k, v, score_mod, mask_mod, scale):
    """Place by place."""
    B, H, L, S = *q.shape[:3], k.shape[2]
    y, lse = np.zeros((B, H, L, v.shape[-1])), np.full((B, H, L), -np.inf)
    for b, h, i in np.ndindex(B, H, L):
        left = [j for j in range(S) if mask_mod(b, h, i, j)]
        if left:
            share = h * k.shape[1] // H
            scores = np.array([score_mod(q[b, h, i] @ k[b, share, j] * scale, b, h, i, j) for j in left])
            lse[b, h, i] = np.log(np.exp(scores).sum())
            y[b, h, i] = np.exp(scores - lse[b, h, i]) @ v[b, share, left]
    return y, lse


def test_scores_masks_and_shared_heads():
    rng = np.random.default_rng(0)
    q, k, v = rng.standard_normal((2, 4, 5, 3)), rng.standard_normal((2, 2, 7, 3)), rng.standard_normal((2, 2, 7, 2))
    bias = rng.standard_normal((4, 5, 7))
    mask = create_block_mask(lambda b, h, i, j: (i > j) & (b >= 0), 2, None, 5, 7, "cpu", BLOCK_SIZE=2)
    t_bias = mt.tensor(bias)
    y, lse = flex_attention(mt.tensor(q), mt.tensor(k), mt.tensor(v),
                            lambda s, b, h, i, j: s + t_bias[h, i, j] * (b + 1), mask, scale=0.3,
                            enable_gqa=True, return_lse=True)
    want, want_lse = expected(q, k, v, lambda s, b, h, i, j: s + bias[h, i, j] * (b + 1), lambda b, h, i, j: i > j, 0.3)
    np.testing.assert_allclose(y.numpy(), want, atol=1e-12)
    np.testing.assert_allclose(lse.numpy(), want_lse, atol=1e-12)
    assert (y[:, :, 0] == 0).all()  # a row of which nothing is left


def test_gradients():
    mt.manual_seed(0)
    q, k, v = (mt.randn(1, 2, 4, 3, dtype=mt.float64, requires_grad=True) for _ in range(3))
    bias = mt.randn(4, 4, dtype=mt.float64, requires_grad=True)
    mask = create_block_mask(lambda b, h, i, j: i > j, None, None, 4, 4, "cpu")

    def f(q, k, v, bias):
        return flex_attention(q, k, v, lambda s, b, h, i, j: s + bias[i, j], mask)

    assert mt.autograd.gradcheck(f, (q, k, v, bias))


def test_agrees_with_scaled_dot_product_attention():
    x = mt.randn(2, 3, 6, 4)
    want = mt.nn.functional.scaled_dot_product_attention(x, x, x, is_causal=True)
    mask = create_block_mask(lambda b, h, i, j: i >= j, None, None, 6, 6, "cpu")
    y, aux = flex_attention(x, x, x, block_mask=mask, return_aux=AuxRequest(lse=True))
    assert mt.allclose(y, want, atol=1e-6) and aux.lse.shape == (2, 3, 6) and aux.max_scores is None
    assert flex_attention(x.bfloat16(), x.bfloat16(), x.bfloat16()).dtype == mt.bfloat16


def test_blocks():
    mask = create_block_mask(lambda b, h, q, kv: q >= kv, None, None, 10, 7, "cpu", BLOCK_SIZE=4)
    assert mask.shape == (1, 1, 10, 7) and mask.numel() == 70 and mask.kv_num_blocks.dtype == mt.int32
    assert mask.kv_num_blocks.tolist() == [[[1, 1, 2]]] and mask.kv_indices.tolist() == [[[[0, 1], [1, 0], [0, 1]]]]
    assert mask.full_kv_num_blocks.tolist() == [[[0, 1, 0]]] and mask.q_num_blocks.tolist() == [[[2, 2]]]
    assert mask.q_indices.tolist() == [[[[0, 2, 1], [1, 2, 0]]]]
    assert mask.full_q_indices.tolist() == [[[[1, 0, 2], [0, 1, 2]]]]
    assert math.isclose(mask.sparsity(), -14.28571428571428)
    again = BlockMask.from_kv_blocks(mask.kv_num_blocks, mask.kv_indices, mask.full_kv_num_blocks,
                                     mask.full_kv_indices, BLOCK_SIZE=4, mask_mod=mask.mask_mod)
    assert (again.to_dense() == mask.to_dense()).all() and again.shape == (1, 1, 12, 8)
    assert again[0].shape == again.shape


def test_joined_masks():
    joined = create_mask(and_masks(window, or_masks(lambda b, h, q, kv: q > 1, lambda b, h, q, kv: kv > q)), 1, 1, 3, 3)
    assert joined.tolist() == [[[[False] * 3, [False] * 3, [True] * 3]]]
    with pytest.raises(RuntimeError, match="and_masks"):
        and_masks(1)


@pytest.mark.parametrize("shapes, error, message", [
    (((2, 3, 4), (1, 1, 3, 4), (1, 1, 3, 4)), NotImplementedError, "4D"),
    (((1, 2, 3, 4), (1, 1, 3, 4), (1, 1, 3, 4)), ValueError, "enable_gqa"),
    (((1, 1, 3, 4), (1, 1, 3, 5), (1, 1, 3, 5)), ValueError, "embedding dimension"),
    (((1, 1, 2, 4), (1, 1, 3, 4), (1, 1, 3, 4)), ValueError, "block_mask"),
])
def test_bad_arguments(shapes, error, message):
    mask = create_block_mask(window, None, None, 3, 3, "cpu")
    with pytest.raises(error, match=message):
        flex_attention(*[mt.ones(s) for s in shapes], block_mask=mask)


def test_as_pytorch():
    torch = pytest.importorskip("torch")
    theirs = pytest.importorskip("torch.nn.attention.flex_attention")
    rng = np.random.default_rng(1)
    q, k = (rng.standard_normal((2, 2, n, 4)).astype(np.float32) for n in (10, 7))
    results = []
    for lib, make, attend in ((torch, theirs.create_block_mask, theirs.flex_attention),
                              (mt, create_block_mask, flex_attention)):
        mask = make(lambda b, h, i, j: (i >= j) | (b == 1), 2, None, 10, 7, "cpu", BLOCK_SIZE=(4, 2))
        y = attend(lib.tensor(q), lib.tensor(k), lib.tensor(k), lambda s, b, h, i, j: s - 0.1 * h * (i - j), mask)
        results.append((y.numpy(), mask.kv_indices.tolist(), mask.full_q_num_blocks.tolist(), mask.sparsity()))
    np.testing.assert_allclose(results[1][0], results[0][0], atol=1e-6)
    assert results[0][1:] == results[1][1:]
