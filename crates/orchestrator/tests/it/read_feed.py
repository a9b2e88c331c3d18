"""Reads a feed from the standard input with the strict XML parser of Python, and prints its entries as JSON:
an independent reader beside the crates that write the feeds."""
import json
import sys
import xml.etree.ElementTree as ElementTree
from email.utils import parsedate_to_datetime

ATOM = "{http://www.w3.org/2005/Atom}"
CONTENT = "{http://purl.org/rss/1.0/modules/content/}encoded"
CREATOR = "{http://purl.org/dc/elements/1.1/}creator"


def text(parent, path):
    found = parent.find(path)
    return None if found is None else found.text


root = ElementTree.fromstring(sys.stdin.buffer.read())
if root.tag == "rss":
    channel = root.find("channel")
    head = {"title": text(channel, "title"), "self": channel.find(ATOM + "link").get("href")}
    entries = [
        {
            "id": text(item, "guid"),
            "url": text(item, "link"),
            "title": text(item, "title"),
            "author": text(item, CREATOR),
            "html": text(item, CONTENT),
            "labels": [category.text for category in item.findall("category")],
            "published": int(parsedate_to_datetime(text(item, "pubDate")).timestamp()),
            "updated": text(item, ATOM + "updated"),
        }
        for item in channel.findall("item")
    ]
else:
    links = {link.get("rel"): link.get("href") for link in root.findall(ATOM + "link")}
    head = {"title": text(root, ATOM + "title"), "self": links["self"]}
    entries = [
        {
            "id": text(entry, ATOM + "id"),
            "url": entry.find(ATOM + "link").get("href"),
            "title": text(entry, ATOM + "title"),
            "author": text(entry, f"{ATOM}author/{ATOM}name"),
            "html": text(entry, ATOM + "content"),
            "labels": [category.get("term") for category in entry.findall(ATOM + "category")],
            "published": text(entry, ATOM + "published"),
            "updated": text(entry, ATOM + "updated"),
        }
        for entry in root.findall(ATOM + "entry")
    ]
json.dump({**head, "entries": entries}, sys.stdout)
