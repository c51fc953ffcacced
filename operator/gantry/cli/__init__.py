"""`gantry …` for people: show a report, list Runs, print the schema of findings.json. The entry point is `main.main`.

Heavy libraries are imported by the command that needs them: `gantry --help` must answer at once.
"""

__all__: list[str] = []
