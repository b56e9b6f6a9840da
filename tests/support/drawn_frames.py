"""Frames of a few cells with gaps, failures and two protocols, drawn by hypothesis or made by hand."""

from typing import Any

import pandas as pd
from hypothesis import strategies as st

PROTOCOLS = {
    "aaaaaaaa": {"learning_rate": 0.1, "size": 32},
    "bbbbbbbb": {"learning_rate": 0.01, "size": 32},
    "cccccccc": {"pretrain.max_steps": 100},
    "dddddddd": {"pretrain.max_steps": 200},
}
TARGETS = {"DRIVE": ("unet", "miou"), "HRF": ("unet", "miou"), "ChestXRay2017": ("classifier", "auc")}
SOURCES = {"random": ("",), "imagenet*": ("",), "EyePACS-5k": ("cccccccc", "dddddddd")}
STATES = ("finished", "finished", "finished", "failed", "blocked", "running", "missing")
KINDS = st.tuples(
    st.sampled_from([(name, source) for name, hashes in SOURCES.items() for source in hashes]),
    st.sampled_from(sorted(TARGETS)),
    st.sampled_from([1.0, 0.5]),
    st.sampled_from(["aaaaaaaa", "bbbbbbbb"]),
)
Kind = tuple[tuple[str, str], str, float, str]  # initialization and its protocol, target, share, protocol
Row = dict[str, Any]


@st.composite
def trials(draw: st.DrawFn) -> list[Row]:
    """Trials of a few cells with gaps, failures and up to two protocols each, in one or two experiments."""
    rows = []
    for kind in draw(st.lists(KINDS, min_size=1, max_size=8, unique=True)):
        for seed in draw(st.lists(st.integers(0, 3), min_size=1, max_size=4, unique=True)):
            value = draw(st.none() | st.floats(0, 1))
            row = trial(kind, seed, draw(st.sampled_from(STATES)), value)
            experiments = draw(st.sampled_from([("one",), ("two",), ("one", "two")]))
            rows += [row | {"experiment": name} for name in experiments]
    return rows


def trial(kind: Kind, seed: int, state: str, value: float | None) -> Row:
    (name, source), target, size, protocol = kind
    architecture, metric = TARGETS[target]
    row = {
        "experiment": "one",
        "initialization": name,
        "source": name.removesuffix("-5k"),
        "sample_size": 5000 if name.endswith("-5k") else None,
        "backbone": "resnet18",
        "architecture": architecture,
        "target": target,
        "target_size": size,
        "seed": seed,
        "protocol": protocol,
        "source_protocol": source,
        "status": "finished" if state == "finished" else "missing",
        "state": state,
        "auc": None,
        "miou": None,
        metric: value,
    }
    return row | {"digest": repr((kind, seed))}


def frame_of(rows: list[Row]) -> pd.DataFrame:
    frame = pd.DataFrame(rows).astype({"auc": float, "miou": float})
    frame.attrs["protocols"] = PROTOCOLS
    return frame
