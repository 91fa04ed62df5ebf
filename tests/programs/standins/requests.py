"""`requests.get` for programs that download: a file of that name in the working folder, or a download."""
import urllib.request
from pathlib import Path


class Response:
    def __init__(self, raw):
        self.raw = raw

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.raw.close()

    @property
    def content(self):
        return self.raw.read()

    @property
    def text(self):
        return self.content.decode()


def get(url, **_):
    laid_out = Path(url.rpartition("/")[2])
    return Response(laid_out.open("rb") if laid_out.is_file() else urllib.request.urlopen(url))
