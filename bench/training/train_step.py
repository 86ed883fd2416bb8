"""The model that Tern trains, written for PyTorch, to time one against the other.

A decoder with SubLN, squared ReLU, rotary positions and tied embeddings; linear layers are BitLinear with straight-through
estimators (absmean ternary weights per tensor, absmax int8 activations per token). One step is forward, backward, gradient
clipping and AdamW over BATCH sequences of LENGTH random tokens.

usage: train_step.py HIDDEN LAYERS HEADS FEED_FORWARD VOCABULARY LENGTH BATCH STEPS THREADS PRECISION(ternary|full)
Prints one JSON line: tokens per CPU-second and per second.
"""
import json
import sys
import time

import torch
import torch.nn as nn
import torch.nn.functional as F


def quantize_activations(x):
    scale = 127 / x.abs().amax(-1, keepdim=True).clamp_(min=1e-5)
    return x + ((x * scale).round().clamp(-128, 127) / scale - x).detach()


def quantize_weights(w):
    scale = 1 / w.abs().mean().clamp_(min=1e-5)
    return w + ((w * scale).round().clamp(-1, 1) / scale - w).detach()


class Linear(nn.Module):
    def __init__(self, rows, columns, ternary):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(rows, columns) * 0.02)
        self.ternary = ternary

    def forward(self, x):
        if self.ternary:
            return F.linear(quantize_activations(x), quantize_weights(self.weight))
        return F.linear(x, self.weight)


class Norm(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))

    def forward(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5) * self.weight


def rotate(x, cosine, sine):
    a, b = x.chunk(2, -1)
    return x * cosine + torch.cat((-b, a), -1) * sine


class Layer(nn.Module):
    def __init__(self, hidden, heads, wide, ternary):
        super().__init__()
        self.heads = heads
        self.q, self.k, self.v, self.o = (Linear(hidden, hidden, ternary) for _ in range(4))
        self.gate, self.up = Linear(wide, hidden, ternary), Linear(wide, hidden, ternary)
        self.down = Linear(hidden, wide, ternary)
        self.norm, self.sub_norm = Norm(hidden), Norm(hidden)
        self.wide_norm, self.wide_sub_norm = Norm(hidden), Norm(wide)

    def forward(self, x, cosine, sine, mask):
        b, t, c = x.shape
        h = self.norm(x)
        split = lambda y: y.view(b, t, self.heads, c // self.heads).transpose(1, 2)
        q, k, v = split(self.q(h)), split(self.k(h)), split(self.v(h))
        q, k = rotate(q, cosine, sine), rotate(k, cosine, sine)
        scores = (q @ k.transpose(-1, -2)) * (c // self.heads) ** -0.5 + mask
        y = (scores.softmax(-1) @ v).transpose(1, 2).reshape(b, t, c)
        x = x + self.o(self.sub_norm(y))
        h = self.wide_norm(x)
        return x + self.down(self.wide_sub_norm(F.relu(self.gate(h)).square() * self.up(h)))


class Model(nn.Module):
    def __init__(self, hidden, layers, heads, wide, vocabulary, length, ternary):
        super().__init__()
        self.embedding = nn.Parameter(torch.randn(vocabulary, hidden) * 0.02)
        self.layers = nn.ModuleList(Layer(hidden, heads, wide, ternary) for _ in range(layers))
        self.norm = Norm(hidden)
        size = hidden // heads
        angles = torch.arange(length)[:, None] * 10000 ** (-torch.arange(0, size, 2) / size)
        self.register_buffer("cosine", torch.cat((angles, angles), -1).cos())
        self.register_buffer("sine", torch.cat((angles, angles), -1).sin())
        self.register_buffer("mask", torch.full((length, length), float("-inf")).triu(1))

    def forward(self, ids, targets):
        x = F.embedding(ids, self.embedding)
        for layer in self.layers:
            x = layer(x, self.cosine, self.sine, self.mask)
        return F.cross_entropy((self.norm(x) @ self.embedding.t()).view(-1, self.embedding.shape[0]), targets.reshape(-1))


def main():
    hidden, layers, heads, wide, vocabulary, length, batch, steps, threads = map(int, sys.argv[1:10])
    ternary = sys.argv[10] == "ternary"
    torch.manual_seed(1)
    torch.set_num_threads(threads)
    model = Model(hidden, layers, heads, wide, vocabulary, length, ternary)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.95), weight_decay=0.1)
    losses = []

    def step():
        ids = torch.randint(0, vocabulary, (batch, length + 1))
        loss = model(ids[:, :-1], ids[:, 1:])
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())

    for _ in range(2):
        step()
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(steps):
        step()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    tokens = steps * batch * length
    print(json.dumps({
        "torch": torch.__version__, "parameters": sum(p.numel() for p in model.parameters()), "threads": threads,
        "precision": sys.argv[10], "tokens_per_cpu_second": tokens / cpu, "tokens_per_second": tokens / wall, "loss": losses[-1]}))


main()
