"""What the published cells say for the nearest modality."""

from grid.advise.published_cells import describe_nearest
from medpt.data import catalog


def test_modality_of_a_published_target_has_its_gains_alone() -> None:
    lines = list(describe_nearest(catalog.card("STARE-CLS")))
    assert "published results for fundus, classification (Wen et al. 2021; MESSIDOR)" in lines[0]
    assert lines[1].strip().startswith("EyePACS +")


def test_modality_without_published_target_has_means_over_the_task() -> None:
    (first, _) = describe_nearest(catalog.card("ISIC2019"))
    assert "no target of dermoscopy images; all of the task: " in first
    for name in ("ChestXRay2017", "MESSIDOR", "CIFAR-100"):
        assert name in first
