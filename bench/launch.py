"""Starts a program from a process as small as can be, and reports what it took.

``launch.py REPORT_FD COMMAND…``. A started process counts the memory of whoever started it as its
own peak, until it has more itself: started by the bench, everything small would seem as big as the
bench. So it starts this (with ``python -I -S``), and this starts the program.
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
