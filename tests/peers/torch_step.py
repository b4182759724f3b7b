"""Milliseconds per minibatch in PyTorch (CPU, eager), for the networks of motif-net's example `step_time`.

    python3 -m venv target/peers && target/peers/bin/pip install -r tests/peers/requirements.txt
    target/peers/bin/python tests/peers/torch_step.py

Both rules are written as a user of PyTorch would: `bp` with autograd and `torch.optim.SGD`, `sal` with matrix products
under `no_grad`. Same widths, minibatch, activation (ReLU upstream, linear downstream), clip per tensor and decay as the
engine's defaults. The examples lie in memory as float32 and normalized, which the engine does per minibatch.
Medians of stretches: with one thread (its processor time, as the example measures) and with PyTorch's default
(the clock on the wall). `cargo xtask bench engine` runs this and the example in turns, network by network.
"""

import argparse
import itertools
import json
import platform
import statistics
import time

import torch
from torch import nn

STRETCH_SECONDS = 0.3
CLASSES = 10
CLIP = 0.5
RATES = {"w": 0.3, "w_bar": 0.13, "v": 0.12, "v_bar": 0.12}
DECAY = 0.002
NETWORKS = [
    ([784, 200, 200, 200], 1.0, 64),
    ([784, 200, 200, 200], 2.0, 64),
    ([784, 200, 200, 200], 7.5, 64),
    ([3072] + [200] * 8, 2.0, 64),
    ([3072, 1000, 1000, 1000], 1.0, 128),
]


class Backprop:
    def __init__(self, widths, _ratio):
        sizes = [*widths, CLASSES]
        layers = []
        for source, target in zip(sizes, sizes[1:]):
            layers += [nn.Linear(source, target, bias=False), nn.ReLU()]
        self.model = nn.Sequential(*layers[:-1])
        self.loss = nn.CrossEntropyLoss()
        # The engine's decay acts beside the clip: weight_decay does, since the clip is on the gradient.
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=RATES["w"], weight_decay=DECAY)

    def step(self, x, y):
        self.optimizer.zero_grad()
        self.loss(self.model(x), y).backward()
        for parameter in self.model.parameters():
            nn.utils.clip_grad_norm_(parameter, CLIP)
        self.optimizer.step()


class Sal:
    def __init__(self, widths, ratio):
        n = [*widths, CLASSES]
        m = [round(ratio * width) for width in widths] + [CLASSES]
        self.depth = len(n) - 1
        hidden = range(1, self.depth)
        normal = lambda rows, columns, variance: torch.randn(rows, columns) * variance**0.5
        self.w = {l: normal(n[l], n[l - 1], 2 / n[l - 1]) for l in range(1, self.depth + 1)}
        self.w_bar = {l: normal(m[l], m[l + 1], 1 / m[l + 1]) for l in hidden}
        self.v = {l: normal(m[l], n[l], 0.81 / n[l]) for l in hidden}
        self.v_bar = {l: normal(n[l], m[l], 0.81 / m[l]) for l in hidden}

    @torch.no_grad()
    def step(self, x, y):
        depth, batch = self.depth, len(x)
        h = {0: x}
        for l in range(1, depth):
            h[l] = torch.relu(h[l - 1] @ self.w[l].T)
        logits = h[depth - 1] @ self.w[depth].T
        e = nn.functional.one_hot(y, CLASSES) - torch.softmax(logits, 1)
        h_bar, g, u = {depth: e}, {depth: e}, {}
        for l in range(depth - 1, 0, -1):
            h_bar[l] = h_bar[l + 1] @ self.w_bar[l].T
            g[l] = (h_bar[l] @ self.v_bar[l].T) * (h[l] > 0)
            u[l] = h[l] @ self.v[l].T
        for l in range(1, depth + 1):
            self.update("w", l, g[l].T @ h[l - 1] / batch)
        for l in range(1, depth):
            self.update("w_bar", l, u[l].T @ h_bar[l + 1] / batch)
            change = h_bar[l].T @ h[l] / batch
            self.update("v", l, change)
            self.update("v_bar", l, change.T)

    def update(self, kind, layer, change):
        value = getattr(self, kind)[layer]
        scale = torch.clamp(CLIP / change.norm(), max=1.0)
        value += RATES[kind] * (scale * change - DECAY * value)


def shape(widths):
    """`784-200-200-200-10`; more than three equal layers in a row are counted: `3072-200x8-10`."""
    runs = ((width, len(list(run))) for width, run in itertools.groupby([*widths, CLASSES]))
    return "-".join(f"{width}x{n}" if n > 3 else "-".join([str(width)] * n) for width, n in runs)


def networks():
    """Rule, widths, ratio and minibatch by name, as the example names them."""
    for widths, ratio, batch in NETWORKS:
        yield f"sal {shape(widths)} ratio {ratio:g} batch {batch}", (Sal, widths, ratio, batch)
    # Without a downstream pathway the ratio means nothing.
    for widths, batch in dict.fromkeys((tuple(widths), batch) for widths, _, batch in NETWORKS):
        yield f"bp {shape(widths)} batch {batch}", (Backprop, list(widths), None, batch)


def milliseconds(rule, widths, ratio, batch, threads, repeats):
    """Medians per minibatch: this thread's processor time, and the clock on the wall."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    x = torch.randn(batch * 40, widths[0])
    y = torch.randint(CLASSES, (batch * 40,))
    network = rule(widths, ratio)

    def stretch(count):
        busy, start = time.thread_time(), time.perf_counter()
        for step in range(count):
            rows = torch.randint(len(x), (batch,))
            network.step(x[rows], y[rows])
        return (time.thread_time() - busy) / count, (time.perf_counter() - start) / count

    stretch(3)
    count = max(3, int(STRETCH_SECONDS / stretch(3)[1]))
    return [1e3 * statistics.median(times) for times in zip(*(stretch(count) for _ in range(repeats)))]


def main():
    parser = argparse.ArgumentParser(description="Milliseconds per minibatch in PyTorch.")
    parser.add_argument("--only", metavar="NAME", help="measure this network alone; --list prints the names")
    parser.add_argument("--repeats", type=int, default=9, help="stretches that a median is taken over")
    parser.add_argument("--json", action="store_true", help="print a line of JSON per network")
    parser.add_argument("--list", action="store_true", help="print the networks' names")
    arguments = parser.parse_args()
    chosen = {name: it for name, it in networks() if arguments.only in (None, name)}
    if not chosen:
        parser.error(f"--only {arguments.only}: no such network (there are: {', '.join(dict(networks()))})")
    if arguments.repeats < 1:
        parser.error(f"--repeats {arguments.repeats}: at least 1 is expected")
    if arguments.list:
        print("\n".join(chosen))
        return

    default = torch.get_num_threads()
    about = {
        "torch": torch.__version__,
        "python": platform.python_version(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "default_threads": default,
    }
    if not arguments.json:
        print("PyTorch {torch}, Python {python}, {capability}; default threads {default_threads}".format(**about))
        print(f"{'ms per minibatch':<42}{'1 thread':>10}{'default':>10}")
    for name, network in chosen.items():
        one_busy, one_wall = milliseconds(*network, 1, arguments.repeats)
        _, default_wall = milliseconds(*network, default, arguments.repeats)
        if arguments.json:
            figures = {"one_thread_ms": one_busy, "one_thread_wall_ms": one_wall, "default_wall_ms": default_wall}
            print(json.dumps({"name": name, **figures, **about}), flush=True)
        else:
            print(f"{name:<42}{one_busy:>10.3f}{default_wall:>10.3f}", flush=True)


if __name__ == "__main__":
    main()
