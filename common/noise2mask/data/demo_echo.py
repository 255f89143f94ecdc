"""Simulated B-mode echoes: from a map of echogenicity to a picture with speckle, for the demonstration data set.

The physics is the textbook's, at its simplest. Many scatterers per resolution cell make the echo a complex Gaussian
field, so that its amplitude is Rayleigh distributed (fully developed speckle, Wagner et al., IEEE Trans. Sonics
Ultrasonics 30:156, 1983: mean / standard deviation = sqrt(pi / (4 - pi)) = 1.91), correlated by the point-spread
function, which is wider across the beam than along it. Spatial compounding averages a few such looks. Attenuation
grows with depth and is only partly compensated; what attenuates more (less) than its surroundings leaves a shadow (an
enhancement) that grows with the path through it. The amplitude is log-compressed to 8 bit, and the picture is reduced
to half its size, as a display does.

Legend: H W rows (depth) and columns of the picture, dB decibel of echo amplitude. Every map of levels is (H, W) in
dB.
"""

import numpy as np
from scipy import fft, ndimage
from scipy.special import expit

__all__ = ["bad_contact", "depth_gain", "display", "path_levels", "smooth_noise", "speckle", "tissue"]

FINE = 2  # the echo is computed on a grid this much finer than the picture
EDGE = 8  # fine pixels beyond each border
PSF = (0.8, 1.7)  # standard deviation of the point-spread function along and across the beam, fine pixels
NOISE_FLOOR = -38.0  # dB, electronic noise
DYNAMIC_RANGE = 62.0  # dB from black to white
MIDDLE = 142.0  # grey value of 0 dB


# Echo


def speckle(scatterers: np.ndarray, psf: tuple[float, float]) -> np.ndarray:
    """Blur complex scatterers (H, W) with a Gaussian point-spread function that keeps their mean power: the echo."""
    rows, columns = (np.exp(-2 * (np.pi * s * fft.fftfreq(n)) ** 2) for s, n in zip(psf, scatterers.shape, strict=True))
    transfer = np.outer(rows, columns)
    transfer = (transfer / np.sqrt(np.mean(transfer**2))).astype(scatterers.real.dtype)
    return fft.ifft2(fft.fft2(scatterers) * transfer)  # (H, W) complex


def white(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Complex Gaussian scatterers of unit mean power, (H, W)."""
    parts = rng.standard_normal((*shape, 2), dtype=np.float32) * np.float32(np.sqrt(0.5))
    return parts.view(np.complex64)[..., 0]


def display(levels: np.ndarray, gain: float, looks: int, rng: np.random.Generator) -> np.ndarray:
    """Echo of a map of levels, amplified, log-compressed and reduced to the size of the map: (H, W) uint8."""
    fine = ndimage.zoom(levels, FINE, order=1, grid_mode=True, mode="nearest")
    h, w = fine.shape
    # The blur is periodic: without an edge, skin would shine at the bottom.
    wide = np.pad(fine, [(EDGE, fft.next_fast_len(n + 2 * EDGE) - n - EDGE) for n in (h, w)], mode="edge")
    strength = np.hypot(10 ** (wide / 20), 10 ** (NOISE_FLOOR / 20)).astype(np.float32)
    amplitude = np.mean([np.abs(speckle(white(wide.shape, rng) * strength, PSF)) for _ in range(looks)], axis=0)
    grey = MIDDLE + (20 * np.log10(amplitude[EDGE : EDGE + h, EDGE : EDGE + w] + 1e-12) + gain) * 255 / DYNAMIC_RANGE
    return reduce(np.clip(grey, 0, 255)).round().astype(np.uint8)


def reduce(fine: np.ndarray) -> np.ndarray:
    """Mean of blocks of FINE x FINE pixels."""
    h, w = (n // FINE for n in fine.shape)
    return fine.reshape(h, FINE, w, FINE).mean(axis=(1, 3))  # (H, W)


# Along the beam


def depth_gain(shape: tuple[int, int], attenuation: float, rng: np.random.Generator) -> np.ndarray:
    """Attenuation that time-gain compensation left over: it rises faster with depth; and one focal zone."""
    depth = np.linspace(0, 1, shape[0])[:, None]
    focus = rng.uniform(0, 3) * np.exp(-(((depth - rng.uniform(0.25, 0.6)) / 0.2) ** 2))
    tilt = rng.normal(0, 2) * np.linspace(-1, 1, shape[1])
    return focus + tilt - attenuation * depth ** rng.uniform(1.2, 2.2)


def path_levels(inside: np.ndarray, level: float) -> np.ndarray:
    """Shadow of a structure (H, W) of 0..1: `level` dB below its thickest part, elsewhere in proportion to the path."""
    path = np.cumsum(inside, axis=0)
    below = ndimage.gaussian_filter1d(path / max(path.max(), 1e-6), 2.0, axis=1)
    row = np.arange(len(path))[:, None] / len(path)
    bottom = (inside * row).sum() / max(inside.sum(), 1e-6)
    return level * below * np.clip(1.25 - 0.8 * (row - bottom), 0.3, 1)  # neighbouring beams fill it in with depth


def bad_contact(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Shadows of missing contact, of ligaments and of calcified fat: up to three dark, slightly slanted stripes."""
    levels, (y, x) = np.zeros(shape), np.indices(shape) / np.array(shape)[:, None, None]
    for _ in range(rng.integers(0, 4)):
        top, side, slant, width = rng.uniform(0, 0.5), rng.uniform(0, 1), rng.normal(0, 0.08), rng.uniform(0.03, 0.09)
        stripe = np.exp(-(((x - side - slant * y) / (width * (0.6 + 0.6 * y))) ** 2))
        levels -= rng.uniform(5, 15) * stripe * expit((y - top) / 0.05)
    return levels


# Tissue


def smooth_noise(shape: tuple[int, ...], sigma: tuple[float, ...], rng: np.random.Generator) -> np.ndarray:
    """Gaussian noise blurred with `sigma` pixels, periodic, with mean 0 and standard deviation 1."""
    noise = ndimage.gaussian_filter(rng.standard_normal(shape, dtype=np.float32), sigma, mode="wrap", truncate=2.5)
    return (noise - noise.mean()) / noise.std()


def tissue(shape: tuple[int, int], layers: np.ndarray, levels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Levels of skin, fat, glandular tissue, muscle and chest wall, which end at the depths `layers` (share of H)."""
    borders = wavy_borders(shape, layers, rng)
    depth = np.arange(shape[0])[:, None]
    textures = (skin(shape, rng), fat(shape, rng), gland(shape, rng), muscle(shape, rng), muscle(shape, rng))
    bend = borders[1] - borders[1].mean()
    result = levels[0] + textures[0]
    for border, level, texture in zip(borders, levels[1:], textures[1:], strict=True):
        inside = expit((depth - border) / 0.8)
        result = result * (1 - inside) + (level + follow(texture, bend)) * inside
        fascia = rng.uniform(4, 10) * np.exp(-(((depth - border) / 1.2) ** 2))
        result = result + fascia * np.clip(0.6 + 0.6 * smooth_noise(shape[1:], (8,), rng), 0, 1.5)
    return result


def wavy_borders(shape: tuple[int, int], layers: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
    """Depth of each border in pixels, (W,) each: waves grow with depth, one slope and bend for all."""
    h, w = shape
    x = np.linspace(-1, 1, w)
    common = h * (rng.normal(0, 0.03) * x + rng.normal(0, 0.03) * (x**2 - 1 / 3))
    amplitudes = (0.003, 0.022, 0.022, 0.02)
    waves = [h * amplitude * smooth_noise((w,), (w / 6,), rng) for amplitude in amplitudes]
    return [h * layers[i] + (common if i > 0 else 0) + waves[i] for i in range(4)]


def follow(texture: np.ndarray, bend: np.ndarray) -> np.ndarray:
    """Shift every column of a texture (H, W) down by bend (W,) pixels, so that it runs along the layers."""
    y, x = np.indices(texture.shape, dtype=float)
    return ndimage.map_coordinates(texture, [y - bend, x], order=1, mode="grid-wrap")


def lines(shape: tuple[int, int], sigma: tuple[float, float], width: float, rng: np.random.Generator) -> np.ndarray:
    """Thin bright walls, where smooth noise changes its sign: septa, ligaments and ducts; 0..1."""
    strength = np.clip(0.4 + 0.6 * smooth_noise(shape, (5, 9), rng), 0, 1)
    return strength * np.exp(-((smooth_noise(shape, sigma, rng) / width) ** 2))


def skin(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Even and bright."""
    return 2 * smooth_noise(shape, (0.7, 15), rng)


def fat(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Dark lobules between bright septa."""
    return 2 * smooth_noise(shape, (4, 9), rng) + 17 * lines(shape, (5, 15), 0.2, rng)


def gland(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Bright and uneven: strands, ligaments, islands of fat."""
    strands = 4 * smooth_noise(shape, (1.1, 8), rng) + 2.5 * smooth_noise(shape, (7, 14), rng)
    islands = -7 * expit((smooth_noise(shape, (3.5, 9), rng) - rng.uniform(0.9, 1.5)) / 0.12)
    return strands + islands + 13 * lines(shape, (3, 14), 0.2, rng)


def muscle(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Long fibres along the layer."""
    return 3.5 * smooth_noise(shape, (1, 16), rng) + 13 * lines(shape, (2.5, 28), 0.25, rng)
