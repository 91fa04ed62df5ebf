"""A diffusion model of 8 x 8 pictures: time embeddings, attention, an averaged model, DDIM sampling."""

import itertools
import math
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

torch.manual_seed(0)


class SinusoidalEmbedding(nn.Module):
    def __init__(self, dim: int):
        super().__init__()
        self.dim = dim

    def forward(self, t: Tensor) -> Tensor:
        half = self.dim // 2
        freq = torch.exp(
            -math.log(10000) * torch.arange(half, device=t.device, dtype=torch.float32) / (half - 1)
        )
        a = t.float()[:, None] * freq[None]
        return torch.cat((a.sin(), a.cos()), dim=-1)


class Attention(nn.Module):
    def __init__(self, c, heads=2):
        super().__init__()
        self.h = heads
        self.norm = nn.GroupNorm(1, c)
        self.qkv = nn.Conv2d(c, 3 * c, 1, bias=False)
        self.proj = nn.Conv2d(c, c, 1)
        nn.init.zeros_(self.proj.weight)

    def forward(self, x):
        b, c, hh, w = x.shape
        q, k, v = self.qkv(self.norm(x)).reshape(b, 3, self.h, c // self.h, hh * w).unbind(1)
        s = torch.einsum("bhdi,bhdj->bhij", q * (c // self.h) ** -0.5, k).softmax(-1)
        o = torch.einsum("bhij,bhdj->bhdi", s, v).reshape(b, c, hh, w)
        return x + self.proj(o)


class Res(nn.Module):
    def __init__(self, i, o, td):
        super().__init__()
        self.c1, self.c2 = nn.Conv2d(i, o, 3, padding="same"), nn.Conv2d(o, o, 3, padding=1)
        self.n1, self.n2 = nn.GroupNorm(4, i), nn.GroupNorm(4, o)
        self.t = nn.Linear(td, 2 * o)
        self.skip = nn.Conv2d(i, o, 1) if i != o else nn.Identity()

    def forward(self, x, t):
        h = self.c1(F.silu(self.n1(x)))
        scale, shift = self.t(F.silu(t))[..., None, None].chunk(2, dim=1)
        h = self.n2(h) * (1 + scale) + shift
        return self.c2(F.dropout(F.silu(h), 0.1, self.training)) + self.skip(x)


class Net(nn.Module):
    def __init__(self, c=8, td=16):
        super().__init__()
        self.time = nn.Sequential(SinusoidalEmbedding(td), nn.Linear(td, td), nn.GELU(), nn.Linear(td, td))
        self.inp = nn.Conv2d(1, c, 3, padding=1)
        self.d1, self.down, self.d2, self.att = (
            Res(c, c, td),
            nn.Conv2d(c, c, 4, 2, 1),
            Res(c, 2 * c, td),
            Attention(2 * c),
        )
        self.up = nn.Sequential(
            nn.Upsample(scale_factor=2, mode="nearest"), nn.Conv2d(2 * c, c, 3, padding=1)
        )
        self.u1 = Res(2 * c, c, td)
        self.out = nn.Conv2d(c, 1, 3, padding=1)

    def forward(self, x, t):
        t = self.time(t)
        a = self.d1(self.inp(x), t)
        b = self.att(self.d2(self.down(a), t))
        return self.out(self.u1(torch.cat([self.up(b), a], 1), t))


class Diffusion(nn.Module):
    betas: Tensor

    def __init__(self, net, T=40):
        super().__init__()
        self.net, self.T = net, T
        s = 0.008
        x = torch.linspace(0, T, T + 1, dtype=torch.float64)
        ac = torch.cos(((x / T) + s) / (1 + s) * math.pi * 0.5) ** 2
        ac = ac / ac[0]
        betas = torch.clip(1 - ac[1:] / ac[:-1], 0, 0.999)
        reg = partial(self.register_buffer, persistent=False)
        reg("betas", betas.float())
        reg("ac", torch.cumprod(1 - betas, 0).float())

    def loss(self, x0, noise: Tensor | None = None):
        t = torch.randint(0, self.T, (x0.shape[0],), device=x0.device)
        noise = torch.randn_like(x0) if noise is None else noise
        a = self.ac.gather(0, t).view(-1, 1, 1, 1)
        pred = self.net(a.sqrt() * x0 + (1 - a).sqrt() * noise, t)
        snr = a / (1 - a)
        return (
            F.mse_loss(pred, noise, reduction="none").mean((1, 2, 3))
            * snr.clamp(max=5).flatten()
            / snr.flatten().clamp(min=1e-3)
        ).mean()

    @torch.no_grad()
    def sample(self, n, steps=8, eta=0.5):
        x = torch.randn(n, 1, 8, 8)
        times = torch.linspace(self.T - 1, -1, steps + 1).long().tolist()
        for t, s in itertools.pairwise(times):
            e = self.net(x, torch.full((n,), t, dtype=torch.long))
            a = self.ac[t]
            b = self.ac[s] if s >= 0 else torch.tensor(1.0)
            x0 = ((x - (1 - a).sqrt() * e) / a.sqrt()).clamp_(-1, 1)
            sig = eta * ((1 - a / b) * (1 - b) / (1 - a)).sqrt()
            x = b.sqrt() * x0 + (1 - b - sig**2).clamp(min=0).sqrt() * e + sig * torch.randn_like(x)
        return x


yy, xx = torch.meshgrid(torch.arange(8), torch.arange(8), indexing="ij")
cx = torch.randint(2, 6, (64, 2))
data = torch.where(
    (xx[None] - cx[:, 0, None, None]).abs() + (yy[None] - cx[:, 1, None, None]).abs() <= 2, 1.0, -1.0
).unsqueeze(1)
model = Diffusion(Net())
ema = torch.optim.swa_utils.AveragedModel(model, avg_fn=lambda e, m, n: 0.9 * e + 0.1 * m)
opt = torch.optim.Adam(
    [
        {"params": model.net.time.parameters(), "lr": 1e-3},
        {"params": [p for n, p in model.named_parameters() if ".time." not in n]},
    ],
    lr=2e-3,
    betas=(0.9, 0.99),
)
warm = torch.optim.lr_scheduler.LambdaLR(opt, lambda i: min(1.0, (i + 1) / 10))
for i in range(60):
    batch = data[torch.randperm(len(data))[:16]]
    loss = model.loss(batch)
    opt.zero_grad()
    loss.backward()
    g = torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
    opt.step()
    warm.step()
    ema.update_parameters(model)
    if i % 5 == 0:
        print(
            f"{i:3d} loss {loss.item():.6f} |g| {g.item():.5f} lr {[round(v, 6) for v in warm.get_last_lr()]}"
        )
model.eval()
ema.eval()
for m in (model, ema.module):
    torch.manual_seed(7)
    s = m.sample(4)
    print(s.shape, f"{s.mean():.4f} {s.std():.4f} {s.min():.4f} {s.max():.4f}")
    print(torch.round(s[0, 0, 3], decimals=2))
print(sum(v.double().sum() for v in ema.state_dict().values()).item())
