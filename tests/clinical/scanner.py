"""Writes what a scanner would send, for tests: every attribute that a segmentation refers to."""

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    EnhancedMRImageStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
    UltrasoundImageStorage,
    UltrasoundMultiFrameImageStorage,
    generate_uid,
)

PATIENT = "Doe^Jane"


def dataset(pixels, modality, storage, study, series, number):
    """One object with patient, study and series; pixels (rows, columns), (D, rows, columns) or (..., 3)."""
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = storage
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = generate_uid()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.PatientName, made.PatientID, made.PatientBirthDate, made.PatientSex = PATIENT, "id-4711", "19700101", "F"
    made.StudyInstanceUID, made.SeriesInstanceUID, made.Modality = study, series, modality
    made.StudyDate = made.ContentDate = "20260101"
    made.StudyTime = made.ContentTime = "120000"
    made.StudyID, made.AccessionNumber, made.ReferringPhysicianName, made.Manufacturer = "1", "", "", "x"
    made.SeriesNumber, made.InstanceNumber, made.ImageType = 1, number, ["ORIGINAL", "PRIMARY", "AXIAL"]
    colour = pixels.shape[-1] == 3 and pixels.dtype == np.uint8 and pixels.ndim > 2
    made.Rows, made.Columns = pixels.shape[-3:-1] if colour else pixels.shape[-2:]
    made.SamplesPerPixel = 3 if colour else 1
    made.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    if colour:
        made.PlanarConfiguration = 0
    made.BitsAllocated = made.BitsStored = 8 * pixels.dtype.itemsize
    made.HighBit, made.PixelRepresentation = made.BitsStored - 1, int(pixels.dtype.kind == "i")
    made.PixelData = np.ascontiguousarray(pixels).tobytes()
    return made


def change(path, **values):
    """Set attributes of a file; None deletes one."""
    made = pydicom.dcmread(path)
    for name, value in values.items():
        if value is None:
            del made[name]
        else:
            setattr(made, name, value)
    made.save_as(path)


def magnetic_resonance(folder, volume, study=None, series=None, tilt=0.0, spacing=2.0):
    """(D, rows, columns) int16 as one file a slice, from the top down; `tilt` mm shift along y from slice to slice."""
    folder.mkdir(parents=True, exist_ok=True)
    study, series, frame = study or generate_uid(), series or generate_uid(), generate_uid()
    for k in range(len(volume)):
        made = dataset(volume[k].astype(np.int16), "MR", MRImageStorage, study, series, len(volume) - k)
        made.FrameOfReferenceUID, made.PositionReferenceIndicator = frame, ""
        made.ImagePositionPatient, made.ImageOrientationPatient = [5, -3 + k * tilt, k * spacing], [1, 0, 0, 0, 1, 0]
        made.PixelSpacing, made.SliceThickness = [0.5, 0.7], spacing
        made.save_as(folder / f"{PATIENT}{len(volume) - k}.dcm", enforce_file_format=True)
    return series


def ultrasound(path, pixels):
    """(rows, columns), (D, rows, columns) or, in colour, (..., 3) uint8 as one file."""
    frames = pixels.ndim - (pixels.shape[-1] == 3) == 3
    storage = UltrasoundMultiFrameImageStorage if frames else UltrasoundImageStorage
    made = dataset(pixels, "US", storage, generate_uid(), generate_uid(), 1)
    if frames:
        made.NumberOfFrames, made.FrameTime = len(pixels), "40"
        made.FrameIncrementPointer = 0x00181063
    made.save_as(path, enforce_file_format=True)
    return str(made.SeriesInstanceUID)


def enhanced(path, volume, heights, spacing=(0.5, 0.7)):
    """(D, rows, columns) as the frames of one Enhanced MR file, at heights in mm."""
    made = dataset(volume.astype(np.int16), "MR", EnhancedMRImageStorage, generate_uid(), generate_uid(), 1)
    made.NumberOfFrames, made.FrameOfReferenceUID, made.PositionReferenceIndicator = len(volume), generate_uid(), ""
    shared, orientation, measures = Dataset(), Dataset(), Dataset()
    orientation.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    measures.PixelSpacing, measures.SliceThickness = list(spacing), 2
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [orientation], [measures]
    made.SharedFunctionalGroupsSequence, made.PerFrameFunctionalGroupsSequence = [shared], []
    for height in heights:
        frame, position = Dataset(), Dataset()
        position.ImagePositionPatient = [5, -3, height]
        frame.PlanePositionSequence = [position]
        made.PerFrameFunctionalGroupsSequence.append(frame)
    made.save_as(path, enforce_file_format=True)
    return str(made.SeriesInstanceUID)
