"""Random survival forest on patients' handcrafted vectors.

Ishwaran et al. 2008 (Ann. Appl. Stat. 2:841) through scikit-survival, which is GPL and so an extra.
Trees are grown on bootstrapped patients by log-rank splits over all cuts; randomForestSRC draws ten cuts.
"""

from math import ceil, sqrt
from typing import Any

import numpy as np

from medpt.errors import InputError
from medpt.identity import stream_seed
from medpt.survival.fitting import fill_missing, patients_with_patches
from medpt.survival.handcrafted import patient_vectors
from medpt.survival.options import ForestOptions as Options
from medpt.survival.study import TRAIN, Prediction, Study

DEFAULTS = Options()


def predict(study: Study, options: Options = DEFAULTS) -> Prediction:
    """Return the ensemble mortality: the cumulative hazard summed over the training patients' event times.

    Fitted on the training patients with patches. Patients without patches get the training patients' median
    risk. Raises InputError if scikit-survival is not installed or no training patient has an event.
    """
    x, rows = patient_vectors(study), patients_with_patches(study, TRAIN)
    if not study.event[rows].any():
        raise InputError(f"rsf: none of {len(rows)} training patients has an event; at least one is needed")
    forest = _forest(study, options, x.shape[1])
    outcome = np.array(
        list(zip(study.event[rows], study.time[rows], strict=True)), [("event", "?"), ("time", "<f8")]
    )
    forest.fit(x[rows], outcome)
    known = patients_with_patches(study)
    risk = np.full(len(x), np.nan)
    risk[known] = forest.predict(x[known])
    return Prediction(fill_missing(risk, study), {"trees": float(options.trees)})


def _forest(study: Study, options: Options, columns: int) -> Any:
    try:
        from sksurv.ensemble import RandomSurvivalForest
    except ImportError as error:
        raise InputError(f"rsf: needs scikit-survival ({error}): pip install 'medpt-grid[forest]'") from None
    return RandomSurvivalForest(
        n_estimators=options.trees,
        min_samples_leaf=options.node_size,
        min_samples_split=2 * options.node_size,
        max_features=ceil(sqrt(columns)),
        low_memory=True,
        random_state=stream_seed(study.seed, "rsf") % 2**32,
    )
