"""The encoder among the tensors of a foreign file, whole or not at all.

medpt/models/key_mapping.py says how names are changed. Every tensor of the encoder must then have one tensor
of the same shape and type, and none may be left over; with `match: order` tensors are paired in their order
and their names do not matter. Three differences are removed without being asked for: DenseNet's old names
(`norm.1` for `norm1`), batch norm's counters that a file lacks entirely (they become 0), and half precision
(which becomes float32 exactly).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from medpt.errors import InputError
from medpt.models.key_mapping import KeyMapping
from medpt.models.mapping_proposals import is_swapped, propose
from medpt.models.weights import COUNTER, changed_kinds, encoder_prefix, expected_tensors

if TYPE_CHECKING:
    from torch import Tensor

SHOWN = 12  # names of each list in a message


def map_encoder(
    backbone: str, tensors: Mapping[str, Tensor], mapping: KeyMapping, where: str
) -> dict[str, Tensor]:
    """Return the encoder's tensors among those of a file, as `encoder.*`.

    Raises InputError that begins with `where` and names what is missing, what is left over, and a proposal.
    """
    prefix, expected = encoder_prefix(backbone), expected_tensors(backbone)
    try:
        names = mapping.renamed(tensors)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error
    if mapping.match == "order":
        names = _in_order(expected, names, tensors, where)
    given = {new: _fitted(tensors[old], expected.get(new), mapping.channels) for new, old in names.items()}
    given |= _zero_counters(expected, given)
    if problems := list(_problems(expected, given, where)):
        raise InputError([*problems, *_advice(expected, tensors, where)])
    _check_finite(given, where)
    return {prefix + name: given[name].clone() for name in expected}


def _fitted(tensor: Tensor, expected: Tensor | None, channels: int) -> Tensor:
    """Return a tensor in float32; a first layer for grey images is spread over three equal channels."""
    import torch

    if tensor.dtype in (torch.float16, torch.bfloat16):
        tensor = tensor.float()
    if expected is None or channels == 3 or tensor.dim() != 4 or tensor.shape == expected.shape:
        return tensor
    grey = (tensor.shape[0], 1, *tensor.shape[2:])
    if tensor.shape != grey or expected.shape != (grey[0], 3, *grey[2:]):
        return tensor
    return (tensor / 3).repeat(1, 3, 1, 1)


def _in_order(
    expected: Mapping[str, Tensor], names: Mapping[str, str], tensors: Mapping[str, Tensor], where: str
) -> dict[str, str]:
    """Pair names in their order, with batch norm's counters where the file has them."""
    wanted = list(expected)
    if len(names) != len(wanted):
        wanted = [name for name in wanted if not name.endswith(COUNTER)]
    if len(names) != len(wanted):
        count = f"{len(names)} tensors are left in the file and {len(expected)} belong to the encoder"
        raise InputError(
            f"{where}: `match: order`: {count} ({len(wanted)} without batch norm's counters); "
            f"the file's last ones are {', '.join(list(names)[-SHOWN:])}; `drop` leaves out the classifier's"
        )
    pairs = dict(zip(wanted, names.values(), strict=True))
    if swapped := [f"{old} for {new}" for new, old in pairs.items() if is_swapped(new, old)]:
        raise InputError(
            f"{where}: `match: order` pairs tensors of different kinds: {_listed(swapped)}; use `match: name`"
        )
    return pairs


def _zero_counters(expected: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return zeros for batch norm's counters if the file has none at all."""
    import torch

    counters = [name for name in expected if name.endswith(COUNTER)]
    if any(name.endswith(COUNTER) for name in given):
        return {}
    return {name: torch.zeros((), dtype=torch.int64) for name in counters}


def _check_finite(given: Mapping[str, Tensor], where: str) -> None:
    bad = [name for name, tensor in given.items() if not bool(tensor.isfinite().all())]
    if bad:
        raise InputError(f"{where}: numbers that are not finite in {_listed(bad)}; the file is damaged")


def _problems(expected: Mapping[str, Tensor], given: Mapping[str, Tensor], where: str) -> Iterator[str]:
    """Yield both lists of tensors, shortened, and the shapes that differ."""
    if missing := [name for name in expected if name not in given]:
        yield f"{where}: {len(missing)} tensors of the encoder are missing: {_listed(missing)}"
    if unexpected := [name for name in given if name not in expected]:
        text = f"{len(unexpected)} tensors of the file are left over: {_listed(unexpected)}"
        yield f"{where}: {text}; name them in `drop` if they are not the encoder's"
    if changed := changed_kinds(expected, given):
        yield f"{where}: {len(changed)} tensors have another shape or type: {'; '.join(changed[:SHOWN])}"


def _advice(expected: Mapping[str, Tensor], tensors: Mapping[str, Tensor], where: str) -> list[str]:
    """Return the mappings that would fit, a line each."""
    proposals = [f"{where}: try {proposal.text}" for proposal in propose(expected, tensors)]
    return proposals or [f"{where}: no mapping was found; is this another network?"]


def _listed(names: list[str]) -> str:
    more = f", ... and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
