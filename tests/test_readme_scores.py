"""The README's table of scores is what the results beside the cards say."""

import json
from pathlib import Path

import pytest

from noise2mask.explain.training_curve import FLAT_AT_END, said_of_end

ROOT = Path(__file__).parents[1]
# First cell of a row -> bundle, and the results of its network, of BasicUNet and of nnU-Net
ROWS = {
    "breast, BUSI, 152 images": ("pgdiffseg", "shipped", "busi_128_unet_mirrored_test", "busi_128_nnunet_test"),
    "thyroid, DDTI, 66 images": ("medsegdiff", "shipped", "gpu_ddti_unet_views", "gpu_ddti_nnunet"),
    "hippocampus, 41 volumes, by slices": ("medsegdiff_v2", "shipped", "slices_unet_views", "slices_nnunet"),
    "hippocampus, 41 volumes, in 3D": ("medsegdiff_v2", "gpu_volumes", "gpu_volumes_unet_views", "gpu_volumes_nnunet"),
    "disc and cup, Drishti-GS, 51 images": ("medsegdiff_v2", "fundus", "drishti_unet_views", "gpu_drishti_nnunet"),
    "lung tissue, WSSS4LUAD, 160 tiles": ("diffusiondci_segmentation", "shipped", "basic_unet_views", "nnunet"),
}


def results(bundle, *names):
    folder = ROOT / "bundles" / bundle / "docs" / "results"
    return [json.loads((folder / f"{name}.json").read_text()) for name in names]


def dice(result):
    """Over all images and, where some have no lesion, over those with one; a star where the curve was not flat."""
    means = result["means"]
    lesion = f" / {means['dice_lesion']:.3f}" if means["dice_lesion"] != means["dice"] else ""
    return f"{means['dice']:.3f}{lesion}" + ("" if said_of_end(result.get("training")) == FLAT_AT_END else " *")


def calibration(found, of):
    return " / ".join(f"{one[of]['expected_calibration_error']:.4f}" for one in found)


def test_the_readme_has_no_other_rows():
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    table = page[page.index("| test images |") :].split("\n\n")[0].splitlines()[2:]
    assert [row.split("](")[0] for row in table] == [f"| [{first}" for first in ROWS]
    (volumes,) = results("medsegdiff_v2", "volumes_test")
    assert f"`volumes` ({volumes['means']['dice']:.3f})" in page


def test_calibration_errors_without_temperature_are_what_the_results_say():
    pairs = {
        "breast": ("pgdiffseg", "shipped_temperature_1", "busi_128_unet_test"),
        "thyroid": ("medsegdiff", "shipped_temperature_1", "gpu_ddti_unet_views_1"),
        "slices": ("medsegdiff_v2", "slices_temperature_1", "slices_unet_views_1"),
        "tissue": ("diffusiondci_segmentation", "caa_views", "basic_unet_views_1"),
    }
    page = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    for name, (bundle, *names) in pairs.items():
        found = results(bundle, *names)
        assert {one["sampling"]["temperature"] for one in found} == {1}
        assert f"{calibration(found, 'pooled')} on {name}" in page


@pytest.mark.parametrize("first", ROWS)
def test_a_row_of_the_readme_is_what_the_results_say(first):
    bundle, *names = ROWS[first]
    found = results(bundle, *names)
    errors = [calibration(found, of) for of in ("pooled", "means")]
    cells = [*map(dice, found), *errors, f"{found[0]['triage']['spearman_with_dice']:.2f}"]
    page = f"[{first}](bundles/{bundle}/docs/README.md#results)"
    assert f"| {page} | {' | '.join(cells)} |" in (ROOT / "README.md").read_text(encoding="utf-8")
