"""The initializations that advice is about: weights that are here, and what could be pre-trained here."""

from collections.abc import Iterator
from pathlib import Path

from grid.compare.sources import Source, datasets_below, sources_at_hand, trained_on
from grid.space.trials import self_supervised
from grid.store.backends import is_url
from grid.store.store import Store
from medpt.data.card import DatasetCard
from medpt.specs import SUPERVISED, Pretrain

BEST = "best.safetensors"  # the weights of a pre-training


def candidates(
    card: DatasetCard, data: Path | None, out: str, weights: Path | None, backbone: str
) -> tuple[list[Source], list[str]]:
    """Return the initializations that can be tried here, random weights first, and notes on others.

    These are published weights, sources whose pre-training is finished in `out`, the datasets below `data`
    (those of the modality first, then those of the task, then large ones), and the self-supervised methods.
    """
    found, notes = sources_at_hand(data, weights, backbone)
    found += kept_sources(out, backbone, card.name)
    below = [one for name, one in datasets_below(data).items() if name != card.name]
    found += map(trained_on, sorted(below, key=lambda one: _distance(one, card)))
    reason = "to be pre-trained on the training images themselves"
    found += [Source(name, reason) for name in self_supervised()]
    first = {source.name: source for source in reversed(found)}
    return [source for source in found if first[source.name] is source], notes


def _distance(one: DatasetCard, target: DatasetCard) -> tuple[bool, bool, int]:
    return one.modality != target.modality, one.task != target.task, -one.counts.get("train", 0)


def kept_sources(out: str, backbone: str, target: str) -> Iterator[Source]:
    """Yield the finished supervised pre-trainings of a backbone whose weights are in a store.

    Of several pre-trainings of one initialization the one of most steps is taken; none on the target itself.
    """
    if not is_url(out) and not (Path(out) / "done").is_dir():
        return
    store = Store(out)
    best: dict[str, tuple[int, str]] = {}
    for digest, marker in sorted(store.markers(store.finished()).items()):
        if marker.kind != Pretrain.kind or BEST not in marker.artifacts:
            continue
        spec = Pretrain.from_json(dict(marker.spec))
        if spec.backbone == backbone and spec.method == SUPERVISED and not spec.guards:
            name = marker.label.partition(" · ")[0]
            if target not in spec.datasets:
                best[name] = max(best.get(name, (0, "")), (spec.protocol.max_steps, digest))
    for name, (steps, digest) in best.items():
        text = f"pre-trained for {steps:,} steps, its weights are in {out}"
        yield Source(name, text, weights=store.artifact(digest, BEST))
