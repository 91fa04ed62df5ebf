"""Samplers: the order in which a loader visits a dataset. A pass can be stopped anywhere and resumed later."""

import itertools
from typing import Generic, TypeVar

T_co = TypeVar("T_co", covariant=True)


class Sampler(Generic[T_co]):
    """An iterable of indices (or of lists of indices, for a batch sampler). Subclasses define `__iter__`."""

    def __init__(self, data_source=None):
        pass

    def __iter__(self):
        raise NotImplementedError(f"{type(self).__name__} must define __iter__")


class ResumableSampler(Sampler[T_co]):
    """A sampler whose pass can be drawn again from where it began, and resumed at any position.

    Subclasses define `_draw(generator)`, which yields a pass, and where a pass is random `_begin(start)`, which
    returns a record of the random state that the pass starts from and the generator that draws it.
    """

    _start = None  # the record of the pass under way
    _position = 0  # how many of its elements have been handed out
    _resume = None  # (record, position) for the next pass

    def __iter__(self):
        start, skip = self._resume or (None, 0)
        self._resume = None
        self._start, generator = self._begin(start)
        self._position = skip
        for element in itertools.islice(self._draw(generator), skip, None):
            self._position += 1
            yield element
        self._start, self._position = None, 0

    def state_dict(self):
        """Where the current pass began and how many elements it has given: all that is needed to resume it."""
        start, position = self._resume or (self._start, self._position)
        return {"start": start, "position": position}

    def load_state_dict(self, state):
        """Let the next pass be the one that `state` tells of, from the position reached then."""
        self._resume = (state["start"], state["position"])

    def _begin(self, start):
        return 0, None

    def _draw(self, generator):
        raise NotImplementedError


class SequentialSampler(ResumableSampler[int]):
    """0, 1, ..., len(data_source) - 1.

    >>> list(SequentialSampler("abc"))
    [0, 1, 2]
    """

    def __init__(self, data_source):
        self.data_source = data_source

    def _draw(self, generator):
        return iter(range(len(self.data_source)))

    def __len__(self):
        return len(self.data_source)


class _GeneratorSampler(ResumableSampler[int]):
    """A random sampler: its record is the state of its generator, or of the global one, before the first draw."""

    generator = None

    def _begin(self, start):
        import minitorch

        if self.generator is not None:
            if start is not None:
                self.generator.set_state(start)
            return self.generator.get_state(), self.generator
        if start is None:
            return minitorch.get_rng_state(), None  # None: draw from the global generator
        replay = minitorch.Generator()
        replay.set_state(start)
        return start, replay


class RandomSampler(_GeneratorSampler):
    """A permutation of the indices, or with `replacement` independent draws; `num_samples` of them.

    Draws what PyTorch draws: without a `generator`, each pass seeds its own from one draw of the global one.

    Raises ValueError where `num_samples` is not a positive integer, TypeError where `replacement` is no bool.

    >>> sorted(RandomSampler(range(4)))
    [0, 1, 2, 3]
    """

    def __init__(self, data_source, replacement=False, num_samples=None, generator=None):
        if not isinstance(replacement, bool):
            raise TypeError(f"RandomSampler: replacement should be a boolean value, but got replacement={replacement}")
        self.data_source = data_source
        self.replacement = replacement
        self._num_samples = num_samples
        self.generator = generator
        _check_count("RandomSampler", "num_samples", self.num_samples)

    @property
    def num_samples(self):
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def _begin(self, start):
        import minitorch

        if self.generator is not None:
            return super()._begin(start)
        seed = random_seed() if start is None else start
        return seed, minitorch.Generator().manual_seed(seed)

    def _draw(self, generator):
        import minitorch

        n, count = len(self.data_source), self.num_samples
        if self.replacement:
            for start in range(0, count, 32):  # PyTorch's blocks: a pass left early draws as much
                size = min(32, count - start)
                yield from minitorch.randint(high=n, size=(size,), generator=generator).tolist()
        else:
            for _ in range(count // n):
                yield from minitorch.randperm(n, generator=generator).tolist()
            yield from minitorch.randperm(n, generator=generator).tolist()[: count % n]

    def __len__(self):
        return self.num_samples


class SubsetRandomSampler(_GeneratorSampler):
    """The given indices in random order.

    >>> sorted(SubsetRandomSampler([5, 3, 8]))
    [3, 5, 8]
    """

    def __init__(self, indices, generator=None):
        self.indices = indices
        self.generator = generator

    def _draw(self, generator):
        import minitorch

        for i in minitorch.randperm(len(self.indices), generator=generator).tolist():
            yield self.indices[i]

    def __len__(self):
        return len(self.indices)


class WeightedRandomSampler(_GeneratorSampler):
    """`num_samples` indices, index i with a probability proportional to `weights[i]`.

    Raises ValueError where `num_samples`, `replacement` or the shape of `weights` does not fit.

    >>> list(WeightedRandomSampler([0.0, 1.0], 3))
    [1, 1, 1]
    """

    def __init__(self, weights, num_samples, replacement=True, generator=None):
        import minitorch

        _check_count("WeightedRandomSampler", "num_samples", num_samples)
        if not isinstance(replacement, bool):
            raise ValueError(f"WeightedRandomSampler: replacement should be a boolean value, got {replacement}")
        self.weights = minitorch.as_tensor(weights, dtype=minitorch.float64)
        if self.weights.ndim != 1:
            raise ValueError(
                f"WeightedRandomSampler: weights should be a 1d sequence, got shape {tuple(self.weights.shape)}"
            )
        self.num_samples = num_samples
        self.replacement = replacement
        self.generator = generator

    def _draw(self, generator):
        import minitorch

        drawn = minitorch.multinomial(self.weights, self.num_samples, self.replacement, generator=generator)
        return iter(drawn.tolist())

    def __len__(self):
        return self.num_samples


class BatchSampler(Sampler[list]):
    """Lists of `batch_size` indices from `sampler`; the last, shorter one is left out if `drop_last`.

    >>> list(BatchSampler(range(5), batch_size=2, drop_last=False))
    [[0, 1], [2, 3], [4]]
    """

    _position = 0
    _skip = 0  # batches to leave out of the next pass, which `load_state_dict` asked for

    def __init__(self, sampler, batch_size, drop_last):
        _check_count("BatchSampler", "batch_size", batch_size)
        if not isinstance(drop_last, bool):
            raise ValueError(f"BatchSampler: drop_last should be a boolean value, but got drop_last={drop_last}")
        self.sampler = sampler
        self.batch_size = batch_size
        self.drop_last = drop_last

    def __iter__(self):
        indices = iter(self.sampler)
        self._position, skip = 0, self._skip
        self._skip = 0
        while batch := list(itertools.islice(indices, self.batch_size)):
            if self.drop_last and len(batch) < self.batch_size:
                break
            self._position += 1
            if self._position > skip:
                yield batch
        self._position = 0

    def __len__(self):
        if self.drop_last:
            return len(self.sampler) // self.batch_size
        return -(-len(self.sampler) // self.batch_size)

    def state_dict(self):
        """Where the sampler's pass began, and how many batches of it have been given."""
        start = self.sampler.state_dict()["start"] if isinstance(self.sampler, ResumableSampler) else None
        return {"start": start, "position": self._skip or self._position}

    def load_state_dict(self, state):
        """Let the next pass be the one that `state` tells of, from the batch reached then."""
        if isinstance(self.sampler, ResumableSampler):
            self.sampler.load_state_dict({"start": state["start"], "position": 0})
        self._skip = state["position"]


def random_seed(generator=None):
    """One 63-bit draw, by which PyTorch seeds samplers and workers from the global (or the given) generator."""
    import minitorch

    return int(minitorch.empty((), dtype=minitorch.int64).random_(generator=generator).item())


def _check_count(owner, name, value):
    if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
        raise ValueError(f"{owner}: {name} should be a positive integer value, but got {name}={value}")
