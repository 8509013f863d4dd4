"""Training of the unit tokenizer's two halves: a student of a speech model's features, and a vocoder for units."""
