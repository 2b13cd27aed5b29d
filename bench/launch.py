"""Starts a program from a process that is as small as possible, and reports its use of resources.

``launch.py REPORT_FD COMMAND…``. The peak memory of a process is at least that of its parent, so
every small program would seem as large as the bench. The bench therefore starts this script (with
``python -I -S``), and this starts the program.
"""

from __future__ import annotations

import os
import sys
import time

report, command = int(sys.argv[1]), sys.argv[2:]
os.set_inheritable(report, False)
started = time.perf_counter()
pid = os.posix_spawn(command[0], command, os.environ)
_, status, usage = os.wait4(pid, 0)
gone = time.perf_counter()
figures = [started, gone, usage.ru_utime + usage.ru_stime, usage.ru_maxrss, status]
os.write(report, " ".join(map(repr, figures)).encode())
