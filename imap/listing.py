"""The look: which mailboxes an account has and whether they changed, in as few round trips as the server allows."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from imap.arguments import astring
from imap.errors import ConnectionLost
