"""`torch.distributed.algorithms` by name."""
