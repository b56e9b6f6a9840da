"""Classes that differ in one planted texture alone, so that what a source can teach is known.

Both textures have equal mean and variance and lie over equal regions. A share of the images of each class
shows the texture of the other one. Scores that know the texture then have a ROC-AUC of 1 less this share,
scores that know nothing 0.5. A source with the same textures adds at most the difference of the two to a
network that learned nothing. It shows them plainly, its target so faintly that few images do not suffice to
find them.
"""

import numpy as np

from medpt.phantom.paint import Canvas, Rng, ellipse, grid, noise

CELLS = (9, 18)  # features of the texture along the height, of the first and the second class
PLAIN, FAINT = 0.2, 0.08  # standard deviation of a texture, of grey values from 0 to 1
RADIUS = 0.62


def shown(label: int, number: int, share: float) -> int:
    """Return the class whose texture image `number` of class `label` shows.

    `share` of the images, spread evenly, show that of the other class.
    """
    return 1 - label if int((number + 1) * share) > int(number * share) else label


def draw(rng: Rng, image: Canvas, kind: int, strength: float) -> Canvas:
    """Lay the texture of class `kind` over a round region at a random place of a grey image."""
    height, width = image.shape
    pattern = noise(rng, height, width, CELLS[kind])
    pattern = (pattern - pattern.mean()) / pattern.std()
    centre = (rng.uniform(-0.4, 0.4), rng.uniform(-0.3, 0.3))
    cover = ellipse(*grid(height, width), centre, (RADIUS, RADIUS), 0.3)
    return np.clip(image + strength * cover * pattern, 0.01, 1)
