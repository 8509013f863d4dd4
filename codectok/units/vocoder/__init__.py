"""A voice for units: from codes back to sound."""
