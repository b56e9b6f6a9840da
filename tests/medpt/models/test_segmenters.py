"""The five segmentation networks: counts, costs, sizes, blocks, gradients, and that they learn."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from medpt.losses import balanced_cross_entropy, class_weights
from medpt.models.cenet import SMALLEST, DenseAtrous, MultiKernelPool
from medpt.models.footprint import footprint
from medpt.models.registry import ARCHITECTURES, BACKBONES, build_segmenter

# (parameters C=1, parameters C=2, decoder parameters C=2, GMAC at 256×256 with C=2)
TABLE = {
    ("resnet18", "unet"): (14_328_209, 14_328_354, 3_151_842, 5.4),
    ("resnet18", "deeplabv3plus"): (16_603_041, 16_603_298, 5_426_786, 10.3),
    ("resnet18", "cenet"): (18_894_933, 18_895_222, 7_718_710, 4.3),
    ("resnet18", "hynet"): (12_344_065, 12_344_130, 1_167_618, 9.7),
    ("resnet18", "etnet"): (11_599_362, 11_599_491, 422_979, 3.0),
    ("shufflenet_v2", "unet"): (5_481_269, 5_481_414, 4_227_810, 3.2),
    ("shufflenet_v2", "deeplabv3plus"): (10_479_301, 10_479_558, 9_225_954, 7.6),
    ("shufflenet_v2", "cenet"): (31_645_800, 31_646_089, 30_392_485, 4.1),
    ("shufflenet_v2", "hynet"): (2_446_501, 2_446_566, 1_192_962, 7.5),
    ("shufflenet_v2", "etnet"): (1_798_754, 1_798_883, 545_279, 0.8),
    ("densenet121", "unet"): (13_607_633, 13_607_778, 6_653_922, 8.4),
    ("densenet121", "deeplabv3plus"): (16_190_689, 16_190_946, 9_237_090, 11.4),
    ("densenet121", "cenet"): (38_779_189, 38_779_478, 31_825_622, 8.6),
    ("densenet121", "hynet"): (8_240_193, 8_240_258, 1_286_402, 11.2),
    ("densenet121", "etnet"): (7_823_106, 7_823_235, 869_379, 4.6),
    ("resnet50", "unet"): (32_521_105, 32_521_250, 9_013_218, 10.6),
    ("resnet50", "deeplabv3plus"): (40_347_041, 40_347_298, 16_839_266, 17.3),
    ("resnet50", "cenet"): (146_245_109, 146_245_398, 122_737_366, 18.3),
    ("resnet50", "hynet"): (24_859_905, 24_859_970, 1_351_938, 12.8),
    ("resnet50", "etnet"): (24_650_690, 24_650_819, 1_142_787, 6.3),
    ("mobilenet_v2", "unet"): (6_628_945, 6_629_090, 4_405_218, 3.4),
    ("mobilenet_v2", "deeplabv3plus"): (13_350_113, 13_350_370, 11_126_498, 8.4),
    ("mobilenet_v2", "cenet"): (49_531_093, 49_531_382, 47_307_510, 5.8),
    ("mobilenet_v2", "hynet"): (3_418_561, 3_418_626, 1_194_754, 7.7),
    ("mobilenet_v2", "etnet"): (2_784_010, 2_784_139, 560_267, 1.0),
}


@pytest.fixture(autouse=True)
def _one_seed() -> None:
    torch.manual_seed(0)


def count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def outputs(model: nn.Module, images: Tensor) -> tuple[Tensor, ...]:
    result = model(images)
    return result if isinstance(result, tuple) else (result,)


def test_table_holds_every_combination() -> None:
    assert set(TABLE) == {(b, a) for b in BACKBONES for a in ARCHITECTURES}


@pytest.mark.parametrize(("backbone", "architecture"), TABLE)
def test_segmenters_have_the_specified_counts_costs_and_sizes(backbone: str, architecture: str) -> None:
    one, two, decoder, gmac = TABLE[backbone, architecture]
    with torch.device("meta"):
        assert count(build_segmenter(architecture, backbone, 1)) == one
        model = build_segmenter(architecture, backbone, 2).eval()
        assert count(model) == two
        assert two - count(model.get_submodule("encoder")) == decoder
        with FlopCounterMode(display=False) as counter:
            model(torch.empty(1, 3, 256, 256))
        assert counter.get_total_flops() / 2e9 == pytest.approx(gmac, abs=0.06)  # the table has one decimal
        assert footprint(architecture, backbone).gmacs == pytest.approx(gmac, abs=0.06)
        for side in (256, 320):
            logits, *edges = outputs(model, torch.empty(2, 3, side, side))
            assert logits.shape == (2, 2, side, side)
            assert [e.shape for e in edges] == ([(2, 1, side, side)] if architecture == "etnet" else [])


@pytest.mark.parametrize("architecture", [a for a in ARCHITECTURES if a != "cenet"])
@pytest.mark.parametrize(("height", "width"), [(32, 32), (33, 70), (48, 100)])
@pytest.mark.parametrize("backbone", BACKBONES)
def test_segmenters_accept_any_side(architecture: str, backbone: str, height: int, width: int) -> None:
    with torch.device("meta"):
        model = build_segmenter(architecture, backbone, 3)
        assert outputs(model, torch.empty(2, 3, height, width))[0].shape == (2, 3, height, width)


@pytest.mark.parametrize(("height", "width"), [(160, 192), (192, 160), (200, 256), (256, 193)])
def test_cenet_refuses_other_sides_and_names_the_accepted_ones(height: int, width: int) -> None:
    with torch.device("meta"):
        model = build_segmenter("cenet", "resnet18", 2)
        assert model(torch.empty(1, 3, 192, 224)).shape == (1, 2, 192, 224)
        with pytest.raises(ValueError, match=f"CE-Net: images of {height}×{width} pixels; multiples of 32"):
            model(torch.empty(1, 3, height, width))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_decoders_are_initialised_as_documented(architecture: str) -> None:
    """Kaiming normal (fan_out), biases 0 where a ReLU follows; batch norm 1 and 0; else PyTorch's default."""
    model = build_segmenter(architecture, "resnet18", 2)
    plain = {"logits", "rmp.squeeze", "dac.b", "dac.c", "edge.logits"} | {
        f"gates.{i}.weigh.3" for i in range(3)
    }
    seen = 0
    for name, layer in model.named_modules():
        if isinstance(layer, nn.BatchNorm2d):
            assert torch.all(layer.weight == 1)
            assert torch.all(layer.bias == 0)
        if name.startswith("encoder.") or not isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            continue
        seen += 1
        area = layer.kernel_size[0] * layer.kernel_size[1]
        weight = layer.weight
        if name in plain:
            bound = (weight.shape[1] * area) ** -0.5
            assert 0.8 * bound < weight.abs().max() <= bound
        else:
            expected = (2 / (weight.shape[0] * area)) ** 0.5
            assert weight.std().item() == pytest.approx(expected, rel=0.1)
            assert weight.abs().max() > 2.2 * expected
            assert layer.bias is None or torch.all(layer.bias == 0)
    assert seen >= 10


def test_dense_atrous_shares_four_convolutions() -> None:
    block = DenseAtrous(512)
    assert sum(isinstance(m, nn.Conv2d) for m in block.modules()) == 4
    assert count(block) == 7_342_080
    block = DenseAtrous(6)
    x = torch.randn(2, 6, 8, 8)

    def conv(name: str, x: Tensor, rate: int) -> Tensor:
        layer = block.get_submodule(name)
        return F.conv2d(x, layer.get_parameter("weight"), layer.get_parameter("bias"), 1, rate, max(rate, 1))

    a, b, c, p = (lambda x, n=n, r=r: conv(n, x, r) for n, r in (("a", 1), ("b", 3), ("c", 5), ("p", 0)))
    branches = (a(x), p(b(x)), p(b(a(x))), p(c(b(a(x)))))
    expected = x + sum(branch.clamp(min=0) for branch in branches)
    torch.testing.assert_close(block(x), expected)


def test_multi_kernel_pool_shares_one_convolution() -> None:
    assert count(MultiKernelPool(512)) == 513
    block = MultiKernelPool(3)
    x = torch.randn(2, 3, 8, 8)
    out = block(x)
    assert out.shape == (2, 7, 8, 8)
    assert torch.equal(out[:, 4:], x)
    weight, bias = block.squeeze.weight[0, :, 0, 0], block.squeeze.bias[0]  # type: ignore[index]
    corner = torch.einsum("ncij,c->nij", x[:, :, :6, :6].amax((2, 3), keepdim=True), weight) + bias
    torch.testing.assert_close(out[:, 3], corner.expand(2, 8, 8))


def gradients(model: nn.Module, prefix: str) -> list[bool]:
    named = [(n, p) for n, p in model.named_parameters() if n.startswith(prefix)]
    assert named
    return [p.grad is not None and bool(p.grad.abs().sum() > 0) for _, p in named]


def test_etnet_edge_loss_has_gradients_in_shallow_maps_and_no_decoder_block() -> None:
    model = build_segmenter("etnet", "resnet18", 2)
    _, edges = model(torch.rand(2, 3, 64, 64))
    F.binary_cross_entropy_with_logits(edges, torch.ones_like(edges)).backward()
    for reached in ("encoder.layer1", "encoder.layer2", "edge.branches", "edge.logits"):
        assert any(gradients(model, reached))
    for untouched in ("blocks", "gates", "edge.features", "logits", "encoder.layer3", "encoder.layer4"):
        assert not any(gradients(model, untouched))


def test_etnet_segmentation_loss_has_gradients_in_the_edge_module() -> None:
    model = build_segmenter("etnet", "resnet18", 2)
    logits, _ = model(torch.rand(2, 3, 64, 64))
    F.cross_entropy(logits, torch.randint(0, 2, (2, 64, 64))).backward()
    for reached in (
        "edge.branches",
        "edge.features",
        "blocks.0",
        "blocks.2",
        "gates",
        "logits",
        "encoder.conv1",
    ):
        assert any(gradients(model, reached))
    assert not any(gradients(model, "edge.logits"))


def test_hynet_output_depends_on_every_path() -> None:
    model = build_segmenter("hynet", "resnet18", 2)
    assert [len(path.convs) for path in model.paths] == [1, 2, 3, 4]  # type: ignore[union-attr,arg-type]
    F.cross_entropy(model(torch.rand(2, 3, 64, 64)), torch.randint(0, 2, (2, 64, 64))).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name


def disc_and_ellipse(number: int, side: int) -> tuple[Tensor, Tensor]:
    y, x = torch.meshgrid(torch.linspace(-1, 1, side), torch.linspace(-1, 1, side), indexing="ij")
    masks = torch.zeros(number, side, side, dtype=torch.long)
    for mask, shift in zip(masks, torch.rand(number) * 0.4, strict=True):
        mask[(x + 0.6 - shift) ** 2 + (y + 0.4) ** 2 < 0.3**2] = 1
        mask[((x - 0.2 - shift) / 0.5) ** 2 + ((y - 0.5) / 0.25) ** 2 < 1] = 2
    grey = torch.tensor([0.5, 0.8, 0.2])[masks] + 0.1 * torch.randn(number, side, side)
    return grey.unsqueeze(1).repeat(1, 3, 1, 1), masks


def obvious_mean_iou(prediction: Tensor, target: Tensor) -> float:
    pairs = [(prediction == c, target == c) for c in range(3)]
    return sum(((p & t).sum() / (p | t).sum()).item() for p, t in pairs) / 3


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_segmenters_overfit_four_images(architecture: str) -> None:
    """Short form of bench/overfit.py: ten times the protocol's learning rate, batch statistics.

    CE-Net takes 192 pixels at least, a bottleneck of 512 channels to be quick, and class weights: without
    them its head falls silent in the shapes.
    """
    quick, cenet = (64, "shufflenet_v2", "none"), (SMALLEST, "resnet18", "inverse_frequency")
    side, backbone, weighting = cenet if architecture == "cenet" else quick
    images, masks = disc_and_ellipse(4, side)
    weights = class_weights(torch.bincount(masks.flatten()), weighting, (0.1, 20))
    model = build_segmenter(architecture, backbone, 3)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    scores = []
    for _ in range(60):
        logits = outputs(model, images)[0]
        scores.append(obvious_mean_iou(logits.argmax(dim=1), masks))
        if scores[-1] > 0.95:
            break
        optimizer.zero_grad()
        balanced_cross_entropy(logits, masks, weights).backward()
        optimizer.step()
    assert scores[0] < 0.5
    assert scores[-1] > 0.95
