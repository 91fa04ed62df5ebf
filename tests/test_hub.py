"""Downloads, the cache directory, and models out of repositories."""
from __future__ import annotations

import hashlib
import http.server
import io
import threading
import zipfile
from urllib.error import URLError

import numpy as np
import pytest

import minitorch
from minitorch import hub
from minitorch.utils import model_zoo

HUBCONF = '''
dependencies = ["torch", "numpy"]
import torch
from torchvision.models import resnet18 as _resnet18
from {helper} import WIDTH

def small(classes=2, pretrained=False):
    """A small network."""
    import torch.nn as nn
    return nn.Sequential(nn.Linear(WIDTH, classes))

_hidden = small
'''


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(hub, "_directory", None)
    return tmp_path / "torch" / "hub"


@pytest.fixture
def server(tmp_path):
    """Serves a folder on the loopback interface: (folder, address)."""
    folder = tmp_path / "served"
    folder.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(folder))

        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{httpd.server_address[1]}/"
        httpd.shutdown()


def test_directory(cache, monkeypatch, tmp_path):
    assert hub.get_dir() == str(cache)
    monkeypatch.delenv("TORCH_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert hub.get_dir() == str(tmp_path / "torch" / "hub")
    hub.set_dir(tmp_path / "own")
    assert hub.get_dir() == str(tmp_path / "own")


def test_download_to_file(server, tmp_path, capsys):
    folder, address = server
    (folder / "data").write_bytes(bytes(range(256)) * 1000)
    digest = hashlib.sha256((folder / "data").read_bytes()).hexdigest()
    hub.download_url_to_file(address + "data", str(tmp_path / "copy"), hash_prefix=digest[:8])
    assert (tmp_path / "copy").read_bytes() == (folder / "data").read_bytes()
    assert "250k/250k" in capsys.readouterr().err  # the progress bar
    hub.download_url_to_file(address + "data", str(tmp_path / "copy"), progress=False)
    assert capsys.readouterr().err == ""
    with pytest.raises(RuntimeError, match=r'invalid hash value \(expected "00", got "'):
        hub.download_url_to_file(address + "data", str(tmp_path / "other"), "00", progress=False)
    with pytest.raises(URLError, match=r"404.*place it at .*other"):
        hub.download_url_to_file(address + "gone", str(tmp_path / "other"), progress=False)
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["copy"]


@pytest.mark.parametrize("load", [hub.load_state_dict_from_url, model_zoo.load_url])
def test_state_dict_from_url(server, cache, load, capsys):
    folder, address = server
    state = {"weight": minitorch.arange(6.0).reshape(2, 3), "bias": minitorch.ones(2)}
    minitorch.save(state, folder / "raw")
    content = (folder / "raw").read_bytes()
    name = f"net-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    (folder / name).write_bytes(content)
    got = load(address + name, progress=False, check_hash=True)
    assert got["weight"].tolist() == [[0, 1, 2], [3, 4, 5]] and (cache / "checkpoints" / name).is_file()
    assert f'Downloading: "{address}{name}"' in capsys.readouterr().err
    (folder / name).unlink()
    assert load(address + name, map_location="cpu")["bias"].tolist() == [1, 1]  # from the cache
    (folder / "net-00000000.pth").write_bytes(content)
    with pytest.raises(RuntimeError, match="invalid hash value"):
        load(address + "net-00000000.pth", progress=False, check_hash=True)
    load(address + "net-00000000.pth?version=2", model_dir=str(cache), file_name="renamed.pth", progress=False)
    assert (cache / "renamed.pth").is_file()


def test_local_repository(tmp_path):
    (tmp_path / "hubconf.py").write_text(HUBCONF.format(helper="local_helper"))
    (tmp_path / "local_helper.py").write_text("WIDTH = 7\n")
    model = hub.load(str(tmp_path), "small", classes=3, source="local")
    assert isinstance(model, minitorch.nn.Sequential) and model[0].weight.shape == (3, 7)
    with pytest.raises(RuntimeError, match=r"Cannot find callable large in hubconf.*small"):
        hub.load(str(tmp_path), "large", source="local")
    with pytest.raises(FileNotFoundError, match=r"no hubconf.py"):
        hub.load(str(tmp_path / "empty"), "small", source="local")
    with pytest.raises(ValueError, match="Unknown source"):
        hub.load(str(tmp_path), "small", source="gitlab")
    (tmp_path / "hubconf.py").write_text("dependencies = ['surely_missing_package']\n")
    with pytest.raises(RuntimeError, match="Missing dependencies: surely_missing_package"):
        hub.load(str(tmp_path), "small", source="local")


def test_github_repository(tmp_path, cache, monkeypatch, capsys):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.writestr("owner-name-123/hubconf.py", HUBCONF.format(helper="remote_helper"))
        zipped.writestr("owner-name-123/remote_helper.py", "WIDTH = 4\n")
    asked = []

    def download(url, dst, hash_prefix=None, progress=True):
        asked.append(url)
        if url.endswith("/main"):
            raise URLError("404")
        with open(dst, "wb") as file:
            file.write(archive.getvalue())

    monkeypatch.setattr(hub, "download_url_to_file", download)
    assert hub.load("owner/name", "small", trust_repo=True)[0].weight.shape == (2, 4)
    assert asked == [f"https://github.com/owner/name/zipball/{branch}" for branch in ("main", "master")]
    assert hub.list("owner/name") == ["small"] and len(asked) == 2  # from the cache, and trusted by now
    assert hub.help("owner/name", "small") == "A small network."
    assert (cache / "owner_name_master" / "hubconf.py").is_file() and "Using cache found" in capsys.readouterr().err
    hub.load("owner/name:v1/x", "small", force_reload=True, verbose=False)
    assert asked[-1].endswith("/v1/x") and (cache / "owner_name_v1_x").is_dir()
    monkeypatch.setattr("builtins.input", lambda question: "n")
    with pytest.raises(RuntimeError, match="Untrusted repository: other/name"):
        hub.load("other/name", "small", trust_repo=False)
    with pytest.raises(URLError, match=r"404.*place a copy at .*stranger_name_main"):
        monkeypatch.setattr(hub, "download_url_to_file", lambda *args, **kwargs: download("/main", None))
        hub.load("stranger/name", "small")
    assert "the code of stranger/name will run" in capsys.readouterr().err
    with pytest.raises(ValueError, match="owner/name"):
        hub.load("name", "small")


def test_torchvision_from_the_hub():
    model = hub.load("pytorch/vision:v0.10.0", "squeezenet1_1", num_classes=3)
    assert isinstance(model, minitorch.vision.models.SqueezeNet)
    assert "resnet18" in hub.list("pytorch/vision") and "SqueezeNet 1.1" in hub.help("pytorch/vision", "squeezenet1_1")
    with pytest.raises(RuntimeError, match="Cannot find callable nothing"):
        hub.load("pytorch/vision", "nothing")
    assert np.isfinite(model.eval()(minitorch.zeros(1, 3, 32, 32)).detach().numpy()).all()
