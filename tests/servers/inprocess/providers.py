"""The providers that an in-process server plays. None of this was seen on their servers: each fact names its source.

Accounts of what people met are as good as their logs; where a provider has changed since, so must this.
"""

from __future__ import annotations

import re

from tests.servers.inprocess.mail import SYSTEM, Provider

GENERIC = Provider(
    "generic",
    greeting="OK IMAP4rev1 ready",
    before_login="IMAP4rev1 AUTH=PLAIN SASL-IR",
    capabilities="IMAP4rev1 NAMESPACE UIDPLUS LITERAL+ UNSELECT",
)
"""As little as a server may be and still call itself IMAP4rev1, and what nearly all have."""


def _exchange_name(name: str) -> str:
    # "Files" is refused, as are control characters; names are told apart without case:
    # https://imapsync.lamiral.info/FAQ.d/FAQ.Exchange.txt
    if name.partition("/")[0].lower() == "files":
        return "NO CREATE failed: the folder name is reserved."
    return "NO CREATE failed." if re.search(r"[\x00-\x1f\\]", name) else ""


_EXCHANGE_LIMIT = 36_700_160
"""35 MB is the usual limit of a message in Exchange Online:
https://learn.microsoft.com/office365/servicedescriptions/exchange-online-service-description/exchange-online-limits"""


def _exchange_takes(octets: bytes) -> str:
    if len(octets) > _EXCHANGE_LIMIT:
        # Size, quota and long lines are all told in the same words: https://github.com/imapsync/imapsync/issues/285
        return "BAD Command Argument Error. 11"
    # About 10,500 octets a line: https://github.com/imapsync/imapsync/issues/104
    return "BAD Command Argument Error. 11" if max(map(len, octets.split(b"\n"))) > 10_500 else ""


EXCHANGE = Provider(
    "Exchange Online",
    # Greeting, capabilities before and after login: https://github.com/jstedfast/MailKit/issues/849
    greeting="OK The Microsoft Exchange IMAP4 service is ready. [TABPADIAUAAxADIA]",
    before_login="IMAP4 IMAP4rev1 AUTH=PLAIN AUTH=XOAUTH2 SASL-IR UIDPLUS ID UNSELECT CHILDREN IDLE NAMESPACE LITERAL+",
    capabilities="IMAP4 IMAP4rev1 AUTH=PLAIN AUTH=XOAUTH2 SASL-IR UIDPLUS MOVE ID UNSELECT CLIENTACCESSRULES "
    "CLIENTNETWORKPRESENCELOCATION BACKENDAUTHENTICATE CHILDREN IDLE NAMESPACE LITERAL+",
    # Names of the usual folders; SPECIAL-USE is not offered.
    roles=tuple((name, "") for name in ("Archive", "Deleted Items", "Drafts", "Junk Email", "Sent Items")),
    # SELECT's answer: https://github.com/jstedfast/MailKit/issues/1449
    permanent=("\\Seen", "\\Answered", "\\Flagged", "\\Deleted", "\\Draft", "$MDNSent"),
    # \Flagged in APPEND is lost, RFC822.SIZE is not the message's: https://imapsync.lamiral.info/FAQ.d/FAQ.Exchange.txt
    forgets=("\\Flagged",),
    told_size=lambda octets: len(octets) * 11 // 10 + 40,
    names=_exchange_name,
    takes=_exchange_takes,
    folds_case=True,
    # https://github.com/imapsync/imapsync/issues/198, https://github.com/simonrob/email-oauth2-proxy/issues/191
    throttle="NO Request is throttled. Suggested Backoff Time: 120 milliseconds",
    # Ten errors end a connection: https://imapsync.lamiral.info/FAQ.d/FAQ.Exchange.txt
    most_errors=10,
    farewell="BYE Connection closed. 14",
)


def _gmail_name(name: str) -> str:
    # https://imapsync.lamiral.info/FAQ.d/FAQ.Gmail.txt: no blanks at the ends or in a row, no `^`
    if name != name.strip() or "  " in name or "^" in name or any(not level.strip() for level in name.split("/")):
        return f"NO [CANNOT] Invalid folder name: {name} (Failure)"
    return ""


GMAIL = Provider(
    "Gmail",
    # Greeting, capabilities, special folders: https://github.com/jstedfast/MailKit/issues/1396
    greeting="OK Gimap ready for requests from 192.0.2.1 x2mb241876667wmk",
    before_login="IMAP4rev1 UNSELECT IDLE NAMESPACE QUOTA ID XLIST CHILDREN X-GM-EXT-1 XYZZY SASL-IR AUTH=XOAUTH2 "
    "AUTH=PLAIN AUTH=PLAIN-CLIENTTOKEN AUTH=OAUTHBEARER",
    capabilities="IMAP4rev1 UNSELECT IDLE NAMESPACE ID XLIST CHILDREN X-GM-EXT-1 UIDPLUS ENABLE MOVE CONDSTORE ESEARCH "
    "LIST-EXTENDED LIST-STATUS LITERAL- SPECIAL-USE APPENDLIMIT=35651584",
    roles=(
        ("[Gmail]/All Mail", "\\All"),
        ("[Gmail]/Drafts", "\\Drafts"),
        ("[Gmail]/Important", "\\Important"),
        ("[Gmail]/Sent Mail", "\\Sent"),
        ("[Gmail]/Spam", "\\Junk"),
        ("[Gmail]/Starred", "\\Flagged"),
        ("[Gmail]/Trash", "\\Trash"),
    ),
    permanent=(*SYSTEM, "$NotPhishing", "$Phishing", "\\*"),
    names=_gmail_name,
    # https://github.com/imapsync/imapsync/issues/124
    takes=lambda octets: "BAD Invalid character in literal" if b"\0" in octets else "",
    # Folders are labels, messages have one X-GM-MSGID: https://developers.google.com/workspace/gmail/imap/imap-extensions
    labels="[Gmail]/All Mail",
    # 2,500 MB a day by IMAP: https://support.google.com/a/answer/1071518; the words: RFC 5530, RFC 9208
    throttle="NO [OVERQUOTA] Account exceeded command or bandwidth limits. (Failure)",
)
