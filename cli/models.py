"""`models list` and `models check`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.common import DEFAULT_FILE, ConfigOption, JsonOption, console, print_json, print_table
from config.settings import load
from inference.checking import check_package
from inference.package import find_packages

app = typer.Typer(help="Model packages.", no_args_is_help=True)


@app.command("list")
def list_models(config: ConfigOption = DEFAULT_FILE, json: JsonOption = False) -> None:
    """The packages that are shipped and those in [models] dir."""
    folder = load(config).models.dir if config.exists() else ""
    packages = find_packages(folder)
    if json:
        print_json(
            [
                {
                    "name": package.identity.name,
                    "version": package.identity.version,
                    "manufacturer": package.identity.manufacturer,
                    "clinical_status": package.identity.clinical_status,
                    "onnx_sha256": package.identity.onnx_sha256,
                    "device_uid": package.identity.device_uid,
                    "performance": package.identity.performance,
                }
                for package in packages
            ]
        )
        return
    print_table(
        ("model", "version", "status", "published performance"),
        [(p.identity.name, p.identity.version, p.identity.clinical_status, p.identity.performance) for p in packages],
        none="No model is installed: every study will be DECLINED.",
    )


@app.command("check")
def check(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a model package.")], json: JsonOption = False
) -> None:
    """Hash, opset, shapes, and a dry run on the bundled sample with its expected output."""
    checks = check_package(directory)
    if json:
        print_json([{"check": item.name, "ok": item.fault is None, "fault": item.fault} for item in checks])
    else:
        for item in checks:
            console.print(f"ok    {item.name}" if item.fault is None else f"FAULT {item.name}: {item.fault}")
    if any(item.fault for item in checks):
        raise typer.Exit(1)
