"""Datasets, samplers and the DataLoader: order and random draws as PyTorch has them, workers, resuming."""
import collections
import contextlib
import gc
import itertools
import os
import pickle
import random
import re
import sys
import threading
import time

import numpy as np
import pytest

import minitorch
from minitorch.utils import data
from minitorch.utils.data import workers as worker_module
from minitorch.utils.data.dataset import Columns

N = 23


class Squares(data.Dataset):
    def __init__(self, length=N):
        self.length = length

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        if not 0 <= index < self.length:
            raise IndexError(index)
        return index, float(index) ** 2, np.full(2, index, np.float32)


class Noisy(Squares):
    """Samples with a random part, drawn by whoever fetches them."""

    def __getitem__(self, index):
        return index, minitorch.rand(1)


class Stream(data.IterableDataset):
    def __init__(self, length=N):
        self.length = length

    def __iter__(self):
        info = data.get_worker_info()
        start, step = (0, 1) if info is None else (info.id, info.num_workers)
        return iter(range(start, self.length, step))


class Failing(Squares):
    def __getitem__(self, index):
        if index == 5:
            raise KeyError("sample five")
        return index


class Dying(Squares):
    def __getitem__(self, index):
        if index == 5:
            os._exit(7)
        return index


class Slow(Squares):
    def __getitem__(self, index):
        time.sleep(0.3)
        return index


class Unpicklable(Squares):
    def __init__(self):
        super().__init__()
        self.function = lambda index: index


def plain(batch):
    """A batch as nested lists."""
    if isinstance(batch, (list, tuple)):
        return [plain(member) for member in batch]
    if isinstance(batch, dict):
        return {key: plain(member) for key, member in batch.items()}
    return batch.tolist() if hasattr(batch, "tolist") else batch


def batches(loader):
    return [plain(batch) for batch in loader]


def both(module_seed=5):
    """torch and minitorch, seeded alike."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(module_seed)
    minitorch.manual_seed(module_seed)
    return torch


def worker_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("DataLoader worker")]


def wait_until(condition, seconds=5):
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


# Datasets


def test_tensor_dataset():
    x, y = minitorch.arange(6).reshape(3, 2), minitorch.tensor([7, 8, 9])
    dataset = data.TensorDataset(x, y)
    assert len(dataset) == 3
    assert plain(dataset[1]) == [[2, 3], 8]
    with pytest.raises(AssertionError, match=r"Size mismatch between tensors: .* got \[3, 2\]"):
        data.TensorDataset(x, y[:2])


def test_concat_chain_and_addition():
    joined = Squares(3) + Squares(2)
    assert [joined[i][0] for i in range(5)] == [0, 1, 2, 0, 1]
    assert joined[-1][0] == 1
    with pytest.raises(IndexError, match="index 5 is out of range for 5"):
        joined[5]
    with pytest.raises(ValueError, match="-6"):
        joined[-6]
    assert list(Stream(2) + Stream(3)) == [0, 1, 0, 1, 2]
    with pytest.raises(AssertionError):
        data.ConcatDataset([])
    with pytest.raises(AssertionError):
        data.ConcatDataset([Stream()])
    with pytest.raises(AssertionError):
        list(data.ChainDataset([Squares()]))


def test_stack_dataset():
    pair = data.StackDataset(Squares(3), "abc")
    assert pair[1][1] == "b" and len(pair) == 3
    assert [sample[1] for sample in pair.__getitems__([2, 0])] == ["c", "a"]
    assert data.StackDataset(a=[1, 2], b=[3, 4])[0] == {"a": 1, "b": 3}
    for bad in (lambda: data.StackDataset(), lambda: data.StackDataset([1], [1, 2])):
        with pytest.raises(ValueError):
            bad()


def test_subset_reads_batches_from_what_it_wraps():
    inner = data.TensorDataset(minitorch.arange(10))
    subset = data.Subset(data.Subset(inner, [5, 6, 7, 8]), [3, 1])
    assert plain(subset[0]) == [8]
    assert isinstance(subset.__getitems__([0, 1]), Columns)
    assert plain(data.default_collate(subset.__getitems__([1, 0]))) == [[6, 8]]


def test_a_redefined_getitem_is_not_bypassed():
    class Shifted(data.TensorDataset):
        def __getitem__(self, index):
            return super().__getitem__(index)[0] + 100

    loader = data.DataLoader(Shifted(minitorch.arange(4)), batch_size=4)
    assert batches(loader) == [[100, 101, 102, 103]]
    assert batches(data.DataLoader(data.Subset(loader.dataset, [3, 0]), batch_size=2)) == [[103, 100]]


def test_custom_collate_fn_gets_a_list_of_samples():
    dataset = data.TensorDataset(minitorch.arange(4), minitorch.arange(4) * 2)

    def collate(samples):
        assert type(samples) is list and type(samples[0]) is tuple
        samples.sort(key=lambda sample: -sample[0].item())
        return plain(samples)

    assert batches(data.DataLoader(dataset, 2, collate_fn=collate)) == [[[1, 2], [0, 0]], [[3, 6], [2, 4]]]


@pytest.mark.parametrize("lengths", [[10, 13], [23, 0], [0.5, 0.25, 0.25], [0.9, 0.1]])
def test_random_split(lengths):
    torch = both()
    import torch.utils.data as torch_data

    ours = data.random_split(range(N), lengths)
    theirs = torch_data.random_split(range(N), lengths)
    assert [part.indices for part in ours] == [part.indices for part in theirs]
    assert minitorch.rand(1).item() == torch.rand(1).item()
    ours = data.random_split(range(N), lengths, generator=minitorch.Generator().manual_seed(3))
    theirs = torch_data.random_split(range(N), lengths, generator=torch.Generator().manual_seed(3))
    assert [part.indices for part in ours] == [part.indices for part in theirs]


def test_random_split_refuses_wrong_lengths():
    with pytest.raises(ValueError, match="sum to 9, the dataset has 10"):
        data.random_split(range(10), [4, 5])
    with pytest.raises(ValueError, match="index 0 is not between 0 and 1"):
        data.random_split(range(10), [-0.5, 1.5])
    with pytest.warns(UserWarning, match="split 1"):
        data.random_split(range(3), [0.9999, 0.0001])


# Samplers

SAMPLERS = {
    "sequential": lambda d, g: d.SequentialSampler(range(N)),
    "random": lambda d, g: d.RandomSampler(range(N), generator=g),
    "random, fewer": lambda d, g: d.RandomSampler(range(N), num_samples=9, generator=g),
    "random, more": lambda d, g: d.RandomSampler(range(N), num_samples=2 * N + 5, generator=g),
    "replacement": lambda d, g: d.RandomSampler(range(N), replacement=True, num_samples=70, generator=g),
    "subset": lambda d, g: d.SubsetRandomSampler([4, 8, 15, 16, 23, 42], generator=g),
    "weighted": lambda d, g: d.WeightedRandomSampler([0.1, 0.9, 0.4, 0.7, 3.0, 0.6], 12, generator=g),
    "weighted, once": lambda d, g: d.WeightedRandomSampler([0.9, 0.4, 0.1, 0.2], 3, replacement=False, generator=g),
    "batches": lambda d, g: d.BatchSampler(d.RandomSampler(range(N), generator=g), 4, False),
    "batches, whole": lambda d, g: d.BatchSampler(d.RandomSampler(range(N), generator=g), 4, True),
}


@pytest.mark.parametrize("own_generator", [False, True])
@pytest.mark.parametrize("name", SAMPLERS)
def test_samplers_draw_what_torch_draws(name, own_generator):
    torch = both()
    import torch.utils.data as torch_data

    ours = SAMPLERS[name](data, minitorch.Generator().manual_seed(11) if own_generator else None)
    theirs = SAMPLERS[name](torch_data, torch.Generator().manual_seed(11) if own_generator else None)
    assert len(ours) == len(theirs)
    for _ in range(2):
        assert list(ours) == list(theirs)
    assert minitorch.rand(1).item() == torch.rand(1).item()


def test_an_endless_sampler_starts_at_once():
    """Programs that count their own steps ask for 10^10 samples: no list of them may be made."""
    sampler = data.RandomSampler(range(N), replacement=True, num_samples=10**10)
    start = time.perf_counter()
    assert all(0 <= i < N for i in itertools.islice(sampler, 100))
    assert time.perf_counter() - start < 1


@pytest.mark.parametrize("own_generator", [False, True])
@pytest.mark.parametrize("name", SAMPLERS)
def test_samplers_resume(name, own_generator):
    def make():
        return SAMPLERS[name](data, minitorch.Generator().manual_seed(11) if own_generator else None)

    minitorch.manual_seed(1)
    whole = make()
    first, second = list(whole), list(whole)

    minitorch.manual_seed(1)
    stopped = make()
    iterator = iter(stopped)
    assert [next(iterator), next(iterator)] == first[:2]
    state = pickle.loads(pickle.dumps(stopped.state_dict()))
    global_state = minitorch.get_rng_state()

    minitorch.manual_seed(99)
    resumed = make()
    resumed.load_state_dict(state)
    minitorch.set_rng_state(global_state)
    assert resumed.state_dict()["position"] == 2
    assert list(resumed) == first[2:]
    assert list(resumed) == second


def test_a_pass_left_early_has_drawn_what_torch_draws():
    torch = both()
    import torch.utils.data as torch_data

    ours, theirs = minitorch.Generator().manual_seed(11), torch.Generator().manual_seed(11)
    for sampler in (data.RandomSampler(range(N), True, 70, ours), torch_data.RandomSampler(range(N), True, 70, theirs)):
        next(iter(sampler))
    assert minitorch.rand(1, generator=ours).item() == torch.rand(1, generator=theirs).item()


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("length, replicas", [(10, 2), (11, 3), (2, 5), (0, 2)])
def test_distributed_sampler(length, replicas, shuffle, drop_last):
    pytest.importorskip("torch")
    from torch.utils.data.distributed import DistributedSampler

    for rank in range(replicas):
        ours, theirs = (
            kind(range(length), num_replicas=replicas, rank=rank, shuffle=shuffle, seed=3, drop_last=drop_last)
            for kind in (data.DistributedSampler, DistributedSampler)
        )
        for epoch in (0, 1):
            ours.set_epoch(epoch)
            theirs.set_epoch(epoch)
            assert len(ours) == len(theirs)
            if length:
                assert list(ours) == list(theirs)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: data.RandomSampler([]), "num_samples=0"),
        (lambda: data.RandomSampler([1], num_samples=1.5), "num_samples=1.5"),
        (lambda: data.WeightedRandomSampler([1.0], 0), "num_samples=0"),
        (lambda: data.WeightedRandomSampler([[1.0]], 1), r"shape \(1, 1\)"),
        (lambda: data.WeightedRandomSampler([1.0], 1, replacement=2), "boolean"),
        (lambda: data.BatchSampler([1], True, False), "batch_size=True"),
        (lambda: data.BatchSampler([1], 1, "no"), "drop_last=no"),
        (lambda: data.DistributedSampler([1], 2, 2), r"rank 2.*\[0, 1\]"),
    ],
)
def test_samplers_refuse(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_random_sampler_refuses_a_replacement_that_is_no_bool():
    with pytest.raises(TypeError, match="replacement=1"):
        data.RandomSampler([1], replacement=1)


# Collation

Point = collections.namedtuple("Point", "x y")
SAMPLES = {
    "ints": [1, 2],
    "floats": [0.5, 1.5],
    "bools": [True, False],
    "strings": ["a", "b"],
    "bytes": [b"a", b"b"],
    "tuples": [(1, 2.0), (3, 4.0)],
    "lists": [[1, "a"], [2, "b"]],
    "dicts": [{"x": 1, "y": [1.0]}, {"x": 2, "y": [2.0]}],
    "named": [Point(1, 2.0), Point(3, 4.0)],
    "arrays": [np.zeros((2, 3), np.float32), np.ones((2, 3), np.float32)],
    "0-d arrays": [np.array(1.0), np.array(2.0)],
    "mixed arrays": [np.zeros(2, np.float32), np.ones(2, np.float64)],
    "scalars": [np.float32(1), np.float32(2)],
    "numpy bools": [np.True_, np.False_],
    "uint8": [np.arange(3, dtype=np.uint8), np.arange(3, dtype=np.uint8)],
    "empty arrays": [np.zeros((0, 2)), np.zeros((0, 2))],
    "ordered": [collections.OrderedDict(b=1, a=2), collections.OrderedDict(b=3, a=4)],
    "ranges": [range(2), range(2, 4)],
}


def describe(value):
    """Types, dtypes and values, comparable between the two frameworks."""
    if hasattr(value, "dtype"):
        return str(value.dtype).split(".")[-1], tuple(value.shape), value.tolist()
    if isinstance(value, dict):
        return type(value), {key: describe(member) for key, member in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value), [describe(member) for member in value]
    return type(value), value


@pytest.mark.parametrize("name", SAMPLES)
def test_collate_and_convert_as_torch(name):
    pytest.importorskip("torch")
    import torch.utils.data as torch_data

    assert describe(data.default_collate(SAMPLES[name])) == describe(torch_data.default_collate(SAMPLES[name]))
    assert describe(data.default_convert(SAMPLES[name])) == describe(torch_data.default_convert(SAMPLES[name]))


def test_collate_tensors():
    batch = data.default_collate([minitorch.ones(2), minitorch.zeros(2)])
    assert plain(batch) == [[1.0, 1.0], [0.0, 0.0]]
    with pytest.raises((RuntimeError, ValueError)):
        data.default_collate([minitorch.ones(2), minitorch.ones(3)])
    with pytest.raises((RuntimeError, ValueError)):
        data.default_collate([np.ones(2), np.ones(3)])


def test_collate_refuses():
    with pytest.raises(RuntimeError, match=r"equal size.*\[1, 2\]"):
        data.default_collate([[1], [1, 2]])
    with pytest.raises(TypeError, match="object"):
        data.default_collate([object()])
    with pytest.raises(TypeError, match="dtype <U1"):
        data.default_collate([np.array(["a"])])


def test_collate_table_can_be_extended():
    table = data.default_collate_fn_map
    table[complex] = lambda batch, collate_fn_map=None: sum(batch)
    try:
        assert data.default_collate([(1j, 1), (2, 2)])[0] == 2 + 1j
    finally:
        del table[complex]


# The loader

LOADERS = [
    {"batch_size": 4, "shuffle": True},
    {"batch_size": 4},
    {"batch_size": 4, "shuffle": True, "drop_last": True},
    {"batch_size": None, "shuffle": True},
    {"batch_size": 30},
    {"batch_sampler": [[1, 2], [3]]},
    {"sampler": [5, 3, 1], "batch_size": 2},
]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("arguments", LOADERS, ids=str)
def test_loader_gives_what_torch_gives(arguments, workers):
    """torch itself runs without worker processes: they change neither batches nor the draws of the main process."""
    torch = both()
    import torch.utils.data as torch_data

    ours = data.DataLoader(Squares(), num_workers=workers, **arguments)
    theirs = torch_data.DataLoader(Squares(), **arguments)
    assert len(ours) == len(theirs)
    for _ in range(2):
        assert [describe(batch) for batch in ours] == [describe(batch) for batch in theirs]
    assert minitorch.rand(1).item() == torch.rand(1).item()


def test_loader_with_a_generator_draws_from_it_alone():
    torch = both()
    import torch.utils.data as torch_data

    ours = data.DataLoader(Squares(), 4, True, generator=minitorch.Generator().manual_seed(8))
    theirs = torch_data.DataLoader(Squares(), 4, True, generator=torch.Generator().manual_seed(8))
    for _ in range(3):
        assert batches(ours) == batches(theirs)
    assert minitorch.rand(1).item() == torch.rand(1).item()


def test_augmentation_draws_what_torch_draws():
    torch = both()
    import torch.utils.data as torch_data

    class TorchNoisy(Squares):
        def __getitem__(self, index):
            return index, torch.rand(1)

    assert batches(data.DataLoader(Noisy(), 4, True)) == batches(torch_data.DataLoader(TorchNoisy(), 4, True))


def test_worker_threads_draw_as_seeded_by_torch():
    """Worker w draws from a generator seeded base_seed + w, and takes every num_workers-th batch."""
    minitorch.manual_seed(4)
    base_seed = minitorch.empty((), dtype=minitorch.int64).random_().item()
    generators = [minitorch.Generator().manual_seed(base_seed + worker) for worker in range(2)]
    expected = [
        [minitorch.rand(1, generator=generators[number % 2]).item() for _ in range(min(4, N - 4 * number))]
        for number in range(6)
    ]
    after = minitorch.rand(1).item()
    minitorch.manual_seed(4)
    got = [batch[1].reshape(-1).tolist() for batch in data.DataLoader(Noisy(), 4, num_workers=2)]
    assert got == expected
    assert minitorch.rand(1).item() == after  # the workers left the global generator alone


class Mixed(data.Dataset):
    """Draws with `random` and `numpy.random`, the shared generators of a process."""

    def __len__(self):
        return 8

    def __getitem__(self, index):
        time.sleep(0.001 * (index % 3))  # the workers overtake each other
        return index, np.random.randint(1000), random.randint(0, 999), np.random.ranf()


@pytest.mark.parametrize("context", [None, "spawn"])
def test_workers_draw_with_python_and_numpy_as_torch_has_them(context):
    """`random` starts from base_seed + w, `numpy.random` from four words of a SeedSequence; both of each worker."""
    minitorch.manual_seed(0)
    base_seed = 900450186894289455  # PyTorch's first draw after manual_seed(0)
    expected = []
    for worker in range(2):
        own = random.Random(base_seed + worker)
        numpy_own = np.random.RandomState(
            np.random.SeedSequence([worker, base_seed % 2**32, base_seed >> 32, 0]).generate_state(4))
        expected += [(i, numpy_own.randint(1000), own.randint(0, 999), numpy_own.random_sample())
                     for i in range(8) if i // 2 % 2 == worker]
    random.seed(3)
    np.random.seed(3)
    states = random.getstate(), np.random.get_state()[1].tolist()
    loader = data.DataLoader(Mixed(), 2, num_workers=2, multiprocessing_context=context)
    got = [tuple(row) for batch in loader for row in zip(*(part.tolist() for part in batch), strict=True)]
    assert got == sorted(expected) and got[0][1:3] == (522, 218)  # PyTorch's numbers
    assert (random.getstate(), np.random.get_state()[1].tolist()) == states  # the program's own draws go on as before
    assert random.random() == random.Random(3).random() and pickle.loads(pickle.dumps(np.random.rand)) is np.random.rand


class Blur:
    """A transform that keeps something between two lines, as one does that fills the weights of a layer."""

    def __call__(self, value):
        self.kept = value
        time.sleep(0.002)
        return self.kept


class Transformed(data.Dataset):
    def __init__(self):
        self.data = np.arange(16)
        self.transform, self.own = Blur(), self.through

    def through(self, value):
        self.seen = value
        return self.transform(value) if self.seen == value else -1

    def __len__(self):
        return 16

    def __getitem__(self, index):
        return self.own(int(self.data[index]))


@pytest.mark.parametrize("wrap", [
    lambda dataset: dataset, lambda dataset: data.Subset(dataset, range(16)),
    lambda dataset: data.ConcatDataset([dataset])])
def test_worker_threads_have_transforms_of_their_own_and_share_the_data(wrap):
    inner = Transformed()
    loader = data.DataLoader(wrap(inner), batch_size=2, num_workers=4)
    assert [v for batch in loader for v in batch.tolist()] == list(range(16))
    assert not hasattr(inner, "seen") and not hasattr(inner.transform, "kept")
    own = worker_module._own_copy(inner)
    assert own.data is inner.data and own.transform is not inner.transform and own.own.__self__ is own


def test_the_loaders_modules_have_pytorchs_names():
    from minitorch.utils.data import dataloader
    from minitorch.utils.data._utils import collate, pin_memory, worker

    assert collate.default_collate is data.default_collate is dataloader.default_collate
    assert worker.get_worker_info is data.get_worker_info is dataloader.get_worker_info
    assert collate.collate([1, 2], collate_fn_map={int: collate.collate_int_fn}).tolist() == [1, 2]
    assert collate.np_str_obj_array_pattern.search("U") and pin_memory.pin_memory(3) == 3


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_streams(workers):
    loader = data.DataLoader(Stream(), batch_size=4, num_workers=workers)
    seen = [index for batch in loader for index in batch.tolist()]
    assert sorted(seen) == list(range(N))
    if not workers:
        assert [len(batch) for batch in loader] == [4, 4, 4, 4, 4, 3]
        assert [len(batch) for batch in data.DataLoader(Stream(), 4, drop_last=True)] == [4] * 5
        assert plain(list(data.DataLoader(Stream(3), batch_size=None))) == [0, 1, 2]


def test_stream_batches_come_in_the_order_of_torch():
    """The order of torch's worker processes: workers in turn, each with its own batches, until it has no more."""
    loader = data.DataLoader(Stream(10), batch_size=2, num_workers=3)
    assert batches(loader) == [[0, 3], [1, 4], [2, 5], [6, 9], [7], [8]]


def test_stream_length_is_checked():
    class Liar(Stream):
        def __len__(self):
            return 4

    loader = data.DataLoader(Liar(), batch_size=4)
    assert len(loader) == 1
    with pytest.warns(UserWarning, match="reported 1 batches, but the Liar gives more"):
        list(loader)
    with pytest.raises(TypeError):
        len(data.DataLoader(Stream()))


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"num_workers": -1}, "num_workers"),
        ({"timeout": -1, "num_workers": 1}, "timeout option should be non-negative"),
        ({"timeout": 1}, "timeout option needs num_workers"),
        ({"prefetch_factor": 2}, "prefetch_factor option needs"),
        ({"prefetch_factor": 0, "num_workers": 1}, "positive, got 0"),
        ({"persistent_workers": True}, "persistent_workers option needs"),
        ({"multiprocessing_context": "spawn"}, "num_workers=0"),
        ({"multiprocessing_context": "teleport", "num_workers": 1}, "teleport"),
        ({"sampler": [1], "shuffle": True}, "mutually exclusive with shuffle"),
        ({"batch_sampler": [[1]], "batch_size": 2}, "mutually exclusive with batch_size"),
        ({"batch_size": None, "drop_last": True}, "disables auto-batching"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"dataset": Stream(), "shuffle": True}, "unspecified shuffle"),
        ({"dataset": Stream(), "sampler": [1]}, "unspecified sampler"),
        ({"dataset": Stream(), "batch_sampler": [[1]]}, "unspecified batch_sampler"),
    ],
)
def test_loader_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        data.DataLoader(**{"dataset": Squares(), **arguments})


def test_loader_attributes_are_fixed():
    loader = data.DataLoader(Squares())
    with pytest.raises(ValueError, match="batch_size attribute should not be set"):
        loader.batch_size = 3
    with pytest.raises(TypeError, match="got int"):
        data.DataLoader(Squares(), num_workers=1, multiprocessing_context=3)


def test_a_stop_iteration_in_a_sample_does_not_end_the_epoch():
    class Stopping(Squares):
        def __getitem__(self, index):
            return next(iter([]))

    for workers in (0, 1):
        with pytest.raises(RuntimeError, match="raised StopIteration"):
            list(data.DataLoader(Stopping(), num_workers=workers))


# Worker threads


def test_order_is_kept_whatever_the_speed():
    class Uneven(Squares):
        def __getitem__(self, index):
            time.sleep(0.01 * (index % 3))
            return index

    loader = data.DataLoader(Uneven(), 2, num_workers=3)
    assert [index for batch in batches(loader) for index in batch] == list(range(N))
    unordered = data.DataLoader(Uneven(), 2, num_workers=3, in_order=False)
    assert sorted(index for batch in batches(unordered) for index in batch) == list(range(N))


def test_batches_are_fetched_ahead():
    fetched = []

    class Recording(Squares):
        def __getitem__(self, index):
            fetched.append(index)
            return index

    iterator = iter(data.DataLoader(Recording(), num_workers=2, prefetch_factor=3))
    assert wait_until(lambda: len(fetched) == 6)
    time.sleep(0.05)
    assert sorted(fetched) == list(range(6))
    next(iterator)
    assert wait_until(lambda: len(fetched) == 7)


def test_worker_exception_is_raised_with_its_traceback():
    loader = data.DataLoader(Failing(), batch_size=2, num_workers=2)
    got = []
    with pytest.raises(KeyError, match="sample five") as caught:
        for batch in loader:
            got.append(batch.tolist())
    assert got == [[0, 1], [2, 3]]
    told = str(caught.value)
    assert re.match(r"Caught KeyError in DataLoader worker process \d\.\nOriginal Traceback \(most recent", told)
    assert "in __getitem__" in told and told.endswith("KeyError: 'sample five'\n")
    assert any(entry.name == "__getitem__" for entry in caught.traceback)
    del caught
    assert wait_until(lambda: not worker_threads())


def test_leaving_early_ends_the_workers_at_once():
    begun = time.monotonic()
    for _ in data.DataLoader(Slow(), batch_size=1, num_workers=2):
        break
    assert time.monotonic() - begun < 0.55  # one sample, not the two or three under way
    assert wait_until(lambda: not worker_threads())


def test_a_finished_iterator_keeps_no_workers():
    iterator = iter(data.DataLoader(Squares(4), num_workers=2))
    assert len(list(iterator)) == 4
    assert wait_until(lambda: not worker_threads())
    assert next(iterator, "end") == "end"


def test_an_iterator_is_freed_without_the_garbage_collector():
    gc.disable()
    try:
        iterator = iter(data.DataLoader(Failing(), num_workers=1))
        for _ in range(5):
            next(iterator)
        with contextlib.suppress(KeyError):
            next(iterator)
        del iterator
        assert wait_until(lambda: not worker_threads())
    finally:
        gc.enable()


def test_timeout():
    with pytest.raises(RuntimeError, match=r"timed out after 0\.05 seconds"):
        list(data.DataLoader(Slow(), num_workers=1, timeout=0.05))


def test_worker_info_init_fn_and_own_copies():
    def init(worker):
        info = data.get_worker_info()
        assert info.id == worker and info.num_workers == 2
        info.dataset.length = 100 + worker

    class Telling(Squares):
        def __getitem__(self, index):
            return data.get_worker_info().id, self.length

    dataset = Telling(4)
    loader = data.DataLoader(dataset, num_workers=2, worker_init_fn=init)
    assert batches(loader) == [[[0], [100]], [[1], [101]], [[0], [100]], [[1], [101]]]
    assert dataset.length == 4 and data.get_worker_info() is None

    def failing(worker):
        raise OSError("no disk")

    with pytest.raises(OSError, match="no disk"):
        list(data.DataLoader(dataset, num_workers=1, worker_init_fn=failing))


def test_persistent_workers_stay():
    names = []

    class Recording(Squares):
        def __getitem__(self, index):
            names.append(threading.get_ident())
            return index

    loader = data.DataLoader(Recording(6), num_workers=2, persistent_workers=True)
    for _ in range(3):
        assert batches(loader) == [[i] for i in range(6)]
    assert len(set(names)) == 2
    for _ in loader:  # left early: the next pass is whole all the same
        break
    assert batches(loader) == [[i] for i in range(6)]
    del loader
    assert wait_until(lambda: not worker_threads())


def test_two_iterators_of_one_loader():
    loader = data.DataLoader(Squares(8), 2, num_workers=2)
    assert all(plain(a) == plain(b) for a, b in zip(loader, loader))


def test_the_interpreter_exits_with_an_epoch_under_way(run_python):
    begun = time.monotonic()
    printed = run_python(
        "import time, weakref\n"
        "first = weakref.finalize(weakref, int)\n"  # so that the loader's own finalizers run late
        "from minitorch.utils.data import DataLoader, Dataset\n"
        "class Slow(Dataset):\n"
        "    def __len__(self): return 1000\n"
        "    def __getitem__(self, index): time.sleep(0.05); return index\n"
        "iterator = iter(DataLoader(Slow(), num_workers=4))\n"
        "print(next(iterator))\n"
    )
    assert printed == "tensor([0])"
    assert time.monotonic() - begun < 4.5  # not the 5 seconds that are given to threads which do not stop


# Worker processes


def test_spawned_workers():
    minitorch.manual_seed(4)
    threads = [describe(batch) for batch in data.DataLoader(Noisy(), 4, True, num_workers=2)]
    minitorch.manual_seed(4)
    loader = data.DataLoader(
        Noisy(), 4, True, num_workers=2, multiprocessing_context="spawn", persistent_workers=True
    )
    assert [describe(batch) for batch in loader] == threads
    first = next(iter(loader))
    first[1] += 1  # the arrays that came through the pipe can be written to
    pids = {process.pid for process in loader._iterator._workers.processes}
    del loader
    assert wait_until(lambda: not any(map(is_running, pids)))


def is_running(pid):
    try:
        return os.waitpid(pid, os.WNOHANG) == (0, 0)
    except ChildProcessError:
        return False


def test_a_spawned_workers_exception_carries_its_traceback():
    loader = data.DataLoader(Failing(), batch_size=6, num_workers=1, multiprocessing_context="spawn")
    with pytest.raises(KeyError, match="sample five") as caught:
        next(iter(loader))
    assert "Caught KeyError in DataLoader worker process 0." in str(caught.value)
    assert "in __getitem__" in str(caught.value)


def test_a_worker_that_dies_is_reported_and_nothing_hangs():
    loader = data.DataLoader(Dying(), batch_size=6, num_workers=2, multiprocessing_context="spawn")
    iterator = iter(loader)
    with pytest.raises(RuntimeError, match=r"DataLoader worker \(pid \d+\) exited unexpectedly with exit code 7"):
        for _ in range(10):
            next(iterator)
    with pytest.raises(RuntimeError, match="cannot go on"):
        for _ in range(10):
            next(iterator)


def test_what_cannot_be_pickled_is_named():
    loader = data.DataLoader(Unpicklable(), num_workers=1, multiprocessing_context="spawn")
    with pytest.raises(pickle.PicklingError, match=r"dataset \(Unpicklable\).*worker threads"):
        iter(loader)
    loader = data.DataLoader(Squares(), collate_fn=lambda x: x, num_workers=1, multiprocessing_context="spawn")
    with pytest.raises(pickle.PicklingError, match="collate_fn"):
        iter(loader)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
def test_fork_is_replaced_by_threads():
    with pytest.warns(RuntimeWarning, match="forked workers would die"):
        loader = data.DataLoader(Squares(4), num_workers=1, multiprocessing_context="fork")
    assert len(batches(loader)) == 4


# Resuming


@pytest.mark.parametrize("stop", [0, 1, 3, 5])
@pytest.mark.parametrize(
    "arguments",
    [
        {"shuffle": True},
        {},
        {"shuffle": True, "drop_last": True},
        {"shuffle": True, "own_generator": True},
        {"sampler": lambda g: data.WeightedRandomSampler([1.0, 2.0, 3.0], 50, generator=g)},
        {"sampler": lambda g: data.SubsetRandomSampler(list(range(20)), generator=g), "own_generator": True},
        {"sampler": lambda g: data.RandomSampler(range(N), True, 90, generator=g), "own_generator": True},
        {"shuffle": True, "num_workers": 2},
        {"shuffle": True, "num_workers": 3, "prefetch_factor": 1},
        {"shuffle": True, "num_workers": 2, "persistent_workers": True},
        {"dataset": Stream(40)},
        {"dataset": Stream(40), "num_workers": 2},
    ],
    ids=lambda arguments: ", ".join(arguments),
)
def test_loader_resumes_bit_for_bit(arguments, stop):
    """Train for a while, checkpoint, train on; a second run from the checkpoint must see the same batches."""

    def make():
        given = dict(arguments)
        generator = minitorch.Generator().manual_seed(21) if given.pop("own_generator", False) else None
        if "sampler" in given:
            given["sampler"] = given["sampler"](generator)
        return data.DataLoader(given.pop("dataset", Noisy()), batch_size=4, generator=generator, **given)

    def use(iterator, steps):
        seen = []
        for _ in range(steps):
            batch = next(iterator, None)
            if batch is None:
                break
            seen.append((plain(batch), minitorch.rand(1).item()))  # a training step draws, too
        return seen

    minitorch.manual_seed(17)
    loader = make()
    use(iter(loader), 100)  # a whole epoch before
    iterator = iter(loader)
    use(iterator, stop)
    state, rng_state = pickle.loads(pickle.dumps(loader.state_dict())), minitorch.get_rng_state()
    expected = use(iterator, 100), use(iter(loader), 100), use(iter(loader), 100)

    minitorch.manual_seed(5)
    loader = make()
    loader.load_state_dict(state)
    again = loader.state_dict()
    assert again.get("position") == state.get("position")
    minitorch.set_rng_state(rng_state)
    assert (use(iter(loader), 100), use(iter(loader), 100), use(iter(loader), 100)) == expected


@pytest.mark.parametrize("persistent", [False, True])
def test_loader_resumes_between_epochs(persistent):
    arguments = {"shuffle": True, "num_workers": 2, "persistent_workers": persistent}
    minitorch.manual_seed(2)
    loader = data.DataLoader(Noisy(), 4, **arguments)
    batches(loader)
    state, rng_state = loader.state_dict(), minitorch.get_rng_state()
    expected = batches(loader)
    loader = data.DataLoader(Noisy(), 4, **arguments)
    loader.load_state_dict(state)
    minitorch.set_rng_state(rng_state)
    assert batches(loader) == expected


def test_a_stream_with_a_state_is_asked_for_it():
    class Counter(data.IterableDataset):
        position = 0

        def __iter__(self):
            while self.position < 10:
                self.position += 1
                yield self.position

        def state_dict(self):
            return {"position": self.position}

        def load_state_dict(self, state):
            self.position = state["position"]

    loader = data.DataLoader(Counter(), batch_size=2)
    iterator = iter(loader)
    next(iterator), next(iterator)
    resumed = data.DataLoader(Counter(), batch_size=2)
    resumed.load_state_dict(loader.state_dict())
    assert batches(resumed) == batches(iterator) == [[5, 6], [7, 8], [9, 10]]


def test_resuming_refuses():
    loader = data.DataLoader(Squares(), num_workers=2)
    iter(loader)
    with pytest.raises(ValueError, match="2 workers, this one has 0"):
        data.DataLoader(Squares()).load_state_dict(loader.state_dict())
    with pytest.raises(RuntimeError, match="in_order=True"):
        data.DataLoader(Squares(), num_workers=1, in_order=False).state_dict()
