"""`make demo`: the main job on the speech in this repository, by the same commands a user would type."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
OUT = Path("demo-out")


def run(*arguments: str) -> None:
    """Print one codectok command and run it."""
    print(f"\n$ codectok {' '.join(arguments)}", flush=True)
    subprocess.run([sys.executable, "-m", "codectok", *arguments], check=True)


def main() -> None:
    """Tokenize, encode, decode and compare; everything is written under ``demo-out``."""
    speech = str(HERE.relative_to(Path.cwd()) / "speech") if HERE.is_relative_to(Path.cwd()) else str(HERE / "speech")
    if OUT.exists():
        shutil.rmtree(OUT)
    run("info", "speech")
    run("tokenize", speech, "-o", f"{OUT}/store")
    run("encode", speech, "-o", f"{OUT}/tokens")
    run("decode", f"{OUT}/tokens", "-o", f"{OUT}/audio")
    run("encode", speech, "-o", f"{OUT}/tokens-1.5k", "--bitrate", "1.5")
    run("decode", f"{OUT}/tokens-1.5k", "-o", f"{OUT}/audio-1.5k")
    clips = [f"{speech}/{name}" for name in ("allison/0111-demo-nomatch.opus", "ivrvoice-ru/0154-dir-nomatch.opus")]
    options = ["--tokenizer", "speech", "--codebooks", "6", "--codebooks", "24"]
    run("inspect", *clips, "-o", f"{OUT}/report.html", *options)
    print(
        f"\nWritten under {OUT}/: store (parquet shards of all clips), tokens and tokens-1.5k (.ctk files), audio and "
        f"audio-1.5k (decoded .wav files),\nreport.html (open it in a browser: players, spectrograms and codes)."
    )


if __name__ == "__main__":
    main()
