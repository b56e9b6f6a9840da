"""A prepared cohort as flat arrays: the node's copy of its patches, mapped by every trial.

images.npy (n, S, S, 3) and facts.npz are built once from the Parquet files and appear complete. They are
built again if they belong to another cohort or have wrong sizes; changed bytes inside them are not detected.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from medpt.files import building, exclusive, remove, write_json
from medpt.identity import canonical_json
from medpt.survival.patch_files import MANIFEST, NUMBERS, CohortManifest, verify
from medpt.survival.patches import in_focus

if TYPE_CHECKING:
    import pyarrow as pa

IMAGES, FACTS = "images.npy", "facts.npz"
READ_ROWS = 64  # patches in memory at a time


@dataclass(frozen=True)
class Cohort:
    """The node's copy: n patches of P patients, patch after patch in the order of the manifest's slides."""

    manifest: CohortManifest
    patient: NDArray[np.int32]  # (n,) row of manifest.patients
    slide: NDArray[np.int32]  # (n,) row of manifest.slides
    x: NDArray[np.int32]  # (n,) corner in pixels of the slide's finest level
    y: NDArray[np.int32]
    tissue: NDArray[np.float32]  # (n,) share of tissue
    focus: NDArray[np.float32]  # (n,)
    images: NDArray[np.uint8]  # (n, S, S, 3) RGB, mapped from disk

    @property
    def patients(self) -> tuple[str, ...]:
        return tuple(patient.name for patient in self.manifest.patients)

    @property
    def time(self) -> NDArray[np.float64]:
        """(P,) days."""
        return np.array([patient.time for patient in self.manifest.patients], np.float64)

    @property
    def event(self) -> NDArray[np.bool_]:
        """(P,) True: died; False: censored."""
        return np.array([patient.event for patient in self.manifest.patients], np.bool_)

    @property
    def clinical(self) -> dict[str, NDArray[np.float64]]:
        """`age` in years and `grade`, (P,) each; nan if unknown."""
        rows = [(patient.age, patient.grade) for patient in self.manifest.patients]
        values = np.array(rows, np.float64).reshape(-1, 2)
        return {"age": values[:, 0], "grade": values[:, 1]}

    def valid(self, training: NDArray[np.bool_]) -> NDArray[np.intp]:
        """Return the rows of patches in focus; `training` (P,) marks the patients that set the threshold."""
        return np.flatnonzero(in_focus(self.focus, training[self.patient]))


def open_cohort(folder: Path, cache: Path) -> Cohort:
    """Open the prepared cohort in `folder` as arrays mapped from `cache`, which is built if it is missing.

    One process of a node builds the cache while the others wait. Raises InputError for damaged and missing
    files of `folder`.
    """
    manifest = CohortManifest.read(folder)
    with exclusive(cache.with_name(f"{cache.name}.lock")):
        if not _holds(cache, manifest):
            remove(cache)
            with building(cache) as temporary:
                _fill(temporary, folder, manifest)
    with np.load(cache / FACTS) as facts:
        columns = {name: facts[name] for name in ("patient", "slide", *NUMBERS)}
    return Cohort(manifest, **columns, images=np.load(cache / IMAGES, mmap_mode="r"))


def _holds(cache: Path, manifest: CohortManifest) -> bool:
    try:
        images = np.load(cache / IMAGES, mmap_mode="r")
        same = canonical_json(asdict(CohortManifest.read(cache))) == canonical_json(asdict(manifest))
        return same and images.shape == _shape(manifest) and (cache / FACTS).is_file()
    except (OSError, ValueError):
        return False


def _shape(manifest: CohortManifest) -> tuple[int, int, int, int]:
    return manifest.rows, manifest.size, manifest.size, 3


def _fill(cache: Path, folder: Path, manifest: CohortManifest) -> None:
    rows = {name: n for n, name in enumerate(patient.name for patient in manifest.patients)}
    kinds = {"patient": np.int32, "slide": np.int32, **NUMBERS}
    facts: dict[str, Any] = {name: np.empty(manifest.rows, kind) for name, kind in kinds.items()}
    with (cache / IMAGES).open("wb") as images:  # through the file: a full disk is an error, no SIGBUS
        header = {"descr": "|u1", "fortran_order": False, "shape": _shape(manifest)}
        np.lib.format.write_array_header_1_0(images, header)
        for rows_of_batch, slide, batch in _batches(folder, manifest):
            facts["slide"][rows_of_batch] = slide
            facts["patient"][rows_of_batch] = rows[manifest.slides[slide].patient]
            for name in NUMBERS:
                facts[name][rows_of_batch] = batch[name].to_numpy()
            images.writelines(batch["pixels"].to_pylist())
    np.savez(cache / FACTS, **facts)
    write_json(cache / MANIFEST, asdict(manifest))


def _batches(folder: Path, manifest: CohortManifest) -> "Iterator[tuple[slice, int, pa.RecordBatch]]":
    """Yield the rows of the copy, the slide's row in the manifest, and its columns."""
    from pyarrow import parquet

    verify(folder)
    start = 0
    for number, slide in enumerate(manifest.slides):
        if slide.file.name:
            with parquet.ParquetFile(folder / slide.file.name) as file:
                for batch in file.iter_batches(READ_ROWS, columns=[*NUMBERS, "pixels"]):
                    yield slice(start, start + len(batch)), number, batch
                    start += len(batch)
