"""Imported by every Python process that has this folder in PYTHONPATH (see site.py)."""

import os

if os.environ.get("FAULTS_CONTROL"):
    import faulty

    faulty.install(os.environ["FAULTS_CONTROL"])
