"""Colours of pictures in CIELAB, where equal distances look about equally far apart, and back.

sRGB to linear light and to CIE XYZ: IEC 61966-2-1; XYZ to CIELAB: ISO/CIE 11664-4, with the white that sRGB's own
matrix gives (D65), so that greys have a = b = 0 to rounding.
"""

import numpy as np

XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])  # of linear R, G, B
RGB = np.linalg.inv(XYZ)
WHITE = XYZ.sum(1)
BEND = 6 / 29  # below its cube the cube root is replaced by a straight line


def to_cielab(image: np.ndarray) -> np.ndarray:
    """(3, ...) red, green, blue in [0, 255] -> (3, ...) float64: L in [0, 100], a and b about in [-110, 100]."""
    value = np.asarray(image, np.float64) / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    share = np.einsum("ij,j...->i...", XYZ / WHITE[:, None], linear)  # X/Xn, Y/Yn, Z/Zn
    x, y, z = np.where(share > BEND**3, np.cbrt(share), share / (3 * BEND**2) + 4 / 29)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def from_cielab(lab: np.ndarray) -> np.ndarray:
    """(3, ...) L, a, b -> (3, ...) red, green, blue, clipped to [0, 255]: CIELAB has colours that sRGB lacks."""
    y = (lab[0] + 16) / 116
    root = np.stack([y + lab[1] / 500, y, y - lab[2] / 200])
    share = np.where(root > BEND, root**3, 3 * BEND**2 * (root - 4 / 29))
    linear = np.einsum("ij,j...->i...", RGB * WHITE, share).clip(0, 1)
    value = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.asarray(value.clip(0, 1) * 255)
