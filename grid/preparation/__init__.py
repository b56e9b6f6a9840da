"""Prepared data by Ray Data: images to shards, slides to patches, shards to batches."""
