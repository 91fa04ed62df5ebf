"""The sampler that shares a dataset among the replicas of data-parallel training."""

import sys

from minitorch.utils.data.sampler import ResumableSampler


class DistributedSampler(ResumableSampler[int]):
    """The share of replica `rank` among `num_replicas`: every `num_replicas`-th index from `rank` on.

    The order is a permutation drawn from `seed + epoch`, the same in all replicas; call `set_epoch(epoch)` before
    each epoch for a new one. So that all replicas get equally many samples, the first indices are repeated at the
    end, or, with `drop_last`, the last ones left out. Rank and number default to those of the process group.

    Raises ValueError where `rank` is not in [0, num_replicas).

    >>> list(DistributedSampler(range(5), num_replicas=2, rank=1, shuffle=False))
    [1, 3, 0]
    """

    def __init__(self, dataset, num_replicas=None, rank=None, shuffle=True, seed=0, drop_last=False):
        group = _process_group()
        self.num_replicas = group[0] if num_replicas is None else num_replicas
        self.rank = group[1] if rank is None else rank
        if not 0 <= self.rank < self.num_replicas:
            raise ValueError(
                f"DistributedSampler: Invalid rank {self.rank}, expected one in [0, {self.num_replicas - 1}]"
            )
        self.dataset = dataset
        self.shuffle = shuffle
        self.seed = seed
        self.drop_last = drop_last
        self.epoch = 0
        whole, rest = divmod(len(dataset), self.num_replicas)
        self.num_samples = whole if drop_last or not rest else whole + 1
        self.total_size = self.num_samples * self.num_replicas

    def set_epoch(self, epoch):
        """Choose the permutation of the next pass."""
        self.epoch = epoch

    def __len__(self):
        return self.num_samples

    def _begin(self, start):
        import minitorch

        epoch = self.epoch if start is None else start
        return epoch, minitorch.Generator().manual_seed(self.seed + epoch)

    def _draw(self, generator):
        import minitorch

        n = len(self.dataset)
        order = minitorch.randperm(n, generator=generator).tolist() if self.shuffle else range(n)
        return (order[i % n] for i in range(self.rank, self.total_size, self.num_replicas))


def _process_group():
    """(number of processes, own rank), if minitorch.distributed has been set up."""
    distributed = sys.modules.get("minitorch.distributed")
    if distributed is not None and distributed.is_initialized():
        return distributed.get_world_size(), distributed.get_rank()
    return 1, 0
