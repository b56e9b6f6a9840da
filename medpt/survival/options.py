"""The options of the survival models, each with its default and reason; importing them is cheap.

A space file changes them under `survival`; medpt/survival/registry.py says which model has which.
"""

from typing import Literal

from medpt.protocol import decision
from medpt.schema import strict_dataclass


@strict_dataclass
class ForestOptions:
    """Of the random survival forest."""

    trees: int = decision(1_000, "randomForestSRC's at the paper's time", ge=1)
    node_size: int = decision(
        15, "fewest patients in a leaf, as randomForestSRC; a node that is split has twice that", ge=1
    )


@strict_dataclass
class WsisaOptions:
    """Of WSISA's networks."""

    k: int = decision(6, "as Table 5; the authors' code has 10", ge=1)
    batch_patches: int = decision(
        64, "the authors' 30 make small risk sets; no patient twice in a batch", ge=1
    )
    learning_rate: float = decision(1e-4, "paper, section 2.2", gt=0)
    epochs: int = decision(20, "as the authors; an epoch is as many patches as the cluster has", ge=1)
    patience: int = decision(5, "epochs", ge=0)
    components: int = decision(50, "of thumbnails, as the authors", ge=1)


@strict_dataclass
class CoxOptions:
    """Of the Cox regression on clinical columns."""

    columns: tuple[str, ...] = decision((), 'empty: all that the study has; ("age",) is the age-only control')
    penalty: float = decision(
        0.01, "on the mean log likelihood of an event; matters only where a column separates the events", ge=0
    )


@strict_dataclass
class BoostCiOptions:
    """Of BoostCI."""

    sigma: float = decision(0.1, "of the sigmoid, mboost's; absolute, so features have unit variance", gt=0)
    shrinkage: float = decision(0.1, "of each step, mboost's", gt=0)
    max_steps: int = decision(1_000, "the paper's grid ends there; mboost stops at 100", ge=1)
    folds: int = decision(5, "cross-validation over training patients chooses the number of steps", ge=2)
    max_weight: float = decision(5.0, "bound of event / Ĝ, mboost's, before it is squared", gt=0)


@strict_dataclass
class ClusteredOptions:
    """Of the networks on clustered patches."""

    clustering: Literal["km", "sp"] = decision("km", 'or "sp": the two columns of Table 5')
    k: int = decision(6, "paper, Table 5", ge=1)
    frozen: bool = decision(False, 'the paper "initialises" extractors, so they are trained')
    batch_patients: int = decision(16, "paper, section 2.2: batches of 16, here of patients", ge=1)
    learning_rate: float = decision(1e-4, "paper, section 2.2", gt=0)
    epochs: int = decision(100, "an epoch is every training patient once; early stopping ends sooner", ge=1)
    least_epochs: int = decision(
        5, "with a dozen validation patients an untrained network may score best; see reports/LOG.md", ge=0
    )
    patience: int = decision(20, "paper: 20 evaluations", ge=0)
    recluster_every: int = decision(5, "epochs: a pass over all patches each time", ge=1)
    judged_per_cluster: int = decision(50, "patches of a cluster that make a patient's risk", ge=1)
    components: int = decision(
        16, "of cluster means in the frozen variant: few patients fit few numbers", ge=1
    )


@strict_dataclass
class DeepAttnMislOptions:
    """Of DeepAttnMISL, values of the authors' code where not said otherwise."""

    k: int = decision(10, "phenotypes; Table 5's 6 belongs to the direct predictor", ge=1)
    batch_patients: int = decision(16, "risk sets of the Cox loss", ge=1)
    learning_rate: float = 1e-4
    weight_decay: float = 5e-4
    l1: float = 1e-5
    epochs: int = 100
    patience: int = decision(20, "epochs; Wen et al. say 20, the code 15", ge=0)
