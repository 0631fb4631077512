"""Whose a project is, as its repository's CODEOWNERS says."""

from groundwork.update.repository import Repository

# Where hosts look, the first that is there.
PLACES = (".github/CODEOWNERS", ".gitlab/CODEOWNERS", "CODEOWNERS", "docs/CODEOWNERS")


def owners(repository: Repository) -> str:
    """Return who owns the whole folder of a project, or nothing where that is not said."""
    listed = repository.git("ls-tree", "-z", "--full-tree", repository.head, "--", *PLACES)
    found = {line.split("\t", 1)[1]: line for line in listed.split("\0") if "\t" in line}
    for place in PLACES:
        if place in found:
            return _of(repository.text(found[place]), repository.prefix.strip("/"))
    return ""


def _of(text: str, folder: str) -> str:
    """Return the owners by the last rule that is about a folder as a whole, or one around it."""
    parts = folder.split("/") if folder else []
    around = ["/".join(parts[: end + 1]) for end in range(len(parts))]
    patterns = {"*", "**", "/", "/*", "/**"}
    patterns |= {f"{start}{one}{end}" for one in around for start in ("", "/") for end in ENDS}
    said = ""
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        if words and words[0] in patterns:
            said = " ".join(words[1:])
    return said


ENDS = ("", "/", "/*", "/**")
