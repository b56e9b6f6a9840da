"""A folder of images to an answer: `medpt-grid compare DIR` writes a card and a space, and runs the space."""
