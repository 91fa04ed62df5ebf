"""TensorBoard's records (protocol buffers of the package tensorboard) from tensors and arrays."""
from __future__ import annotations

import io
import math
import struct
import wave
from typing import Any

import numpy as np

from ...errors import MissingError
from ...tensor import Tensor


def as_array(x: Any) -> np.ndarray:
    """A tensor, array, number or list as a NumPy array."""
    return x.numpy(force=True) if isinstance(x, Tensor) else np.asarray(x)


def _protos() -> Any:
    from tensorboard.compat.proto import summary_pb2

    return summary_pb2


def _metadata(plugin: str, content: bytes = b"") -> Any:
    proto = _protos().SummaryMetadata
    return proto(plugin_data=proto.PluginData(plugin_name=plugin, content=content))


def _tensor(values: Any, dtype: str, **fields: Any) -> Any:
    from tensorboard.compat.proto.tensor_pb2 import TensorProto
    from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto

    shape = TensorShapeProto(dim=[TensorShapeProto.Dim(size=n) for n in np.shape(values)])
    return TensorProto(dtype=dtype, tensor_shape=shape, **fields)


def _summary(tag: str, **value: Any) -> Any:
    proto = _protos().Summary
    return proto(value=[proto.Value(tag=tag, **value)])


def scalar(tag: str, value: Any, new_style: bool = False, double_precision: bool = False) -> Any:
    """One number."""
    array = as_array(value)
    if array.size != 1:
        raise AssertionError(f"Tensor should contain one element (0 dimensions). Was given size: {array.size} and "
                             f"{array.ndim} dimensions.")
    number = float(array.reshape(()))
    if not new_style:
        return _summary(tag, simple_value=number)
    if double_precision:
        tensor = _tensor((), "DT_DOUBLE", double_val=[number])
    else:
        tensor = _tensor((), "DT_FLOAT", float_val=[number])
    return _summary(tag, tensor=tensor, metadata=_metadata("scalars"))


def _default_bins() -> np.ndarray:
    """TensorFlow's: growing by a tenth from 1e-12 to 1e20, on both sides of zero."""
    v, positive = 1e-12, []
    while v < 1e20:
        positive.append(v)
        v *= 1.1
    return np.array([-x for x in reversed(positive)] + [0.0] + positive)


def histogram(tag: str, values: Any, bins: Any = "tensorflow", max_bins: int | None = None) -> Any:
    """How values are distributed: counts between limits, empty ends left out."""
    from tensorboard.compat.proto.summary_pb2 import HistogramProto

    flat = as_array(values).astype(np.float64).reshape(-1)
    if flat.size == 0:
        raise ValueError("The input has no element.")
    if not np.isfinite(flat).any():
        raise ValueError("The histogram is empty, please file a bug report: no value is finite")
    counts, limits = np.histogram(flat[np.isfinite(flat)], _default_bins() if bins == "tensorflow" else bins)
    if max_bins is not None and len(counts) > max_bins:
        step = len(counts) // max_bins
        counts = np.pad(counts, (0, -len(counts) % step)).reshape(-1, step).sum(1)
        limits = np.concatenate([limits[:-1:step], limits[-1:]])
    filled = np.nonzero(counts)[0]
    first, last = filled[0], filled[-1]
    kept = [*([0] if first == 0 else []), *counts[max(first - 1, 0):last + 1].tolist()]  # an empty one before
    edges = limits[max(first - 1, 0) + (0 if first == 0 else 1):last + 2].tolist()
    proto = HistogramProto(min=flat.min(), max=flat.max(), num=flat.size, sum=flat.sum(),
                           sum_squares=flat.dot(flat), bucket_limit=edges, bucket=kept)
    return _summary(tag, histo=proto)


def histogram_raw(tag: str, lowest: float, highest: float, num: int, total: float, squares: float, limits: Any,
                  counts: Any) -> Any:
    """A distribution that has been counted already."""
    from tensorboard.compat.proto.summary_pb2 import HistogramProto

    return _summary(tag, histo=HistogramProto(min=lowest, max=highest, num=num, sum=total, sum_squares=squares,
                                              bucket_limit=list(limits), bucket=list(counts)))


# Images

def to_hwc(x: np.ndarray, formats: str) -> np.ndarray:
    """An image as (H, W, 3), from dimensions in the order `formats`, a letter each; several images side by side.

    Raises AssertionError where the letters do not fit the dimensions.
    """
    formats = formats.upper()
    if len(set(formats)) != len(formats) or len(formats) != x.ndim:
        raise AssertionError(f"size of input tensor and input format are different. tensor shape: {x.shape}, "
                             f"input_format: {formats}")
    if len(formats) == 4:
        images = x.transpose([formats.index(c) for c in "NCHW"])
        rows = math.ceil(math.sqrt(len(images)))
        columns = math.ceil(len(images) / rows)
        _, channels, h, w = images.shape
        grid = np.zeros((3, h * columns, w * rows), x.dtype)
        for i, image in enumerate(np.repeat(images, 3, 1) if channels == 1 else images[:, :3]):
            r, c = divmod(i, rows)
            grid[:, r * h:(r + 1) * h, c * w:(c + 1) * w] = image
        return grid.transpose(1, 2, 0)
    if len(formats) == 3:
        image = x.transpose([formats.index(c) for c in "HWC"])
        return np.repeat(image, 3, 2) if image.shape[2] == 1 else image
    image = x.transpose([formats.index(c) for c in "HW"])
    return np.stack([image] * 3, 2)


def _bytes_of(image: np.ndarray) -> np.ndarray:
    return image if image.dtype == np.uint8 else (image * 255).clip(0, 255).astype(np.uint8)


def _pillow() -> Any:
    try:
        from PIL import Image
    except ImportError:
        raise MissingError("images for TensorBoard need the package Pillow: pip install pillow") from None
    return Image


def _encoded(pixels: np.ndarray) -> Any:
    file = io.BytesIO()
    _pillow().fromarray(pixels).save(file, format="PNG")
    h, w, channels = pixels.shape
    return _protos().Summary.Image(height=h, width=w, colorspace=channels, encoded_image_string=file.getvalue())


def sprite(images: np.ndarray, path: str) -> None:
    """Write square images (N, C, H, W) as one: as many to a row as there are rows, the last ones black."""
    across = math.ceil(len(images) ** 0.5)
    missing = np.zeros((across * across - len(images), *images.shape[1:]), images.dtype)
    pixels = to_hwc(np.concatenate([images, missing]), "NCHW")
    _pillow().fromarray((pixels * 255.0).clip(0, 255).astype(np.uint8)).save(path, format="PNG")


def image(tag: str, x: Any, formats: str = "NCHW") -> Any:
    """An image as PNG."""
    return _summary(tag, image=_encoded(_bytes_of(to_hwc(as_array(x), formats))))


def image_with_boxes(tag: str, x: Any, boxes: Any, rescale: float = 1, formats: str = "CHW", labels: Any = None) -> Any:
    """An image with boxes drawn into it."""
    from PIL import ImageDraw

    picture = _pillow().fromarray(_bytes_of(to_hwc(as_array(x), formats)))
    pen = ImageDraw.Draw(picture)
    names = [labels] if isinstance(labels, str) else labels or []
    for i, box in enumerate(as_array(boxes).reshape(-1, 4).tolist()):
        pen.rectangle(box, outline=(255, 0, 0))
        if i < len(names):
            pen.text((box[0], box[1]), str(names[i]), fill=(255, 0, 0))
    if rescale != 1:
        picture = picture.resize((int(picture.width * rescale), int(picture.height * rescale)))
    return _summary(tag, image=_encoded(np.asarray(picture)))


def drawn(figure: Any, close: bool) -> np.ndarray:
    """A matplotlib figure as pixels (H, W, 3)."""
    from matplotlib import pyplot
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = np.array(canvas.buffer_rgba())[..., :3]
    if close:
        pyplot.close(figure)
    return pixels


def video(tag: str, x: Any, fps: float = 4) -> Any:
    """Moving images (N, T, C, H, W) side by side, as a GIF."""
    frames = as_array(x)
    if frames.ndim != 5:
        raise AssertionError(f"video: expects shape (N, T, C, H, W), got {frames.shape}")
    pictures = [_pillow().fromarray(_bytes_of(to_hwc(frames[:, t], "NCHW"))) for t in range(frames.shape[1])]
    file = io.BytesIO()
    pictures[0].save(file, format="GIF", save_all=True, append_images=pictures[1:], duration=1000 / fps, loop=0)
    proto = _protos().Summary.Image(height=pictures[0].height, width=pictures[0].width, colorspace=3,
                                    encoded_image_string=file.getvalue())
    return _summary(tag, image=proto)


def audio(tag: str, x: Any, sample_rate: int = 44100) -> Any:
    """Samples of [-1, 1] as WAV."""
    samples = as_array(x).reshape(-1).astype(np.float64).clip(-1, 1)
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(sample_rate)
        writer.writeframes(struct.pack(f"<{samples.size}h", *(samples * 32767).astype(int).tolist()))
    proto = _protos().Summary.Audio(sample_rate=sample_rate, num_channels=1, length_frames=samples.size,
                                    encoded_audio_string=file.getvalue(), content_type="audio/wav")
    return _summary(tag, audio=proto)


def text(tag: str, words: str) -> Any:
    """A text."""
    tensor = _tensor([0], "DT_STRING", string_val=[str(words).encode("utf-8")])
    return _summary(f"{tag}/text_summary", tensor=tensor, metadata=_metadata("text", b""))


def pr_curve(tag: str, labels: Any, predictions: Any, thresholds: int = 127, weights: Any = None) -> Any:
    """True and false positives and negatives, precision and recall, for `thresholds` limits."""
    from tensorboard.plugins.pr_curve.plugin_data_pb2 import PrCurvePluginData

    truth, p = as_array(labels).reshape(-1).astype(float), as_array(predictions).reshape(-1).astype(float)
    w = np.ones_like(p) if weights is None else as_array(weights).reshape(-1)
    thresholds = min(thresholds, 127)
    bucket = np.floor(p * (thresholds - 1)).astype(int)
    tp, _ = np.histogram(bucket, thresholds, (0, thresholds - 1), weights=truth * w)
    fp, _ = np.histogram(bucket, thresholds, (0, thresholds - 1), weights=(1 - truth) * w)
    tp, fp = np.cumsum(tp[::-1])[::-1], np.cumsum(fp[::-1])[::-1]
    tn, fn = fp[0] - fp, tp[0] - tp
    tiny = 1e-7
    data = np.stack([tp, fp, tn, fn, tp / np.maximum(tiny, tp + fp), tp / np.maximum(tiny, tp + fn)])
    content = PrCurvePluginData(version=0, num_thresholds=thresholds).SerializeToString()
    tensor = _tensor(data, "DT_FLOAT", float_val=data.reshape(-1).tolist())
    return _summary(tag, tensor=tensor, metadata=_metadata("pr_curves", content))


# Settings of runs, and of diagrams

def hparams(settings: dict, metrics: dict, domains: dict | None = None) -> tuple:
    """Three records: what settings and metrics there are, the values of this run, and that it has ended."""
    from google.protobuf import struct_pb2
    from tensorboard.plugins.hparams import api_pb2, plugin_data_pb2

    start, infos = plugin_data_pb2.SessionStartInfo(), []
    for name, value in settings.items():
        value = value.item() if isinstance(value, (Tensor, np.generic)) else value
        if value is None:
            continue
        domain = None
        if isinstance(value, bool):
            start.hparams[name].bool_value, kind = value, api_pb2.DATA_TYPE_BOOL
        elif isinstance(value, (int, float)):
            start.hparams[name].number_value, kind = value, api_pb2.DATA_TYPE_FLOAT64
        elif isinstance(value, str):
            start.hparams[name].string_value, kind = value, api_pb2.DATA_TYPE_STRING
        else:
            raise ValueError("value should be one of int, float, str, bool, or torch.Tensor")
        if domains and name in domains:
            field = {str: "string_value", bool: "bool_value"}.get(type(value), "number_value")
            domain = struct_pb2.ListValue(values=[struct_pb2.Value(**{field: v}) for v in domains[name]])
        infos.append(api_pb2.HParamInfo(name=name, type=kind, domain_discrete=domain))
    experiment = api_pb2.Experiment(hparam_infos=infos, metric_infos=[
        api_pb2.MetricInfo(name=api_pb2.MetricName(tag=name)) for name in metrics])
    end = plugin_data_pb2.SessionEndInfo(status=api_pb2.STATUS_SUCCESS)
    contents = {"experiment": experiment, "session_start_info": start, "session_end_info": end}
    records = []
    for field, value in contents.items():
        content = plugin_data_pb2.HParamsPluginData(version=0, **{field: value})
        records.append(_summary(f"_hparams_/{field}", metadata=_metadata("hparams", content.SerializeToString())))
    return tuple(records)


def custom_scalars(layout: dict) -> Any:
    """Which scalars go into which diagram."""
    from tensorboard.plugins.custom_scalar import layout_pb2

    categories = []
    for category, charts in layout.items():
        made = []
        for title, (kind, tags) in charts.items():
            if kind == "Margin":
                series = layout_pb2.MarginChartContent.Series(value=tags[0], lower=tags[1], upper=tags[2])
                made.append(layout_pb2.Chart(title=title, margin=layout_pb2.MarginChartContent(series=[series])))
            else:
                made.append(layout_pb2.Chart(title=title, multiline=layout_pb2.MultilineChartContent(tag=tags)))
        categories.append(layout_pb2.Category(title=category, chart=made))
    content = layout_pb2.Layout(category=categories).SerializeToString()
    tensor = _tensor((), "DT_STRING", string_val=[content])
    return _summary("custom_scalars__config__", tensor=tensor, metadata=_metadata("custom_scalars"))
