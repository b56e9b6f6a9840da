"""Extensions before a run: each one that a unit uses is loaded, built and shown an image."""

from collections.abc import Iterable

from grid.plan.plan import Unit
from grid.space.trials import METHODS
from medpt import extensions
from medpt.errors import InputError
from medpt.models import contract
from medpt.models.registry import BACKBONES
from medpt.specs import CLASSIFIER, Finetune, Pretrain


def check(units: Iterable[Unit], side: int) -> None:
    """InputError with all that is wrong with the extensions of `units`, for images of `side` pixels."""
    trained = [unit.spec for unit in units if isinstance(unit.spec, Pretrain | Finetune)]
    specs = [spec for spec in trained if spec.extensions]
    methods = {spec.method for spec in specs if isinstance(spec, Pretrain)} - set(METHODS)
    problems = [problem for name in sorted(methods) for problem in method_problems(name)]
    broken = set()
    for backbone in sorted({spec.backbone for spec in specs} - set(BACKBONES)):
        if told := contract.backbone_problems(backbone, side):
            broken.add(backbone)
            problems += told
    for architecture, backbone in sorted({(spec.architecture, spec.backbone) for spec in specs}):
        if architecture != CLASSIFIER and backbone not in broken:
            problems += contract.segmenter_problems(architecture, backbone, side)
    if problems:
        raise InputError(problems)


def method_problems(name: str) -> list[str]:
    try:
        extensions.load("method", name, METHODS)
    except InputError as error:
        return error.problems
    return []
