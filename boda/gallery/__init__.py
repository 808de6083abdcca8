"""A gallery of people, characters, parts or products: taken in by one picture, known again by others.

``boda.gallery.create("people.db", run)``, ``open("people.db")``; see ``Gallery``. Nothing here
imports torch before a picture goes through a network.
"""

from boda.gallery.exporting import export
from boda.gallery.gallery import Gallery
from boda.gallery.records import Found, Identified

create, open = Gallery.create, Gallery.open

__all__ = ["Found", "Gallery", "Identified", "create", "export", "open"]
