"""Finished work as tables: frames, cells, effects and their statistics."""
