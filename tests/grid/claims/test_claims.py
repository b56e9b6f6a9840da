"""The claims on planted results, and on results that are not all there."""

from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from grid import space
from grid.claims import scores, verdicts
from grid.claims.parts import IDENTICAL, MISSING, NOT_REPEATED, ONE_PRETRAINING
from grid.claims.verdicts import INCONCLUSIVE, NOT_SUPPORTED, SUPPORTED, UNDECIDABLE, Verdict
from grid.space.trials import Trial
from medpt.data.catalog import card
from medpt.errors import InputError
from medpt.identity import stream_seed

SPACES = ("fig3", "table2", "fig4", "table3", "fig5", "fig7", "table5", "table6")
SEEDS = range(5)
SIMILAR = {"ChestXRay2017": "CheXpert", "MESSIDOR": "EyePACS", "CIFAR-100": "ADE20K"}
SMALL = ("MESSIDOR", "HRF", "DRISHTI-GS")
SECTIONS = ("CardiacMRI", "NIH-CT-82")


def by_id(verdicts: list[Verdict]) -> dict[str, Verdict]:
    return {verdict.id: verdict for verdict in verdicts}


def level(start: str, target: str) -> float:
    """A world in which all claims hold but C10, which contradicts C4 and C9."""
    if start == "random" or start == "-":
        return 0.0
    if start == "imagenet*":
        return 6.0
    if start.startswith("M"):
        return 5.9 if start.startswith("M6") else 5.0
    if start.startswith("SS-"):
        return -3.0 if target in SMALL else 1.0
    if start == "CheXpert-50k":
        return 5.8
    natural = 2.0 if start.startswith("ImageNet") else None
    if target in SIMILAR:
        return 4.0 if start.startswith(SIMILAR[target]) else natural or 1.0
    if target in SECTIONS:
        return {"ADE20K-Seg": 8.0, "REFUGE-OD": -0.5}.get(start, -1.0)
    return {"REFUGE-OD": 4.0, "ADE20K": 3.0, "ADE20K-Seg": 3.0}.get(start, natural or -1.0)


@cache
def trials() -> tuple[Trial, ...]:
    """Of all the paper's spaces, each cell once."""
    found = [trial for name in SPACES for trial in space.load(name).trials]
    return tuple({(t.label, t.backbone, t.architecture, t.target, t.target_size): t for t in found}.values())


def planted(sign: float = 1.0) -> pd.DataFrame:
    """Every cell of the paper's spaces, with noise of its own for each seed."""
    rows: dict[str, dict[str, Any]] = {}
    for trial in trials():
        for seed in SEEDS:
            factors = trial.to_json() | {"seed": seed}
            digest = repr(
                (trial.label, trial.backbone, trial.architecture, trial.target, trial.target_size, seed)
            )
            noise = np.random.default_rng(stream_seed(0, digest)).normal(0, 0.4)
            points = 70 + sign * level(trial.label, trial.target) + noise
            metric = {"classification": "auc", "segmentation": "miou"}.get(card(trial.target).task, "c_index")
            own = trial.label.startswith(SIMILAR.get(trial.target, "none"))
            steps = 5_000 - sign * 2_000 * own + 10 * seed
            rows[digest] = factors | {metric: points / 100, "dense_steps_to_95": steps, "digest": digest}
    return pd.DataFrame(rows.values())


def analyses(sign: float = 1.0) -> dict[str, pd.DataFrame]:
    order = {"imagenet*": 4, "M6-CLS": 3, "M6-SEG": 3, "M3-CLS": 2, "M3-SEG": 2}
    sources = [*order, "CheXpert-20k", "EyePACS-20k", "CHAOS-CT", "CHAOS-MRI", "REFUGE-OD"]
    rank = {source: sign * order.get(source, 1) for source in sources}
    layers = ["conv1", *(f"layer{n}.conv" for n in range(1, 9))]
    noise = np.random.default_rng(0).normal(0, 0.01, 64)
    names = ["ChestXRay2017", "CheXpert-20k", "MESSIDOR", "EyePACS-20k", "CIFAR-100", "ADE20K", "CardiacMRI"]
    names += ["CHAOS-MRI", "NIH-CT-82", "CHAOS-CT", "DRISHTI-GS", "REFUGE-OD"]
    modality = {name: card(name.removesuffix("-20k")).modality for name in names}
    pairs = [(a, b) for n, a in enumerate(names) for b in names[: n + 1]]
    return {
        "svcca": pd.DataFrame(
            [(s, layer, 0.6 - 0.1 * r) for s, r in rank.items() for layer in layers],
            columns=["source", "layer", "similarity"],
        ),
        "gabor": pd.DataFrame(
            [(s, n, 0.6 + 0.1 * r + noise[n], 0.05) for s, r in rank.items() for n in range(64)],
            columns=["source", "filter", "score", "control"],
        ),
        "cmd": pd.DataFrame(
            [(a, b, 4 - sign * 2 * (modality[a] == modality[b])) for a, b in pairs], columns=["a", "b", "cmd"]
        ),
    }


CLOSE_CALLS = dict.fromkeys(("C16", "C19"), INCONCLUSIVE)  # a tenth of a point apart, or splits


@cache
def ours() -> dict[str, Verdict]:
    return by_id(verdicts.judge(planted(), analyses()))


def test_papers_spaces_have_every_cell_that_a_claim_names() -> None:
    assert {name: verdict.missing for name, verdict in ours().items() if verdict.missing} == {}


def test_world_made_after_the_claims_supports_them() -> None:
    found = {name: verdict.kind for name, verdict in ours().items()}
    expected = {f"C{n}": SUPPORTED for n in range(1, 22)} | {"C10": NOT_SUPPORTED}
    assert found == expected | {"C13": UNDECIDABLE, "C14": UNDECIDABLE} | CLOSE_CALLS


def test_opposite_world_refutes_them() -> None:
    found = by_id(verdicts.judge(planted(-1), analyses(-1)))
    refuted = {name for name, verdict in found.items() if verdict.kind == NOT_SUPPORTED}
    best_of_several = {"C7", "C8"}  # the best of the others stays above
    assert refuted >= {f"C{n}" for n in range(1, 22)} - best_of_several - {"C13", "C14", "C16"}
    assert found["C16"].kind != NOT_SUPPORTED  # nearness has no sign


def test_pre_trainings_without_repeats_decide_nothing() -> None:
    assert ours()["C13"].verdict == ours()["C14"].verdict == f"{UNDECIDABLE}: {ONE_PRETRAINING}"


def repeated(sign: float = 1.0, repeats: int = 3) -> dict[str, pd.DataFrame]:
    """The analyses of several pre-trainings of each source but imagenet*, each with its own noise."""
    found, rng = analyses(sign), np.random.default_rng(1)
    for name, column, scale in (("svcca", "similarity", 0.01), ("gabor", "control", 0.02)):
        parts = [found[name].assign(pretrain_seed=0)]
        for seed in range(1, repeats):
            again = found[name][found[name]["source"] != "imagenet*"].assign(pretrain_seed=seed)
            noise = {source: rng.normal(0, scale) for source in again["source"].unique()}
            parts.append(again.assign(**{column: again[column] + again["source"].map(noise)}))
        found[name] = pd.concat(parts)
    return found


def test_repeated_pre_trainings_decide_in_either_direction() -> None:
    found = by_id(verdicts.judge(None, repeated()))
    assert {found[name].kind for name in ("C13", "C14")} == {SUPPORTED}
    found = by_id(verdicts.judge(None, repeated(-1)))
    assert found["C13"].kind == NOT_SUPPORTED
    assert found["C14"].parts[0].difference < 0  # type: ignore[operator]


def test_pre_training_is_the_unit_of_repetition() -> None:
    """Against a t test on one number of each pre-training, with the variance pooled over the sources."""
    gabor = repeated()["gabor"]
    (part, _) = by_id(verdicts.judge(None, {"gabor": gabor}))["C14"].parts
    each = {
        source: 100
        * (rows.groupby("pretrain_seed")["score"].mean() - rows.groupby("pretrain_seed")["control"].first())
        for source, rows in gabor.groupby("source")
    }
    df = sum(len(values) - 1 for values in each.values())
    pooled = sum(((values - values.mean()) ** 2).sum() for values in each.values()) / df
    difference = (
        each["M6-CLS"].mean() - each["M3-CLS"].mean() + each["M6-SEG"].mean() - each["M3-SEG"].mean()
    ) / 2
    error = np.sqrt(pooled / 4 * 4 / 3)
    assert part.difference == pytest.approx(difference)
    assert part.low == pytest.approx(difference - stats.t.ppf(0.975, df) * error)
    assert part.p == pytest.approx(stats.t.sf(difference / error, df))


def test_analyses_of_two_protocols_are_not_mixed() -> None:
    svcca = analyses()["svcca"]
    again = svcca.head(1).assign(similarity=0.1)
    with pytest.raises(InputError, match="two values of pre-training 0"):
        verdicts.judge(None, {"svcca": pd.concat([svcca, again])})


def test_layer_without_a_similarity_is_missing() -> None:
    svcca = analyses()["svcca"]
    svcca.loc[svcca["source"] == "M6-CLS", "similarity"] = np.nan
    found = by_id(verdicts.judge(None, {"svcca": svcca}))["C13"]
    assert found.parts[0].undecidable == MISSING
    assert "svcca of SVCCA · M6-CLS → conv1" in found.missing


def test_identical_pre_trainings_decide_nothing() -> None:
    svcca = analyses()["svcca"]
    same = pd.concat([svcca.assign(pretrain_seed=seed) for seed in range(3)])
    assert by_id(verdicts.judge(None, {"svcca": same}))["C13"].verdict == f"{UNDECIDABLE}: {IDENTICAL}"


def test_noise_alone_finds_nothing() -> None:
    frame, rng = planted(), np.random.default_rng(1)
    for metric in ("auc", "miou", "c_index"):
        frame[metric] = frame[metric].where(frame[metric].isna(), 0.7 + rng.normal(0, 0.01, len(frame)))
    found = {verdict.id: verdict.kind for verdict in verdicts.judge(frame, {})}
    assert set(found.values()) <= {INCONCLUSIVE, UNDECIDABLE, SUPPORTED}
    assert {name for name, kind in found.items() if kind == SUPPORTED} <= {"C16", "C21"}


def test_largest_p_of_the_parts_supports_and_holm_corrects() -> None:
    for verdict in (verdict for verdict in ours().values() if verdict.p is not None):
        assert verdict.p == max(part.p for part in verdict.parts if part.p is not None)
        least = min(part.opposite for part in verdict.parts if part.opposite is not None)
        assert verdict.opposite == pytest.approx(min(1.0, len(verdict.parts) * least))
        assert verdict.p_adjusted is not None
        assert verdict.p_adjusted >= min(1.0, 2 * min(verdict.p, verdict.opposite)) - 1e-12


def test_part_is_the_mean_of_its_differences() -> None:
    part = ours()["C4"].parts[0]
    assert part.difference == pytest.approx(np.mean([c.difference for c in part.comparisons]))
    assert part.low is not None
    assert part.low < 0.8 < (part.high or 0.0)


def test_missing_cell_is_named_and_leaves_the_claim_open() -> None:
    frame = planted()
    lost = (frame["initialization"] == "EyePACS-20k") & (frame["target"] == "MESSIDOR")
    lost &= frame["backbone"] == "densenet121"
    frame.loc[lost, "auc"] = np.nan
    found = by_id(verdicts.judge(frame, analyses()))["C1"]
    assert found.verdict == f"{UNDECIDABLE}: {MISSING}"
    assert found.missing == ("DenseNet-121 · EyePACS-20k → MESSIDOR",)
    assert (found.held, found.total) == (8, 8)


def test_missing_seed_is_named() -> None:
    frame = planted()
    rows = (frame["initialization"] == "M6-CLS") & (frame["target"] == "TCGA-LGG") & (frame["seed"] == 4)
    frame.loc[rows & (frame["architecture"] == "km") & (frame["backbone"] == "resnet18"), "c_index"] = np.nan
    found = by_id(verdicts.judge(frame, {}))["C18"]
    assert found.verdict == SUPPORTED
    assert found.parts[0].incomplete == ("ResNet-18 + KM · M6-CLS → TCGA-LGG: 4 of 5 seeds",)


def test_without_its_analysis_a_claim_names_it() -> None:
    found = by_id(verdicts.judge(planted().drop(columns="dense_steps_to_95"), {}))
    assert {found[name].verdict for name in ("C13", "C20", "C21")} == {f"{UNDECIDABLE}: {MISSING}"}
    assert "svcca of SVCCA · M3-CLS → conv1" in found["C13"].missing
    assert "dense_steps_to_95 of ResNet-18 · CheXpert-20k → ChestXRay" in found["C21"].missing
    gabor = analyses()["gabor"]
    found = by_id(verdicts.judge(None, {"gabor": gabor[gabor["source"] != "imagenet*"]}))
    assert found["C14"].missing == ("gabor of conv1 · ImageNet* → filters",)


def test_gabor_scores_are_judged_less_their_control() -> None:
    """As the page prints them: a source whose scrambled filters pass as Gabors has no more of them."""
    gabor = analyses()["gabor"]
    gabor.loc[gabor["source"] == "M6-CLS", "control"] = 0.45
    found = scores.from_analysis("gabor", gabor).cells
    plain = 100 * gabor[gabor["source"] == "M6-CLS"]["score"].mean()
    assert found["conv1", "M6-CLS", "filters", 1.0].mean == pytest.approx(plain - 45)
    (first, _) = by_id(verdicts.judge(None, {"gabor": gabor}))["C14"].parts
    lower = {c.upper: c.difference < 0 for c in first.comparisons}
    assert lower == {"M6-CLS": True, "M6-SEG": False}


def test_fastest_of_the_others_is_the_one_to_beat() -> None:
    frame = planted()
    rival = (frame["initialization"] == "ADE20K") & (frame["target"] == "ChestXRay2017")
    frame.loc[rival & (frame["backbone"] == "resnet18"), "dense_steps_to_95"] = 1_000
    (part,) = by_id(verdicts.judge(frame, {}))["C21"].parts
    assert (part.held, part.total) == (2, 3)
    assert {c.upper for c in part.comparisons if c.difference < 0} == {"ADE20K"}


def test_single_seeds_without_items_are_undecidable() -> None:
    frame = planted()
    found = verdicts.judge(frame[frame["seed"] == 0], {})
    open_ = [verdict for verdict in found if not verdict.missing]
    assert {verdict.verdict for verdict in open_} == {f"{UNDECIDABLE}: {NOT_REPEATED}"}
    untested = [part for verdict in open_ for part in verdict.parts]
    assert {(part.p, part.opposite) for part in untested} == {(None, None)}


def test_far_apart_is_not_near() -> None:
    frame = planted()
    frame.loc[frame["initialization"].isin(["M6-CLS", "M6-SEG"]), ["auc", "miou"]] -= 0.05
    assert by_id(verdicts.judge(frame, {}))["C16"].verdict == NOT_SUPPORTED


def test_trials_of_two_protocols_are_not_mixed() -> None:
    frame = planted()
    again = frame.head(1).assign(digest="another")
    with pytest.raises(InputError, match="2 units are seed"):
        verdicts.judge(pd.concat([frame, again]), {})


def test_analysis_without_its_columns_is_reported() -> None:
    with pytest.raises(InputError, match="svcca: no column similarity; source, layer, similarity"):
        verdicts.judge(None, {"svcca": pd.DataFrame({"source": ["x"], "layer": ["conv1"]})})
