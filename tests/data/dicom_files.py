"""Writes DICOM files as a scanner would, for tests."""

import itk
import numpy as np


def write_dicom(
    folder,
    phases,
    series="1.2.3",
    number=4,
    spacing=(0.5, 0.7, 2.0),
    origin=(10, 20, 5),
    study="1.2",
    patient="p1",
    modality="MR",
    shift=0.0,
):
    """One file per image of phases (P, D, rows, columns); slices are written from the top down, out of order.

    `shift` is by how many mm each slice lies beside the one above it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    order = [(p, k) for p in range(len(phases)) for k in range(phases.shape[1])]
    for instance, (p, k) in enumerate(order):
        position = (origin[0], origin[1] + k * shift, origin[2] + spacing[2] * (phases.shape[1] - 1 - k))
        picture = np.ascontiguousarray(phases[p, phases.shape[1] - 1 - k], dtype=np.int16)
        image = itk.image_from_array(picture[None])
        image.SetSpacing([*map(float, spacing)])
        image.SetOrigin([*map(float, position)])
        tags = itk.MetaDataDictionary()
        values = {"0020|0032": "\\".join(map(str, position)), "0020|0037": "1\\0\\0\\0\\1\\0", "0020|000e": series}
        values |= {
            "0020|0011": str(number),
            "0020|0013": str(instance),
            "0008|0032": f"10{p:02d}00",
            "0008|0060": modality,
        }
        values |= {"0020|000d": study, "0010|0020": patient}
        for key, value in values.items():
            tags[key] = value
        image.SetMetaDataDictionary(tags)
        writer = itk.GDCMImageIO.New()
        writer.KeepOriginalUIDOn()
        itk.imwrite(image, str(folder / f"{series}_{(7 * instance) % 97:02d}.dcm"), imageio=writer)
