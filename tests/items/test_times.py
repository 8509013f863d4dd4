"""When an utterance begins and ends, from columns of any usual name and unit; what is not understood is an error."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from codectok.errors import FormatError
from codectok.items.corpus import read_corpus
from codectok.items.item import Item
from codectok.items.times import time_column

RATE = 8000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    soundfile.write(tmp_path / "a.wav", np.zeros(4 * RATE), RATE)
    return tmp_path


def item(folder: Path, line: dict[str, Any]) -> Item:
    (folder / "m.jsonl").write_text(json.dumps({"path": "a.wav", **line}) + "\n")
    (found,) = read_corpus(folder / "m.jsonl")
    return found


@pytest.mark.parametrize(
    ("line", "offset", "duration"),
    [
        ({"offset": 0.5, "duration": 1.25}, 0.5, 1.25),
        ({"start": 0.1, "end": 0.3}, 0.1, 0.2),
        ({"begin": "1", "dur": "2"}, 1.0, 2.0),
        ({"start_time": 1, "stop_time": 1.5}, 1.0, 0.5),
        ({"begin_time": 1, "end_time": 1.5}, 1.0, 0.5),
        ({"onset": 1.5}, 1.5, None),
        ({"stop": 2}, None, 2.0),
        ({"offset_ms": 1500, "duration_ms": 250}, 1.5, 0.25),
        ({"startMs": 100, "endMs": 300}, 0.1, 0.2),
        ({"start_sample": 4000, "end_sample": 12000}, 0.5, 1.0),
        ({"start_sample": 4000, "length_samples": 8000, "sample_rate": 16000}, 0.25, 0.5),
        ({"segment_start_sec": 1, "segment_end_sec": 2}, 1.0, 1.0),
        ({"offset": 1, "duration": 1, "end": 2.0}, 1.0, 1.0),
        ({"start": None, "end": None}, None, None),
        ({"start": "slowly", "end": [1, 2], "stop": True, "text_length": 12, "num_samples": 9}, None, None),
    ],
)
def test_times(folder: Path, line: dict[str, Any], offset: float | None, duration: float | None) -> None:
    found = item(folder, line)
    assert (found.offset, found.duration) == (offset, duration)
    spent = [name for name, value in line.items() if time_column(name) is not None and isinstance(value, int | float)]
    assert not (set(spent) - {"stop"}) & set(found.labels)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"start": 2, "end": 1}, "end 1, which is not after its start"),
        ({"start": 1, "end": 1}, "end 1, which is not after its start"),
        ({"offset": 1, "start": 2}, "offset 1 and start 2, which differ"),
        ({"offset": 1, "end": 3, "duration": 1}, "end 3 and duration 1, which differ"),
        ({"start_frame": 10, "end_frame": 20}, "start_frame 10, which looks like a time of unknown unit"),
        ({"length": 12}, "length 12, which looks like a time of unknown unit: call the column duration"),
        ({"start": "00:01:02"}, "start '00:01:02': expected seconds"),
        ({"begin_ms": -1}, "begin_ms -1: expected milliseconds"),
        ({"offset": "nan"}, "offset 'nan': expected seconds"),
        ({"dur": 0}, "dur 0: leave it out"),
    ],
)
def test_bad_times(folder: Path, line: dict[str, Any], message: str) -> None:
    with pytest.raises(FormatError, match=f"line 1 .*{message}"):
        item(folder, line)


def test_samples_of_a_file_that_is_missing_leave_it_whole(folder: Path) -> None:
    found = item(folder, {"path": "gone.wav", "start_sample": 10})
    assert found.whole


def test_a_segment_in_samples_is_exact(folder: Path) -> None:
    from codectok.items.clips import read_clip

    wave = np.random.default_rng(0).integers(-1000, 1000, 4 * 44100).astype(np.int16)
    soundfile.write(folder / "b.wav", wave, 44100)
    for start, stop in [(1, 2), (12345, 54321), (44099, 44101)]:
        found = item(folder, {"path": "b.wav", "start_sample": start, "end_sample": stop})
        assert np.array_equal(np.round(read_clip(found, 44100) * 32768), wave[start:stop])
