"""Mail on the wire: session, login, names, flags, fast FETCH and APPEND over imapclient; knows nothing of vaults."""
