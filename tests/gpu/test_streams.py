"""Streams, events, memory that several streams use, and graphs that are recorded by hand."""
import numpy as np
import pytest

import minitorch as mt
from minitorch import cuda


@pytest.fixture
def side(device):
    return cuda.Stream()


def test_streams(side):
    first = cuda.current_stream()
    assert first == cuda.default_stream() and side != first and len({first, cuda.current_stream(), side}) == 2
    x = mt.ones(4, device="cuda")
    side.wait_stream(first)
    with cuda.stream(side):
        assert cuda.current_stream() == side
        y = x * 2
        with cuda.stream(None):
            assert cuda.current_stream() == side
    assert cuda.current_stream() == first
    y.record_stream(first)
    first.wait_stream(side)
    assert y.tolist() == [2.0] * 4
    with side:
        assert cuda.current_stream() == side
        cuda.set_stream(first)
    assert side.query() and cuda.current_stream() == first and "cuda_stream" in repr(side)
    side.synchronize()
    assert cuda.ExternalStream(side.cuda_stream) == side


def test_events(side):
    start, end, untimed = cuda.Event(enable_timing=True), cuda.Event(enable_timing=True), cuda.Event()
    assert end.query()
    with pytest.raises(ValueError, match="must be recorded"):
        start.elapsed_time(end)
    start.record()
    mt.ones(4, device="cuda") * 2
    end.record()
    end.synchronize()
    assert start.elapsed_time(end) >= 0
    with pytest.raises(ValueError, match="enable_timing=True"):
        start.elapsed_time(untimed)
    event = side.record_event()
    event.wait()
    cuda.current_stream().wait_event(event)
    assert event.query()


def test_memory_that_another_stream_uses(side):
    """It goes back to the pool only once that stream is done."""
    from minitorch.cuda import streams

    x = mt.ones(1 << 12, device="cuda")
    x.record_stream(side)
    held = cuda.memory_allocated()
    del x
    assert cuda.memory_allocated() == held
    streams._sweep()
    assert cuda.memory_allocated() == held - (1 << 14) and not streams._used_elsewhere


# Graphs by hand

def test_a_graph():
    x = mt.arange(4.0).to("cuda")
    g = cuda.CUDAGraph()
    with cuda.graph(g):
        assert cuda.is_current_stream_capturing()
        y = (x * 2).exp()
        z = y.sum()
    assert not cuda.is_current_stream_capturing()
    for i in range(3):
        x.copy_(mt.full((4,), float(i)))
        g.replay()
        np.testing.assert_allclose(y.cpu().numpy(), np.exp(np.full(4, 2.0 * i)), rtol=1e-5)
        np.testing.assert_allclose(z.item(), 4 * np.exp(2.0 * i), rtol=1e-5)


def test_the_memory_of_a_graph():
    """Between its launches it only looks idle; it goes back to the GPU with the graph and the last of its arrays."""
    x, g = mt.ones(1 << 20, device="cuda"), cuda.CUDAGraph()
    with cuda.graph(g):
        y = (x * 2).exp().log() + 1
    cuda.empty_cache()
    free = cuda.mem_get_info()[0]
    g.replay()
    assert y[-1].item() == pytest.approx(3)
    g.reset()
    assert y[-1].item() == pytest.approx(3)
    del y
    cuda.empty_cache()
    assert cuda.mem_get_info()[0] >= free + (1 << 22)


def test_a_drawing_of_a_graph(tmp_path):
    g = cuda.CUDAGraph()
    with cuda.graph(g):
        mt.ones(3, device="cuda") * 2
    g.debug_dump(str(tmp_path / "graph.dot"))
    assert (tmp_path / "graph.dot").read_text().startswith("digraph")


def test_begin_and_end(side):
    x = mt.ones(4, device="cuda")
    g, h = cuda.CUDAGraph(), cuda.CUDAGraph()
    with pytest.raises(RuntimeError, match="non-default stream"):
        g.capture_begin()
    with pytest.raises(RuntimeError, match="without a preceding successful capture"):
        g.replay()
    with pytest.raises(RuntimeError, match="without a preceding successful capture"):
        g.pool()
    with cuda.stream(side):
        g.capture_begin()
        with pytest.raises(RuntimeError, match="records a graph already"):
            h.capture_begin()
        y = x + 1
        g.capture_end()
        h.capture_begin(pool=g.pool())
        z = y * 3
        h.capture_end()
    x.fill_(4.0)
    g.replay()
    h.replay()
    assert z.tolist() == [15.0] * 4
    with pytest.raises(RuntimeError, match="already owns a captured graph"), cuda.stream(side):
        g.capture_begin()
    g.reset()
    with pytest.raises(RuntimeError, match="preceding successful capture"):
        g.replay()
    with pytest.raises(RuntimeError, match="Unknown capture error mode"):
        h.capture_begin(capture_error_mode="no")


def test_what_cannot_be_recorded():
    x, g = mt.ones(4, device="cuda"), cuda.CUDAGraph()
    with pytest.raises((RuntimeError, ValueError), match="captur"), cuda.graph(g):  # what CuPy raises
        x.sum().item()
    assert not cuda.is_current_stream_capturing() and (x + 1).tolist() == [2.0] * 4
    with pytest.raises(RuntimeError, match="drawn on the CPU"), cuda.graph(cuda.CUDAGraph()):
        mt.rand(3)


def test_random_numbers_differ():
    mt.manual_seed(5)
    want = [mt.rand(6, device="cuda").tolist() for _ in range(3)]
    mt.manual_seed(5)
    g = cuda.CUDAGraph()
    with cuda.graph(g):
        x = mt.rand(6, device="cuda")
    found = []
    for _ in range(3):
        g.replay()
        found.append(x.tolist())
    assert found == want


def test_another_thread_meanwhile():
    """What it moves to the GPU is its own affair."""
    import threading

    g, found = cuda.CUDAGraph(), []
    with cuda.graph(g):
        thread = threading.Thread(target=lambda: found.append((mt.arange(3.0).to("cuda") + 1).tolist()))
        thread.start()
        thread.join()
    assert found == [[1.0, 2.0, 3.0]] and len(g._kept) == 1


def test_a_constant_of_the_cpu():
    g = cuda.CUDAGraph()
    x = mt.ones(3, device="cuda")
    with cuda.graph(g):
        y = x * mt.tensor([1.0, 2.0, 3.0]).to("cuda") + mt.tensor(1.0)
    x.fill_(2.0)
    g.replay()
    assert y.tolist() == [3.0, 5.0, 7.0]


@pytest.mark.parametrize("make", [lambda p: mt.optim.SGD(p, lr=0.1, momentum=0.9), lambda p: mt.optim.Adam(p, lr=0.1)])
def test_a_whole_step_by_hand(make):
    """As PyTorch's documentation records one: warm up aside, record, copy inputs in, replay."""
    found = []
    for by_hand in (False, True):
        w = mt.ones(3, device="cuda").requires_grad_()
        optimizer, x = make([w]), mt.zeros(3, device="cuda")
        scheduler = mt.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)

        def step(w=w, optimizer=optimizer, x=x):
            optimizer.zero_grad()
            ((w * x - 1) ** 2).sum().backward()
            optimizer.step()

        x.fill_(0.5)
        step()
        if by_hand:
            g = cuda.CUDAGraph()
            with cuda.graph(g):
                step()
        for i in range(3):
            x.copy_(mt.full((3,), float(i)))
            g.replay() if by_hand else step()
            scheduler.step()
        found.append((w.tolist(), w.grad.tolist()))
    assert found[0] == found[1]


def test_an_optimizer_that_cannot_be_recorded():
    w = mt.ones(3, device="cuda").requires_grad_()
    optimizer = mt.optim.NAdam([w])
    w.grad = mt.ones(3, device="cuda")
    with pytest.raises(RuntimeError, match="a step of NAdam cannot be recorded"), cuda.graph(cuda.CUDAGraph()):
        optimizer.step()


def test_make_graphed_callables():
    x = mt.randn(2, 3).to("cuda").requires_grad_()
    model, f = mt.nn.Linear(3, 2).to("cuda"), lambda x: (x * 2).tanh()
    graphed, g = cuda.make_graphed_callables((model, f), ((x,), (x,)))
    y = mt.randn(2, 3).to("cuda").requires_grad_()
    found = []
    for first, second in ((graphed, g), (model, f)):
        y.grad = model.weight.grad = None
        (first(y).sum() + second(y).sum()).backward()
        found.append((y.grad.tolist(), model.weight.grad.tolist()))
    assert found[0] == found[1] and graphed.compiled.replays == g.replays == 1
    with pytest.raises(mt.capture.Unsupported, match="value is read"):
        cuda.make_graphed_callables(lambda x: x * x.sum().item(), (x,))
    with pytest.raises(ValueError, match="2 callables need as many"):
        cuda.make_graphed_callables((model, f), ((x,),))
