import warnings

import numpy as np
import pytest
from cohorts import planted, study
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import skew
from skimage.color import rgb2hed
from skimage.feature import graycomatrix, graycoprops, local_binary_pattern
from skimage.filters import threshold_otsu
from skimage.measure import label, regionprops

from medpt.errors import InputError
from medpt.survival import handcrafted
from medpt.survival.handcrafted import LENGTH, describe, patient_vectors, vector

PINK, PURPLE = (215, 160, 195), (90, 60, 140)


def tissue(seed: int, size: int = 64, nuclei: int = 8) -> np.ndarray:
    """Purple ellipses on noisy pink."""
    rng = np.random.default_rng(seed)
    image = np.full((size, size, 3), PINK, dtype=np.float64)
    y, x = np.mgrid[:size, :size]
    for _ in range(nuclei):
        cy, cx = rng.uniform(6, size - 6, 2)
        a, b = rng.uniform(2.5, 6, 2)
        image[((y - cy) / a) ** 2 + ((x - cx) / b) ** 2 < 1] = PURPLE
    return np.clip(image + rng.normal(0, 6, image.shape), 0, 255).astype(np.uint8)


def levels_of(image: np.ndarray) -> np.ndarray:
    return handcrafted.haematoxylin(handcrafted.stains(image))


@given(st.integers(0, 10_000))
def test_stains_are_scikit_image_s(seed: int) -> None:
    image = np.random.default_rng(seed).integers(0, 256, (6, 7, 3)).astype(np.uint8)
    assert handcrafted.stains(image) == pytest.approx(rgb2hed(image), abs=1e-9)


@given(st.integers(0, 10_000))
def test_colours_and_stains_are_described_by_three_moments(seed: int) -> None:
    image = tissue(seed, 24, 2)
    found = vector(image)[:18].reshape(6, 3)
    columns = np.concatenate([image.reshape(-1, 3) / 255, rgb2hed(image).reshape(-1, 3)], 1)
    expected = np.column_stack([columns.mean(0), columns.std(0), skew(columns)])
    assert found == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize("seed", range(3))
def test_textures_are_scikit_image_s(seed: int) -> None:
    image = tissue(seed)
    coarse = (levels_of(image) // 8).astype(np.uint8)
    angles = [0, np.pi / 4, np.pi / 2, 3 * np.pi / 4]
    matrices = graycomatrix(coarse, [1, 3], angles, levels=32, symmetric=True, normed=True)
    names = ("contrast", "homogeneity", "energy", "correlation")
    expected = np.array([graycoprops(matrices, name).mean(1) for name in names])
    assert vector(image)[18:26].reshape(2, 4) == pytest.approx(expected.T, abs=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_patterns_are_scikit_image_s(seed: int) -> None:
    grey = np.random.default_rng(seed).integers(0, 256, (120, 90)).astype(np.uint8)
    codes = local_binary_pattern(grey, 8, 1, method="uniform")[1:-1, 1:-1].astype(int)
    expected = np.bincount(codes.ravel(), minlength=10) / codes.size
    assert handcrafted.patterns(grey) == pytest.approx(expected, abs=1e-3)
    assert handcrafted.patterns(np.full((9, 9), 77, np.uint8)).tolist() == [0] * 8 + [1, 0]


@pytest.mark.parametrize("seed", range(4))
def test_nuclei_are_the_regions_above_otsu_s_threshold(seed: int) -> None:
    image = tissue(seed)
    image[2:60:19, 2:60:19] = PURPLE
    levels = levels_of(image)
    assert min(region.area for region in regionprops(label(levels > threshold_otsu(levels)))) < 16
    regions = [r for r in regionprops(label(levels > threshold_otsu(levels))) if r.area >= 16]
    areas = [region.area for region in regions]
    shapes = np.mean([region.eccentricity for region in regions])
    assert vector(image)[36:] == pytest.approx([len(areas), np.mean(areas), np.std(areas), shapes], abs=1e-6)
    assert 3 <= len(areas) <= 8


def test_disc_is_round_and_a_rod_is_not() -> None:
    y, x = np.mgrid[:40, :40]
    disc, rod = (x - 10) ** 2 + (y - 10) ** 2 < 50, (abs(x - 30) <= 1) & (abs(y - 20) <= 15)
    _, round_, long = handcrafted.eccentricities(disc * 1 + rod * 2)
    assert round_ < 0.05
    assert long > 0.99


def test_patch_without_anything_has_no_nuclei_and_no_nan() -> None:
    for shade in (0, 128, 255):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = vector(np.full((16, 16, 3), shade, np.uint8))
        assert np.isfinite(found).all()
        assert found[36:].tolist() == [0, 0, 0, 0]


def test_turning_a_patch_changes_nothing_but_the_arcs_at_its_edge() -> None:
    image = tissue(5)
    assert vector(np.rot90(image).copy()) == pytest.approx(vector(image), abs=1e-9)


def test_patches_are_described_one_by_one() -> None:
    images = np.stack([tissue(seed, 32, 2) for seed in range(3)])
    found = describe(images)
    assert found.shape == (3, LENGTH)
    assert found.dtype == np.float32
    assert found[2] == pytest.approx(vector(images[2]).astype(np.float32))
    assert describe(images[:0]).shape == (0, LENGTH)


def test_patient_is_the_mean_and_the_spread_of_his_patches() -> None:
    cohort = study(planted(0, 40), 0)
    found = patient_vectors(cohort)
    assert cohort.handcrafted is not None
    rows = [row for row, owner in enumerate(cohort.patient) if owner == 7]
    of_seven = cohort.handcrafted[rows].astype(float)
    assert found.shape == (40, 80)
    assert found[7] == pytest.approx(np.concatenate([of_seven.mean(0), of_seven.std(0)]))


def test_patient_without_patches_has_no_numbers_and_a_study_without_vectors_is_refused() -> None:
    from dataclasses import replace

    cohort = study(planted(0, 40), 0)
    kept = cohort.patient != 3
    assert cohort.handcrafted is not None
    fewer = replace(cohort, patient=cohort.patient[kept], handcrafted=cohort.handcrafted[kept])
    assert np.flatnonzero(np.isnan(patient_vectors(fewer)).all(1)).tolist() == [3]
    with pytest.raises(InputError, match="no handcrafted given"):
        patient_vectors(replace(cohort, handcrafted=None))
