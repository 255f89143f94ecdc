"""What a score of this project means, in the words that stand beside every table."""

POLICY = (
    "mask = fused probability > 0.5, at the image's own size; one score per image, or per volume; mean over a "
    "patient's images, then over patients, with a 95 % bootstrap interval over patients; empty label and empty mask "
    "count 1, only one of them empty counts 0; HD95 leaves out every case with an empty label or mask; _lesion: images "
    "whose label is not empty; pooled: all pixels of all images together"
)
