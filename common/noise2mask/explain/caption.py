"""Words below a picture.

Legend: H W size.
"""

import numpy as np
from PIL import Image, ImageDraw, ImageFont

BAR = 22  # height of the words' bar in pixels
FONT = 14  # in pixels


def captioned(picture: np.ndarray, caption: str) -> np.ndarray:
    """(H, W, 3) uint8 -> (H + BAR, W, 3), the caption in black on white in the middle of the bar."""
    image = Image.fromarray(np.pad(picture, [(0, BAR), (0, 0), (0, 0)], constant_values=255))
    place = image.width / 2, image.height - BAR / 2
    ImageDraw.Draw(image).text(place, caption, fill="black", font=ImageFont.load_default(FONT), anchor="mm")
    return np.asarray(image)
