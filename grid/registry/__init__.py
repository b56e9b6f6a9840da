"""Finished units shared between laboratories: published to a folder or bucket, pulled, and verified."""
