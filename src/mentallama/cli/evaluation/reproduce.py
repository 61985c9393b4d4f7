"""The command `reproduce`: claims of the paper against the files at hand."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mentallama.cli.console import echo_wrapped
from mentallama.errors import printable
from mentallama.run_files import CLAIMS_PAGE_FILE

if TYPE_CHECKING:
    from mentallama.reproduce.claims import PaperClaim
    from mentallama.reproduce.ledger import ClaimLedger

VERDICT_GUIDE = (
    "reproduced: ours equals the published number, has it in the 95 % interval, or reaches its lower bound"
)


def add_reproduce_command(app: typer.Typer) -> None:
    """Add the command to the application."""

    @app.command(
        epilog="mentallama reproduce --data data\n"
        "mentallama reproduce --data data --runs runs/mentalroberta-SAD --runs MentaLLaMA-chat-13B=scores"
    )
    def reproduce(
        data: Annotated[
            Path,
            typer.Option(
                metavar="DIR", help="A folder with release/ and sources/, or the published release."
            ),
        ],
        runs: Annotated[
            list[str] | None,
            typer.Option(
                "--runs",
                metavar="[MODEL=]DIR",
                help="A run, or a folder of evaluate, to compare with Tables 2 and 3. MODEL is a model of these "
                "tables; without it, the model is told by the run's train.base. Can be given several times.",
            ),
        ] = None,
        train: Annotated[
            bool, typer.Option("--train", help="Also train the linear model, which takes minutes.")
        ] = False,
        out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the ledger.")] = Path(
            "runs/reproduce"
        ),
    ) -> None:
        """Compare the paper's numbers with what the files at hand give.

        Reads the published release and the sets' own files; writes claims.json and claims.md, and prints for each
        number the paper's value, ours with its interval, and a verdict: reproduced, differs, or not possible, with the
        cause.
        """
        from mentallama.reproduce.inputs import ReproductionInputs, open_scored_run
        from mentallama.reproduce.ledger import write_ledger
        from mentallama.reproduce.release_data import ReleaseData
        from mentallama.tasks import load_tasks

        tasks = load_tasks()
        opened = tuple(open_scored_run(run, tasks) for run in runs or ())
        ledger = write_ledger(ReproductionInputs(ReleaseData(data, tasks), opened, train), out)
        for claim in ledger.claims:
            _print_claim(ledger, claim)
        echo_wrapped(", ".join(f"{number} {verdict}" for verdict, number in ledger.counts().items()))
        echo_wrapped(VERDICT_GUIDE)
        typer.echo(out / CLAIMS_PAGE_FILE)


def _print_claim(ledger: ClaimLedger, claim: PaperClaim) -> None:
    """Print the numbers that could be checked as a table, and below it the causes, each with what it holds for."""
    from mentallama.cli.tables import WideTable, print_table
    from mentallama.reproduce.ledger import causes_of, finding_cells, finding_header

    findings = ledger.findings[claim.id]
    title = f"{claim.claim} ({claim.where}{'' if claim.source == 'paper' else '; measured by this project'})"
    cells = [finding_cells(claim, finding)[:-1] for finding in findings if finding.ours is not None]
    if cells:
        print_table(WideTable(title, finding_header(claim)[:-1], tuple(cells)))
    else:
        echo_wrapped(title)
    for verdict, cause, subjects in causes_of(findings):
        echo_wrapped(printable(f"{verdict}: {'; '.join(subjects)}: {cause}"), indent=2)
    typer.echo("")
