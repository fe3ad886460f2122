"""Which version this is, and how records name what wrote them."""

VERSION = "0.1.0"
TOOL = f"restante {VERSION}"
