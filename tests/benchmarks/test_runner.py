"""The runner: plan, cache, failures, resumption, workers, on a fake task."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks.contract import Budget, Example, LeakageError, Split
from benchmarks.inputs import clip_key, open_input
from benchmarks.runner import Suite, SuiteEntry, read_rows, run_suite
from benchmarks.runner import work as work_module
from benchmarks.runner.cache import Cache
from benchmarks.runner.cells import SHUFFLED, fitted_note
from benchmarks.runner.floors import shuffle_labels
from benchmarks.runner.headline import headline
from benchmarks.runner.plan import make_plan
from benchmarks.runner.results import settled
from benchmarks.runner.row import Place
from benchmarks.split_tables import read_splits
from codectok import registry
from codectok.errors import CodectokError, FormatError
from codectok.pretrained import FOLDER
from tests.benchmarks import fakes

INPUTS = ("logmel@50", "random@k2")


@pytest.fixture
def data(tmp_path, monkeypatch):
    folder = tmp_path / "data"
    folder.mkdir()
    fakes.make_data(folder)
    monkeypatch.setenv(fakes.ROOT, str(folder))
    monkeypatch.setattr(registry, "_added", {})
    work_module.the_dataset.cache_clear()
    fakes.install()
    yield folder
    work_module.the_dataset.cache_clear()
    work_module._extracted.cache_clear()


def suite(**changes) -> Suite:
    entry = SuiteEntry("fake", "fake", INPUTS, ("linear",), Budget(3, 2), seeds=(0, 1), shuffled=("random@k2",))
    return Suite("s", (replace(entry, **changes),))


def rows_of(folder: Path) -> list[str]:
    return [json.dumps(settled(r), sort_keys=True) for r in read_rows(folder)]


def test_a_suite_gives_one_row_a_cell_in_order(data, tmp_path):
    summary = run_suite(suite(), tmp_path / "out", jobs=0, cache=tmp_path / "cache")
    names = [(r["input"]["spec"], r["floor"], r["seed"]) for r in summary.rows]
    assert names == [
        ("logmel@50", None, 0), ("logmel@50", None, 1), ("random@k2", None, 0), ("random@k2", None, 1),
        ("random@k2", SHUFFLED, 0), ("random@k2", SHUFFLED, 1),
    ]  # fmt: skip
    assert summary.rows == read_rows(tmp_path / "out") == read_rows(tmp_path / "out" / "results.jsonl")
    values = [r["scores"][0]["value"] for r in summary.rows]
    assert len(set(values)) == 6  # seed, input and labels all reach the task
    row = summary.rows[0]
    assert row["input"]["frame_rate"] == "50/1"
    assert row["data"]["tests"] == {"test": 3}
    assert row["cost"]["peak_rss_mb"] > 10
    assert row["cost"]["extract_seconds"] > 0
    assert row["provenance"]["torch"]
    assert len((tmp_path / "out" / "items" / f"{row['cell']}.jsonl").read_text().splitlines()) == 3
    assert [line["seeds"] for line in headline(summary.rows)] == [2, 2, 2]


def test_the_same_again_runs_nothing_and_a_change_runs_what_it_touches(data, tmp_path):
    out, cache = tmp_path / "out", tmp_path / "cache"
    run_suite(suite(), out, jobs=0, cache=cache)
    before = (out / "results.jsonl").read_text()
    assert run_suite(suite(), out, jobs=0, cache=cache).made == 0
    assert (out / "results.jsonl").read_text() == before
    assert run_suite(suite(seeds=(0, 1, 2)), out, jobs=0, cache=cache).made == 3
    assert run_suite(suite(seeds=(0, 1, 2), budget=Budget(4, 2)), out, jobs=0, cache=cache).made == 9
    assert len((out / "results-old.jsonl").read_text().splitlines()) == 9
    longer = (data / "0.wav").read_bytes() + b"\0\0"
    (data / "0.wav").write_bytes(longer)
    assert run_suite(suite(seeds=(0,), budget=Budget(4, 2)), out, jobs=0, cache=cache).made == 3


def test_what_was_put_aside_comes_back(data, tmp_path):
    out, cache = tmp_path / "out", tmp_path / "cache"
    run_suite(suite(), out, jobs=0, cache=cache)
    before = rows_of(out)
    assert len(run_suite(suite(seeds=(0,)), out, jobs=0, cache=cache).rows) == 3
    assert run_suite(suite(), out, jobs=0, cache=cache).made == 0
    assert rows_of(out) == before
    assert (out / "results-old.jsonl").read_text() == ""


def test_results_of_another_suite_are_left_alone(data, tmp_path):
    run_suite(suite(), tmp_path, jobs=0, cache=tmp_path / "cache")
    before = {p: p.read_bytes() for p in tmp_path.glob("*.*")}
    for dry_run in (False, True):
        with pytest.raises(CodectokError, match="has results of suite s, not t: give another -o"):
            run_suite(replace(suite(), name="t"), tmp_path, jobs=0, cache=tmp_path / "cache", dry_run=dry_run)
    assert {p: p.read_bytes() for p in tmp_path.glob("*.*")} == before


def test_only_runs_a_part_and_keeps_the_rest(data, tmp_path):
    out, cache = tmp_path / "out", tmp_path / "cache"
    assert run_suite(suite(), out, jobs=0, cache=cache, only=["fake/random@k2"]).made == 4
    summary = run_suite(suite(), out, jobs=0, cache=cache, only=["/logmel@50"])
    assert (summary.made, len(summary.rows)) == (2, 6)
    with pytest.raises(CodectokError, match="chooses nothing"):
        run_suite(suite(), out, jobs=0, cache=cache, only=["asr"])


def test_parallel_equals_serial(data, tmp_path):
    run_suite(suite(), tmp_path / "a", jobs=0, cache=tmp_path / "c1")
    run_suite(suite(), tmp_path / "b", jobs=2, cache=tmp_path / "c2", setup=fakes.SETUP)
    assert rows_of(tmp_path / "a") == rows_of(tmp_path / "b")
    names = [sorted(p.name for p in (tmp_path / c / "items").iterdir()) for c in "ab"]
    assert names[0] == names[1]


def test_failures_and_missing_things_become_rows(data, tmp_path):
    options = {"fail": "logmel@50", "nc": "random@k2"}
    specs = (*INPUTS, "random@high", "km:{gone}", "pcm", "random:features")
    summary = run_suite(suite(options=options, inputs=specs, shuffled=(), seeds=(0,)), tmp_path / "out", jobs=0,
                        cache=tmp_path / "cache")  # fmt: skip
    found = {r["input"]["spec"]: (r["status"], r["reason"]) for r in summary.rows}
    assert found["logmel@50"] == ("failed", "RuntimeError: planted failure")
    assert found["random@k2"] == ("nc", "needs a package")
    assert found["random@high"][0] == "nc"
    assert "class high" in found["random@high"][1]
    assert found["km:{gone}"] == ("nc", "km:{gone} needs a folder: give --folder gone=DIR")
    assert found["pcm"][0] == "nc"
    assert "no probe reads samples" in found["pcm"][1]
    assert found["random:features"] == ("done", "")
    assert {r["input"]["spec"]: r["mean"] for r in _by_spec(summary.rows)}["logmel@50"] == "failed"
    # What failed is tried again, what is done is not.
    again = run_suite(suite(options=options, inputs=specs, shuffled=(), seeds=(0,)), tmp_path / "out", jobs=0,
                      cache=tmp_path / "cache")  # fmt: skip
    assert (again.made, len(again.rows)) == (5, 6)


def _by_spec(rows):
    return [{"input": r["input"], "mean": headline([r])[0]["mean"]} for r in rows]


def test_data_that_is_not_here_is_not_computed(data, tmp_path):
    entries = tuple(replace(suite().tasks[0], dataset=d) for d in ("fake-nc", "fake-far"))
    summary = run_suite(Suite("s", entries), tmp_path / "out", jobs=0, cache=tmp_path / "cache")
    assert {r["reason"] for r in summary.rows} == {
        "no such audio here", "give --data fake-far=DIR: a folder that is far"
    }  # fmt: skip
    assert {r["status"] for r in summary.rows} == {"nc"}
    summary = run_suite(Suite("s", entries[1:]), tmp_path / "out", jobs=0, cache=tmp_path / "cache",
                        data={"fake": str(data)})  # fmt: skip
    assert {r["status"] for r in summary.rows} == {"done"}


@pytest.mark.slow
def test_a_worker_that_dies_costs_one_cell(data, tmp_path):
    died = suite(options={"die": "logmel@50"}, seeds=(0,), shuffled=())
    summary = run_suite(died, tmp_path / "out", jobs=1, cache=tmp_path / "cache", setup=fakes.SETUP)
    assert [r["status"] for r in summary.rows] == ["failed", "done"]
    assert "SIGKILL" in summary.rows[0]["reason"]


@pytest.mark.parametrize("jobs", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_killed_and_run_again_gives_the_same_rows(data, tmp_path, jobs):
    slow = suite(options={"sleep": 0.15}, seeds=(0, 1))
    run_suite(slow, tmp_path / "whole", jobs=0, cache=tmp_path / "cache")
    (tmp_path / "s.yaml").write_text(slow.text())
    code = (
        f"from tests.benchmarks import fakes; fakes.install(); from benchmarks.runner import *;"
        f"run_suite(read_suite({str(tmp_path / 's.yaml')!r}), {str(tmp_path / 'out')!r}, jobs={jobs},"
        f" cache={str(tmp_path / 'cache2')!r}, setup=fakes.SETUP)"
    )
    # As a file: a spawned worker must be able to import the main module without running it.
    (tmp_path / "main.py").write_text(f"if __name__ == '__main__':\n    {code}")
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.Popen([sys.executable, str(tmp_path / "main.py")], env=env)
    file = tmp_path / "out" / "results.jsonl"
    while process.poll() is None and (not file.is_file() or file.read_text().count("\n") < 2):
        time.sleep(0.01)
    assert process.poll() is None, "it ended before it could be killed"
    process.send_signal(signal.SIGKILL)
    process.wait()
    with open(file, "a") as f:
        f.write('{"suite": "s", "cell": "half')
    there = len(read_rows(file))
    summary = run_suite(read_back(tmp_path / "s.yaml"), tmp_path / "out", jobs=0, cache=tmp_path / "cache2")
    assert 2 <= there < 6
    assert summary.made == 6 - there
    assert rows_of(tmp_path / "out") == rows_of(tmp_path / "whole")


def read_back(path: Path) -> Suite:
    from benchmarks.runner import read_suite

    return read_suite(str(path))


def test_two_runs_do_not_write_to_one_folder(data, tmp_path):
    from benchmarks.runner.results import Results

    held, done = threading.Event(), threading.Event()

    def hold():
        with Results(tmp_path / "out").locked():
            held.set()
            done.wait(60)

    other = threading.Thread(target=hold)
    other.start()
    held.wait(60)
    with pytest.raises(CodectokError, match="another run"):
        run_suite(suite(), tmp_path / "out", jobs=0, cache=tmp_path / "cache")
    done.set()
    other.join()


def test_rows_that_are_damaged_are_refused_but_for_the_last(tmp_path):
    (tmp_path / "results.jsonl").write_text('{"cell": "a"}\n{"cell": \n{"cell": "b"}\n')
    with pytest.raises(FormatError, match="line 2"):
        read_rows(tmp_path)
    (tmp_path / "results.jsonl").write_text('{"cell": "a"}\n{"cell": "b')
    assert read_rows(tmp_path) == [{"cell": "a"}]
    with pytest.raises(FormatError, match="no results"):
        read_rows(tmp_path / "nothing")


# cache


@pytest.mark.parametrize("spec", ["logmel@50", "random@k3"])
@pytest.mark.parametrize("targets", [False, True])
def test_what_is_cached_is_what_is_extracted(data, tmp_path, spec, targets, monkeypatch):
    monkeypatch.setattr("benchmarks.runner.cache.CHUNK", 4)
    opened, dataset = open_input(spec), fakes.open_fake("fake", data)
    cache = Cache(tmp_path, dataset, opened, targets)
    assert cache.missing() == [0, 1, 2]
    cache.make(1)
    assert cache.missing() == [0, 2]
    found = cache.load()
    assert not cache.missing()
    assert not found.failures
    split = found.split(dataset)
    examples = [*split.train, *split.valid, *split.tests["test"]]
    assert [e.clip for e in examples] == [*dataset.train, *dataset.valid, *dataset.tests["test"]]
    for i, example in enumerate(examples):
        from benchmarks.datasets import read_clip

        samples = read_clip(example.clip)
        assert example.num_samples == len(samples) == 1600 + 400 * i
        wanted = opened.extract([samples])[0]
        assert example.x.dtype == wanted.dtype
        assert torch.equal(example.x, wanted)
        assert len(example.y) == targets
        assert all(torch.equal(y, wanted) for y in example.y)


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "noise"])
def test_a_damaged_cache_is_made_again(data, tmp_path, damage):
    opened, dataset = open_input("logmel@50"), fakes.open_fake("fake", data)
    good = Cache(tmp_path, dataset, opened, False).load()
    (path,) = tmp_path.rglob("*.safetensors")
    raw = bytearray(path.read_bytes())
    if damage == "flip":
        raw[-5] ^= 1
    path.unlink()  # tensors read before may still be mapped from it
    path.write_bytes({"cut": raw[: len(raw) // 2], "flip": raw, "empty": b"", "noise": b"\xff" * 99}[damage])
    again = Cache(tmp_path, dataset, opened, False).load()
    assert all(torch.equal(again.examples[c].x, e.x) for c, e in good.examples.items())


def test_a_cache_does_not_outlive_the_audio_it_was_made_of(data, tmp_path):
    """Trap: a cache keyed by file names gives the values of files that are gone."""
    opened, dataset = open_input("logmel@50"), fakes.open_fake("fake", data)
    before = Cache(tmp_path, dataset, opened, False).load()
    path = Path(dataset.train[0].path)
    raw = bytearray(path.read_bytes())
    raw[100:200] = raw[300:400]  # as long as it was
    path.write_bytes(raw)
    os.utime(path, ns=(1, 1))
    after = Cache(tmp_path, dataset, opened, False).load()
    clip = dataset.train[0]
    assert not torch.equal(before.examples[clip].x, after.examples[clip].x)


def test_inputs_and_settings_do_not_share_a_cache(data, tmp_path):
    dataset = fakes.open_fake("fake", data)
    specs = ["logmel", "logmel@50", "random@k2", "random@k3", "random:features", "speech@k2", "speech:quantized@k2",
             "speech:quantized@k3", "speech:features"]  # fmt: skip
    folders = {Cache(tmp_path, dataset, open_input(s), t).folder for s in specs for t in (False, True)}
    assert len(folders) == 2 * len(specs)


def test_a_clip_that_cannot_be_read_costs_one_example(data, tmp_path):
    (data / "7.wav").write_bytes(b"not audio")
    summary = run_suite(suite(seeds=(0,), shuffled=()), tmp_path / "out", jobs=0, cache=tmp_path / "cache")
    assert [r["status"] for r in summary.rows] == ["done", "done"]
    assert [list(r["failures"]) for r in summary.rows] == [["c/7"], ["c/7"]]


# floors and leaks


def test_shuffled_labels_move_in_training_alone(data):
    dataset = fakes.open_fake("fake", data)
    split = Split(*(tuple(Example(c, torch.zeros(1)) for c in clips) for clips in (dataset.train, dataset.valid)),
                  {"test": tuple(Example(c, torch.zeros(1)) for c in dataset.tests["test"])})  # fmt: skip
    orders = set()
    for seed in range(20):
        mixed, examples = shuffle_labels(dataset, split, seed)
        assert sorted(c.label for c in mixed.train) == sorted(c.label for c in dataset.train)
        assert sorted(c.label for c in mixed.valid) == sorted(c.label for c in dataset.valid)
        assert mixed.tests == dataset.tests
        assert examples.tests == split.tests
        assert [e.clip for e in examples.train] == list(mixed.train)
        assert [c.id for c in mixed.train] == [c.id for c in dataset.train]
        assert all(c.label.removeprefix("label") == c.speaker.removeprefix("s") for c in mixed.train)
        orders.add(tuple(c.label for c in mixed.train))
    assert len(orders) > 5


def test_generative_and_untrained_tasks(data, tmp_path):
    entries = [replace(suite().tasks[0], task=t, dataset=t, probes=()) for t in ("fake-generative", "fake-untrained")]
    summary = run_suite(Suite("s", tuple(entries)), tmp_path / "out", jobs=0, cache=tmp_path / "cache")
    done = [(r["task"], r["probe"], r["floor"], r["seed"]) for r in summary.rows]
    assert done == [
        *[("fake-generative", "linear", None, seed) for _ in INPUTS for seed in (0, 1)],
        *[("fake-untrained", "", None, 0) for _ in INPUTS],
    ]
    ((clip, name),) = summary.rows[0]["audio"].items()
    assert clip == "c/6"
    assert (tmp_path / "out" / name).is_file()


def test_no_input_is_tested_on_what_it_was_fitted_on(data, tmp_path):
    dataset = fakes.open_fake("fake", data)
    rows = read_splits(FOLDER / "speech" / "splits.tsv")
    name = clip_key(next(r["path"] for r in rows if r["use"] == "fit"))
    fitted = replace(dataset.tests["test"][0], path=f"/elsewhere/{name}.opus")
    planted = replace(dataset, tests={"test": (fitted,)})
    entry = suite().tasks[0]
    for spec in ("speech@1.5", "speech:features", "units"):
        opened = open_input(spec)
        assert fitted_note(entry, dataset, opened) == ""
        with pytest.raises(LeakageError, match="was fitted on 1 of the 1 test files"):
            fitted_note(entry, planted, opened)
        assert "fitted on 1" in fitted_note(replace(entry, allow_fitted=True), planted, opened)
    assert fitted_note(entry, planted, open_input("logmel")) == ""


def test_clip_keys():
    assert clip_key("train/allison/0474-conf.getpin.opus") == clip_key("/a/b/allison/0474-conf.getpin.flac")
    assert clip_key("train/allison/0474.opus") != clip_key("train/dalzot/0474.opus")


def test_peak_memory_is_of_the_cell(data, tmp_path):
    burnt = suite(options={"burn": 200}, seeds=(0,), shuffled=(), inputs=("random@k2",)).tasks[0]
    entries = (burnt, replace(burnt, options={}))
    rows = run_suite(Suite("s", entries), tmp_path / "o", jobs=0, cache=tmp_path / "c").rows
    if rows[0]["cost"]["peak_of"] == "process":
        pytest.skip("this system does not let a process's peak begin anew")
    assert rows[0]["cost"]["peak_rss_mb"] > rows[1]["cost"]["peak_rss_mb"] + 150


def test_a_plan_has_no_two_cells_of_one_id(data, tmp_path):
    plan = make_plan(suite(), Place(tmp_path, tmp_path))
    assert len({c.id for c in plan.cells}) == len(plan.cells) == 6
    assert len({c.name for c in plan.cells}) == 6
