"""Who shares memory with whom: NumPy, DLPack, buffers, views as real and complex, and what copies."""
import numpy as np
import pytest

import minitorch as mt


def test_numpy_both_ways():
    a = np.arange(6.0).reshape(2, 3)
    t = mt.from_numpy(a)
    t[0, 0] = 9
    assert a[0, 0] == 9 and np.shares_memory(t.numpy(), a)
    a[1, 1] = -1
    assert t[1, 1].item() == -1
    assert not np.shares_memory(mt.tensor(a).numpy(), a)
    assert np.shares_memory(mt.as_tensor(a).numpy(), a)
    assert not np.shares_memory(mt.as_tensor(a, dtype=mt.float32).numpy(), a)


def test_views_of_arrays_keep_their_strides():
    t = mt.from_numpy(np.arange(12).reshape(3, 4)[:, ::2])
    assert t.stride() == (4, 2) and not t.is_contiguous() and t.contiguous().stride() == (2, 1)
    assert t.contiguous().tolist() == t.tolist() == [[0, 2], [4, 6], [8, 10]]


def test_read_only_arrays():
    a = np.zeros(2)
    a.flags.writeable = False
    with pytest.warns(UserWarning, match="not writable"):
        t = mt.from_numpy(a)
    with pytest.raises(RuntimeError, match="read-only"):
        t.add_(1)


def test_buffers():
    buffer = bytearray(8)
    t = mt.frombuffer(buffer, dtype=mt.int32)
    t[1] = 1
    assert buffer == b"\0\0\0\0\1\0\0\0"


def test_dlpack():
    t = mt.arange(4.0)
    there = np.from_dlpack(t)
    back = mt.from_dlpack(there)
    t[0] = 7
    assert there[0] == back[0].item() == 7
    with pytest.raises(BufferError, match="gradient"):
        np.from_dlpack(mt.ones(2, requires_grad=True))


def test_dlpack_with_pytorch(torch):
    t = torch.arange(3.0)
    ours = mt.from_dlpack(t)
    ours[0] = 5
    assert t[0] == 5
    theirs = torch.from_dlpack(ours)
    theirs[1] = 6
    assert ours.tolist() == [5, 6, 2]


def test_complex_views():
    c = mt.tensor([1 + 2j, 3 - 1j])
    pairs = mt.view_as_real(c)
    pairs[0, 1] = 9
    assert c.tolist() == [1 + 9j, 3 - 1j]
    c.real.zero_()
    assert pairs.tolist() == [[0, 9], [0, -1]]
    assert mt.view_as_complex(pairs).data_ptr() == c.data_ptr()


def test_what_copies_and_what_does_not():
    x = mt.ones(2)
    assert x.to(mt.float32) is x and x.float() is x and x.cpu() is x and x.contiguous() is x and x.to("cpu") is x
    for other in (x.clone(), x.to(mt.float32, copy=True), x.double(), mt.tensor(x.numpy())):
        assert other.data_ptr() != x.data_ptr()
    assert x.detach().data_ptr() == x.data.data_ptr() == x.view(2, 1).data_ptr()


def test_gradients_travel_through_types():
    x = mt.tensor([1.5, 2.5], requires_grad=True)
    y = x.double()
    (y * y).sum().backward()
    assert x.grad.dtype is mt.float32 and x.grad.tolist() == [3, 5]
    assert not x.long().requires_grad
    z = mt.ones(2, dtype=mt.float64)
    z.requires_grad_()
    z.clone().copy_(x).sum().backward()
    assert z.grad is None or z.grad.tolist() == [0, 0]
    assert x.grad.tolist() == [4, 6]


def test_copy_broadcasts_and_casts():
    x = mt.zeros(2, 3, dtype=mt.int64)
    assert x.copy_(mt.tensor([1.7, 2.2, -3.9])).tolist() == [[1, 2, -3]] * 2
    with pytest.raises(RuntimeError):
        x.copy_(mt.zeros(4))
    leaf = mt.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match="leaf"):
        leaf.fill_(0)
    with mt.no_grad():
        assert leaf.fill_(0).tolist() == [0, 0]


def test_numpy_functions_give_tensors_and_arrays_mix():
    x = mt.tensor([1.0, 4.0])
    assert isinstance(np.sqrt(x), mt.Tensor) and np.sqrt(x).tolist() == [1, 2]
    assert isinstance(np.ones(2) * x, mt.Tensor) and isinstance(np.float64(2) + x, mt.Tensor)
    assert (np.float64(2) * x).dtype is mt.float32 and (np.ones(2) - x).dtype is mt.float64
    assert np.asarray(x).dtype == np.float32 and np.array(x, dtype=int).tolist() == [1, 4]


def test_python_numbers():
    assert float(mt.tensor(2.5)) == 2.5 and int(mt.tensor([7.9])) == 7 and complex(mt.tensor(1j)) == 1j
    assert [10, 20, 30][mt.tensor(1)] == 20 and "x" * mt.tensor(3) == "xxx" and list(range(mt.tensor(2))) == [0, 1]
    with pytest.raises(TypeError, match="integer"):
        [1][mt.tensor(0.0)]
    with pytest.raises(RuntimeError, match="2 elements"):
        mt.ones(2).item()


def test_the_plain_tensor_type_is_the_default_one():
    x = mt.arange(3)
    assert x.type(mt.Tensor).dtype is mt.float32 and x.type("torch.Tensor").tolist() == [0, 1, 2]
    assert mt.nn.Linear(2, 2).double().type(mt.Tensor).weight.dtype is mt.float32
    assert mt.nn.Linear(2, 2).type("torch.DoubleTensor").type(mt.HalfTensor).bias.dtype is mt.float16
    mt.set_default_dtype(mt.float64)
    try:
        made = [mt.Tensor([1]), mt.Tensor(2, 3), mt.Tensor(), mt.Tensor(np.ones(2, np.float32)),
                mt.Tensor(mt.Size([2])), mt.Tensor(range(2)), mt.Tensor(data=(1, 2)), mt.Tensor(size=(2,)),
                x.type(mt.Tensor)]
        assert {t.dtype for t in made} == {mt.float64} and made[2].shape == (0,) and made[7].shape == (2,)
    finally:
        mt.set_default_dtype(mt.float32)
    with pytest.raises(ValueError, match="invalid type: 'Parameter'"):
        x.type(mt.nn.Parameter)
    with pytest.raises(TypeError, match="invalid type object"):
        mt.set_default_tensor_type(mt.Tensor)


def test_what_the_tensor_type_makes():
    assert mt.Tensor(mt.tensor(3), mt.tensor(2)).shape == (3, 2) and mt.Tensor(np.array(3)).shape == (3,)
    assert mt.Tensor(mt.tensor([1, 2])).dtype is mt.int64  # another tensor keeps its type
    assert mt.Tensor(mt.ones(2).storage()).tolist() == [1, 1] and mt.FloatTensor(size=(2,)).shape == (2,)
    for wrong in (3.0, None, True, {1: 2}, (v for v in [1])):
        with pytest.raises(TypeError, match="data must be a sequence"):
            mt.Tensor(wrong)
    for args in ((-1,), (2, -3)):
        with pytest.raises(RuntimeError, match="non-negative"):
            mt.Tensor(*args)
    for args, named in (((2,), {"dtype": mt.float64}), (([1.0], [2.0]), {}), (([1 + 2j],), {}), (("ab",), {})):
        with pytest.raises(TypeError):
            mt.Tensor(*args, **named)


def test_legacy_types():
    assert mt.LongTensor(range(2, 5)).tolist() == [2, 3, 4]
    assert mt.FloatTensor([1, 2]).dtype is mt.float32 and mt.LongTensor(2, 3).shape == (2, 3)
    assert isinstance(mt.zeros(1), mt.FloatTensor) and not isinstance(mt.zeros(1), mt.LongTensor)
    x = mt.ones(2).type("torch.DoubleTensor")
    assert x.type() == "torch.DoubleTensor" and x.type(mt.IntTensor).dtype is mt.int32
    assert x.new(2, 2).dtype is mt.float64 and x.new([1]).tolist() == [1.0]
    with pytest.raises(ValueError, match="invalid type"):
        x.type("Float")
    try:
        mt.set_default_tensor_type("torch.DoubleTensor")
        assert mt.zeros(1).dtype is mt.float64
    finally:
        mt.set_default_tensor_type(mt.FloatTensor)
