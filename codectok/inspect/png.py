"""PNG images from arrays: 8 bits a pixel and a palette."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

# Polynomials of degree 6 in 0..1 for red, green and blue, fitted to matplotlib's perceptually uniform maps (CC0; the
# fits are Matt Zucker's, public domain). Rows: power 0 to 6.
_MAPS = {
    "magma": [
        (-0.002136485, -0.000749655, -0.005386128),
        (0.251660541, 0.677523244, 2.494026599),
        (8.353717279, -3.577719515, 0.314467903),
        (-27.668733086, 14.264730781, -13.649213188),
        (52.176139812, -27.943606072, 12.944169442),
        (-50.768525365, 29.046582821, 4.234152994),
        (18.655705066, -11.48977352, -5.601961509),
    ],
    "viridis": [
        (0.277727327, 0.005407345, 0.334099805),
        (0.105093043, 1.40461353, 1.384590163),
        (-0.330861829, 0.214847559, 0.095095163),
        (-4.634230499, -5.799100974, -19.332440956),
        (6.228269936, 14.179933367, 56.690552601),
        (4.776384998, -13.745145378, -65.353032633),
        (-5.435455856, 4.645852612, 26.312435249),
    ],
}


def palette(name: str) -> np.ndarray:
    """256 colours, uint8 [256, 3], of the map "magma" (dark to light) or "viridis"."""
    powers = np.linspace(0.0, 1.0, 256)[:, None] ** np.arange(7)
    return np.rint(255 * (powers @ np.array(_MAPS[name])).clip(0.0, 1.0)).astype(np.uint8)


def write_png(pixels: np.ndarray, colours: np.ndarray) -> bytes:
    """An indexed PNG file.

    Args:
        pixels: uint8 [H, W], the top row first.
        colours: uint8 [256, 3].
    """
    image = Image.fromarray(np.ascontiguousarray(pixels, np.uint8))
    image.putpalette(np.ascontiguousarray(colours, np.uint8).tobytes())
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
