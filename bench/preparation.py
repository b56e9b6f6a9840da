"""Decode, crop, resize to 256, CLAHE: images a second of one core against Pillow and scikit-image.

    python -m bench.preparation [--images 4] [--side 4000] [--repeats 3]

Colour JPEGs of a fundus (side x side), grey JPEGs of a chest (1000 x 1250) and CT slices as DICOM (512 x
512), scaled with --side, all synthetic. The peer takes the same steps on the same files with the same
parameters; its CLAHE is scikit-image's, DICOM is read with pydicom by both. Ours runs as in a preparation, in
the memory of the image before (medpt.data.glibc_memory); the peer as Python has it. Seconds are of this
process on a processor, so other work on the machine hardly counts; the fastest of --repeats passes is taken.
Expected: 3 times the peer, decoding included. Takes a minute.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.figure import Figure, best, show
from medpt.data.crops import SMALLEST_CROP, XRAY_DARK, XRAY_FLAT, XRAY_TRIM
from medpt.data.decode import opencv, read_image
from medpt.data.glibc_memory import kept
from medpt.data.preprocess import default_pipeline, preprocess
from medpt.data.readers.dicom import hounsfield
from medpt.phantom.chaos_ct import abdomen
from medpt.phantom.chestxray2017 import radiograph
from medpt.phantom.dicom import computed
from medpt.phantom.fundus import fundus
from medpt.phantom.paint import save, stream, to_bytes

Pixels = NDArray[Any]
TARGET = 3.0
SIZE, CLIP, TILES, THRESHOLD = 256, 2.0, 8, 10  # of default_pipeline
WINDOW = (-160, 240)  # Hounsfield units, of default_pipeline
DRAWN = 256  # height at which a fundus is drawn before it is enlarged
LARGE = 4000  # --side


def fundus_file(path: Path, number: int, side: int) -> None:
    """A drawn fundus enlarged to side x side, with the grain of a camera."""
    rng = stream(number, "bench")
    small, _, _ = fundus(rng, DRAWN, DRAWN)
    large = opencv().resize(small, (side, side), interpolation=opencv().INTER_CUBIC)
    grain = rng.normal(0, 3, large.shape) * (large.max(axis=2, keepdims=True) > THRESHOLD)
    save(path, np.clip(large + grain, 0, 255).astype(np.uint8), "JPEG")


def chest_file(path: Path, number: int, side: int) -> None:
    height = round(side * 1000 / LARGE)
    drawn = radiograph(stream(number, "bench"), height, round(height * 1.25), bool(number % 2))
    save(path, to_bytes(drawn), "JPEG")


def ct_file(path: Path, number: int, side: int) -> None:
    size = round(side * 512 / LARGE)
    units, _ = abdomen(stream(number, "bench"), size, 0.5, np.ones(8))
    path.write_bytes(computed(units, -1024, float(number), f"1.{number + 1}"))


def pillow(path: Path) -> Pixels:
    from PIL import Image

    with Image.open(path) as image:
        return np.asarray(image)


def pydicom_units(path: Path) -> Pixels:
    import pydicom

    scan = pydicom.dcmread(path)
    return scan.pixel_array * float(scan.RescaleSlope) + float(scan.RescaleIntercept)


def peer_ct(units: Pixels) -> Pixels:
    from skimage import exposure, util

    shown = exposure.rescale_intensity(units.astype(float), in_range=WINDOW, out_range=(0.0, 1.0))
    grey = util.img_as_ubyte(_equalised(_resized(shown)))
    return np.repeat(grey[:, :, None], 3, axis=2)


def peer_fundus(image: Pixels) -> Pixels:
    from skimage import color, util

    small = _resized(_cropped_fundus(image))
    lab = color.rgb2lab(small)
    lab[:, :, 0] = _equalised(lab[:, :, 0] / 100) * 100
    return util.img_as_ubyte(np.clip(color.lab2rgb(lab), 0, 1))


def peer_chest(image: Pixels) -> Pixels:
    from skimage import util

    grey = util.img_as_ubyte(_equalised(_resized(_cropped_chest(image))))
    return np.repeat(grey[:, :, None], 3, axis=2)


def _resized(image: Pixels) -> Pixels:
    """0 to 1, bilinear without a filter before it, as ours."""
    from skimage import transform

    return transform.resize(image, (SIZE, SIZE), order=1, anti_aliasing=False)


def _equalised(grey: Pixels) -> Pixels:
    from skimage import exposure

    return exposure.equalize_adapthist(grey, kernel_size=SIZE // TILES, clip_limit=CLIP / 256)


def _cropped_fundus(image: Pixels) -> Pixels:
    """The square around the largest component that is not black."""
    from skimage import measure

    labels = measure.label(image.max(axis=2) > THRESHOLD, connectivity=2)
    areas = np.bincount(labels.ravel())
    ys, xs = (np.flatnonzero((labels == 1 + np.argmax(areas[1:])).any(axis=axis)) for axis in (1, 0))
    box = image[ys[0] : ys[-1] + 1, xs[0] : xs[-1] + 1]
    assert min(box.shape[:2]) > SMALLEST_CROP * min(image.shape[:2])
    lacking = [max(box.shape[:2]) - side for side in box.shape[:2]]
    return np.pad(box, [(n // 2, n - n // 2) for n in lacking] + [(0, 0)])


def _cropped_chest(image: Pixels) -> Pixels:
    """Without dark or flat borders, rows first."""
    rows = _kept(image.mean(axis=1), image.std(axis=1))
    columns = _kept(image[rows].mean(axis=0), image[rows].std(axis=0))
    return image[rows, columns]


def _kept(mean: Pixels, deviation: Pixels) -> slice:
    kept = np.flatnonzero((mean >= XRAY_DARK) & (deviation >= XRAY_FLAT))
    limit = int(XRAY_TRIM * len(mean))
    return slice(min(int(kept[0]), limit), max(int(kept[-1]) + 1, len(mean) - limit))


@dataclass(frozen=True)
class Kind:
    """How files of one kind are written, and prepared by us and by the peer."""

    modality: str
    write: Callable[[Path, int, int], None]
    read: Callable[[Path], Pixels]
    peer_read: Callable[[Path], Pixels]
    peer: Callable[[Pixels], Pixels]
    peers: str


KINDS = {
    "fundus": Kind("fundus", fundus_file, read_image, pillow, peer_fundus, "Pillow and scikit-image"),
    "chest": Kind("x-ray", chest_file, read_image, pillow, peer_chest, "Pillow and scikit-image"),
    "CT": Kind("ct", ct_file, hounsfield, pydicom_units, peer_ct, "pydicom and scikit-image"),
}


def race(name: str, kind: Kind, files: list[Path], repeats: int) -> list[Figure]:
    pipeline = default_pipeline(kind.modality, SIZE)
    ours = partial(preprocess, pipeline=pipeline)
    decoded = [kind.read(path) for path in files]
    agree(name, decoded, pipeline, kind.peer)

    def rate(work: Callable[[Any], Pixels], items: list[Any]) -> float:
        return len(items) / best(lambda: [work(item) for item in items], repeats, time.process_time)

    theirs = rate(lambda path: kind.peer(kind.peer_read(path)), files), rate(kind.peer, decoded)
    decoders = {"OpenCV": _opencv_decode, "Pillow": pillow} if kind.read is read_image else {}
    rates = {name: rate(decode, files) for name, decode in decoders.items()}
    with kept():
        mine = rate(lambda path: ours(kind.read(path)), files), rate(ours, decoded)
        reading = rate(kind.read, files)
    figures = [
        Figure(f"prepare {name}", mine[0], theirs[0], "img/s", kind.peers, TARGET),
        Figure(f"prepare {name}, decoded before", mine[1], theirs[1], "img/s", kind.peers),
    ]
    return figures + [Figure(f"decode {name}", reading, own, "img/s", peer) for peer, own in rates.items()]


def _opencv_decode(path: Path) -> Pixels:
    cv2 = opencv()
    pixels = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_UNCHANGED)
    return pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)


def agree(name: str, decoded: list[Pixels], pipeline: str, peer: Callable[[Pixels], Pixels]) -> None:
    """Prints how far our CLAHE is from OpenCV's own, and how far our images are from the peer's."""
    before, step = pipeline.rsplit("|", 1)
    assert step.startswith("clahe"), pipeline
    to_opencv, to_peer = 0, []
    for image in decoded:
        mine, small = preprocess(image, pipeline), preprocess(image, before)
        own = opencv_clahe(small if image.ndim == 3 else small[:, :, 0])
        to_opencv = max(to_opencv, int(np.abs(mine.astype(int) - own).max()))
        to_peer.append(np.abs(mine.astype(int) - peer(image)).mean())
    print(
        f"{name}: our CLAHE is at most {to_opencv} grey levels from OpenCV's own; "
        f"our images are {np.mean(to_peer):.1f} on average from scikit-image's",
        flush=True,
    )


def opencv_clahe(small: Pixels) -> Pixels:
    """(S, S, 3) from OpenCV's calls alone: of the image if it is grey, of L in CIELAB if it is colour."""
    cv2 = opencv()
    equalise = cv2.createCLAHE(CLIP, (TILES, TILES))
    if small.ndim == 2:
        return cv2.merge([equalise.apply(small)] * 3)
    lightness, a, b = cv2.split(cv2.cvtColor(small, cv2.COLOR_RGB2LAB))
    return cv2.cvtColor(cv2.merge([equalise.apply(lightness), a, b]), cv2.COLOR_LAB2RGB)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=4, help="of each kind")
    parser.add_argument("--side", type=int, default=LARGE, help="of a fundus in pixels")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="medpt-bench-") as folder:
        for name, kind in KINDS.items():
            files = [Path(folder, f"{name}-{number}") for number in range(options.images)]
            for number, path in enumerate(files):
                kind.write(path, number, options.side)
            show(*race(name, kind, files, options.repeats))


if __name__ == "__main__":
    main()
