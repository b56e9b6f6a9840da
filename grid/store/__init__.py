"""What is finished: units are claimed, published and failed in a folder or a bucket."""
