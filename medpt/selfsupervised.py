"""What a plan must know of self-supervised pre-training, without torch: its methods and how long they train.

Wen et al. 2021 give neither steps nor a stop rule; these are decisions.
"""

from dataclasses import replace

from medpt.protocol import TrainingProtocol

METHODS: tuple[str, ...] = ("jigsaw", "context")
EPOCHS, LEAST_STEPS, MOST_STEPS = 20, 5_000, 20_000


def protocol(train_images: int, base: TrainingProtocol) -> TrainingProtocol:
    """`base` for so many images: max(20 epochs, 5,000 steps) but at most 20,000, validated every 250.

    An epoch is every image once.
    """
    epochs = -(-EPOCHS * train_images // base.batch_size)
    steps = min(max(epochs, LEAST_STEPS), MOST_STEPS)
    return replace(base, max_steps=steps, min_steps=min(base.min_steps, steps), evaluate_every=250)
