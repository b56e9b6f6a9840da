"""Studies with a known answer: patches of three textures, whose shares in a patient are its risk."""

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from medpt.survival import features
from medpt.survival.concordance import concordance_index
from medpt.survival.study import TEST, TRAIN, VALIDATION, Prediction, Study

SIDE = 32
TINTS = np.array([(150, 90, 140), (170, 120, 150), (120, 80, 150)])


class TinyEncoder(nn.Module):
    """Three strided convolutions, which give maps as medpt.models.encoders do."""

    channels = (8, 16, 32)

    def __init__(self) -> None:
        super().__init__()
        sizes = (3, *self.channels)
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Conv2d(a, b, 3, 2, 1, bias=False), nn.BatchNorm2d(b), nn.ReLU())
            for a, b in zip(sizes, self.channels, strict=False)
        )

    def forward(self, images: Tensor) -> list[Tensor]:
        maps = []
        for layer in self.layers:
            maps.append(images := layer(images))
        return maps


def tiny_encoder() -> TinyEncoder:
    torch.manual_seed(7)
    return TinyEncoder()


def texture(kind: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """(32, 32, 3): stripes, a chequerboard or patches of 8 pixels, tinted and noisy."""
    y, x = np.indices((SIDE, SIDE)) + rng.integers(0, 8, (2, 1, 1))
    pattern = ((y // 2) % 2, (y // 2 + x // 2) % 2, (y // 8 + x // 8) % 2)[kind]
    values = TINTS[kind] + 50.0 * pattern[..., None] + rng.normal(0, 25, (SIDE, SIDE, 3))
    return values.clip(0, 255).astype(np.uint8)


@lru_cache
def planted(
    seed: int = 0, parts: tuple[int, int, int] = (60, 20, 40), bag: int = 12, effect: float = 8.0
) -> Study:
    """Log hazard = effect · the share of texture 2; about 40 % censored. `parts`: TRAIN, VALIDATION, TEST."""
    rng = np.random.default_rng(seed)
    patients = sum(parts)
    share = rng.dirichlet((0.7, 0.7, 0.7), patients)
    kinds = np.array([rng.choice(3, bag, p=row) for row in share])
    risk = effect * ((kinds == 2).mean(1) - 0.3)
    death, leaving = rng.exponential(60 * np.exp(-risk)), rng.exponential(120, patients)
    images = np.stack([texture(kind, rng) for kind in kinds.ravel()])
    study = Study(
        patients=tuple(f"P{row:03}" for row in range(patients)),
        time=np.minimum(death, leaving) + 1,
        event=death <= leaving,
        split=np.repeat((TRAIN, VALIDATION, TEST), parts).astype(np.int8),
        patient=np.repeat(np.arange(patients, dtype=np.int32), bag),
        images=images,
        encoder=tiny_encoder,
        seed=seed,
    )
    fitted_on = np.flatnonzero(study.split[study.patient] == TRAIN)
    return replace(
        study,
        features=features.extract(tiny_encoder(), images, settle_on=features.settling_rows(fitted_on, seed)),
    )


def shuffled(study: Study) -> Study:
    """The same with the follow-up of other patients: nothing is left to be found."""
    order = np.random.default_rng(study.seed + 1000).permutation(len(study.patients))
    return replace(study, time=study.time[order], event=study.event[order])


def c_of_test(study: Study, prediction: Prediction) -> float:
    rows = study.rows(TEST)
    return concordance_index(study.time[rows], study.event[rows], prediction.risk[rows])


def leaks(study: Study, predict: Callable[[Study], Prediction]) -> bool:
    """Whether a risk changes when the follow-up of the test patients does."""
    rows = study.rows(TEST)
    time, event = study.time.copy(), study.event.copy()
    time[rows], event[rows] = time[rows[::-1]] * 3, ~event[rows]
    return not np.array_equal(predict(study).risk, predict(replace(study, time=time, event=event)).risk)


def awkward(study: Study) -> Study:
    """One patient of each part loses all patches, another all but one."""
    firsts = [study.rows(part)[0] for part in (TRAIN, VALIDATION, TEST)]
    kept = ~np.isin(study.patient, firsts)
    for row in (study.rows(part)[1] for part in (TRAIN, VALIDATION, TEST)):
        kept[study.bags[row][1:]] = False
    assert study.images is not None
    assert study.features is not None
    return replace(
        study, patient=study.patient[kept], images=study.images[kept], features=study.features[kept]
    )


def censored_validation(study: Study) -> Study:
    return replace(study, event=study.event & (study.split != VALIDATION))
