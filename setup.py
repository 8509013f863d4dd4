"""Which packages are installed: the folder ``benchmarks`` under the name that ``pyproject.toml`` gives it."""

from setuptools import find_packages, setup

FOUND = find_packages(include=["codectok*", "train_codec*", "kmeans_units*", "benchmarks*"])

setup(packages=[f"codectok_{name}" if name.partition(".")[0] == "benchmarks" else name for name in FOUND])
