"""The published weights: where they lie, and what a picture must go through before the model sees it."""
from __future__ import annotations

import gzip
from functools import partial
from pathlib import Path
from typing import Any

from minitorch.vision.models._api import Weights, WeightsEnum
from minitorch.vision.transforms._presets import ImageClassification
from minitorch.vision.transforms.modes import InterpolationMode

URL = "https://download.pytorch.org/models/"

# class, member (* is its DEFAULT), file, parameters, least size of image, size to scale to, size to crop,
# interpolation, top-1 and top-5 accuracy on ImageNet in percent, normalisation if it is not ImageNet's
TABLE = """
AlexNet *IMAGENET1K_V1 alexnet-owt-7be5be79.pth 61100840 63 256 224 bilinear 56.522 79.066
VGG11 *IMAGENET1K_V1 vgg11-8a719046.pth 132863336 32 256 224 bilinear 69.02 88.628
VGG11_BN *IMAGENET1K_V1 vgg11_bn-6002323d.pth 132868840 32 256 224 bilinear 70.37 89.81
VGG13 *IMAGENET1K_V1 vgg13-19584684.pth 133047848 32 256 224 bilinear 69.928 89.246
VGG13_BN *IMAGENET1K_V1 vgg13_bn-abd245e5.pth 133053736 32 256 224 bilinear 71.586 90.374
VGG16 *IMAGENET1K_V1 vgg16-397923af.pth 138357544 32 256 224 bilinear 71.592 90.382
VGG16 IMAGENET1K_FEATURES vgg16_features-amdegroot-88682ab5.pth 138357544 32 256 224 bilinear nan nan caffe
VGG16_BN *IMAGENET1K_V1 vgg16_bn-6c64b313.pth 138365992 32 256 224 bilinear 73.36 91.516
VGG19 *IMAGENET1K_V1 vgg19-dcbb9e9d.pth 143667240 32 256 224 bilinear 72.376 90.876
VGG19_BN *IMAGENET1K_V1 vgg19_bn-c79401a0.pth 143678248 32 256 224 bilinear 74.218 91.842
ResNet18 *IMAGENET1K_V1 resnet18-f37072fd.pth 11689512 1 256 224 bilinear 69.758 89.078
ResNet34 *IMAGENET1K_V1 resnet34-b627a593.pth 21797672 1 256 224 bilinear 73.314 91.42
ResNet50 IMAGENET1K_V1 resnet50-0676ba61.pth 25557032 1 256 224 bilinear 76.13 92.862
ResNet50 *IMAGENET1K_V2 resnet50-11ad3fa6.pth 25557032 1 232 224 bilinear 80.858 95.434
ResNet101 IMAGENET1K_V1 resnet101-63fe2227.pth 44549160 1 256 224 bilinear 77.374 93.546
ResNet101 *IMAGENET1K_V2 resnet101-cd907fc2.pth 44549160 1 232 224 bilinear 81.886 95.78
ResNet152 IMAGENET1K_V1 resnet152-394f9c45.pth 60192808 1 256 224 bilinear 78.312 94.046
ResNet152 *IMAGENET1K_V2 resnet152-f82ba261.pth 60192808 1 232 224 bilinear 82.284 96.002
ResNeXt50_32X4D IMAGENET1K_V1 resnext50_32x4d-7cdf4587.pth 25028904 1 256 224 bilinear 77.618 93.698
ResNeXt50_32X4D *IMAGENET1K_V2 resnext50_32x4d-1a0047aa.pth 25028904 1 232 224 bilinear 81.198 95.34
ResNeXt101_32X8D IMAGENET1K_V1 resnext101_32x8d-8ba56ff5.pth 88791336 1 256 224 bilinear 79.312 94.526
ResNeXt101_32X8D *IMAGENET1K_V2 resnext101_32x8d-110c445d.pth 88791336 1 232 224 bilinear 82.834 96.228
ResNeXt101_64X4D *IMAGENET1K_V1 resnext101_64x4d-173b62eb.pth 83455272 1 232 224 bilinear 83.246 96.454
Wide_ResNet50_2 IMAGENET1K_V1 wide_resnet50_2-95faca4d.pth 68883240 1 256 224 bilinear 78.468 94.086
Wide_ResNet50_2 *IMAGENET1K_V2 wide_resnet50_2-9ba9bcbe.pth 68883240 1 232 224 bilinear 81.602 95.758
Wide_ResNet101_2 IMAGENET1K_V1 wide_resnet101_2-32ee1156.pth 126886696 1 256 224 bilinear 78.848 94.284
Wide_ResNet101_2 *IMAGENET1K_V2 wide_resnet101_2-d733dc28.pth 126886696 1 232 224 bilinear 82.51 96.02
SqueezeNet1_0 *IMAGENET1K_V1 squeezenet1_0-b66bff10.pth 1248424 21 256 224 bilinear 58.092 80.42
SqueezeNet1_1 *IMAGENET1K_V1 squeezenet1_1-b8a52dc0.pth 1235496 17 256 224 bilinear 58.178 80.624
DenseNet121 *IMAGENET1K_V1 densenet121-a639ec97.pth 7978856 29 256 224 bilinear 74.434 91.972
DenseNet161 *IMAGENET1K_V1 densenet161-8d451a50.pth 28681000 29 256 224 bilinear 77.138 93.56
DenseNet169 *IMAGENET1K_V1 densenet169-b2777c0a.pth 14149480 29 256 224 bilinear 75.6 92.806
DenseNet201 *IMAGENET1K_V1 densenet201-c1103571.pth 20013928 29 256 224 bilinear 76.896 93.37
Inception_V3 *IMAGENET1K_V1 inception_v3_google-0cc3c7bd.pth 27161264 75 342 299 bilinear 77.294 93.45
GoogLeNet *IMAGENET1K_V1 googlenet-1378be20.pth 6624904 15 256 224 bilinear 69.778 89.53
MobileNet_V2 IMAGENET1K_V1 mobilenet_v2-b0353104.pth 3504872 1 256 224 bilinear 71.878 90.286
MobileNet_V2 *IMAGENET1K_V2 mobilenet_v2-7ebf99e0.pth 3504872 1 232 224 bilinear 72.154 90.822
MobileNet_V3_Large IMAGENET1K_V1 mobilenet_v3_large-8738ca79.pth 5483032 1 256 224 bilinear 74.042 91.34
MobileNet_V3_Large *IMAGENET1K_V2 mobilenet_v3_large-5c1a4163.pth 5483032 1 232 224 bilinear 75.274 92.566
MobileNet_V3_Small *IMAGENET1K_V1 mobilenet_v3_small-047dcff4.pth 2542856 1 256 224 bilinear 67.668 87.402
ShuffleNet_V2_X0_5 *IMAGENET1K_V1 shufflenetv2_x0.5-f707e7126e.pth 1366792 1 256 224 bilinear 60.552 81.746
ShuffleNet_V2_X1_0 *IMAGENET1K_V1 shufflenetv2_x1-5666bf0f80.pth 2278604 1 256 224 bilinear 69.362 88.316
ShuffleNet_V2_X1_5 *IMAGENET1K_V1 shufflenetv2_x1_5-3c479a10.pth 3503624 1 232 224 bilinear 72.996 91.086
ShuffleNet_V2_X2_0 *IMAGENET1K_V1 shufflenetv2_x2_0-8be3c8ee.pth 7393996 1 232 224 bilinear 76.23 93.006
MNASNet0_5 *IMAGENET1K_V1 mnasnet0.5_top1_67.823-3ffadce67e.pth 2218512 1 256 224 bilinear 67.734 87.49
MNASNet0_75 *IMAGENET1K_V1 mnasnet0_75-7090bc5f.pth 3170208 1 232 224 bilinear 71.18 90.496
MNASNet1_0 *IMAGENET1K_V1 mnasnet1.0_top1_73.512-f206786ef8.pth 4383312 1 256 224 bilinear 73.456 91.51
MNASNet1_3 *IMAGENET1K_V1 mnasnet1_3-a4c69d6f.pth 6282256 1 232 224 bilinear 76.506 93.522
EfficientNet_B0 *IMAGENET1K_V1 efficientnet_b0_rwightman-7f5810bc.pth 5288548 1 256 224 bicubic 77.692 93.532
EfficientNet_B1 IMAGENET1K_V1 efficientnet_b1_rwightman-bac287d4.pth 7794184 1 256 240 bicubic 78.642 94.186
EfficientNet_B1 *IMAGENET1K_V2 efficientnet_b1-c27df63c.pth 7794184 1 255 240 bilinear 79.838 94.934
EfficientNet_B2 *IMAGENET1K_V1 efficientnet_b2_rwightman-c35c1473.pth 9109994 1 288 288 bicubic 80.608 95.31
EfficientNet_B3 *IMAGENET1K_V1 efficientnet_b3_rwightman-b3899882.pth 12233232 1 320 300 bicubic 82.008 96.054
EfficientNet_B4 *IMAGENET1K_V1 efficientnet_b4_rwightman-23ab8bcd.pth 19341616 1 384 380 bicubic 83.384 96.594
EfficientNet_B5 *IMAGENET1K_V1 efficientnet_b5_lukemelas-1a07897c.pth 30389784 1 456 456 bicubic 83.444 96.628
EfficientNet_B6 *IMAGENET1K_V1 efficientnet_b6_lukemelas-24a108a5.pth 43040704 1 528 528 bicubic 84.008 96.916
EfficientNet_B7 *IMAGENET1K_V1 efficientnet_b7_lukemelas-c5b4e57e.pth 66347960 1 600 600 bicubic 84.122 96.908
EfficientNet_V2_S *IMAGENET1K_V1 efficientnet_v2_s-dd5fe13b.pth 21458488 33 384 384 bilinear 84.228 96.878
EfficientNet_V2_M *IMAGENET1K_V1 efficientnet_v2_m-dc08266a.pth 54139356 33 480 480 bilinear 85.112 97.156
EfficientNet_V2_L *IMAGENET1K_V1 efficientnet_v2_l-59c71312.pth 118515272 33 480 480 bicubic 85.808 97.788 half
ConvNeXt_Tiny *IMAGENET1K_V1 convnext_tiny-983f1562.pth 28589128 32 236 224 bilinear 82.52 96.146
ConvNeXt_Small *IMAGENET1K_V1 convnext_small-0c510722.pth 50223688 32 230 224 bilinear 83.616 96.65
ConvNeXt_Base *IMAGENET1K_V1 convnext_base-6075fbad.pth 88591464 32 232 224 bilinear 84.062 96.87
ConvNeXt_Large *IMAGENET1K_V1 convnext_large-ea097f82.pth 197767336 32 232 224 bilinear 84.414 96.976
ViT_B_16 *IMAGENET1K_V1 vit_b_16-c867db91.pth 86567656 224 256 224 bilinear 81.072 95.318
ViT_B_16 IMAGENET1K_SWAG_E2E_V1 vit_b_16_swag-9ac1b537.pth 86859496 384 384 384 bicubic 85.304 97.65
ViT_B_16 IMAGENET1K_SWAG_LINEAR_V1 vit_b_16_lc_swag-4e70ced5.pth 86567656 224 224 224 bicubic 81.886 96.18
ViT_B_32 *IMAGENET1K_V1 vit_b_32-d86f8d99.pth 88224232 224 256 224 bilinear 75.912 92.466
ViT_L_16 *IMAGENET1K_V1 vit_l_16-852ce7e3.pth 304326632 224 242 224 bilinear 79.662 94.638
ViT_L_16 IMAGENET1K_SWAG_E2E_V1 vit_l_16_swag-4f3808c9.pth 305174504 512 512 512 bicubic 88.064 98.512
ViT_L_16 IMAGENET1K_SWAG_LINEAR_V1 vit_l_16_lc_swag-4d563306.pth 304326632 224 224 224 bicubic 85.146 97.422
ViT_L_32 *IMAGENET1K_V1 vit_l_32-c7638314.pth 306535400 224 256 224 bilinear 76.972 93.07
ViT_H_14 *IMAGENET1K_SWAG_E2E_V1 vit_h_14_swag-80465313.pth 633470440 518 518 518 bicubic 88.552 98.694
ViT_H_14 IMAGENET1K_SWAG_LINEAR_V1 vit_h_14_lc_swag-c1eb923e.pth 632045800 224 224 224 bicubic 85.708 97.73
"""

NORMALISATIONS: dict[str, dict[str, Any]] = {
    "half": {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)},
    "caffe": {"mean": (0.48235, 0.45882, 0.40784), "std": (1 / 255, 1 / 255, 1 / 255)},
}

_classes = Path(__file__).parents[1] / "data" / "imagenet_classes.txt.gz"
CATEGORIES = gzip.decompress(_classes.read_bytes()).decode().splitlines()


def _weights(row: list[str]) -> Weights:
    file, parameters, least, resize, crop, interpolation, top1, top5, *normalisation = row
    transforms = partial(
        ImageClassification, crop_size=int(crop), resize_size=int(resize),
        interpolation=InterpolationMode(interpolation), **NORMALISATIONS.get("".join(normalisation), {}),
    )
    meta: dict[str, Any] = {
        "num_params": int(parameters),
        "min_size": (int(least), int(least)),
        "categories": CATEGORIES if top1 != "nan" else None,  # None: features only, no classifier
        "_metrics": {"ImageNet-1K": {"acc@1": float(top1), "acc@5": float(top5)}},
    }
    return Weights(URL + file, transforms, meta)


def _enums() -> dict[str, Any]:
    """The WeightsEnum classes by name, each with its members and DEFAULT."""
    members: dict[str, dict[str, Weights]] = {}
    for line in TABLE.split("\n")[1:-1]:
        owner, member, *row = line.split()
        values = members.setdefault(f"{owner}_Weights", {})
        values[member.lstrip("*")] = _weights(row)
        if member.startswith("*"):
            values["DEFAULT"] = values[member[1:]]
    make: Any = WeightsEnum
    for values in members.values():
        values["DEFAULT"] = values.pop("DEFAULT")  # last, so that it is the alias
    return {name: make(name, values, module=__name__) for name, values in members.items()}


ENUMS = _enums()
globals().update(ENUMS)
