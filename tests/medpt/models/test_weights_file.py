"""A YAML file says which tensors of a foreign file are which of an encoder; what does not fit is refused."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from medpt.errors import InputError
from medpt.files import sha256
from medpt.models import weights, weights_file
from medpt.models.registry import build_classifier
from medpt.models.weights_file import WeightsFile, load_encoder_state, read_weights_file

BASE: dict[str, Any] = {
    "file": "weights.pth",
    "format": "torch",
    "backbone": "shufflenet_v2",
    "mean": [0.5],
    "std": [0.25],
    "input_size": 224,
    "licence": "CC0",
    "citation": "nobody",
    "trained_on": ["ImageNet"],
}


def write(folder: Path, content: Any, **changes: Any) -> Path:
    """Write a file of weights and its description, which JSON is too; None removes a key."""
    torch.save(content, folder / "weights.pth")
    values = BASE | {"sha256": sha256(folder / "weights.pth")} | changes
    path = folder / "mine.yaml"
    path.write_text(json.dumps({key: value for key, value in values.items() if value is not None}, indent=1))
    return path


@pytest.fixture(scope="module")
def source() -> dict[str, Tensor]:
    """The tensors of a classifier of ours, each of its own values."""
    state = build_classifier("shufflenet_v2", 5).state_dict()
    drawn = torch.Generator().manual_seed(0)
    return {
        name: tensor + 3 if tensor.dtype == torch.int64 else torch.rand(tensor.shape, generator=drawn)
        for name, tensor in state.items()
    }


def foreign(source: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {prefix + name.removeprefix("encoder."): tensor for name, tensor in source.items()}


def without_counters(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in state.items() if "num_batches" not in name}


LAYOUTS: dict[str, tuple[Callable[[dict[str, Tensor]], Any], dict[str, Any]]] = {
    "plain": (lambda s: foreign(s, ""), {"drop": ["logits."]}),
    "wrapped": (
        lambda s: {"epoch": 3, "state_dict": foreign(s, "module.encoder_q."), "optimizer": {"state": {}}},
        {"strip": "state_dict.module.encoder_q.", "drop": ["logits."]},
    ),
    "teacher and student": (
        lambda s: {
            "student": foreign({k: v * 0 for k, v in s.items()}, "backbone."),
            "teacher": foreign(s, "backbone."),
        },
        {"strip": "teacher.backbone.", "drop": ["logits."]},
    ),
    "reordered": (
        lambda s: dict(reversed(foreign(s, "net.").items())),
        {"strip": "net.", "drop": ["logits"]},
    ),
    "renamed": (
        lambda s: {k.replace("stage2.", "two."): v for k, v in foreign(s, "").items()},
        {"rename": {"two.": "stage2."}, "drop": ["logits."]},
    ),
    "other names in order": (
        lambda s: {f"t{n}": v for n, v in enumerate(s.values())},
        {"match": "order", "drop": ["t336", "t337"]},
    ),
    "half precision": (
        lambda s: {k: v.half() if v.is_floating_point() else v for k, v in foreign(s, "").items()},
        {"drop": ["logits."]},
    ),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_foreign_names_give_the_tensors_of_the_direct_way(
    layout: str, source: dict[str, Tensor], tmp_path: Path
) -> None:
    arrange, mapping = LAYOUTS[layout]
    direct = weights.encoder_state(source)
    if layout == "half precision":
        direct = {k: v.half().float() if v.is_floating_point() else v for k, v in direct.items()}
    loaded = load_encoder_state(read_weights_file(write(tmp_path, arrange(source), **mapping)))
    assert loaded.keys() == direct.keys()
    assert [name for name in direct if not torch.equal(loaded[name], direct[name])] == []


def test_counters_that_a_file_lacks_become_zero(source: dict[str, Tensor], tmp_path: Path) -> None:
    content = without_counters(foreign(source, ""))
    loaded = load_encoder_state(read_weights_file(write(tmp_path, content, drop=["logits."])))
    counters = [name for name in weights.encoder_state(source) if name.endswith("num_batches_tracked")]
    assert {loaded[name].item() for name in counters} == {0}
    assert loaded.keys() == weights.encoder_state(source).keys()


def test_grey_first_layer_gives_the_same_maps_on_grey_images(
    source: dict[str, Tensor], tmp_path: Path
) -> None:
    content = foreign(source, "")
    first = "conv1.0.weight"
    content[first] = content[first].sum(dim=1, keepdim=True)
    path = write(tmp_path, content, drop=["logits."], channels=1, mean=[0.5])
    loaded = load_encoder_state(read_weights_file(path))
    grey = torch.rand(2, 1, 16, 16)
    ours = torch.conv2d(grey.repeat(1, 3, 1, 1), loaded[f"encoder.{first}"])
    torch.testing.assert_close(ours, torch.conv2d(grey, content[first]))


def test_file_that_does_not_fit_is_refused_with_both_lists_and_a_proposal(
    source: dict[str, Tensor], tmp_path: Path
) -> None:
    weights_file = read_weights_file(write(tmp_path, {"model": foreign(source, "module.encoder.")}))
    with pytest.raises(InputError) as caught:
        load_encoder_state(weights_file)
    missing, left, proposal = caught.value.problems
    assert "336 tensors of the encoder are missing: conv1.0.weight, " in missing
    assert "338 tensors of the file are left over: model.module.encoder.conv1.0.weight, " in left
    assert proposal.endswith("try strip `model.module.encoder.`, drop `logits.`: 336 of 336 match")


def test_both_copies_of_a_network_are_proposed_the_teacher_first(
    source: dict[str, Tensor], tmp_path: Path
) -> None:
    content = {"student": foreign(source, "m."), "teacher": foreign(source, "m.")}
    with pytest.raises(InputError) as caught:
        load_encoder_state(read_weights_file(write(tmp_path, content)))
    proposals = [line.rpartition("try ")[2] for line in caught.value.problems if "try " in line]
    assert [line.partition(",")[0] for line in proposals] == ["strip `teacher.m.`", "strip `student.m.`"]


def test_order_refuses_a_mean_where_a_variance_is_expected(source: dict[str, Tensor], tmp_path: Path) -> None:
    names = list(foreign(source, ""))
    a, b = names.index("conv1.1.running_mean"), names.index("conv1.1.running_var")
    names[a], names[b] = names[b], names[a]
    content = {name: foreign(source, "")[name] for name in names}
    with pytest.raises(InputError, match="pairs tensors of different kinds"):
        load_encoder_state(read_weights_file(write(tmp_path, content, match="order", drop=["logits."])))


def test_order_says_what_is_left_if_the_numbers_differ(source: dict[str, Tensor], tmp_path: Path) -> None:
    path = write(tmp_path, foreign(source, ""), match="order")
    with pytest.raises(InputError, match=r"338 tensors are left in the file and 336 belong.*logits\.bias"):
        load_encoder_state(read_weights_file(path))


def test_two_names_that_become_one_are_refused_with_the_description(
    source: dict[str, Tensor], tmp_path: Path
) -> None:
    content = foreign(source, "") | {"x.conv1.0.weight": torch.ones(1)}
    path = write(tmp_path, content, rename={"x.": ""}, drop=["logits."])
    with pytest.raises(InputError, match=r"mine.yaml: both conv1\.0\.weight and x\.conv1\.0\.weight become"):
        load_encoder_state(read_weights_file(path))


def test_numbers_that_are_not_finite_are_refused(source: dict[str, Tensor], tmp_path: Path) -> None:
    content = foreign(source, "")
    content["conv1.0.weight"] = content["conv1.0.weight"] * float("nan")
    with pytest.raises(InputError, match=r"not finite in conv1\.0\.weight"):
        load_encoder_state(read_weights_file(write(tmp_path, content, drop=["logits."])))


def test_file_is_hashed_once_until_it_changes(
    tmp_path: Path, source: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    described = read_weights_file(write(tmp_path, foreign(source, ""), drop=["logits."]))
    hashed: list[Path] = []
    monkeypatch.setattr(weights_file, "sha256", lambda file: hashed.append(file) or sha256(file))
    for _ in range(3):
        load_encoder_state(described)
    assert hashed == [tmp_path / "weights.pth"]
    torch.save(foreign(source, "other."), tmp_path / "weights.pth")
    with pytest.raises(InputError, match="its SHA-256 is"):
        load_encoder_state(described)


def test_another_content_than_described_is_refused(source: dict[str, Tensor], tmp_path: Path) -> None:
    described = read_weights_file(write(tmp_path, foreign(source, ""), drop=["logits."], sha256="0" * 64))
    with pytest.raises(InputError, match=f"its SHA-256 is [0-9a-f]{{64}}, and .* has {'0' * 64}"):
        load_encoder_state(described)
    (tmp_path / "weights.pth").unlink()
    with pytest.raises(InputError, match=r"weights\.pth: no such file; .*mine\.yaml names it as `file`"):
        load_encoder_state(described)


def test_all_problems_of_a_description_are_named_with_their_lines(tmp_path: Path) -> None:
    changes = {"file": "../x.pth", "backbone": "resnet19", "std": [0, 1], "trained_on": None, "format": "h5"}
    path = write(tmp_path, {}, **changes, value_range=[1, 0], color=3)
    with pytest.raises(InputError) as caught:
        read_weights_file(path)
    text = str(caught.value)
    for expected in (
        "mine.yaml:2: `file` is '../x.pth'; a path below the folder of the YAML file is accepted",
        "mine.yaml:3: `format` is 'h5'; accepted: safetensors, torch",
        "no backbone 'resnet19'; did you mean resnet18",
        "`std` has 2 numbers; a list of 3 numbers",
        "`std` has 0; numbers from 1e-06 to 1e+06 are accepted",
        "no `trained_on`; needed: ",
        "`value_range` is [1, 0]; the second number must be larger",
        "unknown key `color`",
    ):
        assert expected in text


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"mean": [1e308] * 3}, "`mean` has 1e+308; numbers from -1e+06 to 1e+06 are accepted"),
        ({"std": [1e-320, 1, 1]}, "`std` has 9.99989e-321; numbers from 1e-06"),
        ({"value_range": [-1e308, 1e308]}, "`value_range` has -1e+308"),
        ({"value_range": [None]}, "`value_range`"),
        ({"channels": True}, "`channels` is true; accepted: 1, 3"),
        ({"licence": ""}, "`licence` is ''; text that is not empty is accepted"),
        ({"citation": " "}, "`citation` is ' '; text that is not empty is accepted"),
        ({"url": "https://example.org/"}, "an address that ends in the name of a file is accepted"),
        ({"url": "https://example.org/a/.."}, "an address that ends in the name of a file is accepted"),
    ],
)
def test_values_without_a_meaning_are_refused(
    changes: dict[str, object], expected: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError) as caught:
        read_weights_file(write(tmp_path, {}, **changes))
    assert expected in str(caught.value)
    assert "mine.yaml:" in str(caught.value)


def test_identity_follows_content_and_treatment_but_no_name(tmp_path: Path) -> None:
    path = write(tmp_path, {}, url="https://example.org/a.pth")
    first = read_weights_file(path)
    moved = tmp_path / "other.yaml"
    path.rename(moved)
    assert read_weights_file(moved).identity == first.identity
    assert read_weights_file(moved).name == "other"
    same = read_weights_file(write(tmp_path, {}, mean=[0.5] * 3, licence="MIT", input_size=64))
    assert same.identity == first.identity
    changes = (
        {"mean": [0.4]},
        {"strip": "a."},
        {"channels": 1},
        {"value_range": [0, 255]},
        {"sha256": "a" * 64},
    )
    changed = [read_weights_file(write(tmp_path, {}, **change)).identity for change in changes]
    assert len({first.identity, *changed}) == len(changes) + 1


def test_description_round_trips_through_json(tmp_path: Path) -> None:
    described = read_weights_file(write(tmp_path, {}, rename={"a": "b"}, drop=["c"]))
    assert WeightsFile.from_json(json.loads(json.dumps(described.to_json()))) == described
