"""Reading pictures and volumes: one grey channel or three of colour, own bit depth, errors that name the file."""

import gzip

import nibabel as nib
import numpy as np
import pytest
from monai.transforms import EnsureChannelFirst, LoadImage, LoadImaged
from PIL import Image

from noise2mask.data.reader import ColourReader, GreyReader, MaskReader, _tell_of_grey, is_picture
from noise2mask.data.results import write_label_map
from noise2mask.transforms.slice_orientation import SliceOrientation

GREY = np.arange(24, dtype=np.uint8).reshape(4, 6) * 10  # 4 rows, 6 columns


def load(path):
    return LoadImage(reader=GreyReader())(path)


def saved(tmp_path, picture, name="a.png", **options):
    picture.save(tmp_path / name, **options)
    return tmp_path / name


def test_a_grey_picture_has_monai_s_axis_order(tmp_path):
    image = load(saved(tmp_path, Image.fromarray(GREY)))
    assert image.shape == (6, 4) and np.array_equal(image, GREY.T)
    assert EnsureChannelFirst()(image).shape == (1, 6, 4)
    assert image.meta["filename_or_obj"].endswith("a.png") and image.meta["spatial_shape"].tolist() == [6, 4]


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif", "A.TIFF"])
def test_three_equal_channels_are_one(tmp_path, name):
    image = load(saved(tmp_path, Image.fromarray(np.stack([GREY] * 3, axis=-1)), name))
    assert np.array_equal(image, GREY.T)


def test_a_jpeg_is_one_grey_channel(tmp_path):
    image = load(saved(tmp_path, Image.fromarray(np.full((4, 6, 3), 77, np.uint8)), "a.jpg", quality=95))
    assert image.shape == (6, 4) and np.abs(np.asarray(image) - 77).max() <= 1


def test_that_colours_become_grey_is_told_once_where_they_differ(tmp_path, caplog):
    _tell_of_grey.cache_clear()
    with caplog.at_level("INFO"):
        load(saved(tmp_path, Image.fromarray(np.stack([GREY] * 3, axis=-1)), "grey.png"))
        assert "in colour" not in caplog.text
        for name in ("a.png", "b.png"):
            load(saved(tmp_path, Image.fromarray(np.stack([GREY, GREY // 2, GREY], axis=-1)).convert("RGBA"), name))
    assert caplog.text.count("Pictures in colour are read in grey") == 1


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_opaque_alpha_is_no_modality(tmp_path, mode):
    picture = Image.fromarray(GREY).convert(mode)
    picture.putalpha(255)
    assert np.array_equal(load(saved(tmp_path, picture)), GREY.T)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparent_pixels_are_refused_because_what_they_show_is_not_known(tmp_path, mode):
    picture = Image.fromarray(GREY).convert(mode)
    picture.putalpha(Image.fromarray(255 - GREY))
    path = saved(tmp_path, picture)
    with pytest.raises(ValueError, match=rf"{path.name} has transparent pixels \(alpha down to"):
        load(path)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("options", [{}, {"transparency": b"\xff\xff"}])
def test_a_palette_is_looked_up(tmp_path, options):
    picture = Image.fromarray((GREY > 100).astype(np.uint8)).convert("P")
    picture.putpalette([40, 40, 40, 200, 200, 200])
    expected = np.where(GREY > 100, 200, 40).T
    assert np.array_equal(GreyReader().get_data([str(saved(tmp_path, picture, **options))])[0], expected)


def test_a_palette_with_a_transparent_colour_is_refused(tmp_path):
    picture = Image.fromarray((GREY > 100).astype(np.uint8)).convert("P")
    picture.putpalette([40, 40, 40, 200, 200, 200])
    with pytest.raises(ValueError, match="has transparent pixels"):
        load(saved(tmp_path, picture, transparency=0))


def numbered(tmp_path, colours, **options):
    """A picture of the numbers 0, 1 and 2 in these colours, as a path, and the numbers in MONAI's axis order."""
    numbers = (GREY // 80).astype(np.uint8)
    picture = Image.fromarray(numbers).convert("P")
    picture.putpalette(colours)
    return str(saved(tmp_path, picture, **options)), numbers.T


@pytest.mark.parametrize("options", [{}, {"transparency": 0}])
def test_of_a_mask_in_colours_the_numbers_are_read_and_of_an_image_the_luminance(tmp_path, options):
    path, numbers = numbered(tmp_path, [0, 0, 0, 230, 159, 0, 128, 128, 128], **options)
    assert np.array_equal(MaskReader().get_data([path])[0], numbers)
    if not options:
        assert np.array_equal(GreyReader().get_data([path])[0], np.array([0, 162, 128])[numbers])


def test_a_mask_of_black_and_white_is_one_in_whatever_palette(tmp_path):
    Image.fromarray(np.uint8([[0, 255], [255, 0]])).convert("RGB").convert("P").save(tmp_path / "mask.png")
    assert Image.open(tmp_path / "mask.png").mode == "P"
    mask, _ = MaskReader().get_data([str(tmp_path / "mask.png")])
    assert mask.tolist() == [[0, 255], [255, 0]]


def test_a_mask_whose_palette_is_of_greys_is_a_grey_picture(tmp_path):
    path, numbers = numbered(tmp_path, [255] * 3 + [0] * 3 + [128] * 3)
    assert np.array_equal(MaskReader().get_data([path])[0], np.array([255, 0, 128])[numbers])


def test_a_label_map_that_was_written_is_read_back_as_a_mask(tmp_path):
    numbers = np.arange(24).reshape(6, 4) % 16  # (W, H)
    path = write_label_map(numbers, "scan.png", np.eye(4), tmp_path)
    assert np.array_equal(MaskReader().get_data([str(path)])[0], numbers)


def test_sixteen_bits_are_kept(tmp_path):
    deep = GREY.astype(np.uint16) * 257
    for name in ("a.png", "a.tif"):
        assert np.array_equal(load(saved(tmp_path, Image.fromarray(deep), name)), deep.T)


def test_float_and_one_bit_pictures_are_read(tmp_path):
    real = GREY.astype(np.float32) / 7
    assert np.array_equal(load(saved(tmp_path, Image.fromarray(real), "a.tif")), real.T)
    assert np.array_equal(load(saved(tmp_path, Image.fromarray(GREY > 100))), (GREY > 100).T * 255)


def test_nifti_keeps_axes_and_affine(tmp_path):
    values, affine = np.random.default_rng(0).random((3, 4, 5)).astype(np.float32), np.diag([2.0, 3, 4, 1])
    nib.save(nib.Nifti1Image(values, affine), tmp_path / "a.nii.gz")
    image = load(tmp_path / "a.nii.gz")
    assert np.array_equal(image, values) and np.array_equal(image.affine, affine)


def test_other_volumes_go_to_itk(tmp_path):
    itk = pytest.importorskip("itk")
    values = np.random.default_rng(0).random((5, 4, 3)).astype(np.float32)  # (Z, Y, X) in ITK's arrays
    itk.imwrite(itk.image_from_array(values), str(tmp_path / "a.nrrd"))
    assert np.array_equal(load(tmp_path / "a.nrrd"), values.transpose())


# Several files


def test_several_files_are_stacked_as_channels(tmp_path):
    paths = [saved(tmp_path, Image.fromarray(GREY * factor), f"{factor}.png") for factor in (0, 1)]
    image = EnsureChannelFirst()(load(paths))
    assert image.shape == (2, 6, 4) and np.array_equal(image[1], GREY.T)


def test_files_of_other_sizes_are_refused_and_named(tmp_path):
    paths = [saved(tmp_path, Image.fromarray(GREY), "a.png"), saved(tmp_path, Image.fromarray(GREY[:2]), "b.png")]
    with pytest.raises(ValueError, match=r"b.png has shape \(6, 2\), but .*a.png has \(6, 4\)"):
        load(paths)


def volume(path, shift=0.0):
    affine = np.eye(4)
    affine[2, 3] = shift
    nib.save(nib.Nifti1Image(np.arange(24, dtype=np.uint8).reshape(2, 3, 4), affine), path)
    return path


def test_volumes_of_one_case_that_lie_elsewhere_are_refused_and_both_are_named(tmp_path):
    paths = [volume(tmp_path / "t1.nii.gz"), volume(tmp_path / "t2.nii.gz", 1e-4)]
    assert load(paths).shape == (2, 2, 3, 4)
    paths.append(volume(tmp_path / "flair.nii.gz", 1.0))
    with pytest.raises(ValueError, match=r"flair.nii.gz has another position, spacing or orientation than .*t1.nii.gz"):
        load(paths)


# Colour

COLOUR = np.stack([GREY, 250 - GREY, GREY // 2], axis=-1)  # (4, 6, 3)


def coloured(path):
    return EnsureChannelFirst()(LoadImage(reader=ColourReader())(path))


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif"])
def test_a_picture_in_colour_has_three_channels_and_rows_are_rows(tmp_path, name):
    path = saved(tmp_path, Image.fromarray(COLOUR), name)
    image = coloured(path)
    assert np.array_equal(image, COLOUR.transpose(2, 1, 0)) and image.meta["spatial_shape"].tolist() == [6, 4]
    assert np.array_equal(SliceOrientation()(image), COLOUR.transpose(2, 0, 1))
    assert load(path).shape == (6, 4)


def test_a_jpeg_in_colour_has_three_channels(tmp_path):
    flat = np.full((16, 16, 3), (200, 90, 30), np.uint8)
    image = coloured(saved(tmp_path, Image.fromarray(flat), "a.jpg", quality=95))
    assert image.shape == (3, 16, 16) and np.abs(np.asarray(image)[:, 8, 8] - (200, 90, 30)).max() <= 2


@pytest.mark.parametrize("deep", [GREY, GREY.astype(np.uint16) * 257, GREY / np.float32(7)])
def test_a_grey_picture_read_in_colour_has_three_equal_channels(tmp_path, deep):
    image = coloured(saved(tmp_path, Image.fromarray(deep), "a.tif"))
    assert image.shape == (3, 6, 4) and all(np.array_equal(channel, deep.T) for channel in image)


def test_an_opaque_alpha_channel_of_colours_is_dropped_and_another_refused(tmp_path):
    picture = Image.fromarray(COLOUR).convert("RGBA")
    assert np.array_equal(coloured(saved(tmp_path, picture)), COLOUR.transpose(2, 1, 0))
    picture.putalpha(7)
    with pytest.raises(ValueError, match=r"a.png has transparent pixels \(alpha down to 7\)"):
        coloured(saved(tmp_path, picture))


def test_a_volume_read_in_colour_stays_one_channel_and_pictures_of_one_case_stand_behind_one_another(tmp_path):
    assert coloured(volume(tmp_path / "a.nii.gz")).shape == (1, 2, 3, 4)
    paths = [saved(tmp_path, Image.fromarray(COLOUR + k), f"{k}.png") for k in (0, 1)]
    assert np.array_equal(coloured(paths), np.concatenate([COLOUR.T, COLOUR.T + 1]).reshape(6, 6, 4))


# Broken files, through LoadImaged, which must neither hide the error nor try another reader


def refused(path, message):
    with pytest.raises((ValueError, RuntimeError)) as caught:
        LoadImaged("image", reader=GreyReader())({"image": str(path)})
    assert isinstance(caught.value, ValueError)
    assert path.name in str(caught.value) and message in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    refused(tmp_path / "none.png", "does not exist")


@pytest.mark.parametrize("keep", [0, 30, 200])
def test_a_truncated_picture_is_named(tmp_path, keep):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64)).astype(np.uint8)
    path = saved(tmp_path, Image.fromarray(noise))
    path.write_bytes(path.read_bytes()[:keep])
    refused(path, "can not be read as an image")


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize("keep", [100, 1000])
def test_a_truncated_nifti_is_named(tmp_path, name, keep):
    values = np.random.default_rng(0).random((8, 8, 8)).astype(np.float32)
    nib.save(nib.Nifti1Image(values, np.eye(4)), tmp_path / name)
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:keep])
    refused(tmp_path / name, "can not be read as an image")


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.nii.gz", "a.nrrd", "a.unknown"])
def test_a_file_that_is_something_else_is_named(tmp_path, name):
    (tmp_path / name).write_bytes(b"this is a text" * 20)
    refused(tmp_path / name, "can not be read as an image")


def declaring(path):
    """A file whose header declares 10000 x 10000 x 10000 values, and that holds hardly any."""
    if path.suffix == ".nrrd":
        text = "NRRD0004\ntype: float\ndimension: 3\nsizes: 10000 10000 10000\nendian: little\nencoding: raw\n\n"
        path.write_bytes(text.encode() + bytes(99))
        return path
    header = nib.Nifti1Header()
    header.set_data_dtype(np.float32)
    header.set_data_shape((10000, 10000, 10000))
    header["vox_offset"], header["magic"] = 352, b"n+1"
    content = header.binaryblock + bytes(99)
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.nrrd"])
def test_a_header_that_declares_more_than_any_memory_has_is_refused_before_it_is_read(tmp_path, name):
    refused(declaring(tmp_path / name), "declares 1000000000000 values, expected at most 1073741824")


def test_a_nifti_of_colours_or_complex_numbers_is_named(tmp_path):
    colours = np.zeros((3, 4, 5), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    nib.save(nib.Nifti1Image(colours, np.eye(4)), tmp_path / "rgb.nii.gz")
    refused(tmp_path / "rgb.nii.gz", "holds voxels of ('R', 'G', 'B'); expected one real number each")
    nib.save(nib.Nifti1Image(np.full((3, 4, 5), 1 + 2j, np.complex64), np.eye(4)), tmp_path / "wave.nii.gz")
    refused(tmp_path / "wave.nii.gz", "holds complex numbers; expected one real number each")


def test_a_number_that_only_64_bits_hold_is_not_finite(tmp_path):
    values = np.zeros((3, 4, 5))
    values[1, 2, 3] = 1e39
    nib.save(nib.Nifti1Image(values, np.eye(4)), tmp_path / "a.nii.gz")
    refused(
        tmp_path / "a.nii.gz", "1 values that are not finite, the first at (1, 2, 3): 1e+39; expected at most 3.4e+38"
    )


def test_values_that_are_not_finite_are_named_with_their_place(tmp_path):
    values = np.zeros((3, 4, 5), np.float32)
    values[1, 2, 3] = np.nan
    nib.save(nib.Nifti1Image(values, np.eye(4)), tmp_path / "a.nii.gz")
    refused(tmp_path / "a.nii.gz", "1 values that are not finite, the first at (1, 2, 3)")


@pytest.mark.parametrize(("name", "expected"), [("a.PNG", True), ("a.nii.gz", False), ("a.tif", True), ("a", False)])
def test_pictures_are_known_by_their_ending(name, expected):
    assert is_picture(name) is expected


def test_pictures_are_read_as_viewers_show_them(tmp_path):
    """Orientation 6 of EXIF: turned by a quarter."""
    rows = np.arange(24, dtype=np.uint8).reshape(4, 6) * 10
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(rows).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(GreyReader().get_data([str(tmp_path / "a.png")])[0].T, np.rot90(rows, -1))


def test_a_picture_of_several_pages_is_refused(tmp_path):
    page = Image.fromarray(np.zeros((4, 6), np.uint8))
    page.save(tmp_path / "a.tif", save_all=True, append_images=[page])
    with pytest.raises(ValueError, match="a.tif has 2 pages; expected one"):
        GreyReader().get_data([str(tmp_path / "a.tif")])


def test_a_picture_that_can_not_be_read_in_colour_is_named(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"this is a text" * 20)
    for path, message in ((tmp_path / "a.jpg", "a.jpg can not be read as an image"), (tmp_path / "b.jpg", "not exist")):
        with pytest.raises(ValueError, match=message):
            ColourReader().get_data([str(path)])
