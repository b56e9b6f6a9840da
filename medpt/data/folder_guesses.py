"""What the names of files and the headers of DICOM say about the modality of images."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from medpt.data.card import Modality
from medpt.data.readers.folder_files import is_dicom
from medpt.data.readers.folder_volumes import is_hounsfield, is_volume

MODALITY_WORDS: dict[Modality, tuple[str, ...]] = {  # the first that fits counts
    "ultrasound": ("ultrasound", "ultrasonic", "sonogra", "echocardio", "busi"),
    "mammography": ("mammo", "ddsm", "inbreast"),
    "endoscopy": ("endoscop", "colonoscop", "gastroscop", "polyp", "kvasir"),
    "fundus": ("fundus", "retina", "retinopathy", "glaucoma", "cataract", "amd", "disc", "vessel"),
    "x-ray": ("xray", "x-ray", "cxr", "chest", "pneumonia", "covid", "radiograph"),
    "dermoscopy": ("derm", "skin", "melanoma", "nevus", "lesion", "isic"),
    "histology": ("histo", "patholog", "slide", "stain", "tissue", "nuclei", "patch"),
    "oct": ("oct", "drusen", "cnv", "dme"),
    "ct": ("ct",),
    "mri": ("mri", "mr", "flair", "t1w", "t2w"),
}
SHORT = 3  # letters of a word that must stand alone in a name
DICOM_MODALITIES: dict[str, Modality] = {
    **dict.fromkeys(("CR", "DX", "DR", "XA", "RF"), "x-ray"),
    "MG": "mammography",
    "CT": "ct",
    "MR": "mri",
    "OP": "fundus",
    "OPT": "oct",
    "SM": "histology",
    "US": "ultrasound",
    "ES": "endoscopy",
}


@dataclass(frozen=True)
class Guess:
    """Why a key of the card has its value; an unsure one has to be confirmed."""

    reason: str
    unsure: bool = False


def guess_modality(image: Path, names: Iterable[str]) -> tuple[Modality, Guess]:
    """Return the modality of a DICOM file or a volume, or what the names of folders, classes and files say.

    `natural` where nothing says it. Pixels are not looked at, but the values of a volume are.
    """
    if is_volume(image.name):
        return _volume_modality(image)
    if is_dicom(str(image)):
        return _dicom_modality(image)
    words = " ".join(names).lower()
    separate = set("".join(c if c.isalnum() else " " for c in words).split())
    for modality, known in MODALITY_WORDS.items():
        for word in known:
            if (word in words) if len(word) > SHORT else (word in separate):
                return modality, Guess(f"names contain `{word}`", unsure=True)
    return "natural", Guess("nothing says what the images show; it decides the preprocessing", unsure=True)


def _volume_modality(path: Path) -> tuple[Modality, Guess]:
    if is_hounsfield(path):
        return "ct", Guess(f"{path.name} has values of air in Hounsfield units")
    return "mri", Guess(f"{path.name} has no value of air, as CT has", unsure=True)


def _dicom_modality(path: Path) -> tuple[Modality, Guess]:
    from medpt.data.readers.dicom import modality_of

    found = modality_of(path)
    known = DICOM_MODALITIES.get(found, "natural")
    return known, Guess(f"Modality of {path.name} is {found or 'not given'}", unsure=known == "natural")
