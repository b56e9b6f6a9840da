"""Overall survival from whole slides: cohorts, patches, features, and one file a model.

Risk is always such that higher risk means shorter survival.
"""

from medpt.survival.concordance import concordance_index

__all__ = ["concordance_index"]
