"""No queue at all, ``on_threads.py JOB COUNT SLOTS``: what the job itself and the interpreter leave to be had."""

from __future__ import annotations

import itertools
import sys
import threading

import jobs

if __name__ == "__main__":
    job, numbers = getattr(jobs, sys.argv[1]), itertools.count(1)
    count, slots = int(sys.argv[2]), int(sys.argv[3])

    def run() -> None:
        while next(numbers) <= count:
            job()

    threads = [threading.Thread(target=run) for _ in range(slots)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    threading.Event().wait()
