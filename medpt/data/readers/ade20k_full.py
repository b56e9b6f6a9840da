"""The full ADE20K, releases of 2016 and 2021: scenes from the names of folders, objects from `_seg.png`.

2016 has `images/<subset>/<letter>/<scene>[/<kind>]`, 2021 `images/ADE/<subset>/<group>/<scene>[/<kind>]`; a
scene of kinds is written `scene-kind`, as in sceneCategories.txt. `misc` is no scene. `_seg.png` stores an
object's number as R // 10 * 256 + G. Of its 3,000 and more objects those of the 150 classes of SceneParse150
are kept, by the benchmark's own table; all else is 255. The numbers of 2021 are those of 2016 wherever the
two could be compared.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medpt.data.dataset import IGNORE, Record, Split
from medpt.data.decode import read_image
from medpt.data.file_tree import child, files, find_root, folders
from medpt.errors import InputError

SUBSETS: dict[str, Split] = {"training": "train", "validation": "test"}
OUTLIERS, NO_SCENE = "outliers", "misc"
LARGEST = 255 // 10 * 256 + 255

# Objects of the 150 classes in their order, slashes between those that share one, as the benchmark's
# convertFromADE/mapFromADE.txt has them.
OBJECTS = """
2978 312 2420 976 2855 447 2131 165 3055 1125 350 2377 1831 838 774/783 2684 1610 1910 687 471 401 2994 1735
2473 2329 1276 2264 1564 2178 913 57 2272 907 724 2138 2985/533 1395 155 2053 689 137 266 581 2380 491 627
2212 2388 2423 943 2096 1121 1788 2530 2185 420 1948 1869 2251 2531 2128 294 239 212 571 2793 978 236 1240
181 629 2598 1744 1374 591 2679 223 123 47 1282 327 2821 1451 2880 2828 480 77 2616 246/247 2733 14 738 38
1936 1401 120 868 1702 249 308 1969 2526 2928 2337 1023 609 389 2989 1930 2668 2586 131 146 3016 2739 95
1563 642 1708 103 1002 2569 2704 2833 1551 1981 29 187 1393 747 2254 206 2262 1260 2243 2932 2836 2850 64
894 1858 3109 1919 1583 318 2356 2046 1098 530 954
"""


def find(root: Path) -> Path:
    """The folder that holds images/training/<letter> or images/ADE/training/<group>."""
    return find_root(root, lambda folder: bool(_subsets(folder)), "images/training or images/ADE/training")


def images(top: Path) -> dict[str, tuple[str, Split]]:
    """Image id (its file's stem) to its path relative to `top` and its split; validation is the test set."""
    found: dict[str, tuple[str, Split]] = {}
    for subset, folder in _subsets(top).items():
        for path in _photographs(folder):
            found[path.stem] = (path.relative_to(top).as_posix(), SUBSETS[subset])
    return found


def scenes(top: Path, found: dict[str, tuple[str, Split]]) -> dict[str, str]:
    """Image id to scene, `misc` where its folder names none."""
    depth = len(_top_of_subsets(top).relative_to(top).parts) + 1  # images/training, images/ADE/training
    return {name: _scene(Path(path).parts[depth:-1]) for name, (path, _) in found.items()}


def masks(top: Path, found: dict[str, tuple[str, Split]]) -> tuple[dict[str, str], list[str]]:
    """Image id to the path of its mask, and a problem for each image without."""
    places = {name: f"{path.rpartition('.')[0]}_seg.png" for name, (path, _) in found.items()}
    missing = [f"{top / place}: no such file" for place in places.values() if not (top / place).is_file()]
    return places, missing


def read_mask(root: Path, record: Record) -> NDArray[np.uint8]:
    """Class ids of SceneParse150. Raises InputError for masks that are not RGB."""
    path = root / str(record.mask_path)
    stored = read_image(path)
    if stored.ndim != 3:
        raise InputError(f"{path}: a mask of one channel; accepted: RGB")
    red, green = stored[:, :, 0].astype(np.int32), stored[:, :, 1]
    return _table()[red // 10 * 256 + green]


def _table() -> NDArray[np.uint8]:
    table = np.full(LARGEST + 1, IGNORE, np.uint8)
    for number, objects in enumerate(OBJECTS.split()):
        table[[int(index) for index in objects.split("/")]] = number
    return table


def _top_of_subsets(folder: Path) -> Path:
    """images/ADE of 2021, images of 2016."""
    parent = child(folder, "images") or folder / "images"
    return child(parent, "ADE") or parent


def _subsets(folder: Path) -> dict[str, Path]:
    parent = _top_of_subsets(folder)
    found = {subset: child(parent, subset) for subset in SUBSETS}
    return {subset: path for subset, path in found.items() if path and path.is_dir() and folders(path)}


def _photographs(folder: Path) -> Iterator[Path]:
    """Those of a folder and its scenes, without looking into the folders of an image's instances."""
    yield from files(folder, ".jpg")
    for inner in folders(folder):
        if not inner.name.startswith("ADE_"):
            yield from _photographs(inner)


def _scene(folders: tuple[str, ...]) -> str:
    """From the folders between the subset and the file, of which the first is a letter or a group, or
    `outliers`."""
    named = folders[1:] if folders[:1] == (OUTLIERS,) else folders
    if NO_SCENE in named:
        return NO_SCENE
    return "-".join(named[1:]) or NO_SCENE
