"""Weights and models from elsewhere: a cache directory, checked downloads, and the models of other repositories.

The cache is `$TORCH_HOME/hub`, by default `~/.cache/torch/hub`: PyTorch's own, so that what it has fetched is found.
"""
from __future__ import annotations

import builtins
import contextlib
import hashlib
import importlib.util
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlparse

DEFAULT_CACHE_DIR = "~/.cache"
ENV_TORCH_HOME = "TORCH_HOME"
ENV_XDG_CACHE_HOME = "XDG_CACHE_HOME"
HASH_REGEX = re.compile(r"-([a-f0-9]*)\.")  # resnet18-f37072fd.pth: the first digits of the file's SHA-256
MODULE_HUBCONF = "hubconf.py"

_directory: str | None = None


def get_dir() -> str:
    """The cache directory: what `set_dir` was given, or `$TORCH_HOME/hub`."""
    if _directory is not None:
        return _directory
    cache = os.getenv(ENV_XDG_CACHE_HOME, DEFAULT_CACHE_DIR)
    return os.path.join(os.path.expanduser(os.getenv(ENV_TORCH_HOME, os.path.join(cache, "torch"))), "hub")


def set_dir(d: str | os.PathLike[str]) -> None:
    """Use another cache directory."""
    global _directory
    _directory = os.path.expanduser(d)


def load_state_dict_from_url(url: str, model_dir: str | None = None, map_location: Any = None, progress: bool = True,
                             check_hash: bool = False, file_name: str | None = None,
                             weights_only: bool = False) -> dict[str, Any]:
    """The tensors of the file at `url`, from `model_dir` (default: checkpoints in the cache directory) if it is there.

    `check_hash` compares a downloaded file's SHA-256 with the digits in its name. Nothing in the file is executed, with
    or without `weights_only`. Raises URLError, which says where to put the file, where it cannot be fetched, and
    RuntimeError for a wrong hash.
    """
    import minitorch

    folder = Path(model_dir if model_dir is not None else os.path.join(get_dir(), "checkpoints")).expanduser()
    name = file_name or os.path.basename(urlparse(url).path)
    path = folder / name
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        sys.stderr.write(f'Downloading: "{url}" to {path}\n')
        match = HASH_REGEX.search(name) if check_hash else None
        download_url_to_file(url, str(path), match.group(1) if match else None, progress=progress)
    return minitorch.load(str(path), map_location=map_location)


def download_url_to_file(url: str, dst: str, hash_prefix: str | None = None, progress: bool = True) -> None:
    """Download `url` to the file `dst`, which appears when it is complete and its SHA-256 begins with `hash_prefix`.

    Raises URLError where it cannot be fetched, RuntimeError for a wrong hash.
    """
    from urllib.error import URLError
    from urllib.request import Request, urlopen

    target = Path(dst).expanduser()
    digest = hashlib.sha256()
    handle, part = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
    try:
        try:
            request = Request(url, headers={"User-Agent": "minitorch"})
            with (os.fdopen(handle, "wb") as file, urlopen(request) as reply,
                  _bar(reply.headers.get("Content-Length"), progress) as bar):
                while chunk := reply.read(1 << 17):
                    file.write(chunk)
                    digest.update(chunk)
                    bar.update(len(chunk))
        except OSError as error:  # urllib's errors are OSErrors
            raise URLError(f"{url} could not be downloaded ({error}). Without a network, fetch it elsewhere and place "
                           f"it at {target}") from error
        actual = digest.hexdigest()
        if hash_prefix is not None and not actual.startswith(hash_prefix):
            raise RuntimeError(f'invalid hash value (expected "{hash_prefix}", got "{actual}") of {url}')
        os.replace(part, target)
    finally:
        Path(part).unlink(missing_ok=True)


def load(repo_or_dir: str, model: str, *args: Any, source: str = "github", trust_repo: bool | str | None = None,
         force_reload: bool = False, verbose: bool = True, skip_validation: bool = False, **kwargs: Any) -> Any:
    """What the function `model` of the repository's hubconf.py returns for `args` and `kwargs`.

    `repo_or_dir` is a folder with `source` "local", or "owner/name[:branch or tag]" on GitHub, which is downloaded once
    into the cache directory. Its code runs, with `torch` and `torchvision` meaning minitorch: `trust_repo` False asks
    before that, None warns, "check" asks unless it was trusted before, True trusts. "pytorch/vision" is
    minitorch.vision.models.

    Raises ValueError for another source, RuntimeError where there is no such function.
    """
    with _hubconf(repo_or_dir, source, trust_repo, force_reload, verbose) as module:
        return _entry(module, repo_or_dir, model)(*args, **kwargs)


def list(github: str, force_reload: bool = False, skip_validation: bool = False, trust_repo: bool | str | None = None,
         verbose: bool = True) -> builtins.list[str]:
    """The names that `load` knows in a GitHub repository."""
    with _hubconf(github, "github", trust_repo, force_reload, verbose) as module:
        return [name for name in dir(module) if callable(getattr(module, name)) and not name.startswith("_")]


def help(github: str, model: str, force_reload: bool = False, skip_validation: bool = False,
         trust_repo: bool | str | None = None) -> str | None:
    """The docstring of a function that `load` knows in a GitHub repository."""
    with _hubconf(github, "github", trust_repo, force_reload, False) as module:
        return _entry(module, github, model).__doc__


class _Silent:
    """A progress bar that shows nothing."""

    def update(self, count: int) -> None: ...
    def __enter__(self) -> _Silent: return self
    def __exit__(self, *error: Any) -> None: ...


def _bar(size: str | None, progress: bool) -> Any:
    if not progress:
        return _Silent()
    from tqdm import tqdm

    return tqdm(total=None if size is None else int(size), unit="B", unit_scale=True, unit_divisor=1024)


@contextlib.contextmanager
def _hubconf(repo: str, source: str, trust_repo: Any, force_reload: bool, verbose: bool) -> Any:
    """The module hubconf.py of a repository, while `torch` and `torchvision` are lent to minitorch."""
    from minitorch.run import lend_names

    if source not in ("github", "local"):
        raise ValueError(f'Unknown source: "{source}". Allowed values: "github" | "local".')
    if source == "github" and repo.partition(":")[0] == "pytorch/vision":
        from minitorch.vision import models

        yield models
        return
    folder = repo if source == "local" else _fetched(repo, trust_repo, force_reload, verbose)
    path = os.path.join(os.path.expanduser(folder), MODULE_HUBCONF)
    if not os.path.isfile(path):
        raise FileNotFoundError(f"hub: there is no {MODULE_HUBCONF} in {folder}")
    sys.path.insert(0, os.path.dirname(path))
    try:
        with lend_names():
            spec = importlib.util.spec_from_file_location("hubconf", path)
            assert spec is not None and spec.loader is not None  # a path that ends with .py has both
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            missing = [name for name in getattr(module, "dependencies", []) if _absent(name)]
            if missing:
                raise RuntimeError(f"Missing dependencies: {', '.join(missing)}")
            yield module
    finally:
        sys.path.remove(os.path.dirname(path))


def _entry(module: ModuleType, repo: str, name: str) -> Callable[..., Any]:
    function = getattr(module, name, None)
    if not callable(function):
        near = [other for other in dir(module) if callable(getattr(module, other)) and not other.startswith("_")]
        raise RuntimeError(f"Cannot find callable {name} in hubconf of {repo}; it has {', '.join(near)}")
    return function


def _fetched(repo: str, trust_repo: Any, force_reload: bool, verbose: bool) -> str:
    """The folder of a GitHub repository, downloaded unless it is in the cache directory."""
    owner_name, _, ref = repo.partition(":")
    owner, slash, name = owner_name.partition("/")
    if not (slash and owner and name) or "/" in name:
        raise ValueError(f"hub: expected owner/name[:branch or tag], got {repo!r}")
    cache = Path(get_dir())
    _ask_for_trust(cache, f"{owner}_{name}", repo, trust_repo)
    for branch in [ref] if ref else ["main", "master"]:
        folder = cache / "_".join([owner, name, branch.replace("/", "_")])
        if folder.is_dir() and not force_reload:
            if verbose:
                sys.stderr.write(f"Using cache found in {folder}\n")
            return str(folder)
    return _download_repository(cache, owner, name, [ref] if ref else ["main", "master"], verbose)


def _download_repository(cache: Path, owner: str, name: str, branches: builtins.list[str], verbose: bool) -> str:
    from urllib.error import URLError

    from minitorch.vision.datasets.utils import extract_archive

    cache.mkdir(parents=True, exist_ok=True)
    failures: builtins.list[str] = []
    for branch in branches:
        folder = cache / "_".join([owner, name, branch.replace("/", "_")])
        with tempfile.TemporaryDirectory(dir=cache) as scratch:
            archive = os.path.join(scratch, "repository.zip")
            try:
                download_url_to_file(f"https://github.com/{owner}/{name}/zipball/{branch}", archive, progress=verbose)
            except URLError as error:
                failures.append(str(error.reason))
                continue
            extract_archive(archive, os.path.join(scratch, "unpacked"))
            content, = Path(scratch, "unpacked").iterdir()  # GitHub's archives hold one folder
            shutil.rmtree(folder, ignore_errors=True)
            shutil.move(str(content), str(folder))
            return str(folder)
    raise URLError(f"{owner}/{name} could not be downloaded: {'; '.join(failures)}. Without a network, place a copy at "
                   f"{cache / '_'.join([owner, name, branches[0]])}, or load it with source='local'")


def _ask_for_trust(cache: Path, key: str, repo: str, trust_repo: Any) -> None:
    """Raises RuntimeError where the user does not trust the repository; remembers those that are trusted."""
    record = cache / "trusted_list"
    trusted = record.read_text().splitlines() if record.is_file() else []
    if key in trusted or key.partition("_")[0] in ("facebookresearch", "facebookincubator", "pytorch"):
        return
    if trust_repo is None:
        sys.stderr.write(f"hub: the code of {repo} will run; trust_repo=True says that you trust it\n")
        return
    if trust_repo is not True:
        answer = input(f"The repository {repo} is not trusted yet, and its code will run. Do you trust it (y/N)? ")
        if answer.strip().lower() not in ("y", "yes"):
            raise RuntimeError(f"Untrusted repository: {repo}")
    cache.mkdir(parents=True, exist_ok=True)
    record.write_text("\n".join([*trusted, key]) + "\n")


def _absent(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is None
    except (ImportError, ValueError):
        return name not in sys.modules
