"""Finished work as a table: one row for each trial, from the plans of a space and MLflow's record."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from grid.plan.plan import Plan
from grid.plan.stored_plans import find_space, space_name
from grid.plan.test_sets import external_tests
from grid.results import controls
from grid.results.display import notes_of
from grid.results.selection import select
from grid.results.stored_results import StoredResults
from grid.results.test_set_columns import columns
from grid.results.test_set_columns import warnings as warnings_of_tests
from grid.space.protocols import PROTOCOL_FIELDS, protocol_fields
from grid.store.store import Store
from grid.tracking import runs as record
from grid.tracking.client import default_uri, sqlite_file
from grid.tracking.names import COMMIT
from grid.tracking.runs import Run
from medpt.data.card import plain
from medpt.errors import InputError, did_you_mean
from medpt.models.weights_file import UNKNOWN

if TYPE_CHECKING:
    import pandas as pd

FACTORS = (
    "experiment",
    "initialization",
    "source",
    "sample_size",
    "backbone",
    "architecture",
    "target",
    "target_size",
    "seed",
    "pretrain_seed",
    "fold",
    *PROTOCOL_FIELDS,
)
PROTOCOLS = ("protocol", "source_protocol")
FIRST = (*FACTORS, *PROTOCOLS, "task", "headline", "status")
LAST = ("seconds", "failure", "origin", "digest", "run_id", "items")
NO_METRICS = {*FIRST, *LAST, "selected", "compared_protocol", "state"} - {"seconds"}


def load(space: str, out: str | Path = "runs", tracking_uri: str | None = None) -> "pd.DataFrame":
    """Return one row for each trial of a space that was run into `out`, or with this tracker.

    `space` is a name, or the path of the file that was run. What the space consists of is read from `out` or,
    where that knows nothing of it, from MLflow's record. The state and the metrics of a trial are those of
    `out` where it has them, else MLflow's. A result whose marker is damaged is missing.

    Columns: the factors (`pretrain_seed` is NA where nothing is pre-trained, `fold` where the data are split
    once); the fields of the training protocol, None where a default depends on the task, NA where a trial
    has none; `protocol` and `source_protocol`, the hashes of the settings that the trial and its pre-training
    depend on ("" in a store of version 0.3.1, `source_protocol` also where nothing is pre-trained); `task`;
    `headline`, the metric that its tables show; `status` ("finished", "failed", "running", "missing"); the
    metrics of the test set as fractions (auc, miou, ...; nan where the trial is not finished or has another
    task); `seconds`; `failure`; `origin`, the laboratory that a result was pulled from, "" of one that was
    computed here; `digest` and `run_id` of its fine-tuning; `items`, the path of what its metrics were
    computed from for each test item, None where `out` does not have it. Other test sets, of which
    grid.results.on_test_set makes a frame, have columns such as `miou@HRF`, `status@HRF` and `items@HRF`.
    Where the space selects a value of a field, `selected` says whether a trial has it, `compared_protocol` is
    the hash of the settings but these fields, and `frame.attrs["selections"]` says what was selected and why.
    `frame.attrs["space"]` and `["out"]` are the name of the space and its store;
    `frame.attrs["protocols"]` gives the settings of each hash, for grid.space.protocols.describe_difference;
    `frame.attrs["notes"]` what tables say behind names, of grid.results.display.notes_of;
    `frame.attrs["commits"]` lists the git commits that the trials ran at, as MLflow has them;
    `frame.attrs["controls"]` and `["probes"]` are those of grid.results.controls; `frame.attrs["warnings"]`
    lists damaged and pulled results, damaged test items, targets and external test sets that published
    weights were trained on, differences between `out` and MLflow, and why MLflow could not be read.
    Raises InputError where the space was never run.
    """
    uri, store = tracking_uri or own_tracker(out), Store(out)
    if space_name(space) in store.spaces():
        return trials_frame(read_plan(space, out), uri, store)
    recorded = record.plans(uri) if uri else {}
    if space_name(space) not in recorded:
        raise _unknown(space, out, [*recorded, *store.spaces()])
    return trials_frame(recorded[space_name(space)], uri, store)


def trials_frame(plan: Plan, tracking_uri: str | None, store: Store) -> "pd.DataFrame":
    """Return the frame of `load` for the trials of a plan, whose files `store` has."""
    import pandas as pd

    runs, warnings = _recorded_runs(tracking_uri)
    results = StoredResults.read(store, {digest for _, digest in plan.trials})
    fields = {name: protocol_fields(values) for name, values in plan.protocols.items()}
    trials = [
        trial.to_json() | fields.get(trial.protocol, {}) | {"digest": digest} for trial, digest in plan.trials
    ]
    rows = [trial | results.row(trial["digest"], runs.get(trial["digest"])) for trial in trials]
    rows = [row | {"items": results.items.get(row["digest"])} for row in rows]
    tests = columns(plan, store, runs, {row["digest"]: row for row in rows})
    others = dict.fromkeys(name for row in tests.values() for name in row)
    metrics = sorted({name for row in rows for name in row} - {*FIRST, *LAST})
    frame = pd.DataFrame([row | tests.get(row["digest"], {}) for row in rows])
    frame = frame.reindex(columns=[*FIRST, *metrics, *LAST, *others])  # also of a space without trials
    frame = frame.astype({"pretrain_seed": "Int64", "fold": "Int64"})
    frame = frame.assign(**frame[[*PROTOCOL_FIELDS]].convert_dtypes())
    frame.attrs["space"], frame.attrs["out"] = plan.space, store.out
    frame.attrs["protocols"] = dict(plan.protocols)
    frame.attrs["notes"] = notes_of(plan)
    frame.attrs["commits"] = sorted(
        {runs[d].tags.get(COMMIT, "") for _, d in plan.trials if d in runs} - {""}
    )
    if plan.select:
        found = select(rows, plan.select, plan.protocols)
        frame = frame.assign(selected=found.kept, compared_protocol=found.compared)
        frame.attrs["protocols"] |= found.protocols
        frame.attrs["select"], frame.attrs["selections"] = plan.select, found.notes
    frame.attrs["controls"] = controls.read(plan, store)
    frame.attrs["probes"] = controls.probes(plan, store)
    further = StoredResults.read(store, {*plan.controls, *(test.digest for test in plan.tests)})
    damage = [*results.damage(plan), *further.damage(plan)]
    frame.attrs["warnings"] = [*warnings, *damage, *results.warnings(plan, runs), *seen_targets(plan)]
    frame.attrs["warnings"] += warnings_of_tests(plan, store)
    return frame


def seen_targets(plan: Plan) -> list[str]:
    """Warn of each target and each external test set that published weights of a trial were trained on."""
    seen = {(w.name, plain(name)) for w in plan.weights if w.trained_on != UNKNOWN for name in w.trained_on}
    external: dict[str, list[str]] = {}
    for test in external_tests(plan):
        external.setdefault(test.trial, []).append(test.name)
    tested = dict.fromkeys(
        (trial.label, role, dataset)
        for trial, digest in plan.trials
        for role, datasets in (("target", [trial.target]), ("external test set", external.get(digest, [])))
        for dataset in datasets
    )
    return [
        f"{name} was trained on images of the {role} {dataset}: its scores there may be too high"
        for name, role, dataset in tested
        if (name, plain(dataset)) in seen
    ]


def _recorded_runs(uri: str | None) -> tuple[dict[str, Run], list[str]]:
    """Return MLflow's runs by digest; none, and a warning, where it cannot be read."""
    try:
        return record.by_digest(uri) if uri else {}, []
    except InputError as error:
        return {}, error.problems


def read_plan(space: str, out: str | Path) -> Plan:
    """Return all that was run into `out` under the name of a space, as one plan.

    Raises InputError where the space was never run, or where another file was run under its name.
    """
    store = Store(out)
    plan = find_space(store, space)
    if plan is None:
        raise _unknown(space, out, store.spaces())
    return plan


def _unknown(space: str, out: str | Path, known: Sequence[str]) -> InputError:
    hint = did_you_mean(space, sorted(set(known))) if known else "it holds no results"
    return InputError(f"`{space}` was not run into {out}: {hint}")


def own_tracker(out: str | Path) -> str | None:
    """Return the database that a run without --tracking-uri writes; None where there is none yet."""
    uri = default_uri(Store(out).root)
    return uri if sqlite_file(uri).is_file() else None
