"""What a person sees of a run: codebook health against slow references, progress, TensorBoard, curves."""

from __future__ import annotations

import io
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure

from codectok import FormatError
from codectok.errors import CodectokError, MissingPackageError
from train_codec.plot_cli import plot as plot_command
from train_codec.watch import Board, CodebookHealth, RunProgress, plot
from train_codec.watch.board import flatten
from train_codec.watch.health import level_warning
from train_codec.watch.log import read_log
from train_codec.watch.plot import _heat

ROOT = Path(__file__).parents[2]

# -- health ------------------------------------------------------------------------------------------------------------


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10**6), sizes=st.lists(st.integers(1, 9), min_size=1, max_size=4), steps=st.integers(0, 3))
def test_health_equals_counting_one_by_one(seed: int, sizes: list[int], steps: int) -> None:
    rng = np.random.default_rng(seed)
    health = CodebookHealth(sizes)
    seen: list[list[int]] = [[] for _ in sizes]
    for _ in range(steps):
        k = int(rng.integers(1, len(sizes) + 1))
        codes = np.stack([rng.integers(-1, sizes[i], (3, 5)) for i in range(k)], 1)
        health.add(torch.from_numpy(codes))
        for i in range(k):
            seen[i] += [int(c) for c in codes[:, i].ravel() if c >= 0]
    row = health.row()
    for i, size in enumerate(sizes):
        counts = [seen[i].count(c) for c in range(size)]
        bits = -sum(n / len(seen[i]) * math.log2(n / len(seen[i])) for n in counts if n)
        assert row["frames"][i] == len(seen[i])
        assert row["used"][i] == pytest.approx(sum(n > 0 for n in counts) / size, abs=1e-4)
        assert row["bits"][i] == pytest.approx(bits, abs=1e-3)
        assert row["perplexity"][i] == pytest.approx(2**bits if seen[i] else 0, abs=0.006)
    assert not any(health.row()["frames"])  # a row starts the next interval


def test_revived_codes_are_summed_per_level() -> None:
    health = CodebookHealth([4, 4])
    codes = torch.zeros(1, 2, 3, dtype=torch.int64)
    health.add(codes, [2, 0])
    health.add(codes, torch.tensor([1, 5]))
    row = health.row()
    assert row["revived"] == [3, 5]
    assert row["perplexity"] == [1.0, 1.0]
    assert json.loads(json.dumps(row)) == row


def test_health_of_two_processes_is_that_of_the_joined_batch(tmp_path: Path) -> None:
    code = (
        "import sys, json, torch, torch.distributed as dist\n"
        "from train_codec.watch.health import CodebookHealth\n"
        "rank = int(sys.argv[1])\n"
        "dist.init_process_group('gloo', init_method='file://' + sys.argv[2], rank=rank, world_size=2)\n"
        "health = CodebookHealth([8])\n"
        "health.add(torch.arange(8).view(2, 1, 4)[rank : rank + 1], [1])\n"
        "health.reduce()\n"
        "print(json.dumps(health.row()))\n"
    )
    command = [sys.executable, "-c", code]
    runs = [
        subprocess.Popen([*command, str(r), str(tmp_path / "meet")], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        for r in range(2)
    ]
    rows = [json.loads(run.communicate(timeout=60)[0]) for run in runs]
    assert rows[0] == rows[1]
    assert rows[0]["used"] == [1.0]
    assert rows[0]["frames"] == [8]
    assert rows[0]["revived"] == [1]


def test_levels_past_their_bounds_are_one_line_and_within_them_none() -> None:
    good = {"n_6": 24.0, "kbps_6": 1.5, "level_6": -1.0, "octave_400_6": 2.9, "clipped_6": 0.01, "loud_frames_6": 1.0}
    assert level_warning(good) == ""
    assert level_warning({"n_6": 24.0, "kbps_6": 1.5}) == ""  # every clip failed: that is told elsewhere
    bad = good | {"level_6": 12.5, "octave_400_6": -3.1, "clipped_6": 0.02, "loud_frames_6": 1.2}
    line = level_warning(bad | {"n_24": 24.0, "kbps_24": 6.0, "level_24": 1.04})
    assert line == (
        "at 1.5 kbit/s: level +12.5 dB (bound 1), 400-800 Hz -3.1 dB (bound 3), loud frames 1.2 % (bound 1), "
        "clipped 0.020 % (bound 0.01); at 6 kbit/s: level +1.0 dB (bound 1)"
    )


# -- progress ----------------------------------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_plain_lines_where_there_is_no_terminal() -> None:
    clock, out = Clock(), io.StringIO()
    progress = RunProgress(1000, start=100, seconds_per_step=20.0, every=50, stream=out, clock=clock)
    for step in range(101, 201):
        clock.now += 0.5
        progress.update(step, {"mel": 0.25, "loss": 12.3456})
    progress.close()
    lines = out.getvalue().splitlines()
    assert [line.partition("/")[0] for line in lines] == ["101", "150", "200"]
    assert lines[2] == "200/1000  mel 0.25  loss 12.35  2 steps/s  40x real time  7 min left"
    assert progress.speed == pytest.approx(2.0)


def test_slow_steps_have_a_line_a_minute() -> None:
    clock, out = Clock(), io.StringIO()
    progress = RunProgress(1000, every=50, stream=out, clock=clock)
    for step in range(1, 20):
        clock.now += 25.0
        progress.update(step, {})
    assert [line.partition("/")[0] for line in out.getvalue().splitlines()] == ["1", "4", "7", "10", "13", "16", "19"]


def test_the_speed_is_that_of_the_last_steps_without_pauses() -> None:
    clock = Clock()
    progress = RunProgress(10**6, stream=io.StringIO(), clock=clock)
    for step in range(1, 500):
        clock.now += 1.0 if step < 300 else 0.1
        if step == 450:
            with progress.paused():
                clock.now += 1000.0
        progress.update(step, {})
    assert progress.speed == pytest.approx(10.0)


def test_a_terminal_shows_one_line_that_fits() -> None:
    clock, out = Clock(), Terminal()
    progress = RunProgress(50, stream=out, clock=clock, width=30)
    for step in range(1, 51):
        clock.now += 0.1
        progress.update(step, {"a_loss_with_a_long_name": 1.0, "another": 2.0})
    progress.note("a table\nof two lines")
    progress.close()
    text = out.getvalue()
    drawn = [part.split("\n")[0] for part in text.split("\r\x1b[K")]
    assert max(map(len, drawn)) <= 29
    assert 20 <= len(drawn) <= 30  # redrawn every .2 s, not at every step
    assert "50/50" in drawn[-1]
    assert text.count("\n") == 3


# -- TensorBoard -------------------------------------------------------------------------------------------------------


def test_the_board_holds_scalars_and_audio(tmp_path: Path) -> None:
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    board = Board(tmp_path)
    row = {"step": 7, "mel": 0.5, "val": {"pesq_6": 2.0}, "health": {"used": [0.5, 1.0]}, "name": "x"}
    board.scalars(7, row)
    wave = np.sin(np.arange(1600) / 10).astype(np.float32) * 2
    board.audio(7, "val/0", wave, 16000)
    board.close()
    found = events.EventAccumulator(str(tmp_path)).Reload()
    scalars = {tag: [(e.step, e.value) for e in found.Scalars(tag)] for tag in found.Tags()["scalars"]}
    assert scalars == {
        "mel": [(7, 0.5)],
        "val/pesq_6": [(7, 2.0)],
        "health/used/00": [(7, 0.5)],
        "health/used/01": [(7, 1.0)],
    }
    audio = found.Audio("val/0")[0]
    assert audio.sample_rate == 16000
    assert audio.length_frames == 1600
    assert flatten({"flag": True, "n": 1}) == {"n": 1.0}


def test_a_resumed_board_forgets_later_steps(tmp_path: Path) -> None:
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    for start, value in ((0, 1.0), (3, 2.0)):
        board = Board(tmp_path, start)
        for step in range(start, 5):
            board.scalars(step, {"x": value})
        board.close()
    found = events.EventAccumulator(str(tmp_path)).Reload().Scalars("x")
    assert [(e.step, e.value) for e in found] == [(0, 1.0), (1, 1.0), (2, 1.0), (3, 2.0), (4, 2.0)]


def test_without_tensorboard_one_line_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'codectok\[train\]', or train with tensorboard=false"):
        Board(tmp_path)
    with pytest.raises(CodectokError, match=r"pip install 'codectok\[train\]'"):
        plot(tmp_path)


# -- log and curves ----------------------------------------------------------------------------------------------------


def train_row(step: int, **more: object) -> str:
    health = {"used": [0.5, 1.0], "perplexity": [3.0, 7.5]}
    row = {"step": step, "mel": 1 / step, "adversarial": -0.5, "learning_rate": 1e-3, "grad": 2.0, "health": health}
    return json.dumps(row | more)


def val_row(step: int) -> str:
    scores = {"pesq_6": 1.5, "stoi_6": 0.8, "mel_6": 4.0, "kbps_6": 1.5, "pesq_24": 2.0, "level_6": 0.5, "lsd_6": 7.0}
    scores |= {"octave_100_6": -1.0, "octave_400_6": 2.0, "loud_frames_6": 0.5, "excess_99_6": 5.0, "clipped_6": 0.0}
    return json.dumps({"step": step, "val": scores})


def test_a_log_with_a_cut_line_and_a_resume_is_read(tmp_path: Path) -> None:
    lines = [train_row(100), train_row(200), val_row(200), train_row(300, mel=9.0), '{"step": 2', "[]", '{"a": 1}']
    lines += [train_row(250), val_row(250), train_row(300, mel=0.5), '{"step": 400, "mel"']
    (tmp_path / "log.jsonl").write_text("\n".join(lines))
    log = read_log(tmp_path)
    assert [r["step"] for r in log.train] == [100, 200, 250, 300]
    assert log.train[-1]["mel"] == 0.5
    assert [r["step"] for r in log.val] == [200, 250]
    assert log.losses() == ["mel", "adversarial"]
    steps, used = log.health("used")
    assert used.shape == (4, 2)
    assert steps.tolist() == [100, 200, 250, 300]


def test_columns_that_come_late_or_go_are_drawn_where_they_are(tmp_path: Path) -> None:
    rows = [
        {"step": 1, "a": 1.0},
        {"step": 2, "b": None, "health": {"used": [1]}},
        {"step": 3, "a": 2, "health": {"used": [1, 0.5]}},
    ]
    (tmp_path / "log.jsonl").write_text("\n".join(map(json.dumps, rows)))
    log = read_log(tmp_path)
    steps, values = log.column("a")
    assert (steps.tolist(), values.tolist()) == ([1, 3], [1, 2])
    assert np.isnan(log.health("used")[1]).tolist() == [[False, True], [False, False]]
    plot(tmp_path)


def test_codebooks_are_drawn_from_0() -> None:
    axes = Figure().subplots()
    _heat(axes, np.array([1, 2]), np.array([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]]), "codes used", (0.0, 1.0))
    rows = axes.collections[0].get_coordinates()[:, 0, 1]  # type: ignore[attr-defined]
    assert ((rows[1:] + rows[:-1]) / 2).tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    "lines",
    [
        [train_row(s) for s in range(100, 20000, 100)] + [val_row(s) for s in range(1000, 20000, 1000)],
        [val_row(100)],
        [json.dumps({"step": 1})],
        [json.dumps({"step": s, "mel": v}) for s, v in enumerate((0.0, -1.0, float("nan"), float("inf")))],
    ],
)
def test_any_log_becomes_a_picture(tmp_path: Path, lines: list[str], recwarn: pytest.WarningsRecorder) -> None:
    (tmp_path / "log.jsonl").write_text("\n".join(lines))
    path = plot(tmp_path)
    assert path == tmp_path / "curves.png"
    from matplotlib.image import imread

    picture = imread(path)
    assert picture.shape[0] > 300
    assert picture.std() > 0.01
    assert not [w for w in recwarn if "font" not in str(w.message).lower()]


def test_the_command(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text(train_row(100))
    done = CliRunner().invoke(plot_command, [str(tmp_path), "-o", str(tmp_path / "x/curves.png")])
    assert done.exit_code == 0
    assert done.output == f"wrote {tmp_path}/x/curves.png\n"
    assert os.path.getsize(tmp_path / "x/curves.png") > 1000
    (tmp_path / "log.jsonl").write_text("")
    for run, message in ((tmp_path / "x", "not a run"), (tmp_path, "no row yet")):
        failed = CliRunner().invoke(plot_command, [str(run)])
        assert failed.exit_code == 2
        assert message in failed.output
    with pytest.raises(FormatError):
        read_log(tmp_path)
