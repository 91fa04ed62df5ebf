"""Several processes: shared tensors, `spawn`, a world of one, data parallelism by name."""
from __future__ import annotations

import multiprocessing as python
import os
import subprocess
import sys
from pathlib import Path

import pytest

import minitorch as mt
import minitorch.distributed as dist
import minitorch.multiprocessing as mp
from minitorch import nn

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = """
import torch, torch.multiprocessing as mp

def train(rank, model, queue):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(torch.ones(2, 3)).sum().backward()
    optimizer.step()
    queue.put(torch.full((2,), rank))

def fail(rank, text):
    if rank == 1:
        raise ValueError(text)

if __name__ == "__main__":
    model = torch.nn.Linear(3, 2)
    model.share_memory()
    before, context = model.weight.detach().clone(), mp.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=train, args=(7, model, queue))
    process.start()
    print(queue.get().tolist())
    process.join()
    print(round((before - model.weight).sum().item(), 4))
    try:
        mp.spawn(fail, args=("it broke",), nprocs=2)
    except mp.ProcessRaisedException as error:
        print(error.error_index, "it broke" in str(error))
"""


def test_spawned_processes_know_the_lent_names_and_share_memory(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    path = os.pathsep.join([str(ROOT / "kernels"), str(ROOT)])
    done = subprocess.run([sys.executable, "-m", "minitorch", "run", str(program)], capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": path}, timeout=120)
    assert done.stdout.split("\n")[:3] == ["[7, 7]", "1.2", "1 True"], done.stderr


@pytest.mark.skipif("fork" not in python.get_all_start_methods(), reason="this system does not fork")
def test_forked_processes_write_to_shared_memory():
    t, own = mt.zeros(3).share_memory_(), mt.zeros(3)
    process = mp.get_context("fork").Process(target=_fill, args=(t, own))
    process.start()
    process.join()
    assert t.tolist() == [1, 1, 1] and own.tolist() == [0, 0, 0] and t.is_shared() and not own.is_shared()


def _fill(*tensors):
    for t in tensors:
        t.fill_(1)


def test_shared_memory_travels_by_name():
    from multiprocessing.reduction import ForkingPickler
    from pickle import loads

    p = nn.Parameter(mt.arange(6.0).view(2, 3))
    p.data = p.data.share_memory_()
    again = loads(ForkingPickler.dumps(p))
    assert isinstance(again, nn.Parameter) and again.requires_grad
    again.data[0, 0] = 9
    assert p[0, 0].item() == 9
    view = loads(ForkingPickler.dumps(p.data.t()[1:]))
    view.fill_(5)
    assert p.tolist() == [[9, 5, 5], [3, 5, 5]]
    q = loads(ForkingPickler.dumps(mt.ones(2)))
    assert q.tolist() == [1, 1] and not q.is_shared()
    empty = mt.zeros(0, 2).share_memory_()
    assert empty.is_shared() and empty.shape == (0, 2)


def test_names_of_multiprocessing():
    assert mp.Process is python.Process and mp.Value("i", 3).value == 3 and mp.cpu_count() > 0
    mp.set_sharing_strategy("file_system")
    assert mp.get_sharing_strategy() == "file_system"
    with pytest.raises(AttributeError, match="nearest that exists is 'spawn'"):
        mp.spwan  # noqa: B018


@pytest.fixture
def world():
    dist.init_process_group("gloo", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def test_a_world_of_one(world):
    assert dist.is_initialized() and (dist.get_rank(), dist.get_world_size(), dist.get_backend()) == (0, 1, "gloo")
    t, out = mt.tensor([1.0, 2.0]), [mt.zeros(2)]
    dist.all_reduce(t, op=dist.ReduceOp.SUM)
    dist.broadcast(t, src=0)
    dist.all_gather(out, t)
    dist.barrier()
    assert t.tolist() == out[0].tolist() == [1, 2] and dist.all_reduce(t, async_op=True).wait()
    gathered = [None]
    dist.all_gather_object(gathered, {"a": 1})
    assert gathered == [{"a": 1}]
    with pytest.raises(ValueError, match="src 1"):
        dist.broadcast(t, src=1)
    with pytest.raises(dist.DistributedError):
        dist.send(t, dst=1)
    assert len(mt.utils.data.DistributedSampler(range(5))) == 5


def test_distributed_data_parallel(world):
    lin = nn.Linear(2, 2)
    model = nn.parallel.DistributedDataParallel(lin, device_ids=None)
    assert list(model.state_dict()) == ["module.weight", "module.bias"]
    with model.no_sync():
        assert mt.equal(model(mt.ones(1, 2)), lin(mt.ones(1, 2)))
    with pytest.raises(RuntimeError, match="any parameter"):
        nn.parallel.DistributedDataParallel(nn.ReLU())


def test_what_is_refused_before_and_beyond(monkeypatch):
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ValueError, match="not been initialized"):
        dist.get_rank()
    with pytest.raises(ValueError, match="not been initialized"):
        nn.parallel.DistributedDataParallel(nn.Linear(1, 1))
    with pytest.raises(ValueError, match="RANK expected"):
        dist.init_process_group("gloo")
    with pytest.raises(RuntimeError, match="a world of 4 processes"):
        dist.init_process_group("gloo", rank=0, world_size=4)
    with pytest.raises(ValueError, match="invalid backend"):
        dist.init_process_group("carrier pigeon", rank=0, world_size=1)
    assert not dist.is_initialized()


def test_a_batch_cut_up_and_put_together():
    lin, x = nn.Linear(2, 3), mt.arange(8.0).view(4, 2)
    parts = nn.parallel.scatter(({"x": x}, 5), ["cpu", "cpu"])
    assert len(parts) == 2 and parts[1][0]["x"].tolist() == x[2:].tolist() and parts[1][1] == 5
    copies = nn.parallel.replicate(lin, ["cpu", "cpu"])
    y = nn.parallel.gather(nn.parallel.parallel_apply(copies, x.chunk(2)), "cpu")
    assert mt.allclose(y, lin(x))
    y.sum().backward()
    assert lin.weight.grad.tolist() == [[12.0, 16.0]] * 3 and lin.bias.grad.tolist() == [4, 4, 4]
