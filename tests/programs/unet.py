"""A U-Net that segments circles and squares: two losses, loader workers, an averaged model, a checkpoint."""

import argparse
import copy
import math
import os
import tempfile

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn, optim
from torch.utils.data import DataLoader, TensorDataset

p = argparse.ArgumentParser()
p.add_argument("--epochs", type=int, default=3)
p.add_argument("--size", type=int, default=32)
args = p.parse_args()
torch.manual_seed(42)
np.random.seed(42)
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def shapes(n, s):
    yy, xx = np.mgrid[:s, :s]
    imgs, masks = np.zeros((n, 1, s, s), np.float32), np.zeros((n, s, s), np.int64)
    for i in range(n):
        for kind in (1, 2):
            cx, cy, r = [*np.random.randint(6, s - 6, 2).tolist(), np.random.randint(3, 6)]
            m = (
                ((xx - cx) ** 2 + (yy - cy) ** 2 <= r * r)
                if kind == 1
                else (np.maximum(abs(xx - cx), abs(yy - cy)) <= r)
            )
            masks[i][m] = kind
            imgs[i, 0][m] = 0.5 + 0.5 * np.random.rand()
    imgs += 0.1 * np.random.randn(*imgs.shape).astype(np.float32)
    return torch.from_numpy(imgs), torch.from_numpy(masks)


class DoubleConv(nn.Sequential):
    def __init__(self, i, o):
        super().__init__(
            nn.Conv2d(i, o, 3, padding=1, bias=False),
            nn.BatchNorm2d(o),
            nn.ReLU(inplace=True),
            nn.Conv2d(o, o, 3, padding=1, bias=False),
            nn.GroupNorm(4, o),
            nn.SiLU(),
        )


class UNet(nn.Module):
    def __init__(self, classes=3, w=(8, 16, 32)):
        super().__init__()
        self.downs, self.ups, self.cups = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        c = 1
        for k in w:
            self.downs.append(DoubleConv(c, k))
            c = k
        for a, b in zip(w[::-1][:-1], w[::-1][1:]):
            self.ups.append(nn.ConvTranspose2d(a, b, 2, stride=2))
            self.cups.append(DoubleConv(2 * b, b))
        self.pool = nn.MaxPool2d(2)
        self.head = nn.Conv2d(w[0], classes, 1)
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))
        self.apply(self._init)

    @staticmethod
    def _init(m):
        if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d)):
            nn.init.kaiming_normal_(m.weight, nonlinearity="relu")
            if m.bias is not None:
                nn.init.constant_(m.bias, 0)

    def forward(self, x):
        skips = []
        for i, d in enumerate(self.downs):
            x = d(x)
            if i + 1 < len(self.downs):
                skips.append(x)
                x = self.pool(x)
        for u, c in zip(self.ups, self.cups):
            x = u(x)
            s = skips.pop()
            if x.shape[-2:] != s.shape[-2:]:
                x = F.interpolate(x, size=s.shape[-2:], mode="bilinear", align_corners=False)
            x = c(torch.cat([s, x], dim=1))
        if self.training:
            self.steps += 1
        return self.head(x)


def dice_loss(logits, target, eps=1e-6):
    prob = logits.softmax(1)
    hot = F.one_hot(target, logits.shape[1]).permute(0, 3, 1, 2).to(prob.dtype)
    inter = (prob * hot).sum((0, 2, 3))
    card = (prob + hot).sum((0, 2, 3))
    return 1 - ((2 * inter + eps) / (card + eps)).mean()


x, y = shapes(48, args.size)
loader = DataLoader(
    TensorDataset(x[:40], y[:40]),
    batch_size=8,
    shuffle=True,
    num_workers=2,
    pin_memory=torch.cuda.is_available(),
)
net = UNet().to(device)
ema = copy.deepcopy(net).eval().requires_grad_(False)
opt = optim.SGD(net.parameters(), lr=0.05, momentum=0.9, nesterov=True, weight_decay=1e-4)
sched = optim.lr_scheduler.CosineAnnealingLR(opt, T_max=args.epochs * len(loader))
scaler = torch.amp.GradScaler("cpu", enabled=False)
weights = torch.tensor([0.5, 1.0, 1.0], device=device)
best = math.inf
for epoch in range(args.epochs):
    net.train()
    for img, mask in loader:
        img, mask = img.to(device, non_blocking=True), mask.to(device)
        if torch.rand(1).item() < 0.5:
            img, mask = img.flip(-1), mask.flip(-1)
        logits = net(img)
        loss = F.cross_entropy(logits, mask, weight=weights) + dice_loss(logits, mask)
        opt.zero_grad()
        scaler.scale(loss).backward()
        scaler.unscale_(opt)
        torch.nn.utils.clip_grad_value_(net.parameters(), 0.5)
        scaler.step(opt)
        scaler.update()
        sched.step()
        with torch.no_grad():
            for pe, pn in zip(ema.parameters(), net.parameters()):
                pe.lerp_(pn, 0.1)
            for be, bn in zip(ema.buffers(), net.buffers()):
                be.copy_(bn)
        print(f"{epoch} loss {loss.item():.6f}")
    net.eval()
    with torch.inference_mode():
        out = net(x[40:].to(device))
        val = F.cross_entropy(out, y[40:].to(device)).item()
        pred = out.argmax(1).cpu()
        iou = [
            ((pred == k) & (y[40:] == k)).sum().float() / ((pred == k) | (y[40:] == k)).sum().clamp(min=1)
            for k in range(3)
        ]
        e = F.cross_entropy(ema(x[40:]), y[40:])
    print(f"epoch {epoch} val {val:.5f} ema {e:.5f} lr {opt.param_groups[0]['lr']:.5f}", end=" ")
    print(f"iou {torch.stack(iou).numpy().round(4)}")
    if val < best:
        best = val
        torch.save(
            {"net": net.state_dict(), "opt": opt.state_dict(), "sched": sched.state_dict(), "epoch": epoch},
            os.path.join(tempfile.gettempdir(), "unet.pt"),
        )
ck = torch.load(os.path.join(tempfile.gettempdir(), "unet.pt"), map_location=device)
again = UNet()
print(again.load_state_dict(ck["net"]))
again.eval()
print(
    ck["epoch"],
    len(ck["opt"]["state"]),
    f"{F.cross_entropy(again(x[40:]), y[40:]).item():.5f}",
    int(again.steps),
)
odd = again(x[:1, :, :29, :31])
print(odd.shape)
