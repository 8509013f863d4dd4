"""Files and folders: how what codectok keeps on disk is written and read."""
