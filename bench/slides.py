"""Valid patches of a slide: patches a second of one core and peak memory against read_region per patch.

    python -m bench.slides [--side 6144] [--power 20] [--repeats 3]

One synthetic slide of JPEG tiles, --side pixels, at --power 20 or 40. Peers draw the same candidates and keep
a patch by the same rules, but look for tissue in the pixels of the box, in the order drawn: "read twice"
decodes a candidate to judge it and decodes the valid ones again to keep them, "read once" keeps them at once.
Each contender has a process of its own; seconds are of that process on a processor, the fastest of --repeats
passes; memory is its peak above what it took before the first pass. Expected: 3 times "read twice". Takes 1
minute.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench.figure import Figure, best, show
from medpt.data.decode import opencv
from medpt.phantom.paint import stream
from medpt.phantom.tcga_slides import tissue, write_svs
from medpt.survival import patches
from medpt.survival.patches import PatchOptions
from medpt.survival.slides import extract

if TYPE_CHECKING:
    from openslide import OpenSlide

Pixels = NDArray[np.uint8]
TARGET = 3.0
OPTIONS = PatchOptions()
GRAIN = 512  # of the texture, in pixels at 20x

Found = list[tuple[int, int, Pixels]]


def ours(path: Path, power: int) -> Found:
    found = extract(path, OPTIONS, 0)
    return list(zip(found.x.tolist(), found.y.tolist(), found.pixels, strict=True))


def twice(path: Path, power: int) -> Found:
    import openslide

    with openslide.OpenSlide(path) as slide:
        corners, threshold = _start(slide, path, power)
        valid = [at for at in corners if _good(_region(slide, at, power), threshold)]
        return [(*at, patches.finish(_region(slide, at, power), OPTIONS)) for at in valid]


def once(path: Path, power: int) -> Found:
    import openslide

    with openslide.OpenSlide(path) as slide:
        corners, threshold = _start(slide, path, power)
        boxes = ((at, _region(slide, at, power)) for at in corners)
        return [(*at, patches.finish(box, OPTIONS)) for at, box in boxes if _good(box, threshold)]


CONTENDERS: dict[str, Callable[[Path, int], Found]] = {"ours": ours, "twice": twice, "once": once}


def _start(slide: "OpenSlide", path: Path, power: int) -> tuple[list[tuple[int, int]], float]:
    """The candidates in no order, and Otsu's threshold of saturation, of OpenSlide's own thumbnail."""
    width, height = slide.dimensions
    side = OPTIONS.box * power // 20
    corners = patches.candidates(width, height, side, OPTIONS.candidates, 0, path.name)
    np.random.default_rng(0).shuffle(corners)
    reduction = 16 * power // 20
    thumbnail = np.asarray(slide.get_thumbnail((width // reduction, height // reduction)).convert("RGB"))
    cv2 = opencv()
    saturation = cv2.cvtColor(thumbnail, cv2.COLOR_RGB2HSV)[:, :, 1]
    threshold, _ = cv2.threshold(saturation, 0, 1, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    return [(int(x), int(y)) for x, y in corners], threshold


def _region(slide: "OpenSlide", at: tuple[int, int], power: int) -> Pixels:
    side = OPTIONS.box * power // 20
    pixels = np.asarray(slide.read_region(at, 0, (side, side)).convert("RGB"))
    size = (OPTIONS.box, OPTIONS.box)
    return pixels if side == OPTIONS.box else opencv().resize(pixels, size, interpolation=opencv().INTER_AREA)


def _good(box: Pixels, threshold: float) -> bool:
    hsv = opencv().cvtColor(box, opencv().COLOR_RGB2HSV)
    held = ((hsv[:, :, 1] > threshold) & (hsv[:, :, 2] < 0.95 * 255)).mean()
    return held >= patches.TISSUE and patches.fault(box) is None and patches.focus(box) >= 0


def write(path: Path, side: int, power: int) -> None:
    painted = tissue(stream(0, "bench"), side * 20 // power, GRAIN, 0.4, 0.2)
    if power != 20:
        painted = opencv().resize(painted, (side, side), interpolation=opencv().INTER_CUBIC)
    write_svs(path, painted, f"AppMag = {power}|MPP = {10 / power:.4f}", reduced=(4, 16))


def measure(name: str, path: Path, power: int, repeats: int) -> None:
    """Prints JSON: corners of the patches, patches a second and the peak memory in megabytes."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    contender = CONTENDERS[name]
    found = contender(path, power)
    seconds = best(lambda: contender(path, power), repeats, time.process_time)
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    corners = sorted((x, y) for x, y, _ in found)
    print(json.dumps({"corners": corners, "rate": len(found) / seconds, "peak": peak}))


def alone(*arguments: str) -> str:
    command = [sys.executable, "-m", "bench.slides", *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def race(path: Path, power: int, repeats: int) -> None:
    common = ("--power", str(power), "--repeats", str(repeats), "--slide", str(path))
    results = {name: json.loads(alone("--contender", name, *common)) for name in CONTENDERS}
    mine, theirs = ({tuple(at) for at in results[name]["corners"]} for name in ("ours", "twice"))
    print(
        f"{len(mine)} patches of ours, {len(theirs)} of the peers', {len(mine & theirs)} the same", flush=True
    )
    for name, words, target in (("twice", "read twice", TARGET), ("once", "read once", None)):
        peer, own = results[name], results["ours"]
        show(
            Figure(f"patches at {power}x", own["rate"], peer["rate"], "img/s", words, target),
            Figure(f"memory for them, {power}x", own["peak"], peer["peak"], "MB", words),
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--side", type=int, default=6144, help="of the slide in pixels")
    parser.add_argument("--power", type=int, default=20, choices=(20, 40))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--slide", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--contender", choices=CONTENDERS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.contender:
        measure(options.contender, options.slide, options.power, options.repeats)
    elif options.slide:
        write(options.slide, options.side, options.power)
    else:
        with tempfile.TemporaryDirectory(prefix="medpt-bench-") as folder:
            path = Path(folder, "slide.svs")
            alone("--slide", str(path), "--side", str(options.side), "--power", str(options.power))
            race(path, options.power, options.repeats)


if __name__ == "__main__":
    main()
