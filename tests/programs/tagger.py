"""A part-of-speech tagger of sentences from a small grammar: packed sequences, a bidirectional LSTM."""

import random

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence
from torch.utils.data import DataLoader, Dataset, random_split

torch.manual_seed(3)
random.seed(3)
WORDS = {
    "DET": ["the", "a", "every"],
    "ADJ": ["red", "old", "tiny", "run"],
    "NOUN": ["dog", "cat", "run", "house"],
    "VERB": ["sees", "likes", "run"],
}
TAGS = ["<pad>", *WORDS]
VOCAB = {w: i + 1 for i, w in enumerate(sorted({w for ws in WORDS.values() for w in ws}))}


def np_():
    s = [("DET", random.choice(WORDS["DET"]))]
    while random.random() < 0.4:
        s.append(("ADJ", random.choice(WORDS["ADJ"])))
    return [*s, ("NOUN", random.choice(WORDS["NOUN"]))]


class Corpus(Dataset):
    def __init__(self, n):
        self.items = []
        for _ in range(n):
            s = [*np_(), ("VERB", random.choice(WORDS["VERB"])), *np_()]
            self.items.append(
                (torch.tensor([VOCAB[w] for _, w in s]), torch.tensor([TAGS.index(t) for t, _ in s]))
            )

    def __len__(self):
        return len(self.items)

    def __getitem__(self, i):
        return self.items[i]


def collate(batch):
    batch.sort(key=lambda b: len(b[0]), reverse=True)
    xs, ys = zip(*batch)
    return (
        pad_sequence(xs, batch_first=True),
        pad_sequence(ys, batch_first=True),
        torch.tensor([len(x) for x in xs]),
    )


class Tagger(nn.Module):
    def __init__(self, dim=16, hidden=24):
        super().__init__()
        self.emb = nn.Embedding(len(VOCAB) + 1, dim, padding_idx=0)
        self.drop = nn.Dropout(0.2)
        self.lstm = nn.LSTM(dim, hidden, num_layers=2, bidirectional=True, batch_first=True, dropout=0.1)
        self.out = nn.Linear(2 * hidden, len(TAGS))
        for n, p in self.lstm.named_parameters():
            if "weight_hh" in n:
                nn.init.orthogonal_(p)
            elif "bias" in n:
                nn.init.zeros_(p)

    def forward(self, x, lengths):
        e = self.drop(self.emb(x))
        packed = pack_padded_sequence(e, lengths, batch_first=True)
        h, (hn, _cn) = self.lstm(packed)
        h, _lens = pad_packed_sequence(h, batch_first=True)
        return self.out(h), hn


data = Corpus(300)
train, valid = random_split(data, [240, 60], generator=torch.Generator().manual_seed(1))
loader = DataLoader(train, batch_size=16, shuffle=True, collate_fn=collate, drop_last=True)
model = Tagger()
print(model)
print(sum(p.numel() for p in model.parameters() if p.requires_grad), "parameters")
opt = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=1e-2)
sched = torch.optim.lr_scheduler.OneCycleLR(opt, max_lr=1e-2, total_steps=5 * len(loader))
for epoch in range(5):
    model.train()
    total = 0.0
    for x, y, n in loader:
        opt.zero_grad(set_to_none=True)
        logits, hn = model(x, n)
        loss = F.cross_entropy(
            logits.view(-1, logits.size(-1)), y.view(-1), ignore_index=0, label_smoothing=0.05
        )
        loss.backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        opt.step()
        sched.step()
        total += loss.item()
    model.eval()
    right = count = 0
    with torch.no_grad():
        for x, y, n in DataLoader(valid, batch_size=32, collate_fn=collate):
            pred = model(x, n)[0].argmax(-1)
            mask = y.ne(0)
            right += (pred.eq(y) & mask).sum().item()
            count += mask.sum().item()
    print(f"epoch {epoch}: loss {total / len(loader):.6f} norm {norm:.5f}", end=" ")
    print(f"lr {sched.get_last_lr()[0]:.6f} acc {right / count:.4f}")
confusion = torch.zeros(len(TAGS), len(TAGS), dtype=torch.long)
for x, y, n in DataLoader(valid, batch_size=60, collate_fn=collate):
    confusion.index_put_((y.flatten(), model(x, n)[0].argmax(-1).flatten()), torch.tensor(1), accumulate=True)
print(confusion[1:, 1:])
