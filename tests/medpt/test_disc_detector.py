"""The detector of optic discs: trained on one synthetic dataset, it finds those of another."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from memory_inputs import run_pretrain
from torch import nn

from medpt import metrics, phantom
from medpt.data import open_dataset, optic_disc, shards
from medpt.data.arrays import ArrayLoader
from medpt.data.cache import from_shards
from medpt.data.catalog import card
from medpt.data.dataset import Dataset, Record
from medpt.data.preprocess import roi_pipeline
from medpt.disc_detector import Detector
from medpt.errors import InputError
from medpt.models import weights
from medpt.models.registry import build_segmenter
from medpt.protocol import TrainingProtocol
from medpt.specs import Prepare, Pretrain
from medpt.tasks.segment import Segment, full_frame_miou
from medpt.train import evaluation_batches
from medpt.units.pretrain import BEST

PIPELINE = "crop_fundus(10)|resize(64)|clahe(2,8)"


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Detector:
    """A U-Net on REFUGE's phantom, sixty steps."""
    top = tmp_path_factory.mktemp("detector")
    phantom.write("REFUGE-OD", top / "REFUGE", train=40, test=1, size=96)
    data, folder = open_dataset("REFUGE-OD", top / "REFUGE"), top / "shards"
    infos = [
        shards.write(data, part, PIPELINE, shards.shard_path(folder, n))
        for n, part in enumerate(shards.chunks(shards.plan(data, "official", 0, None)))
    ]
    shards.write_manifest(folder, data.info, Prepare("REFUGE-OD", "f" * 64, PIPELINE), infos)
    protocol = TrainingProtocol(1e-3, 8, min_steps=0, max_steps=60, evaluate_every=30)
    spec = Pretrain(("REFUGE-OD",), ("d",), "shufflenet_v2", "unet", protocol=protocol)
    loader = ArrayLoader(from_shards(folder, top / "cache"))
    run_pretrain(spec, [loader], top)
    return Detector(top / "out" / BEST, "shufflenet_v2", "unet", PIPELINE)


@pytest.fixture(scope="module")
def drishti(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("drishti")
    phantom.write("DRISHTI-GS", folder, train=6, test=6, size=192)
    return open_dataset("DRISHTI-GS", folder, target="disc")


def middle(mask: np.ndarray) -> np.ndarray:
    ys, xs = np.nonzero(mask == 1)
    return np.array([xs.mean(), ys.mean()])


def test_discs_of_another_camera_are_found(detector: Detector, drishti: Dataset) -> None:
    """A disc is 40 to 50 pixels wide here; a network that takes nothing for disc would not be a tenth off."""
    misses = []
    for record in drishti:
        assert detector.disc(drishti.image(record)).any()
        place = np.array(detector.find(drishti.image(record)))
        misses.append(np.hypot(*(place - middle(drishti.mask(record)))))
    assert np.median(misses) < 4
    assert max(misses) < 12


def test_training_images_alone_are_shaken_and_the_cut_holds_the_disc(
    detector: Detector, drishti: Dataset, tmp_path: Path
) -> None:
    pipeline = roi_pipeline(96, 48)
    locate = detector.locator(pipeline)
    rows = shards.plan(drishti, "official", 0, None)
    for row in rows:
        image = drishti.image(row.record)
        found = detector.find(image)
        expected = optic_disc.shaken(found, row.record.id, 96) if row.split == "train" else found
        assert locate(image, row) == expected
    info = shards.write(drishti, rows, pipeline, shards.shard_path(tmp_path, 0), locate)
    assert (info.rows, info.problems) == (len(rows), ())
    whole = sum((drishti.mask(row.record) == 1).sum() for row in rows) / 4  # half the side
    shards.write_manifest(tmp_path, drishti.info, Prepare("DRISHTI-GS", "f", pipeline, detector="d"), [info])
    arrays = from_shards(tmp_path, tmp_path / "cache")
    assert arrays.images.shape == (12, 48, 48, 3)
    assert (arrays.targets == 1).sum() > 0.95 * whole


def test_sources_are_cut_around_the_disc_of_their_masks(tmp_path: Path) -> None:
    """As the detector's training images, shifted; nearly the complete disc is in the square."""
    phantom.write("REFUGE-OD", tmp_path / "refuge", train=4, test=2, size=128)
    refuge = open_dataset("REFUGE-OD", tmp_path / "refuge")
    pipeline = roi_pipeline(64, 32)
    locate = optic_disc.mask_locator(refuge, pipeline)
    rows = shards.plan(refuge, "all", 0, None)
    for row in rows:
        x, y = optic_disc.shaken(middle(refuge.mask(row.record)), row.record.id, 64)
        assert locate(refuge.image(row.record), row) == pytest.approx((x, y), abs=1)
    info = shards.write(refuge, rows, pipeline, shards.shard_path(tmp_path, 0), locate)
    assert (info.rows, info.problems) == (6, ())
    empty = replace(refuge, read_mask=lambda root, record: np.zeros((128, 128), np.uint8))
    with pytest.raises(InputError, match="its mask has no optic disc"):
        optic_disc.mask_locator(empty, pipeline)(refuge.image(rows[0].record), rows[0])


def test_without_a_disc_in_sight_the_brightest_place_counts(
    tmp_path: Path, drishti: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    blind = Detector(tmp_path / "absent", "shufflenet_v2", "unet", PIPELINE)
    monkeypatch.setattr(Detector, "disc", lambda self, image: np.zeros((64, 64), bool))
    misses = [np.hypot(*(np.array(blind.find(drishti.image(r))) - middle(drishti.mask(r)))) for r in drishti]
    assert np.median(misses) < 20


def test_foreign_weights_and_whole_images_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    weights.save(path, build_segmenter("unet", "shufflenet_v2", 3).state_dict())
    image = np.zeros((64, 64, 3), np.uint8)
    with pytest.raises(InputError, match=r"logits.weight: .* is expected"):
        Detector(path, "shufflenet_v2", "unet", PIPELINE).find(image)
    with pytest.raises(InputError, match="does not crop around an optic disc"):
        Detector(path, "shufflenet_v2", "unet", PIPELINE).locator(PIPELINE)


class RedIsDisc(nn.Module):
    """Logits (B, 2, S, S) of normalised images: class 1 where red is above the mean of ImageNet."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.stack([-images[:, 0], images[:, 0]], 1)


@pytest.mark.parametrize(("side", "size"), [(32, 32), (32, 16)])
def test_full_frame_s_iou_is_that_of_answers_put_back(tmp_path: Path, side: int, size: int) -> None:
    """Squares of 2 x 2 equal pixels at even places, so that resizing loses nothing; some leave the image."""
    rng = np.random.default_rng(side + size)
    frames = [rng.choice(np.array([0, 0, 250], np.uint8), (40, 50, 3)) for _ in range(4)]
    images = [frame.repeat(2, 0).repeat(2, 1) for frame in frames]
    masks = [
        rng.choice(np.array([0, 0, 1, 255], np.uint8), (40, 50)).repeat(2, 0).repeat(2, 1) for _ in images
    ]
    corners = [(0, 0), (30, 20), (90, 60), (-10, 40)]  # left, top
    records = tuple(
        Record("DRISHTI-GS", str(n), str(n), str(n), mask_path="m", split="train") for n in range(4)
    )
    data = Dataset(
        card("DRISHTI-GS"),
        tmp_path,
        records,
        lambda root, record: images[int(record.id)],
        lambda root, record: masks[int(record.id)],
    )
    pipeline = f"roi({side})|resize({size})"
    places = {str(n): (left + (side - 1) / 2, top + (side - 1) / 2) for n, (left, top) in enumerate(corners)}
    info = shards.write(
        data,
        [shards.Row(record, "train") for record in records],
        pipeline,
        shards.shard_path(tmp_path, 0),
        lambda image, row: places[row.record.id],
    )
    shards.write_manifest(tmp_path, data.info, Prepare("DRISHTI-GS", "f", pipeline, detector="d"), [info])
    arrays = from_shards(tmp_path, tmp_path / "cache")
    assert arrays.index.outside is not None
    loader, rows = ArrayLoader(arrays), np.arange(4)
    batches = list(evaluation_batches(loader, rows, torch.device("cpu")))
    answers = [np.zeros((side, side), int) for _ in images]
    for n, image in enumerate(arrays.images):
        answers[n][:] = (image[:, :, 0] > 127).repeat(side // size, 0).repeat(side // size, 1)
    whole = [np.zeros((80 + 2 * side, 100 + 2 * side), int) for _ in images]
    for (left, top), answer, frame in zip(corners, answers, whole, strict=True):
        frame[side + top : 2 * side + top, side + left : 2 * side + left] = answer
    put_back = np.stack(whole)[:, side:-side, side:-side]
    expected = metrics.mean_iou(put_back, np.stack(masks), 2)
    assert full_frame_miou(RedIsDisc(), batches, arrays.index.outside.sum(0)) == pytest.approx(expected)
    inside = dict(Segment(torch.ones(2)).evaluate(RedIsDisc(), batches))
    assert abs(inside["miou"] - expected) > 0.02
