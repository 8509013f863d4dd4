"""Draws ``docs/rooms.svg``: who imports whom, room by room from the ground up, as read from the source.

Run ``python docs/draw_rooms.py`` when the order of the rooms or an import between two of them has changed. A test
compares the picture with what would be drawn.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.test_imports import EDGES, ORDER, OUTSIDE  # noqa: E402 (found from the root)

PICTURE = ROOT / "docs/rooms.svg"
FLOORS = {
    "codectok.errors": "#5b6770",
    "codectok.audio": "#2a7f9e",
    "codectok.abilities": "#b5482f",
    "codectok.codec": "#8a6d1f",
    "codectok.store": "#3d7d4a",
    "codectok.llm.vocab": "#6b4c9a",
    "codectok.inspect": "#5b6770",
    "kmeans_units": "#333333",
}
"""Colour from this room on: ground, data, interface, models, corpora, language models, use, packages above."""
LEGEND = (
    "A square is a room, from the ground up.",
    "A dot: the room of its row imports the room",
    "whose square lies below it.",
    "There is no dot to the right of a square:",
    "imports go down, and never in a circle.",
)
CELL, LEFT, WIDE = 15, 14, 110


def rooms() -> list[str]:
    """The rooms of the library in their order, and the packages that stand on it."""
    there = [room for room in ORDER if any(module == room or module.startswith(f"{room}.") for module in EDGES)]
    return [*there, "kmeans_units", "train_codec", "benchmarks"]


def room_of(module: str, order: list[str]) -> str:
    """The room that a module lies in: the longest name that fits."""
    return max((r for r in order if module == r or module.startswith(f"{r}.")), key=len)


def imports() -> set[tuple[str, str]]:
    """Pairs of rooms of which the first imports the second."""
    order = rooms()
    inside = {module: room_of(module, order) for module in EDGES if module not in OUTSIDE}
    return {(room, inside[other]) for module, room in inside.items() for other in EDGES[module] - OUTSIDE}


def drawn() -> str:
    """The picture: a dot in the row of a room and the column of another says that the first imports the second."""
    order, found = rooms(), imports()
    place = {room: i for i, room in enumerate(order)}
    size = CELL * len(order)
    width, height = LEFT + size + WIDE, size + 2 * LEFT
    lines, colour = [], ""
    for room, i in place.items():
        colour = FLOORS.get(room, colour)
        x, y = LEFT + CELL * i, height - LEFT - CELL * i  # the middle of the room's own cell is half a cell further
        lines.append(f'<line class="g" x1="{LEFT}" y1="{y - CELL / 2}" x2="{x}" y2="{y - CELL / 2}"/>')
        lines.append(f'<line class="g" x1="{x + CELL / 2}" y1="{LEFT}" x2="{x + CELL / 2}" y2="{y - CELL}"/>')
        lines.append(f'<rect x="{x + 1}" y="{y - CELL + 1}" width="{CELL - 2}" height="{CELL - 2}" fill="{colour}"/>')
        lines.append(f'<text x="{x + CELL + 4}" y="{y - 4}" fill="{colour}">{room.removeprefix("codectok.")}</text>')
        for other, j in place.items():
            if room != other and (room, other) in found:
                dot = f'<circle cx="{LEFT + CELL * j + CELL / 2}" cy="{y - CELL / 2}" r="3.5" fill="{colour}">'
                lines.append(f"{dot}<title>{room} imports {other}</title></circle>")
    for i, line in enumerate(LEGEND):
        x, y = width - 310, height - LEFT - 18 * (len(LEGEND) - i)
        lines.append(f'<text x="{x}" y="{y}" fill="#333333" class="l">{line}</text>')
    style = "text{font:11px sans-serif}.l{font-size:13px}.g{stroke:#dddddd}"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
    back = f'<rect width="{width}" height="{height}" fill="#ffffff"/>'
    return "\n".join([head, f"<style>{style}</style>", back, *lines, "</svg>", ""])


if __name__ == "__main__":
    PICTURE.write_text(drawn())
