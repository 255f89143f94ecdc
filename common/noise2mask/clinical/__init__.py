"""DICOM in and out: series checked before they are read, segmentations that an archive takes."""
