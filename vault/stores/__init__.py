"""Stores: a local directory and S3, behind one contract."""
