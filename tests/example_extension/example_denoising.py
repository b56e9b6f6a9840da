"""Pre-training without labels: noise was added to an image; paint it as it was (Vincent et al. 2008)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from medpt.data.arrays import Loader
from medpt.identity import stream_seed
from medpt.models.registry import build_encoder
from medpt.models.self_supervised import Restorer
from medpt.specs import Pretrain
from medpt.tasks.base import Batches, TrainingSetup, forward, sizes
from medpt.tasks.self_supervision import fixed_generator, hold_out

NOISE = 0.5  # standard deviations of the pixels


def denoising(spec: Pretrain, loaders: Sequence[Loader]) -> TrainingSetup:
    loader, rows = loaders[0], loaders[0].index.rows("train")
    torch.manual_seed(stream_seed(spec.seed, "init"))
    model = Restorer(build_encoder(spec.backbone))
    train, val = hold_out(loader.index, rows, spec.protocol, spec.seed)
    return TrainingSetup(model, Denoising(spec.seed), loader, train, val, sizes(model, train, val))


@dataclass(frozen=True)
class Denoising:
    seed: int
    metric: ClassVar = "mse"
    higher_is_better: ClassVar = False

    def loss(self, model: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
        return F.mse_loss(forward(model, images + NOISE * torch.randn_like(images))[0], images)

    @torch.no_grad()
    def evaluate(self, model: nn.Module, batches: Batches) -> Iterator[tuple[str, float]]:
        model.eval()
        generator, errors = fixed_generator(self.seed), []
        for images, _ in batches:
            noise = torch.randn(images.shape, generator=generator).to(images.device)
            errors.append((forward(model, images + NOISE * noise)[0] - images).square().mean((1, 2, 3)))
        yield "mse", float(torch.cat(errors).mean())
