"""Which clips of the speech pack a shipped model may be fitted on: written once, before any training.

``val`` and ``mini-test`` speakers are whole speakers; large speakers also give a share of their clips to ``mini-test``,
drawn by a hash of the path, or (where they have one) of the transcript, so that no prompt stands on both sides.

``python -m train_codec.splits MANIFEST OUT`` writes the table.
"""

from __future__ import annotations

import csv
import hashlib
import sys
from pathlib import Path

from codectok.items.tables import table_rows

VAL_SPEAKERS = {
    *("klettres-uk", "ktuberling-uk", "klettres-lt", "ktuberling-lt", "klettres-hu"),
    *("klettres-da", "ktuberling-da", "tuxpaint-da-dalton"),
}
MINI_TEST_SPEAKERS = {
    *("horizons-de", "horizons-en", "horizons-fr"),
    *("kajongg-de-female2", "kajongg-de-male2", "kajongg-en-female2", "rally-ab", "klettres-nb"),
    *("ktuberling-ga", "ktuberling-sv", "ktuberling-sl", "ktuberling-ro"),
}
MINI_TEST_SHARE = {"allison": 0.15, "ivrvoice-ru": 0.12, "dalzot": 0.12}
DEFAULT_SHARE = 0.05
LARGE = ("fillets-", "tuxpaint-")


def assign(row: dict[str, str]) -> str:
    """``fit``, ``val``, ``mini-test`` or ``dev`` for one manifest row."""
    speaker = row["speaker"]
    if row["split"] == "dev":
        return "dev"
    if speaker in VAL_SPEAKERS:
        return "val"
    if speaker in MINI_TEST_SPEAKERS:
        return "mini-test"
    share = MINI_TEST_SHARE.get(speaker, DEFAULT_SHARE if speaker.startswith(LARGE) else 0.0)
    key = row["transcript"].strip().lower() or row["path"]
    draw = int(hashlib.sha256(key.encode()).hexdigest()[:8], 16) / 2**32
    return "mini-test" if draw < share else "fit"


def write_splits(manifest: Path, out: Path) -> dict[str, float]:
    """Write ``path, speaker, language, seconds, licence, use`` for each clip; returns minutes by use."""
    minutes: dict[str, float] = {}
    with open(out, "w", newline="") as sink:
        writer = csv.writer(sink, delimiter="\t", lineterminator="\n")
        writer.writerow(["path", "speaker", "language", "seconds", "licence", "use"])
        for _, row in table_rows(manifest, ("path", "speaker", "language", "seconds", "licence")):
            use = assign(row)
            minutes[use] = minutes.get(use, 0.0) + float(row["seconds"]) / 60
            writer.writerow([row["path"], row["speaker"], row["language"], row["seconds"], row["licence"], use])
    return minutes


if __name__ == "__main__":
    for name, total in sorted(write_splits(Path(sys.argv[1]), Path(sys.argv[2])).items()):
        print(f"{name}: {total:.1f} minutes")
