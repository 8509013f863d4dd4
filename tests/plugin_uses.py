"""Uses everything that examples/plugin adds, by the public commands and functions; run where it is installed.

``python -m tests.plugin_uses FOLDER`` prints what came of it, as JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from click.testing import CliRunner

import codectok
from codectok import registry
from codectok.cli.main import main
from codectok.llm.patterns import from_dict, to_dict
from codectok.metrics import compute
from codectok.store import open_store

RATE = 16000
SUITE = """
name: theirs
about: what another package brings
tasks:
  - {task: volume, dataset: memos-volume, inputs: [crossings], probes: [gate], budget: {steps: 3, batch: 4}, seeds: [0]}
"""


def run(*args: object) -> str:
    result = CliRunner().invoke(main, [str(a) for a in args], catch_exceptions=False)
    assert result.exit_code == 0, (args, result.output)
    return result.stdout


def make_memos(folder: Path) -> None:
    rng = np.random.default_rng(0)
    for volume, level in (("loud", 0.3), ("quiet", 0.003)):
        (folder / volume).mkdir(parents=True)
        for i in range(6):
            noise = level * rng.standard_normal(RATE // 2)
            soundfile.write(folder / volume / f"{volume}{i}.wav", noise.clip(-1, 1), RATE)


def use_all(folder: Path) -> dict[str, Any]:
    memos = folder / "memos"
    make_memos(memos)
    run("corpus", "prepare", "memos", memos, "-o", folder / "manifests")
    found: dict[str, Any] = {"corpora": (folder / "manifests/loud.jsonl").read_text().count("\n")}

    (folder / "some.pipes").write_text("memos/loud/loud0.wav|hello\nmemos/quiet/quiet1.wav|there\n")
    run("tokenize", folder / "some.pipes", "-o", folder / "store", "--tokenizer", "crossings", "--format", "plain")
    run("verify", folder / "store")
    run("convert", folder / "store", "-o", folder / "again", "--format", "jsonl")
    stores = [open_store(folder / name) for name in ("store", "again")]
    found["store_formats"] = [store.info.format for store in stores]
    pairs = [list(store) for store in stores]
    found["readers"] = [key for key, _ in pairs[0]]
    tok = codectok.load("crossings")
    codes = tok.encode(memos / "loud/loud0.wav").codes
    found["tokenizers"] = [tok.name, codes.shape[1], [bool((many[0][1].codes == codes).all()) for many in pairs]]

    (folder / "units.yaml").write_text("encoder: power\nlayer: 0\nk: 4\nhours: 1\n")
    run("units", "fit", folder / "units.yaml", f"data={memos}", "-o", folder / "units")
    units = codectok.load(f"km:{folder / 'units'}")
    used = [units.encode(memos / name / f"{name}0.wav").codes.unique().tolist() for name in ("loud", "quiet")]
    found["encoders"] = [list(units.codebook_sizes), *used]

    clip = np.full(RATE, 0.25, np.float32)
    found["metrics"] = compute(["offset"], clip, clip, RATE)
    pattern = from_dict({"pattern": "reversed"})
    grid = np.arange(6).reshape(2, 3)
    found["patterns"] = [
        to_dict(pattern),
        pattern.draw(2, 2),
        bool((pattern.inverse(pattern.apply(grid), 2) == grid).all()),
    ]

    (folder / "suite.yaml").write_text(SUITE)
    run(
        "bench",
        "run",
        folder / "suite.yaml",
        "--data",
        f"memos-volume={memos}",
        "-o",
        folder / "results",
        "--workers",
        1,
    )
    row = json.loads((folder / "results/results.jsonl").read_text().splitlines()[0])
    found["datasets"], found["tasks"], found["probes"] = row["dataset"], row["task"], row["probe"]
    found["scores"] = row["scores"]
    found["listed"] = {kind: run("info", "--list", kind) for kind in registry.kinds()}
    return found


if __name__ == "__main__":
    print(json.dumps(use_all(Path(sys.argv[1])), default=str))
