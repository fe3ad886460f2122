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


_YAHOO = (
    # Capabilities: https://github.com/zone-eu/wildduck/pull/943; MESSAGELIMIT, CONDSTORE and QRESYNC are in Yahoo's own
    # documents only: https://senders.yahooinc.com/developer/documentation
    "IMAP4rev1 SASL-IR AUTH=PLAIN AUTH=XOAUTH2 AUTH=OAUTHBEARER ID MOVE NAMESPACE XYMHIGHESTMODSEQ UIDPLUS LITERAL+ "
    "CHILDREN UNSELECT X-MSG-EXT OBJECTID IDLE ENABLE UIDONLY X-ALL-MAIL X-UIDONLY LIST-EXTENDED LIST-STATUS "
    "SPECIAL-USE PARTIAL APPENDLIMIT=41697280"
)
YAHOO = Provider(
    "Yahoo! Inc.",  # the vendor in its ID: https://github.com/MailCore/mailcore2/issues/1445
    # https://github.com/jstedfast/MailKit/issues/1055
    greeting="OK IMAP4rev1 Hello",
    before_login=_YAHOO,
    capabilities=_YAHOO,
    # Names and roles: https://developer.yahoo.com/blogs/174023151641
    inbox="Inbox",
    roles=(
        ("Archive", "\\Archive"),
        ("Bulk Mail", "\\Junk"),
        ("Draft", "\\Drafts"),
        ("Sent", "\\Sent"),
        ("Trash", "\\Trash"),
    ),
    # FLAGS in SELECT's answer: https://github.com/jstedfast/MailKit/issues/358
    permanent=(*SYSTEM, "$Forwarded", "$Junk", "$NotJunk"),
    # Only 10,000 messages of a mailbox, unless UIDONLY is enabled: https://github.com/djc/imap-proto/pull/198,
    # https://github.com/rustmailer/bichon/issues/271. That it is the newest ones is our guess.
    shows=10_000,
    # A blank ends SEARCH's answer: https://github.com/ikvk/imap_tools/issues/97
    search_end=" ",
    # Without a line end at its end a message is refused: https://github.com/jstedfast/MailKit/issues/251, in the words
    # of https://github.com/imapsync/imapsync/issues/209
    takes=lambda octets: (
        "" if octets.endswith(b"\r\n") else "BAD [CLIENTBUG] Additional arguments found after last expected argument"
    ),
    # https://github.com/jstedfast/MailKit/issues/1055
    throttle="NO [SERVERBUG] Server error - Please try again later",
)
UNAVAILABLE = "NO [UNAVAILABLE] UID FETCH Server error while fetching messages"
"""What Yahoo says of single messages, for ever: https://github.com/imapsync/imapsync/issues/119"""

ICLOUD = Provider(
    "iSCREAM",
    # https://github.com/jstedfast/MailKit/issues/295
    greeting="OK [CAPABILITY XAPPLEPUSHSERVICE IMAP4 IMAP4rev1 SASL-IR AUTH=ATOKEN AUTH=PLAIN] iSCREAM ready to rumble "
    "(15E201-d02dd996912b:14338) mr11p00im-iscream023 [28:1275:08:32:19:74]",
    before_login="XAPPLEPUSHSERVICE IMAP4 IMAP4rev1 SASL-IR AUTH=ATOKEN AUTH=PLAIN",
    # Capabilities after login and mailboxes: https://github.com/nextcloud/mail/issues/3401
    capabilities="XAPPLEPUSHSERVICE IMAP4 IMAP4rev1 CONDSTORE ENABLE QRESYNC QUOTA NAMESPACE UIDPLUS CHILDREN BINARY "
    "UNSELECT SORT CATENATE URLAUTH LANGUAGE ESEARCH ESORT THREAD=ORDEREDSUBJECT THREAD=REFERENCES CONTEXT=SEARCH "
    "CONTEXT=SORT WITHIN SASL-IR SEARCHRES METADATA ID XMSEARCH X-SUN-SORT ANNOTATE-EXPERIMENT-1 X-UNAUTHENTICATE "
    "X-SUN-IMAP XUM1 MULTISEARCH IDLE LIST-STATUS",
    roles=(("Archive", ""), ("Deleted Messages", ""), ("Drafts", ""), ("Junk", ""), ("Sent Messages", "")),
    # Mod-sequences are enabled without a word: https://github.com/lswith/imap-mcp/issues/8
    quiet=True,
    # https://github.com/nextcloud/mail/pull/9454. FETCH RFC822 gives nothing, as here of any provider:
    # https://github.com/modern-email/defects/issues/36
    esearch=False,
)
