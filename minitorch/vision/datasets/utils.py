"""Files of datasets: checksums, downloads that leave nothing half done, archives that cannot write elsewhere."""
from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path


class DatasetError(RuntimeError, ValueError):
    """Files of a dataset that are missing, damaged or cannot be downloaded; the message names them."""


def check_integrity(fpath, md5: str | None = None) -> bool:
    """Whether `fpath` is a file and, if `md5` is given, has that checksum."""
    return os.path.isfile(fpath) and (md5 is None or calculate_md5(fpath) == md5)


def calculate_md5(fpath, chunk_size: int = 1 << 20) -> str:
    """The MD5 checksum of a file, in hexadecimal. It guards against damage, not against an attacker."""
    digest = hashlib.md5(usedforsecurity=False)
    with open(fpath, "rb") as file:
        while chunk := file.read(chunk_size):
            digest.update(chunk)
    return digest.hexdigest()


def download_url(url: str, root, filename: str | None = None, md5: str | None = None, timeout: float = 30) -> Path:
    """Download `url` to the file `filename` in `root`, unless it is there with the right checksum.

    The file appears under its name only when it is complete. Raises DatasetError where it cannot be fetched
    or has another checksum than `md5`.
    """
    import urllib.request

    target = Path(root).expanduser() / (filename or os.path.basename(url))
    if check_integrity(target, md5):
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, part = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
    try:
        request = urllib.request.Request(url, headers={"User-Agent": "minitorch"})
        with os.fdopen(handle, "wb") as file, urllib.request.urlopen(request, timeout=timeout) as response:
            shutil.copyfileobj(response, file)
        actual = calculate_md5(part)
        if md5 is not None and actual != md5:
            raise DatasetError(f"{url}: expected a file with MD5 checksum {md5}, got one with {actual}")
        os.replace(part, target)
    except OSError as error:  # urllib's errors are OSErrors
        raise DatasetError(f"{url}: download failed: {error}") from error
    finally:
        Path(part).unlink(missing_ok=True)
    return target


def check_md5(fpath, md5: str, **kwargs) -> bool:
    """Whether a file has that MD5 checksum."""
    return calculate_md5(fpath, **kwargs) == md5


def download_from_mirrors(urls: Iterable[str], root, filename: str, md5: str | None, advice: str) -> Path:
    """`download_url` from the first of `urls` that works. Raises DatasetError with all failures and `advice`."""
    failures = []
    for url in urls:
        try:
            return download_url(url, root, filename, md5)
        except DatasetError as error:
            failures.append(str(error))
    raise DatasetError("\n".join([f"could not download {filename}; tried", *failures, advice]))


def extract_archive(from_path, to_path=None, remove_finished: bool = False) -> str:
    """Unpack a .tar (also .gz, .bz2, .xz), .zip or .gz file into `to_path` (default: beside it); returns that folder.

    Raises DatasetError for a member that would be written elsewhere, and for other or damaged files.
    """
    source = Path(from_path)
    folder = Path(to_path) if to_path is not None else source.parent
    folder.mkdir(parents=True, exist_ok=True)
    try:
        if tarfile.is_tarfile(source):
            with tarfile.open(source) as tar:
                for member in tar:
                    _extract_member(source, folder, member.name, member.isfile(), member.isdir(),
                                    lambda member=member: tar.extractfile(member))
        elif zipfile.is_zipfile(source):
            with zipfile.ZipFile(source) as archive:
                for entry in archive.infolist():
                    _extract_member(source, folder, entry.filename, not entry.is_dir(), entry.is_dir(),
                                    lambda entry=entry: archive.open(entry))
        elif source.suffix == ".gz":
            with gzip.open(source) as packed, open(folder / source.stem, "wb") as file:
                shutil.copyfileobj(packed, file)
        else:
            raise DatasetError(f"{source}: expected a .tar, .tar.gz, .tgz, .zip or .gz archive")
    except (EOFError, gzip.BadGzipFile, tarfile.TarError, zipfile.BadZipFile) as error:
        raise DatasetError(f"{source}: damaged archive: {error}") from error
    if remove_finished:
        source.unlink()
    return str(folder)


def download_and_extract_archive(url, download_root, extract_root=None, filename=None, md5=None, remove_finished=False):
    """`download_url`, then `extract_archive`."""
    archive = download_url(url, download_root, filename, md5)
    extract_archive(archive, extract_root or download_root, remove_finished)


def verify_str_arg(value, arg: str | None = None, valid_values: Iterable[str] | None = None, custom_msg=None) -> str:
    """`value`, if it is a string and one of `valid_values`; else raises ValueError."""
    name = f" {arg}" if arg else ""
    if not isinstance(value, str):
        raise ValueError(f"Expected type str for argument{name}, but got type {type(value)}.")
    if valid_values is not None and value not in valid_values:
        known = ", ".join(map(repr, valid_values))
        raise ValueError(custom_msg or f"Unknown value '{value}' for argument{name}. Valid values are {{{known}}}.")
    return value


def list_dir(root, prefix: bool = False) -> list[str]:
    """The names of the folders in `root`, or their paths with `prefix`."""
    return _list(root, prefix, os.path.isdir)


def list_files(root, suffix: str, prefix: bool = False) -> list[str]:
    """The names of the files in `root` that end with `suffix`, or their paths with `prefix`."""
    return [name for name in _list(root, prefix, os.path.isfile) if name.endswith(suffix)]


def _list(root, prefix, wanted):
    root = os.path.expanduser(root)
    names = [name for name in os.listdir(root) if wanted(os.path.join(root, name))]
    return [os.path.join(root, name) for name in names] if prefix else names


def _extract_member(source, folder, name, is_file, is_folder, open_member):
    """Write one member of an archive, if it is a plain file or folder that stays inside `folder`."""
    target = (folder / name).resolve()
    if not target.is_relative_to(folder.resolve()):
        raise DatasetError(f"{source}: member {name!r} would be written outside of {folder}")
    if is_folder:
        target.mkdir(parents=True, exist_ok=True)
    elif is_file:
        target.parent.mkdir(parents=True, exist_ok=True)
        with open_member() as packed, open(target, "wb") as file:
            shutil.copyfileobj(packed, file)
    else:
        raise DatasetError(f"{source}: member {name!r} is neither a file nor a folder")
