import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from training_sets import shades, squares

from medpt import metrics
from medpt.errors import InputError
from medpt.losses import ET_LOSSES, balanced_cross_entropy, edge_target
from medpt.protocol import TrainingProtocol
from medpt.specs import Finetune
from medpt.tasks.base import TrainingSetup, forward
from medpt.tasks.classify import Classify, scores
from medpt.tasks.segment import Segment, image_confusions, predictions
from medpt.tasks.supervised import edge_counts, hold_out, network, set_up
from medpt.train import evaluation_batches, fit

CPU = torch.device("cpu")
QUICK = TrainingProtocol(learning_rate=5e-2, batch_size=8, min_steps=0, max_steps=100, evaluate_every=25)


def classifier(classes: int = 2) -> nn.Module:
    torch.manual_seed(0)
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, classes))
    return nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.BatchNorm2d(8), nn.ReLU(), *head)


def segmenter(classes: int = 2) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, classes, 1)
    )


class TwoHeads(nn.Module):
    """As ET-Net: class logits and one edge logit a pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.segments, self.edges = segmenter(3), nn.Conv2d(3, 1, 3, padding=1)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return self.segments(images), self.edges(images)


def batches(loader: Any, size: int = 4) -> list[tuple[Tensor, Tensor]]:
    whole = list(evaluation_batches(loader, np.arange(len(loader.index)), CPU))
    images, targets = (torch.cat(parts) for parts in zip(*whole, strict=True))
    return list(zip(images.split(size), targets.split(size), strict=True))


def test_classification_learns_brightness() -> None:
    loader, model = shades(train=16, test=8, classes=3, noise=40), classifier(3)
    setup = TrainingSetup(model, Classify(torch.ones(3)), loader, np.arange(16), np.arange(16, 24))
    outcome = fit(setup, QUICK, 0)
    assert outcome.best > 0.95
    assert outcome.history[-1]["train_loss"] < 0.6 < outcome.history[0]["train_loss"]


def test_segmentation_learns_bright_squares() -> None:
    loader, model = squares(classes=3), segmenter(3)
    setup = TrainingSetup(model, Segment(torch.ones(3)), loader, np.arange(8), np.arange(8, 12))
    outcome = fit(setup, QUICK, 0)
    assert outcome.best > 0.9


def test_segmentation_with_edges_learns() -> None:
    torch.manual_seed(1)
    loader, model = squares(classes=3), TwoHeads()
    task = Segment(torch.ones(3), torch.tensor([0.6, 3.0]))
    outcome = fit(TrainingSetup(model, task, loader, np.arange(8), np.arange(8, 12)), QUICK, 0)
    assert outcome.best > 0.9
    assert outcome.history[-1]["train_loss"] < outcome.history[0]["train_loss"]


def test_classification_loss_is_balanced_cross_entropy() -> None:
    images, labels = batches(shades())[0]
    model, weights = classifier(), torch.tensor([0.3, 2.0])
    expected = balanced_cross_entropy(classifier()(images), labels, weights)
    assert torch.equal(Classify(weights).loss(model, images, labels), expected)


def test_segmentation_loss_ignores_255() -> None:
    images, masks = batches(squares(ignored=True))[0]
    weights = torch.tensor([0.3, 2.0])
    changed = torch.where(masks == 255, 0, masks)
    loss = Segment(weights).loss(segmenter(), images, masks)
    assert torch.equal(loss, balanced_cross_entropy(segmenter()(images), masks, weights))
    assert not torch.equal(loss, Segment(weights).loss(segmenter(), images, changed))


@pytest.mark.parametrize("name", ET_LOSSES)
def test_segmentation_loss_of_two_outputs_is_an_edge_loss(name: str) -> None:
    torch.manual_seed(2)
    model, weights, edge_weights = TwoHeads(), torch.tensor([0.5, 1.0, 2.0]), torch.tensor([0.6, 3.0])
    images, masks = batches(squares(classes=3))[0]
    segments, edges = model(images)
    expected = ET_LOSSES[name](segments, edges, masks, edge_target(masks), weights, edge_weights)
    torch.testing.assert_close(Segment(weights, edge_weights, name).loss(model, images, masks), expected)


def test_classification_metrics_are_over_all_images() -> None:
    loader, model = shades(classes=3), classifier(3)
    found = dict(Classify(torch.ones(3)).evaluate(model, batches(loader, 5)))
    softmax, labels = scores(model, batches(loader, 18))
    expected = {
        "auc": metrics.micro_auc(softmax, labels),
        "macro_auc": metrics.macro_auc(softmax, labels),
        "accuracy": metrics.accuracy(softmax, labels),
    }
    assert found == pytest.approx(expected)
    np.testing.assert_allclose(softmax.sum(1), 1, rtol=1e-5)
    np.testing.assert_array_equal(labels, loader.index.labels)


def test_segmentation_metrics_are_over_all_pixels() -> None:
    loader, model = squares(classes=3, ignored=True), segmenter(3)
    found = dict(Segment(torch.ones(3)).evaluate(model, batches(loader, 5)))
    predicted, target = predictions(model, batches(loader, 12)), loader.arrays.targets
    ious = metrics.class_iou(metrics.confusion_matrix(predicted, target, 3))
    images = [metrics.mean_iou(*pair, 3) for pair in zip(predicted, target, strict=True)]
    expected = {
        "miou": metrics.mean_iou(predicted, target, 3),
        "foreground_miou": np.nanmean(ious[1:]),
        "image_miou": np.nanmean(images),
        "dice": metrics.dice(predicted, target, 3),
        "background_miou": metrics.mean_iou(np.zeros_like(target), target, 3),
    }
    assert found == pytest.approx(expected)


@pytest.mark.parametrize("size", [1, 3, 7])
def test_evaluation_does_not_depend_on_the_batch_size(size: int) -> None:
    for loader, model, task in (
        (shades(), classifier(), Classify(torch.ones(2))),
        (squares(), segmenter(), Segment(torch.ones(2))),
    ):
        together = dict(task.evaluate(model, batches(loader, 18)))
        assert dict(task.evaluate(model, batches(loader, size))) == pytest.approx(together, abs=1e-6)


def test_evaluation_changes_no_weights() -> None:
    for loader, model, task in (
        (shades(), classifier(), Classify(torch.ones(2))),
        (squares(), segmenter(), Segment(torch.ones(2))),
    ):
        before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        dict(task.evaluate(model.train(), batches(loader)))
        assert not model.training
        assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
        assert all(parameter.grad is None for parameter in model.parameters())


def test_metrics_are_nan_for_logits_that_are_not_finite() -> None:
    for loader, model, task in (
        (shades(), classifier(), Classify(torch.ones(2))),
        (squares(), segmenter(), Segment(torch.ones(2))),
    ):
        list(model.parameters())[-1].data[0] = math.nan
        assert all(math.isnan(value) for _, value in task.evaluate(model, batches(loader)))


def test_image_confusions_equal_the_confusion_matrix() -> None:
    rng = np.random.default_rng(0)
    prediction, target = (
        rng.integers(0, 4, (3, 5, 6)),
        rng.choice([0, 1, 2, 3, 255], (3, 5, 6)).astype(np.uint8),
    )
    found = image_confusions(torch.tensor(prediction), torch.tensor(target), 4).numpy()
    for image, p, t in zip(found, prediction, target, strict=True):
        np.testing.assert_array_equal(image, metrics.confusion_matrix(p, t, 4))


def test_forward_returns_a_list_of_float32() -> None:
    images = torch.randn(2, 3, 8, 8)
    assert [output.shape for output in forward(TwoHeads(), images)] == [(2, 3, 8, 8), (2, 1, 8, 8)]
    assert [output.dtype for output in forward(classifier().double(), images.double())] == [torch.float32]


def test_class_weights_are_counted_on_the_training_rows() -> None:
    loader = shades(train=40)
    loader.index.labels[:40] = [0] * 30 + [1] * 10
    setup = set_up_on(loader, protocol=replace(QUICK, validation_fraction=0.2, weighting="inverse_frequency"))
    labels = loader.index.labels[setup.train_rows]
    slow = [len(labels) / (2 * (labels == k).sum()) for k in (0, 1)]
    assert setup.record["class_weights"] == pytest.approx(slow)
    assert setup.record["train_images"] + setup.record["val_images"] == 40
    assert setup.record["weighting"] == "inverse_frequency"


def test_class_weights_of_pixels_are_counted_on_the_masks() -> None:
    loader = squares(train=10, classes=3, ignored=True)
    setup = set_up_on(loader, "unet", replace(QUICK, weighting="inverse_frequency", weight_clip=(0, 1e9)))
    masks = loader.arrays.targets[setup.train_rows]
    counted = (masks != 255).sum()
    slow = [counted / (3 * (masks == k).sum()) for k in range(3)]
    assert setup.record["class_weights"] == pytest.approx(slow)


def test_set_up_counts_edge_weights_for_networks_with_edges() -> None:
    loader = squares(train=10, size=64)
    setup = set_up_on(loader, "etnet", replace(QUICK, weighting="inverse_frequency", weight_clip=(0, 1e9)))
    band = edge_target(torch.from_numpy(loader.arrays.targets[setup.train_rows])).numpy()
    assert setup.record["edge_weights"] == pytest.approx(
        [band.size / (2 * (band == k).sum()) for k in (0, 1)]
    )
    images, masks = batches(loader)[0]
    assert setup.task.loss(setup.model, images, masks).isfinite()


def test_edge_counts_exclude_ignored_pixels() -> None:
    loader = squares(ignored=True)
    assert int(edge_counts(loader, np.arange(8)).sum()) == int((loader.arrays.targets[:8] != 255).sum())


def set_up_on(
    loader: Any, architecture: str = "classifier", protocol: TrainingProtocol = QUICK, seed: int = 0
) -> Any:
    rows = loader.index.rows("train")
    spec = Finetune("random", None, "made", "d", "resnet18", architecture, seed=seed, protocol=protocol)
    return set_up(loader, rows, spec)


@pytest.mark.parametrize(
    ("loader", "architecture", "accepted"),
    [(shades(), "unet", "accepted: classifier"), (squares(), "classifier", "accepted: unet, deeplabv3plus")],
)
def test_set_up_refuses_an_architecture_that_does_not_fit(
    loader: Any, architecture: str, accepted: str
) -> None:
    with pytest.raises(InputError, match=accepted):
        set_up_on(loader, architecture)


def test_set_up_refuses_an_unknown_weighting() -> None:
    with pytest.raises(InputError, match=r"weighting: no 'inverse'; did you mean .*inverse"):
        set_up_on(shades(), protocol=replace(QUICK, weighting="inverse"))


def test_hold_out_gives_disjoint_rows_of_the_loader() -> None:
    loader = shades(train=30)
    train, val = hold_out(loader.index, np.arange(5, 25), QUICK.validation_fraction, seed=1)
    assert sorted([*train, *val]) == list(range(5, 25))
    assert len(val) == 2


def test_set_up_gives_equal_encoders_for_equal_seeds() -> None:
    one = network(shades(classes=3).index, "resnet18", "classifier", 7).state_dict()
    two = network(squares().index, "resnet18", "unet", 7).state_dict()
    other = network(squares().index, "resnet18", "unet", 8).state_dict()
    encoder = [name for name in one if name.startswith("encoder.")]
    assert len(encoder) > 100
    assert all(torch.equal(one[name], two[name]) for name in encoder)
    assert not torch.equal(two[encoder[0]], other[encoder[0]])
