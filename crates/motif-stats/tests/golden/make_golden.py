"""Writes golden.json beside this file: what scipy and statsmodels say, for tests/golden.rs.

    python3 -m venv VENV && VENV/bin/pip install -r requirements.txt && VENV/bin/python make_golden.py
"""

import itertools
import json
import math
import pathlib
import types
import warnings

import numpy as np
import pandas as pd
import scipy.stats as st
from scipy.stats._resampling import BootstrapResult
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import ttost_paired

warnings.simplefilter("error")
rng = np.random.default_rng(20260501)


def samples():
    yield "two", [0.91, 0.95]
    yield "three accuracies", [0.9012, 0.8987, 0.9105]
    yield "five, one far out", [1.0, 1.5, 1.25, 1.75, 40.0]
    yield "negative, offset", list(rng.normal(-1e6, 1e-2, 8))
    yield "large", list(rng.lognormal(30, 3, 17))
    yield "small", list(rng.exponential(1e-9, 10))
    yield "many", list(rng.gamma(2.0, 3.0, 101))
    yield "tied", [0.5, 0.5, 0.25, 0.25, 0.25, 0.75]


def describe(name, x):
    n = len(x)
    out = {
        "name": name,
        "x": x,
        "n": n,
        "mean": math.fsum(x) / n,
        "sd": np.std(np.array(x) - np.median(x), ddof=1),
        "median": np.median(x),
        "iqm": st.trim_mean(x, 0.25),
        "intervals": [],
    }
    for level in [0.5, 0.8, 0.95, 0.99, 0.999]:
        half = st.t.ppf((1 + level) / 2, n - 1) * out["sd"] / math.sqrt(n)
        out["intervals"].append({"level": level, "low": out["mean"] - half, "high": out["mean"] + half})
    return out


def bca(x, resamples, level):
    distribution = rng.choice(np.array(x), (resamples, len(x))).mean(axis=1)
    given = BootstrapResult(confidence_interval=None, bootstrap_distribution=distribution, standard_error=None)
    ci = st.bootstrap(
        (np.array(x),), np.mean, n_resamples=0, bootstrap_result=given, confidence_level=level, method="BCa"
    ).confidence_interval
    return {"x": x, "distribution": list(distribution), "level": level, "low": ci.low, "high": ci.high}


def pairs():
    yield "two", [0.91, 0.94], [0.90, 0.92]
    yield "three", [0.913, 0.932, 0.951], [0.901, 0.915, 0.922]
    for n, shift in [(5, 0.4), (8, -1.0), (10, 0.0), (13, 0.6), (16, 0.5), (20, 0.3), (25, 0.7), (26, 0.5), (60, 0.2)]:
        b = rng.normal(0, 1, n)
        yield f"normal {n}", list(b + rng.normal(shift, 0.8, n)), list(b)
    yield "all up", list(np.arange(1, 11) ** 2 / 7), [0.0] * 10
    yield "ties", [5.0, 3.0, 8.0, 2.0, 9.0, 4.0, 7.0, 7.5], [4.0, 4.0, 5.0, 4.0, 6.0, 3.0, 5.0, 3.5]
    yield "ties and zeros", [5.0, 3.0, 8.0, 2.0, 9.0, 4.0, 7.0], [4.0, 3.0, 5.0, 4.0, 6.0, 3.0, 5.0]
    k = rng.integers(-4, 6, 40).astype(float)
    yield "many ties and zeros", list(k + 10), [10.0] * 40
    yield "twenty with ties", [1, 2, 2, 3, -1, 4, 5, -2, 6, 7, 7, -3, 8, 9, 1, 2, 10, -4, 11, 12], [0] * 20


def paired(name, a, b):
    a, b = [float(v) for v in a], [float(v) for v in b]
    d = np.array(a) - np.array(b)
    n = len(d)
    t = st.ttest_rel(a, b)
    ci = t.confidence_interval(0.95)
    nonzero = d[d != 0]
    clean = len(np.unique(np.abs(nonzero))) == n
    if len(nonzero) > 25:
        method, w = "normal_approximation", st.wilcoxon(d, method="asymptotic", correction=True)
    elif clean:
        method, w = "exact", st.wilcoxon(d, method="exact")
    else:
        method, w = "exact_conditional", conditional(nonzero)
    flip = None
    if n <= 16:
        flip = st.permutation_test((d,), np.mean, permutation_type="samples", n_resamples=np.inf).pvalue
    return {
        "name": name,
        "a": a,
        "b": b,
        "mean_difference": math.fsum(d) / n,
        "low": ci.low,
        "high": ci.high,
        "t": t.statistic,
        "df": int(t.df),
        "t_p": t.pvalue,
        "w": w.statistic,
        "w_p": w.pvalue,
        "w_method": method,
        "flip_p": flip,
        "d_z": d.mean() / d.std(ddof=1),
        "superiority": float(np.mean((d > 0) + 0.5 * (d == 0))),
    }


def conditional(nonzero):
    """scipy's exact permutation where it is quick; the same by hand, over all sign patterns, up to 25."""
    if len(nonzero) <= 13:
        return st.wilcoxon(nonzero, method=st.PermutationMethod(n_resamples=np.inf))
    ranks = st.rankdata(np.abs(nonzero))
    sums = np.zeros(1)
    for r in ranks:
        sums = np.concatenate([sums, sums + r])
    statistic = st.wilcoxon(nonzero, method="asymptotic").statistic
    return types.SimpleNamespace(statistic=statistic, pvalue=min(1.0, 2 * np.mean(sums <= statistic)))


def one_samples(rng):
    yield "two", [0.91, 0.95]
    yield "cosines", [0.031, -0.012, 0.044, 0.027, 0.009]
    yield "below zero", list(rng.normal(-0.3, 0.2, 9))
    yield "about zero", list(rng.normal(0.0, 1.0, 40))
    yield "far above", list(rng.normal(3.0, 0.01, 12))
    yield "tied", [0.5, 0.5, 0.25, -0.25, 0.25, 0.75]


def one_sample(name, x):
    """Against zero, and within bounds: statsmodels has TOST for one sample as that of a paired difference."""
    t = st.ttest_1samp(x, 0.0)
    ci = t.confidence_interval(0.95)
    spread = float(np.std(x))
    bounds = [float(np.mean(x)) - 0.4 * spread, float(np.mean(x)) + 1.1 * spread]
    p, above, below = ttost_paired(np.array(x), np.zeros(len(x)), *bounds)
    return {
        "name": name,
        "x": x,
        "mean": math.fsum(x) / len(x),
        "sd": np.std(np.array(x) - np.median(x), ddof=1),
        "low": ci.low,
        "high": ci.high,
        "t": t.statistic,
        "p": t.pvalue,
        "p_greater": st.ttest_1samp(x, 0.0, alternative="greater").pvalue,
        "bounds": bounds,
        "tost_p": p,
        "tost_above": above[1],
        "tost_below": below[1],
    }


def line(name, x, y):
    fit = st.linregress(x, y)
    return {
        "name": name,
        "x": [float(v) for v in x],
        "y": [float(v) for v in y],
        "slope": fit.slope,
        "intercept": fit.intercept,
        "slope_se": fit.stderr,
        "t": fit.slope / fit.stderr,
        "p": fit.pvalue,
    }


def lines(rng):
    ratio = [0.5, 1.0, 1.5, 2.0, 3.0]
    yield "three", [1.0, 2.0, 3.0], [0.91, 0.93, 0.94]
    yield "accuracy by ratio, five seeds", ratio * 5, list(0.9 + 0.01 * np.array(ratio * 5) + rng.normal(0, 0.01, 25))
    yield "flat", list(range(12)), list(rng.normal(5, 1, 12))
    yield "falling, large", list(rng.uniform(1e3, 2e3, 30)), list(rng.uniform(-1e6, 1e6, 30))


def families():
    yield [0.01, 0.04, 0.03, 0.005]
    yield [0.5]
    yield [0.2, 0.2, 0.2, 0.9, 1.0, 0.0]
    yield list(rng.uniform(0, 1, 30) ** 3)


def adjusted(p):
    return {
        "p": p,
        "holm": list(multipletests(p, method="holm")[1]),
        "benjamini_hochberg": list(multipletests(p, method="fdr_bh")[1]),
    }


def anova(levels, replicates, noise):
    names = [f"f{i}" for i in range(len(levels))]
    rows = []
    for cell in itertools.product(*[range(k) for k in levels]):
        for _ in range(replicates):
            effect = sum((i + 1) * 0.3 * level for i, level in enumerate(cell)) + 0.2 * cell[0] * cell[-1]
            rows.append([*cell, 10 + effect + rng.normal(0, noise)])
    frame = pd.DataFrame(rows, columns=[*names, "y"])
    terms = [f"C({name})" for name in names]
    formula = "y ~ " + (f"({' + '.join(terms)})**2" if len(terms) > 1 else terms[0])
    table = anova_lm(ols(formula, frame).fit(), typ=2)
    total = float(((frame.y - frame.y.mean()) ** 2).sum())
    return {
        "levels": list(levels),
        "cells": [[int(v) for v in row[:-1]] for row in rows],
        "y": [row[-1] for row in rows],
        "total": total,
        "residual": {"df": int(table.df["Residual"]), "sum_sq": table.sum_sq["Residual"]},
        "effects": [
            {
                "factors": [part[2:-1] for part in name.split(":")],
                "df": int(row.df),
                "sum_sq": row.sum_sq,
                "eta_sq": row.sum_sq / total,
                "f": row.F,
                "p": row["PR(>F)"],
            }
            for name, row in table.iterrows()
            if name != "Residual"
        ],
    }


def blocked(levels, seeds, rng):
    """A randomized complete block design: every cell once for each seed, which shifts all cells alike."""
    names = [f"f{i}" for i in range(len(levels))]
    shift = rng.normal(0, 0.7, seeds)
    rows = []
    for cell in itertools.product(*[range(k) for k in levels]):
        for seed in range(seeds):
            effect = sum((i + 1) * 0.3 * level for i, level in enumerate(cell)) + 0.2 * cell[0] * cell[-1]
            rows.append([*cell, seed, effect + shift[seed] + rng.normal(0, 0.4)])
    frame = pd.DataFrame(rows, columns=[*names, "seed", "y"])
    terms = [f"C({name})" for name in names]
    formula = "y ~ C(seed) + " + (f"({' + '.join(terms)})**2" if len(terms) > 1 else terms[0])
    table = anova_lm(ols(formula, frame).fit(), typ=2)
    total = float(((frame.y - frame.y.mean()) ** 2).sum())
    residual = table.sum_sq["Residual"]
    return {
        "levels": list(levels),
        "seeds": seeds,
        "cells": [[int(v) for v in row[:-1]] for row in rows],
        "y": [row[-1] for row in rows],
        "residual": {"df": int(table.df["Residual"]), "sum_sq": residual},
        "effects": [
            {
                "factors": [part[2:-1] for part in name.split(":")],
                "df": int(row.df),
                "sum_sq": row.sum_sq,
                "eta_sq": row.sum_sq / total,
                "partial_eta_sq": row.sum_sq / (row.sum_sq + residual),
                "f": row.F,
                "p": row["PR(>F)"],
            }
            for name, row in table.iterrows()
            if name != "Residual"
        ],
    }


def curve(seeds):
    series = [[[int(s), float(rng.normal(1 / (1 + s), 0.05))] for s in steps] for steps in seeds]
    points = []
    for step in sorted({s for one in series for s, _ in one}):
        x = [v for one in series for s, v in one if s == step]
        ci = st.ttest_1samp(x, 0).confidence_interval(0.95) if len(x) > 1 else None
        points.append(
            {
                "step": step,
                "n": len(x),
                "mean": math.fsum(x) / len(x),
                "low": ci.low if ci else None,
                "high": ci.high if ci else None,
            }
        )
    return {"series": series, "points": points}


def t_tails():
    """From p near 1 far down into the tail."""
    return [
        {"t": t, "df": df, "p": 2 * st.t.sf(t, df)}
        for df in [1, 2, 3, 9, 30, 200, 5000]
        for t in [1e-6, 0.01, 0.5, 0.999, 1.0, 2.0, 5.0, 12.0, 30.0]
    ]


def f_tails():
    return [
        {"f": f, "d1": d1, "d2": d2, "p": st.f.sf(f, d1, d2)}
        for d1, d2 in [(1, 1), (1, 8), (2, 20), (5, 3), (12, 400), (60, 3000)]
        for f in [0.001, 0.3, 0.99, 1.0, 1.7, 4.0, 25.0]
    ]


skewed = list(rng.lognormal(0, 1, 10))
golden = {
    "describe": [describe(name, [float(v) for v in x]) for name, x in samples()],
    "bca": [bca(skewed, 499, 0.95), bca([0.5, 0.75, 2.0], 499, 0.95), bca(list(rng.normal(-5, 2, 20)), 499, 0.8)],
    "paired": [paired(*case) for case in pairs()],
    "adjusted": [adjusted(p) for p in families()],
    "anova": [anova((3,), 4, 1.0), anova((2, 3), 5, 0.5), anova((4, 3, 2), 3, 0.3), anova((3, 2, 2, 2), 1, 2.0)],
    "curve": [curve([range(0, 50, 10), range(0, 50, 10), range(0, 30, 10), [0, 5, 10]])],
    "t_tails": t_tails(),
    "f_tails": f_tails(),
}
# Streams of their own: what is added here leaves the values above as they are.
golden["one_sample"] = [one_sample(name, [float(v) for v in x]) for name, x in one_samples(np.random.default_rng(1))]
golden["line"] = [line(*case) for case in lines(np.random.default_rng(2))]
rng = np.random.default_rng(3)
golden["blocked"] = [blocked((3,), 5, rng), blocked((2, 3), 4, rng), blocked((3, 2, 2), 3, rng)]
path = pathlib.Path(__file__).with_name("golden.json")
path.write_text(json.dumps(golden, indent=1, allow_nan=False) + "\n")
