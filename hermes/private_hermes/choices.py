"""Shuts the two places from which the disk could choose another model.

A cron job and a chat may each carry a model, provider and base_url of its own. Hermes 0.19.0 has no setting against it, and
a job with the provider "custom" would send its prompts to any server. Both are read through one function each, so their
choice is dropped there. The snapshots of a job go with it: they would stop the job for good once HERMES_MODEL changes.
"""

from cron import jobs
from gateway.session import SessionStore

from . import replace

MODEL_KEYS = {"model", "provider", "base_url", "model_snapshot", "provider_snapshot"}


def install():
    def load_jobs_without_model():
        return [{key: value for key, value in job.items() if key not in MODEL_KEYS} for job in load_jobs()]

    load_jobs = replace(jobs, "load_jobs", load_jobs_without_model, "() -> List[Dict[str, Any]]")
    replace(SessionStore, "get_model_override", lambda self, session_key: None, "(self, session_key: str) -> Optional[Dict[str, str]]")
