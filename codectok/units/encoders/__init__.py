"""Speech models as feature extractors, on one exact frame grid."""
