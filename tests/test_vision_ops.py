"""Boxes, regions, building blocks, drawing and image files: closed forms, and torchvision where it is installed."""
from __future__ import annotations

import io as bytes_io
import math

import numpy as np
import pytest

import minitorch
from minitorch.vision import io, ops, utils

rng = np.random.default_rng(5)


def boxes(count, dtype=np.float32):
    corners = rng.random((count, 4)) * 10
    corners[:, 2:] += corners[:, :2]
    return corners.astype(dtype)


A, B = boxes(5), boxes(5)


def pair(array):
    """As a tensor of PyTorch and as one of minitorch."""
    torch = pytest.importorskip("torch")
    return torch.from_numpy(array.copy()), minitorch.from_numpy(array.copy())


def tensor(*rows, dtype=None):
    return minitorch.tensor(list(rows), dtype=dtype)


# Boxes


def test_closed_forms_of_overlap():
    one, other = tensor([0.0, 0, 2, 2]), tensor([1.0, 0, 3, 2])
    assert ops.box_iou(one, other).item() == pytest.approx(1 / 3)
    far = tensor([4.0, 0, 6, 2])
    assert ops.generalized_box_iou(one, far).item() == pytest.approx(-(12 - 8) / 12)
    assert ops.distance_box_iou(one, far).item() == pytest.approx(-16 / 40)
    assert ops.complete_box_iou(one, tensor([0.0, 0, 4, 4])).item() == pytest.approx(0.25 - 2 / 32)
    assert ops.box_iou(minitorch.zeros(0, 4), other).shape == (0, 1)
    assert ops.box_area(minitorch.tensor([[0, 0, 200, 200]], dtype=minitorch.uint8)).item() == 40000


@pytest.mark.parametrize("name", ["box_iou", "generalized_box_iou", "distance_box_iou", "complete_box_iou",
                                  "generalized_box_iou_loss", "distance_box_iou_loss", "complete_box_iou_loss"])
def test_overlap_as_torchvision(name):
    family = pytest.importorskip("torchvision.ops")
    (a1, a2), (b1, b2) = pair(A), pair(B)
    np.testing.assert_allclose(getattr(ops, name)(a2, b2).numpy(), getattr(family, name)(a1, b1).numpy(), atol=1e-6)


@pytest.mark.parametrize("name", ["generalized_box_iou_loss", "distance_box_iou_loss", "complete_box_iou_loss"])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_gradients_of_box_losses(name, reduction):
    family = pytest.importorskip("torchvision.ops")
    (a1, a2), (b1, b2) = pair(A), pair(B)
    for a, b, library in ((a1, b1, family), (a2, b2, ops)):
        getattr(library, name)(a.requires_grad_(), b, reduction=reduction).backward()
    np.testing.assert_allclose(a2.grad.numpy(), a1.grad.numpy(), rtol=1e-4, atol=1e-6)
    with pytest.raises(ValueError, match="reduction"):
        getattr(ops, name)(a2, b2, reduction="max")


@pytest.mark.parametrize("first", ["xyxy", "xywh", "cxcywh"])
@pytest.mark.parametrize("second", ["xyxy", "xywh", "cxcywh"])
def test_box_convert(first, second):
    there = ops.box_convert(minitorch.from_numpy(A), "xyxy", first)
    again = ops.box_convert(ops.box_convert(there, first, second), second, "xyxy")
    np.testing.assert_allclose(again.numpy(), A, rtol=1e-5)
    np.testing.assert_allclose(ops.box_area(there, first).numpy(), (A[:, 2:] - A[:, :2]).prod(1), rtol=1e-4)
    with pytest.raises(ValueError, match="in_fmt xyxy and out_fmt round"):
        ops.box_convert(there, "xyxy", "round")


def plain_nms(corners, scores, threshold):
    kept = []
    for i in np.argsort(-scores, kind="stable"):
        if all(ops.box_iou(tensor(corners[i].tolist()), tensor(corners[k].tolist())).item() <= threshold for k in kept):
            kept.append(int(i))
    return kept


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.9])
def test_nms(threshold):
    corners, scores = boxes(12), rng.random(12).astype(np.float32)
    got = ops.nms(minitorch.from_numpy(corners), minitorch.from_numpy(scores), threshold)
    assert got.dtype == minitorch.int64 and got.tolist() == plain_nms(corners, scores, threshold)
    groups = rng.integers(0, 3, 12)
    each = []
    for members in (np.flatnonzero(groups == group) for group in range(3)):
        each += members[plain_nms(corners[members], scores[members], threshold)].tolist()
    got = ops.batched_nms(minitorch.from_numpy(corners), minitorch.from_numpy(scores), minitorch.from_numpy(groups),
                          threshold)
    assert got.tolist() == sorted(each, key=lambda i: -scores[i])


def test_nms_of_nothing_and_of_wrong_shapes():
    assert ops.nms(minitorch.zeros(0, 4), minitorch.zeros(0), 0.5).tolist() == []
    assert ops.batched_nms(minitorch.zeros(0, 4), minitorch.zeros(0), minitorch.zeros(0).long(), 0.5).tolist() == []
    with pytest.raises(RuntimeError, match=r"nms: boxes should be a 2d tensor of shape \(N, 4\), got \(3, 5\)"):
        ops.nms(minitorch.zeros(3, 5), minitorch.zeros(3), 0.5)
    with pytest.raises(RuntimeError, match="same number of elements, got 3 boxes"):
        ops.nms(minitorch.zeros(3, 4), minitorch.zeros(2), 0.5)


def test_other_box_functions():
    inside = ops.clip_boxes_to_image(tensor([-1.0, 2, 30, 4]), (3, 10))
    assert inside.tolist() == [[0, 2, 10, 3]]
    assert ops.remove_small_boxes(tensor([0.0, 0, 1, 5], [0.0, 0, 2, 2]), 2).tolist() == [1]
    masks = minitorch.zeros(2, 5, 6, dtype=minitorch.bool)
    masks[0, 1:3, 2:5] = True
    assert ops.masks_to_boxes(masks).tolist() == [[2, 1, 4, 2], [0, 0, 0, 0]]
    assert ops.masks_to_boxes(minitorch.zeros(0, 5, 6)).shape == (0, 4)


def test_sigmoid_focal_loss():
    logits, targets = rng.standard_normal(9), (rng.random(9) > 0.5).astype(float)
    p = 1 / (1 + np.exp(-logits))
    of_truth = np.where(targets == 1, p, 1 - p)
    for alpha, gamma in ((0.25, 2), (0.6, 0.5), (-1, 1)):
        weight = 1 if alpha < 0 else np.where(targets == 1, alpha, 1 - alpha)
        expected = -weight * (1 - of_truth) ** gamma * np.log(of_truth)
        got = ops.sigmoid_focal_loss(minitorch.from_numpy(logits), minitorch.from_numpy(targets), alpha, gamma)
        np.testing.assert_allclose(got.numpy(), expected, rtol=1e-9)
    with pytest.raises(ValueError, match="Invalid alpha"):
        ops.sigmoid_focal_loss(minitorch.zeros(1), minitorch.zeros(1), alpha=2)


# Regions


def plain_roi_align(x, roi, out, scale, samples, aligned):
    """One region, sample by sample."""
    image, (x1, y1, x2, y2) = int(roi[0]), np.array(roi[1:]) * scale - (0.5 if aligned else 0)
    width, height = (x2 - x1, y2 - y1) if aligned else (max(x2 - x1, 1), max(y2 - y1, 1))
    rows, columns = x.shape[2:]
    result = np.zeros((x.shape[1], *out))
    down, across = samples or math.ceil(height / out[0]), samples or math.ceil(width / out[1])
    for i in range(out[0]):
        for j in range(out[1]):
            for a in range(down):
                for b in range(across):
                    y = y1 + (i + (a + 0.5) / down) * height / out[0]
                    z = x1 + (j + (b + 0.5) / across) * width / out[1]
                    if y < -1 or y > rows or z < -1 or z > columns:
                        continue
                    y, z = min(max(y, 0), rows - 1), min(max(z, 0), columns - 1)
                    top, left = int(y), int(z)
                    below, right = min(top + 1, rows - 1), min(left + 1, columns - 1)
                    v, w = y - top, z - left
                    above = (1 - w) * x[image, :, top, left] + w * x[image, :, top, right]
                    result[:, i, j] += (1 - v) * above
                    result[:, i, j] += v * ((1 - w) * x[image, :, below, left] + w * x[image, :, below, right])
    return result / max(down * across, 1)


ROIS = [[0, 1.3, 2.2, 9.1, 12.0], [1, -2, -1, 5, 5], [0, 3, 3, 3.2, 3.1], [1, 0, 0, 12.9, 16.8], [0, 20, 20, 30, 30]]


@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize("samples", [0, 2])
def test_roi_align(samples, aligned):
    x = rng.standard_normal((2, 3, 17, 13))
    expected = [plain_roi_align(x, roi, (3, 2), 0.9, samples, aligned) for roi in ROIS]
    got = ops.roi_align(minitorch.from_numpy(x), tensor(*ROIS), (3, 2), 0.9, samples or -1, aligned)
    np.testing.assert_allclose(got.numpy(), expected, atol=1e-6)
    layer = ops.RoIAlign((3, 2), 0.9, samples or -1, aligned)
    split = [tensor(*(roi[1:] for roi in ROIS if roi[0] == i)) for i in (0, 1)]
    order = [0, 2, 4, 1, 3]
    np.testing.assert_allclose(layer(minitorch.from_numpy(x), split).numpy(), np.array(expected)[order], atol=1e-6)


def test_roi_align_is_differentiable():
    x = minitorch.randn(1, 2, 6, 6, dtype=minitorch.float64, requires_grad=True)
    ops.roi_align(x, tensor([0.0, 0, 0, 5, 5]), 2, aligned=True).sum().backward()
    assert x.grad.sum().item() == pytest.approx(8)
    assert ops.roi_align(x, minitorch.zeros(0, 5), 2).shape == (0, 2, 2, 2)
    with pytest.raises(RuntimeError, match=r"boxes \(K, 5\)"):
        ops.roi_align(x, minitorch.zeros(1, 4), 2)


def test_roi_pool():
    x = minitorch.arange(36.0).reshape(1, 1, 6, 6).requires_grad_()
    out = ops.roi_pool(x, tensor([0.0, 0, 0, 3, 3], [0.0, 4, 4, 9, 9]), 2)
    assert out.tolist() == [[[[7, 9], [19, 21]]], [[[35, 0], [0, 0]]]]
    assert ops.RoIPool(1, 0.5)(x, tensor([0.0, 0, 0, 6, 6])).item() == 21
    out.sum().backward()
    assert x.grad.sum().item() == 5


# Blocks


@pytest.mark.parametrize("arguments", [{}, {"kernel_size": (3, 5)}, {"norm_layer": None, "activation_layer": None},
                                       {"dilation": 2, "groups": 2, "inplace": None}, {"stride": 2, "bias": True}])
def test_conv_norm_activation(arguments):
    minitorch.manual_seed(0)
    block = ops.Conv2dNormActivation(4, 6, **arguments)
    out = block(minitorch.randn(2, 4, 9, 8))
    assert out.shape[2:] == ((5, 4) if "stride" in arguments else (9, 8)) and block.out_channels == 6
    family, torch = pytest.importorskip("torchvision.ops"), pytest.importorskip("torch")
    torch.manual_seed(0)
    theirs = family.Conv2dNormActivation(4, 6, **arguments)
    assert repr(block) == repr(theirs)
    np.testing.assert_allclose(out.detach().numpy(), theirs(torch.randn(2, 4, 9, 8)).detach().numpy(), atol=1e-5)


def test_blocks():
    assert ops.Conv3dNormActivation(2, 3)(minitorch.zeros(1, 2, 4, 4, 4)).shape == (1, 3, 4, 4, 4)
    with pytest.warns(UserWarning, match="use Conv2dNormActivation"):
        ops.misc.ConvNormActivation(2, 3)
    assert ops.Permute([0, 2, 1])(minitorch.zeros(1, 2, 3)).shape == (1, 3, 2)
    assert ops.SqueezeExcitation(4, 2)(minitorch.ones(1, 4, 3, 3)).shape == (1, 4, 3, 3)
    assert [type(layer).__name__ for layer in ops.MLP(3, [4, 5], norm_layer=minitorch.nn.LayerNorm)] == \
        ["Linear", "LayerNorm", "ReLU", "Dropout", "Linear", "Dropout"]
    plain, frozen = minitorch.nn.BatchNorm2d(3), ops.FrozenBatchNorm2d(3)
    plain.weight.data, plain.running_var = minitorch.rand(3), minitorch.rand(3) + 0.5
    frozen.load_state_dict(plain.state_dict())
    x = minitorch.randn(2, 3, 4, 4)
    np.testing.assert_allclose(frozen(x).numpy(), plain.eval()(x).detach().numpy(), atol=1e-6)
    assert not list(frozen.parameters()) and repr(frozen) == "FrozenBatchNorm2d(3, eps=1e-05)"


def test_stochastic_depth():
    x = minitorch.ones(400, 2)
    minitorch.manual_seed(0)
    rows = ops.StochasticDepth(0.25, "row").train()(x)
    assert sorted(set(rows.reshape(-1).tolist())) == [0.0, pytest.approx(4 / 3)] and (rows[:, 0] == rows[:, 1]).all()
    assert 0.65 < (rows[:, 0] > 0).float().mean().item() < 0.85
    whole = ops.stochastic_depth(x, 0.5, "batch")
    assert len(set(whole.reshape(-1).tolist())) == 1
    assert ops.stochastic_depth(x, 1.0, "row").sum().item() == 0
    assert ops.StochasticDepth(0.5, "row").eval()(x) is x
    for p, mode in ((1.5, "row"), (0.5, "column")):
        with pytest.raises(ValueError, match="stochastic_depth"):
            ops.stochastic_depth(x, p, mode)


@pytest.mark.parametrize("name, shape", [("drop_block2d", (2, 3, 9, 8)), ("drop_block3d", (2, 3, 5, 7, 8))])
def test_drop_block(name, shape):
    function, x = getattr(ops, name), minitorch.ones(shape)
    minitorch.manual_seed(1)
    out = function(x, 0.3, 3)
    assert out.mean().item() == pytest.approx(1.0, abs=1e-5) and (out == 0).any()
    layer = {"drop_block2d": ops.DropBlock2d, "drop_block3d": ops.DropBlock3d}[name](0.3, 3, inplace=True).train()
    minitorch.manual_seed(1)
    y = x.clone()
    assert layer(y) is y and (y == out).all() and (layer.eval()(x) is x)
    for bad, message in (((x, 2.0, 3), "drop probability"), ((x[0], 0.1, 3), "dimensional"), ((x, 0.1, 2), "odd")):
        with pytest.raises(ValueError, match=message):
            function(*bad)
    family, torch = pytest.importorskip("torchvision.ops"), pytest.importorskip("torch")
    torch.manual_seed(1)
    np.testing.assert_allclose(out.numpy(), getattr(family, name)(torch.ones(shape), 0.3, 3).numpy(), rtol=1e-6)


def test_what_is_not_there_is_named():
    with pytest.raises(AttributeError, match="'deform_conv2d'"):
        ops.deform_conv2d  # noqa: B018
    with pytest.raises(AttributeError, match=r"'read_video'.*no video"):
        io.read_video  # noqa: B018


# Drawing

PIXELS = rng.integers(0, 256, (3, 30, 40), dtype=np.uint8)
DRAWN = np.array([[2, 3, 20, 25], [10.7, 5, 34, 28]])


@pytest.mark.parametrize("arguments", [{}, {"labels": ["a", "bcd"], "colors": ["red", (1, 2, 3)], "width": 2},
                                       {"fill": True, "colors": "#00FF00"},
                                       {"labels": ["x", "y"], "fill_labels": True}])
@pytest.mark.parametrize("kind", ["bytes", "floats", "grey"])
def test_draw_bounding_boxes(kind, arguments):
    pytest.importorskip("PIL")
    image = {"bytes": PIXELS, "floats": (PIXELS / 255).astype(np.float32), "grey": PIXELS[:1]}[kind]
    out = utils.draw_bounding_boxes(minitorch.from_numpy(image), minitorch.from_numpy(DRAWN), **arguments)
    assert out.shape == (3, 30, 40) and str(out.dtype).endswith("uint8" if kind != "floats" else "float32")
    changed = (out.float() != minitorch.from_numpy(image).expand(3, 30, 40).float()).any(dim=0)
    assert changed[3, 2:20].all() and not changed[0].any()
    family = pytest.importorskip("torchvision.utils")
    torch = pytest.importorskip("torch")
    expected = family.draw_bounding_boxes(torch.from_numpy(image), torch.from_numpy(DRAWN), **arguments)
    np.testing.assert_allclose(out.numpy(), expected.numpy(), atol=1e-6)


def test_draw_masks_and_keypoints():
    pytest.importorskip("PIL")
    image = minitorch.full((3, 4, 5), 100, dtype=minitorch.uint8)
    masks = minitorch.zeros(2, 4, 5, dtype=minitorch.bool)
    masks[0, 0], masks[1, :, 0] = True, True
    out = utils.draw_segmentation_masks(image, masks, alpha=0.5, colors=[(200, 0, 0), "blue"])
    assert out[:, 0, 1].tolist() == [150, 50, 50] and out[:, 2, 0].tolist() == [50, 50, 177]
    assert out[:, 0, 0].tolist() == [50, 50, 50] and out[:, 3, 4].tolist() == [100, 100, 100]
    points = utils.draw_keypoints(minitorch.from_numpy(PIXELS), tensor([[5.0, 6.0], [20.0, 9.0]]).reshape(1, 2, 2),
                                  connectivity=[(0, 1)], colors="red")
    assert points[:, 6, 4].tolist() == [255, 0, 0]
    unseen = utils.draw_keypoints(minitorch.from_numpy(PIXELS), minitorch.ones(1, 1, 2),
                                  visibility=minitorch.zeros(1, 1))
    assert (unseen == minitorch.from_numpy(PIXELS)).all()


@pytest.mark.parametrize("call, error, message", [
    (lambda x, b: utils.draw_bounding_boxes(x.numpy(), b), TypeError, "Tensor expected"),
    (lambda x, b: utils.draw_bounding_boxes(x[None], b), ValueError, "not batches"),
    (lambda x, b: utils.draw_bounding_boxes(x[:2], b), ValueError, "got 2 channels"),
    (lambda x, b: utils.draw_bounding_boxes(x.long(), b), ValueError, "uint8 or float"),
    (lambda x, b: utils.draw_bounding_boxes(x, b.flip(1)), ValueError, "xmin, ymin, xmax, ymax"),
    (lambda x, b: utils.draw_bounding_boxes(x, b, labels=["a"]), ValueError, "labels"),
    (lambda x, b: utils.draw_bounding_boxes(x, b, colors=["red"]), ValueError, "1 < 2"),
    (lambda x, b: utils.draw_segmentation_masks(x, x[:1]), ValueError, "dtype bool"),
    (lambda x, b: utils.draw_segmentation_masks(x, x[:, :4] > 5), ValueError, "same height"),
    (lambda x, b: utils.draw_keypoints(x, b), ValueError, "num_instances"),
])  # fmt: skip
def test_wrong_drawings(call, error, message):
    pytest.importorskip("PIL")
    with pytest.raises(error, match=message):
        call(minitorch.from_numpy(PIXELS), minitorch.from_numpy(DRAWN))


def test_nothing_to_draw():
    image = minitorch.from_numpy(PIXELS)
    with pytest.warns(UserWarning, match="No box was drawn"):
        assert utils.draw_bounding_boxes(image, minitorch.zeros(0, 4)) is image
    with pytest.warns(UserWarning, match="No mask was drawn"):
        assert utils.draw_segmentation_masks(image, minitorch.zeros(0, 30, 40, dtype=minitorch.bool)) is image


# Files


def test_png_and_jpeg(tmp_path):
    library = pytest.importorskip("PIL.Image")
    image = minitorch.from_numpy(PIXELS)
    io.write_png(image, tmp_path / "a.png", compression_level=1)
    assert (io.read_image(str(tmp_path / "a.png")) == image).all()
    assert (io.decode_image(tmp_path / "a.png") == image).all()
    grey = io.read_image(tmp_path / "a.png", io.ImageReadMode.GRAY)
    np.testing.assert_array_equal(grey[0].numpy(), np.asarray(library.open(tmp_path / "a.png").convert("L")))
    assert io.read_image(tmp_path / "a.png", mode="rgb_alpha").shape == (4, 30, 40)
    assert (io.decode_png(io.encode_png(image[:1])) == image[:1]).all()
    smooth = minitorch.arange(0, 240, dtype=minitorch.uint8).reshape(1, 1, 240).expand(3, 16, 240)
    io.write_jpeg(smooth, tmp_path / "b.jpg", quality=95)
    assert (io.read_image(tmp_path / "b.jpg").float() - smooth.float()).abs().max().item() < 6
    assert [part.shape for part in io.decode_jpeg([io.encode_jpeg(smooth), io.encode_jpeg(smooth[:1])])] == \
        [(3, 16, 240), (1, 16, 240)]


def test_palettes_animations_and_orientation(tmp_path):
    library = pytest.importorskip("PIL.Image")
    picture = library.fromarray(PIXELS.transpose(1, 2, 0))
    picture.convert("P").save(tmp_path / "p.png")
    assert io.read_image(tmp_path / "p.png").shape == (3, 30, 40)
    picture.save(tmp_path / "a.gif", save_all=True, append_images=[picture.rotate(90), picture.rotate(180)])
    assert io.decode_gif(io.read_file(tmp_path / "a.gif")).shape == (3, 3, 30, 40)
    exif = library.Exif()
    exif[0x0112] = 6  # turned by a quarter
    file = bytes_io.BytesIO()
    picture.save(file, "PNG", exif=exif)
    data = minitorch.from_numpy(np.frombuffer(file.getvalue(), np.uint8).copy())
    assert io.decode_image(data).shape == (3, 30, 40)
    assert io.decode_image(data, apply_exif_orientation=True).shape == (3, 40, 30)


def test_wrong_files(tmp_path):
    pytest.importorskip("PIL")
    (tmp_path / "x.png").write_bytes(b"<html>")
    with pytest.raises(RuntimeError, match="the 6 bytes are no image"):
        io.read_image(tmp_path / "x.png")
    with pytest.raises(RuntimeError, match=r"uint8 tensor of 3 dimensions, got .*float32"):
        io.encode_png(minitorch.zeros(3, 2, 2))
    with pytest.raises(RuntimeError, match="1 or 3, got: 4"):
        io.encode_jpeg(minitorch.zeros(4, 2, 2, dtype=minitorch.uint8))
    with pytest.raises(ValueError, match="between 1 and 100"):
        io.encode_jpeg(minitorch.zeros(3, 2, 2, dtype=minitorch.uint8), quality=0)
    with pytest.raises(RuntimeError, match="between 0 and 9"):
        io.encode_png(minitorch.zeros(3, 2, 2, dtype=minitorch.uint8), compression_level=11)
