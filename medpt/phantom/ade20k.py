"""ADEChallengeData2016: scenes with masks of SceneParse150's classes and sceneCategories.txt.

Traps: 0 (other) pixels, scenes of too few images, `misc`, macOS debris. Indoor and outdoor scenes share
objects, so no single colour gives the scene away.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medpt.data.catalog import card
from medpt.phantom.paint import Colour, Rng, debris, fractal, grid, save, shrink, smooth, stream, to_bytes

CLASSES = card("ADE20K-Seg").classes
SUPERSAMPLING = 2
RARE = {5: "misc", 11: "lighthouse"}  # of the training numbers: no class comes of them


def write(folder: Path, seed: int, train: int = 120, test: int = 40, size: int = 96) -> None:
    """JPEGs and PNG masks of size x 4/3 size."""
    top = folder / "ADEChallengeData2016"
    lines = []
    seen = np.zeros((2, len(CLASSES) + 1), np.int64)
    for subset, short, count in (("training", "train", train), ("validation", "val", test)):
        for n in range(count):
            scene = tuple(SCENES)[n % len(SCENES)]
            image, ids = picture(stream(seed, "ADE20K", subset, n), size, scene)
            name = f"ADE_{short}_{n + 1:08d}"
            save(top / "images" / subset / f"{name}.jpg", image, "JPEG")
            save(top / "annotations" / subset / f"{name}.png", ids, "PNG")
            seen[int(short == "val"), np.unique(ids)] += 1
            lines.append(f"{name} {RARE.get(n, scene) if short == 'train' else scene}")
    (top / "sceneCategories.txt").write_text("\n".join(lines) + "\n")
    (top / "objectInfo150.txt").write_text(_object_info(seen))
    debris(top / "images" / "training", "ADE_train_00000001.jpg")


def _object_info(seen: NDArray[np.int64]) -> str:
    rows = [f"{n}\t{1 / 150:.4f}\t{seen[0, n]}\t{seen[1, n]}\t{name}" for n, name in enumerate(CLASSES, 1)]
    return "\n".join(["Idx\tRatio\tTrain\tVal\tName", *rows]) + "\n"


class _Stage:
    """An RGB canvas and the mask that grows with it: what is put later stands in front."""

    def __init__(self, rng: Rng, height: int, width: int) -> None:
        self.rng = rng
        self.x, self.y = grid(height, width)
        self.rgb = np.full((height, width, 3), 0.5, np.float32)
        self.ids = np.zeros((height, width), np.uint8)
        self.size = (height, width)
        self.grain = fractal(rng, height, width, cells=6)
        self.light = rng.uniform(0.75, 1.15)

    def put(self, name: str | None, where: NDArray[np.bool_], colour: Colour, grain: float = 0.05) -> None:
        """`name` is a class of SceneParse150, None for an object that the benchmark does not know."""
        jitter = np.array(colour) * self.light * self.rng.uniform(0.85, 1.15, 3)
        down, right, sign = self.rng.choice([-1, 1], 3)
        texture = grain * sign * self.grain[::down, ::right] - 0.08 * self.y
        self.rgb[where] = jitter * (1 + texture[where][:, None])
        self.ids[where] = 0 if name is None else CLASSES.index(name) + 1

    def box(self, left: float, top: float, right: float, bottom: float) -> NDArray[np.bool_]:
        return (self.x > left) & (self.x < right) & (self.y > top) & (self.y < bottom)

    def disc(self, x: float, y: float, rx: float, ry: float) -> NDArray[np.bool_]:
        return ((self.x - x) / rx) ** 2 + ((self.y - y) / ry) ** 2 < 1

    def ridge(self, level: float, height: float, cells: int) -> NDArray[np.bool_]:
        """All below a rugged line."""
        across = np.linspace(0, 1, self.size[1])
        coarse, fine = (
            np.interp(across, np.linspace(0, 1, n + 1), self.rng.standard_normal(n + 1))
            for n in (cells, 5 * cells)
        )
        return self.y > level - height * (coarse + 0.3 * fine)


def picture(rng: Rng, height: int, scene: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """An RGB image (H, 4/3 H, 3) of `scene` and its mask (H, 4/3 H): 0 other, v is class v - 1."""
    width = height * 4 // 3
    stage = _Stage(rng, height * SUPERSAMPLING, width * SUPERSAMPLING)
    SCENES[scene](stage, rng)
    if rng.random() < 0.3:
        stage.put(None, stage.disc(rng.uniform(-1, 1), rng.uniform(0, 0.8), 0.09, 0.09), (0.8, 0.2, 0.6))
    shaded = stage.rgb + rng.normal(0, 0.02, stage.rgb.shape).astype(np.float32)
    return to_bytes(shrink(shaded, height, width)), np.ascontiguousarray(
        stage.ids[::SUPERSAMPLING, ::SUPERSAMPLING]
    )


def _sky(stage: _Stage, rng: Rng) -> None:
    dusk = rng.random() < 0.3
    stage.put("sky", np.ones_like(stage.ids, bool), (0.85, 0.62, 0.5) if dusk else (0.5, 0.68, 0.9), 0.02)
    clouds = smooth((fractal(rng, *stage.size, cells=3) - 0.4) / 0.6)[:, :, None]
    stage.rgb = (stage.rgb * (1 - 0.7 * clouds) + 0.66 * stage.light * clouds).astype(np.float32)


def _trees(stage: _Stage, rng: Rng, ground: float, count: int) -> None:
    for _ in range(count):
        x, size = rng.uniform(-1.25, 1.25), rng.uniform(0.16, 0.3)
        stage.put("tree", stage.box(x - 0.03, ground - size, x + 0.03, ground), (0.35, 0.24, 0.15))
        offsets = rng.normal(0, 0.35 * size, (5, 2))
        leaves = [stage.disc(x + dx, ground - 1.5 * size + dy, 0.6 * size, 0.6 * size) for dx, dy in offsets]
        stage.put("tree", np.any(leaves, axis=0), (0.2, 0.42, 0.17), 0.2)


def _people(stage: _Stage, rng: Rng, ground: float, count: int) -> None:
    for _ in range(count):
        x, size = rng.uniform(-1.1, 1.1), rng.uniform(0.1, 0.16)
        y = ground + rng.uniform(0, 0.25)
        stage.put(
            "person",
            stage.box(x - 0.35 * size, y - 1.6 * size, x + 0.35 * size, y + size),
            rng.uniform(0.1, 0.9, 3),
        )
        stage.put("person", stage.disc(x, y - 2 * size, 0.4 * size, 0.45 * size), (0.8, 0.6, 0.5))


def _beach(stage: _Stage, rng: Rng) -> None:
    _sky(stage, rng)
    horizon = rng.uniform(-0.3, 0.0)
    stage.put("sea", stage.y > horizon, (0.16, 0.42, 0.58), 0.1)
    stage.put("sand", stage.ridge(rng.uniform(0.25, 0.5), 0.05, 3), (0.85, 0.75, 0.55))
    _people(stage, rng, 0.5, int(rng.integers(0, 4)))
    if rng.random() < 0.4:
        x = rng.uniform(-1, 1)
        stage.put("boat", stage.disc(x, horizon + 0.08, 0.14, 0.05), (0.9, 0.9, 0.88))


def _mountain(stage: _Stage, rng: Rng) -> None:
    _sky(stage, rng)
    stage.put("mountain", stage.ridge(rng.uniform(-0.35, -0.1), 0.3, 3), (0.48, 0.46, 0.52), 0.18)
    if rng.random() < 0.4:
        stage.put("water", stage.y > 0.25, (0.22, 0.42, 0.55), 0.06)
    stage.put("grass", stage.ridge(rng.uniform(0.3, 0.55), 0.08, 3), (0.35, 0.55, 0.22), 0.12)
    _trees(stage, rng, 0.5, int(rng.integers(0, 5)))


def _street(stage: _Stage, rng: Rng) -> None:
    _sky(stage, rng)
    left = -1.35
    while left < 1.35:
        right = left + rng.uniform(0.3, 0.6)
        roof = rng.uniform(-0.85, -0.1)
        stage.put("building", stage.box(left, roof, right, 0.3), rng.uniform(0.35, 0.8, 3), 0.04)
        panes = ((stage.x - left - 0.06) % 0.14 < 0.07) & ((stage.y - roof - 0.08) % 0.18 < 0.1)
        front = stage.box(left + 0.06, roof + 0.08, right - 0.06, 0.25)
        stage.put("windowpane", panes & front, (0.3, 0.38, 0.48), 0.02)
        left = right
    stage.put("sidewalk", stage.y > 0.28, (0.62, 0.6, 0.57))
    stage.put("road", stage.y > 0.42 + 0.06 * np.abs(stage.x), (0.33, 0.33, 0.35))
    _trees(stage, rng, 0.34, int(rng.integers(0, 3)))
    for _ in range(rng.integers(0, 4)):
        x, y, paint = rng.uniform(-1.1, 1.1), rng.uniform(0.5, 0.8), rng.uniform(0.15, 0.9, 3)
        stage.put(
            "car",
            stage.box(x - 0.22, y - 0.06, x + 0.22, y + 0.08) | stage.disc(x, y - 0.06, 0.14, 0.1),
            paint,
        )
    _people(stage, rng, 0.38, int(rng.integers(0, 3)))


def _forest(stage: _Stage, rng: Rng) -> None:
    _sky(stage, rng)
    stage.put("tree", stage.ridge(rng.uniform(-0.55, -0.25), 0.12, 8), (0.14, 0.3, 0.14), 0.3)
    stage.put("earth", stage.ridge(rng.uniform(0.4, 0.6), 0.05, 4), (0.42, 0.33, 0.22), 0.15)
    for _ in range(rng.integers(3, 7)):
        x, thick = rng.uniform(-1.3, 1.3), rng.uniform(0.03, 0.07)
        stage.put(
            "tree", stage.box(x - thick, -1, x + thick, rng.uniform(0.5, 0.75)), (0.3, 0.22, 0.15), 0.15
        )
    stage.put("plant", stage.ridge(rng.uniform(0.7, 0.9), 0.1, 9), (0.25, 0.48, 0.18), 0.2)


def _room(stage: _Stage, rng: Rng) -> None:
    stage.put("wall", np.ones_like(stage.ids, bool), rng.uniform(0.6, 0.9, 3), 0.02)
    stage.put("ceiling", stage.y < rng.uniform(-0.9, -0.75), (0.9, 0.9, 0.88), 0.01)
    stage.put("floor", stage.y > rng.uniform(0.4, 0.55), (0.55, 0.4, 0.27), 0.1)
    x = rng.uniform(-0.9, 0.9)
    if rng.random() < 0.8:
        stage.put("windowpane", stage.box(x - 0.25, -0.6, x + 0.25, -0.05), (0.75, 0.86, 0.95), 0.02)
        stage.put("curtain", stage.box(x - 0.35, -0.65, x - 0.22, 0.1), rng.uniform(0.3, 0.9, 3))
    if rng.random() < 0.6:
        x = rng.uniform(-1, 1)
        stage.put("painting", stage.box(x - 0.17, -0.55, x + 0.17, -0.2), rng.uniform(0.1, 0.9, 3), 0.3)


def _bedroom(stage: _Stage, rng: Rng) -> None:
    _room(stage, rng)
    x, wide = rng.uniform(-0.5, 0.5), rng.uniform(0.5, 0.7)
    stage.put("bed", stage.box(x - wide, 0.0, x + wide, 0.75), rng.uniform(0.4, 0.95, 3))
    for dx in (-0.45, 0.45):
        stage.put("pillow", stage.disc(x + dx * wide, 0.12, 0.3 * wide, 0.1), (0.93, 0.92, 0.9), 0.02)
    stage.put("lamp", stage.disc(x + wide + 0.15, -0.05, 0.08, 0.12), (1.0, 0.88, 0.55), 0.02)


def _living_room(stage: _Stage, rng: Rng) -> None:
    _room(stage, rng)
    x, cloth = rng.uniform(-0.5, 0.5), rng.uniform(0.2, 0.8, 3)
    stage.put("rug", stage.disc(x, 0.78, 0.9, 0.18), rng.uniform(0.3, 0.8, 3), 0.2)
    stage.put("sofa", stage.box(x - 0.6, 0.05, x + 0.6, 0.55), cloth)
    stage.put("cushion", stage.box(x - 0.4, 0.1, x - 0.15, 0.3), rng.uniform(0.2, 0.9, 3))
    stage.put("coffee table", stage.box(x - 0.35, 0.62, x + 0.35, 0.74), (0.4, 0.26, 0.15))
    if rng.random() < 0.6:
        stage.put("plant", stage.disc(x + 0.85, 0.15, 0.16, 0.3), (0.2, 0.45, 0.2), 0.25)


SCENES: dict[str, Callable[[_Stage, Rng], None]] = {
    "beach": _beach,
    "mountain": _mountain,
    "street": _street,
    "forest-broadleaf": _forest,
    "bedroom": _bedroom,
    "living_room": _living_room,
}
