#!/usr/bin/env python3
"""Verifies the proof of an article's history: verify.py page-1.json page-2.json ..."""
import hashlib, json, sys

article, expected, count, checked = None, "0" * 64, 0, 0
for page in sys.argv[1:]:
    for link in json.load(open(page, encoding="utf-8"))["proof"]:
        count += 1
        version, previous, record = link["version"], link["previous"], link.get("record")
        if version != count:
            sys.exit(f"version {count} is missing")
        if None not in (previous, expected) and previous != expected:
            sys.exit(f"version {version} does not follow the version before it")
        if None not in (previous, record):
            if hashlib.sha256(f"{previous}\n{record}".encode()).hexdigest() != link["hash"]:
                sys.exit(f"the record of version {version} is not what was hashed")
            named = json.loads(record)["article"]
            if named["version"] != version or named["id"] != (article or named["id"]):
                sys.exit(f"the record of version {version} is of another article or version")
            article, checked = named["id"], checked + 1
        expected = link["hash"]
if not checked:
    sys.exit("no version has a record to check; request the proof with include=record")
print(f"{count} versions form a chain, and {checked} records are what was hashed")
