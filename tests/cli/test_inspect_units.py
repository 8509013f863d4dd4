"""Units as segments: in the page of ``codectok inspect``, and in the picture of ``codectok units score``."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from codectok.inspect import TokenizerSetting, compare, render, summarize
from codectok.inspect.png import palette
from codectok.inspect.units import draw_units, runs, unit_colour
from codectok.metrics.segments import Segment, labels_of_files, write_segments
from codectok.tokens import Tokens
from tests.cli.test_inspect import Page, Wide, inspect, write_clip


def test_runs_are_where_units_change() -> None:
    assert runs(np.array([3, 3, 1, 3]), 50.0) == [(3, 0.0, 0.04), (1, 0.04, 0.06), (3, 0.06, 0.08)]
    assert runs(np.array([], dtype=int), 50.0) == []


def test_neighbouring_units_have_different_colours() -> None:
    colours = np.array([unit_colour(u) for u in range(64)])
    assert np.abs(np.diff(colours, axis=0)).max(1).min() > 0.2
    assert ((colours >= 0) & (colours <= 1)).all()


def test_page_shows_units_of_one_codebook_and_phones(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.wav")
    phones = [Segment(0.0, 0.3, "AA"), Segment(0.3, 0.9, "<S>")]
    clip = compare(path, [TokenizerSetting(Wide(), 1), TokenizerSetting(Wide(), 2)], 20.0, phones)
    text = render([clip], summarize([clip]))
    page = Page(text)
    strips = [a for a in page.all("div") if a.get("class") == "strip"]
    assert len(strips) == 2  # phones, and the units of the setting with one codebook
    tokens = clip.reconstructions[0].tokens
    boxes = len(tokens.dedup().codes[0])
    assert text.count("<line ") == boxes - 1
    titles = re.findall(r'title="([^"]*), (\d\.\d\d)-(\d\.\d\d) s"', text)
    assert [t[0] for t in titles] == ["AA", "&lt;S&gt;", *(str(int(u)) for u in tokens.codes[0])]
    assert max(float(t[2]) for t in titles) == 0.7  # what lies behind the end of the clip is cut


def test_page_of_settings_with_several_codebooks_has_no_strips(tmp_path: Path) -> None:
    clip = compare(write_clip(tmp_path / "a.wav"), [TokenizerSetting(Wide(), 2)], 20.0)
    assert 'class="strip"' not in render([clip], summarize([clip]))


def test_labels_are_found_by_the_end_of_a_path(tmp_path: Path) -> None:
    for folder in "xy":
        (tmp_path / folder).mkdir()
    files = [write_clip(tmp_path / name) for name in ("x/a.wav", "y/a.wav", "x/b.wav")]
    clips = {"x/a.wav": [Segment(0, 0.5, "A")], "y/a.wav": [Segment(0, 0.5, "B")]}
    write_segments(tmp_path / "p.tsv", clips)
    assert labels_of_files(tmp_path / "p.tsv", files) == {files[0]: clips["x/a.wav"], files[1]: clips["y/a.wav"]}
    result = inspect(files[0], "-o", tmp_path / "r.html", "--tokenizer", "random", "--codebooks", 1,
                     "--phones", tmp_path / "p.tsv")  # fmt: skip
    assert result.exit_code == 0, result.stderr
    assert (tmp_path / "r.html").read_text().count('class="strip"') == 2


def test_picture_has_borders_where_units_change(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from matplotlib.image import imread

    samples = np.zeros(16000, dtype=np.float32)
    codes = torch.tensor([[0] * 25 + [1] * 25])
    tokens = Tokens(codes, 16000, 16000, 50, (4,), "x")
    draw_units(tmp_path / "u.png", samples, 16000, tokens, [Segment(0, 1, "SIL")], title="silence")
    image = imread(tmp_path / "u.png")[..., :3]
    strip = image[-90:-40]
    shown = [np.argwhere(np.abs(strip - unit_colour(u)).max(-1) < 0.02) for u in (0, 1)]
    assert len(shown[0]) > 500
    assert len(shown[1]) > 500
    assert shown[0][:, 1].max() < shown[1][:, 1].min()
    assert abs(np.ptp(shown[0][:, 1]) - np.ptp(shown[1][:, 1])) < 6  # half of the clip each
    dark = np.abs(image - palette("magma")[0] / 255).max(-1) < 0.02
    assert dark.mean() > 0.1
