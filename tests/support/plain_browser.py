"""A browser for tests: it opens the address in its last argument, and follows redirects."""

from __future__ import annotations

import sys
import urllib.request

if __name__ == "__main__":
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(sys.argv[-1], timeout=20) as response:
        response.read()
