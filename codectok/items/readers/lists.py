"""Lists of paths: plain, and fairseq's with a root line and lengths."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TextIO

from codectok.errors import FormatError
from codectok.items.item import Item
from codectok.items.lines import bad_line, make_item, numbered_lines, open_text

_SIDE_FILES = (".wrd", ".txt", ".ltr", ".phn")
"""What fairseq's recipes put beside a manifest, a line an utterance: words, text, letters, phones."""


def read_list(source: Path, root: str) -> Iterator[Item]:
    """A path a line; blank lines are skipped."""
    for number, line in numbered_lines(source):
        yield make_item(source, number, None, line.strip(), root)


def read_fairseq(source: Path, root: str) -> Iterator[Item]:
    """A root line, then ``path<TAB>num_samples``; labels are the lines of ``.wrd``, ``.txt``, ``.ltr`` and ``.phn``.

    The text is the first of ``.wrd``, ``.txt`` and ``.ltr`` that lies beside the manifest.

    Raises:
        FormatError: a line that is none, or a file beside the manifest with another number of lines.
    """
    with ExitStack() as stack:
        beside = {suffix: side for suffix in _SIDE_FILES if (side := _beside(source, suffix)).is_file()}
        files = {suffix: stack.enter_context(open_text(path, "\n")) for suffix, path in beside.items()}
        for number, line in numbered_lines(source):
            if number == 1:
                continue
            path, *rest = line.split("\t")
            if len(rest) > 1 or (rest and not rest[0].strip().isdigit()):
                raise bad_line(source, number, "must be path<TAB>num_samples")
            labels = _labels({suffix: _next(file, beside[suffix], source) for suffix, file in files.items()})
            yield make_item(source, number, None, path, root, labels=labels)
        for suffix, file in files.items():
            if file.readline().strip():
                raise _uneven(beside[suffix], source)


def _beside(source: Path, suffix: str) -> Path:
    return source.with_name(source.name.removesuffix(".gz")).with_suffix(suffix)


def _next(file: TextIO, path: Path, source: Path) -> str:
    line = file.readline()
    if not line:
        raise _uneven(path, source)
    return line.strip(" \t\r\n")


def _uneven(path: Path, source: Path) -> FormatError:
    return FormatError(
        f"{path} has another number of lines than {source} has files: make it again, or rename it", path=path
    )


def _labels(lines: dict[str, str]) -> dict[str, str]:
    found = {}
    if ".wrd" in lines or ".txt" in lines:
        found["text"] = lines[".wrd"] if ".wrd" in lines else lines[".txt"]
    elif ".ltr" in lines:  # letters with blanks between, and a bar after each word
        found["text"] = lines[".ltr"].replace(" ", "").replace("|", " ").strip()
    own = [".ltr", ".phn", *([".txt"] if ".wrd" in lines else [])]
    return found | {suffix[1:]: lines[suffix] for suffix in own if suffix in lines}
