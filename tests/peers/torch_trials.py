"""Backprop trials in PyTorch (CPU, eager), one after another on one thread: the peer of a Motif sweep.

    target/peers/bin/python tests/peers/torch_trials.py --data FOLDER_WITH_MNIST --first-seed 0 --trials 8

Each trial trains torch_step.py's `bp` as `rule = "bp"` does with `schedule = "constant"`: the same initial variance,
rate, clip per tensor, decay, subset size, minibatches and normalization, the test set scored after each epoch. Written
as a user would who wants it fast: PyTorch is imported and the files are read once for all trials, pixels are normalized
once per trial, and the test set is scored in chunks of 1,000 without gradients. A line of JSON per trial.
"""

import argparse
import gzip
import json
import pathlib
import time

import numpy as np
import torch
from torch import nn
from torch_step import CLASSES, Backprop

CHUNK = 1000


def idx(folder, part, kind):
    """One IDX file, plain or compressed, as an array of bytes."""
    for name in [f"{part}-{kind}-ubyte", f"{part}-{kind}-ubyte.gz"]:
        path = folder / name
        if path.exists():
            with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as file:
                content = file.read()
            dimensions = content[3]
            shape = np.frombuffer(content, ">u4", dimensions, 4)
            return np.frombuffer(content, np.uint8, offset=4 + 4 * dimensions).reshape(shape)
    raise SystemExit(f"{folder} has no {part}-{kind}-ubyte[.gz]")


def split(folder, part):
    images = idx(folder, part, "images-idx3")
    labels = idx(folder, part, "labels-idx1").astype(np.int64)
    return torch.from_numpy(images.reshape(len(images), -1).copy()), torch.from_numpy(labels)


def trial(seed, arguments, train, test):
    torch.manual_seed(seed)
    rows = torch.randperm(len(train[0]))[: arguments.train_limit]
    x, y = train[0][rows].float(), train[1][rows]
    centre = x.mean(0)
    x -= centre
    deviation = x.square().mean().sqrt()
    x /= deviation
    test_x = (test[0].float() - centre) / deviation

    network = Backprop([x.shape[1], *arguments.hidden], None)
    for layer in network.model:
        if isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, std=(2 / layer.in_features) ** 0.5)
    for _ in range(arguments.epochs):
        for batch in torch.randperm(len(x)).split(arguments.batch):
            network.step(x[batch], y[batch])
        with torch.no_grad():
            right = sum(
                (network.model(part).argmax(1) == labels).sum().item()
                for part, labels in zip(test_x.split(CHUNK), test[1].split(CHUNK))
            )
    return right / len(test_x)


def main():
    parser = argparse.ArgumentParser(description="Backprop trials in PyTorch, one after another on one thread.")
    parser.add_argument("--data", type=pathlib.Path, required=True, help="folder with MNIST's four IDX files")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--trials", type=int, default=8)
    parser.add_argument("--hidden", type=int, nargs="+", default=[200, 200, 200])
    parser.add_argument("--train-limit", type=int, default=5000)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--batch", type=int, default=64)
    arguments = parser.parse_args()

    torch.set_num_threads(1)
    train, test = split(arguments.data, "train"), split(arguments.data, "t10k")
    if max(train[1].max(), test[1].max()) >= CLASSES:
        raise SystemExit(f"labels from 0 to {CLASSES - 1} are expected")
    for seed in range(arguments.first_seed, arguments.first_seed + arguments.trials):
        start = time.perf_counter()
        accuracy = trial(seed, arguments, train, test)
        seconds = time.perf_counter() - start
        print(json.dumps({"seed": seed, "test_accuracy": accuracy, "seconds": seconds}), flush=True)


if __name__ == "__main__":
    main()
