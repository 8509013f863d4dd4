"""The ``codectok`` command. One file a group of commands; heavy imports stand inside the functions."""
