"""`python laurel.py update ../laurel`: take a later version of the template into a project, as a merge."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from project import git
from project.template import GENERATED, ROOT, read_record
from utils.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("template", type=Path, help="the folder of the later version of the template")


def main(args: argparse.Namespace) -> int:
    """Update this project; return the exit status."""
    return update(ROOT, args.template.expanduser().resolve())


def update(project: Path, template: Path) -> int:
    """Commit the template's files, for the tasks of the project, on its branch `template`, and merge it into the current branch.

    Returns 0, or 1 if the merge has conflicts, which the user resolves with git. Only the merge changes the working tree.
    Raises UserError if `project` is not a project, `template` is not a template, or the project has changes that are not
    committed.
    """
    record = read_record(project)
    branch = _branch(project)
    if not (template / "new_project.py").is_file():
        raise UserError(f"{template}: is no template (new_project.py is not there)")
    before = _last(project)
    with tempfile.TemporaryDirectory() as folder:
        files = Path(folder) / "project"
        _make(template, files, record)
        new = read_record(files)
        commit = git.commit_of(project, files, message("Take", new["version"]), before)
    if git.run(project, "diff", "--quiet", before, commit).returncode:
        git.ask(project, "update-ref", f"refs/heads/{git.TEMPLATE}", commit)
    return _merge(project, branch, new["version"])


def message(verb: str, version: str) -> str:
    """Return the message of a commit on the branch `template`."""
    return f"{verb} Laurel {version}\n\n{git.TRAILER}: {version}"


def _branch(project: Path) -> str:
    """Return the branch to merge into. Raises UserError if the project is not ready for a merge."""
    if not git.there():
        raise UserError("git: is not installed; an update is a merge, which git makes")
    if git.head(project) is None:
        raise UserError(f"{project}: is not the top of a git repository with a commit; new_project.py makes one for each project")
    if changed := git.ask(project, "diff", "--name-only", "HEAD").splitlines():
        raise UserError(f"{project}: {len(changed)} files have changes that are not committed ({changed[0]}); commit them first")
    branch = git.run(project, "symbolic-ref", "--quiet", "--short", "HEAD").stdout.strip()
    if branch in ("", git.TEMPLATE):
        raise UserError(f"{project}: is on {branch or 'no branch'}; change to the branch of your work (git switch {git.WORK})")
    return branch


def _last(project: Path) -> str:
    """Return the newest commit of the template in the project; if a clone lacks the branch `template`, make the branch again.

    Raises UserError if there is no commit of the template.
    """
    commit = git.run(project, "rev-parse", "--verify", "--quiet", f"refs/heads/{git.TEMPLATE}").stdout.strip()
    if not commit:
        commit = git.ask(project, "log", "-1", "--format=%H", f"--grep=^{git.TRAILER}: ")
        if not commit:
            raise UserError(f"{project}: has no branch {git.TEMPLATE} (git fetch origin {git.TEMPLATE}:{git.TEMPLATE})")
        git.ask(project, "branch", git.TEMPLATE, commit)
    return commit


def _make(template: Path, target: Path, record: dict[str, object]) -> None:
    tasks = ",".join(map(str, record["tasks"]))  # type: ignore[call-overload]
    command = [sys.executable, str(template / "new_project.py"), "--tasks", tasks, "--name", str(record["name"]), "--files-only"]
    done = subprocess.run([*command, str(target)], cwd=template, capture_output=True, text=True)
    if done.returncode:
        raise UserError(f"{template}: new_project.py failed: {done.stderr.strip() or done.stdout.strip()}")


def _merge(project: Path, branch: str, version: str) -> int:
    """Merge the branch `template`; return 1 if conflicts are left. If both sides changed a generated file, keep the project's."""
    done = git.merge(project, git.TEMPLATE)
    conflicts = set(git.ask(project, "diff", "--name-only", "--diff-filter=U").splitlines())
    for name in sorted(conflicts.intersection(GENERATED)):
        git.ask(project, "checkout", "--ours", "--", name)
        git.ask(project, "add", "--", name)
    left = conflicts.difference(GENERATED)
    if conflicts and not left:
        git.conclude(project)
    elif done.returncode:
        print(done.stdout + done.stderr, end="")
        print(f"{branch}: {len(left)} files have conflicts: mend them, git add them, git commit (or: git merge --abort)")
        return 1
    print(f"{branch}: has Laurel {version}. Next: pip install -r requirements.txt, python laurel.py schema, make test")
    return 0
