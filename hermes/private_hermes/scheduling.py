"""When a job runs: Hermes' own scheduler, with what comes before its start and its looks, and around its end.

Hermes makes it by the setting cron.provider of config.yaml, from the folder of its own providers, where the image's build puts
cron_provider.py.
"""

import logging

from cron.scheduler_provider import InProcessCronScheduler

from . import runs
from .loops import THREADS, lives

log = logging.getLogger(__name__)


class Scheduler(InProcessCronScheduler):
    name = "private-hermes"

    def start(self, stop_event, *, can_dispatch=None, **more):
        def may_run():
            # Hermes asks it before each look.
            if can_dispatch and not can_dispatch():
                return False
            runs.leave_late()
            return True

        # Its end ends the service.
        with lives(THREADS["cron-scheduler"], stop_event):
            super().start(stop_event, can_dispatch=may_run, **more)

    def recover_interrupted(self):
        try:
            runs.give_back()
            return super().recover_interrupted()
        except Exception:
            # Otherwise no job would run at all.
            log.exception("What was cut off isn't made up for")
            return 0
