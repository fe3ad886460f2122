"""Telling others how a job goes: a ping URL, as healthchecks-style monitors take it."""

from __future__ import annotations

import urllib.request
from http.client import HTTPException
from typing import Literal

import structlog

from restante.config import Job
from restante.errors import UsageTrouble
from restante.loading import Loaded
from restante.secrets import Origin

SECONDS = 10
Step = Literal["start", "success", "fail"]


def step_of(status: str) -> Step | None:
    """Return what to tell of a run that ended so; None for an interrupted one, which is run again."""
    return None if status == "interrupted" else "success" if status == "complete" else "fail"


def ping(loaded: Loaded | None, job: Job, step: Step | None) -> None:
    """Tell a job's ping URL, if it has one. What goes wrong is logged, without the URL, and stops nothing."""
    file = loaded.path(job.ping_file) if loaded is not None and job.ping_file else None
    origin = Origin("ping URL", job.ping_env, file, job.ping_command)
    if step is None or not origin.given():
        return
    try:
        _get(origin.read().rstrip("/") + {"start": "/start", "success": "", "fail": "/fail"}[step])
    except (UsageTrouble, OSError, ValueError, HTTPException) as error:
        # Only its kind: the text of an error may quote the URL, which is a secret.
        structlog.get_logger().warning("ping not sent", job=job.name, step=step, why=type(error).__name__)


def _get(url: str) -> None:
    if not url.startswith(("https://", "http://")):
        raise ValueError
    with urllib.request.urlopen(url, timeout=SECONDS):  # noqa: S310  (its scheme was looked at)
        return
