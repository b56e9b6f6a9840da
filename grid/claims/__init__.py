"""The paper's claims and errors as data, and what our numbers and its own say of them."""

from grid.claims.verdicts import judge

__all__ = ["judge"]
