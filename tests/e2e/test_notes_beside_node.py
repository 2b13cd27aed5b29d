"""The notes that Node Qwen Code and this program give the model for the same files."""

from __future__ import annotations

import json
import re
import subprocess
from typing import Any

import node_qwen
import pytest
from model_server import FakeModelServer

NOTES = """\
# Notes MARK-root
See @docs/plain.md and @./docs/dot.md then
@docs/line.md
(@docs/bracket.md) and @docs/comma.md, or @docs/end.md.
@docs/a+b.md @docs/under_score.md @docs/UPPER.MD
`@docs/inline.md` and ``@docs/double.md``

```
@docs/fenced.md
```

~~~python
@docs/tilde.md
~~~

  ```
  @docs/indented-fence.md
  ```

text

    @docs/indented.md

- item @docs/item.md
- > @docs/quote.md
me@docs/mail.md and @property and @types/node @docs @docs/missing.md
@../outside.md @~/home.md @/etc/hostname @https://x.example/a.md
@docs/text.txt @docs/code.py @docs/deep1.md @docs/circle.md @docs/link.md
```
@docs/unclosed.md
"""
ONLY_OURS = {
    "bracket": "an import may stand in brackets",
    "comma": "punctuation after a name is not part of it",
    "end": "punctuation after a name is not part of it",
}


def make_tree(qwen: Any) -> None:
    subprocess.run(["git", "init", "-q", str(qwen.project)], check=True)
    qwen.write("QWEN.md", NOTES)
    for name in re.findall(r"@(?:\./)?docs/([\w+-]+)\.md", NOTES, re.IGNORECASE):
        if name != "missing":
            qwen.write(f"docs/{name}.md", f"MARK-{name}")
    qwen.write("docs/UPPER.MD", "MARK-UPPER")
    qwen.write("docs/text.txt", "MARK-text")
    qwen.write("docs/code.py", "MARK-code")
    for depth in range(1, 8):
        qwen.write(f"docs/deep{depth}.md", f"MARK-deep{depth} @deep{depth + 1}.md")
    qwen.write("docs/circle.md", "MARK-circle @circle.md @../QWEN.md")
    (qwen.project / "docs" / "link.md").unlink()
    qwen.write("docs/target.md", "MARK-link")
    (qwen.project / "docs" / "link.md").symlink_to("target.md")
    qwen.write("../outside.md", "MARK-outside")
    qwen.write("~/home.md", "MARK-home")
    qwen.write("AGENTS.md", "MARK-agents")
    qwen.write(".qwen/QWEN.local.md", "MARK-local @../docs/of-local.md")
    qwen.write("docs/of-local.md", "MARK-of-local")
    qwen.write("sub/QWEN.md", "MARK-below")
    qwen.write("~/.qwen/QWEN.md", "MARK-user @more.md")
    qwen.write("~/.qwen/more.md", "MARK-user-more")
    qwen.write(".qwen/rules/all.md", "MARK-rule-all <!-- MARK-comment -->")
    qwen.write(".qwen/rules/deep/some.md", "---\npaths:\n  - 'src/**'\n---\nMARK-rule-some")
    qwen.write("~/.qwen/rules/own.md", "---\ndescription: x\n---\nMARK-rule-own")


def marks(server: FakeModelServer) -> set[str]:
    [first, *_] = [seen for seen in server.requests if seen.method == "POST"]
    text = json.dumps(first.body["messages"], ensure_ascii=False)
    return set(re.findall(r"MARK-([\w+-]+)", text))


@pytest.mark.parametrize("place", [".", "sub"])
def test_both_programs_tell_the_model_the_same_notes(
    qwen: Any, server: FakeModelServer, new_server: Any, require: Any, place: str
) -> None:
    require("node-qwen", node_qwen.is_installed())
    make_tree(qwen)
    settings = {"telemetry": {"enabled": False}, "privacy": {"usageStatisticsEnabled": False}}
    qwen.write("~/.qwen/settings.json", json.dumps(settings))
    nodes = new_server()
    common = {"OPENAI_API_KEY": "sk-proj-0123456789abcdefghijklmnop", "OPENAI_MODEL": "m"}
    directory = qwen.project / place
    node = subprocess.run(
        [node_qwen.NODE, node_qwen.CLI, "--auth-type", "openai", "-p", "hello"],
        env={**qwen.environ, **common, "OPENAI_BASE_URL": nodes.base_url, "NO_PROXY": "127.0.0.1"},
        cwd=directory,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert node.returncode == 0, node.stderr
    done = qwen("-p", "hello", env={**common, "OPENAI_BASE_URL": server.base_url}, cwd=directory)
    assert done.returncode == 0, done.stderr
    ours, theirs = marks(server), marks(nodes)
    assert {"root", "plain", "deep5", "local", "rule-all", "user-more"} <= ours
    assert ours - theirs == set(ONLY_OURS)
    assert theirs <= ours
