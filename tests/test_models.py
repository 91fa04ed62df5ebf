"""Models: parameters, initialisation and results as torchvision's, where it is installed, and as recorded from it."""
from __future__ import annotations

import pickle
import warnings

import numpy as np
import pytest

import minitorch
from minitorch.vision import models
from minitorch.vision.models import _utils, inception

# Small relatives of each family, made by either library
SMALL = {
    "resnet": lambda m: m.ResNet(m.resnet.BasicBlock, [1, 1, 1, 1], num_classes=5),
    "bottleneck": lambda m: m.ResNet(m.resnet.Bottleneck, [1, 1, 1, 1], num_classes=5, groups=2, width_per_group=32,
                                     replace_stride_with_dilation=[False, True, False]),
    "squeezenet1_1": lambda m: m.squeezenet1_1(num_classes=5),
    "densenet": lambda m: m.DenseNet(8, (2, 3), 16, num_classes=5),
    "googlenet": lambda m: m.googlenet(num_classes=5, init_weights=True, aux_logits=False),
    "mobilenet_v2": lambda m: m.mobilenet_v2(num_classes=5, width_mult=0.35),
    "mobilenet_v3_small": lambda m: m.mobilenet_v3_small(num_classes=5, width_mult=0.5),
    "efficientnet": lambda m: m.EfficientNet([m.efficientnet.FusedMBConvConfig(2, 3, 1, 8, 8, 2),
                                              m.efficientnet.MBConvConfig(4, 5, 2, 8, 16, 2)], 0.2, num_classes=5),
    "shufflenet_v2_x0_5": lambda m: m.shufflenet_v2_x0_5(num_classes=5),
    "mnasnet0_5": lambda m: m.mnasnet0_5(num_classes=5),
    "convnext": lambda m: m.ConvNeXt([m.convnext.CNBlockConfig(8, 16, 1), m.convnext.CNBlockConfig(16, None, 1)],
                                     num_classes=5, layer_scale=0.5),
    "vit": lambda m: m.VisionTransformer(48, 16, 2, 2, 16, 32, num_classes=5, representation_size=8),
}
# Of torchvision 0.28 on PyTorch 2.13, made with seed 11 and run in training with seed 12 on the images of `images()`:
# parameters, the sum of their absolute values, the first three logits of the second image, and the sum of the absolute
# gradients of the sum of squared logits
RECORDED = {
    "resnet": (4908357, 103190, [-0.107934, 0.420354, 0.567295], 48687),
    "bottleneck": (6459461, 197280, [0.233845, -0.200695, -0.199795], 71093),
    "squeezenet1_1": (725061, 49992.6, [0.0784364, 0.0752404, 0.0947044], 281.73),
    "densenet": (18893, 2314.62, [0.0306648, -0.232653, -0.44363], 343.17),
    "googlenet": (5605029, 51881.9, [0.081582, -0.152484, -0.0913858], 1.0783e+06),
    "mobilenet_v2": (402533, 38378.8, [-0.0380077, 0.218358, 0.25485], 57341),
    "mobilenet_v3_small": (406829, 31358.7, [0.000839555, -0.00165054, 0.00671362], 13.394),
    "efficientnet": (10771, 1861.32, [-1.01603, 0.195766, 0.167657], 1687.2),
    "shufflenet_v2_x0_5": (346917, 20315.7, [0.532724, 0.352704, 0.147554], 1.5345e+05),
    "mnasnet0_5": (943917, 76789.1, [1.89146, -13.3656, -2.56231], 1.4842e+08),
    "convnext": (5021, 142.813, [0.0629337, -0.0420462, 0.0265149], 60.737),
    "vit": (17141, 1131.46, [-0.104488, -0.104488, -0.104488], 954.52),
}
HEAVY = ("vit_h_14", "vit_l_16", "vit_l_32")


def images(library):
    return library.linspace(-1, 1, 2 * 3 * 48 * 48).reshape(2, 3, 48, 48)


def made(name, library, family):
    library.manual_seed(11)
    model = SMALL[name](family).train()
    if name == "vit":
        model.heads.head.weight.data.fill_(0.1)  # it is zero at first
    return model


@pytest.mark.parametrize("name", SMALL)
def test_a_seeded_model_is_the_recorded_one(name):
    model = made(name, minitorch, models)
    count, total, logits, gradients = RECORDED[name]
    assert sum(p.numel() for p in model.parameters()) == count
    assert sum(float(np.abs(p.detach().numpy()).sum(dtype=float)) for p in model.parameters()) == \
        pytest.approx(total, rel=1e-5)
    minitorch.manual_seed(12)
    out = model(images(minitorch))
    np.testing.assert_allclose(out.detach().numpy()[1, :3], logits, rtol=2e-3, atol=2e-4)
    out.double().square().sum().backward()
    assert sum(float(np.abs(p.grad.numpy()).sum(dtype=float)) for p in model.parameters()) == \
        pytest.approx(gradients, rel=0.03)  # small batches make it ill-conditioned


@pytest.mark.parametrize("name", [name for name in SMALL if name != "googlenet"])  # that one takes PyTorch long
def test_a_seeded_model_is_torchvisions(name):
    torch = pytest.importorskip("torch")
    family = pytest.importorskip("torchvision.models")
    ours, theirs = made(name, minitorch, models), made(name, torch, family)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for key, value in theirs.state_dict().items():
        np.testing.assert_array_equal(ours.state_dict()[key].numpy(), value.numpy(), err_msg=key)
    assert repr(ours) == repr(theirs)
    with torch.no_grad(), minitorch.no_grad():
        expected, got = theirs.eval()(images(torch)).numpy(), ours.eval()(images(minitorch)).numpy()
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5 * (1 + np.abs(expected).max()))


@pytest.fixture
def unfilled(monkeypatch):
    """Parameters are not filled, so that even large models are made at once."""
    for name in dir(minitorch.nn.init):
        if name.endswith("_") and not name.startswith("_"):
            monkeypatch.setattr(minitorch.nn.init, name, lambda tensor, *args, **kwargs: tensor)
    warnings.simplefilter("ignore", FutureWarning)


@pytest.mark.parametrize("name", [name for name in models.list_models() if name not in HEAVY])
def test_parameters_of_all_models(name, unfilled):
    build = models.get_model_builder(name)
    model = build(aux_logits=False) if name == "googlenet" else build()  # its figure leaves them out
    assert sum(p.numel() for p in model.parameters()) == build.weights.DEFAULT.meta["num_params"]
    torch, family = pytest.importorskip("torch"), pytest.importorskip("torchvision.models")
    with torch.device("meta"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = getattr(family, name)(**({"aux_logits": False} if name == "googlenet" else {}))
    assert [(key, tuple(value.shape)) for key, value in model.state_dict().items()] == \
        [(key, tuple(value.shape)) for key, value in theirs.state_dict().items()]


def test_the_table_of_weights_is_torchvisions():
    family = pytest.importorskip("torchvision.models")
    for name in models.list_models():
        ours, theirs = models.get_model_weights(name), family.get_model_weights(name)
        assert [(m.name, m.url) for m in ours] == [(m.name, m.url) for m in theirs]
        assert ours.__name__ == theirs.__name__ and ours.DEFAULT.name == theirs.DEFAULT.name
        for mine, other in zip(ours, theirs):
            for key in ("num_params", "min_size", "categories"):
                assert mine.meta[key] == other.meta[key], (name, key)
            for key in ("crop_size", "resize_size", "mean", "std"):
                assert getattr(mine.transforms(), key) == pytest.approx(getattr(other.transforms(), key)), (name, key)
            assert mine.transforms().interpolation.value == other.transforms().interpolation.value


# Weights and the registry


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """PyTorch's cache of checkpoints, empty; no file can be fetched."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


@pytest.mark.parametrize("arguments", [{"weights": "DEFAULT"}, {"weights": "IMAGENET1K_V1"}, {"pretrained": True},
                                       {"weights": models.SqueezeNet1_1_Weights.IMAGENET1K_V1}])
def test_weights_come_from_the_cache(cache, arguments):
    minitorch.manual_seed(3)
    state = models.squeezenet1_1().state_dict()
    minitorch.save(state, cache / "squeezenet1_1-b8a52dc0.pth")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore" if "pretrained" in arguments else "error", UserWarning)
        model = models.squeezenet1_1(**arguments)
    for key, value in model.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), state[key].numpy())
    with pytest.raises(ValueError, match="'num_classes' expected value 1000 but got 10"):
        models.squeezenet1_1(num_classes=10, weights="DEFAULT")


def test_old_names_and_left_out_classifiers(cache):
    minitorch.manual_seed(3)
    state = models.densenet121().state_dict()
    old = {key.replace("norm1.", "norm.1.").replace("conv2.", "conv.2."): value for key, value in state.items()}
    assert old.keys() != state.keys()
    minitorch.save(old, cache / "densenet121-a639ec97.pth")
    model = models.densenet121(weights="DEFAULT")
    np.testing.assert_array_equal(model.classifier.weight.detach().numpy(), state["classifier.weight"].numpy())
    minitorch.save(models.googlenet(init_weights=False).state_dict(), cache / "googlenet-1378be20.pth")
    model = models.googlenet(weights="DEFAULT")
    assert model.transform_input and not model.aux_logits and model.aux1 is None and model.training


def test_missing_weights_say_where_to_put_the_file(cache, monkeypatch):
    from urllib.error import URLError

    member = models.ResNet18_Weights.DEFAULT
    monkeypatch.setattr(member._value_, "url", "http://127.0.0.1:9/resnet18-f37072fd.pth")
    with pytest.raises(URLError, match=f"place it at {cache}.resnet18-f37072fd.pth"):
        models.resnet18(weights=member)
    assert not list(cache.iterdir())


def test_legacy_arguments_warn():
    with pytest.warns(UserWarning, match="'pretrained' is deprecated; the call means weights=None"):
        assert models.shufflenet_v2_x0_5(False).fc.out_features == 1000
    with pytest.raises(TypeError, match="expected ResNet18_Weights but received ResNet34_Weights"):
        models.resnet18(weights=models.ResNet34_Weights.DEFAULT)
    with pytest.raises(KeyError):
        models.resnet18(weights="V7")


def test_registry():
    assert models.get_model("squeezenet1_1", num_classes=3).num_classes == 3
    assert models.get_weight("ResNet50_Weights.IMAGENET1K_V2") is models.ResNet50_Weights.DEFAULT
    assert models.get_model_weights(models.vgg16) is models.VGG16_Weights
    assert "vgg11" in models.list_models(models.vgg) and "resnet18" not in models.list_models(module=models.vgg)
    plain = models.list_models(include=["vgg*", "alex*"], exclude="*bn")
    assert plain == ["alexnet", "vgg11", "vgg13", "vgg16", "vgg19"]
    for name in ("resnet19", "nothing"):
        with pytest.raises(ValueError, match=f"Unknown model {name}"):
            models.get_model(name)
    for name in ("ResNet50_Weights", "Nothing.V1"):
        with pytest.raises(ValueError, match=r"Invalid weight name|couldn't be retrieved"):
            models.get_weight(name)
    with pytest.raises(AttributeError, match=r"no attribute 'segmentation'.*list_models"):
        models.segmentation  # noqa: B018
    with pytest.raises(AttributeError, match="nearest that exists is 'resnet18'"):
        models.resnet81  # noqa: B018


def test_weights_are_values():
    weights = models.ResNet50_Weights.IMAGENET1K_V2
    assert pickle.loads(pickle.dumps(weights)) is weights and repr(weights) == "ResNet50_Weights.IMAGENET1K_V2"
    assert len(weights.meta["categories"]) == 1000 and weights.meta["categories"][281] == "tabby"
    assert models.ResNet18_Weights.DEFAULT is models.ResNet18_Weights.IMAGENET1K_V1
    assert models.VGG16_Weights.IMAGENET1K_FEATURES.meta["categories"] is None
    image = minitorch.full((3, 300, 400), 255, dtype=minitorch.uint8)
    out = weights.transforms()(image)
    assert out.shape == (3, 224, 224) and out[0, 0, 0].item() == pytest.approx((1 - 0.485) / 0.229)


# What the classes take


def test_auxiliary_classifiers():
    class Mean(minitorch.nn.Module):  # the published one needs images of 299x299
        def __init__(self, in_channels, num_classes):
            super().__init__()
            self.fc = minitorch.nn.Linear(in_channels, num_classes)

        def forward(self, x):
            return self.fc(x.mean((2, 3)))

    assert inception.InceptionAux(8, 4)(minitorch.zeros(2, 8, 17, 17)).shape == (2, 4)
    blocks = [inception.BasicConv2d, inception.InceptionA, inception.InceptionB, inception.InceptionC,
              inception.InceptionD, inception.InceptionE, Mean]
    model = models.Inception3(4, init_weights=False, transform_input=True, inception_blocks=blocks).train()
    with minitorch.no_grad():
        out = model(minitorch.zeros(2, 3, 80, 80))
        assert isinstance(out, inception.InceptionOutputs) and out.logits.shape == out.aux_logits.shape == (2, 4)
        assert model.eval()(minitorch.zeros(1, 3, 80, 80)).shape == (1, 4)
        model = models.GoogLeNet(num_classes=4, init_weights=False).train()
        out = model(minitorch.zeros(2, 3, 64, 64))
    assert [part.shape for part in out] == [(2, 4)] * 3 and out._fields == ("logits", "aux_logits2", "aux_logits1")
    with pytest.warns(FutureWarning, match="init_weights=True"):
        models.GoogLeNet(num_classes=4, aux_logits=False)
    with pytest.raises(ValueError, match="should be 7 instead of 2"):
        models.Inception3(inception_blocks=blocks[:2])


def test_blocks_are_classes_to_subclass():
    class Wide(inception.InceptionA):
        def __init__(self, in_channels, pool_features):
            super().__init__(in_channels, pool_features, conv_block=inception.BasicConv2d)

        def _forward(self, x):
            return super()._forward(x)[:2]

    assert Wide(8, 4)(minitorch.zeros(1, 8, 5, 5)).shape == (1, 128, 5, 5)
    assert inception.InceptionC(8, 4)(minitorch.zeros(1, 8, 9, 9)).shape == (1, 768, 9, 9)
    assert inception.InceptionE(8)(minitorch.zeros(1, 8, 5, 5)).shape == (1, 2048, 5, 5)


@pytest.mark.parametrize("make, error, message", [
    (lambda: models.resnet.BasicBlock(4, 4, groups=2), ValueError, "groups=1"),
    (lambda: models.resnet.BasicBlock(4, 4, dilation=2), NotImplementedError, "Dilation > 1"),
    (lambda: models.resnet18(replace_stride_with_dilation=[True]), ValueError, "3-element"),
    (lambda: models.SqueezeNet("2_0"), ValueError, "1_0 or 1_1"),
    (lambda: models.mobilenetv2.InvertedResidual(4, 4, 3, 1), ValueError, "stride should be 1 or 2 instead of 3"),
    (lambda: models.MobileNetV2(inverted_residual_setting=[]), ValueError, "non-empty"),
    (lambda: models.EfficientNet([], 0.1), ValueError, "should not be empty"),
    (lambda: models.EfficientNet([3], 0.1), TypeError, "MBConvConfig"),
    (lambda: models.MNASNet(0.0), ValueError, "alpha should be greater"),
    (lambda: models.ConvNeXt([]), ValueError, "should not be empty"),
    (lambda: models.VisionTransformer(30, 16, 1, 1, 4, 4), AssertionError, "indivisible"),
    (lambda: models.resnet18(classes=3), TypeError, "classes"),
])  # fmt: skip
def test_wrong_arguments(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_zero_init_residual_and_other_norms():
    minitorch.manual_seed(0)
    model = models.resnet18(zero_init_residual=True, norm_layer=lambda width: minitorch.nn.GroupNorm(4, width))
    assert model.layer1[0].bn2.weight.abs().sum().item() == 0 and model.layer1[0].bn1.weight.sum().item() == 64


def test_vit_takes_other_sizes_and_stems():
    stem = [models.vision_transformer.ConvStemConfig(8, 3, 2), models.vision_transformer.ConvStemConfig(8, 3, 2)]
    model = models.VisionTransformer(16, 4, 1, 2, 8, 16, num_classes=3, conv_stem_configs=stem)
    assert model(minitorch.zeros(2, 3, 16, 16)).shape == (2, 3)
    with pytest.raises(AssertionError, match="Wrong image height! Expected 16 but got 17!"):
        model(minitorch.zeros(1, 3, 17, 16))
    small, large = (models.VisionTransformer(size, 4, 1, 2, 8, 16, num_classes=3) for size in (16, 32))
    state = models.vision_transformer.interpolate_embeddings(32, 4, small.state_dict())
    large.load_state_dict(state)
    assert state["encoder.pos_embedding"].shape == (1, 65, 8)


def test_intermediate_layers():
    model = models.resnet18(num_classes=2)
    getter = _utils.IntermediateLayerGetter(model, {"layer1": "low", "layer2": "high"})
    out = getter.eval()(minitorch.zeros(1, 3, 32, 32))
    assert [(name, value.shape[1]) for name, value in out.items()] == [("low", 64), ("high", 128)]
    assert "layer3" not in getter
    with pytest.raises(ValueError, match="not present in model"):
        _utils.IntermediateLayerGetter(model, {"layer9": "x"})


def test_a_model_learns():
    minitorch.manual_seed(0)
    model = SMALL["densenet"](models)
    optimizer = minitorch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    y = minitorch.tensor([0] * 4 + [1] * 4)
    x = y.reshape(8, 1, 1, 1) + 0.1 * minitorch.randn(8, 3, 32, 32)
    losses = []
    for _ in range(8):
        loss = minitorch.nn.functional.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]


def test_features_by_the_names_of_submodules():
    from minitorch.vision.models.feature_extraction import create_feature_extractor, get_graph_node_names

    minitorch.manual_seed(0)
    model = minitorch.nn.Sequential(minitorch.nn.Linear(2, 3), minitorch.nn.ReLU(), minitorch.nn.BatchNorm1d(3)).eval()
    x = minitorch.randn(4, 2)
    features = create_feature_extractor(model, {"1": "hidden", "0": "linear"})
    found = features(x)
    assert type(found) is dict and list(found) == ["hidden", "linear"]
    assert minitorch.equal(found["linear"], model[0](x)) and minitorch.equal(found["hidden"], model[:2](x))
    assert list(features.state_dict()) == list(model.state_dict()) and not features.training
    assert features.train().training and not model.training and not model[0]._forward_hooks
    features(x)
    assert model[2].num_batches_tracked == 0  # what comes after the last value does not run
    modes = create_feature_extractor(model, train_return_nodes={"0": "a"}, eval_return_nodes={"1": "b"})
    assert list(modes.train()(x)) == ["a"] and list(modes.eval()(x)) == ["b"]
    with pytest.raises(ValueError, match="'linea'"):
        create_feature_extractor(model, ["linea"])
    with pytest.raises(ValueError, match="train_return_nodes"):
        create_feature_extractor(model)
    with pytest.raises(RuntimeError, match="named_modules"):
        get_graph_node_names(model)


def test_features_of_a_residual_network_as_torchvision_gives_them():
    torch, torchvision = pytest.importorskip("torch"), pytest.importorskip("torchvision")
    from torchvision.models.feature_extraction import create_feature_extractor as theirs

    from minitorch.vision.models.feature_extraction import create_feature_extractor

    nodes = {"layer1": "one", "layer2.1.relu": "first", "layer2.1.relu_1": "second"}  # relu is called twice
    model, reference = models.resnet18(num_classes=2).eval(), torchvision.models.resnet18(num_classes=2).eval()
    model.load_state_dict({k: minitorch.tensor(v.numpy()) for k, v in reference.state_dict().items()})
    x = np.random.default_rng(0).standard_normal((1, 3, 32, 32)).astype("float32")
    with torch.no_grad():
        expected = theirs(reference, nodes)(torch.tensor(x))
    found = create_feature_extractor(model, nodes)(minitorch.tensor(x))
    assert list(found) == list(expected)
    for key, value in expected.items():
        np.testing.assert_allclose(found[key].detach().numpy(), value.numpy(), rtol=1e-4, atol=1e-4)
