"""Whether the slices of a volume stand above one another: a volume that is read as if they did would be sheared.

Legend: D slices.
"""

import numpy as np

TILT = 0.5  # degrees between the normal of the slices and the line through their positions
SHIFT = 0.1  # mm by which a slice may lie beside that line
EQUAL = 1e-3  # directions that differ by less are equal


def check_line(positions: np.ndarray, orientations: np.ndarray) -> None:
    """Refuse slices that are not stacked along their normal.

    Args:
        positions:    (D, 3) of the first pixels, in mm, in any order.
        orientations: (D, 6), directions of rows and columns.

    Raises:
        ValueError: where slices are turned against one another, a gantry is tilted, or a slice lies beside the line
            through the first and the last one.
    """
    if np.abs(orientations - orientations[0]).max() > EQUAL:
        raise ValueError("The images are not parallel to one another: leave out localizers.")
    normal = normal_of(orientations[0])
    along = positions @ normal
    first, last = positions[along.argmin()], positions[along.argmax()]
    line = (last - first) / np.ptp(along) if np.ptp(along) else normal  # per mm along the normal
    tilt = float(np.degrees(np.arccos(min(1.0, abs(line @ normal) / np.linalg.norm(line)))))
    if tilt > TILT:
        found = f"The slices are shifted against one another (gantry tilted by {tilt:.1f} degrees)"
        raise ValueError(f"{found}; expected them above one another: resample them.")
    beside = np.linalg.norm(positions - first - (along - along.min())[:, None] * line, axis=1).max()
    if beside > SHIFT:
        raise ValueError(f"A slice lies {beside:.1f} mm beside the others, expected them in a line: resample them.")


def normal_of(orientation: np.ndarray) -> np.ndarray:
    """Directions of rows and columns (6) -> (3)."""
    return np.cross(orientation[:3], orientation[3:])
