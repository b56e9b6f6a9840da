"""The classifier: an encoder, global average pooling, one linear layer, as torchvision's own networks end."""

from torch import Tensor, nn

from medpt.models.registry import build_encoder


class Classifier(nn.Module):
    """Images (N, 3, H, W) to logits (N, num_classes). No dropout; PyTorch's own initial head."""

    def __init__(self, backbone: str, num_classes: int) -> None:
        super().__init__()
        self.encoder = build_encoder(backbone)
        self.logits = nn.Linear(self.encoder.channels[-1], num_classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.logits(self.encoder(images)[-1].mean(dim=(2, 3)))
