"""The device: where tensors lie, how they travel, what mixing them says, what the memory holds, several GPUs."""
import numpy as np
import pytest

import minitorch as mt
from minitorch import nn


@pytest.fixture
def cp(device):
    import cupy

    return cupy


@pytest.fixture
def two(cp):
    """A machine with two GPUs; afterwards only one has been used."""
    from minitorch.cuda import placing
    from minitorch.op import quicken

    if cp.cuda.runtime.getDeviceCount() < 2:
        pytest.skip("needs two GPUs")
    yield
    cp.cuda.Device(0).use()
    placing.uninstall(cp)
    quicken()


def test_there_and_back():
    x = mt.arange(6.0).reshape(2, 3)
    for y in (x.to("cuda"), x.cuda(), x.to("cuda:0"), x.to(mt.device("cuda", 0)), x.to(x.cuda()), x.T.to("cuda").T):
        assert y.is_cuda and str(y.device) == "cuda:0" and y.get_device() == 0 and mt.equal(y.cpu(), x)
    y = x.to("cuda")
    assert y.to("cuda") is y and y.cuda(0) is y and y.to("cpu").device.type == "cpu" and x.to("cpu") is x
    assert x.to("cuda", mt.float64).dtype is mt.float64 and x.to("cuda", mt.int32).tolist() == x.int().tolist()
    for empty in (mt.zeros(0), mt.zeros(2, 0, 3), mt.tensor(3.0)):
        assert empty.to("cuda").cpu().shape == empty.shape


def test_gradients_travel():
    x = mt.arange(3.0).requires_grad_()
    (x.to("cuda") * 2).sum().backward()
    assert x.grad.device.type == "cpu" and x.grad.tolist() == [2.0] * 3
    y = mt.arange(3.0).to("cuda").requires_grad_()
    (y.cpu() * 3).sum().backward()
    assert y.grad.is_cuda and y.grad.tolist() == [3.0] * 3


def test_default_device():
    assert mt.zeros(2, device="cuda").is_cuda and not mt.zeros(2).is_cuda
    with mt.device("cuda"):
        assert mt.zeros(2).is_cuda and mt.tensor([1.0]).is_cuda and nn.Linear(2, 2).weight.is_cuda
    mt.set_default_device("cuda")
    try:
        assert mt.ones(2).is_cuda
    finally:
        mt.set_default_device(None)
    assert not mt.ones(2).is_cuda


def test_mixing_devices():
    x, y = mt.ones(2), mt.ones(2, device="cuda")
    for a, b in ((x, y), (y, x)):
        with pytest.raises(RuntimeError, match="add: expected all tensors to be on the same device, but found at least "
                                               "two devices, cpu and cuda:0"):
            a + b
    with pytest.raises(RuntimeError, match="cpu and cuda:0"):
        mt.where(y > 0, x, y)
    with pytest.raises(RuntimeError, match="cpu and cuda:0"):
        mt.cat([x, y])
    with pytest.raises(RuntimeError, match="cpu and cuda:0"):
        nn.Linear(2, 2)(y)
    scalar = mt.tensor(3.0, dtype=mt.float64)  # without dimensions: goes anywhere, and does not decide the type
    assert (y + scalar).tolist() == [4.0, 4.0] and (scalar * y).is_cuda and (y + scalar).dtype is mt.float32
    with pytest.raises(RuntimeError, match="cpu and cuda:0"):
        mt.tensor(3.0, device="cuda") + x


def test_gpus_that_are_not_there(cp):
    n = cp.cuda.runtime.getDeviceCount()
    with pytest.raises(RuntimeError, match=f"cuda:{n} does not exist"):
        mt.ones(2).to(f"cuda:{n}")
    with pytest.raises(RuntimeError, match="does not exist"):
        mt.cuda.set_device(n)
    with pytest.raises(ValueError, match="Expected a cuda device"):
        mt.cuda.set_device("cpu")


def test_pinned_memory():
    x = mt.arange(6.0).reshape(2, 3)
    pinned = x.pin_memory()
    assert pinned.is_pinned() and not x.is_pinned() and pinned.pin_memory() is pinned and mt.equal(pinned, x)
    assert pinned[1:].is_pinned() and not (pinned * 1).is_pinned()
    for y in (pinned.to("cuda", non_blocking=True), pinned.cuda(non_blocking=True), pinned.to("cuda", True),
              pinned.T.to("cuda", non_blocking=True).T, x.to("cuda", non_blocking=True)):
        mt.cuda.synchronize()
        assert mt.equal(y.cpu(), x)
    back = y.to("cpu", non_blocking=True)
    mt.cuda.synchronize()
    assert back.is_pinned() and mt.equal(back, x)
    with pytest.raises(RuntimeError, match="only dense CPU tensors can be pinned"):
        y.pin_memory()
    assert mt.zeros(0).pin_memory().is_pinned() and mt.zeros(3, pin_memory=True).is_pinned()


def test_a_pinned_copy_outlives_its_source(cp):
    from minitorch.device import _copying

    y = mt.ones(4).pin_memory().to("cuda", non_blocking=True)
    assert y.tolist() == [1.0] * 4 and len(_copying) == 1
    mt.ones(4).pin_memory().to("cuda", non_blocking=True)
    assert len(_copying) == 1  # the first is done, and let go


def test_loader_pins():
    from minitorch.utils.data import DataLoader

    assert next(iter(DataLoader([1.0, 2.0], batch_size=2, pin_memory=True))).is_pinned()


def test_the_quick_ways(cp):
    """CPU tensors take the quick way though CuPy is loaded, and so do the GPU's."""
    from minitorch import op

    assert op.QUICK.keys() == {np.ndarray, cp.ndarray}
    x = mt.ones(2, device="cuda", requires_grad=True)
    y = x * 2 + x
    assert y.grad_fn.k is op.QUICK[cp.ndarray] and (mt.ones(2) + 1)._array.__class__ is np.ndarray
    y.sum().backward()
    assert x.grad.tolist() == [3.0, 3.0]


# Memory

def test_memory_figures():
    mt.cuda.empty_cache()
    mt.cuda.reset_peak_memory_stats()
    before, idle = mt.cuda.memory_allocated(), mt.cuda.memory_reserved() - mt.cuda.memory_allocated()  # idle: graphs'
    x = mt.zeros(1 << 18, device="cuda")
    y = x + 1
    del x, y
    z = mt.zeros(1 << 10, device="cuda")
    assert mt.cuda.memory_allocated() == before + (1 << 12)
    assert mt.cuda.max_memory_allocated() == before + 2 * (1 << 20)  # though nobody asked meanwhile
    assert mt.cuda.memory_reserved() >= 2 << 20 and mt.cuda.max_memory_reserved() >= 2 << 20
    stats = mt.cuda.memory_stats()
    assert stats["allocated_bytes.all.peak"] == mt.cuda.max_memory_allocated() and stats["allocation.all.allocated"] > 0
    assert "allocated_bytes.all.current" in mt.cuda.memory_summary()
    mt.cuda.reset_peak_memory_stats()
    assert mt.cuda.max_memory_allocated() == mt.cuda.memory_allocated() == before + (1 << 12)
    mt.cuda.empty_cache()
    assert mt.cuda.memory_reserved() == mt.cuda.memory_allocated() + idle
    free, total = mt.cuda.mem_get_info()
    assert 0 < free <= total and z.is_cuda


def test_out_of_memory():
    mt.cuda.set_per_process_memory_fraction(1e-5)
    try:
        with pytest.raises(mt.cuda.OutOfMemoryError, match=r"CUDA out of memory. Tried to allocate 1.00 GiB. GPU 0 has "
                                                            r"a total capacity of .* GiB of which .* is free"):
            mt.empty(1 << 28, device="cuda")
        assert issubclass(mt.cuda.OutOfMemoryError, RuntimeError)
    finally:
        mt.cuda.set_per_process_memory_fraction(1.0)
    assert mt.empty(8, device="cuda").is_cuda


def test_properties():
    found = mt.cuda.get_device_properties(0)
    assert found.total_memory > 0 and (found.major, found.minor) == mt.cuda.get_device_capability()
    assert found.name == mt.cuda.get_device_name() and found.warp_size == 32
    assert mt.cuda.current_device() == 0 and mt.cuda.device_count() >= 1 and mt.cuda.is_initialized()


# Several GPUs

def test_work_runs_where_tensors_lie(two):
    """Whichever GPU is current: the stand-in, and CuPy without peer access, refuse arrays of another one."""
    mt.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).to("cuda:1")
    plain = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    plain.load_state_dict({name: p.cpu() for name, p in model.state_dict().items()})
    x = mt.randn(5, 3)
    losses = []
    for net, where in ((model, "cuda:1"), (plain, "cpu")):
        optimizer = mt.optim.Adam(net.parameters(), lr=0.1)
        for _ in range(3):
            optimizer.zero_grad()
            loss = (net(x.to(where)) ** 2).mean()
            loss.backward()
            optimizer.step()
        assert str(loss.device) == where
        losses.append(loss.item())
    np.testing.assert_allclose(*losses, rtol=1e-4)
    assert mt.cuda.current_device() == 0
    assert all(str(p.grad.device) == "cuda:1" for p in model.parameters())


def test_between_two_gpus(two):
    x = mt.arange(4.0).to("cuda:0").requires_grad_()
    y = (x * 2).to("cuda:1")
    (y * y).sum().backward()
    assert str(y.device) == "cuda:1" and str(x.grad.device) == "cuda:0" and x.grad.tolist() == [0.0, 8.0, 16.0, 24.0]
    with pytest.raises(RuntimeError, match="cuda:0 and cuda:1"):
        x + y
    with mt.cuda.device(1):
        assert mt.cuda.current_device() == 1 and str(mt.ones(2, device="cuda").device) == "cuda:1"
        assert str(x.to("cuda").device) == "cuda:1" and (x + 1).device.index == 0
    assert mt.cuda.current_device() == 0
    with mt.cuda.device(None), mt.cuda.device_of(y):
        assert mt.cuda.current_device() == 1
    assert mt.cuda.memory_allocated(1) > 0
    assert str(mt.zeros(2, device="cuda:1").device) == "cuda:1"


def test_streams_and_events_of_the_other_gpu(two):
    x, stream = mt.ones(2, device="cuda"), mt.cuda.Stream("cuda:1")
    assert stream.record_event().query()
    mt.cuda.set_stream(stream)
    assert mt.cuda.current_device() == 1 and mt.cuda.current_stream() == stream and (x + 1).tolist() == [2.0, 2.0]
    mt.cuda.set_stream(mt.cuda.default_stream(1))


def test_all_of_cupy_runs_on_the_other_gpu(two):
    """Methods of ufuncs, modules in the module, and what is put right for bfloat16."""
    from minitorch.device import kernels_of

    x = mt.tensor([[2.0, 1.0], [1.0, 3.0]], device="cuda:1")
    xp = kernels_of(x._array).xp
    xp.add.at(x._array, ([0, 0],), 1.0)
    assert x.tolist() == [[4.0, 3.0], [1.0, 3.0]] and xp.linalg.det(x._array).item() == pytest.approx(9)
    y = x.bfloat16()._array
    assert xp.where(xp.greater(y, 1), y, y).dtype == y.dtype == xp.sort(y).dtype
