"""Where Hermes finds the provider that cron.provider of config.yaml names: a CronScheduler (plugins/cron_providers/__init__.py in Hermes)."""

from private_hermes.scheduling import Scheduler as Scheduler
