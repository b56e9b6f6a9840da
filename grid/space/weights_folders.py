"""Published weights by name: `initializations/NAME.yaml` beside a space, below the data, or shipped."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from medpt.models import weights_file
from medpt.models.weights_file import UNKNOWN, WeightsFile

FOLDER = "initializations"
SHIPPED = Path(weights_file.__file__).parent / "published"


@dataclass(frozen=True)
class WeightsFolders:
    """The folders that hold descriptions of published weights; the first that has a name decides."""

    folders: tuple[Path, ...] = (SHIPPED,)

    @classmethod
    def of(cls, space: Path, data: Path | None) -> "WeightsFolders":
        """Return the folders for a space's file and the folder of --data."""
        own = [space.absolute().parent / FOLDER, *([data.absolute() / FOLDER] if data else [])]
        return cls((*own, SHIPPED))

    def names(self) -> Iterator[str]:
        """Yield the names that may be used, each once."""
        yield from dict.fromkeys(
            path.stem for folder in self.folders for path in sorted(folder.glob("*.yaml"))
        )

    def find(self, name: str) -> Path | None:
        """Return the description of the weights of that name; None where there is none."""
        if not name or Path(name).name != name:
            return None
        paths = (folder / f"{name}.yaml" for folder in self.folders)
        return next((path for path in paths if path.is_file()), None)


def describe_weights(weights: WeightsFile) -> str:
    """Return `mine: resnet18, trained on RadImageNet; MIT`, with the file if it is missing."""
    trained = (
        "trained on: unknown"
        if weights.trained_on == UNKNOWN
        else f"trained on {', '.join(weights.trained_on)}"
    )
    text = f"{weights.name}: {weights.backbone}, {trained}; {weights.licence}"
    file = weights.file_path
    missing = file is not None and not file.is_file() and not weights.url
    return f"{text}; {file} is missing" if missing else text
