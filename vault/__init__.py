"""Mail at rest: blobs, packs, pages, snapshots, keys and stores; knows nothing of IMAP."""
