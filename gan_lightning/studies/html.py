"""A report as one HTML page: what it shows and in which order. page.py has the elements, figures.py the charts."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from urllib.parse import quote

from gan_lightning.studies import page
from gan_lightning.studies.accounts import Table, mean
from gan_lightning.studies.figures import COLOURS, Scale, Series, lines, points, shown, strip, strip_scale, text
from gan_lightning.studies.grids import MOST_BYTES, embedded
from gan_lightning.studies.measured import Dependence, Measured, Standing, interval
from gan_lightning.studies.page import Cell
from gan_lightning.studies.report import GridRow, Part, Report


def as_html(report: Report, renewed: float | None = None) -> str:
    """The page; `renewed` are the seconds after which a browser loads it again."""
    body = [f"<h1>{text(report.title)}</h1>", *_head(report, renewed)]
    for place, part in enumerate(report.parts):
        body += _part(part, f"part-{place}") if len(report.runs) > 1 else _numbers(part)
    body += _grids(report.grids)
    for title, table in report.tables.items():
        if table.rows:
            body += [f'<h2 id="{quote(title)}">{text(title)}</h2>', as_table(table)]
    if report.courses:
        body += ["<h2>How it went</h2>", _courses(report.courses)]
    if report.settings:
        rows = [[page.words(key), page.words(value, "long")] for key, value in report.settings.items()]
        body += ["<h2>Configuration</h2>", page.folded("all of it", page.table(["key", "value"], rows))]
    body.append(
        f'<p class="soft">Made by <code>{text(report.command)}</code>, gan_lightning {text(report.version)}.</p>'
    )
    return page.document(report.title, "\n".join(body), renewed)


def as_table(table: Table) -> str:
    """A table of facts."""
    rows = []
    for row in table.rows:
        cells = []
        for head, value in zip(table.heads, row, strict=True):
            kind = "long" if head in table.long else ""
            if isinstance(value, str) and head == "folder":
                cells.append(Cell(f'<a href="{quote(value, safe="/")}/">{text(value)}</a>', value, kind))
            elif isinstance(value, str) and head == "command":
                cells.append(Cell(f"<code>{text(value)}</code>", value, kind))
            else:
                cells.append(page.words(value, kind) if isinstance(value, str) else page.number(value))
        rows.append(cells)
    return page.table(table.heads, rows, table.best)


def _head(report: Report, renewed: float | None) -> Iterator[str]:
    """What is known at a glance, and what to be careful about."""
    counts = ", ".join(f"{count} {status}" for status, count in report.states.items())
    going = f"; renewed every {renewed:g} s" if renewed else ""
    yield f'<p class="soft">{text(report.made)}: {text(counts)}{text(going)}.</p>'
    yield page.listed(report.notes)


def _part(part: Part, name: str) -> Iterator[str]:
    """A section's numbers: a selector of the metric, and all that there is of it."""
    yield f"<h2>{text(part.section.title)}</h2>"
    yield page.listed(part.notes)
    blocks = {each.metric: "\n".join(_measured(each, name)) for each in part.measures}
    if blocks:
        yield page.chosen(f"{name}-metric", "Number:", blocks)
        yield _protocol(part)


def _numbers(part: Part) -> Iterator[str]:
    """The numbers of a single run, all at once."""
    yield f"<h2>{text(part.section.title)}</h2>"
    rows = [
        [page.words(each.metric), page.number(each.standings[0].mean), page.words(each.better or "-")]
        for each in part.measures
    ]
    if rows:
        yield page.table(["number", "value", "better"], rows)
        charts = {each.metric: each.curves["iterations"] for each in part.measures if each.curves.get("iterations")}
        yield _courses(charts)
        yield _protocol(part)


def _protocol(part: Part) -> str:
    rows = [[page.words(key), page.words(value, "long")] for key, value in part.protocol.items()]
    return page.folded("Protocol: how it was measured", page.table(["entry", "value"], rows))


def _measured(measured: Measured, name: str) -> Iterator[str]:
    direction = f"{measured.better} is better" if measured.better else "which way is better is not known"
    yield f"<h3>{text(measured.metric)} <span class=soft>({text(direction)})</span></h3>"
    yield leaderboard(measured)
    yield page.listed(measured.notes)
    if measured.sentences:
        yield f"<h3>What can be told apart</h3>{page.listed(measured.sentences)}"
        yield page.folded("All comparisons", as_table(measured.comparisons) if measured.comparisons else "")
    curves = {axis: coloured(each) for axis, each in measured.curves.items() if each}
    if curves:
        yield "<h3>In the course of training</h3>"
        charts = {axis: _curves(each, axis, measured.metric) for axis, each in curves.items()}
        yield page.chosen(f"{name}-axis", "Against:", charts)
    if measured.dependences:
        yield "<h3>By what was varied</h3>"
        yield f'<div class="charts">{"".join(_dependence(each, measured) for each in measured.dependences)}</div>'
    if measured.trials:
        trials = coloured(measured.trials)
        yield "<h3>The best of several trials, as expected</h3>"
        yield _curves(trials, "trials", f"best {measured.metric}")


def _dependence(found: Dependence, measured: Measured) -> str:
    """A chart against a number, or a strip of each name's values."""
    told = f"<p>{text(found.sentence)}</p>" if found.sentence else ""
    if found.series:
        series = coloured(found.series)
        legend = page.legend([(each.name, each.colour) for each in series]) if len(series) > 1 else ""
        return f"<div>{told}{legend}{points(series, found.key, measured.metric)}</div>"
    scale = strip_scale([value for group in found.groups.values() for _, value in group])
    rows = []
    for name, group in found.groups.items():
        middle = mean(value for _, value in group)
        drawn = strip(group, middle, None, scale) if scale else ""
        cells = [page.words(name, "long"), page.number(float(len(group))), page.number(middle)]
        rows.append([*cells, Cell(drawn, f"{middle:.10g}")])
    return f"<div>{told}{page.table([found.key, 'runs', 'mean', scale_name(scale)], rows)}</div>"


def coloured(series: Sequence[Series]) -> list[Series]:
    """Series with colours of their own where their own numbers would leave several with one."""
    numbers = {each.colour % COLOURS for each in series}
    return list(series) if len(numbers) == len(series) else [replace(s, colour=n) for n, s in enumerate(series)]


def _curves(series: Sequence[Series], axis: str, name: str) -> str:
    legend = page.legend([(each.name, each.colour % COLOURS) for each in series])
    return f"{legend}{lines(series, axis, name)}"


def _courses(charts: Mapping[str, Sequence[Series]]) -> str:
    drawn = "".join(f"<div>{_curves(coloured(series), 'iterations', title)}</div>" for title, series in charts.items())
    return f'<div class="charts">{drawn}</div>'


def leaderboard(measured: Measured) -> str:
    """The configurations, the best first, each with every seed's point on one scale."""
    scale = strip_scale([value for each in measured.standings for value in each.values.values()])
    heads = ["", "configuration", "runs", "mean", "95 % interval", "IQM", "95 % interval of IQM", scale_name(scale)]
    rows = [
        _standing(place, each, scale, _mark(place, each, measured)) for place, each in enumerate(measured.standings)
    ]
    return page.table(heads, rows, measured.best)


def scale_name(scale: Scale | None) -> str:
    """Where the strips of a table begin and end."""
    if scale is None:
        return "seeds"
    logarithmic = ", logarithmic" if scale.logarithmic else ""
    return f"seeds ({shown(float(f'{scale.low:.2g}'))} to {shown(float(f'{scale.high:.2g}'))}{logarithmic})"


def _mark(place: int, standing: Standing, measured: Measured) -> str:
    """Whether a configuration is the best, or may be as far as the seeds tell."""
    if place == measured.best:
        return '<span class="good">best</span>'
    return '<span class="soft">alike</span>' if standing.name in measured.alike else ""


def _standing(place: int, standing: Standing, scale: Scale | None, mark: str) -> list[Cell]:
    of = [(f"seed {seed}", value) for seed, value in standing.values.items()]
    drawn = strip(of, standing.mean, standing.ends, scale, standing.colour) if scale else ""
    lost = ", ".join(f"seed {seed} {status}" for seed, status in standing.lacking.items())
    lost = f'<br><span class="bad">{text(lost)}</span>' if lost else ""
    count = f"{len(standing.values) - len(standing.lacking)} of {len(standing.values)}"
    return [
        Cell(mark, str(place)),
        Cell(f"{text(standing.name)}{lost}", standing.name, "long"),
        Cell(count, str(len(standing.values) - len(standing.lacking)), "number"),
        page.number(standing.mean),
        Cell(text(interval(standing.ends)), "", "number"),
        page.number(standing.iqm),
        Cell(text(interval(standing.iqm_ends)), "", "number"),
        Cell(drawn, f"{standing.mean:.10g}"),
    ]


def _grids(rows: Sequence[GridRow]) -> Iterator[str]:
    """Pictures in rows of three, as many as there is room for."""
    made, used = [], 0
    for row in rows:
        shown_here = []
        for caption, path in row.pictures:
            uri = embedded(path) if used < MOST_BYTES else None
            if uri:
                used += len(uri)
                image = f'<img src="{uri}" alt="{text(f"samples of {row.name}, {caption}")}" loading="lazy">'
                shown_here.append(f"<figure>{image}<figcaption>{text(caption)}</figcaption></figure>")
        if shown_here:
            made.append(f'<h3>{text(row.name)}</h3><div class="grids">{"".join(shown_here)}</div>')
    if made:
        yield "<h2>Samples</h2>"
        if len(made) < len(rows):
            yield f'<p class="soft">Those of the first {len(made)} of {len(rows)}, for the size of this page.</p>'
        yield from made
