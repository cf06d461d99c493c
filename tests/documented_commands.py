"""The commands in README, CONTRIBUTING and docs, and what runs each of them.

    python -m tests.documented_commands    # the list

Most commands are in a script in `.ci`, which may add options. For each other command, a table below gives an equivalent
script line, a test that runs the command, or the reason why nothing runs it.
"""

import re
import shlex
from itertools import dropwhile, groupby
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOC_PATHS = [path for folder in ("docs", "docs/benchmarks") for path in sorted((ROOT / folder).glob("*.md"))]
DOCUMENT_TEXTS = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOC_PATHS)
}
SCRIPTS = {name: (ROOT / name).read_text(encoding="utf-8") for name in (".ci/run", ".ci/nightly", ".ci/release")}
CODE_BLOCK_PATTERN = re.compile(r"^```([\w{}-]*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INDENTED_BLOCK_PATTERN = re.compile(r"(?:(?<=\n\n)|\A)((?: {4}\S.*\n)+)")
INLINE_CODE_PATTERN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
# Programs that begin a command outside shell blocks.
KNOWN_PROGRAMS = {"asv", "chmod", "fastlin", "git", "make", "mypy", "pip", "pytest", "python", "ruff", "wheel"}

COMMANDS_TEST_ID = "tests/test_documented_commands.py::test_the_commands_of_the_program_run"
BROWSER_TEST_ID = "tests/cli/test_commands.py::test_the_report_opens_in_the_browser_on_request"
LONG_MEASUREMENT_REASON = (
    "it measures for hours on a machine of its own; tests/benchmarks runs its functions on few rows"
)
IDLE_MACHINE_REASON = "it measures for minutes on an idle machine; tests/benchmarks measures the same case on few rows"
# The cases that docs/benchmarks.md uses to reproduce a claim.
CLAIM_BENCHMARK_CASES = (
    "mnist-float64",
    "everyday",
    "two-classes",
    "text",
    "cross-validation",
    "mini-batches-sgd",
    "inference-logit-1000000",
    "memory-mnist-float64",
    "false-alarms",
    "scikit-learn-suite lasso-suite",
)
# Commands that a script runs in a different form. The values are the script and this form.
EQUIVALENT_COMMANDS = {
    "python -m venv .venv": (".ci/run", 'bash -c "$test_line'),
    "pip install uv": (".ci/run", 'bash -c "$test_line'),
    "uv pip install --python .venv '.[test]'": (".ci/run", 'bash -c "$test_line'),
    "pip install -e '.[test,bench]'": (".ci/nightly", "environment .venv/editable -e '.[test,bench]'"),
    "pip install '.[studies]'": (".ci/nightly", 'bash -c "$line"'),
    "pip install '.[bench]'": (".ci/run", "environment .venv/bench '.[bench]'"),
    "pip install '.[docs]'": (".ci/run", "environment .venv/docs '.[docs]'"),
    "fastlin reproduce": (".ci/nightly", 'bash -c "$line"'),
    **dict.fromkeys(
        ("pytest tests/objective/test_duality.py", "pytest tests/solvers/test_choose.py"),
        (".ci/run", 'bash -c "$test_line'),
    ),
    # `--slow` includes the thorough tests.
    "pytest -n 2 --thorough": (".ci/nightly", ".ci/run --slow"),
    "pytest -n 2 --slow": (".ci/nightly", ".ci/run --slow"),
    "ruff format .": (".ci/run", "ruff format --check ."),
    "python -m build --wheel -Ckernels=x86-64-v2,x86-64-v3": (".ci/nightly", "-m build --wheel -Ckernels=all"),
    "pip install 'numba==0.68.*'": (".ci/nightly", '"numba==$version.*"'),
    **dict.fromkeys(
        (
            "pip install '.[tables]'",
            "pip install '.[studies,tables]'",
            "python -m fastlin.benchmarking.instructions my_benchmarks:fit_iris",
            "python -m fastlin.benchmarking.instructions my_benchmarks:fit_iris --record",
        ),
        (".ci/nightly", "-m tests.documented_sequences"),
    ),
}
# Commands that a test runs.
TESTED_COMMANDS = {
    "python -m fastlin.patch script.py": "tests/test_patch.py::test_programs_run_patched",
    "fastlin fit": COMMANDS_TEST_ID,
    "fastlin fit --inference": COMMANDS_TEST_ID,
    "fastlin fit flights.csv --target delayed --drop id --cross-validate --l1-ratio 1 --model flights.skops": (
        COMMANDS_TEST_ID
    ),
    "fastlin predict": COMMANDS_TEST_ID,
    "fastlin predict flights.skops new.csv --keep id --output predictions.csv": COMMANDS_TEST_ID,
    "fastlin compare flights.csv --target delayed --drop id --seconds 30 --output comparison": COMMANDS_TEST_ID,
    "fastlin compare --baselines": "tests/cli/test_commands.py::test_compare_baselines_on_mnist",
    "fastlin reproduce --open": BROWSER_TEST_ID,
}
# Commands that nothing runs, and why.
UNTESTED_COMMANDS = {
    "asv run --quick --python=same": "`.ci/run` measures the same cases by pytest, and lets asv check them",
    **dict.fromkeys(
        ("chmod -R a+rX /opt/kernels", "chmod 700", "export NUMBA_CACHE_DIR=/opt/kernels"), "it changes the machine"
    ),
    **dict.fromkeys(
        (".ci/nightly", ".ci/nightly --missing", ".ci/nightly wheels numba"),
        ".github/workflows/nightly.yml runs all parts",
    ),
    "git push origin v1.2.3": "it publishes",
    "git tag v1.2.3": "it publishes",
    "make -C docs linkcheck": "it contacts other servers, which can fail at any time",
    "pip install '.[baselines]'": "some of the baselines have no wheels for every system",
    **dict.fromkeys(("asv run benchmarks", "pytest --benchmark-only --full"), LONG_MEASUREMENT_REASON),
    "pytest --benchmark-only --hold-bounds": LONG_MEASUREMENT_REASON,
    "python -m benchmarks.instructions --record": "it changes the file that `.ci/run` compares with",
    **{f"python -m benchmarks.publish {case}": IDLE_MACHINE_REASON for case in CLAIM_BENCHMARK_CASES},
    **{
        f"python -m benchmarks.{name}": LONG_MEASUREMENT_REASON
        for name in ("larger_than_memory", "mini_batches", "publish", "ablation")
    },
    "python build_backend/first_fits.py": "it changes a list, which tests/test_build_backend.py compares with the fits",
    "python -m tests.documented_commands": "tests/test_documented_commands.py reads the same list",
    "wheel tags": ".github/workflows/release.yml runs it",
}


def split_commands(text):
    """Yield each command of shell lines as a list of words, without comments and optional words."""
    text = re.sub(r" \[[^\]]*\]…?", "", text)
    for line in text.splitlines():
        words = shlex.split(line, comments=True)
        for has_ended, part in groupby(words, "&&".__eq__):
            if not has_ended:
                yield list(part)


def drop_environment_variables(words):
    """Return the words of a command without the environment variables before the program."""
    return list(dropwhile(re.compile(r"\w+=").match, words))


def normalize(words):
    """Return a command without the folder of its program, without verbosity options and without make variables."""
    words = drop_environment_variables(words)
    program = words[0] if words[0] in SCRIPTS else words[0].rpartition("/")[2]
    words = ["python" if program == "python3" else program, *words[1:]]
    # `python -m pytest` and the program `pytest` are the same command.
    if words[:3] in (["python", "-m", "pytest"], ["python", "-m", "fastlin"]):
        words = words[2:]
    verbosity_options = ("-q", "--quiet", "-v")
    return shlex.join(
        word
        for word in words
        if word not in verbosity_options and not (words[0] == "make" and re.match("[A-Z]+=", word))
    )


def list_block_commands(text):
    return [
        words
        for language, block in CODE_BLOCK_PATTERN.findall(text)
        if language == "sh"
        for words in split_commands(block)
    ]


def read_commands(text):
    """Return the distinct commands in the fenced blocks, the indented blocks and the inline code of a document."""
    prose = CODE_BLOCK_PATTERN.sub("", text)
    words_per_command = list_block_commands(text)
    for code in (*INDENTED_BLOCK_PATTERN.findall(prose), *INLINE_CODE_PATTERN.findall(prose)):
        first = code.split()[0]
        # Code that is not shell may have an unmatched quotation mark.
        if first in SCRIPTS or first.rpartition("/")[2] in KNOWN_PROGRAMS:
            # A program name without arguments is not a command.
            words_per_command += (
                words for words in split_commands(code) if words[0] in SCRIPTS or " " in normalize(words)
            )
    # Uppercase words are placeholders.
    commands = dict.fromkeys(normalize(words) for words in words_per_command)
    return [command for command in commands if not re.search(r"^fastlin\b.* [A-Z]+\b", command)]


def parse_script(text):
    text = re.sub(r"^\s*#.*$", "", text, flags=re.MULTILINE).replace("\\\n", " ")
    lexer = shlex.shlex(text, posix=True, punctuation_chars="();<>|&\n")
    lexer.whitespace, lexer.commenters, lexer.whitespace_split = " \t\r", "", True
    commands, words = set(), []
    for token in (*lexer, "\n"):
        if set(token) <= set("();<>|&\n"):
            # Shell keywords and environment variables come before the program.
            words = list(dropwhile(re.compile(r"\w+=|([{!]|if|then|else|do)$").match, words))
            if words:
                commands.add(normalize(words))
            words = []
        else:
            words.append(token)
    return commands


def find_script(command):
    """Return the name of a script that runs a command, possibly with more options. Return None if none does."""
    for name, lines in SCRIPT_COMMANDS.items():
        if any(f"{line} ".startswith(f"{command} ") for line in lines):
            return name


def describe_command_runner(command):
    """Return what runs a command, or the reason why nothing runs it. Return None if no script or table contains it."""
    if command in EQUIVALENT_COMMANDS:
        return "{}, as {}".format(*EQUIVALENT_COMMANDS[command])
    if command in UNTESTED_COMMANDS:
        return f"nothing: {UNTESTED_COMMANDS[command]}"
    return TESTED_COMMANDS.get(command) or find_script(command)


SCRIPT_COMMANDS = {name: parse_script(text) for name, text in SCRIPTS.items()}

if __name__ == "__main__":
    for page, text in DOCUMENT_TEXTS.items():
        for command in read_commands(text):
            print(f"{page}: {command}\n    {describe_command_runner(command) or 'NOT IN ANY SCRIPT OR TABLE'}")
