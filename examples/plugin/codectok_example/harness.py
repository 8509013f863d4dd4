"""A data set, a task and a probe of the benchmarks."""

from codectok_benchmarks.contract import Clip, Dataset
from codectok_benchmarks.datasets import DatasetEntry
from codectok_benchmarks.probes import Probe
from codectok_benchmarks.probes.encoder import LinearEncoder
from codectok_benchmarks.tasks.classification import Classification


def open_memos(name, root):
    clips = [Clip(f"{p.parent.name}/{p.stem}", str(p), "", p.parent.name) for p in sorted(root.glob("*/*.wav"))]
    splits = [tuple(clips[start::3]) for start in range(3)]
    return Dataset(name, "volume", *splits[:2], {"test": splits[2]}, (), root=str(root))


MEMOS = DatasetEntry("memos-volume", "volume", open_memos, "Memos (loud and quiet)")
"""Memos, by how loud they are."""
VOLUME = Classification("volume", "volume", "linear")
"""How loud a clip is."""
GATE = Probe(lambda dim, options: LinearEncoder(dim, 2), frames=True)
"""A hidden layer of two units."""
