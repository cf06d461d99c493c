"""The repository uses the terms of the field: its texts and names contain no private words and no British spelling.

    python tests/test_terminology.py            # the number of hits by folder and term
    python tests/test_terminology.py fastlin    # each hit in some folders or files

To allow an ordinary use of a word, make its pattern more precise. Codespell, a hook of pre-commit, checks the spelling
of whole words in texts; it checks neither phrases nor the words of which a name consists.
"""

import ast
import re
import sys
from collections import Counter
from functools import cache
from pathlib import Path

import pytest
from repository import ROOT

FOLDERS = "fastlin", "benchmarks", "tests", "docs", "build_backend", ".ci", ".github"
DOCUMENTS = "README.md", "CONTRIBUTING.md", "CHANGELOG.md", "CITATION.cff", "setup.cfg", "pyproject.toml"
# The scripts of .ci have no suffix.
SUFFIXES = {"", ".py", ".md", ".rst", ".toml", ".j2", ".svg", ".css", ".html", ".yml", ".yaml"}
# Folders of generated pages.
GENERATED_FOLDERS = {"_build", "api", "gallery"}
# Each line: a pattern, the term of the field, and a line that the pattern finds; at least two spaces separate columns.
# Before the search, texts become lower case and names are split into words: `fit_lots` and `FitLots` read "fit lots".
PHRASE_TABLE = r"""
peers?(?! review)                       baseline, other library             peers = ["liblinear"]
contenders?                             baseline, other library             # the fastest contender
races?(?! conditions?)                  comparison, benchmark               def run_race(): ...
(?<!\ba\s)lots?                         batch of problems                   class ProblemLot: ...
rooms?(?! (for|to))                     buffer, workspace                   def make_room(): ...
blur(s|red)?                            error weight                        # the blur of a column
bend(s|ing)?                            regularize                          def bend_equal_changes(): ...
leaps?                                  active-set Newton step              def _leap(): ...
settle[sd]?|settling                    optimize (an intercept), decide     # The intercept is settled.
rent                                    ablation                            from benchmarks import rent
(an?|the|of) judges?                    validation monitor, scorer          # The judge of a training run
merits?                                 metrics                             merits = {}
pictures?                               plot, figure                        def draw_picture(): ...
heads                                   column headers                      heads = ["a"]
(?<!in\s)excess(es)?                    suboptimality                       # an excess of 1e-3
n together                              batch size                          n_together = 4
several labels                          multilabel                          # rows of several labels
truth values?                           boolean                             # an array of truth values
whole numbers?                          integer                             # C takes whole numbers
columns? of texts?                      string column                       # columns of text
row numbers?                            row index                           # the row numbers of a fold
(proven|proved) (gap|distance)s?        certified duality gap               # the proven gap
(is|are) proven|proven to               certified                           # J is proven to be minimal
floor (that|of|by) rounding             limit of floating-point accuracy    # the floor that rounding sets
(would be|is|are) rounding(?! error)    dominated by rounding error         # the rest is rounding
hard columns?                           ill-conditioned features            # X has hard columns
anew                                    again                               # It is fitted anew.
beside                                  in addition to, compared with       # Beside X a fit holds K numbers.
but for                                 except                              # all but for the first
(?<!\bone\s)(?<!none\s)(?<!each\s)of which  a sentence of its own               # arrays, of which two are empty
mend(s|ed|ing)?                         fix                                 # Mend the file.
impatient|has arrived                   converged, switch threshold         # the solver has arrived
features gain                           improvement over the null model     # what the features gain
without features                        null (model, objective)             # the objective without features
fitted one by one|fit by fit            one model at a time                 # folds are fitted one by one
fits at once                            batched fits                        # memory limits the fits at once
(columns|features) of one size          features on a similar scale         # It needs columns of one size.
halves of the rows                      half-samples                        # drawn halves of the rows
by mistake                              false selection                     # features selected by mistake
drawn by class                          case-control sampling               # rows drawn by class
(?<!segmentation\s)faults?              bug                                 # Report a fault.
(?<!data\s)frames? (with|of) (\w+ )?(columns?|categories)  DataFrame                   # a frame with two columns
(reference|omitted|unused|categorical) levels?  category                        # the reference levels
levels? of (a |each )?(categorical|column)  category                            # the levels of a categorical column
objective gaps?                         objective difference, duality gap   # the objective gap to lbfgs
weights are importance                  sampling (probability) weights      # the weights are importance
\w{2,}(al|ar|ard|er|or|im|on|an|gn|(?<!pr)om)is(e[drs]?|ers?|ing|ations?)  -ize, -ization  # a penalised fit
analys(e[dr]?|ing)                      analyze                             # to analyse data
(un)?cent(re[ds]?|ring)                 center                              def centre_columns(): ...
(\w*col|behavi|fav|neighb|flav|hon|lab)our(s|ed|ing|able|ites?)?  -or  colour = "C0"
(un)?(model|label|level|travel)l(ed|ing)  labeled, modeling  # labelled rows
gr(ey|eyed)|artefacts?                  gray, artifact                      # a grey line
"""
# These patterns match whole names that Python code defines, or that documents contain between backticks.
NAME_TABLE = r"""
(found|given|kept|told|known|asked)     a noun that says what it is         found = model.fit(X)
(n )?(most|least)( (?!square|probable|frequent)\w+)*  max, min  MOST_ROWS = 3
(\w+ )*judges?( \w+)*                   validation monitor, scorer          judges = []
(n )?places?                            position, index, slot               place = 3
(is |are )?(apart|beside|met|texts)     a noun that says what it is         texts = []
weights are                             weight_type                         weights_are = "frequency"
missing level                           missing_as_category                 missing_level = True
group by class                          group_lasso                         group_by_class = True
spread                                  std_ratio                           spread = 1e3
model distance                          coef_error                          model_distance = 0.0
"""
# It replaces each space of a pattern. A string or comment that continues on the next line has quotation marks or a "#".
SPACE_PATTERN = r"""[\s#"']+"""


@cache
def read_table(table):
    """Return the rows of a table, and a pattern for all rows. A row is a pattern, the field's term and an example."""
    rows = [re.split(r"\s{2,}", line) for line in table.strip().splitlines()]
    patterns = [row[0].replace(" ", SPACE_PATTERN) for row in rows]
    # One pattern for all terms, with the word boundary in front, searches a file ten times as fast as one per term.
    term_pattern = re.compile(rf"\b(?:{'|'.join(patterns)})\b")
    return [
        (re.compile(rf"(?:{pattern})\b"), *row[1:]) for pattern, row in zip(patterns, rows, strict=True)
    ], term_pattern


def split_words(text):
    """Return a text in lower case, with the names split into words. Each word stays in its line."""
    return re.sub(r"_+|(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", text).lower()


def list_defined_names(text, is_python):
    """Yield each name, with its line, that Python code defines or that another text has between backticks."""
    if not is_python:
        yield from ((match[1], text.count("\n", 0, match.start()) + 1) for match in re.finditer(r"`(\w+)[`(=]", text))
        return
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()) | ast.arg(arg=name):
                yield name, node.lineno
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.alias(asname=str(name)):
                yield name, node.lineno


def find_terms(text, is_python):
    """Yield the line, the words and the field's term for each private term in a text."""
    words = split_words(text)
    rows, term_pattern = read_table(PHRASE_TABLE)
    for match in term_pattern.finditer(words):
        term = next(term for pattern, term, _ in rows if pattern.match(words, match.start()))
        yield words.count("\n", 0, match.start()) + 1, match[0], term
    for name, line in list_defined_names(text, is_python):
        name_words = split_words(name).strip()
        yield from (
            (line, name, term) for pattern, term, _ in read_table(NAME_TABLE)[0] if pattern.fullmatch(name_words)
        )


def find_term_uses(paths):
    """Yield the path, line, words and field's term for each private term in the given files and folders."""
    for path in paths:
        files = (
            [file for file in sorted(path.rglob("*")) if file.is_file() and file.suffix in SUFFIXES]
            if path.is_dir()
            else [path]
        )
        for file in files:
            if file != Path(__file__) and not GENERATED_FOLDERS & set(file.relative_to(ROOT).parts):
                for term_use in find_terms(file.read_text(encoding="utf-8"), file.suffix == ".py"):
                    yield file.relative_to(ROOT).as_posix(), *term_use


@pytest.mark.parametrize("names", [*[[folder] for folder in FOLDERS], DOCUMENTS], ids=", ".join)
def test_texts_use_the_terms_of_the_field(names):
    term_uses = [
        f'{path}:{line}: "{words}" → {term}'
        for path, line, words, term in find_term_uses(ROOT / name for name in names)
    ]
    assert not term_uses, "\n".join(term_uses)


@pytest.mark.parametrize("table", [PHRASE_TABLE, NAME_TABLE], ids=["phrases", "names"])
def test_the_example_of_each_private_term_is_found(table):
    missed = []
    for pattern, term, example in read_table(table)[0]:
        term_uses = find_terms(example, is_python=True)
        if not any(
            term_use[2] == term and pattern.fullmatch(split_words(term_use[1]).strip()) for term_use in term_uses
        ):
            missed.append(example)
    assert missed == []


def test_ordinary_english_is_allowed():
    text = """
# a lot of rows, in excess of memory, a race condition, room for two arrays, an update in place
# otherwise a precise comparison of the analyses is promising
def place_bounds(least_squares, known_classes): ...
"""
    assert list(find_terms(text, is_python=True)) == []


if __name__ == "__main__":
    if parts := sys.argv[1:]:
        for path, line, words, term in find_term_uses(Path(part).resolve() for part in parts):
            print(f'{path}:{line}: "{words}" → {term}')
    else:
        term_uses = find_term_uses(ROOT / part for part in (*FOLDERS, *DOCUMENTS))
        counts = Counter(("/".join(path.split("/")[:2]), term) for path, _, _, term in term_uses)
        for (folder, term), count in sorted(counts.items()):
            print(f"{count:4} {folder}: {term}")
