"""Reads a sweep's exports with pandas and pyarrow and checks every value against the JSON API.

    python read_export.py FOLDER

FOLDER holds export.json, metrics/TRIAL.json as the API answers them, wide.parquet, long.parquet, wide.csv, long.csv, and
bundle/. Prints what it found as JSON; ends with an error where a value differs.
"""

import json
import math
import sys
import xml.etree.ElementTree
from pathlib import Path

import pandas
import pyarrow.parquet
import yaml

LONG = ["trial_id", "condition", "label", "seed", "step", "epoch", "metric", "value"]


def same(found, wanted):
    """Whether a cell holds a JSON value; NaN and null are told apart by the caller."""
    if wanted is None:
        return found is None
    if isinstance(wanted, float) and math.isnan(wanted):
        return isinstance(found, float) and math.isnan(found)
    return found == wanted and isinstance(found, str) == isinstance(wanted, str)


def check(cell, found, wanted):
    assert same(found, wanted), f"{cell}: {found!r} instead of {wanted!r}"


def expected_long(folder, trials):
    rows = []
    for trial in trials:
        metrics = json.loads((folder / "metrics" / f"{trial['id']}.json").read_text())
        for point in metrics["points"]:
            for name in sorted(point["values"]):
                value = point["values"][name]
                value = math.nan if value is None else float(value)
                row = [trial["id"], trial["condition"], trial["label"], trial["seed"]]
                rows.append([*row, point["step"], float(point["epoch"]), name, value])
    return rows


def check_long(folder, trials):
    wanted = expected_long(folder, trials)
    table = pyarrow.parquet.read_table(folder / "long.parquet")
    assert table.column_names == LONG, table.column_names
    kinds = [str(field.type) for field in table.schema]
    assert kinds == ["string", "int64", "string", "int64", "int64", "double", "string", "double"], kinds
    assert table.num_rows == len(wanted), (table.num_rows, len(wanted))
    assert all(column.null_count == 0 for column in table.columns)
    for index, (found, row) in enumerate(zip(table.to_pylist(), wanted)):
        for name, value in zip(LONG, row):
            check(f"long.parquet row {index} {name}", found[name], value)
    csv = pandas.read_csv(folder / "long.csv", float_precision="round_trip", keep_default_na=False, na_values=["NaN"])
    assert list(csv.columns) == LONG and len(csv) == len(wanted)
    for index, row in enumerate(wanted):
        check(f"long.csv row {index}", float(csv["value"][index]), row[-1])
        check(f"long.csv row {index}", csv["label"][index].lstrip("'"), row[2])
    return sum(math.isnan(row[-1]) for row in wanted)


def expected_wide(trial, sweep):
    condition = sweep["condition_rows"][trial["condition"]]
    result = trial["result"] or {}
    provenance = result.get("provenance", {})
    row = {
        "sweep": trial["sweep_id"],
        "trial": trial["id"],
        "attempts": trial["attempts"],
        "steps": trial["step"],
        "config_hash": condition["config_hash"],
        "dataset_hash": condition["dataset_hash"],
        "instruction_set": provenance.get("instruction_set"),
        "version": provenance.get("version"),
        "training_s": result.get("training_s"),
        "evaluation_s": result.get("evaluation_s"),
        "diagnostics_s": result.get("diagnostics_s"),
        "spectra_s": result.get("spectra_s"),
    }
    same_name = ["condition", "label", "seed", "state", "failures", "crashes", "diverged_step", "result_hash", "worker", "reason"]
    row |= {name: trial[name] for name in same_name}
    row |= {name: math.nan if value is None else value for name, value in result.get("metrics", {}).items()}
    for key, value in condition["axes"].items():
        row[f"axes.{key}"] = json.dumps(value, separators=(",", ":")) if isinstance(value, list) else value
    return row


def check_wide(folder, trials, sweep):
    table = pyarrow.parquet.read_table(folder / "wide.parquet")
    kinds = {field.name: str(field.type) for field in table.schema}
    times = ["started_at", "finished_at"]
    assert all(kinds[name] == "timestamp[us, tz=UTC]" for name in times), kinds
    assert (kinds["seed"], kinds["label"], kinds["training_s"]) == ("int64", "string", "double")
    rows = table.to_pylist()
    assert len(rows) == len(trials)
    csv = pandas.read_csv(folder / "wide.csv", dtype=str, keep_default_na=False)
    assert list(csv.columns) == table.column_names
    for index, (found, trial) in enumerate(zip(rows, trials)):
        wanted = expected_wide(trial, sweep)
        for name, value in found.items():
            if name in times:
                given = trial[name]
                check(f"{name} {index}", value, given and pandas.Timestamp(given).floor("us").to_pydatetime())
                continue
            check(f"wide.parquet row {index} {name}", value, wanted.get(name))
            text = csv[name][index]
            if isinstance(value, float) and math.isfinite(value):
                check(f"wide.csv row {index} {name}", float(text), value)
            elif value is None or isinstance(value, float):
                check(f"wide.csv row {index} {name}", text, "")
            else:
                check(f"wide.csv row {index} {name}", text.lstrip("'"), str(value))
    return {"columns": len(kinds), "axes": {name: kind for name, kind in kinds.items() if name.startswith("axes.")}}


def check_bundle(bundle, name, trials):
    citation = yaml.safe_load((bundle / "CITATION.cff").read_text())
    for key in ["cff-version", "message", "title", "authors", "type", "date-released", "version", "references"]:
        assert key in citation, key
    assert citation["cff-version"] == "1.2.0" and citation["type"] == "dataset"
    assert name in citation["title"], citation["title"]
    assert [reference["type"] for reference in citation["references"]] == ["software", "article"]
    assert len(citation["references"][1]["authors"]) == 6
    figures = sorted(path.name for path in (bundle / "figures").glob("*.svg"))
    for figure in figures:
        root = xml.etree.ElementTree.parse(bundle / "figures" / figure).getroot()
        assert root.tag.endswith("svg")
    points = pyarrow.parquet.ParquetFile(bundle / "data" / "points.parquet")
    assert pyarrow.parquet.ParquetFile(bundle / "data" / "trials.parquet").metadata.num_rows == len(trials)
    return {"figures": figures, "points": points.metadata.num_rows}


def main():
    folder = Path(sys.argv[1])
    document = json.loads((folder / "export.json").read_text())
    sweep, trials = document["sweep"], document["trials"]
    nans = check_long(folder, trials)
    wide = check_wide(folder, trials, sweep)
    bundle = check_bundle(folder / "bundle", sweep["name"], trials)
    print(json.dumps({"trials": len(trials), "nans": nans, "wide": wide, "bundle": bundle}))


main()
