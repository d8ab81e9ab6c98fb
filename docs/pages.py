"""A hook of MkDocs (see mkdocs.yml): the pages that are made from other files, so that no text is kept twice.

    make docs

README.md, CONTRIBUTING.md and CHANGELOG.md become pages, and each room of the package gets one with its public names,
for which mkdocstrings fills in signatures and docstrings. Nothing is imported that needs torch. Links are written for
those who read the files in the repository: on the site they lead to the page made of the same file, and what is no page
is named without a link.
"""

import ast
import importlib
import pkgutil
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import griffe
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

import gan_lightning
from gan_lightning import namespace

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = gan_lightning.__name__
COPIED = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
MODULES = ("samples", "schedules", "types")  # what the rooms share, beside the rooms themselves
LINK = re.compile(r"(!?)\[([^\]\n]*)\]\(([^)\s]+)\)")


def docstring(module: str) -> str:
    """A module's docstring, read without importing it."""
    path = ROOT.joinpath(*module.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""


def rooms() -> Iterator[str]:
    """The packages that have one public namespace each."""
    for info in pkgutil.iter_modules(gan_lightning.__path__, f"{PACKAGE}."):
        if info.ispkg and hasattr(importlib.import_module(info.name), "__getattr__"):
            yield info.name


def sections() -> dict[str, list[tuple[str, list[str]]]]:
    """The reference's pages, each with the modules that define its names, and these in the order of their file.

    They are the package's own names, each room's, and those of the modules that rooms share.
    """
    modules = dict(namespace.defined(PACKAGE))
    pages = {PACKAGE: [(PACKAGE, sorted(gan_lightning.__all__, key=str.lower))]}
    pages |= {room: list(namespace.defined(room)) for room in rooms()}
    pages |= {f"{PACKAGE}.{name}": [(f"{PACKAGE}.{name}", modules[f"{PACKAGE}.{name}"])] for name in MODULES}
    return pages


def uri(page: str) -> str:
    """Where a page of the reference lies."""
    return f"api/{'index' if page == PACKAGE else page.rpartition('.')[2]}.md"


def bases(found: griffe.Object) -> set[str]:
    """The names of a class's bases, without their parameters; none for anything else."""
    return {str(base).partition("[")[0] for base in found.bases} if isinstance(found, griffe.Class) else set()


class NamedTuples(griffe.Extension):
    """Gives named tuples the constructor that Python gives them, so that a signature names their fields."""

    def on_class(self, *, cls: griffe.Class, **kwargs: Any) -> None:
        if "NamedTuple" in bases(cls):
            kind = griffe.ParameterKind.positional_or_keyword
            fields = [field for field in cls.attributes.values() if field.annotation is not None]
            parameters = [griffe.Parameter(f.name, annotation=f.annotation, kind=kind, default=f.value) for f in fields]
            cls.set_member("__init__", griffe.Function("__init__", parameters=griffe.Parameters(*parameters)))
            cls.labels.add("named tuple")


def is_told(found: griffe.Object) -> bool:
    """Whether a name has an entry: functions, classes and types, and no constants, loggers or type variables."""
    if not isinstance(found, griffe.Attribute):
        return True
    return found.name != found.name.upper() and not re.match(r"TypeVar\(|logging\.", str(found.value))


def entry(path: str, level: int, found: griffe.Object) -> str:
    """What mkdocstrings is asked for one name; of classes but protocols, members without a docstring are left out."""
    options = [f"heading_level: {level}", f"show_if_no_docstring: {str('Protocol' in bases(found)).lower()}"]
    return "\n".join([f"::: {path}", "    options:", *(f"      {option}" for option in options)])


def found_at(path: str, module: str, known: griffe.Module) -> griffe.Object:
    """What a public path names. Raises PluginError where a room's __init__.py does not lead to its module."""
    try:
        found = known[path.removeprefix(f"{PACKAGE}.")]
    except KeyError:
        raise PluginError(f"{path}: the __init__.py of its room has no star import of {module}") from None
    return found.final_target if isinstance(found, griffe.Alias) else found


def reference(page: str, known: griffe.Module) -> str:
    """The Markdown of a page of the reference, whose names have their public paths, as in configurations."""
    text = [f"# {page}", contents() if page == PACKAGE else docstring(page)]
    for module, names in sections()[page]:
        paths = {f"{page}.{name}": found_at(f"{page}.{name}", module, known) for name in names}
        level = 2 if module == page else 3  # below the file's name, unless the page is about one file
        entries = [entry(path, level, found) for path, found in paths.items() if is_told(found)]
        if level == 3 and entries:
            text += [f"## {module.rpartition('.')[2]}.py", docstring(module)]
        text += entries
    return "\n\n".join(text) + "\n"


def contents() -> str:
    """What the other pages are about: the first paragraphs of the modules' docstrings."""
    rows = [
        f"What `from {PACKAGE} import` offers is below. The other pages are the rooms of the package and what they "
        f"share. A name is public at its room, whichever file defines it: `{PACKAGE}.ROOM.NAME`.\n"
    ]
    for page in (page for page in sections() if page != PACKAGE):
        summary = docstring(page).partition("\n\n")[0].replace("\n", " ")
        rows.append(f"- [{page.rpartition('.')[2]}]({posixpath.basename(uri(page))}): {summary}")
    return "\n".join(rows)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """The navigation's reference has all its pages, of which mkdocs.yml names the first."""
    pages: list[Any] = [{page.removeprefix(f"{PACKAGE}."): uri(page)} for page in sections() if page != PACKAGE]
    for item in config.nav or []:
        for title, target in item.items():
            if target == uri(PACKAGE):
                item[title] = [target, *pages]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    made = {new: (ROOT / old).read_text(encoding="utf-8") for old, new in COPIED.items()}
    known = griffe.load(PACKAGE, search_paths=[ROOT], resolve_aliases=True, allow_inspection=False)
    assert isinstance(known, griffe.Module)
    made |= {uri(page): reference(page, known) for page in sections()}
    for where, content in made.items():
        files.append(File.generated(config, where, content=content, inclusion=InclusionLevel.INCLUDED))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links between files of the repository as links between pages."""
    here = page.file.src_uri
    origin = {new: old for old, new in COPIED.items()}.get(here, f"docs/{here}")
    pages = {name: uri(name) for name in sections()}

    def replaced(match: re.Match[str]) -> str:
        picture, text, target = match.groups()
        path, hash_, anchor = target.partition("#")
        if not path or ":" in path:
            return match[0]
        repository = posixpath.normpath(posixpath.join(posixpath.dirname(origin), path))
        if not (ROOT / repository).exists():
            raise PluginError(f"{origin} links to {target}, which there is not")
        module = repository.removesuffix(".py").replace("/", ".")
        site = COPIED.get(repository) or pages.get(module) or repository.removeprefix("docs/")
        file = files.get_file_from_path(site)
        if file is None or file.inclusion is InclusionLevel.EXCLUDED:
            return text if "`" in text else f"`{text}`"
        relative = posixpath.relpath(site, posixpath.dirname(here) or ".")
        return f"{picture}[{text}]({relative}{hash_}{anchor})"

    if here.startswith("api/"):
        return markdown
    page.meta["hide"] = ["navigation"]  # the tabs are all of it; commands need the width
    return LINK.sub(replaced, markdown)


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """Raises PluginError for a page that loads something from a server: the site is for reading offline too."""
    for tag in re.findall(r"<(?:script|link|img|iframe)\b[^>]*>", output):
        if re.search(r"""(?:src|href)=["']?(?:https?:)?//""", tag) and "canonical" not in tag:
            raise PluginError(f"{page.file.src_uri} loads something from elsewhere: {tag}")
    return output
