"""What the calls of surface_rows.txt are made with: small values, and helpers that read like a program.

Everything is built from the two modules handed in, so that the same calls run on minitorch and on PyTorch.
"""
from __future__ import annotations

import collections
import inspect
import io
import math
import os
import random
import types
import warnings
from pathlib import Path

import numpy as np


class Surface:
    """The names that a row sees."""

    def __init__(self, torch, vision, folder):
        self.torch, self.tv, self.nn, self.F = torch, vision, torch.nn, torch.nn.functional
        self.np, self.math, self.inspect, self.collections = np, math, inspect, collections
        self.tmp = str(folder)
        torch.manual_seed(0)
        random.seed(0)
        self.x = torch.tensor([[1.0, -2.0, 3.0], [4.0, 5.0, -6.0]])
        self.i, self.v = torch.tensor([[0, 2, 1], [1, 0, 2]]), torch.tensor([1.0, 2.0, 3.0])
        self.p = torch.nn.Parameter(self.x.clone())
        self.img = (torch.arange(2 * 3 * 8 * 8) % 23).float().view(2, 3, 8, 8) / 10
        self.lin = torch.nn.Linear(3, 2)
        inner = torch.nn.Sequential(torch.nn.ReLU())
        self.net = torch.nn.Sequential(torch.nn.Linear(3, 4), inner, torch.nn.Linear(4, 1))
        self.data = list(range(5))

    D = property(lambda self: self.torch.distributions)
    T = property(lambda self: self.tv.transforms)
    TF = property(lambda self: self.tv.transforms.functional)

    @property
    def pil(self):
        from PIL import Image

        return Image.fromarray(np.arange(10 * 12 * 3, dtype=np.uint8).reshape(10, 12, 3))

    # What a row asks for

    def raises(self, call):
        """The class of the error, of those that PyTorch raises; "" where there is none."""
        kinds = (AssertionError, RuntimeError, ValueError, TypeError, KeyError, IndexError, AttributeError, OSError)
        try:
            call()
        except Exception as error:
            return next((kind.__name__ for kind in kinds if isinstance(error, kind)), "Exception")
        return ""

    def grads(self, function, *values):
        """What `function` gives, and the gradients of its arguments; it may call backward itself."""
        leaves = [value.clone().requires_grad_() for value in values]
        y = function(*leaves)
        if y is not None:
            y.backward()
        return [y, *[leaf.grad for leaf in leaves]]

    def back(self, **options):
        p = self.p
        (p * 2).backward(**options)
        return p.grad

    def layer(self, module, *values):
        """What a layer gives for `values`, the gradients, and its state after it."""
        values = [value.clone().requires_grad_() if value.is_floating_point() else value for value in values]
        y = module(*values)
        (y[0] if isinstance(y, tuple) else y).sum().backward()
        return [y, [value.grad for value in values], [q.grad for q in module.parameters()], dict(module.state_dict())]

    def recurrent(self, module):
        y, state = module(self.torch.arange(12.0).view(2, 2, 3) / 10)
        y.sum().backward()
        return [y, state, repr(module), [q.grad for q in module.parameters()]]

    def attention(self, **options):
        module = self.nn.MultiheadAttention(**options)
        q = self.torch.arange(24.0).view(2, 3, 4) / 10
        return [*module(q, q, q), list(module.state_dict())]

    def step(self, make):
        """Three steps of an optimizer."""
        p = self.nn.Parameter(self.v.clone())
        optimizer = make([p])
        for _ in range(3):
            optimizer.zero_grad()
            ((p - 0.5) ** 2 * self.torch.tensor([1.0, 3.0, 0.1])).sum().backward()
            optimizer.step()
        return p

    def rates(self, make):
        optimizer = self.torch.optim.SGD([self.p], lr=1.0)
        schedule, found = make(optimizer), []
        for _ in range(5):
            found.append(schedule.get_last_lr())
            optimizer.step()
            schedule.step()
        return found

    def zeroed(self, **options):
        optimizer = self.torch.optim.SGD([self.p], lr=0.1)
        self.p.sum().backward()
        optimizer.zero_grad(**options)
        return self.p.grad

    def module_zeroed(self):
        self.lin(self.x).sum().backward()
        self.lin.zero_grad()
        return self.lin.weight.grad

    def clipped(self, clip):
        self.p.grad = self.x.clone()
        return [clip([self.p]), self.p.grad]

    def groups(self, optimizer):
        return [{name: value for name, value in group.items() if name != "params"} for group in optimizer.param_groups]

    def stated(self, optimizer):
        (self.p ** 2).sum().backward()
        optimizer.step()
        return optimizer.state_dict()

    def reloaded(self):
        torch = self.torch
        first, second = (torch.optim.Adam([self.p], lr=lr) for lr in (0.1, 0.5))
        (self.p ** 2).sum().backward()
        first.step()
        second.load_state_dict(first.state_dict())
        return self.groups(second), second.state_dict()["state"]

    def batches(self, *args, **options):
        return list(self.torch.utils.data.DataLoader(*args, **options))

    def saved(self, save, **options):
        file = io.BytesIO() if "mmap" not in options else os.path.join(self.tmp, "x.pt")
        save(file)
        if isinstance(file, io.BytesIO):
            file.seek(0)
        return self.torch.load(file, **options)

    def cached(self, load):
        self.torch.save({"a": self.x}, os.path.join(self.tmp, "net.pth"))
        return load("http://nowhere.invalid/net.pth", self.tmp)

    def hub(self, **options):
        Path(self.tmp, "hubconf.py").write_text("def two(pretrained=True):\n    return 2, pretrained\n")
        options["verbose"] = False
        return self.torch.hub.load(self.tmp, "two", source="local", **options)

    def no_grad(self):
        with self.torch.no_grad():
            y = self.p * 2

        @self.torch.no_grad()
        def f():
            return (self.p * 2).requires_grad

        return y.requires_grad, f(), (self.p * 2).requires_grad

    def enabled(self):
        with self.torch.no_grad(), self.torch.enable_grad():
            return (self.p * 2).requires_grad

    def set_grad(self):
        with self.torch.set_grad_enabled(False):
            y = self.p * 2
        return y.requires_grad

    def inference(self):
        with self.torch.inference_mode():
            y = self.p * 2
        return y.requires_grad, y.is_inference()

    def shares(self):
        a = np.zeros(2, np.float32)
        t = self.torch.from_numpy(a)
        a[0] = 5
        return t

    def applied(self):
        seen = []
        self.net.apply(lambda m: seen.append(type(m).__name__))
        return seen

    def buffers(self):
        m = self.nn.Module()
        m.register_buffer("a", self.x)
        m.register_buffer("b", self.v, persistent=False)
        return list(m.state_dict()), m.a, [name for name, _ in m.named_buffers()]

    def registered(self):
        m = self.nn.Module()
        m.register_parameter("w", self.p)
        m.register_parameter("none", None)
        return [name for name, _ in m.named_parameters()], m.none

    def added(self):
        m = self.nn.Module()
        m.add_module("fc", self.lin)
        return list(m.state_dict()), m.fc is self.lin

    def hooked(self):
        seen = []
        handle = self.lin.register_forward_hook(lambda m, x, y: seen.append((len(x), list(y.shape))))
        self.lin(self.x)
        handle.remove()
        self.lin(self.x)
        return seen

    def tensor_hook(self):
        def double(t):
            y = t * 3
            y.register_hook(lambda dy: dy * 2)
            return y.sum()

        return self.grads(double, self.x)

    def retained(self):
        y = self.p * 2
        y.retain_grad()
        (y * y).sum().backward()
        return y.grad

    def own_function(self):
        class Cube(self.torch.autograd.Function):
            @staticmethod
            def forward(ctx, x, n):
                ctx.save_for_backward(x)
                ctx.n = n
                return x ** n

            @staticmethod
            def backward(ctx, dy):
                x, = ctx.saved_tensors
                return (dy * ctx.n * x ** (ctx.n - 1) if ctx.needs_input_grad[0] else None), None

        return self.grads(lambda t: Cube.apply(t, 3).sum(), self.x)

    def own_optimizer(self):
        torch = self.torch

        class Plain(torch.optim.Optimizer):
            def __init__(self, params, lr):
                super().__init__(params, dict(lr=lr))

            def step(self):
                for group in self.param_groups:
                    for p in group["params"]:
                        p.data.add_(p.grad, alpha=-group["lr"])

        return self.step(lambda params: Plain(params, 0.1))

    def own_scheduler(self):
        class Halves(self.torch.optim.lr_scheduler._LRScheduler):
            def get_lr(self):
                return [lr * 0.5 ** self.last_epoch for lr in self.base_lrs]

        return self.rates(Halves)

    def own_dataset(self):
        class Squares(self.torch.utils.data.Dataset):
            def __len__(self):
                return 3

            def __getitem__(self, index):
                return index ** 2

        return self.batches(Squares(), batch_size=2)

    def own_sampler(self):
        class Backwards(self.torch.utils.data.Sampler):
            def __init__(self, data):
                self.data = data

            def __iter__(self):
                return iter(range(len(self.data) - 1, -1, -1))

            def __len__(self):
                return len(self.data)

        return self.batches(self.data, sampler=Backwards(self.data))

    def iterable_dataset(self):
        class Stream(self.torch.utils.data.IterableDataset):
            def __iter__(self):
                return iter([1, 2, 3])

        return self.batches(Stream(), batch_size=2)

    def setting(self, where, name, value):
        """A switch before, and after it was set."""
        before = getattr(where, name)
        setattr(where, name, value)
        after = getattr(where, name)
        setattr(where, name, before)
        return before, after

    def seeded(self, call):
        self.torch.manual_seed(5)
        random.seed(5)
        return call()

    def rng_state(self):
        state = self.torch.get_rng_state()
        first = self.torch.rand(2)
        self.torch.set_rng_state(state)
        return state.dtype, first, self.torch.rand(2)

    def autocast(self, *args, **options):
        with self.torch.autocast(*args, **options):
            y = self.x @ self.x.t()
            return y, (self.x + self.x).dtype, self.lin(self.x).dtype, self.F.mse_loss(y, y).dtype

    def cuda_autocast(self, **options):
        with self.torch.cuda.amp.autocast(**options):
            return self.x @ self.x.t()

    def scaler(self, **options):
        scaler, optimizer = self.torch.cuda.amp.GradScaler(**options), self.torch.optim.SGD([self.p], lr=0.1)
        scaler.scale((self.p ** 2).sum()).backward()
        scaler.unscale_(optimizer)
        scaler.step(optimizer)
        scaler.update()
        return self.p, scaler.state_dict(), scaler.get_scale()

    def default_type(self):
        self.torch.set_default_tensor_type(self.torch.DoubleTensor)
        found = self.torch.zeros(2).dtype
        self.torch.set_default_tensor_type("torch.FloatTensor")
        return found, self.torch.zeros(2).dtype

    def threads(self, n):
        before = self.torch.get_num_threads()
        self.torch.set_num_threads(n)
        found = self.torch.get_num_threads()
        self.torch.set_num_threads(before)
        return found

    def precision(self, word):
        before = self.torch.get_float32_matmul_precision()
        self.torch.set_float32_matmul_precision(word)
        found = self.torch.get_float32_matmul_precision()
        self.torch.set_float32_matmul_precision(before)
        return before, found

    def scaled_mm(self):
        torch = self.torch
        a = torch.arange(256.0).view(16, 16).remainder(7).to(torch.float8_e4m3fn)
        scale = torch.tensor(0.5)
        return torch._scaled_mm(a, a.t(), scale_a=scale, scale_b=scale, out_dtype=torch.bfloat16, use_fast_accum=False)

    def sdpa(self):
        from_ = self.torch.nn.attention
        with from_.sdpa_kernel([from_.SDPBackend.MATH]):
            return self.F.scaled_dot_product_attention(self.x, self.x, self.x)

    def ddp(self):
        distributed = self.torch.distributed
        distributed.init_process_group("gloo", init_method=f"file://{self.tmp}/store", rank=0, world_size=1)
        try:
            model = self.nn.parallel.DistributedDataParallel(self.lin)
            return self.layer(model, self.x)
        finally:
            distributed.destroy_process_group()

    def unweighted(self):
        module = self.nn.utils.weight_norm(self.lin)
        return list(module.state_dict()), list(self.nn.utils.remove_weight_norm(module).state_dict())

    def packed(self, **options):
        rnn = self.torch.nn.utils.rnn
        found = rnn.pack_padded_sequence(self.torch.arange(12.0).view(2, 3, 2), [3, 2], **options)
        return found.data, found.batch_sizes

    def unpacked(self):
        rnn = self.torch.nn.utils.rnn
        return rnn.pad_packed_sequence(rnn.pack_sequence([self.v, self.v[:1]]), batch_first=True)

    def gram(self, q):
        return q @ q.t()

    def product(self, qr):
        return qr[0] @ qr[1]

    def meta(self, make):
        """A large model without its initial values, which are not looked at."""
        torch, tensor = self.torch, self.torch.Tensor
        names = [n for n in ("normal_", "uniform_", "trunc_normal_", "kaiming_normal_", "kaiming_uniform_")
                 if hasattr(torch.nn.init, n)]
        before = {n: getattr(torch.nn.init, n) for n in names}
        try:
            for n in names:
                setattr(torch.nn.init, n, lambda t, *args, **options: t)
            return make()
        finally:
            for n in names:
                setattr(torch.nn.init, n, before[n])
            assert tensor is torch.Tensor

    # Files

    def folder(self, **options):
        for name in ("a", "b"):
            where = Path(self.tmp, "images", name)
            where.mkdir(parents=True, exist_ok=True)
            self.pil.save(where / "0.png")
        found = self.tv.datasets.ImageFolder(root=os.path.join(self.tmp, "images"), **options)
        return found.classes, found.class_to_idx, [found[k] for k in range(len(found))]

    def listed(self):
        os.makedirs(os.path.join(self.tmp, "listed", "one"), exist_ok=True)
        return self.tv.datasets.utils.list_dir(os.path.join(self.tmp, "listed"))

    def image_file(self, write):
        from PIL import Image

        path = os.path.join(self.tmp, "grid.png")
        write(path)
        return np.asarray(Image.open(path))

    def image_loaded(self, load):
        path = os.path.join(self.tmp, "one.png")
        self.pil.save(path)
        return np.asarray(load(path))

    def events(self, **options):
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        with self.torch.utils.tensorboard.SummaryWriter(**options) as writer:
            writer.add_scalar("loss", 1.5, 3)
            writer.add_histogram("h", self.x, 1)
        found = EventAccumulator(options["log_dir"])
        found.Reload()
        histogram = found.Histograms("h")[0].histogram_value
        return [(e.step, e.value) for e in found.Scalars("loss")], list(histogram.bucket), list(histogram.bucket_limit)


def run(call, torch, vision, folder):
    """What the expression `call` gives, in plain values."""
    surface = Surface(torch, vision, folder)
    names = {name: getattr(surface, name) for name in dir(surface) if not name.startswith("_")
             and name not in ("pil", "D", "T", "TF")}
    for name in ("pil", "D", "T", "TF"):
        if name in call:
            names[name] = getattr(surface, name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return plain(eval(call, names), torch)


def plain(value, torch):
    """`value` in what JSON has: tensors as [type, shape, numbers], other objects by the name of their class."""
    if isinstance(value, torch.Tensor):
        t = value.detach()
        if t.dtype in (torch.bfloat16, torch.float16):
            t = t.float()
        if t.dtype.is_complex:
            t = torch.view_as_real(t)
        return [str(value.dtype), list(value.shape), numbers(t.reshape(-1).tolist())]
    if isinstance(value, (np.ndarray, np.generic)):
        return [str(value.dtype), list(value.shape), numbers(value.reshape(-1).tolist())]
    if isinstance(value, dict):
        return {str(name): plain(v, torch) for name, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v, torch) for v in value]
    if isinstance(value, (set, types.GeneratorType)):
        return sorted(map(str, value))
    if isinstance(value, torch.dtype):
        return str(value)
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, (int, float)):
        return short(value)
    return repr(value) if type(value).__name__ in ("Normal", "Size") else type(value).__name__


def numbers(values):
    """The numbers of a tensor; of many, every tenth or fewer, and a mean with weights that tells their order."""
    if len(values) <= 40:
        return [short(n) for n in values]
    weighted = sum(float(n) * math.cos(k) for k, n in enumerate(values)) / len(values)
    return [*[short(n) for n in values[::len(values) // 20]], short(weighted)]


def short(n):
    """A number with the digits that are compared; JSON has no infinities."""
    if isinstance(n, float):
        return float(f"{n:.7g}") if math.isfinite(n) else str(n)
    return n
