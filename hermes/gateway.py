#!/opt/hermes/bin/python
"""Starts the gateway with the two places shut from which the disk could choose another model, installed as hermes-gateway.

A cron job and a chat may each carry a model, provider and base_url of its own. Hermes 0.19.0 has no setting against it, and
a job with the provider "custom" would send its prompts to any server. Both are read through one function each, so their
choice is dropped there. The snapshots of a job go with it: they would stop the job for good once HERMES_MODEL changes.

The name is one that Hermes recognises as a gateway process; the arguments are those of the hermes command.
"""

import sys

from hermes_cli.main import main  # must come first: importing it sets up the process
from cron import jobs
from gateway.session import SessionStore

MODEL_KEYS = {"model", "provider", "base_url", "model_snapshot", "provider_snapshot"}

load_jobs = jobs.load_jobs


def load_jobs_without_model():
    return [{key: value for key, value in job.items() if key not in MODEL_KEYS} for job in load_jobs()]


def drop_choices_of_the_disk():
    jobs.load_jobs = load_jobs_without_model
    SessionStore.get_model_override = lambda self, session_key: None


if __name__ == "__main__":
    drop_choices_of_the_disk()
    sys.exit(main())
