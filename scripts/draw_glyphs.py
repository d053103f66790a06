"""Draw shared/data/glyphs/glyphs.png, the digits of two typefaces, from the packages that hold them.

The picture is in the repository, so that nobody needs to run this, and every machine has the same bytes
(another version of FreeType may draw other ones). To draw it anew:

    npm pack @fontsource/ibm-plex-sans@5.3.0 @fontsource/bahianita@5.3.0
    for each of the two: mkdir FOLDER && tar xzf FILE.tgz -C FOLDER
    python scripts/draw_glyphs.py FOLDER_OF_IBM_PLEX_SANS FOLDER_OF_BAHIANITA

It also copies their licences, both the SIL Open Font License 1.1.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

PLACE = Path(__file__).resolve().parents[1] / "shared" / "data" / "glyphs"
#: Name of the typeface -> its file in the package.
TYPEFACES = {
    "ibm-plex-sans": "ibm-plex-sans-latin-500-italic.woff",
    "bahianita": "bahianita-latin-400-normal.woff",
}
#: Side of a glyph's image, height of the digits (as in MNIST), and how much larger they are drawn at first.
SIDE, HEIGHT, LARGER = 28, 20, 16


def draw(file: Path) -> np.ndarray:
    """The ten digits of a typeface, white on black, ``HEIGHT`` pixels high, each box in the middle.

    They are drawn large and averaged over squares, so that no hinting of small sizes shows.

    Shape:
        uint8 (10, SIDE, SIDE)
    """
    font = ImageFont.truetype(str(file), HEIGHT * LARGER, layout_engine=ImageFont.Layout.BASIC)
    top, bottom = (font.getbbox("0123456789")[side] for side in (1, 3))
    font = font.font_variant(size=round(HEIGHT * LARGER * HEIGHT * LARGER / (bottom - top)))
    digits = []
    for digit in "0123456789":
        canvas = Image.new("L", (SIDE * LARGER, SIDE * LARGER))
        left, top, right, bottom = font.getbbox(digit)
        corner = (SIDE * LARGER - left - right) // 2, (SIDE * LARGER - top - bottom) // 2
        ImageDraw.Draw(canvas).text(corner, digit, fill=255, font=font)
        squares = np.asarray(canvas, np.int64).reshape(SIDE, LARGER, SIDE, LARGER).sum((1, 3))
        digits.append((squares + LARGER**2 // 2) // LARGER**2)
    return np.stack(digits).astype(np.uint8)


def main(folders: list[Path]) -> None:
    """Draw the picture, a row for each typeface, and copy the licences."""
    rows = []
    for (name, file), folder in zip(TYPEFACES.items(), folders, strict=True):
        digits = draw(folder / "package" / "files" / file)
        rows.append(np.concatenate(list(digits), axis=1))
        shutil.copy(folder / "package" / "LICENSE", PLACE / f"LICENSE-{name}.txt")
    Image.fromarray(np.concatenate(rows)).save(PLACE / "glyphs.png", optimize=True)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(f"usage: python scripts/draw_glyphs.py {' '.join(f'FOLDER_OF_{n}' for n in TYPEFACES)}")
    main([Path(argument) for argument in sys.argv[1:]])
