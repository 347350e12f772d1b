"""``streamgru plugins``: what is installed, what each offers, what is broken and why."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from streamgru.adapters.registry import Found


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For programs: one JSON array.")
@click.option("--options", "with_options", is_flag=True, help="Also list the options of every adapter.")
def plugins(as_json: bool, with_options: bool) -> None:
    """List the adapters and codecs that are installed, with their faults."""
    from streamgru.adapters.registry import survey

    found = survey()
    if as_json:
        click.echo(json.dumps([_record(item) for item in found], indent=2))
        return
    width = max((len(item.name) for item in found), default=0)
    group = ""
    for item in found:
        if item.group != group:
            group = item.group
            click.secho(group, bold=True)
        what = click.style(f"broken: {item.fault}", fg="red") if item.fault else _first_line(item)
        click.echo(f"  {item.name:{width}}  {item.distribution} {item.version}  {what}")
        if with_options and not item.fault:
            for described in _options(item):
                click.echo(f"  {'':{width}}    {described['name']}={described['default']}  {described['description']}")


def _record(item: Found) -> dict[str, object]:
    return {
        "group": item.group,
        "name": item.name,
        "distribution": item.distribution,
        "version": item.version,
        "what": None if item.fault else _first_line(item),
        "options": [] if item.fault else _options(item),
        "fault": item.fault or None,
    }


def _first_line(item: Found) -> str:
    return (item.thing.__doc__ or "").strip().split("\n")[0].replace("`", "")


def _options(item: Found) -> list[dict[str, str]]:
    import msgspec

    from streamgru.adapters.options import describe

    options_type = getattr(item.thing, "options_type", None)
    return [msgspec.structs.asdict(described) for described in describe(options_type)] if options_type else []
