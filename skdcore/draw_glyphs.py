"""Draws glyphs.npz, the clean characters behind the data set `glyphs`: python -m skdcore.draw_glyphs

100 characters in 12 faces of the DejaVu fonts that matplotlib ships.  The result is committed, because
fonts and their rasteriser differ between versions; `datasets.glyphs` distorts it, seeded and in integers.
"""

from pathlib import Path

import numpy as np
from matplotlib import font_manager
from PIL import Image, ImageDraw, ImageFont

CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789αβγδεζηθλμξπρσφχψωΓΔΘΛΞΠΣΦΨΩ@#$%&?+=<>"
FACES = [
    f"DejaVu{family}{style}"
    for family, slant in (("Sans", "Oblique"), ("SansMono", "Oblique"), ("Serif", "Italic"))
    for style in ("", "-Bold", f"-{slant}", f"-Bold{slant}")
]
SIDE = 32


def draw(character, face):
    """The character, white on black, centred and as large as fits: uint8 (SIDE, SIDE)."""
    file = Path(font_manager.findfont("DejaVu Sans")).parent / f"{face}.ttf"
    font = ImageFont.truetype(str(file), 26)
    left, top, right, bottom = font.getbbox(character)
    image = Image.new("L", (SIDE, SIDE))
    at = ((SIDE - left - right) / 2, (SIDE - top - bottom) / 2)
    ImageDraw.Draw(image).text(at, character, fill=255, font=font)
    return np.asarray(image)


if __name__ == "__main__":
    assert len(set(CHARACTERS)) == 100, len(set(CHARACTERS))
    glyphs = np.stack([[draw(c, face) for face in FACES] for c in CHARACTERS])
    path = Path(__file__).with_name("glyphs.npz")
    np.savez_compressed(path, glyphs=glyphs, characters=np.array(list(CHARACTERS)))
    print(f"{path}: {glyphs.shape}, {path.stat().st_size / 1024:.0f} KiB")
