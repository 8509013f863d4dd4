"""Files of every format, changed at random for as long as one likes: see ``python -m tests.fuzz --help``."""
