"""Reads what `motif train --out DIR --trace-steps 2` wrote, with numpy, and recomputes what can be.

    python read_run.py DIR

Prints one JSON object: how far numpy's own results are from what was written.
"""

import json
import pathlib
import sys

import numpy


def load(path):
    with numpy.load(path) as archive:
        return {name: archive[name] for name in archive.files}


def main():
    folder = pathlib.Path(sys.argv[1])
    snapshots = {path.stem: load(path) for path in sorted((folder / "snapshots").glob("*.npz"))}
    trace = load(folder / "trace.npz")
    last = max(name for name in snapshots if name.startswith("step-"))
    weights, matrices = snapshots[last], snapshots[last.replace("step", "matrices")]

    def error(found, expected):
        return float(numpy.abs(found - expected).max() / numpy.abs(expected).max())

    errors = {"gram": 0.0, "sigma": 0.0, "eigen": 0.0}
    for name, value in weights.items():
        kind, layer = name.split(".")
        exact = value.astype(numpy.float64)
        gram = {"w": "w_wt", "v_bar": "v_bar_v_bart"}.get(kind)
        if gram:
            errors["gram"] = max(errors["gram"], error(matrices[f"{gram}.{layer}"], exact @ exact.T))
        sigma = numpy.linalg.svd(exact, compute_uv=False)
        errors["sigma"] = max(errors["sigma"], error(matrices[f"sigma.{name}"], sigma))
        if kind == "v_bar":
            eigen = numpy.linalg.eigvalsh(exact @ exact.T)[::-1]
            errors["eigen"] = max(errors["eigen"], error(matrices[f"eigen_h.{layer}"], eigen))

    # The first minibatch through the initial weights, as the document has it, gives the last layer's change.
    x, first, second = trace["x.0"], snapshots["step-000000"], snapshots["step-000001"]
    h, depth = x, sum(name.startswith("w.") for name in first)
    for layer in range(1, depth):
        h = numpy.maximum(h @ first[f"w.{layer}"].T, 0)
    logits = h @ first[f"w.{depth}"].T
    shares = numpy.exp(logits - logits.max(1, keepdims=True))
    e = numpy.eye(logits.shape[1])[trace["y.0"]] - shares / shares.sum(1, keepdims=True)
    change = e.T @ h / len(x)
    change *= min(1, 0.5 / numpy.linalg.norm(change))
    w = first[f"w.{depth}"]
    errors["step"] = error(second[f"w.{depth}"], w + 0.3 * (change - 0.002 * w))

    kinds = sorted({(str(value.dtype), value.flags["C_CONTIGUOUS"]) for value in weights.values()})
    print(json.dumps({"errors": errors, "tensors": sorted(weights), "kinds": kinds, "labels": str(trace["y.0"].dtype)}))


main()
