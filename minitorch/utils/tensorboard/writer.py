"""`SummaryWriter`: figures, images and texts of a training run for TensorBoard, under PyTorch's names."""
from __future__ import annotations

import json
import os
import time
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from ...errors import MissingError
from . import summary


class FileWriter:
    """Writes events to a file in `log_dir`. Raises MissingError where the package tensorboard is not installed."""

    def __init__(self, log_dir: str | os.PathLike, max_queue: int = 10, flush_secs: int = 120,
                 filename_suffix: str = ""):
        try:
            from tensorboard.compat.proto.event_pb2 import Event, SessionLog
            from tensorboard.summary.writer.event_file_writer import EventFileWriter
        except ImportError:
            raise MissingError("SummaryWriter needs the package tensorboard: pip install tensorboard") from None
        self._event, self._session = Event, SessionLog
        self._writer = EventFileWriter(str(log_dir), max_queue, flush_secs, filename_suffix)

    def get_logdir(self) -> str:
        """The folder."""
        return self._writer.get_logdir()

    def add_event(self, event: Any, step: int | None = None, walltime: float | None = None) -> None:
        """Write an event with its step and time."""
        event.wall_time = time.time() if walltime is None else walltime
        if step is not None:
            event.step = int(step)
        self._writer.add_event(event)

    def add_summary(self, summary: Any, global_step: int | None = None, walltime: float | None = None) -> None:
        """Write a summary as an event."""
        self.add_event(self._event(summary=summary), global_step, walltime)

    def purge_from(self, step: int) -> None:
        """Let TensorBoard forget earlier events from `step` on: those of a run that was broken off there."""
        self.add_event(self._event(file_version="brain.Event:2"), step)
        self.add_event(self._event(session_log=self._session(status=self._session.START)), step)

    def flush(self) -> None:
        """Bring all to the disk."""
        self._writer.flush()

    def close(self) -> None:
        """The same, and close the file."""
        self._writer.close()

    def reopen(self) -> None:
        """Go on in a new file."""
        if hasattr(self._writer, "reopen"):
            self._writer.reopen()


class SummaryWriter:
    """Writes what `tensorboard --logdir` shows. Default folder: runs/, time and host, `comment`.

    Tensors and arrays are taken alike. Raises MissingError where the package tensorboard is not installed; images
    need Pillow too, figures matplotlib, videos and sound are written as GIF and WAV.
    """

    def __init__(self, log_dir: str | os.PathLike | None = None, comment: str = "", purge_step: int | None = None,
                 max_queue: int = 10, flush_secs: int = 120, filename_suffix: str = ""):
        if not log_dir:
            import socket

            log_dir = os.path.join("runs", time.strftime("%b%d_%H-%M-%S_") + socket.gethostname() + comment)
        self.log_dir = os.fspath(log_dir)
        self.purge_step = purge_step
        self._options = max_queue, flush_secs, filename_suffix
        self.file_writer: FileWriter | None = None
        self.all_writers: dict[str, FileWriter] | None = None
        self._get_file_writer()

    def _get_file_writer(self) -> FileWriter:
        if self.all_writers is None or self.file_writer is None:
            self.file_writer = FileWriter(self.log_dir, *self._options)
            self.all_writers = {self.file_writer.get_logdir(): self.file_writer}
            if self.purge_step is not None:
                self.file_writer.purge_from(self.purge_step)
                self.purge_step = None
        return self.file_writer

    def get_logdir(self) -> str:
        """The folder."""
        return self.log_dir

    def _add(self, summary: Any, step: int | None, walltime: float | None) -> None:
        self._get_file_writer().add_summary(summary, step, walltime)

    def add_scalar(self, tag: str, scalar_value: Any, global_step: int | None = None, walltime: float | None = None,
                   new_style: bool = False, double_precision: bool = False) -> None:
        """A number."""
        self._add(summary.scalar(tag, scalar_value, new_style, double_precision), global_step, walltime)

    def add_scalars(self, main_tag: str, tag_scalar_dict: Mapping[str, Any], global_step: int | None = None,
                    walltime: float | None = None) -> None:
        """Several numbers in one diagram: each gets a folder of its own."""
        folder = self._get_file_writer().get_logdir()
        assert self.all_writers is not None
        for tag, value in tag_scalar_dict.items():
            path = f"{folder}/{main_tag.replace('/', '_')}_{tag}"
            if path not in self.all_writers:
                self.all_writers[path] = FileWriter(path, *self._options)
            self.all_writers[path].add_summary(summary.scalar(main_tag, value), global_step, walltime)

    def add_histogram(self, tag: str, values: Any, global_step: int | None = None, bins: Any = "tensorflow",
                      walltime: float | None = None, max_bins: int | None = None) -> None:
        """How values are distributed. Raises ValueError for none, or none that are finite."""
        self._add(summary.histogram(tag, values, bins, max_bins), global_step, walltime)

    def add_histogram_raw(self, tag: str, min: float, max: float, num: int, sum: float, sum_squares: float,
                          bucket_limits: Any, bucket_counts: Any, global_step: int | None = None,
                          walltime: float | None = None) -> None:
        """A distribution that has been counted already."""
        if len(bucket_limits) != len(bucket_counts):
            raise ValueError("len(bucket_limits) != len(bucket_counts), see the document.")
        self._add(summary.histogram_raw(tag, min, max, num, sum, sum_squares, bucket_limits, bucket_counts),
                  global_step, walltime)

    def add_image(self, tag: str, img_tensor: Any, global_step: int | None = None, walltime: float | None = None,
                  dataformats: str = "CHW") -> None:
        """An image: floats of [0, 1] or uint8, dimensions in the order `dataformats` says."""
        self._add(summary.image(tag, img_tensor, dataformats), global_step, walltime)

    def add_images(self, tag: str, img_tensor: Any, global_step: int | None = None, walltime: float | None = None,
                   dataformats: str = "NCHW") -> None:
        """Several images beside each other."""
        self._add(summary.image(tag, img_tensor, dataformats), global_step, walltime)

    def add_image_with_boxes(self, tag: str, img_tensor: Any, box_tensor: Any, global_step: int | None = None,
                             walltime: float | None = None, rescale: float = 1, dataformats: str = "CHW",
                             labels: Any = None) -> None:
        """An image with boxes (x1, y1, x2, y2) drawn into it."""
        self._add(summary.image_with_boxes(tag, img_tensor, box_tensor, rescale, dataformats, labels), global_step,
                  walltime)

    def add_figure(self, tag: str, figure: Any, global_step: int | None = None, close: bool = True,
                   walltime: float | None = None) -> None:
        """A matplotlib figure, or a list of them, as an image."""
        figures = figure if isinstance(figure, list) else [figure]
        images = np.stack([summary.drawn(f, close) for f in figures])
        self._add(summary.image(tag, images, "NHWC"), global_step, walltime)

    def add_video(self, tag: str, vid_tensor: Any, global_step: int | None = None, fps: float = 4,
                  walltime: float | None = None) -> None:
        """Moving images (N, T, C, H, W), as a GIF."""
        self._add(summary.video(tag, vid_tensor, fps), global_step, walltime)

    def add_audio(self, tag: str, snd_tensor: Any, global_step: int | None = None, sample_rate: int = 44100,
                  walltime: float | None = None) -> None:
        """Sound: samples of [-1, 1]."""
        self._add(summary.audio(tag, snd_tensor, sample_rate), global_step, walltime)

    def add_text(self, tag: str, text_string: str, global_step: int | None = None,
                 walltime: float | None = None) -> None:
        """A text, in Markdown."""
        self._add(summary.text(tag, text_string), global_step, walltime)

    def add_pr_curve(self, tag: str, labels: Any, predictions: Any, global_step: int | None = None,
                     num_thresholds: int = 127, weights: Any = None, walltime: float | None = None) -> None:
        """Precision against recall of `predictions` in [0, 1] for binary `labels`."""
        self._add(summary.pr_curve(tag, labels, predictions, num_thresholds, weights), global_step, walltime)

    def add_hparams(self, hparam_dict: dict, metric_dict: dict, hparam_domain_discrete: dict | None = None,
                    run_name: str | None = None, global_step: int | None = None) -> None:
        """The settings of a run and how well it did. Raises TypeError for values that are no number, string or bool."""
        if not isinstance(hparam_dict, dict) or not isinstance(metric_dict, dict):
            raise TypeError("hparam_dict and metric_dict should be dictionary.")
        parts = summary.hparams(hparam_dict, metric_dict, hparam_domain_discrete)
        folder = os.path.join(self._get_file_writer().get_logdir(), run_name or str(time.time()))
        with SummaryWriter(log_dir=folder) as writer:
            for part in parts:
                writer._get_file_writer().add_summary(part)
            for name, value in metric_dict.items():
                writer.add_scalar(name, value, global_step)

    def add_embedding(self, mat: Any, metadata: Any = None, label_img: Any = None, global_step: int | None = None,
                      tag: str = "default", metadata_header: Any = None) -> None:
        """Vectors (N, D) with labels, and images (N, C, H, W) from 0 to 1, for TensorBoard's projector.

        They are files in a folder of their own. Raises AssertionError where there are not as many labels or images
        as vectors, and for images that are not square.
        """
        values = summary.as_array(mat)
        if values.ndim != 2:
            raise ValueError(f"add_embedding: mat should be 2D, got shape {values.shape}")
        name = f"{0 if global_step is None else global_step:05d}/{tag}"
        folder = os.path.join(self._get_file_writer().get_logdir(), name)
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, "tensors.tsv"), "w", encoding="utf-8") as file:
            file.writelines("\t".join(map(str, row)) + "\n" for row in values.tolist())
        config: dict[str, Any] = {"tensorName": f"{tag}:{name[:5]}", "tensorPath": f"{name}/tensors.tsv"}
        if metadata is not None:
            if len(metadata) != len(values):
                raise AssertionError("#labels should equal with #data points")
            rows = [[str(m)] if metadata_header is None else list(map(str, m)) for m in metadata]
            lines = ([list(metadata_header)] if metadata_header else []) + rows
            with open(os.path.join(folder, "metadata.tsv"), "w", encoding="utf-8") as file:
                file.writelines("\t".join(line) + "\n" for line in lines)
            config["metadataPath"] = f"{name}/metadata.tsv"
        if label_img is not None:
            images = summary.as_array(label_img)
            if len(images) != len(values):
                raise AssertionError("#images should equal with #data points")
            if images.shape[2] != images.shape[3]:
                raise AssertionError(f"Image should be square, see tensorflow/tensorboard#670: got {images.shape}")
            summary.sprite(images, os.path.join(folder, "sprite.png"))
            config["sprite"] = f"{name}/sprite.png", images.shape[3], images.shape[2]
        self._projector(config)

    def _projector(self, config: dict[str, Any]) -> None:
        """Add to the file that tells the projector what there is."""
        self._embeddings = [*getattr(self, "_embeddings", []), config]
        words = {"tensorName": "tensor_name", "tensorPath": "tensor_path", "metadataPath": "metadata_path"}
        blocks = ["embeddings {\n" + "".join(f"  {words[k]}: {json.dumps(c[k])}\n" for k in words if k in c)
                  + _sprite_config(*c.get("sprite", ())) + "}\n" for c in self._embeddings]
        path = os.path.join(self._get_file_writer().get_logdir(), "projector_config.pbtxt")
        with open(path, "w", encoding="utf-8") as file:
            file.write("".join(blocks))

    def add_custom_scalars(self, layout: dict) -> None:
        """Which scalars go into which diagram: {category: {title: ["Multiline" or "Margin", [tags]]}}."""
        self._add(summary.custom_scalars(layout), None, None)

    def add_custom_scalars_multilinechart(self, tags: list[str], category: str = "default",
                                          title: str = "untitled") -> None:
        """Several scalars in one diagram."""
        self.add_custom_scalars({category: {title: ["Multiline", tags]}})

    def add_mesh(self, tag: str, vertices: Any, colors: Any = None, faces: Any = None, config_dict: Any = None,
                 global_step: int | None = None, walltime: float | None = None) -> None:
        """Raises NotImplementedError: meshes are not written."""
        raise NotImplementedError("add_mesh: is not there; the nearest that exists is add_image")

    def add_graph(self, model: Any, input_to_model: Any = None, verbose: bool = False,
                  use_strict_trace: bool = True) -> None:
        """Not written: warns. TensorBoard's form of a graph is made of TorchScript, which is not here; the model's
        structure is written as a text instead."""
        warnings.warn("add_graph: TensorBoard's graphs are made of TorchScript, which is not here; the model is "
                      "written as a text under 'graph'", stacklevel=2)
        self.add_text("graph", "    " + repr(model).replace("\n", "\n    "))

    def flush(self) -> None:
        """Bring all to the disk."""
        for writer in (self.all_writers or {}).values():
            writer.flush()

    def close(self) -> None:
        """The same, and close the files; a further call of `add_...` opens a new one."""
        for writer in (self.all_writers or {}).values():
            writer.flush()
            writer.close()
        self.file_writer = self.all_writers = None

    def __enter__(self) -> SummaryWriter:
        return self

    def __exit__(self, *exception: Any) -> None:
        self.close()


def _sprite_config(path: str = "", width: int = 0, height: int = 0) -> str:
    return path and (f"  sprite {{\n    image_path: {json.dumps(path)}\n    single_image_dim: {width}\n"
                     f"    single_image_dim: {height}\n  }}\n")
