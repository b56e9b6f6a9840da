"""The cohorts of a space beside the paper's Table 4."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from grid.claims import published
from grid.report import provenance
from grid.report.provenance import SYNTHETIC
from grid.results.stored_space import StoredSpace
from medpt.errors import InputError
from medpt.specs import Slides
from medpt.survival.patch_files import MANIFEST, CohortManifest


@dataclass(frozen=True)
class Cohort:
    """`manifest` is None where its slides are not prepared."""

    digest: str
    dataset: str
    fingerprint: str
    manifest: CohortManifest | None

    @property
    def counts(self) -> list[tuple[str, int | None, str]]:
        """(row of Table 4, ours, the paper's as text); ours None where the cohort is not prepared."""
        paper = published.cohort_counts().get(self.dataset, {})
        ours = self.manifest.table4() if self.manifest else dict.fromkeys(paper)
        return [(name, count, paper.get(name, "–")) for name, count in ours.items()]

    @property
    def events(self) -> int:
        return sum(patient.event for patient in self.manifest.patients) if self.manifest else 0

    @property
    def excluded(self) -> list[str]:
        """Slides by name and reason, without the folder that they lie in."""
        parts = (problem.partition(": ") for problem in (self.manifest.problems if self.manifest else ()))
        return [f"{Path(path).name}: {reason}" for path, _, reason in parts]

    @property
    def refused(self) -> list[tuple[str, int]]:
        return sorted(self.manifest.refused().items(), key=lambda item: -item[1]) if self.manifest else []


def cohorts(stored: StoredSpace) -> list[Cohort]:
    found = []
    for unit, spec in stored.units_of(Slides):
        manifest = None
        if unit.digest in stored.finished:
            try:
                manifest = CohortManifest.read(stored.store.artifact(unit.digest, MANIFEST).parent)
            except InputError as error:
                stored.warnings += error.problems
        found.append(Cohort(unit.digest, spec.dataset, spec.fingerprint, manifest))
    return found


def notes(found: Sequence[Cohort], stored: StoredSpace) -> dict[str, str]:
    """Return how the data of each cohort differ from the published data, as `provenance.notes` does."""
    names = {cohort.dataset for cohort in found}
    made = provenance.phantom_fingerprints(stored.store.root, names)
    return {cohort.dataset: SYNTHETIC if cohort.fingerprint in made else "" for cohort in found}
