"""Analyses of images and networks: modality distance, SVCCA, first filters, transferability.

Importing this package does not import torch. Its submodules `cmd` and `svcca` share their names with
functions of product.md; the package's attributes are the functions, the modules are reached by `from ...
import`.
"""

from medpt.analysis.cmd import average_cmd, cmd, coordinates
from medpt.analysis.svcca import noise_floor, svcca

__all__ = ["average_cmd", "cmd", "coordinates", "noise_floor", "svcca"]
