"""Parts of the page: tables, lists, plots, players."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from codectok.files.page_style import CSS as BASE

from .sound import Renditions
from .table import MARKS, ReportTable, TableCell

CSS = (
    BASE
    + """
.scroll { overflow-x: auto; scrollbar-width: thin; margin: 0 0 .4rem; }
.scroll table { width: auto; min-width: min(100%, 34rem); }
.scroll th { white-space: normal; min-width: 4.2rem; max-width: 9rem; }
.scroll th:first-child, .scroll td:first-child { position: sticky; left: 0; background: var(--card); min-width: 9rem;
  max-width: 17rem; padding-right: 1rem; z-index: 1; }
td.words, th.words { text-align: left !important; white-space: normal; overflow-wrap: break-word; min-width: 4rem;
  max-width: 26rem; }
tr.group td { color: var(--soft); font-weight: 500; font-size: .8rem; padding-top: .55rem; }
tbody tr + tr:not(.group) td { border-top: 1px solid color-mix(in srgb, var(--line) 55%, transparent); }
tr.group + tr td { border-top: 0 !important; }
td.best { font-weight: 700; color: var(--accent); } td.best .pm { font-weight: 400; }
td.chance { color: var(--soft); font-style: italic; }
td.missing { color: var(--soft); font-size: .82rem; }
.scroll th, .scroll td, .scroll td:last-child, .scroll th:last-child { padding-right: 1.7rem; }
.tail { display: inline-block; width: 0; overflow: visible; white-space: nowrap; font-style: normal; font-weight: 400;
  text-indent: .15rem; } .tail sup { color: var(--soft); margin-left: .05rem; line-height: 0; }
ol.notes { margin: .2rem 0 .5rem; padding-left: 1.5rem; } ol.notes li, p.about { color: var(--soft); font-size: .8rem;
  max-width: 66rem; overflow-wrap: anywhere; } p.about { margin: .1rem 0 .5rem; }
h3 { font-size: .95rem; margin: 1rem 0 .3rem; } section > h3:first-of-type { margin-top: .2rem; }
section p, section ul { max-width: 66rem; } section > p { margin: .3rem 0 .5rem; }
section ul { padding-left: 1.2rem; margin: .3rem 0 .6rem; }
section li { margin: .25rem 0; }
.plots { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 20.5rem), 1fr)); gap: .6rem 1.4rem; }
figure { margin: 0; min-width: 0; } figcaption { font-size: .84rem; font-weight: 600; margin-bottom: .1rem; }
figure svg { width: 100%; height: auto; display: block; max-width: 27rem; }
.legend { font-size: .82rem; display: flex; flex-wrap: wrap; gap: .15rem 1rem; margin: .2rem 0 .6rem;
  color: var(--soft); }
.legend b { font-weight: 600; color: var(--ink); } .legend i { font-style: normal; }
.players { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 17rem), 1fr)); gap: .5rem 1.2rem;
  margin: .2rem 0 .9rem; } .players div { font-size: .82rem; } .players audio { width: 100%; display: block; }
details { margin: .5rem 0; } summary { cursor: pointer; color: var(--accent); font-size: .88rem; }
nav { white-space: normal; } nav a { display: inline-block; }
"""
)


def table(found: ReportTable, heading: bool = True) -> str:
    """A table that scrolls within the page where it is too wide, with remark and footnotes."""
    head = "".join(f"<th{_words(found, i)}>{escape(h)}</th>" for i, h in enumerate(found.head))
    body = []
    for line in found.lines:
        if line.heading:
            body.append(f'<tr class="group"><td colspan="{len(found.head)}">{escape(line.heading)}</td></tr>')
        else:
            body.append(f"<tr>{''.join(_cell(found, i, c) for i, c in enumerate(line.cells))}</tr>")
    title = f"<h3>{escape(found.title)}</h3>" if heading else ""
    about = f'<p class="about">{_prose(found.about)}</p>' if found.about else ""
    return (
        f'{title}<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{"".join(body)}</tbody></table></div>'
        f"{about}{notes(found.notes)}\n"
    )


def _words(found: ReportTable, column: int) -> str:
    return ' class="words"' if 0 < column < found.wide else ""


def _cell(found: ReportTable, column: int, cell: TableCell) -> str:
    classes = [*cell.marks, *(["missing"] if cell.missing else []), *(["words"] if 0 < column < found.wide else [])]
    name = f' class="{" ".join(classes)}"' if classes else ""
    spread = f' <span class="pm">{escape(cell.spread)}</span>' if cell.spread else ""
    tail = "".join(MARKS[m] for m in cell.marks) + (f"<sup>{found.number(cell)}</sup>" if cell.note else "")
    tail = f'<span class="tail">{tail}</span>' if tail else ""
    return f"<td{name}>{escape(cell.text)}{spread}{tail}</td>"


def notes(found: Iterable[str]) -> str:
    """Numbered footnotes; nothing for none."""
    items = "".join(f"<li>{escape(note)}</li>" for note in found)
    return f'<ol class="notes">{items}</ol>' if items else ""


def bullets(found: Iterable[str]) -> str:
    """A list; nothing for none."""
    items = "".join(f"<li>{_prose(text)}</li>" for text in found)
    return f"<ul>{items}</ul>" if items else ""


def _prose(text: str) -> str:
    """Escaped, with *emphasis*."""
    parts = escape(text).split("*")
    return "".join(f"<em>{p}</em>" if i % 2 else p for i, p in enumerate(parts)) if len(parts) % 2 else escape(text)


def section(name: str, heading: str, body: str) -> str:
    """A card of the page; nothing where it would be empty."""
    return f'<section id="{name}"><h2>{escape(heading)}</h2>\n{body}</section>\n' if body else ""


def figure(caption: str, svg: str) -> str:
    """A plot with its caption."""
    return f"<figure><figcaption>{escape(caption)}</figcaption>{svg}</figure>\n"


def legend(colours: dict[str, tuple[str, str]]) -> str:
    """Of all plots: colours of the tokenizers and coders, and what lines and marks mean."""
    signs = {"o": "●", "s": "■", "D": "◆", "^": "▲", "v": "▼", "P": "✚", "X": "✖", "p": "⬟"}
    names = "".join(
        f'<b><i style="color:{colour}">{signs[marker]}</i> {escape(name.replace("{", "").replace("}", ""))}</b>'
        for name, (colour, marker) in colours.items()
    )
    lines = "<span>- - continuous features</span><span>··· original, pcm</span><span>○ quantized features</span>"
    return f'<div class="legend">{names}{lines}<span>✕ random</span><span>grey band: chance</span></div>'


def players(heard: Renditions) -> str:
    """A clip by each system."""
    many = "".join(
        f'<div>{escape(label)}<audio controls preload="none" src="{uri}"></audio></div>'
        for label, uri in heard.versions
    )
    return f'<h3>{escape(heard.clip)}</h3><div class="players">{many}</div>\n'
