"""Runs hooks: side by side or one after the other, in the background, and to their end.

A hook that is stopped, or takes too long, ends with everything that it has started.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import msgspec

from qwen_code.agent.hooks.answers import Answer, next_input, of_command, of_object
from qwen_code.agent.hooks.entries import Hook
from qwen_code.base.log import debug
from qwen_code.base.stop import Stop, Stopped, take

_DIRECTORIES = ("QWEN_PROJECT_DIR", "CLAUDE_PROJECT_DIR", "GEMINI_PROJECT_DIR")
_MAX_OUTPUT_BYTES = 1 << 20
_MAX_IN_BACKGROUND = 10
_SLOW_S = 1.0
"""How long a hook takes before the user is told what it is."""

Told = Mapping[str, Any]
Other = Callable[[Hook, Told, Stop], Answer]
"""Runs a hook that is not a command."""


class Runner:
    """Runs the hooks of one session. ``others`` runs those that are not commands, by their kind."""

    def __init__(
        self,
        *,
        cwd: Path,
        environ: Mapping[str, str],
        notice: Callable[[str], None],
        others: Mapping[str, Other] | None = None,
    ) -> None:
        self._cwd = cwd
        self._environ = environ
        self._notice = notice
        self._others = others or {}
        self._done: set[tuple[str, str]] = set()
        self._leaving = Stop()
        self._background: list[tuple[threading.Thread, bool]] = []

    def run(self, hooks: Sequence[Hook], told: Told, stop: Stop) -> list[tuple[Hook, Answer]]:
        """Those that were called, with what they say; without those in the background.

        Raises:
            Stopped: ``stop`` was set; all of them have been ended.
        """
        waited = []
        for hook in self._due(hooks):
            if hook.in_background:
                self.leave_running([hook], told)
            else:
                waited.append(hook)
        is_chain = len(waited) < 2 or any(hook.sequential for hook in waited)
        call = self._one_by_one if is_chain else self._side_by_side
        return list(zip(waited, call(waited, told, stop), strict=True))

    def leave_running(self, hooks: Sequence[Hook], told: Told, *, to_the_end: bool = False) -> None:
        """Run them beside everything else. ``to_the_end``: :meth:`close` waits for them."""
        for hook in self._due(hooks) if to_the_end else hooks:
            self._background = [each for each in self._background if each[0].is_alive()]
            if len(self._background) >= _MAX_IN_BACKGROUND:
                self._notice(f"{hook.label} is not run: {_MAX_IN_BACKGROUND} are running")
                continue
            thread = threading.Thread(target=self._quietly, args=(hook, told), daemon=True)
            self._background.append((thread, to_the_end))
            thread.start()

    def close(self, within_s: float) -> None:
        """Wait for what has to be done to its end, at most this long, and end everything else."""
        deadline = time.monotonic() + within_s
        for thread, to_the_end in self._background:
            if to_the_end:
                thread.join(max(0.0, deadline - time.monotonic()))
        self._leaving.set()
        for thread, _ in self._background:
            thread.join(_SLOW_S)
        self._background.clear()

    def _due(self, hooks: Sequence[Hook]) -> list[Hook]:
        """Without those that have had their one call, and those that say the same twice."""
        due: dict[tuple[str, ...], Hook] = {}
        for hook in hooks:
            if hook.once and (hook.event, hook.url) in self._done:
                continue
            self._done.add((hook.event, hook.url))
            key = (hook.kind, hook.name, hook.text)
            due.setdefault((*key, str(id(hook.call))) if hook.call else key, hook)
        return list(due.values())

    def _one_by_one(self, hooks: Sequence[Hook], told: Told, stop: Stop) -> list[Answer]:
        answers = []
        for hook in hooks:
            answers.append(self._answer(hook, told, stop))
            told = next_input(told, answers[-1])
        return answers

    def _side_by_side(self, hooks: Sequence[Hook], told: Told, stop: Stop) -> list[Answer]:
        inbox: SimpleQueue[tuple[int, Answer | BaseException]] = SimpleQueue()

        def run(index: int, hook: Hook) -> None:
            try:
                inbox.put((index, self._answer(hook, told, stop)))
            except BaseException as error:  # noqa: BLE001 raised on the waiting thread
                inbox.put((index, error))

        for index, hook in enumerate(hooks):
            threading.Thread(target=run, args=(index, hook), daemon=True).start()
        found = dict(take(inbox) for _ in hooks)
        for each in found.values():
            if isinstance(each, BaseException):
                raise each
        return [answer for index in range(len(hooks)) if isinstance(answer := found[index], Answer)]

    def _quietly(self, hook: Hook, told: Told) -> None:
        with suppress(Stopped):
            answer = self._answer(hook, told, self._leaving)
            if problem := answer.problem or answer.failure:
                self._notice(f"{hook.label} {problem}")

    def _answer(self, hook: Hook, told: Told, stop: Stop) -> Answer:
        if hook.problem:
            return Answer(problem=f"cannot run: {hook.problem}")
        if changed := _changed_file(hook):
            return Answer(problem=f"runs {changed}, which has changed since you trusted it")
        debug("hook", of=hook.event, hook=hook.name or hook.text)
        timer = None
        if hook.status and not hook.in_background:
            timer = threading.Timer(_SLOW_S, self._notice, [hook.status])
            timer.daemon = True
            timer.start()
        try:
            if hook.kind == "command":
                return self._command(hook, told, stop)
            if hook.call is not None:
                return _called(hook, told, stop)
            return self._others[hook.kind](hook, told, stop)
        finally:
            if timer is not None:
                timer.cancel()

    def _command(self, hook: Hook, told: Told, stop: Stop) -> Answer:
        from subprocess import TimeoutExpired  # slow to import; needed only with hooks

        from qwen_code.base import process

        try:
            done = process.run(
                ["bash", "-c", hook.command],
                env={**self._environ, **dict.fromkeys(_DIRECTORIES, str(self._cwd)), **hook.env},
                cwd=self._cwd,
                stdin=msgspec.json.encode(told),
                timeout_s=hook.timeout_s,
                stop=stop,
                with_children=True,
                max_output_bytes=_MAX_OUTPUT_BYTES,
            )
        except TimeoutExpired:
            return Answer(problem=f"did not answer within {hook.timeout_s:g} s")
        except OSError as error:
            return Answer(problem=f"could not be started: {error.strerror}")
        except ValueError as error:  # a NUL character in the command or a variable
            return Answer(problem=f"could not be started: {error}")
        out, err = (data.decode("utf-8", "replace") for data in (done.stdout, done.stderr))
        return of_command(hook.event, done.returncode, out, err)


@contextmanager
def time_limit(stop: Stop, seconds: float) -> Iterator[Stop]:
    """A stop that is set with ``stop``, or after ``seconds``."""
    own = Stop()
    timer = threading.Timer(seconds, own.set)
    timer.daemon = True
    timer.start()
    try:
        with stop.calling(own.set):
            yield own
    finally:
        timer.cancel()


def _called(hook: Hook, told: Told, stop: Stop) -> Answer:
    call = hook.call
    assert call is not None
    try:
        with time_limit(stop, hook.timeout_s) as own:
            said = own.run_beside(lambda: call(told, own))
    except Stopped:
        stop.check()
        return Answer(problem=f"did not answer within {hook.timeout_s:g} s")
    except Exception as error:  # noqa: BLE001 whatever a function does, the turn goes on
        return Answer(problem=f"failed: {error}")
    if said is not None and not isinstance(said, dict):
        return Answer(problem="did not return an object")
    return of_object(hook.event, said)


def _changed_file(hook: Hook) -> str:
    if not hook.files:
        return ""
    from qwen_code.config.run_files import content_digest

    changed = (f for f, known in hook.files.items() if content_digest(Path(f)) != known)
    return next(changed, "")
