"""A results folder such as a run leaves, made up: every kind of row, item, note, and way to have no score."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.runner.results import Row
from codectok.audio import write_audio

CODES = (
    ("speech 0.75 kbit/s", "speech@0.75", 0.75),
    ("speech 1.5 kbit/s", "speech@low", 1.5),
    ("speech 6 kbit/s", "speech@medium", 6.0),
    ("units", "units", 0.5),
    ("km:whisper", "km:{whisper}", 0.55),
)
FEATURES = (("log-mel 100 Hz", "logmel"), ("speech features", "speech:features"), ("units features", "units:features"))
CODERS = (
    ("Opus 6 kbit/s", "opus@6", 6.0),
    ("Opus 12 kbit/s", "opus@12", 12.0),
    ("Codec2 1.2 kbit/s", "codec2@1.2", 1.2),
)


def info(label: str, spec: str, kind: str, kbps: float | None) -> dict[str, Any]:
    name = spec.split("@")[0].split(":")[0]
    discrete = kind == "discrete"
    return {
        "spec": spec, "label": label, "kind": kind, "tokenizer": "" if name in ("logmel", "opus") else name,
        "fingerprint": f"{zlib.crc32(spec.encode()):08x}", "frame_rate": "50/1",
        "codebook_sizes": [1024] * max(1, round((kbps or 0) / 0.5)) if discrete else [], "dim": 0 if discrete else 96,
        "bitrate_kbps": kbps, "token_rate": kbps and 100 * kbps,
        "fitted_on": "5594 clips of 40 speakers: use=fit in speech/splits.tsv" if name == "speech" else "nothing",
    }  # fmt: skip


def row(task: str, dataset: str, inp: dict[str, Any], probe: str, seed: int, floor: str = "", **changes: Any) -> Row:
    trained = task != "resynthesis"
    name = f"{task} {dataset} {inp['spec']} {probe} {seed} {floor} {changes.get('notes', {}).get('column', '')}"
    name += changes.get("notes", {}).get("row", "") + str(changes.pop("more", ""))
    found = {
        "suite": "made-up", "task": task, "dataset": dataset, "input": inp, "floor": floor or None, "probe": probe,
        "seed": seed, "status": "done", "reason": "", "scores": [], "chance": {}, "rate": 1e-3 if trained else None,
        "steps": 300 if trained else 0, "parameters": 51234 if trained else 0,
        "macs_per_second": 5.1e6 if trained else None,
        "budget": {"steps": 300, "batch": 16, "rates": [3e-4, 1e-3], "sweep_steps": 60}, "failures": {}, "notes": {},
        "audio": {},
        "data": {"sha256": f"{zlib.crc32(dataset.encode()):08x}" * 8, "train": 200, "valid": 40,
                 "tests": {"test": 60}, "licence": "CC-BY-3.0", "note": f"a remark on {dataset} <one main speaker>"},
        "cost": {"wall_seconds": 12.5 + seed, "peak_rss_mb": 480.0, "extract_seconds": 3.0},
        "provenance": {"version": "0.1.0+abc", "command": "codectok bench run made-up", "machine": "a machine",
                       "python": "3.11", "torch": "2.13", "date": "2026-01-02"},
        "cell": f"{zlib.crc32(name.encode()):016x}",
    }  # fmt: skip
    return found | changes


class Folder:
    """Collects rows, items and audio; ``write`` makes the folder."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.items: dict[str, list[dict[str, Any]]] = {}
        self.audio: dict[str, tuple[str, np.ndarray]] = {}

    def scored(self, found: Row, metric: str, pairs: Any, *, scale: float = 1.0, test: str = "test", failed: int = 0):
        """Give a row a score of items [(value, weight)], and the items."""
        pairs = [(float(v), float(w)) for v, w in pairs]
        value = scale * sum(v for v, _ in pairs) / sum(w for _, w in pairs)
        found["scores"].append({"metric": metric, "test": test, "value": value, "n": len(pairs), "failures": failed})
        self.items.setdefault(found["cell"], []).extend(
            {"test": test, "metric": metric, "clip": f"{test}-{i:03d}", "value": v, "weight": w}
            for i, (v, w) in enumerate(pairs)
        )
        return found

    def bare(self, found: Row, metric: str, value: float | None, n: int = 60, test: str = "test") -> Row:
        """A score without items."""
        found["scores"].append({"metric": metric, "test": test, "value": value, "n": n, "failures": 0})
        return found

    def write(self, folder: Path) -> Path:
        (folder / "items").mkdir(parents=True, exist_ok=True)
        lines = (json.dumps(r, ensure_ascii=False, allow_nan=False) + "\n" for r in self.rows)
        (folder / "results.jsonl").write_text("".join(lines), encoding="utf-8")
        (folder / "suite.yaml").write_text("name: made-up\nabout: Every kind of row.\ntasks: []\n", encoding="utf-8")
        for cell, items in self.items.items():
            text = "".join(json.dumps(i) + "\n" for i in items)
            (folder / "items" / f"{cell}.jsonl").write_text(text, encoding="utf-8")
        for name, samples in self.audio.values():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            write_audio(folder / name, samples, 16000)
        return folder


def make_results(folder: Path, seeds: int = 3) -> Path:
    """Every kind of row: see the module."""
    f, rng = Folder(), np.random.default_rng(0)
    inputs = [info(a, b, "continuous", None) for a, b in FEATURES] + [info(a, b, "discrete", c) for a, b, c in CODES]
    inputs += [info("speech quantized 1.5 kbit/s", "speech:quantized@1.5", "quantized", 1.5)]
    inputs += [info("random 1.5 kbit/s", "random@1.5", "discrete", 1.5)]
    for task, dataset, probe in (
        ("si", "mini-si", "linear"),
        ("si", "mini-si", "ecapa"),
        ("lid", "mini-lid", "linear"),
    ):
        hard = rng.random(60)
        for number, inp in enumerate(inputs):
            for floor in ("", "shuffled-labels") if number == 4 else ("",):
                for seed in range(seeds):
                    r = row(task, dataset, inp, probe, seed, floor, chance={"accuracy": [1.5, 18.0], "f1": [0.5, 12.0]})
                    f.rows.append(r)
                    if inp["spec"] == "km:{whisper}":
                        r |= {"status": "nc", "reason": "no folder {whisper}: give --folder whisper=DIR"}
                        continue
                    if (inp["spec"], seed, task) == ("units", 1, "lid"):
                        r |= {"status": "failed", "reason": "RuntimeError: shapes <2 x 3> and [4] do not fit"}
                        continue
                    chance = floor or inp["spec"].startswith("random")
                    skill = 0.1 if chance else 0.95 - 0.05 * number
                    right = (hard < skill + 0.05 * rng.standard_normal(60)).astype(float)
                    f.scored(r, "accuracy", [(v, 1) for v in right], scale=100.0)
                    f.bare(r, "f1", 100 * float(right.mean()) - 3)
    for number, inp in enumerate(inputs):
        for seed in range(seeds):
            r = row("asr", "mini-asr", inp, "bilstm", seed, chance={"wer": [96.0, 104.0]})
            words = 4 + np.arange(60) % 7
            errors = rng.binomial(words, 0.98 if "random" in inp["spec"] else 0.3 + 0.05 * number)
            if inp["spec"] == "units":  # two clips could not be scored
                words, errors = words[2:], errors[2:]
                r["failures"] = {"test-000": "audio is damaged", "test-001": "audio is damaged"}
            f.rows.append(f.scored(r, "wer", zip(errors, words, strict=True), scale=100.0, failed=len(r["failures"])))
    _sound(f, rng)
    _study(f, rng, seeds)
    return f.write(folder)


def _sound(f: Folder, rng: np.random.Generator) -> None:
    systems = [info("original", "original", "audio", 256.0), info("pcm", "pcm", "discrete", 128.0)]
    systems += [info(a, b, "discrete", c) for a, b, c in CODES[:4]] + [info(a, b, "audio", c) for a, b, c in CODERS]
    systems += [info("random 1.5 kbit/s", "random@1.5", "discrete", 1.5)]
    base = rng.standard_normal(44)
    wave = 0.3 * np.sin(np.arange(12000) * 0.05).astype(np.float32)
    for inp in systems:
        r = row("resynthesis", "mini-resynthesis", inp, "", 0)
        f.rows.append(r)
        if inp["spec"] == "units":
            r |= {"status": "nc", "reason": "units cannot be decoded: there is no vocoder"}
            continue
        good = {"original": 1.0, "pcm": 0.9}.get(
            inp["spec"], 0.0 if "random" in inp["spec"] else 0.2 * np.log(3 * inp["bitrate_kbps"])
        )
        f.scored(r, "pesq", [(1 + 3.5 * good + 0.1 * b, 1) for b in base])
        f.scored(r, "stoi", [(0.3 + 0.7 * good + 0.01 * b, 1) for b in base])
        f.scored(r, "dwer", [(max(0.0, 3 - 3 * good), 6) for _ in base], scale=100.0)
        f.bare(r, "dnsmos_ovrl", None, 0)
        r["notes"] = {"dnsmos_ovrl": "N.C.: speechmos is not installed: pip install speechmos", "judge": "whisper-x"}
        f.bare(r, "bitrate", inp["bitrate_kbps"] * 1.02, 44)
        for clip in ("test-000", "test-001"):
            name = f"audio/{r['cell']}/{clip}.flac"
            r["audio"][clip] = name
            f.audio[name] = (name, wave * good)
    for inp in (systems[3], info("speech features", "speech:features", "continuous", None), systems[-1]):
        for seed in range(3):
            r = row("se", "mini-se", inp, "conformer", seed)
            r["notes"] = {"floor.dnsmos": "2.31", "ceiling.dnsmos": "3.02"}
            f.rows.append(f.scored(r, "dnsmos", [(2.5 + 0.1 * b + 0.05 * seed, 1) for b in base]))


def _study(f: Folder, rng: np.random.Generator, seeds: int) -> None:
    """A grid of two test sets, and a table whose columns are tasks."""
    for k in ("k1000", "k2000"):
        for bpe in ("none", "BPE 4000", "BPE 6000"):
            for seed in range(seeds):
                notes = {"table": "k by BPE", "row": k, "column": bpe}
                inp = info(f"km {k}", f"km:{k}", "discrete", 0.5)
                r = row("asr", "toy-asr", inp, "llm:tiny", seed, notes=notes, more=bpe)
                for test in ("clean", "other"):
                    f.scored(r, "wer", zip(rng.binomial(8, 0.3, 40), [8] * 40, strict=True), scale=100.0, test=test)
                f.rows.append(r)
    for arm, spec, kind in (("discrete", "km:k2000", "discrete"), ("continuous", "km:k2000:features", "continuous")):
        for task in ("asr", "ks"):
            notes = {"table": "Discrete against continuous", "row": arm, "column": task.upper()}
            inp = info(f"km k2000 {arm}", spec, kind, 0.5 if kind == "discrete" else None)
            for seed in range(seeds):
                r = row(task, f"toy-{task}", inp, "llm:tiny", seed, notes=notes, more="arms")
                f.rows.append(r)
                if task == "ks":
                    f.scored(r, "accuracy", [(v, 1) for v in rng.integers(0, 2, 40)], scale=100.0)
                elif arm == "discrete":
                    f.scored(r, "wer", zip(rng.binomial(8, 0.3, 40), [8] * 40, strict=True), scale=100.0)
                else:
                    r |= {"status": "failed", "reason": "MemoryError: out of memory"}
