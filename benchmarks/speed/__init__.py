"""Speed of every job, as ratios against named peers in the same run: ``python -m benchmarks.speed``."""
