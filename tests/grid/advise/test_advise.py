"""Advice for planted targets: the source that equals the target, contradictory results, and bad input."""

import csv
import math
import re
import shlex
from dataclasses import replace
from itertools import combinations, pairwise
from pathlib import Path
from shutil import copyfile

import made_advice
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grid.advise import __main__ as advise
from grid.advise import ranking, samples
from grid.advise.advice import Advice, Adviser, weighted_gain
from grid.advise.candidates import Target
from grid.advise.ranking import Trust
from grid.advise.samples import Sample

SOURCES = ("CheXpert", "ISIC2019", "EyePACS")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with runs/, and mine/ that holds the images of EyePACS."""
    home = tmp_path_factory.mktemp("advice")
    made_advice.publish(made_advice.plan(home), home / "runs")
    made_advice.folder(home / "mine", "EyePACS")
    return home


def arguments(home: Path, *more: str) -> list[str]:
    return ["--target", str(home / "mine"), "--space", "hospital", "--out", str(home / "runs"), *more]


def prepared(home: Path) -> tuple[Adviser, Sample]:
    options = advise.AdviseOptions(str(home / "mine"), "hospital", str(home / "runs"))
    dataset, stored, offer = advise.check_options(options)
    target = samples.of_dataset(dataset, offer.size, options.images)
    return Adviser(stored, offer, options.images, None, lambda line: None), target


def advised(home: Path) -> Advice:
    adviser, target = prepared(home)
    found = adviser.advise(target)
    assert not adviser.stored.warnings
    return found


def test_source_that_is_the_target_comes_first(made: Path) -> None:
    found = advised(made)
    assert [row.initialization for row in found.rows] == ["EyePACS", "ISIC2019", "CheXpert"]
    assert [row.rank for row in found.rows] == [1, 2, 3]
    cmd = [row.cmd for row in found.rows if row.cmd is not None]
    assert cmd == sorted(cmd)
    assert cmd[0] < cmd[1] / 5
    assert found.others == 4
    assert {row.targets for row in found.rows} == {4}
    assert len({row.logme for row in found.rows}) == 1  # one encoder under three names
    assert found.random is not None
    assert math.isfinite(found.random)


def test_advice_that_was_right_is_given(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert advise.main(arguments(made)) == 0
    printed = capsys.readouterr().out
    assert "Start from EyePACS. On the targets already measured Kendall's tau" in printed
    assert "(4 targets)" in printed
    assert "note:" not in printed
    again = advise.main(arguments(made))
    assert (again, capsys.readouterr().out) == (0, printed)


NUMBER = re.compile(r"[-+]?\d+\.\d+")


def test_page_shows_what_is_printed(
    made: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """But for the last digits, which are the processor's."""
    command, _, shown = re.findall(r"```console\n(.*?)```", made_advice.PAGE, re.DOTALL)[5].partition("\n")
    monkeypatch.chdir(made)
    assert advise.main(shlex.split(command.removeprefix("$ "))[3:]) == 0
    printed = "".join(f"{line.rstrip()}\n" for line in capsys.readouterr().out.splitlines())
    assert NUMBER.sub("#", printed) == NUMBER.sub("#", shown)
    one, other = (np.array(NUMBER.findall(text), float) for text in (printed, shown))
    np.testing.assert_allclose(one, other, atol=0.05)


def test_gains_are_means_over_the_other_targets_weighted_by_nearness(made: Path) -> None:
    found = advised(made)
    rows = {row.initialization: row for row in found.rows}
    plain = {
        name: np.mean([made_advice.by_distance(name, t) for t in made_advice.GREY if t not in SOURCES])
        for name in SOURCES
    }
    assert (
        float(rows["EyePACS"].gain or 0) > plain["EyePACS"] + 1
    )  # the near targets, where it gains, weigh more
    assert float(rows["CheXpert"].gain or 0) < plain["CheXpert"] - 1
    far, near = Target("a", "", {}, {"x": 2.0}), Target("b", "", {}, {"x": 8.0, "y": 1.0})
    assert weighted_gain("x", [far, near], {"a": 2.0, "b": 0.0}) == pytest.approx((2 / 3 + 8) / (1 / 3 + 1))
    assert weighted_gain("y", [far, near], {"a": 2.0, "b": 0.0}) == 1.0
    assert weighted_gain("z", [far, near], {"a": 2.0, "b": 0.0}) is None


def with_gains(made: Path, gain: made_advice.Gain) -> Advice:
    """Advice of the same store, had the targets gained so."""
    adviser, target = prepared(made)
    targets = [
        replace(entry, gains={name: gain(name, entry.name) for name in entry.gains})
        for entry in adviser.offer.targets
    ]
    adviser.offer = replace(adviser.offer, targets=targets)
    return adviser.advise(target)


def test_target_is_judged_without_its_own_results(made: Path) -> None:
    """Only STARE-CLS changes, to the reverse: its tau turns over, for its own gains were no stored."""

    def turned(source: str, target: str) -> float:
        return made_advice.by_distance(source, target) * (-1 if target == "STARE-CLS" else 1)

    before, after = advised(made).trust.taus, with_gains(made, turned).trust.taus
    assert before["STARE-CLS"] == pytest.approx(-after["STARE-CLS"])
    assert before["STARE-CLS"] > 0.5


def test_contradictory_results_recommend_nothing(made: Path) -> None:
    def contrary(source: str, target: str) -> float:
        return made_advice.by_distance(source, target) * (1 if target in ("MESSIDOR", "REFUGE-CLS") else -1)

    found = advise.sentence(with_gains(made, contrary))
    assert found.startswith("Not enough evidence to recommend one: on the targets already measured Kendall's")
    assert "Start from" not in found


def test_what_is_no_better_than_random_weights_is_called_so(made: Path) -> None:
    found = advise.sentence(with_gains(made, lambda *names: made_advice.by_distance(*names) - 20))
    assert found.startswith("Start from EyePACS.")
    assert found.endswith("On similar targets EyePACS was no better than random weights.")


@pytest.fixture(scope="module")
def poor(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two targets; EyePACS' encoder is dead, that of ISIC2019 is a broken file."""
    home = tmp_path_factory.mktemp("poor")
    plan = made_advice.plan(home, made_advice.SPACE.replace("ChestXRay2017, STARE-CLS, ", ""))
    store = made_advice.publish(plan, home / "runs", dead=("EyePACS",))
    for digest, unit in plan.units.items():
        if unit.kind == "pretrain" and unit.label.startswith("ISIC2019"):
            (store.folder(digest) / "best.safetensors").write_bytes(b"broken")
    made_advice.folder(home / "mine", "EyePACS")
    advised(made)
    (store.cache / "advice").mkdir(parents=True)
    for file in (made / "runs" / "cache" / "advice").glob("*.npz"):  # the same images lie as far apart
        copyfile(file, store.cache / "advice" / file.name)
    return home


def test_two_targets_are_not_enough(poor: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert advise.main(arguments(poor, "--csv", str(poor / "rows.csv"))) == 0
    printed = capsys.readouterr().out
    assert "Not enough evidence to recommend one: 2 targets of this kind" in printed
    assert "note: ISIC2019 · shufflenet_v2: best.safetensors is missing or is not the file" in printed
    with (poor / "rows.csv").open() as file:
        rows = {row["initialization"]: row for row in csv.DictReader(file)}
    assert float(rows["CheXpert"]["logme"]) > float(rows["EyePACS"]["logme"])
    assert rows["ISIC2019"]["logme"] == ""
    assert float(rows["ISIC2019"]["cmd"]) > float(rows["EyePACS"]["cmd"])


def test_every_mistake_is_reported_at_once(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = [
        "--target",
        str(made / "none"),
        "--space",
        "hospitl",
        "--out",
        str(made / "runs"),
        "--images",
        "1",
    ]
    more = ["--csv", str(made / "no" / "rows.csv"), "--imagenet-weights", str(made / "nothing")]
    assert advise.main([*wrong, *more]) == 2
    told = capsys.readouterr().err
    for text in ("--target", "did you mean hospital?", "--images 1", "--csv", "--imagenet-weights"):
        assert text in told
    assert advise.main(arguments(made, "--backbone", "resnet18")) == 2
    assert "--backbone resnet18: no pre-training is finished" in capsys.readouterr().err
    assert advise.main(["--target", str(made), "--space", "hospital", "--out", str(made / "runs")]) == 2
    assert "0 known datasets have such a folder" in capsys.readouterr().err


VALUES = st.lists(st.integers(-4, 4), min_size=3, max_size=7)


@given(VALUES, st.data())
def test_tau_is_that_of_counted_pairs(first: list[int], data: st.DataObject) -> None:
    second = data.draw(st.lists(st.integers(-4, 4), min_size=len(first), max_size=len(first)))
    names = [f"source {number}" for number in range(len(first))]
    ranks = {name: value / 8 for name, value in zip(names, first, strict=True)}
    measured = dict(zip(names, map(float, second), strict=True))
    signs = [
        (np.sign(ranks[b] - ranks[a]), np.sign(measured[a] - measured[b])) for a, b in combinations(names, 2)
    ]
    untied = [sum(sign[side] != 0 for sign in signs) for side in (0, 1)]
    expected = sum(a * b for a, b in signs) / math.sqrt(untied[0] * untied[1]) if all(untied) else 0.0
    assert ranking.agreement(ranks, measured) == pytest.approx(expected)


def test_two_initializations_have_no_tau() -> None:
    assert ranking.agreement({"a": 0.0, "b": 1.0}, {"a": 1.0, "b": 0.0, "c": 2.0}) is None


def test_mean_ranks_by_hand() -> None:
    evidences = {"cmd": {"a": 1.0, "b": 2.0, "c": 2.0}, "logme": {"a": 0.1, "c": 0.3}, "gain": {"b": 5.0}}
    ranks = ranking.mean_ranks(evidences)  # cmd: 0, 0.75, 0.75; logme: 1, -, 0; one gain orders nothing
    assert ranks == pytest.approx({"c": 0.375, "a": 0.5, "b": 0.75})
    assert list(ranks) == ["c", "a", "b"]
    assert ranking.positions({"a": 0.2, "b": 0.2, "c": 0.5}) == {"a": 1, "b": 1, "c": 3}


@given(st.dictionaries(st.sampled_from("abcdef"), st.floats(-9, 9), min_size=2))
def test_better_evidence_never_ranks_lower(values: dict[str, float]) -> None:
    for kind, sign in {"cmd": 1, "logme": -1, "gain": -1}.items():
        ranks = ranking.mean_ranks({kind: values})
        ordered = sorted(values, key=lambda name: sign * values[name])
        assert all(ranks[a] <= ranks[b] for a, b in pairwise(ordered))


@pytest.mark.parametrize(
    ("taus", "initializations", "lacking"),
    [
        ([0.6, 0.8, 1.0], 3, ""),
        ([0.6, 0.8, 1.0], 2, "2 initializations"),
        ([0.6, 0.8], 3, "2 targets"),
        ([], 3, "0 targets"),
        ([1.0, 1.0, -1.0, -1.0], 3, "not above 0"),
        ([-1.0, -0.9, -0.8], 3, "not above 0"),
    ],
)
def test_what_is_enough(taus: list[float], initializations: int, lacking: str) -> None:
    found = Trust({str(n): tau for n, tau in enumerate(taus)}, initializations).lacking
    assert (lacking in found) if lacking else found == ""
