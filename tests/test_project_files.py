"""The files beside the code, which no tool checks against each other: versions, targets and pages that they name."""

import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml
from docs_scripts import script

import gan_lightning

ROOT = Path(__file__).resolve().parents[1]
TARGETS = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def read(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text())


def addresses(nav: list[dict[str, str]]) -> list[str]:
    return [address for item in nav for address in item.values()]


def test_the_citation_is_of_this_version() -> None:
    citation = read("CITATION.cff")
    assert citation["version"] == gan_lightning.__version__
    assert citation["title"] == gan_lightning.__name__
    (author,) = citation["authors"]
    assert f" {author['name']}\n" in (ROOT / "LICENSE").read_text()
    assert citation["license"] == "MIT"


def test_the_changelog_has_a_section_for_this_version() -> None:
    assert f"\n## {gan_lightning.__version__} " in (ROOT / "CHANGELOG.md").read_text()


def test_hooks_before_a_commit_are_targets() -> None:
    (local,) = read(".pre-commit-config.yaml")["repos"]
    entries = [hook["entry"].split() for hook in local["hooks"]]
    assert {command for command, *_ in entries} == {"make"}
    assert {target for _, target in entries} == {"format", "lint", "type"} <= TARGETS


def test_ci_runs_targets_and_nothing_else() -> None:
    lines = (ROOT / ".ci" / "run").read_text().splitlines()
    assert lines[0].startswith("#!")
    commands = [line.split() for line in lines if not line.startswith(("#", "set ", "cd "))]
    assert {command for command, *_ in commands} == {"make"}
    assert [target for _, target in commands] == ["lint", "type", "docs", "test"]
    assert {target for _, target in commands} <= TARGETS


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", ".github/PULL_REQUEST_TEMPLATE.md"])
def test_targets_that_are_written_about_exist(name: str) -> None:
    commands = re.findall(r"`make ([a-z ]+)`", (ROOT / name).read_text())
    assert commands
    assert {target for command in commands for target in command.split()} <= TARGETS


def test_issue_templates_say_what_they_are_for() -> None:
    templates = list((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.md"))
    assert len(templates) == 2
    for template in templates:
        _, head, text = template.read_text().split("---\n", 2)
        assert {"name", "about"} <= yaml.safe_load(head).keys()
        assert text.strip()


def test_the_files_of_a_new_part_are_counted() -> None:
    rows = re.findall(r"^\| ([a-z ]+) \| (\d) \| (`.*`) \|$", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE)
    assert len(rows) == 10
    for part, count, listed in rows:
        files = re.findall(r"`([^`]+)`", listed)
        assert len(files) == len(set(files)) == int(count), part
        for file in files:
            assert (ROOT / file).parent.is_dir() if "NAME" in file else (ROOT / file).is_file()


def test_the_package_says_that_it_is_typed() -> None:
    assert (ROOT / "gan_lightning" / "py.typed").read_bytes() == b""


def test_pages_of_the_site_exist_or_are_made() -> None:
    pages = script("pages")
    made = set(pages.COPIED.values()) | {pages.uri(page) for page in pages.sections()}
    listed = addresses(read("mkdocs.yml")["nav"])
    assert {address for address in listed if not (ROOT / "docs" / address).exists()} <= made
    assert {path.name for path in (ROOT / "docs").glob("*.md")} <= set(listed)
    assert all((ROOT / old).exists() for old in pages.COPIED)


def test_every_room_has_a_page_with_its_names() -> None:
    pages = script("pages")
    sections = pages.sections()
    files = (ROOT / "gan_lightning").glob("*/__init__.py")
    rooms = {f"gan_lightning.{file.parent.name}" for file in files if "namespace.of(" in file.read_text()}
    assert len(rooms) > 5
    for room in rooms:
        assert {name for _, names in sections[room] for name in names} == set(dir(import_module(room)))
