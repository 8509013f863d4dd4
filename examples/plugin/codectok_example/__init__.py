"""One of every kind of thing that another package can add to codectok."""
